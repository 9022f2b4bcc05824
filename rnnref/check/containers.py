"""Models that contain recurrent layers: each is checked alone, on what it receives in the model."""
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..errors import Error, NotSupported, ShapeError, describe_type
from .candidate import OUTPUT, Candidate, draw_normal, is_option, is_shape
from .findings import NEAREST, join_names
from .measure import check_candidate
from .report import Report, join_gates
from .row import Row

_MOST_IDS = 100                                   # the range of drawn integers where no table is known


class Received(NamedTuple):
    """What one layer received in one call, as arrays."""
    x: Any
    state: Any = None                             # None: none was given
    mask: Any = None
    lengths: Any = None

    @property
    def signature(self) -> tuple:
        """What tells calls of different kinds apart."""
        sizes = getattr(self.x, "batch_sizes", None)              # of a packed sequence
        shape = numpy.shape(self.x) if sizes is None else tuple(sizes.tolist())
        return shape, self.state is None, self.mask is None, self.lengths is None


class Layer(NamedTuple):
    """A recurrent layer in a model, and what it received in each of its calls."""
    path: str
    kind: str                                     # the name of its class
    calls: list[Received]
    wrap: Callable                                # (Received, initial_state) -> its candidate
    refusal: Error | None = None                  # why it cannot be checked


def check_layers(title: str, layers: Iterable[Layer], rng: numpy.random.Generator, initial_state: Any, facts: dict,
                 checks: dict[str, Any], given: "Inputs") -> Report:
    """The report on all recurrent layers of a model, each checked alone.

    given    the arguments of the model
    Errors   NotSupported, ShapeError: none of the layers can be checked
    """
    reports, refused, unused = [], [], []
    watch = checks.get("progress") or (lambda layers, what: layers)
    for layer in watch(list(layers), "layers"):
        if not layer.calls and layer.refusal is None:
            unused.append(layer.path)
        for name, received in _name_calls(layer):
            try:
                if layer.refusal:
                    raise layer.refusal
                start = initial_state if received.state is None else received.state
                candidate: Candidate = layer.wrap(received, start)
                reports.append((name, check_candidate(candidate, rng, **checks)))
            except Error as e:
                refused.append((name, e))
    if not reports and refused:
        raise refused[0][1]
    if not reports:
        raise NotSupported("verify", f"{title}: none of its recurrent layers was called", layers=", ".join(unused))
    report = _merge(title, reports, refused, unused, facts, checks)
    report.arrays = given.list_arrays()
    return report


def _name_calls(layer: Layer) -> Iterator[tuple[str, Received]]:
    """(name of the rows, what was received) of the first call of each kind."""
    kinds: dict[tuple, Received] = {}
    for received in layer.calls:
        kinds.setdefault(received.signature, received)
    for n, received in enumerate(kinds.values()):
        yield layer.path + (f" (another call, {n + 1})" if n else ""), received
    if layer.refusal and not kinds:
        yield layer.path, Received(None)


def _merge(title: str, reports: list[tuple[str, Report]], refused: list[tuple[str, Error]], unused: list[str],
           facts: dict, checks: dict[str, Any]) -> Report:
    """One report of those on the layers, in the order of the model."""
    rows = [row._replace(name=f"{name}: {row.name}", group=name) for name, report in reports for row in report.rows]
    rows += [Row(f"{name}: all results", OUTPUT, verdict="not comparable", note=" ".join(str(e).split()))
             for name, e in refused]
    wrong = [name for name, report in reports if report.status == 1]
    agree = [name for name, report in reports if report.ok]
    findings = []
    if wrong:
        findings = [f"Not in agreement: {join_names(wrong)}{'; in agreement: ' + join_names(agree) if agree else ''}."]
    elif agree:
        findings = [f"All agree to rounding: {join_names(agree)}."]
    findings += [f"{name}: {finding}" for name, report in reports for finding in report.findings
                 if not (report.ok and finding.startswith(NEAREST))]
    findings += [f"{name} was not called, and not checked." for name in unused]
    first = reports[0][1].facts
    own = {f"{name}, shapes": report.facts["shapes"] for name, report in reports}
    layers = "; ".join(f"{name}: {report.title}" for name, report in reports)
    common = {n: text for n, text in first.items() if n not in ("shapes", "initial states", "not compared", "lengths",
                                                                "mask")}
    return Report(title, rows, {"layers": layers} | own | facts | common, findings, strict=checks["strict"],
                  gates=join_gates(reports))


# the inputs of a model

