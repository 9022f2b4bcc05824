"""Why a candidate differs: the causes of `mistakes` and `misuses`, and what is read off its results.

A cause counts only if it explains everything that differs, on the given numbers and on fresh ones.
"""
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from .budget import Budgets, cast_arrays, measure_budgets, run_truth
from .calls import call_back, call_once
from .candidate import OUTPUT, STATE, Candidate
from .causes import Cause, Observation, describe_explanation, describe_groups, find_explanation, find_wrong_gradients
from .gradient_terms import find_missing_terms
from .misuse import find_initial
from .moved_gradients import find_moved
from .unexplained import describe_consistent

_CONFIRMATIONS = 2                                # fresh draws on which a hypothesis must hold
_MOST_ROWS = 64                                   # of which exchanged ones are sought
_ALIKE = 8.0                                      # errors of one precision differ by no more than this factor,
_LOST, _EVEN = 0.1, 0.05                          # are at most this share of the values, and as even as this
_MOST_STEPS = 8                                   # on which missing terms of gradients are sought
_BITS = {"float16 or tf32": 11, "bfloat16": 8, "float32": 24}


class Trial(NamedTuple):
    """What a candidate returned, and what it should have."""
    candidate: Candidate
    returned: dict[str, Array]
    truth: dict[str, Array]
    tolerance: dict[str, float]                   # the largest budget of each result
    mask: dict[str, Array]                        # the entries that can be compared

    def differs(self, name: str, expected: Array) -> bool:
        """Whether a result is not as expected, to rounding."""
        a = self.returned[name]
        if a.shape != expected.shape:
            return True
        mask = self.mask[name] if self.mask[name].shape == a.shape else True
        error = numpy.where(mask, abs(a.astype("float64") - expected.astype("float64")), 0.0)
        return not (error <= 2 * max(self.tolerance.values())).all()

    @property
    def names(self) -> list[str]:
        """The results that were returned and are known."""
        return [name for name in self.truth if name in self.returned]

    def group(self, group: str) -> list[str]:
        """Those of one group."""
        return [name for name in self.names if self.candidate.descriptions[name].group == group]

    @property
    def observation(self) -> Observation:
        """What was returned, for the search."""
        return Observation(self.candidate, self.returned, self.mask, max(self.tolerance.values(), default=0.0))

    def agrees(self, predicted: dict[str, Array]) -> bool:
        """True if all results are as predicted, and not all as they should be."""
        return (all(name in predicted and not self.differs(name, predicted[name]) for name in self.names)
                and any(self.differs(name, self.truth[name]) for name in self.names))


class Hypothesis(NamedTuple):
    """One mistake: the details under which it explains a trial (None: it does not), and the sentence."""
    explain: Callable[[Trial], str | None]
    sentence: str


class Reason(NamedTuple):
    """Why results differ: sentences, and the cause if it is one of the tables; both empty if no reason is found."""
    sentences: Sequence[str] = ()
    cause: Cause | None = None


def explain_results(candidate: Candidate, budgets: Budgets, returned: dict[str, Array], rng: numpy.random.Generator,
                    ) -> Reason:
    """The hypothesis that explains the results, on these numbers and on fresh ones, if any."""
    results = {n: a for n, a in budgets.by_name.items() if candidate.descriptions[n].group in (OUTPUT, STATE)}
    trial = Trial(candidate, {n: a for n, a in returned.items() if n in results and a.dtype.kind in "fiu"},
                  {n: b.truth for n, b in results.items()},
                  {n: float(b.allowed[b.comparable].max(initial=0.0)) for n, b in results.items()},
                  {n: b.comparable for n, b in results.items()})
    fresh: list[Trial] = []

    def draw() -> list[Trial]:
        fresh.extend([] if fresh else [_draw_trial(trial, rng) for _ in range(_CONFIRMATIONS)])
        return fresh
    found = _search_causes(trial, draw, returned, budgets, rng)
    return found if found.sentences else Reason(list(_find_measured(trial, draw)))


def describe_unexplained(candidate: Candidate, budgets: Budgets) -> Iterator[str]:
    """Where no cause explains the results: what is still right on one step."""
    results = [b for n, b in budgets.by_name.items() if candidate.descriptions[n].group in (OUTPUT, STATE)]
    yield from describe_consistent(candidate, max(float(b.allowed[b.comparable].max(initial=0.0)) for b in results))


