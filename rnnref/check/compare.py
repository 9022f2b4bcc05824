"""compare: two layers, modules or files: their weights, their options, what they compute, and which departs from it."""
from collections.abc import Callable, Iterator, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..errors import Error, InvalidType, NotSupported, ShapeError, describe_type
from ..interop import Weights, identify
from ..interop.files import to_numpy
from ..options import check_kind, check_mapping, check_seed, named_arguments
from ..porting.sources import find_source_weights
from ..porting.stacks import Stack, group_layers
from .budget import FACTOR
from .candidate import GRADIENT, OUTPUT, STATE, draw_normal, is_shape
from .findings import join_names
from .reference import Part, run_chain, run_chain_back
from .report import Report
from .row import Row, format_number, summarize
from .verify import verify
from .weight_differences import OPTIONS, WEIGHTS, compare_weights, find_error

_STEPS, _ROWS = 5, 2
_PERTURBED = 3                                    # runs that show what rounding does


class Comparison(Report):
    """The report on two implementations: rows on weights, options, outputs, states and gradients; findings in words."""

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        groups = {row.group for row in self.rows if row.verdict == "differs"}
        if self.status == 2:
            return f"{self.title}: nothing could be compared."
        if not groups:
            return f"{self.title} are the same: weights, options and what they compute."
        where = [name for name in (WEIGHTS, OPTIONS) if name in groups]
        where += ["outputs"] * bool(groups - {WEIGHTS, OPTIONS})
        return f"{self.title} differ in their {join_names(where)}."


class Side(NamedTuple):
    """One of the two."""
    name: str
    source: Any
    stacks: list[Stack]
    is_live: bool                                 # True: the framework computes with it
    params: Any = None                            # of a module that does not hold them itself

    @property
    def parts(self) -> list[Weights]:
        """All layers in all directions."""
        return [w for stack in self.stacks for w in stack.parts]


@named_arguments
def compare(a: Any, b: Any, x: Any = None, *, params: tuple = (None, None), framework: tuple = (None, None),
            family: tuple = (None, None), given: tuple = ({}, {}), gradients: bool = True, seed: int = 0,
            progress: Callable | None = None) -> Comparison:
    """Compare two recurrent layers, modules or files, of one framework or of two, and return a `Comparison`.

    Their weights are converted to one form: are they the same numbers?  If not, the findings tell how one comes from
    the other: "the blocks r and z are exchanged", "the recurrent bias is missing in b".  Then their options, and on the
    same inputs, from the same states, their outputs, last states and gradients.  A live layer is verified against the
    equations with its own weights, so that the findings name the one which departs from them.

    a, b        live layers of torch, Keras, flax and equinox; dicts of arrays; files, ONNX models; as of `convert`
    x           the inputs [T, B, I], time first, or their shape; drawn if None
    params, framework, family, given    of a and of b, as of `rnnref.convert`: pairs
    gradients   False compares results only
    seed        of the random numbers
    progress    (iterable, name) -> iterable, called to show progress, as of `verify`
    Result      `report.ok` is True if nothing differs; `report.findings`; print(report), to_html and so on

    >>> import numpy as np
    >>> theirs = {"weight_ih": np.ones((8, 2)), "weight_hh": np.ones((8, 2)), "bias_ih": np.arange(8.0)}
    >>> theirs["bias_hh"] = np.zeros(8)
    >>> ours = dict(theirs, bias_ih=np.arange(8.0) + [0, 0, 1, 1, 0, 0, 0, 0])
    >>> print(compare(theirs, ours, gradients=False).findings[0])
    1 is added to the bias of f of b.
    """
    told = [_check_pair("params", params), _check_pair("framework", framework), _check_pair("family", family),
            [check_mapping("compare", "given", one) for one in _check_pair("given", given)]]
    rng = numpy.random.default_rng(check_seed("compare", seed))
    gradients = check_kind("compare", "gradients", gradients, bool)
    one, other = [_read_side(*side) for side in zip(("a", "b"), (a, b), *told)]
    x = None if x is None else _check_input(x)
    report = Comparison(f"{_name(a, 'a')} and {_name(b, 'b')}", facts={"seed": seed})
    with numpy.errstate(invalid="ignore", over="ignore"):         # numbers that are not finite are compared too
        _compare_sides(report, one, other, x, gradients, rng, progress)
    return report


