"""Calls of a candidate: on copies of its arguments, again on other numbers, and again on the same ones."""
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from .budget import Budgets, count_multiplications, measure_budgets, widen_budgets
from .candidate import GRADIENT, OUTPUT, Candidate, Evaluation
from .onnx_engines import RefusalError
from .row import Row
from .verdict import Verdict, judge

_MESSAGE_LENGTH = 400
_NEAR = 3.0                                       # times its budget: an error that is measured again
_BACKWARD_WORK = 2e9                              # the most multiplications of a second backward pass on other numbers


class Call(NamedTuple):
    """One call of a candidate, and its backward pass."""
    candidate: Candidate
    evaluation: Evaluation
    results: dict[str, Array]                     # copies of what the call returned
    refusals: list[Verdict]
    gradients: dict[str, tuple[Array, Array]]     # as its backward pass returned them, and copies
    changed: list[str]                            # arguments that its backward pass has changed

    @property
    def overwritten(self) -> list[str]:
        """The names of results and gradients whose arrays hold other numbers than when they were returned."""
        returned = {name: (numpy.asarray(a), self.results[name]) for name, a in self.evaluation.results.items()}
        return [name for name, (now, before) in (returned | self.gradients).items() if not _is_same(now, before)]


def attempt(name: str, group: str, call: Callable) -> tuple[Any, Verdict | None]:
    """(result, None), or (None, a verdict "refused" with the message of the exception)."""
    try:
        return call(), None
    except Exception as e:                        # any exception of a candidate is its refusal, and is reported
        message = " ".join(("" if isinstance(e, RefusalError) else f"{type(e).__name__}: ").split() + str(e).split())
        message = message if len(message) < _MESSAGE_LENGTH else message[:_MESSAGE_LENGTH - 3] + "..."
        return None, Verdict(name, Row(name, group, verdict="refused", note=message))


def call_once(candidate: Candidate, name: str = "the call") -> Call:
    """One forward pass, on copies of all arguments."""
    evaluation, refusal = attempt(name, OUTPUT, lambda: candidate.run_candidate(
        {n: a.copy() for n, a in candidate.arrays.items()}))
    if refusal:
        return Call(candidate, Evaluation({}), {}, [refusal], {}, [])
    return Call(candidate, evaluation, {n: numpy.array(a) for n, a in evaluation.results.items()}, [], {}, [])


def find_changed(call: Call) -> list[str]:
    """The names of arguments that the candidate has changed, added or removed."""
    if call.evaluation.given is None:
        return call.changed
    given, own = call.evaluation.given(), call.candidate.arrays | {"lengths": numpy.asarray(call.candidate.lengths)}
    changed = [n for n, a in given.items() if n not in own or not _is_same(numpy.asarray(a), own[n])]
    return [*changed, *(n for n in call.evaluation.expected if n not in given), *call.changed]


def call_back(call: Call, cotangents: dict[str, Array], name: str = "the backward pass",
              ) -> tuple[dict[str, Array], list[Verdict]]:
    """The gradients that belong to a call, and what was refused."""
    back = call.evaluation.back
    if not cotangents or back is None:
        return {}, []
    given = {n: a.copy() for n, a in cotangents.items()}
    found, refusal = attempt(name, GRADIENT, lambda: back(given))
    if refusal:
        return {}, [refusal]
    call.changed.extend(f"the gradient of {n}" for n, a in given.items() if not _is_same(a, cotangents[n]))
    call.gradients.update({n: (numpy.asarray(a), numpy.array(a)) for n, a in found.items()})
    return {n: copy for n, (_, copy) in call.gradients.items()}, []


def judge_all(candidate: Candidate, budgets: Budgets, returned: dict[str, Array]) -> list[Verdict]:
    """Verdicts on everything that was returned and has a budget."""
    return [judge(candidate, name, candidate.descriptions[name], budget, returned[name])
            for name, budget in budgets.by_name.items() if name in returned]


def judge_near(candidate: Candidate, budgets: Budgets, returned: dict[str, Array], rng: numpy.random.Generator,
               factor: float) -> tuple[list[Verdict], Budgets]:
    """Verdicts on everything, and the budgets: with more companions where only errors near the budget differ."""
    verdicts = judge_all(candidate, budgets, returned)
    ratios = [v.row.ratio for v in verdicts if v.row.verdict == "differs"]
    if not ratios or max(ratios) > _NEAR or any(v.row.verdict == "differs" and v.exceeds is None for v in verdicts):
        return verdicts, budgets
    budgets = widen_budgets(candidate, rng, budgets, factor)
    return judge_all(candidate, budgets, returned), budgets


