"""RNN, GRU and LSTM nodes of ONNX and whole models as candidates."""
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..errors import DtypeError, NotSupported, ShapeError, import_optional
from ..onnx import TEXT, run_op
from ..onnx.reading import Reading
from .candidate import OUTPUT, STATE, ArrayDescription, Axis, Candidate, Evaluation, draw_normal, is_shape, step_order
from .onnx_engines import INPUT_NAMES, resolve_engine

# onnxruntime's tanh exceeds 1 by four ulps, a GRU of it errs by six, and its sigmoid is 0 where it is less than 1e-7
_PRECISION: dict[str, Any] = {"ulps": 8.0, "relative": False}


class Case(NamedTuple):
    """One node for an engine: the operator, its inputs and attributes by name, and the names of the outputs wanted."""
    op: str
    inputs: dict[str, Array]
    attributes: dict[str, Any]
    outputs: tuple[str, ...]


def wrap_node(node: Any, inputs: dict[str, Any], rng: numpy.random.Generator, engine: str | Callable = "onnxruntime",
              reading: Reading | None = None, title: str = "") -> "NodeCandidate":
    """The candidate of a NodeProto; `inputs` by the names of the operator (X, W ...) or by those of the node."""
    onnx = import_optional("onnx", "verify", "verify")
    if node.op_type not in ("RNN", "GRU", "LSTM"):
        raise NotSupported("verify", f"a node {node.op_type}", known="RNN, GRU, LSTM")
    attributes = {a.name: _to_python(onnx.helper.get_attribute_value(a)) for a in node.attribute}
    names = dict(zip(INPUT_NAMES, node.input))
    inputs = {op_name: inputs[name] for op_name, own in names.items() for name in (op_name, own)
              if own and name in inputs and inputs[name] is not None}
    missing = [f"{op_name} ({own})" for op_name, own in names.items() if own and op_name not in inputs]
    if missing:
        raise ShapeError("verify", f"{', '.join(missing)}: missing", expected=" ".join(filter(None, node.input)))
    arrays = {name: _make_float32(name, inputs[name], rng) for name in inputs if name != "sequence_lens"}
    lengths = inputs.get("sequence_lens")
    outputs = tuple(name for name, own in zip(("Y", "Y_h", "Y_c"), node.output) if own)
    name, run = resolve_engine(engine, "verify")
    return NodeCandidate(
        title=f"{title or node.name or 'a node'} ({node.op_type}) in {name}", arrays=arrays, x="X",
        time=attributes.get("layout", 0), lengths=None if lengths is None else numpy.asarray(lengths, numpy.int32),
        biases=tuple({"B"} & arrays.keys()), settable=True, backwards=attributes.get("direction") == "reverse",
        facts=_collect_versions(name), variants=({},), **_PRECISION, op=node.op_type, attributes=attributes,
        outputs=outputs, run=run, reading=reading or TEXT)


def _to_python(value: Any) -> Any:
    """An attribute with strings in place of bytes."""
    if isinstance(value, (list, tuple)):
        return [_to_python(v) for v in value]
    return value.decode() if isinstance(value, bytes) else value


def _make_float32(name: str, a: Any, rng: numpy.random.Generator | None) -> Array:
    a = draw_normal(rng, a, numpy.float32) if rng is not None and is_shape(a) else numpy.asarray(a)
    if a.dtype != numpy.float32:
        raise DtypeError("verify", f"{name} has dtype {a.dtype}, expected float32",
                         hint="onnxruntime runs these operators in float32")
    return a


def _collect_versions(engine: str) -> dict[str, str]:
    from importlib.metadata import version
    packages = {"onnxruntime": ("onnxruntime", "onnx"), "onnx.reference": ("onnx",)}.get(engine, ())
    return {"candidate": engine, **{name: version(name) for name in packages}}


