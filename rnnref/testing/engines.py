"""Engines held to drawn cases: a comparison that shrinks what differs to the smallest configuration that still does."""
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..check.tolerance import absolute_tolerance
from ..errors import Error, NotSupported
from ..tree import Tree, first_leaf, leaves, map_structure
from .assertions import Mismatch
from .case import PLAIN, Case, draw_case


class _Difference(NamedTuple):
    """Where an engine first differs on a case."""
    where: str                                    # "y[0, 1, 2]"
    values: str                                   # "0.5, expected 0.25"
    entries: str                                  # how many entries of which arrays


def assert_matches(engine: Callable, case: Case) -> None:
    """Raise `Mismatch` unless an engine computes what the plain code does, with the smallest case on which it does not.

    engine    a function of a `Case` -> the outputs y [T, B, H], (y, state), or {"y": y, "h": h, ...} of some of them;
              it reads case.cell, p, s, xs, lengths or mask, and reverse, all arrays in float64
    case      as `cases` draws it, or `Case(cell, p, s, xs)`

    Results may be float32 or float64 and are held to the tolerance of that.  From a case that differs steps, rows,
    units and inputs, the masking, the direction, states, inputs and parameters are left out or made zero for as long as
    the engine still differs: what is left shows the cause.  In a test by Hypothesis the cell is shrunk as well.

    Errors    Mismatch: the smallest configuration and the first entry that differs; what the engine raises

    >>> import numpy as np, rnnref
    >>> def my_rnn(case):                                  # it forgets the bias
    ...     h, ys = case.s.h, []
    ...     for x in case.xs:
    ...         h = np.tanh(x @ case.p["W"] + h @ case.p["R"])
    ...         ys.append(h)
    ...     return np.stack(ys), (h,)
    >>> assert_matches(my_rnn, draw_case(rnnref.cells.SimpleRNN(), steps=6, batch=3))
    Traceback (most recent call last):
    rnnref.testing.assertions.Mismatch: my_rnn differs from SimpleRNN: y[0, 0, 0]: 0, expected ...
      case   1 step, 1 row, 1 input, 1 unit
      zero   x, W, R, h: it differs without them
      count  1 of 1 entries of y, 1 of 1 of h
    """
    difference = _compare(engine, case)
    if difference is None:
        return
    case, difference = _shrink(engine, case, difference)
    zero = [name for name, a in _name_arrays(case) if not a.any()]
    sizes = zip(_measure(case), ("step", "row", "input", "unit"))
    what = ", ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in sizes)
    masking = "" if str(case).startswith("every step") else f"; {case}"
    raise Mismatch(f"{getattr(engine, '__name__', 'the engine')} differs from {case.name}",
                   f"{difference.where}: {difference.values}", case=what + masking,
                   zero=f"{', '.join(zero)}: it differs without them" if zero else "", count=difference.entries)


def _measure(case: Case) -> tuple[int, ...]:
    """T, B, I, U."""
    sizes = (*case.size, case.cell.n_in(case.xs), case.cell.units(case.p))
    return tuple(sum(int(n) for _, n in leaves(size)) for size in sizes)


def _name_arrays(case: Case) -> Iterator[tuple[str, Array]]:
    yield from ((".".join(filter(None, ("x", path))), a) for path, a in leaves(case.xs))
    yield from leaves(case.p)
    yield from leaves(case.s)


def _compare(engine: Callable, case: Case) -> _Difference | None:
    """The first entry of the results that differs; None if all agree."""
    (ys, new), _ = case.run(keep=False, **PLAIN)
    truth = {**_by_name("y", ys), **dict(leaves(new))}
    found = _name_results(engine(case), truth, case)
    first, counts = None, []
    for name, a in found.items():
        want = truth[name]
        if a.shape != want.shape:
            return _Difference(name, f"shape {a.shape}, expected {want.shape}", "")
        largest = float(abs(want).max(initial=0.0))
        with numpy.errstate(invalid="ignore"):
            wrong = ~(abs(a.astype("float64") - want) <= absolute_tolerance("steep", a.dtype, largest))
        if wrong.any():
            counts.append(f"{wrong.sum()} of {wrong.size}{'' if counts else ' entries'} of {name}")
            at = tuple(int(k) for k in numpy.argwhere(wrong)[0])
            first = first or (f"{name}[{', '.join(map(str, at))}]", f"{float(a[at]):.9g}, expected {want[at]:.9g}")
    return first and _Difference(*first, ", ".join(counts))