def _compare_sides(report: Comparison, one: Side, other: Side, x: Any, gradients: bool, rng: numpy.random.Generator,
                   progress: Any) -> None:
    if len(one.parts) != len(other.parts):
        counts = [_count_layers(side) for side in (one, other)]
        report.rows.append(Row("layers and directions", OPTIONS, verdict="differs", note=", ".join(counts)))
        report.findings.append(f"a has {counts[0]}, b {counts[1]}.")
        return
    parts, moved = _match_parts(one.parts, other.parts)
    several = len(one.stacks) > 1
    titles = [", ".join(filter(None, (stack.name * several, stack.describe_part(n, k)))) for stack in one.stacks
              for n, layer in enumerate(stack.layers) for k in range(len(layer))]
    _compare_layers(report, *parts, titles)
    stacks = _align(one, other) if not moved else [
        (Stack(title, [(w,)]), Stack(title, [(v,)])) for w, v, title in zip(*parts, titles)]
    if x is not None and len(stacks) > 1:
        raise ShapeError("compare", f"x for {len(stacks)} networks, whose connections are not known", fix="leave x out")
    for pair in stacks:
        _compare_runs(report, *pair, x, gradients, rng)
    _say_departures(report, [one, other], x, gradients, rng, progress)


def _compare_layers(report: Comparison, a: list[Weights], b: list[Weights], titles: list[str]) -> None:
    """Rows and findings on the weights and options of all layers."""
    exchanged = _find_exchanged(a, b, titles)
    report.findings += exchanged
    for w, v, title in zip(a, b, titles):
        found = compare_weights(w, v, title, ("a", "b"))
        report.rows += found.rows
        report.findings += found.findings if not exchanged else []
        place = f"{title}: " if title else ""
        if w.merge != v.merge and not title.endswith("backward"):
            report.rows.append(Row(f"{place}merge_mode", OPTIONS, verdict="differs", note=f"{w.merge}, {v.merge}"))
            report.findings.append(f"{place.removesuffix('forward: ')}a joins both directions by merge_mode={w.merge}, "
                                   f"b by {v.merge}.")
        if w.reverse != v.reverse:
            report.rows.append(Row(f"{title} direction".strip(), OPTIONS, verdict="differs"))
            report.findings.append(f"{place}one reads the sequence from its end.")
    if all(row.verdict == "agrees" for row in report.rows):
        report.findings.append("The weights are the same numbers, and the options are the same.")


def _check_pair(name: str, value: Any) -> tuple[Any, Any]:
    """What is told of a and of b; one name is that of both."""
    if value is None or isinstance(value, str):
        return value, value
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise InvalidType("compare", f"{name}={value!r}, expected a pair: of a, of b", fix=f"{name}=(…, None)")
    return value[0], value[1]


def _count_layers(side: Side) -> str:
    """"3 layers, 2 of them bidirectional"."""
    layers = [layer for stack in side.stacks for layer in stack.layers]
    two = sum(len(layer) > 1 for layer in layers)
    words = f"{len(layers)} layer{'s' * (len(layers) > 1)}"
    return words + (f", {two} of them bidirectional" if two else "")