@dataclass
class NodeCandidate(Candidate):
    """A node in an engine, and the operator of rnnref."""
    op: str = ""
    attributes: dict = field(default_factory=dict)
    outputs: tuple = ()
    run: Any = None                               # an engine: case -> {output name: array}
    reading: Any = TEXT

    def _inputs_of(self, arrays: dict[str, Array]) -> dict[str, Array]:
        return arrays if self.lengths is None else arrays | {"sequence_lens": self.lengths}

    def run_reference(self, arrays: dict[str, Array], **options: Any) -> Evaluation:
        results, _ = run_op(self.op, self._inputs_of(arrays), self.attributes, self.reading, keep=False)
        return Evaluation({name: a for name, a in zip(("Y", "Y_h", "Y_c"), results) if name in self.outputs})

    def run_candidate(self, arrays: dict[str, Array]) -> Evaluation:
        return Evaluation(self.run(Case(self.op, self._inputs_of(arrays), self.attributes, self.outputs)),
                          given=lambda: arrays)

    def describe_arrays(self) -> dict[str, ArrayDescription]:
        direction, T = self.attributes.get("direction", "forward"), self.size[0]
        directions = ("forward", "reverse") if direction == "bidirectional" else (direction,)
        step = numpy.stack([step_order(T, name == "reverse") for name in directions], 1)[:, :, None, None]
        ends = Axis("", directions), Axis("row"), Axis("unit")
        Y = Axis("t"), *ends
        if self.attributes.get("layout", 0):
            Y, step, ends = (Y[2], Y[0], Y[1], Y[3]), step.transpose(2, 0, 1, 3), (ends[1], ends[0], ends[2])
        state = ArrayDescription(STATE, ends)
        return {"Y": ArrayDescription(OUTPUT, Y, step), "Y_h": state, "Y_c": state}


class Node(NamedTuple):
    """A node of a model, and its inputs by name."""
    name: str
    proto: Any
    inputs: dict[str, Array]


def find_nodes(model: Any, inputs: dict[str, Array], reading: Reading | None = None) -> list[Node]:
    """The RNN, GRU and LSTM nodes of a model's main graph, in order, with the inputs that the reference computes."""
    onnx = import_optional("onnx", "verify", "verify")
    found = [node for node in model.graph.node if node.op_type in ("RNN", "GRU", "LSTM")]
    if not found:
        raise NotSupported("verify", "a model without a node RNN, GRU or LSTM",
                           has=" ".join(sorted({node.op_type for node in model.graph.node})),
                           hint="nodes inside Loop, If and Scan are not searched")
    from ..onnx import prepare
    prepared = prepare(model, reading=reading or TEXT)
    known = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer} | prepared.name_inputs(inputs)
    needed = dict.fromkeys(name for node in found for name in node.input)
    names = [name for name in needed if name and name not in known]
    values = known | dict(zip(names, prepared.evaluator.run(names, prepared.name_inputs(inputs)) if names else ()))
    return [Node(node.name or f"{node.op_type} -> {next(filter(None, node.output))}", node,
                 {name: values[name] for name in node.input if name}) for node in found]


def wrap_model(model: Any, inputs: dict[str, Any], reading: Reading | None = None) -> "ModelCandidate":
    """The candidate of all outputs of a model in onnxruntime."""
    ort = import_optional("onnxruntime", "verify", "verify")
    arrays = {name: numpy.asarray(a) for name, a in inputs.items()}
    floats = {name: _make_float32(name, a, None) for name, a in arrays.items() if a.dtype.kind == "f"}
    return ModelCandidate(title="the whole model", arrays=floats, x=next(iter(floats)), settable=False,
                          facts={"candidate": f"onnxruntime {ort.__version__}"}, variants=({},), **_PRECISION,
                          model=model,
                          others={name: a for name, a in arrays.items() if name not in floats},
                          reading=reading or TEXT)


@dataclass
class ModelCandidate(Candidate):
    """A whole model in onnxruntime, and the evaluator of ONNX with the operators of rnnref."""
    model: Any = None
    others: dict = field(default_factory=dict)    # inputs that are not floating
    reading: Any = TEXT

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs."""
        return [a.name for a in self.model.graph.output]

    def run_reference(self, arrays: dict[str, Array], **options: Any) -> Evaluation:
        from ..onnx import prepare
        dtype = next(iter(arrays.values())).dtype
        prepared = prepare(self.model, reading=self.reading, dtype=None if dtype == numpy.float32 else dtype)
        results = dict(zip(self.outputs, prepared.run(arrays | self.others)))
        return Evaluation({name: a for name, a in results.items() if a.dtype.kind == "f"})

    def run_candidate(self, arrays: dict[str, Array]) -> Evaluation:
        ort = import_optional("onnxruntime", "verify", "verify")
        options = ort.SessionOptions()
        options.log_severity_level = 4            # errors are raised as well, so they need not be logged
        session = ort.InferenceSession(self.model.SerializeToString(), options, ["CPUExecutionProvider"])
        return Evaluation(dict(zip(self.outputs, session.run(self.outputs, arrays | self.others))))

    def describe_arrays(self) -> dict[str, ArrayDescription]:
        return {name: ArrayDescription(OUTPUT) for name in self.outputs}

    def expected_dtype(self, name: str) -> numpy.dtype:
        onnx = import_optional("onnx", "verify", "verify")
        kind = next(a.type.tensor_type.elem_type for a in self.model.graph.output if a.name == name)
        return onnx.helper.tensor_dtype_to_np_dtype(kind)