def _by_name(name: str, tree: Tree) -> dict[str, Array]:
    return {".".join(filter(None, (name, path))): a for path, a in leaves(tree)}


def _name_results(returned: Any, truth: Mapping[str, Array], case: Case) -> dict[str, Array]:
    """What an engine returned by the names of the truth."""
    if isinstance(returned, Mapping):
        unknown = [name for name in returned if name not in truth]
        if unknown:
            raise NotSupported("assert_matches", f"a result {unknown[0]!r}", known=" ".join(truth))
        return {name: numpy.asarray(a) for name, a in returned.items()}
    outputs = [name for name in truth if name.partition(".")[0] == "y"]
    has_state = isinstance(returned, tuple) and len(returned) == 2 and len(outputs) == 1
    ys, state = returned if has_state else (returned, None)
    arrays = [a for _, a in leaves(ys)] + ([] if state is None else [a for _, a in leaves(state)])
    return {name: numpy.asarray(a) for name, a in zip(truth, arrays)}


def _shrink(engine: Callable, case: Case, difference: _Difference) -> tuple[Case, _Difference]:
    """The smallest case on which an engine still differs, and where it does."""
    shrunk = True
    while shrunk:
        shrunk = False
        for smaller in _list_smaller(case):
            try:
                found = _compare(engine, smaller)
            except Exception:                     # another failure than the one that is shrunk
                continue
            if found is not None:
                case, difference, shrunk = smaller, found, True
                break
    return case, difference


def _list_smaller(case: Case) -> Iterator[Case]:
    """Cases that are simpler by one thing, the simplest first."""
    T, B = case.size
    if case.lengths is not None or case.mask is not None:
        yield replace(case, lengths=None, mask=None)
    if case.reverse or case.padding != "zero":
        yield replace(case, reverse=False, padding="zero")
    yield from (_keep_steps(case, n) for n in sorted({1, 2, T // 2, T - 1}) if 0 < n < T)
    if B > 1:
        yield from (_keep_row(case, b) for b in range(B))
    yield from _list_fewer_units(case)
    yield from _list_zeros(case)


def _keep_steps(case: Case, n: int) -> Case:
    lengths = None if case.lengths is None else numpy.minimum(case.lengths, n)
    mask = None if case.mask is None else case.mask[:n]
    return case.map_arrays(lambda a: a[:n], lengths=lengths, mask=mask)


def _keep_row(case: Case, b: int) -> Case:
    lengths = None if case.lengths is None else case.lengths[b:b + 1]
    mask = None if case.mask is None else case.mask[:, b:b + 1]
    return case.map_arrays(lambda a: a[:, b:b + 1], lambda a: a[b:b + 1], lengths=lengths, mask=mask)


def _list_fewer_units(case: Case) -> Iterator[Case]:
    """Fewer inputs and units: other numbers are drawn for all arrays."""
    n_in, units = case.cell.n_in(case.xs), case.cell.units(case.p)
    if not isinstance(n_in, int) or not isinstance(units, int) or case.extra is not None:
        return
    for i, u in sorted({(1, 1), (1, 2), (1, units), (n_in, 1), (n_in - 1, units), (n_in, units - 1)}, key=sum):
        if 0 < i <= n_in and 0 < u <= units and (i, u) != (n_in, units):
            try:
                drawn = draw_case(case.cell, None, None, None, None, i, u, *case.size)
            except Error:                         # the cell does not take these sizes
                continue
            yield replace(drawn, lengths=case.lengths, mask=case.mask, reverse=case.reverse, padding=case.padding)


def _list_zeros(case: Case) -> Iterator[Case]:
    """One array made zero: the inputs, the state, a parameter."""
    for field in ("xs", "s"):
        tree = getattr(case, field)
        if any(a.any() for _, a in leaves(tree)):
            yield replace(case, **{field: map_structure(numpy.zeros_like, tree)})
    for path, a in leaves(case.p):
        if a.any():
            yield replace(case, p=_make_zero(case.p, path))


def _make_zero(tree: Tree, path: str) -> Tree:
    """The tree with zeros in one leaf."""
    name, _, rest = path.partition(".")
    if isinstance(tree, dict):
        return {key: _make_zero(child, rest) if key == name else child for key, child in tree.items()}
    if isinstance(tree, tuple):
        children = [_make_zero(child, rest) if str(k) == name else child for k, child in enumerate(tree)]
        return type(tree)(*children) if hasattr(tree, "_fields") else tuple(children)
    return numpy.zeros_like(first_leaf(tree))