def _search_causes(trial: Trial, draw: Callable[[], list[Trial]], returned: dict[str, Array], budgets: Budgets,
                   rng: numpy.random.Generator) -> Reason:
    """What the tables of mistakes explain."""
    candidate = trial.candidate
    found = find_explanation(trial.observation, lambda: [t.observation for t in draw()], rng)
    if found is None:
        return Reason()
    wrong = None
    if len(found.causes) == 1:
        wrong = find_wrong_gradients(found.causes[0], candidate, returned, budgets.cotangents, rng)
    groups = describe_groups(candidate, trial.names, "gradients" if wrong == [] else "")
    sentences = list(describe_explanation(found, groups))
    if wrong:
        sentences.append(f"The gradients of {' and '.join(n[1:] for n in wrong)} are wrong beside that: they are not "
                         "those of the results.")
    return Reason(sentences, found.causes[0] if len(found.causes) == 1 else None)


def _find_measured(trial: Trial, draw: Callable[[], list[Trial]]) -> Iterator[str]:
    """The sentence of the first of `HYPOTHESES` that explains all."""
    for hypothesis in HYPOTHESES:
        details = hypothesis.explain(trial)
        if details is not None and all(hypothesis.explain(other) == details for other in draw()):
            yield hypothesis.sentence.format(details)
            return


def _draw_trial(trial: Trial, rng: numpy.random.Generator) -> Trial:
    """The same candidate on fresh numbers."""
    candidate = trial.candidate.redraw(rng, start=True)
    call = call_once(candidate)
    return trial._replace(candidate=candidate, returned={n: a for n, a in call.results.items() if n in trial.truth},
                          truth=dict(run_truth(candidate).results))


def _run_with(trial: Trial, arrays: dict[str, Array] | None = None, **changes: Any) -> dict[str, Array]:
    """The results of the reference on other arrays, or with other lengths."""
    candidate = replace(trial.candidate, arrays=trial.candidate.arrays if arrays is None else arrays, **changes)
    try:
        return dict(candidate.run_reference(cast_arrays(candidate.arrays, "float64")).results)
    except Exception:                             # the mistake is not possible here: arrays of these shapes do not fit
        return {}


# the rows

def _exchange_rows(trial: Trial) -> str | None:
    """The rows of the batch in another order, in all results that differ."""
    found = set()
    for name in trial.names:
        order = _find_order(trial, name)
        if order is None:
            return None
        if trial.differs(name, trial.truth[name]):
            found.add((name, order))
    orders = {order for _, order in found}
    if len(orders) != 1:
        return None
    order, lengths = next(iter(orders)), trial.candidate.lengths
    rule = ""
    if lengths is not None and list(order) == list(numpy.argsort(-numpy.asarray(lengths), kind="stable")):
        rule = ", the order of falling lengths"
    shown = ", ".join(map(str, order[:8])) + ", ..." * (len(order) > 8)
    return f"{' and '.join(name for name in trial.names if (name, order) in found)} are rows {shown}{rule}"


def _find_order(trial: Trial, name: str) -> tuple[int, ...] | None:
    """For each row of a result, the row of the truth that it is; in order if that is right; None without an answer."""
    axis, truth, a = trial.candidate.descriptions[name].batch, trial.truth[name], trial.returned[name]
    if axis is None or a.shape != truth.shape or not 1 < truth.shape[axis] <= _MOST_ROWS:
        return None
    if not trial.differs(name, truth):
        return tuple(range(truth.shape[axis]))
    rows = truth.shape[axis]
    got, want = (numpy.moveaxis(b, axis, 0).reshape(rows, -1).astype("float64") for b in (a, truth))
    near = abs(got[:, None] - want[None]).max(-1, initial=0.0) <= 2 * max(trial.tolerance.values())
    order = tuple(int(k) for k in near.argmax(1))
    return order if near.any(1).all() and len(set(order)) == rows else None


# lower precision

def _round_inside(trial: Trial) -> str | None:
    """Errors as large as those of the reference on arrays that are rounded to fewer bits."""
    own = numpy.finfo(trial.candidate.dtype).nmant + 1
    found = {f"{name} ({bits} bits)": _compare_errors(trial, bits) for name, bits in _BITS.items() if bits < own}
    nearest = min(found, key=lambda name: abs(numpy.log(found[name])), default="")
    return nearest if nearest and 1 / _ALIKE <= found[nearest] <= _ALIKE else None


