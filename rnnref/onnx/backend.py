"""An `onnx.backend.base.Backend`: RNN, GRU and LSTM by rnnref, every other operator by `onnx.reference`.

This module imports onnx; `rnnref.onnx` imports it when one of its names is first used.
"""
import time
from collections.abc import Callable
from os import PathLike
from typing import Any, Optional, Union

import numpy
import onnx
from onnx import defs, helper
from onnx.backend.base import Backend as Base, BackendRep
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from ..arrays import Array
from ..errors import NotSupported, ShapeError, check_option
from .attributes import OPERATORS, name_of
from .inputs import inputs_of
from .loop import Loop
from .node import run_op
from .promote import cast_input, promote
from .reading import TEXT, Reading

_VERSIONS = (7, 14, 22)                           # of the operators: 14 brought layout, 22 bfloat16


class RnnrefOperator(OpRun):
    """One node RNN, GRU or LSTM, as onnx.reference calls it."""
    op_domain = ""
    reading = TEXT
    record: Optional[Callable] = None             # called with every node that is run, and its inputs by name

    def __init__(self, node: Any, run_params: dict, schema: Any = None) -> None:
        super().__init__(node, run_params, schema)
        op, opset = node.op_type, run_params["opsets"].get("", 0)
        version = defs.get_schema(op, opset).since_version if opset else 0
        if version not in _VERSIONS:
            raise NotSupported(name_of(op), f"version {version} (opset {opset})",
                               known=f"versions {', '.join(map(str, _VERSIONS))}: opset 7 and later",
                               hint="the ones before have output_sequence" if version < 7 else "")

    def run(self, *inputs: Any, linked_attributes: Any = None, context: Any = None, bindings: Any = None) -> tuple:
        """Run the node: overridden in place of `_run`, whose caller fills in the schema's defaults and rewrites errors.

        An absent input has an empty name; the evaluator may keep an unnamed output of another node under it.
        """
        node, linked = self.onnx_node, linked_attributes or {}
        given = {own: a for own, name, a in zip(inputs_of(node.op_type), node.input, inputs) if name}
        attributes = {a.name: linked[a.ref_attr_name] if a.ref_attr_name else helper.get_attribute_value(a)
                      for a in node.attribute}
        if self.record is not None:
            self.record(node, given)
        outputs, _ = run_op(node.op_type, given, attributes, self.reading, keep=False)
        return tuple(a if name else None for name, a in zip(node.output, outputs))

    def _run(self, *inputs: Any, **attributes: Any) -> Any:        # abstract in the base class
        raise NotImplementedError


def make_evaluator(proto: Any, reading: Reading = TEXT, record: Optional[Callable] = None,
                   seconds: float = float("inf"), **options: Any) -> ReferenceEvaluator:
    """A ReferenceEvaluator of `proto` whose RNN, GRU and LSTM are those of rnnref, in subgraphs and functions too.

    record    called with every RNN, GRU and LSTM node that is run, and its inputs by their names of the specification
    seconds   of work of the processors after which the next turn of a loop raises a TimeoutError
    """
    depth, end = 0, 0.0
    fields = {"reading": reading, "record": None if record is None else staticmethod(record)}
    ours = [Loop, *(type(op, (RnnrefOperator,), fields) for op in OPERATORS)]

    class Evaluator(ReferenceEvaluator):          # it makes others of its own class, and not all with new_ops
        def __init__(self, proto: Any, **options: Any) -> None:
            super().__init__(proto, **(options | {"new_ops": ours}))

        def run(self, *args: Any, **options: Any) -> Any:
            nonlocal depth, end
            if not depth:
                end = time.process_time() + seconds
            elif time.process_time() > end:
                raise TimeoutError(f"its loops do not end within {seconds:g} s")
            depth += 1
            try:
                return super().run(*args, **options)
            finally:
                depth -= 1

    return Evaluator(proto, **options)


def _as_options(opsets: Optional[dict]) -> dict[str, Any]:
    return {"opsets": opsets} if opsets else {}