class Inputs(NamedTuple):
    """The arguments of a model, and which of them were drawn."""
    args: list
    kwargs: dict[str, Any]
    drawn: dict[Any, tuple[int, ...]]             # number or name of an argument -> its shape

    def get(self, key: Any) -> Any:
        """An argument by its number or name."""
        return self.args[key] if isinstance(key, int) else self.kwargs[key]

    def describe(self) -> str:
        """The shapes of all, and which were drawn: "input 1 (5, 2, 3), drawn; lengths (2,)"."""
        return "; ".join(map(self._describe, (*range(len(self.args)), *self.kwargs)))

    def _describe(self, key: Any) -> str:
        a = self.get(key)
        name = key if not isinstance(key, int) else f"input {key + 1}" if len(self.args) > 1 else "input"
        shape = tuple(a.shape) if hasattr(a, "shape") else describe_type(a)
        integers = " as integers" if "int" in str(getattr(a, "dtype", "")) else ""
        return f"{name} {shape}{f', drawn{integers}' if key in self.drawn else ''}"

    def list_arrays(self) -> dict[str, Array]:
        """All by name, those without one as "input"; {} if some are no arrays."""
        names = {key: key if not isinstance(key, int) else f"input_{key + 1}" if len(self.args) > 1 else "input"
                 for key in (*range(len(self.args)), *self.kwargs)}
        values = {name: self.get(key) for key, name in names.items()}
        found = {name: numpy.asarray(a.detach().cpu() if hasattr(a, "detach") else a) for name, a in values.items()
                 if hasattr(a, "shape") and not hasattr(a, "batch_sizes")}
        return found if found.keys() == values.keys() and all(a.dtype.kind in "fiub" for a in found.values()) else {}

    def replace(self, key: Any, value: Array) -> "Inputs":
        """The same with another argument."""
        args = [value if k == key else a for k, a in enumerate(self.args)]
        return self._replace(args=args, kwargs={n: value if n == key else a for n, a in self.kwargs.items()})


def make_inputs(inputs: Any, rng: numpy.random.Generator, dtype: Any) -> Inputs:
    """The arguments of a model: one, several in a list or tuple, or by name in a dict; shapes become random numbers."""
    if isinstance(inputs, dict):
        given: dict[Any, Any] = dict(inputs)
    else:
        several = isinstance(inputs, (list, tuple)) and not is_shape(inputs) and any(map(_is_argument, inputs))
        given = dict(enumerate(inputs if several else [inputs]))
    drawn = {key: tuple(map(int, a)) for key, a in given.items() if is_shape(a)}
    if any(min(shape, default=0) < 0 for shape in drawn.values()):
        raise ShapeError("verify", f"the inputs {list(drawn.values())} have a size below zero")
    values = {key: draw_normal(rng, drawn[key], dtype) if key in drawn else a for key, a in given.items()}
    return Inputs([a for key, a in values.items() if isinstance(key, int)],
                  {key: a for key, a in values.items() if not isinstance(key, int)}, drawn)


def _is_argument(item: Any) -> bool:
    """True for what can be one argument of a model: an array, a tensor, a shape, None."""
    return item is None or is_shape(item) or hasattr(item, "shape") or hasattr(item, "batch_sizes") or \
        isinstance(item, (list, tuple)) and any(map(_is_argument, item))


def draw_ids(inputs: Inputs, key: Any, rng: numpy.random.Generator, rows: int | None) -> Inputs:
    """The same with integers for an argument that was drawn: rows of a table that has so many."""
    return inputs.replace(key, rng.integers(0, rows or _MOST_IDS, inputs.drawn[key]))


def describe_failure(error: Exception, given: Inputs) -> Error:
    """The error of a model that does not run."""
    return Error("verify", f"the model does not run on these inputs: {type(error).__name__}: "
                           f"{' '.join(str(error).split())[:300]}", inputs=given.describe())


def refuse_for_models(lengths: Any, initial_state: Any) -> None:
    """Raise `NotSupported` for options that a model, whose layers are given what it gives them, cannot have."""
    if lengths is not None:
        raise NotSupported("verify", "lengths= with a model", reason="its layers get their lengths from the model",
                           fix="inputs=(x, lengths) if the model takes them, or verify the recurrent layer itself")
    if not any(is_option(initial_state, option) for option in ("both", "random", "zero")):
        raise NotSupported("verify", "arrays as initial_state= with a model",
                           reason="its layers get their states from the model",
                           fix="inputs=(x, state) if the model takes them, or verify the recurrent layer itself")
