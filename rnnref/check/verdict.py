"""One array of a candidate against its truth and its budget: a row, and what exactly is off.  (floor 10)"""
from typing import Any, NamedTuple

import numpy

from .budget import absolute_error
from .row import Row


class Verdict(NamedTuple):
    """A row, and the entries behind it."""
    name: str
    row: Row
    exceeds: Any = None                           # bool, entry by entry: more than the budget
    first_index: Any = None                       # the index of the first of these, in the order of computing


def judge(candidate, name, place, budget, got):
    """The `Verdict` on one array."""
    if got.dtype.kind not in "fiu" or got.shape != budget.truth.shape:
        odd = f"shape {got.shape}" if got.dtype.kind in "fiu" else f"dtype {got.dtype}"
        return Verdict(name, Row(name, place.group, verdict="differs", where="everywhere",
                                 note=f"{odd}, expected {budget.truth.shape} of floating numbers"))
    error = absolute_error(got, budget.truth).astype("float64")
    over = budget.comparable & ~(error <= budget.allowed)
    if got.size and not budget.comparable.any():
        return Verdict(name, Row(name, place.group, verdict="not comparable", note=_describe_limit(place, budget)))
    ratio = numpy.where(budget.comparable, _error_ratio(error, budget.allowed), -1.0)
    worst = _unravel(ratio.argmax(), ratio) if ratio.size else None
    first = _find_earliest(over, budget.step, ratio)
    notes = [*_describe_errors(candidate, place, budget, got, over, first), _describe_limit(place, budget)]
    trace, limits = _trace_errors(place, budget, error, ratio)
    row = Row(name, place.group, _scaled_entry(error, worst, budget.scale), _scaled_entry(budget.allowed, worst, budget.scale),
              "agrees" if first is None else "differs", "" if first is None else place.describe(first, got.shape),
              "; ".join(filter(None, notes)), trace, limits)
    return Verdict(name, row, over, first)


def _error_ratio(error, allowed):
    """Errors in budgets; 0 / 0 is 0."""
    with numpy.errstate(divide="ignore", invalid="ignore"):
        return numpy.where(error == 0, 0.0, error / allowed)


def _unravel(flat, a):
    return tuple(int(n) for n in numpy.unravel_index(flat, a.shape))


def _scaled_entry(a, index, scale):
    return 0.0 if index is None else float(a[index]) / scale


def _find_earliest(over, step, ratio):
    """The index of the first entry that is off, of those the worst; None if none is."""
    if not over.any():
        return None
    candidates = over & (step == step[over].min())
    return _unravel(numpy.where(candidates, ratio, -1.0).argmax(), ratio)


def _describe_errors(candidate, place, budget, got, over, first):
    """What else there is to say of the entries that are off."""
    if first is None:
        return
    if not numpy.isfinite(got[first]):
        yield f"{got[first]}, expected {budget.truth[first]:.6g}"
    else:
        yield f"{got[first]:.6g}, expected {budget.truth[first]:.6g}"
    length = _find_padded_length(candidate, place, first)
    if length is not None:
        yield f"in the padding: this row has {length} steps"
    gates = _describe_blocks(place, over)
    if gates:
        yield gates


def _find_padded_length(candidate, place, index):
    """The length of the row, if the entry lies behind its end."""
    dead = candidate.padding_mask()
    if dead is None or place.time is None:
        return None
    row = next(k for k, axis in enumerate(place.axes) if axis.word == "row")
    t, b = index[place.time], index[row]
    return int(candidate.lengths[b]) if dead[t, b] else None


def _describe_blocks(place, over):
    """"in the blocks f and g alone", if an axis is cut into blocks and not all of them are off."""
    for k, axis in enumerate(place.axes):
        if len(axis.labels) > 1 and over.ndim == len(place.axes):
            parts = numpy.split(numpy.moveaxis(over, k, 0), len(axis.labels))
            bad = [label for label, part in zip(axis.labels, parts) if part.any()]
            if len(bad) < len(axis.labels):
                what = f"{axis.what} " if axis.what else ""
                return f"only in {what}{' and '.join(bad)}"
    return ""


def _describe_limit(place, budget):
    """Where the comparison ends."""
    if budget.comparable.all():
        return ""
    if place.time is None or not budget.comparable.any():
        tiny = abs(budget.truth).max(initial=0.0) < 1e-3
        return "nothing in it is larger than rounding" if tiny else "rounding alone moves it by as much"
    steps = numpy.moveaxis(budget.comparable, place.time, 0).reshape(budget.comparable.shape[place.time], -1).all(1)
    return f"not comparable past {_describe_steps(steps)}"


def _describe_steps(steps):
    """"step 40" for steps that are comparable up to there, or from there on down."""
    last = numpy.flatnonzero(steps)
    if not len(last):
        return "the first step of one direction"
    return f"step {last[-1]}" if steps[0] else f"step {last[0]}, downwards"


def _trace_errors(place, budget, error, ratio):
    """The error and the budget at every timestep, where the entry that is worst by its budget lies."""
    if place.time is None or error.shape[place.time] == 0:
        return None, None
    ratio, error, allowed = (numpy.moveaxis(a, place.time, 0).reshape(a.shape[place.time], -1)
                             for a in (ratio, error, budget.allowed))
    if not ratio.shape[1]:
        return None, None
    steps = numpy.arange(len(ratio))
    shown = ratio.argmax(1)
    dark = ratio.max(1) < 0                       # nothing comparable at this step: the largest error, and no budget
    shown = numpy.where(dark, error.argmax(1), shown)
    trace = (error[steps, shown] / budget.scale).tolist()
    limits = [None if none else a for none, a in zip(dark, (allowed[steps, shown] / budget.scale).tolist())]
    return trace, limits