def _find_exchanged(a: list[Weights], b: list[Weights], titles: list[str]) -> list[str]:
    """A sentence on layers whose weights are those of other layers, if each is in another place."""
    def is_same(w: Weights, v: Weights) -> bool:
        return all(row.verdict == "agrees" for row in compare_weights(w, v, "", ("a", "b")).rows)
    places = [next((m for m, v in enumerate(b) if is_same(w, v)), None) for w in a] if len(a) > 1 else [None]
    moved = [n for n, m in enumerate(places) if m not in (None, n) and not is_same(a[n], b[n])]
    if None in places or not moved or sorted(p for p in places if p is not None) != list(range(len(b))):
        return []
    if len(moved) == 2:
        return [f"The weights of {titles[moved[0]]} and {titles[moved[1]]} are exchanged."]
    return ["The layers are in another order: " + ", ".join(f"{titles[n]} of a is {titles[places[n] or 0]} of b"
                                                            for n in moved) + "."]


def _match_parts(a: list[Weights], b: list[Weights]) -> tuple[tuple[list[Weights], list[Weights]], bool]:
    """The layers of b beside those of a: in their order, or by kind and sizes where the order alone is another."""
    def key(w: Weights) -> tuple:
        p = w.load()
        return w.cell.name, p["W"].shape, p["R"].shape, w.reverse
    keys, own = [list(map(key, parts)) for parts in (a, b)]
    if keys == own or sorted(map(str, keys)) != sorted(map(str, own)):
        return (a, b), False
    left = list(zip(own, b))
    matched = [left.pop(next(n for n, (k, _) in enumerate(left) if k == wanted))[1] for wanted in keys]
    return (a, matched), True


def _align(one: Side, other: Side) -> list[tuple[Stack, Stack]]:
    """Pairs of stacks that are run beside each other: of several layers if both are stacked so, else of one each."""
    shapes = [[list(map(len, stack.layers)) for stack in side.stacks] for side in (one, other)]
    if shapes[0] == shapes[1]:
        return list(zip(one.stacks, other.stacks))
    layers = [[Stack(stack.describe_part(n, 0).partition(",")[0], [layer]) for stack in side.stacks
               for n, layer in enumerate(stack.layers)] for side in (one, other)]
    return [pair for pair in zip(*layers) if len(pair[0].layers[0]) == len(pair[1].layers[0])]


def _read_side(name: str, source: Any, params: Any, framework: Any, family: Any, given: Mapping) -> Side:
    try:
        found = find_source_weights(source, framework, family, given, params)
    except Error as e:
        e.notes.setdefault("side", name)
        raise
    return Side(name, source, group_layers(found), identify(source).is_live, params)


def _name(source: Any, name: str) -> str:
    if isinstance(source, (str, PathLike)):
        return f"{name} ({Path(fspath(source)).name})"
    return f"{name} ({type(source).__name__})"


# what they compute

class _Run(NamedTuple):
    results: dict[str, Array]
    gradients: dict[str, Array]


def _check_input(x: Any) -> Any:
    """x as numbers, or its shape."""
    if is_shape(x):
        if len(x) != 3 or min(x) < 1:
            raise ShapeError("compare", f"x has shape {x}, expected (T, B, I), each 1 or more",
                             axes="time, batch, input")
        return x
    try:
        x = numpy.asarray(to_numpy("x", x), "float64")
    except (TypeError, ValueError):
        raise InvalidType("compare", f"x is {describe_type(x)}, expected numbers [T, B, I], or their shape") from None
    if not x.size or not numpy.isfinite(x).all():
        what = f"has shape {x.shape}: nothing can be compared" if not x.size else "holds NaN or infinities"
        raise ShapeError("compare", f"x {what}")
    return x


def _make_input(stack: Stack, x: Any, rng: numpy.random.Generator) -> Array:
    """The inputs [T, B, I] of a stack, as given or drawn."""
    n_in = stack.parts[0].load()["W"].shape[-2]
    x = (_STEPS, _ROWS, n_in) if x is None else x
    xs: Array = draw_normal(rng, x, "float64") if is_shape(x) else x
    if xs.ndim != 3 or xs.shape[-1] != n_in:
        raise ShapeError("compare", f"x has shape {xs.shape}, expected (T, B, {n_in})", axes="time, batch, input")
    return xs


