"""RNN, GRU and LSTM nodes of ONNX as candidates."""
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..errors import DtypeError, NotSupported, ShapeError, import_optional
from ..interop import layout_of
from ..loops.plan import REFERENCE_PATHS
from ..loops.run import run as run_sequence
from ..onnx import TEXT, run_op
from ..onnx.node import cell_of
from ..onnx.reading import Reading
from ..wrappers.stack import Bidirectional
from .candidate import (OUTPUT, STATE, ArrayDescription, Axis, Candidate, Chain, DirectedCell, Direction, Evaluation,
                        draw_normal, is_shape, step_order)
from .misuse import Misuse
from .onnx_engines import INPUT_NAMES, resolve_engine
from .onnx_mistakes import list_node_misuses

# onnxruntime's tanh exceeds 1 by four ulps, a GRU of it errs by six, and its sigmoid is 0 where it is less than 1e-7
PRECISION: dict[str, Any] = {"ulps": 8.0, "relative": False}
# results in float16 that were computed in float32: half a unit in their last place is 4096 of float32
HALF_PRECISION: dict[str, Any] = {"ulps": 4096.0 + 8.0, "relative": False}
_T, _B = 6, 4                                     # of inputs that are drawn for a node alone


class Run(NamedTuple):
    """What a node received and returned when a model was run, by the names of the specification."""
    inputs: dict[str, Array]
    results: dict[str, Array]


class Case(NamedTuple):
    """One node for an engine: the operator, its inputs and attributes by name, and the names of the outputs wanted."""
    op: str
    inputs: dict[str, Array]
    attributes: dict[str, Any]
    outputs: tuple[str, ...]


def wrap_node(node: Any, inputs: dict[str, Any], rng: numpy.random.Generator, engine: str | Callable = "onnxruntime",
              reading: Reading | None = None, title: str = "", runs: tuple["Run", ...] = ()) -> "NodeCandidate":
    """The candidate of a NodeProto; `inputs` by the names of the operator (X, W ...) or by those of the node.

    runs   what the node received and returned inside a model, in the first call, on other numbers, and again
    """
    onnx = import_optional("onnx", "verify", "verify")
    if node.op_type not in ("RNN", "GRU", "LSTM"):
        raise NotSupported("verify", f"a node {node.op_type}", known="RNN, GRU, LSTM")
    attributes = {a.name: to_python(onnx.helper.get_attribute_value(a)) for a in node.attribute}
    names = dict(zip(INPUT_NAMES, node.input))
    inputs = {op_name: inputs[name] for op_name, own in names.items() for name in (op_name, own)
              if own and name in inputs and inputs[name] is not None}
    missing = [f"{op_name} ({own})" for op_name, own in names.items() if own and op_name not in inputs]
    if missing:
        raise ShapeError("verify", f"{', '.join(missing)}: missing", expected=" ".join(filter(None, node.input)))
    half = bool(runs) and inputs["X"].dtype == numpy.float16
    if half:                                      # onnxruntime casts them, and the results back
        runs = tuple(Run(*(_widen(arrays) for arrays in run)) for run in runs)
        inputs = runs[0].inputs
    arrays = {name: inputs[name] if runs else _make_float32(name, inputs[name], rng)
              for name in inputs if name != "sequence_lens"}
    lengths = inputs.get("sequence_lens")
    outputs = tuple(name for name, own in zip(("Y", "Y_h", "Y_c"), node.output) if own)
    name, run = resolve_engine(engine, "verify")
    return NodeCandidate(
        title=f"{title or node.name or 'a node'} ({node.op_type}) in {name}", arrays=arrays, x="X",
        time=attributes.get("layout", 0), lengths=None if lengths is None else numpy.asarray(lengths, numpy.int32),
        biases=tuple({"B"} & arrays.keys()), settable=True, backwards=attributes.get("direction") == "reverse",
        facts=collect_versions(name), variants=({},), **(HALF_PRECISION if half else PRECISION),
        op=node.op_type, attributes=attributes,
        outputs=outputs, run=run, reading=reading or TEXT, runs=runs,
        names={name: own for name, own in zip(("Y", "Y_h", "Y_c"), node.output) if own})


def make_node(case: Case, outputs: tuple[str, ...], **options: Any) -> "NodeCandidate":
    """The candidate of one case; `options`: other fields of the candidate."""
    arrays = {n: a for n, a in case.inputs.items() if n != "sequence_lens"}
    return NodeCandidate(
        title=case.op, arrays=arrays, x="X", time=case.attributes.get("layout", 0),
        lengths=case.inputs.get("sequence_lens"), backwards=case.attributes.get("direction") == "reverse",
        op=case.op, attributes=case.attributes, outputs=outputs, **options)


