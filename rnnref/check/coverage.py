"""coverage: which attributes and inputs of an ONNX node an engine uses, found by changing one at a time."""
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..errors import NotSupported, check_option, import_optional
from ..files.onnx_models import load_model
from ..onnx import TEXT, run_op
from ..onnx.reading import Reading
from ..options import check_seed
from .of_onnx import Case, collect_versions, to_python
from .onnx_engines import INPUT_NAMES, RefusalError, resolve_engine
from .padding_runners import ONNX_GATES
from .report import Report
from .row import Row
from .tolerance import absolute_tolerance

_T, _B = 6, 4
_LENGTHS = (6, 2, 5, 1)
_OTHER_LENGTHS = (4, 6, 1, 3)
_NO_CHANGE = 1e-3                                 # a smaller change of the reference shows nothing
_FUNCTIONS = {"RNN": ["ScaledTanh"], "GRU": ["HardSigmoid", "ScaledTanh"],
              "LSTM": ["HardSigmoid", "Softsign", "ScaledTanh"]}
_ALPHA = {"RNN": [1.25], "GRU": [0.375, 1.25], "LSTM": [0.375, 1.25]}
_BETA = {"RNN": [0.75], "GRU": [0.25, 0.75], "LSTM": [0.25, 0.75]}


class Change(NamedTuple):
    """One attribute or input of a node, changed."""
    option: str                                   # "clip"
    label: str                                    # "clip=0.25", "without clip"
    case: Case
    before: Case                                  # the node without the change


@dataclass(repr=False)
class CoverageReport(Report):
    """The result of `coverage`: a row for every change.  `ignored` and `refused` are the options of these verdicts."""
    ignored: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        wrong = [row for row in self.rows if row.verdict == "differs"]
        otherwise = list(dict.fromkeys(row.name for row in wrong if not _is_ignored(row)))
        parts = [f"silently ignores {_join(self.ignored)}"] * bool(self.ignored)
        parts += [f"differs from the reference with {_join(otherwise[:4])}"] * bool(otherwise)
        parts += [f"refuses {_join(self.refused)}"] * bool(self.refused)
        if not self.rows:
            return f"No verdict on {self.title}: nothing that was changed changes the reference."
        return f"{self.title} {_join(parts)}." if parts else \
            f"{self.title} follows the reference with each of {len(self.rows)} changes of attributes and inputs."


def coverage(engine: str | Callable, model: Any, *, reading: Reading | None = None, seed: int = 0) -> CoverageReport:
    """Change one attribute or input of an ONNX node at a time, and hold the change of the engine's results to ours.

    engine    "onnxruntime", "onnx.reference", "openvino", or a function case -> {"Y": array, ...}, which may raise
              `RefusalError`
    model     an ONNX file or ModelProto, whose RNN, GRU and LSTM nodes are taken with their weights; a NodeProto, or
              the name of an operator, whose weights are drawn
    reading   `rnnref.onnx.Reading`: how the specification is read where it is open
    ->        a `CoverageReport`: rows "agrees", "differs" (ignored, or changed otherwise), "refused"; it is ok if the
              engine ignores nothing and differs nowhere

    What a node does not have is added, what it has is left out and given another value; X and the states are drawn.

    >>> from rnnref.onnx import run_op
    >>> def forgets_clip(case):
    ...     attributes = {n: v for n, v in case.attributes.items() if n != "clip"}
    ...     return dict(zip(("Y", "Y_h", "Y_c"), run_op(case.op, case.inputs, attributes)[0]))
    >>> report = coverage(forgets_clip, "LSTM")
    >>> print(report.headline)
    forgets_clip's LSTM silently ignores clip.
    >>> report.ignored, report.ok
    (('clip',), False)
    """
    name, run = resolve_engine(engine, "coverage")
    rng, rows = numpy.random.default_rng(check_seed("coverage", seed)), []
    bases = list(_list_cases(model, rng))
    for title, case in bases:
        prefix = f"{title}: " if len(bases) > 1 else ""
        rows += [row._replace(name=prefix + row.name) for row in _compare_changes(run, case, reading or TEXT, rng)]
    ignored = tuple(dict.fromkeys(row.group for row in rows if _is_ignored(row)))
    refused = tuple(dict.fromkeys(row.group for row in rows if row.verdict == "refused"))
    findings = [f"{row.name}: {row.note}." for row in rows if row.verdict in ("differs", "refused")]
    ops = ", ".join(dict.fromkeys(case.op for _, case in bases))
    return CoverageReport(f"{name}'s {ops}", rows, _collect_facts(name, seed), findings, ignored=ignored,
                          refused=refused)


def _is_ignored(row: Row) -> bool:
    return row.note.startswith("ignored")


