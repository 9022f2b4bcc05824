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
    if array.dtype.kind not in "fiu" or array.shape != budget.truth.shape:
        problem = f"shape {array.shape}, expected {budget.truth.shape}" if array.dtype.kind in "fiu" else \
            f"dtype {array.dtype}, expected numbers of shape {budget.truth.shape}"
        return Verdict(name, Row(name, description.group, verdict="differs", where="everywhere", note=problem))
    limit = _describe_limit(description, budget)
    if array.size and not budget.comparable.any():
        return Verdict(name, Row(name, description.group, verdict="not comparable", note=limit))
    error = absolute_error(array, budget.truth).astype("float64")
    exceeds = budget.comparable & ~(error <= budget.allowed)
    ratio = numpy.where(budget.comparable, _error_ratio(error, budget.allowed), -1.0)
    worst = _unravel(int(ratio.argmax()), ratio) if ratio.size else None
    first = _find_earliest(exceeds, budget.step, ratio)
    notes = [*([] if first is None else _describe_errors(candidate, description, budget, array, exceeds, first)), limit]
    trace, limits = _trace_errors(description, budget, error, ratio)
    row = Row(name, description.group, _scaled_entry(error, worst, budget.scale),
              _scaled_entry(budget.allowed, worst, budget.scale), "agrees" if first is None else "differs",
              "" if first is None else description.describe(first, array.shape), "; ".join(filter(None, notes)),
              trace, limits)
    return Verdict(name, row, exceeds, first)


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
    value = f"{array[first]:.6g}" if numpy.isfinite(array[first]) else f"{array[first]}"
    yield f"{value}, expected {budget.truth[first]:.6g}"
    length = _find_padded_length(candidate, description, first)
    if length is not None:
        yield f"{IN_PADDING}: this row has length {length}"
    yield _describe_blocks(description, exceeds)


def _find_padded_length(candidate: Candidate, description: ArrayDescription, index: tuple) -> int | None:
    """The length of the row that an entry belongs to, if the entry lies in its padding."""
    padded = candidate.padding_mask()
    if padded is None or description.time is None:
        return None
    t, b = index[description.time], index[description.row]
    return int(candidate.lengths[b]) if padded[t, b] else None


def _describe_blocks(description: ArrayDescription, exceeds: Array) -> str:
    """"only in gates f and g", if one axis consists of labelled blocks and some of them are right."""
    for k, axis in enumerate(description.axes):
        bad = axis.find_blocks(exceeds, k) if exceeds.ndim == len(description.axes) else []
        if len(bad) < len(axis.labels) > 1:
            kind = f"{axis.kind}{'s' * (len(bad) > 1)} " if axis.kind else ""
            return f"only in {kind}{' and '.join(bad)}"
    return ""


def _describe_limit(description: ArrayDescription, budget: Budget) -> str:
    """Why not all entries are comparable, or from which step on; "" if all are."""
    if budget.comparable.all():
        return ""
    if description.time is None or not budget.comparable.any():
        return NO_LARGER if abs(budget.truth).max(initial=0.0) < 1e-3 else AS_LARGE
    steps = numpy.moveaxis(budget.comparable, description.time, 0).reshape(
        budget.comparable.shape[description.time], -1).all(1)
    comparable = numpy.flatnonzero(steps)
    if not len(comparable):
        return f"{NOT_COMPARABLE} past the first step of one direction"
    return f"{NOT_COMPARABLE} {f'past step {comparable[-1]}' if steps[0] else f'before step {comparable[0]}'}"


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