class PreparedModel(BackendRep):
    """A model ready to run."""

    def __init__(self, model: Any, reading: Reading, dtype: Any, opsets: Optional[dict] = None) -> None:
        model = model if dtype is None else promote(model, dtype)
        self.evaluator = make_evaluator(model, reading, **_as_options(opsets))
        self.dtype = dtype
        graph = getattr(model, "graph", model)
        initialised = {a.name for a in graph.initializer}
        self.inputs = [a.name for a in graph.input if a.name not in initialised]
        self.input_names = [a.name for a in graph.input]

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Array, ...]:
        """inputs: a list in the order of the model's, a dict by name, or one array -> a tuple of outputs."""
        if kwargs:
            raise NotSupported("run", f"{', '.join(kwargs)}: not an option")
        return tuple(self.evaluator.run(None, self.name_inputs(inputs)))

    def name_inputs(self, inputs: Any) -> dict[str, Array]:
        """{input name: array} of a dict, a sequence or one array."""
        if isinstance(inputs, numpy.ndarray):
            inputs = [inputs]
        if not isinstance(inputs, dict):
            if len(inputs) != len(self.inputs):
                raise ShapeError("run", f"{len(inputs)} inputs, expected {len(self.inputs)}: {' '.join(self.inputs)}")
            inputs = dict(zip(self.inputs, inputs))
        unknown = [name for name in inputs if name not in self.input_names]
        missing = [name for name in self.inputs if name not in inputs]
        if unknown or missing:
            raise ShapeError("run", f"{', '.join(unknown or missing)}: {'not an input' if unknown else 'missing'}",
                             known=" ".join(self.input_names))
        return inputs if self.dtype is None else {name: cast_input(a, self.dtype) for name, a in inputs.items()}


class Backend(Base):
    """onnx.backend.base.Backend, so `onnx.backend.test.BackendTest(rnnref.onnx)` runs it.

    reading   what the specification leaves open (`rnnref.onnx.Reading`)
    dtype     "float64" or "float32": every weight, constant, cast and floating input in it, so a float32 model is
              evaluated in float64; None: as the model declares
    """

    @classmethod
    def is_compatible(cls, model: Any, device: str = "CPU", **kwargs: Any) -> bool:
        """True if `device` is the CPU."""
        return cls.supports_device(device)

    @classmethod
    def prepare(cls, model: Union[str, PathLike, Any], device: str = "CPU", *, reading: Reading = TEXT,
                dtype: Any = None) -> PreparedModel:
        """A model (or the path of one) -> a `PreparedModel`, which can be run any number of times.

        Errors    NotSupported: a device that is not the CPU, a version of RNN, GRU or LSTM before opset 7; those of
                  onnx.checker for a model that is invalid
        """
        _check_device("prepare", device)
        model = onnx.load(model) if isinstance(model, (str, PathLike)) else model
        super().prepare(model, device)
        return PreparedModel(model, reading, _check_dtype("prepare", dtype))

    @classmethod
    def run_model(cls, model: Union[str, PathLike, Any], inputs: Any, device: str = "CPU", *, reading: Reading = TEXT,
                  dtype: Any = None) -> tuple[Array, ...]:
        """The outputs of a model (or the path of one)."""
        return cls.prepare(model, device, reading=reading, dtype=dtype).run(inputs)

    @classmethod
    def run_node(cls, node: Any, inputs: Any, device: str = "CPU", outputs_info: Any = None, *, reading: Reading = TEXT,
                 dtype: Any = None, opset_version: Optional[int] = None) -> tuple[Array, ...]:
        """One node of any operator -> its outputs; outputs_info is not needed here."""
        _check_device("run_node", device)
        version = defs.onnx_opset_version() if opset_version is None else opset_version
        super().run_node(node, inputs, device, outputs_info, opset_version=version)
        ends = [[onnx.ValueInfoProto(name=name) for name in names if name] for names in (node.input, node.output)]
        graph = helper.make_graph([node], "node", *ends)
        if isinstance(inputs, (list, tuple)) and len(inputs) == len(node.input):  # also what is absent, as None
            inputs = [a for name, a in zip(node.input, inputs) if name]
        return PreparedModel(graph, reading, _check_dtype("run_node", dtype), {node.domain: version}).run(inputs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """True if `device` is the CPU."""
        return device.partition(":")[0] == "CPU"


def _check_device(who: str, device: str) -> None:
    if not Backend.supports_device(device):
        raise NotSupported(who, f"device={device!r}", known="'CPU'")


def _check_dtype(who: str, dtype: Any) -> Any:
    return dtype and numpy.dtype(check_option(who, "dtype", numpy.dtype(dtype).name, ("float32", "float64")))


is_compatible, prepare, run_model = Backend.is_compatible, Backend.prepare, Backend.run_model
run_node, supports_device = Backend.run_node, Backend.supports_device
