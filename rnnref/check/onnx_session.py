"""A model in onnxruntime whose inner values are outputs too, within limits of memory and time."""
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy

from ..arrays import Array
from ..errors import Error, import_optional
from .of_onnx import to_python
from .onnx_engines import INPUT_NAMES, EndlessRun, RefusalError, clean_message
from .onnx_graphs import RECURRENT, Constants, required_inputs, size_of_weights, walk_nodes
from .onnx_memory import find_overrun
from .onnx_sizes import infer_shapes

# What a model may take beside so many times its weights and the inputs that the caller gives.
_MEMORY, _MEMORY_FACTOR = 1 << 28, 8
SECONDS = 2.0                                     # of all processors, for one run of a model with loops
_CRASHING = ["FuseFp16InitializerToFp32NodeTransformer"]                # of onnxruntime 1.32, on weights in float16
_LOOPS = ("Loop", "Scan")


class Session:
    """A model in onnxruntime: inputs by name -> values by name, its own outputs and `inner` ones.

    given   bytes of the inputs that the caller wants it to run on
    """

    def __init__(self, model: Any, inner: Iterable[str] = (), threads: int = 0, given: int = 0) -> None:
        onnx, ort = import_optional("onnx", "verify", "verify"), import_optional("onnxruntime", "verify", "verify")
        ops = {node.proto.op_type for node in walk_nodes(model.graph)}
        self._fed, self._guard = set(required_inputs(model)), _Guard(model, ort.__version__)
        self._ort, self._has_loops = ort, bool(ops & {*_LOOPS})
        options = ort.SessionOptions()
        if "QuantizeLinear" in ops:               # moved before values that are outputs here, it would round them
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._most = _MEMORY + _MEMORY_FACTOR * (size_of_weights(model) + given)
        _limit_memory(ort, options, self._most)
        options.intra_op_num_threads = threads    # 0: as many as there are cores
        options.log_severity_level = 4            # errors are raised as well, so they need not be logged
        overrun = self._guard.find_overrun({})
        if overrun:
            raise Error("verify", "onnxruntime cannot run the model", reason=overrun)
        count, own = len(model.graph.output), {a.name for a in model.graph.output}
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner if name not in own)
        try:
            serialized = model.SerializeToString()
            self._session = ort.InferenceSession(serialized, options, ["CPUExecutionProvider"],
                                                 disabled_optimizers=_CRASHING)
        except Exception as e:                    # the errors of onnxruntime and protobuf have no common class
            if "bad_alloc" in str(e):             # constants that it computes beforehand
                raise Error("verify", "onnxruntime cannot run the model",
                            reason="it needs more memory than there is") from None
            raise Error("verify", "onnxruntime cannot run the model", reason=clean_message(e)) from e
        finally:
            del model.graph.output[count:]
        self.outputs = [a.name for a in self._session.get_outputs()]

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """All values; a `RefusalError` with the message of onnxruntime if it cannot compute them."""
        fed = {name: a for name, a in inputs.items() if name in self._fed}
        overrun = self._guard.find_overrun(fed)
        if overrun:
            raise RefusalError(overrun)
        options = self._ort.RunOptions()
        options.log_severity_level = 4
        try:
            with _limit_time(options) if self._has_loops else nullcontext():
                return dict(zip(self.outputs, self._session.run(self.outputs, fed, options)))
        except Exception as e:                    # no common class
            if options.terminate:
                raise EndlessRun(f"its loops do not end within {SECONDS:g} s") from None
            if "Available memory" in str(e):
                raise RefusalError(f"it needs more than {self._most >> 20:,} MB of memory") from None
            raise RefusalError(clean_message(e)) from None


class _Guard:
    """What is known of the inputs of the RNN, GRU and LSTM nodes of a model before they are run."""

    def __init__(self, model: Any, version: str) -> None:
        onnx = import_optional("onnx", "verify", "verify")
        nodes = [node.proto for node in walk_nodes(model.graph) if node.proto.op_type in RECURRENT]
        self._nodes = [(node, {a.name: to_python(onnx.helper.get_attribute_value(a)) for a in node.attribute})
                       for node in nodes]
        self._version, self._constants = version, Constants(model)
        fed, read = required_inputs(model), {name for node in nodes for name in node.input}
        self._shapes = {name: shape for name, shape in infer_shapes(model).items() if name not in fed} if nodes else {}
        self._shapes |= {name: self._constants.shape(name) for name in read if name in self._constants}

    def find_overrun(self, fed: dict[str, Any]) -> str:
        """Why onnxruntime must not run one of the nodes on these inputs of the model; "" if nothing is known."""
        shapes = self._shapes | {name: numpy.shape(a) for name, a in fed.items() if not isinstance(a, list)}
        for node, attributes in self._nodes:
            names = {name: value for name, value in zip(INPUT_NAMES, node.input) if value}
            lengths = names.get("sequence_lens", "")
            found = find_overrun(self._version, node.op_type, attributes, {n: shapes.get(v) for n, v in names.items()},
                                 numpy.asarray(fed.get(lengths, self._constants.get_integers(lengths))))
            if found:
                return f"{node.op_type} {node.name}: {found}" if node.name else found
        return ""


def _limit_memory(ort: Any, options: Any, most: int) -> None:
    """Let a session take its memory from an arena of so many bytes, which grows as it is needed."""
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg(most, 1, -1, -1))
    options.add_session_config_entry("session.use_env_allocators", "1")


@contextmanager
def _limit_time(options: Any) -> Iterator[None]:
    """Tell a run to end when the processors have worked on it for too long."""
    end, done = time.process_time() + SECONDS, threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            if time.process_time() > end:
                options.terminate = True
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


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