def _list_cases(model: Any, rng: numpy.random.Generator) -> Iterator[tuple[str, Case]]:
    """(title, case) for the recurrent nodes of a model, a node, or the name of an operator."""
    if isinstance(model, str) and not Path(model).suffix:
        op = check_option("coverage", "model", model.upper(), tuple(ONNX_GATES))
        yield op, _complete(op, {"hidden_size": 5}, {}, rng)
        return
    onnx = import_optional("onnx", "verify", "coverage")
    if isinstance(model, (str, PathLike, onnx.ModelProto)):
        model = load_model(model)
    if isinstance(model, onnx.NodeProto):
        nodes, arrays = [model], {}
    elif isinstance(model, onnx.ModelProto):
        nodes = [node for node in model.graph.node if node.op_type in ONNX_GATES and node.domain in ("", "ai.onnx")]
        import_optional("onnx.numpy_helper", "verify", "coverage")
        arrays = {a.name: onnx.numpy_helper.to_array(a) for a in model.graph.initializer}
    else:
        raise NotSupported("coverage", f"a model of type {type(model).__name__}",
                           known="an ONNX file, model or node, RNN, GRU, LSTM")
    if not nodes or nodes[0].op_type not in ONNX_GATES:
        raise NotSupported("coverage", "a model without a node RNN, GRU or LSTM in its graph")
    for k, node in enumerate(nodes):
        attributes = {a.name: to_python(onnx.helper.get_attribute_value(a)) for a in node.attribute}
        named = {name: arrays.get(own) for name, own in zip(INPUT_NAMES, node.input) if own}
        yield node.name or f"{node.op_type} {k}", _complete(node.op_type, attributes, named, rng)


def _complete(op: str, attributes: dict, named: dict[str, Array | None], rng: numpy.random.Generator) -> Case:
    """A node with numbers for all its inputs; `named`: those that it has, None where they are not known."""
    W, R = named.get("W"), named.get("R")
    H = attributes.get("hidden_size") or (R.shape[-1] if R is not None else 5)
    shapes = _shape_inputs(op, attributes, 3 if W is None else W.shape[-1], H)
    present = set(named) & shapes.keys() | {"X", "W", "R"}
    inputs = {name: _draw(name, shapes[name], rng) if named.get(name) is None else named[name]
              for name in shapes if name in present}
    outputs = ("Y", "Y_h", "Y_c")[:2 + (op == "LSTM")]
    return Case(op, inputs, attributes | {"hidden_size": H}, outputs)


def _shape_inputs(op: str, attributes: dict, n_in: int, H: int) -> dict[str, tuple[int, ...]]:
    D, G = 1 + (attributes.get("direction") == "bidirectional"), ONNX_GATES[op] * H
    state = (_B, D, H) if attributes.get("layout") else (D, _B, H)
    shapes = {"X": (_B, _T, n_in) if attributes.get("layout") else (_T, _B, n_in), "W": (D, G, n_in), "R": (D, G, H),
              "B": (D, 2 * G), "sequence_lens": (_B,), "initial_h": state}
    return shapes | ({"initial_c": state, "P": (D, 3 * H)} if op == "LSTM" else {})


def _draw(name: str, shape: tuple[int, ...], rng: numpy.random.Generator) -> Array:
    if name == "sequence_lens":
        return numpy.array(_LENGTHS, "int32")
    scale = 1.0 if name in ("X", "initial_h", "initial_c") else 0.6
    return (scale * rng.standard_normal(shape)).astype("float32")


# one change at a time

def list_changes(case: Case, rng: numpy.random.Generator) -> Iterator[Change]:
    """Every optional input and attribute of a node: added, left out, or with another value."""
    shapes = _shape_inputs(case.op, case.attributes, case.inputs["W"].shape[-1], case.attributes["hidden_size"])
    for name in shapes:
        if name in ("X", "W", "R"):
            continue
        new, old = case.inputs | {name: _draw(name, shapes[name], rng)}, case.inputs
        if name in old:
            without = {n: a for n, a in old.items() if n != name}
            yield Change(name, f"without {name}", case._replace(inputs=without), case)
            other = numpy.array(_OTHER_LENGTHS, "int32") if name == "sequence_lens" else -0.5 * old[name]
            yield Change(name, f"other numbers in {name}", case._replace(inputs=old | {name: other}), case)
        else:
            yield Change(name, f"with {name}", case._replace(inputs=new), case)
    for name, value in _list_values(case):
        yield from _change_attribute(case, name, value)
    yield from _change_layout(case)


def _list_values(case: Case) -> Iterator[tuple[str, Any]]:
    """(attribute, a value that is neither its default nor what the node has)."""
    op, given, D = case.op, case.attributes, 1 + (case.attributes.get("direction") == "bidirectional")
    yield "clip", 0.25 if given.get("clip") != 0.25 else 0.5
    if D == 1:
        yield "direction", "forward" if given.get("direction") == "reverse" else "reverse"
    if op == "LSTM":
        yield "input_forget", 1 - given.get("input_forget", 0)
    if op == "GRU":
        yield "linear_before_reset", 1 - given.get("linear_before_reset", 0)
    if given.get("activations") != _FUNCTIONS[op] * D:
        yield "activations", _FUNCTIONS[op] * D