def draw_node_inputs(node: Any, known: dict[str, Array], rng: numpy.random.Generator) -> dict[str, Any]:
    """Inputs for a node alone, by the names of the operator: those that are known, and random numbers for the others.

    Errors   NotSupported: weights that are not known
    """
    names = [own for own, name in zip(INPUT_NAMES, node.input) if name]
    missing = [name for name in names if name in ("W", "R", "B", "P") and name not in known]
    if missing or not {"W", "R"} <= known.keys() or {known[n].ndim for n in "WR"} != {3}:
        raise NotSupported("verify", f"a node {node.op_type} alone: its {' '.join(missing) or 'W and R'} are computed",
                           reason="only constants can be read from the model")
    attributes = {a.name: a.i for a in node.attribute}
    batch_first, (D, _, n_in), units = attributes.get("layout", 0), known["W"].shape, known["R"].shape[2]
    x, state = ((_B, _T, n_in), (_B, D, units)) if batch_first else ((_T, _B, n_in), (D, _B, units))
    shapes: dict[str, Any] = {"X": x, "initial_h": state, "initial_c": state,
                              "sequence_lens": numpy.array([_T, _T - 2, 1, _T - 1], "int32")}
    known = {n: a.astype("float32") for n, a in known.items() if n in ("W", "R", "B", "P")}
    return {name: known.get(name, shapes.get(name)) for name in names}


def _widen(arrays: dict[str, Array]) -> dict[str, Array]:
    """The arrays with float32 in place of float16."""
    return {n: a.astype("float32") if a.dtype == numpy.float16 else a for n, a in arrays.items()}


def to_python(value: Any) -> Any:
    """An attribute with strings in place of bytes."""
    if isinstance(value, (list, tuple)):
        return [to_python(v) for v in value]
    return value.decode() if isinstance(value, bytes) else value


def _make_float32(name: str, a: Any, rng: numpy.random.Generator | None) -> Array:
    a = draw_normal(rng, a, numpy.float32) if rng is not None and is_shape(a) else numpy.asarray(a)
    if a.dtype != numpy.float32:
        raise DtypeError("verify", f"{name} has dtype {a.dtype}, expected float32",
                         hint="onnxruntime runs these operators in float32")
    return a


def collect_versions(engine: str) -> dict[str, str]:
    from importlib.metadata import version
    packages = {"onnxruntime": ("onnxruntime", "onnx"), "onnx.reference": ("onnx",),
                "openvino": ("openvino", "onnx")}.get(engine, ())
    return {"candidate": engine, **{name: version(name) for name in packages}}