def check_further_calls(first: Call, budgets: Budgets, gradients: dict[str, Array], known: set[str],
                        rng: numpy.random.Generator, factor: float) -> Iterator[Verdict]:
    """Verdicts "differs" and "refused" on what a candidate does in further calls, and to its arguments.

    gradients  of the first call
    known      the names of what differs in the first call, where a further call says nothing new
    """
    changed = find_changed(first)
    if changed:
        yield _make_verdict("arguments", changed, "the call changes its arguments: {}")
    yield from _check_other_numbers(first, bool(gradients), known, rng, factor)
    overwritten = first.overwritten
    if overwritten:
        yield _make_verdict("buffers", overwritten, "a further call overwrites what the first one returned: {}")
    yield from _check_same_numbers(first, budgets, gradients)
    yield from _check_inference(first, budgets)


def _check_other_numbers(first: Call, back: bool, known: set[str], rng: numpy.random.Generator, factor: float,
                         ) -> Iterator[Verdict]:
    """A second call, on other numbers and without the initial states that can be left out."""
    stateless = bool(first.candidate.initial)
    label = "no initial state" if stateless else "second call"
    other = first.candidate.redraw(rng)
    second = call_once(other, "the call without initial states" if stateless else "the second call")
    if second.refusals:
        yield from second.refusals
        return
    gradients = tuple(second.results) if back and count_multiplications(other) <= _BACKWARD_WORK else ()
    budgets = measure_budgets(other, rng, gradients, factor)
    found, refusals = call_back(second, budgets.cotangents, f"the backward pass ({label})")
    verdicts, _ = judge_near(other, budgets, second.results | found, rng, factor)
    wrong = [v for v in verdicts if v.row.verdict == "differs"]
    if stateless and wrong and not known:
        label = _find_cause(first, rng, factor) or label
    if wrong and not known and all(_is_same(a, first.results[n]) for n, a in second.results.items()):
        label = "remembered from the first call"
    yield from refusals
    for v in wrong:
        if v.name not in known:
            yield v._replace(name=f"{v.name} ({label})", row=v.row._replace(name=f"{v.name} ({label})"))


def _find_cause(first: Call, rng: numpy.random.Generator, factor: float) -> str:
    """"second call" if a candidate is wrong on other numbers with initial states too; else ""."""
    other = first.candidate.redraw(rng, start=True)
    again = call_once(other)
    wrong = [v for v in judge_all(other, measure_budgets(other, rng, (), factor), again.results)
             if v.row.verdict == "differs"]
    return "second call" if wrong or again.refusals else ""


def _check_same_numbers(first: Call, budgets: Budgets, gradients: dict[str, Array]) -> Iterator[Verdict]:
    """A third call on the numbers of the first one: all that it returns must be the same to rounding."""
    again = call_once(first.candidate, "the third call")
    found, refusals = call_back(again, budgets.cotangents if gradients else {}, "the backward pass (third call)")
    yield from again.refusals + refusals
    returned, before = again.results | found, first.results | gradients
    differ = [n for n, budget in budgets.by_name.items() if n in returned and n in before
              and not _is_near(returned[n], before[n], budget.allowed, budget.comparable)]
    if differ:
        yield _make_verdict("further calls", differ, "a further call on the same numbers returns others: {}")


def _check_inference(first: Call, budgets: Budgets) -> Iterator[Verdict]:
    """A call in which no gradients are wanted, on the numbers of the first one: its results must be the same."""
    candidate = first.candidate
    returned, refusal = attempt("the call without gradients", OUTPUT, lambda: candidate.run_inference(
        {n: a.copy() for n, a in candidate.arrays.items()}))
    if refusal:
        yield refusal
    differ = [n for n, a in (returned or {}).items() if n in budgets.by_name and n in first.results and not _is_near(
        a, first.results[n], budgets.by_name[n].allowed, budgets.by_name[n].comparable)]
    if differ:
        yield _make_verdict("inference", differ, "where no gradients are recorded, in evaluation mode, it returns "
                            "others: {}")


def _make_verdict(name: str, arrays: list[str], words: str) -> Verdict:
    return Verdict(name, Row(name, "calls", verdict="differs", note=words.format(", ".join(arrays))))


def _is_same(a: Array, b: Array) -> bool:
    return a.shape == b.shape and numpy.array_equal(a, b, equal_nan=a.dtype.kind == "f" and b.dtype.kind == "f")


def _is_near(a: Array, b: Array, allowed: Array, comparable: Array) -> bool:
    """Whether two results are the same to rounding, where they are comparable."""
    if a.shape != b.shape or a.shape != allowed.shape or a.dtype.kind not in "fiu":
        return _is_same(a, b)
    error = numpy.where(a == b, 0.0, abs(a.astype("float64") - b.astype("float64")))
    return bool((~comparable | (error <= 2 * allowed) | (numpy.isnan(a) & numpy.isnan(b))).all())