def _change_attribute(case: Case, name: str, value: Any) -> Iterator[Change]:
    given = case.attributes
    new = given | {name: value}
    if name == "activations":
        D = len(value) // len(_FUNCTIONS[case.op])
        new |= {"activation_alpha": _ALPHA[case.op] * D, "activation_beta": _BETA[case.op] * D}
        with_scales = case._replace(attributes=new)
        yield Change(name, f"activations {' '.join(value)}", with_scales, case)
        for scale in ("activation_alpha", "activation_beta"):
            others = [0.5 * a for a in new[scale]]
            yield Change(scale, f"other {scale}", case._replace(attributes=new | {scale: others}), with_scales)
    else:
        yield Change(name, f"{name}={value}", case._replace(attributes=new), case)
    if name in given and name != "direction":
        without = {n: v for n, v in given.items() if n != name and not (name == "activations" and "activation" in n)}
        yield Change(name, f"without {name}", case._replace(attributes=without), case)


def _change_layout(case: Case) -> Iterator[Change]:
    """The other layout, of inputs that are laid out so."""
    swapped = {n: numpy.ascontiguousarray(a.swapaxes(0, 1)) if n == "X" or n.startswith("initial") else a
               for n, a in case.inputs.items()}
    layout = 1 - case.attributes.get("layout", 0)
    yield Change("layout", f"layout={layout}", case._replace(
        inputs=swapped, attributes=case.attributes | {"layout": layout}), case)


# comparing

def _compare_changes(run: Callable, case: Case, reading: Reading, rng: numpy.random.Generator) -> Iterator[Row]:
    for change in list_changes(case, rng):
        want, before = (_run_reference(one, reading) for one in (change.case, change.before))
        moved = max((_distance(want[n], before[n]) for n in want), default=0.0)
        if change.option != "layout" and moved < _NO_CHANGE:
            continue                              # this option has no effect on this node
        try:
            got = run(change.case)
            old = run(change.before)
        except RefusalError as refusal:
            yield Row(change.label, change.option, verdict="refused", note=str(refusal)[:200])
            continue
        yield _judge(change, want, before, got, old, moved)


def _judge(change: Change, want: dict, before: dict, got: dict, old: dict, moved: float) -> Row:
    """Whether the engine's results change as the reference's do."""
    budget = absolute_tolerance("steep", "float32", max(abs(a).max(initial=0.0) for a in want.values()))
    shapes = [n for n in want if got[n].shape != want[n].shape]
    if shapes:
        return Row(change.label, change.option, verdict="differs",
                   note=f"{shapes[0]} has shape {got[shapes[0]].shape}, expected {want[shapes[0]].shape}")
    same_shape = all(want[n].shape == before[n].shape == old[n].shape for n in want)
    if same_shape and change.option != "layout":
        if all(_distance(got[n], old[n]) <= 1e-7 for n in want):
            return Row(change.label, change.option, moved, budget, "differs",
                       note=f"ignored: the results do not change, those of the reference change by {moved:.2g}")
        error = max(_distance(got[n].astype("float64") - old[n], want[n] - before[n]) for n in want)
    else:
        error = max(_distance(got[n], want[n]) for n in want)
    if error <= budget:
        return Row(change.label, change.option, error, budget)
    note = f"the results change otherwise than those of the reference, by {error:.2g}"
    return Row(change.label, change.option, error, budget, "differs", note=note)


def _run_reference(case: Case, reading: Reading) -> dict[str, Array]:
    inputs = {n: a if n == "sequence_lens" else a.astype("float64") for n, a in case.inputs.items()}
    results, _ = run_op(case.op, inputs, case.attributes, reading, keep=False)
    return dict(zip(case.outputs, results))


def _distance(a: Array, b: Array) -> float:
    """The largest difference; infinite if one is not a number or the shapes differ."""
    if a.shape != b.shape:
        return float("inf")
    with numpy.errstate(invalid="ignore", over="ignore"):
        error = abs(a.astype("float64") - b)
    return float(numpy.where(numpy.isnan(error), numpy.inf, error).max(initial=0.0))


def _join(words: Any) -> str:
    *first, last = words or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _collect_facts(engine: str, seed: int) -> dict[str, Any]:
    from .. import __version__
    return {**collect_versions(engine), "truth": "rnnref.onnx in float64",
            "method": "one attribute or input changed at a time: the results must change as those of the reference do",
            "seed": seed, "rnnref": __version__, "numpy": numpy.__version__}