@dataclass
class NodeCandidate(Candidate):
    """A node in an engine, and the operator of rnnref."""
    lengths_name: str = "sequence_lens"
    op: str = ""
    attributes: dict = field(default_factory=dict)
    outputs: tuple = ()
    run: Any = None                               # an engine: case -> {output name: array}
    reading: Any = TEXT
    names: dict = field(default_factory=dict)     # what the node calls its outputs
    runs: tuple = ()
    cells: tuple = ()                             # in the place of the operator's
    calls: list = field(default_factory=list)     # the numbers of the runs whose results were returned

    def _inputs_of(self, arrays: dict[str, Array]) -> dict[str, Array]:
        return arrays if self.lengths is None else arrays | {"sequence_lens": self.lengths}

    def list_cells(self) -> list[DirectedCell]:
        if self.cells:
            return list(self.cells)
        cell, p = cell_of(self.op, self._inputs_of(self.arrays), self.attributes, self.reading)
        gates = layout_of({"RNN": "rnn"}.get(self.op, self.op.lower()), "onnx").gates
        if not isinstance(cell, Bidirectional):
            return [DirectedCell(cell, p, gates)]
        return [DirectedCell(one, q, gates, label) for one, q, label in zip(cell.cells, p, ("forward", "reverse"))]

    def replace_cells(self, cells: list[DirectedCell]) -> "NodeCandidate":
        return replace(self, cells=tuple(cells))

    def list_own_misuses(self) -> list[Misuse]:
        return list(list_node_misuses(self))

    def list_directions(self, results: dict[str, Array]) -> list[Direction]:
        if "Y" not in results:
            return []
        layout, x = self.attributes.get("layout", 0), self._swap_batch(self.arrays["X"])
        Y = results["Y"].transpose(1, 2, 0, 3) if layout else results["Y"]
        return [Direction(x, Y[:, k], first, self.backwards != bool(k))
                for k, first in zip(range(Y.shape[1]), self._list_first(self.arrays))]

    def describe_chain(self, results: dict[str, Array]) -> Chain | None:
        if "Y_h" not in results:
            return None
        last = list(self._swap_batch(results["Y_h"]))
        first = self._list_first(self.arrays)[:len(last)]
        return Chain(self._swap_batch(self.arrays["X"]), ((),) * len(last), first, last,
                     [self.backwards != bool(k) for k in range(len(last))])

    def _swap_batch(self, a: Array) -> Array:
        return a.swapaxes(0, 1) if self.attributes.get("layout", 0) else a

    def _list_first(self, arrays: dict[str, Array]) -> list[tuple[Array, ...]]:
        """The initial state of each direction; where only one of h and c is given, the other is zero."""
        given = [self._swap_batch(arrays[n]) for n in ("initial_h", "initial_c") if n in arrays]
        if not given:
            return [()] * 2
        zero = numpy.zeros_like(given[0])
        names = ("initial_h", "initial_c")[:2 if self.op == "LSTM" else 1]
        return list(zip(*(self._swap_batch(arrays[n]) if n in arrays else zero for n in names)))

    def _run_replaced(self, arrays: dict[str, Array]) -> Evaluation:
        """The operator with the cells of `replace_cells`."""
        x, runs = self._swap_batch(arrays["X"]), []
        for k, (one, first) in enumerate(zip(self.cells, self._list_first(arrays))):
            p = {n: a.astype(x.dtype) for n, a in one.p.items()}
            s = one.cell.rule.State(*first) if first else None
            runs.append(run_sequence(one.cell, p, x, s, lengths=self.lengths, reverse=self.backwards != bool(k),
                                     keep=False, paths=REFERENCE_PATHS))
        Y = numpy.stack([ys for ys, _, _ in runs], 1)
        last = [self._swap_batch(numpy.stack(a)) for a in zip(*(s for _, s, _ in runs))]
        if self.reading.empty_row == "zero" and self.lengths is not None:
            live = numpy.asarray(self.lengths)[:, None] > 0
            last = [numpy.where(self._swap_batch(live[None]), a, 0) for a in last]
        Y = Y.transpose(2, 0, 1, 3) if self.attributes.get("layout", 0) else Y
        return Evaluation({name: a for name, a in zip(("Y", "Y_h", "Y_c"), (Y, *last)) if name in self.outputs})

    def run_reference(self, arrays: dict[str, Array], **options: Any) -> Evaluation:
        if self.cells:
            return self._run_replaced(arrays)
        results, _ = run_op(self.op, self._inputs_of(arrays), self.attributes, self.reading, keep=False)
        return Evaluation({name: a for name, a in zip(("Y", "Y_h", "Y_c"), results) if name in self.outputs})

    def run_candidate(self, arrays: dict[str, Array]) -> Evaluation:
        """What the model computed on these inputs, in its first run and then in a later one; else the node alone."""
        found = [k for k, run in enumerate(self.runs) if self._is_of(run, arrays)]
        if found:
            k = next((k for k in found if k not in self.calls), found[-1])
            self.calls.append(k)
            return Evaluation(dict(self.runs[k].results), given=lambda: arrays)
        return Evaluation(self.run(Case(self.op, self._inputs_of(arrays), self.attributes, self.outputs)),
                          given=lambda: arrays)

    def redraw(self, rng: numpy.random.Generator, start: bool = False) -> Candidate:
        """The node on what it received in the second run of its model; on other numbers if it was not run there.

        With `start` on fresh numbers, which the node gets alone.
        """
        if start or len(self.runs) < 2 or not self._is_of(self.runs[0], self.arrays):
            return super().redraw(rng, start)
        inputs = dict(self.runs[1].inputs)
        return replace(self, lengths=inputs.pop("sequence_lens", None), arrays=inputs)

    def _is_of(self, run: Run, arrays: dict[str, Array]) -> bool:
        """Whether a run of the model was on these arrays."""
        return all(arrays[n] is a or a.shape == arrays[n].shape and numpy.array_equal(a, arrays[n])
                   for n, a in run.inputs.items() if n in arrays)

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