def _compare_runs(report: Comparison, one: Stack, other: Stack, x: Any, gradients: bool, rng: numpy.random.Generator,
                  ) -> None:
    """Rows on outputs, states and gradients of two stacks on the same inputs, from the same states."""
    x = _make_input(one, x, rng)
    if one.parts[0].cell.inputs.space or any(row.name.endswith("kind of layer") for row in report.rows):
        return
    try:
        runs = [_run_equations(stack, x, rng.bit_generator.state, gradients) for stack in (one, other)]
    except ShapeError:
        return                                    # other sizes, which the rows on weights tell
    eps = max(float(numpy.finfo(next(iter(w.arrays.values())).dtype).eps) for w in (*one.parts, *other.parts))
    allowed = _measure_rounding(one, x, rng, gradients, eps, runs[0])
    place = f"{one.name}: " if one.name else ""
    for group, name, a, b in _pair(runs):
        report.rows.append(_compare_arrays(f"{place}{name}", group, a, b, allowed[name]))


def _pair(runs: list[_Run]) -> Iterator[tuple[str, str, Array, Array]]:
    for name, a in runs[0].results.items():
        yield OUTPUT if name == "y" else STATE, name, a, runs[1].results.get(name, numpy.zeros(0))
    for name, a in runs[0].gradients.items():
        if name in runs[1].gradients and runs[1].gradients[name].shape == a.shape:
            yield GRADIENT, name, a, runs[1].gradients[name]


def _run_equations(stack: Stack, x: Array, state: Any, gradients: bool, perturb: Any = None) -> _Run:
    """Outputs, last states and gradients of our cells with the weights of a stack, from random states."""
    rng = numpy.random.default_rng()
    rng.bit_generator.state = state
    change = perturb or (lambda a: a)
    arrays, layers, k = {}, [], 0
    for layer in stack.layers:
        parts = []
        for d, w in enumerate(layer):
            names = {name: f"{k}.{name}" for name in w.arrays}
            arrays |= {names[name]: change(a.astype("float64")) for name, a in w.arrays.items()}
            parts.append(Part(w.cell, w.layout, names, bool(d) or w.reverse))
            k += 1
        layers.append(tuple(parts))
    first = []
    for part in (part for layer in layers for part in layer):
        p = part.load_parameters(arrays)
        zero = part.cell.zeros(x.shape[1], part.cell.units(p), dtype="float64")
        first.append(tuple(0.5 * rng.standard_normal(a.shape) for a in zero))
    result = run_chain(layers, arrays, change(x), first)
    names = [", ".join(filter(None, (f"{name}_n", stack.describe_part(n, d)))) for n, layer in enumerate(layers)
             for d, part in enumerate(layer) for name in part.cell.rule.widths]
    results = {"y": result.ys, **dict(zip(names, (a for last in result.last for a in last)))}
    if not gradients:
        return _Run(results, {})
    dys = rng.standard_normal(result.ys.shape)
    dlast = [tuple(rng.standard_normal(a.shape) for a in last) for last in result.last]
    dx, dfirst, found = run_chain_back(result, dys, dlast)
    starts = [name.replace("_n", "_0") for name in names]
    weights = {", ".join(filter(None, (f"d{name}", stack.describe_part(n, d)))): a
               for n, layer in enumerate(layers) for d, part in enumerate(layer)
               for name, a in _order_gradients(part, found).items()}
    return _Run(results, {"dx": dx, **{f"d{n}": a for n, a in zip(starts, (a for d in dfirst for a in d))}, **weights})


def _order_gradients(part: Part, found: dict[str, Array]) -> dict[str, Array]:
    """The gradients of W, R and b, of a layer of any framework, in the order of our gates."""
    dp = part.load_parameters({own: found["d" + own] for own in part.names.values()})
    return {name: dp[name] for name in ("W", "R", "b") if name in dp}


