"""An RNN, GRU or LSTM node of ONNX as a subject, and a model as one subject a node.  (floor 10)"""
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy

from ..errors import DtypeError, NotSupported, ShapeError, import_optional
from ..onnx import TEXT, run_op
from .candidate import OUTPUT, STATE, ArrayDescription, Axis, Candidate, Evaluation, draw_normal, step_order
from .onnx_engines import INPUT_NAMES, resolve_engine


class Case(NamedTuple):
    """What an engine is given."""
    op: str; inputs: dict; attributes: dict; outputs: tuple


def wrap_node(node, inputs, rng, engine="onnxruntime", reading=None, title=""):
    """The subject of a NodeProto; `inputs` by the operator's own names (X, W ...) or by those of the node."""
    onnx = import_optional("onnx", "verify", "verify")
    if node.op_type not in ("RNN", "GRU", "LSTM"):
        raise NotSupported("verify", f"a node {node.op_type}", known="RNN, GRU, LSTM")
    attributes = {a.name: _to_python(onnx.helper.get_attribute_value(a)) for a in node.attribute}
    own = dict(zip(INPUT_NAMES, node.input))
    inputs = {op_name: inputs[name] for op_name, held in own.items() for name in (op_name, held)
              if held and name in inputs and inputs[name] is not None}
    lacks = [f"{op_name} ({held})" for op_name, held in own.items() if held and op_name not in inputs]
    if lacks:
        raise ShapeError("verify", f"{', '.join(lacks)}: missing", known=" ".join(filter(None, node.input)))
    given = {name: _make_float32(name, inputs[name], rng) for name in inputs if name != "sequence_lens"}
    lengths = inputs.get("sequence_lens")
    outputs = tuple(name for name, held in zip(("Y", "Y_h", "Y_c"), node.output) if held)
    name, run = resolve_engine(engine, "verify")
    return NodeCandidate(
        title=f"{title or node.name or 'a node'} ({node.op_type}) in {name}", arrays=given, x="X",
        time=attributes.get("layout", 0), lengths=None if lengths is None else numpy.asarray(lengths, numpy.int32),
        biases=tuple({"B"} & given.keys()), settable=True, backwards=attributes.get("direction") == "reverse",
        facts=_collect_versions(name), variants=({},), op=node.op_type, attributes=attributes, outputs=outputs, run=run,
        reading=reading or TEXT)


def _to_python(value):
    if isinstance(value, (list, tuple)):
        return [_to_python(v) for v in value]
    return value.decode() if isinstance(value, bytes) else value


def _make_float32(name, a, rng):
    a = draw_normal(rng, a, numpy.float32) if isinstance(a, tuple) else numpy.asarray(a)
    if a.dtype != numpy.float32:
        raise DtypeError("verify", f"{name} has dtype {a.dtype}, expected float32",
                         hint="onnxruntime runs these operators in float32")
    return a


def _collect_versions(engine):
    from importlib.metadata import version
    packages = {"onnxruntime": ("onnxruntime", "onnx"), "onnx.reference": ("onnx",)}.get(engine, ())
    return {"candidate": engine, **{name: version(name) for name in packages}}


@dataclass
class NodeCandidate(Candidate):
    op: str = ""
    attributes: dict = field(default_factory=dict)
    outputs: tuple = ()
    run: Any = None                               # an engine of `engines`
    reading: Any = TEXT

    def _inputs_of(self, arrays):
        return arrays if self.lengths is None else arrays | {"sequence_lens": self.lengths}

    def run_reference(self, arrays, **choice):
        results, _ = run_op(self.op, self._inputs_of(arrays), self.attributes, self.reading, keep=False)
        return Evaluation({name: a for name, a in zip(("Y", "Y_h", "Y_c"), results) if name in self.outputs})

    def run_candidate(self, arrays):
        return Evaluation(self.run(Case(self.op, self._inputs_of(arrays), self.attributes, self.outputs)))

    def describe_arrays(self):
        direction, T = self.attributes.get("direction", "forward"), self.size[0]
        ways = ("forward", "reverse") if direction == "bidirectional" else (direction,)
        when = numpy.stack([step_order(T, way == "reverse") for way in ways], 1)[:, :, None, None]
        ends = Axis("", ways), Axis("row"), Axis("unit")
        Y = Axis("t"), *ends
        if self.attributes.get("layout", 0):
            Y, when, ends = (Y[2], Y[0], Y[1], Y[3]), when.transpose(2, 0, 1, 3), (ends[1], ends[0], ends[2])
        return {"Y": ArrayDescription(OUTPUT, Y, when), "Y_h": ArrayDescription(STATE, ends), "Y_c": ArrayDescription(STATE, ends)}


class Node(NamedTuple):
    """A node of a model and what it is fed with in the reference's run."""
    name: str
    proto: Any
    inputs: dict


def find_nodes(model, inputs, reading=None):
    """Every RNN, GRU and LSTM of a model's own graph, fed with what the reference's run brings there, in order."""
    onnx = import_optional("onnx", "verify", "verify")
    found = [node for node in model.graph.node if node.op_type in ("RNN", "GRU", "LSTM")]
    if not found:
        raise NotSupported("verify", "a model without a node RNN, GRU or LSTM",
                           has=" ".join(sorted({node.op_type for node in model.graph.node})),
                           hint="nodes inside of Loop, If and Scan are not looked for")
    from ..onnx import prepare
    prepared = prepare(model, reading=reading or TEXT)
    held = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer} | prepared.named(inputs)
    names = [name for name in dict.fromkeys(name for node in found for name in node.input) if name and name not in held]
    values = held | dict(zip(names, prepared.evaluator.run(names, prepared.named(inputs)) if names else ()))
    return [Node(node.name or f"{node.op_type} -> {next(filter(None, node.output))}", node,
                 {name: values[name] for name in node.input if name}) for node in found]


def wrap_model(model, inputs, reading=None):
    """The subject of all outputs of a model."""
    ort = import_optional("onnxruntime", "verify", "verify")
    given = {name: numpy.asarray(a) for name, a in inputs.items()}
    floats = {name: _make_float32(name, a, None) for name, a in given.items() if a.dtype.kind == "f"}
    return ModelCandidate(title="the whole model", arrays=floats, x=next(iter(floats)), settable=False,
                        facts={"candidate": f"onnxruntime {ort.__version__}"}, variants=({},), model=model,
                        others={name: a for name, a in given.items() if name not in floats}, reading=reading or TEXT)


@dataclass
class ModelCandidate(Candidate):
    model: Any = None
    others: dict = field(default_factory=dict)    # inputs that are no floating numbers
    reading: Any = TEXT

    @property
    def outputs(self):
        return [a.name for a in self.model.graph.output]

    def run_reference(self, arrays, **choice):
        from ..onnx import prepare
        dtype = next(iter(arrays.values())).dtype
        prepared = prepare(self.model, reading=self.reading, dtype=None if dtype == numpy.float32 else dtype)
        got = dict(zip(self.outputs, prepared.run(arrays | self.others)))
        return Evaluation({name: a for name, a in got.items() if a.dtype.kind == "f"})

    def run_candidate(self, arrays):
        ort = import_optional("onnxruntime", "verify", "verify")
        options = ort.SessionOptions()
        options.log_severity_level = 4            # what it refuses it also raises
        session = ort.InferenceSession(self.model.SerializeToString(), options, ["CPUExecutionProvider"])
        return Evaluation(dict(zip(self.outputs, session.run(self.outputs, arrays | self.others))))

    def describe_arrays(self):
        return {name: ArrayDescription(OUTPUT) for name in self.outputs}