def _compare_errors(trial: Trial, bits: int) -> float:
    """The errors of all results, relative to those of arrays with this many bits; infinite if of another kind."""
    if any(trial.returned[n].shape != trial.truth[n].shape for n in trial.names):
        return numpy.inf
    rounded = _run_with(trial, {n: _round_to(a, bits) for n, a in trial.candidate.arrays.items()})
    ratios = []
    for name in trial.names:
        mask, truth = trial.mask[name], trial.truth[name]
        error, expected = (abs(a - truth)[mask].astype("float64") for a in (trial.returned[name], rounded[name]))
        size, middle = _mean_size(error), float(numpy.median(error)) if error.size else 0.0
        if not 0 < size <= _LOST * _mean_size(truth[mask]) or middle < _EVEN * size:
            return numpy.inf                      # none, too large, or of a few entries only
        ratios.append(size / _mean_size(expected) if expected.any() else numpy.inf)
    return float(numpy.exp(numpy.mean(numpy.log(ratios)))) if ratios else numpy.inf


def _mean_size(a: Array) -> float:
    """The root mean square."""
    return float(numpy.sqrt(numpy.mean(numpy.square(a.astype("float64"))))) if a.size else 0.0


def _round_to(a: Array, bits: int) -> Array:
    """Numbers rounded to a significand of this many bits."""
    fraction, exponent = numpy.frexp(a)
    return numpy.ldexp(numpy.round(numpy.ldexp(fraction, bits)), exponent - bits).astype(a.dtype)


HYPOTHESES = (                                    # what no table holds: it is read off the results
    Hypothesis(_exchange_rows,
               "It agrees if rows of the batch are exchanged: the rows of {} of the reference."),
    Hypothesis(_round_inside,
               "The errors are spread over all results and as large as those of lower precision: something inside is "
               "rounded to about {}."),
)


# the backward pass

def explain_gradients(candidate: Candidate, gradients: dict[str, Array], budgets: Budgets) -> Iterator[str]:
    """Sentences on a backward pass that is wrong, while all results are right."""
    known = list(find_moved(candidate, gradients, budgets))
    short = None if known else _shorten(candidate, gradients, budgets)
    known = known or list(find_missing_terms(*short) if short else ())
    if known:
        yield from known
        return
    yield from _find_lost_carry(candidate, budgets)
    yield from _find_wrong_gates(candidate, gradients, budgets)


def _shorten(candidate: Candidate, gradients: dict[str, Array], budgets: Budgets,
             ) -> tuple[Candidate, dict[str, Array], Budgets] | None:
    """A candidate on its first steps, with its gradients and their budgets; None if it does not run on these."""
    if candidate.size[0] <= _MOST_STEPS:
        return candidate, gradients, budgets
    short = candidate.truncate(_MOST_STEPS)
    call = call_once(short)
    if call.refusals or call.evaluation.back is None:
        return None
    small = measure_budgets(short, numpy.random.default_rng(0), tuple(call.results))
    found, refusals = call_back(call, small.cotangents)
    return None if refusals else (short, found, small)


def _find_lost_carry(candidate: Candidate, budgets: Budgets) -> Iterator[str]:
    """With a gradient at the last step alone: whether it reaches the steps before it."""
    T, dx = candidate.size[0], "d" + candidate.x
    outputs = [n for n in budgets.cotangents if candidate.descriptions[n].time is not None]
    if T < 2 or not outputs:
        return
    impulse = {n: numpy.zeros_like(a) for n, a in budgets.cotangents.items()}
    for n in outputs:
        index = (slice(None),) * (candidate.descriptions[n].time or 0) + (0 if candidate.backwards else T - 1,)
        impulse[n][index] = budgets.cotangents[n][index]
    found, refusals = call_back(call_once(candidate), impulse)
    reference = run_truth(candidate)
    if refusals or dx not in found or reference.back is None:
        return
    want = reference.back({n: a.astype(next(iter(reference.results.values())).dtype) for n, a in impulse.items()})[dx]
    a, b = (numpy.moveaxis(d, candidate.time, 0)[::-1 if candidate.backwards else 1] for d in (found[dx], want))
    if a.shape != b.shape or not b[:-1].any():
        return
    first = next((t for t in range(T) if a[t].any()), 0)         # in the order in which it reads the steps
    if first == T - 1:
        yield ("With a gradient at one step alone, dx is zero at all steps before it: the backward pass hands "
               "nothing on from a step to the step before.")
    elif first and b[:first].any():
        at = T - 1 - first if candidate.backwards else first
        yield (f"With a gradient at the {'first' if candidate.backwards else 'last'} step alone, dx is zero before "
               f"t={at} is read: there the backward pass hands nothing on to the step before.")