def _measure_rounding(stack: Stack, x: Array, rng: numpy.random.Generator, gradients: bool, eps: float, truth: _Run,
                      ) -> dict[str, float]:
    """{name: the error that rounding may make}: of the same run on perturbed numbers, times the factor of `verify`."""
    state = rng.bit_generator.state
    errors: dict[str, float] = {}
    base = _run_equations(stack, x, state, gradients)
    for _ in range(_PERTURBED):
        other = numpy.random.default_rng(rng.integers(2 ** 63))
        run = _run_equations(stack, x, state, gradients, lambda a: a * (1 + eps * other.uniform(-1, 1, a.shape)))
        for name, a in (run.results | run.gradients).items():
            errors_here = find_error(a, (base.results | base.gradients)[name])
            error = float(errors_here.max(initial=0.0, where=numpy.isfinite(errors_here)))
            errors[name] = max(errors.get(name, 0.0), error)
    sizes = {name: max(1.0, float(abs(a).max(initial=0.0, where=numpy.isfinite(a))))
             for name, a in (truth.results | truth.gradients).items()}
    return {name: FACTOR * error + 8 * eps * sizes[name] for name, error in errors.items()}


def _compare_arrays(name: str, group: str, a: Array, b: Array, allowed: float) -> Row:
    if a.shape != b.shape:
        return Row(name, group, verdict="differs", note=f"shapes {a.shape}, {b.shape}")
    errors = find_error(a, b)
    error = float(errors.max(initial=0.0))
    if error <= allowed:
        return Row(name, group, error, allowed, entries=a.size, compared=a.size)
    first = tuple(int(n) for n in numpy.argwhere(errors > allowed)[0])
    return Row(name, group, error, allowed, "differs", f"at [{', '.join(map(str, first))}]",
               f"{a[first]:.6g}, {b[first]:.6g}", entries=a.size, compared=a.size)


# each beside its own equations

def _say_departures(report: Comparison, sides: list[Side], x: Any, gradients: bool, rng: numpy.random.Generator,
                    progress: Callable | None) -> None:
    """Verify each side that computes by itself; a row each, and the findings on one that departs from its equations."""
    for side in sides:
        try:
            found = _verify_side(side, _make_input(side.stacks[0], x, rng), gradients, progress)
        except NotSupported as e:
            report.facts[f"{side.name} beside its equations"] = f"not checked: {e.args[1]}"
            continue
        if found is None:
            report.facts[f"{side.name} beside its equations"] = "weights alone: run by the cells of rnnref"
            continue
        report.facts[f"{side.name} beside its equations"] = found.summary
        if found.status == 2:                     # nothing could be compared: that is no departure
            continue
        worst = max(found.rows, key=lambda row: row.ratio)
        verdict = "agrees" if found.ok else "differs"
        report.rows.append(Row(f"{side.name} and its equations", OUTPUT, worst.error, worst.budget, verdict,
                               note=summarize(found.rows)))
        if not found.ok:
            report.findings.append(f"{side.name} departs from the equations with its own weights "
                                   f"(error {format_number(worst.error)}): {' '.join(found.findings)}")


def _verify_side(side: Side, x: Array, gradients: bool, progress: Callable | None) -> Report | None:
    """The report of `verify` on a live layer or an ONNX model; None for arrays."""
    source, dtype = side.source, next(iter(side.parts[0].arrays.values())).dtype
    if isinstance(source, (str, PathLike)) and Path(source).suffix.lower() == ".onnx" or hasattr(source, "graph"):
        return verify(source, {}, gradients=False, progress=progress)
    if not side.is_live:
        return None
    batch_first = side.parts[0].layout.framework == "keras" or getattr(source, "batch_first", False)
    given = x.astype(dtype)
    try:
        told = {} if side.params is None else {"p": side.params}
        return verify(source, given.swapaxes(0, 1) if batch_first else given, gradients=gradients, progress=progress,
                      **told)
    except Error as e:
        raise NotSupported("compare", ": ".join(map(str, e.args))) from None
