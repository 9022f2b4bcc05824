"""Single steps of a chaotic sequence, each from the state that the candidate itself had before it.

Past the step up to which a chaotic recurrence can be compared, no reference knows the candidate's numbers; but each
step must follow from the one before.  Where outputs are the whole state (SimpleRNN and GRU, one layer, one direction),
every step of every row is computed again by the reference, as a batch of sequences of one step.
"""
from collections.abc import Iterator
from dataclasses import replace

import numpy

from ..arrays import Array
from .budget import measure_budgets, run_truth
from .candidate import OUTPUT, Candidate
from .verdict import Verdict, judge


def check_single_steps(candidate: Candidate, returned: dict[str, Array], verdicts: list[Verdict],
                       rng: numpy.random.Generator, factor: float) -> Iterator[Verdict]:
    """A verdict "differs" on the output if some step does not follow from the one before, and only then.

    returned, verdicts  of a call; verdicts name what cannot be compared
    """
    chaotic = [v for v in verdicts if v.row.group == OUTPUT and v.row.verdict != "differs" and
               v.row.compared < v.row.entries and candidate.descriptions[v.name].time is not None]
    if not candidate.carried or len(chaotic) != 1:
        return
    name = chaotic[0].name
    if returned[name].ndim != 3 or returned[name].shape[-1] != candidate.zero_carried.shape[-1]:
        return
    ys = _put_time_first(candidate, returned[name])
    x = _put_time_first(candidate, candidate.arrays[candidate.x])
    live = _find_live(candidate)
    before = _shift(candidate, ys, live)
    if not numpy.isfinite(ys[live]).all() or not numpy.isfinite(before[live]).all():
        return
    steps = replace(candidate, lengths=None, initial=(), arrays=candidate.arrays | {
        candidate.x: _as_rows(candidate, x[live]),
        candidate.carried: before[live].reshape(*candidate.zero_carried.shape[:-2], -1, ys.shape[-1])})
    truth = run_truth(steps)
    state = truth.results.get(candidate.carried.removesuffix("0"))
    if state is not None and not numpy.array_equal(state.ravel(), truth.results[name].ravel()):
        return                                    # outputs of this cell are not its state
    budget = measure_budgets(steps, rng, (), factor, truth).by_name[name]
    verdict = judge(steps, name, steps.descriptions[name], budget, _as_rows(candidate, ys[live]))
    if verdict.row.verdict != "differs" or verdict.exceeds is None:
        return
    wrong = numpy.zeros(ys.shape, bool)
    wrong[live] = _put_time_first(candidate, verdict.exceeds)[0]
    t = numpy.flatnonzero(wrong.any((1, 2)))[-1 if candidate.backwards else 0]
    index = (int(t), *map(int, numpy.argwhere(wrong[t])[0]))
    first = index if candidate.time == 0 else (index[1], index[0], index[2])
    label = f"{name} (single steps)"
    yield Verdict(label, verdict.row._replace(
        name=label, where=candidate.descriptions[name].describe(first, returned[name].shape),
        note="it does not follow from the step before", trace=None, limits=None))


def _put_time_first(candidate: Candidate, a: Array) -> Array:
    return a.swapaxes(0, 1) if candidate.time else a


def _as_rows(candidate: Candidate, a: Array) -> Array:
    """[N, ...] as one step of N rows, in the layout of the candidate."""
    return a[:, None] if candidate.time else a[None]


def _find_live(candidate: Candidate) -> Array:
    """[T, B], True where a row is inside its sequence."""
    padded = candidate.padding_mask()
    return numpy.ones(candidate.size, bool) if padded is None else ~padded


def _shift(candidate: Candidate, ys: Array, live: Array) -> Array:
    """The state before every step [T, B, H]: the output of the step computed before it, at first the initial state."""
    start = candidate.arrays.get(candidate.carried, candidate.zero_carried).reshape(ys.shape[1:])
    before = numpy.empty_like(ys)
    if not candidate.backwards:
        before[0], before[1:] = start, ys[:-1]
        return before
    before[:-1] = ys[1:]
    last = live & ~numpy.concatenate([live[1:], numpy.zeros_like(live[:1])])
    return numpy.where(last[..., None], start, before)
