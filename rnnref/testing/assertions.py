"""Assertions that two trees are equal or close: structure, types, dtypes and shapes first, then values."""
from typing import Any, Iterator, NamedTuple, Optional

import numpy

from ..arrays import asnumpy, is_array, is_floating
from ..check.tolerance import absolute_tolerance
from ..errors import Error, describe_type, with_article
from ..record import Record
from ..tree import PerStep, Tree
from ..values import Value

_TINY = 5e-324                                     # the least error of entries whose bits differ: -0 is not 0


class Mismatch(Error, AssertionError):
    """Two trees that differ, and where they differ most."""


def assert_same(got: Tree, want: Tree, name: str = "") -> None:
    """Raise `Mismatch` unless both trees hold the same bits (all NaNs are equal, 0 and -0 are not).

    >>> import numpy as np
    >>> assert_same({"W": np.zeros(2)}, {"W": np.array([0.0, -0.0])})
    Traceback (most recent call last):
    rnnref.testing.assertions.Mismatch: W[1]: 0.0, expected -0.0 to the bit
      worst  of 1 in 2 entries that differ
    """
    _raise_worst([(path, a, b, _compute_errors(a, b), 0.0) for path, a, b in pair_leaves(got, want, name)])


def assert_close(got: Tree, want: Tree, operation: str = "output", name: str = "",
                 arithmetic: Optional[str] = None) -> None:
    """Raise `Mismatch` unless every array of `got` is as close to that of `want` as the table of tolerances allows.

    operation   what was computed: a column of `rnnref.check.tolerance`
    arithmetic  the precision it was computed in, if not the dtype of `want` ("tf32")

    >>> import numpy as np
    >>> assert_close((np.array([0.5, 1.0]),), (np.array([0.5, 1.25]),))
    Traceback (most recent call last):
    rnnref.testing.assertions.Mismatch: 0[1]: 1.0, expected 1.25
      error  2.5e-01, allowed 1.2e-13 (output, float64)
      worst  of 1 in 2 entries that differ
    """
    both = list(pair_leaves(got, want, name))
    overall = max((_max_magnitude(b) for _, _, b in both), default=0.0)
    _raise_worst([(path, a, b, _compute_errors(a, b), _compute_limit(operation, arithmetic or b.dtype, b, overall))
                  for path, a, b in both], f" ({operation}, {arithmetic or '{}'})")


def _compute_limit(operation: Any, arithmetic: Any, a: Any, overall: Any) -> Any:
    """The largest allowed error: none for integers, and 0 may be -0."""
    if not is_floating(a.dtype):
        return 0.0
    return max(absolute_tolerance(operation, arithmetic, _max_magnitude(a), overall), _TINY)


class LeafPair(NamedTuple):
    """Two leaves at the same place of two trees."""
    path: str; got: Any; want: Any


def pair_leaves(got: Tree, want: Tree, path: str = "") -> Iterator[LeafPair]:
    """Pairs of leaves of two trees, in main memory; raise `Mismatch` where structure, type, dtype or shape differ."""
    if type(got) is type(want):
        got, want = map(_to_tree, (got, want))
    if type(got) is not type(want):
        raise Mismatch(path or "result", f"{_describe(got)}, expected {_describe(want)}")
    if isinstance(want, (dict, tuple, list)):
        yield from _pair_children(got, want, path)
    elif is_array(want) or isinstance(want, numpy.generic):
        for what in ("dtype", "shape"):
            if getattr(got, what) != getattr(want, what):
                raise Mismatch(path or "result", f"{what} {getattr(got, what)}, expected {getattr(want, what)}")
        yield LeafPair(path, asnumpy(got), asnumpy(want))
    elif want is not None:
        yield LeafPair(path, numpy.asarray(got), numpy.asarray(want))


def _to_tree(a: Any) -> Any:
    """What is compared of a leaf that is no array: the steps, the array of a recorded value, the length of a record."""
    if isinstance(a, PerStep):
        return a.steps
    return a.data if isinstance(a, Value) else numpy.asarray(len(a)) if isinstance(a, Record) else a


def _pair_children(got: Any, want: Any, path: str) -> Iterator[Any]:
    keys = [list(t) if isinstance(t, dict) else list(getattr(t, "_fields", range(len(t)))) for t in (got, want)]
    if set(keys[0]) != set(keys[1]):
        raise Mismatch(path or "result", f"holds {keys[0] or 'nothing'}, expected {keys[1] or 'nothing'}")
    for n, key in enumerate(keys[1]):
        at = key if isinstance(want, dict) else n
        yield from pair_leaves(got[at], want[at], f"{path}.{key}" if path else str(key))


def _describe(a: Any) -> Any:
    package = type(a).__module__.partition(".")[0]
    return describe_type(a) if package == "builtins" else with_article(f"{package} {type(a).__name__}")


def _max_magnitude(a: Any) -> Any:
    return float(numpy.max(abs(a[numpy.isfinite(a)]), initial=0.0)) if is_floating(a.dtype) else 0.0


def _compute_errors(a: Any, b: Any) -> Any:
    """The error of each entry: 0 where the bits agree, infinity where only one of the two is finite."""
    if a.tobytes() == b.tobytes():
        return numpy.zeros(a.shape)
    a, b = (c if c.dtype.char == "g" else c.astype("float64") for c in (a, b))
    same = (a == b) & (numpy.signbit(a) == numpy.signbit(b)) | (a != a) & (b != b)
    with numpy.errstate(invalid="ignore", over="ignore"):
        error = abs(a - b)
    return numpy.where(same, 0.0, numpy.where(numpy.isfinite(error), numpy.maximum(error, _TINY), numpy.inf))


def _raise_worst(compared: Any, within: Any = None) -> None:
    """Raise for the array whose error exceeds its limit by the largest factor."""
    worst, ratio = None, 1.0
    for path, a, b, error, limit in compared:
        if a.size and not error.max() <= limit:
            excess = float(error.max() / limit) if limit > _TINY else float("inf")
            if worst is None or excess > ratio:
                worst, ratio = (path, a, b, error, limit), excess
    if worst is None:
        return
    path, a, b, error, limit = worst
    at = tuple(int(i) for i in numpy.unravel_index(error.argmax(), a.shape))
    where = f"{path or 'result'}[{', '.join(map(str, at))}]" if at else path or "result"
    notes = {} if within is None else {"error": f"{error.max():.1e}, allowed {limit:.1e}{within.format(a.dtype)}"}
    raise Mismatch(where, f"{a[at]}, expected {b[at]}{' to the bit' if within is None else ''}", **notes,
                   worst=f"of {int((error > limit).sum())} in {a.size} entries that differ")
