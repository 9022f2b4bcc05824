"""Compare one array of a candidate with its budget: the verdict, the first entry that differs, and notes on it."""
from collections.abc import Iterator
from typing import NamedTuple

import numpy

from ..arrays import Array
from .budget import Budget, absolute_error
from .candidate import ArrayDescription, Candidate
from .row import Row, format_row

# notes that findings recognize
IN_PADDING = "in the padding"
NO_LARGER = "all its values are as small as rounding errors"
AS_LARGE = "rounding errors are as large as its values"
NOT_COMPARABLE = "not comparable"
EMPTY = "it has no entries to compare"
OVERFLOWS = "not comparable where the reference is not finite"
BEYOND = "larger than rounding could make it"


class Verdict(NamedTuple):
    """A row, and the entries that it summarizes."""
    name: str
    row: Row
    exceeds: Array = None                         # bool, entry by entry: the error exceeds the budget
    first_index: tuple | None = None              # the first of these entries, in the order of computation

    def __repr__(self) -> str:
        return f"<Verdict {format_row(self.row)}>"


def judge(candidate: Candidate, name: str, description: ArrayDescription, budget: Budget, array: Array) -> Verdict:
    """The `Verdict` on one array that the candidate returned."""
    problem = _find_mismatch(candidate.expected_dtype(name), budget.truth, array)
    if problem:
        return Verdict(name, Row(name, description.group, verdict="differs", where="everywhere", note=problem))
    comparable = budget.comparable if numpy.prod(candidate.size) else numpy.zeros_like(budget.comparable)
    limit = _describe_limit(description, budget, comparable)
    counts = {"entries": array.size, "compared": int(comparable.sum())}
    error = absolute_error(array, budget.truth).astype("float64")
    beyond = ~comparable & numpy.isfinite(budget.limit) & ~(abs(array.astype("float64")) <= budget.limit)
    exceeds = comparable & ~(error <= budget.allowed) | beyond
    if not comparable.any() and not beyond.any():
        return Verdict(name, Row(name, description.group, verdict="not comparable", note=limit, **counts))
    ratio = numpy.where(comparable, _error_ratio(error, budget.allowed), numpy.where(beyond, numpy.inf, -1.0))
    worst = _unravel(int(ratio.argmax()), ratio) if ratio.size else None
    first = _find_earliest(exceeds, budget.step, ratio)
    notes = [*([] if first is None else _describe_errors(candidate, description, budget, array, exceeds, first)),
             *([] if first is None or not beyond[first] else [f"{BEYOND}, {budget.limit[first]:.3g}"]), limit]
    trace, limits = _trace_errors(description, budget, error, ratio)
    row = Row(name, description.group, _scaled_entry(error, worst, budget.scale),
              _scaled_entry(budget.allowed, worst, budget.scale), "agrees" if first is None else "differs",
              "" if first is None else description.describe(first, array.shape), "; ".join(filter(None, notes)),
              trace, limits, **counts)
    return Verdict(name, row, exceeds, first)


def _find_mismatch(dtype: numpy.dtype, truth: Array, array: Array) -> str:
    """What is wrong with the dtype or the shape of an array, or ""."""
    if array.dtype.kind not in "fiu":
        return f"dtype {array.dtype}, expected numbers of shape {truth.shape}"
    if array.shape != truth.shape:
        return f"shape {array.shape}, expected {truth.shape}"
    return f"dtype {array.dtype}, expected {dtype}" if array.dtype != dtype else ""


def format_pair(a: float, b: float) -> tuple[str, str]:
    """Two numbers with as many digits as it takes to tell them apart, six at least.

    >>> format_pair(1.7513301, 1.7513275), format_pair(0.5, 0.25)
    (('1.75133', '1.751327'), ('0.5', '0.25'))
    """
    for digits in range(6, 18):
        first, second = f"{a:.{digits}g}", f"{b:.{digits}g}"
        if first != second:
            break
    return first, second


def _error_ratio(error: Array, allowed: Array) -> Array:
    """error / allowed, where 0 / 0 is 0."""
    with numpy.errstate(divide="ignore", invalid="ignore"):
        return numpy.where(error == 0, 0.0, error / allowed)