def _find_wrong_gates(candidate: Candidate, gradients: dict[str, Array], budgets: Budgets) -> Iterator[str]:
    """The gates whose derivative is wrong on a single step, where a wrong gate spoils no other."""
    from .verdict import judge
    short = candidate.truncate(1)
    call = call_once(short)
    if call.refusals or call.evaluation.back is None:
        return
    small = measure_budgets(short, numpy.random.default_rng(0), tuple(call.results))
    found, refusals = call_back(call, small.cotangents)
    if refusals:
        return
    verdicts = [judge(short, n, short.descriptions[n], small.by_name[n], a) for n, a in found.items()
                if n in small.by_name]
    wrong = [v for v in verdicts if v.row.verdict == "differs"]
    states = {f"d{n}" for n in find_initial(candidate)}
    notes = {note for v in wrong for note in v.row.note.split("; ") if note.startswith("only in gate")}
    if not wrong:
        yield "On one step alone all gradients agree: check what is handed from a step to the step before."
        return
    if states.issuperset(v.name for v in wrong):
        verb = "differs" if len(wrong) == 1 else "differ"
        yield (f"On one step alone only {' and '.join(v.name for v in wrong)} {verb}"
               ": check what is handed from a step to the step before.")
    elif len(notes) == 1:
        gates = next(iter(notes)).removeprefix("only in ")
        factor = next((words for words, predicted in _predict_missing_factors(short, small.cotangents)
                       if _fits(predicted, found, small)), "")
        yield (f"On one step alone the gradients of the weights differ only in {gates}: check the derivative of "
               f"{'this gate' if gates.startswith('gate ') else 'these gates'}{factor}.")


def _fits(predicted: dict[str, Array], found: dict[str, Array], budgets: Budgets) -> bool:
    """Whether gradients are as predicted, to rounding."""
    return all(found[n].shape == a.shape and (abs(found[n] - a) <= 8 * budgets.by_name[n].allowed.max()).all()
               for n, a in predicted.items() if n in found)


def _predict_missing_factors(candidate: Candidate, cotangents: dict[str, Array],
                             ) -> Iterator[tuple[str, dict[str, Array]]]:
    """(words, the gradients of weights) without one factor of the derivative of a gate, on a single step."""
    B = candidate.size[1]
    values = candidate.gate_values(candidate.arrays)
    if not values or B > _MOST_ROWS:
        return
    rows = [candidate.pick_row(b) for b in range(B)]
    backs: list[Any] = [row.run_reference(row.arrays).back for row in rows]
    dps = [back({n: _pick(candidate, n, a, b) for n, a in cotangents.items()}) for b, back in enumerate(backs)]
    for gate, a in values.items():
        for words, factor in ((f"1 - {gate}", 1 - a), (gate, a), (f"1 - {gate}^2", 1 - a * a)):
            predicted = {}
            for n in dps[0]:
                axes = candidate.descriptions[n].axes
                k = next((k for k, axis in enumerate(axes) if axis.kind == "gate" and gate in axis.labels), None)
                if k is not None:
                    scaled = [_scale_block(dp[n], k, axes[k].labels.index(gate), len(axes[k].labels), 1 / factor[b])
                              for b, dp in enumerate(dps)]
                    predicted[n] = sum(scaled)
            if predicted:
                yield f"; the factor {words} is missing there", predicted


def _pick(candidate: Candidate, name: str, a: Array, b: int) -> Array:
    axis = candidate.descriptions[name].batch
    return a if axis is None else numpy.take(a, [b], axis)


def _scale_block(a: Array, axis: int, block: int, blocks: int, factor: Array) -> Array:
    """A copy with one of several equal blocks along an axis multiplied by a vector."""
    a = a.copy()
    size = a.shape[axis] // blocks
    index = (slice(None),) * axis + (slice(block * size, (block + 1) * size),)
    a[index] *= factor.reshape([-1] + [1] * (a.ndim - axis - 1))
    return a
