"""A model in onnxruntime whose inner values are outputs too."""
from collections.abc import Iterable
from typing import Any

import numpy

from ..arrays import Array
from ..errors import Error, import_optional
from .onnx_engines import RefusalError, clean_message
from .onnx_graphs import required_inputs


class Session:
    """A model in onnxruntime: inputs by name -> values by name, its own outputs and `inner` ones."""

    def __init__(self, model: Any, inner: Iterable[str] = (), threads: int = 0) -> None:
        onnx, ort = import_optional("onnx", "verify", "verify"), import_optional("onnxruntime", "verify", "verify")
        self.version = ort.__version__
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads    # 0: as many as there are cores
        options.log_severity_level = 4            # errors are raised as well, so they need not be logged
        count, own = len(model.graph.output), {a.name for a in model.graph.output}
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner if name not in own)
        try:
            serialized = model.SerializeToString()
            self._session = ort.InferenceSession(serialized, options, ["CPUExecutionProvider"])
        except Exception as e:                    # the errors of onnxruntime and protobuf have no common class
            raise Error("verify", "onnxruntime cannot run the model", reason=clean_message(e)) from None
        finally:
            del model.graph.output[count:]
        self.outputs = [a.name for a in self._session.get_outputs()]
        self._fed = set(required_inputs(model))

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """All values; a `RefusalError` with the message of onnxruntime if it cannot compute them."""
        try:
            fed = {name: a for name, a in inputs.items() if name in self._fed}
            return dict(zip(self.outputs, self._session.run(self.outputs, fed)))
        except Exception as e:                    # no common class
            raise RefusalError(clean_message(e)) from None


def flatten_values(values: dict[str, Any]) -> tuple[dict[str, Array], list[str]]:
    """The arrays of outputs, of sequences as "name[0]"; and the names of those that are neither."""
    arrays, others = {}, []
    for name, value in values.items():
        if isinstance(value, list):
            inner, odd = flatten_values({f"{name}[{k}]": a for k, a in enumerate(value)})
            arrays, others = arrays | inner, others + odd
        elif isinstance(value, (numpy.ndarray, numpy.generic)):
            arrays[name] = numpy.asarray(value)
        elif value is not None:
            others.append(name)
    return arrays, others