def _unravel(flat: int, a: Array) -> tuple[int, ...]:
    return tuple(int(n) for n in numpy.unravel_index(flat, a.shape))


def _scaled_entry(a: Array, index: tuple | None, scale: float) -> float:
    return 0.0 if index is None else float(a[index]) / scale


def _find_earliest(exceeds: Array, step: Array, ratio: Array) -> tuple[int, ...] | None:
    """The index of the first entry that exceeds its budget, of several at one step the worst; None if none does."""
    if not exceeds.any():
        return None
    earliest = exceeds & (step == step[exceeds].min())
    return _unravel(int(numpy.where(earliest, ratio, -1.0).argmax()), ratio)


def _describe_errors(candidate: Candidate, description: ArrayDescription, budget: Budget, array: Array,
                     exceeds: Array, first: tuple) -> Iterator[str]:
    """Notes on the entries that differ: the first values, whether they lie in the padding, which gates differ."""
    yield "{}, expected {}".format(*format_pair(array[first], budget.truth[first]))
    padding = _describe_padding(candidate, description, first)
    if padding:
        yield f"{IN_PADDING}: {padding}"
    yield _describe_blocks(description, exceeds)


def _describe_padding(candidate: Candidate, description: ArrayDescription, index: tuple) -> str:
    """The length of the row that an entry belongs to, if the entry lies in its padding."""
    padded = candidate.padding_mask()
    if padded is None or description.time is None:
        return ""
    t, b = index[description.time], index[description.row]
    if not padded[t, b]:
        return ""
    return "the mask is False there" if candidate.lengths is None else f"this row has length {candidate.lengths[b]}"


def _describe_blocks(description: ArrayDescription, exceeds: Array) -> str:
    """"only in gates f and g", if one axis consists of labelled blocks and some of them are right."""
    for k, axis in enumerate(description.axes):
        bad = axis.find_blocks(exceeds, k) if exceeds.ndim == len(description.axes) else []
        if len(bad) < len(axis.labels) > 1:
            kind = f"{axis.kind}{'s' * (len(bad) > 1)} " if axis.kind else ""
            return f"only in {kind}{' and '.join(bad)}"
    return ""


def _describe_limit(description: ArrayDescription, budget: Budget, comparable: Array) -> str:
    """Why not all entries are comparable, or from which step on; "" if all are."""
    if not comparable.size or not comparable.any() and budget.comparable.all():
        return EMPTY
    if comparable.all():
        return ""
    if not numpy.isfinite(budget.limit[~comparable]).all():
        return OVERFLOWS
    if description.time is None or not comparable.any():
        reason = NO_LARGER if abs(budget.truth[~comparable]).max() < 1e-3 else AS_LARGE
        return f"{comparable.mean():.0%} compared; elsewhere {reason}" if comparable.any() else reason
    return _describe_steps(numpy.moveaxis(comparable, description.time, 0))


def _describe_steps(comparable: Array) -> str:
    """From which step on entries [T, ...] are not comparable, and in how many rows if not in all."""
    steps = comparable.reshape(len(comparable), -1).all(1)
    found = numpy.flatnonzero(steps)
    if not len(found):
        return f"{NOT_COMPARABLE} in part at every step"
    return f"{NOT_COMPARABLE} {f'past step {found[-1]}' if steps[0] else f'before step {found[0]}'}"


def _trace_errors(description: ArrayDescription, budget: Budget, error: Array, ratio: Array,
                  ) -> tuple[list | None, list | None]:
    """The error and the budget at every timestep, of the entry whose error is largest relative to its budget."""
    if description.time is None or error.shape[description.time] == 0:
        return None, None
    ratio, error, allowed = (numpy.moveaxis(a, description.time, 0).reshape(a.shape[description.time], -1)
                             for a in (ratio, error, budget.allowed))
    if not ratio.shape[1]:
        return None, None
    steps = numpy.arange(len(ratio))
    incomparable = ratio.max(1) < 0               # at these steps: the largest error, and no budget
    shown = numpy.where(incomparable, error.argmax(1), ratio.argmax(1))
    trace = (error[steps, shown] / budget.scale).tolist()
    budgets = (allowed[steps, shown] / budget.scale).tolist()
    return trace, [None if none else a for none, a in zip(incomparable, budgets)]
