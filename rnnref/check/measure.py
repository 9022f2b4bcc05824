"""Run one candidate, measure its errors and return the report."""
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy

from ..arrays import Array
from .budget import FACTOR, measure_budgets
from .candidate import GRADIENT, OUTPUT, Candidate
from .findings import describe_findings, join_names
from .onnx_engines import RefusalError
from .report import Report
from .row import Row
from .verdict import Verdict, judge

C = TypeVar("C", bound=Candidate)
_BIAS_SCALE = 0.3                                 # the standard deviation of biases drawn in place of zeros
_MESSAGE_LENGTH = 400


def check_candidate(candidate: Candidate, rng: numpy.random.Generator, gradients: bool = True, factor: float = FACTOR,
                    perturb_biases: bool = True, seed: int | None = None) -> Report:
    """The `Report` on a candidate."""
    candidate, notes = randomize_zeros(candidate, rng, perturb_biases)
    verdicts, measured, findings = compare_results(candidate, rng, gradients, factor)
    return Report(candidate.title, [v.row for v in verdicts],
                  candidate.facts | measured | _collect_facts(candidate, seed), [*findings, *notes])


def compare_results(candidate: Candidate, rng: numpy.random.Generator, gradients: bool = True, factor: float = FACTOR,
                    ) -> tuple[list[Verdict], dict[str, Any], list[str]]:
    """Verdicts on everything that the candidate returns, facts on how they were reached, and findings."""
    evaluation, refusal = _attempt("the call", OUTPUT, lambda: candidate.run_candidate(candidate.arrays))
    if refusal:
        return [refusal], {}, [f"The candidate could not be run: {refusal.row.note}"]
    returned = {name: numpy.asarray(a) for name, a in evaluation.results.items()}
    budgets = measure_budgets(candidate, rng, tuple(returned) if gradients and evaluation.back else (), factor)
    refusals, facts = [], budgets.facts
    if budgets.cotangents:
        found, refusal = _attempt("the backward pass", GRADIENT, lambda: evaluation.back(budgets.cotangents))
        returned |= {} if refusal else found
        refusals += [refusal] if refusal else []
    elif gradients:
        facts = {"gradients": "not compared: the candidate has no backward pass"} | facts
    descriptions = candidate.descriptions
    verdicts = [judge(candidate, name, descriptions[name], budget, returned[name])
                for name, budget in budgets.by_name.items() if name in returned]
    missing = [name for name in budgets.by_name if name not in returned]
    facts |= {"not compared": f"{' '.join(missing)}: the candidate does not return them"} if missing else {}
    return verdicts + refusals, facts, list(describe_findings(candidate, budgets, verdicts, rng))


def _attempt(name: str, group: str, call: Callable) -> tuple[Any, Verdict | None]:
    """(result, None), or (None, a verdict "refused" with the message of the exception)."""
    try:
        return call(), None
    except Exception as e:                        # any exception of a candidate is its refusal, and is reported
        message = " ".join(("" if isinstance(e, RefusalError) else f"{type(e).__name__}: ").split() + str(e).split())
        message = message if len(message) < _MESSAGE_LENGTH else message[:_MESSAGE_LENGTH - 3] + "..."
        return None, Verdict(name, Row(name, group, verdict="refused", note=message))


def randomize_zeros(candidate: C, rng: numpy.random.Generator, perturb_biases: bool,
                    ) -> tuple[C, list[str]]:
    """The candidate with random numbers in place of all-zero biases and padding, which hide mistakes; and findings."""
    notes, arrays = [], dict(candidate.arrays)
    zero = [name for name in candidate.biases if arrays[name].size and not arrays[name].any()]
    if zero:
        replaced = perturb_biases and candidate.settable
        for name in zero if replaced else ():
            arrays[name] = (_BIAS_SCALE * rng.standard_normal(arrays[name].shape)).astype(candidate.dtype)
        notes.append(f"All zero: {join_names(zero)}. Zero biases hide mistakes in how biases are used, above all in a "
                     f"GRU: {'a copy with random ones was checked' if replaced else 'check again with other biases'}.")
    x = _randomize_padding(candidate, rng)
    if x is not None:
        arrays[candidate.x] = x
        notes.append("The padding of x was all zero, which hides a candidate that reads it: a copy with random numbers "
                     "there was checked.")
    return replace(candidate, arrays=arrays), notes


def _randomize_padding(candidate: Candidate, rng: numpy.random.Generator) -> Array | None:
    """A copy of x with random numbers in its padding, if there is padding and it is all zero."""
    padded = candidate.padding_mask()
    if padded is None or not padded.any():
        return None
    x, padded = candidate.arrays[candidate.x].copy(), padded if candidate.time == 0 else padded.T
    if x[padded].any():
        return None
    x[padded] = rng.standard_normal(x[padded].shape)
    return x


def _collect_facts(candidate: Candidate, seed: int | None) -> dict[str, Any]:
    from .. import __version__
    shapes = {name: a.shape for name, a in candidate.arrays.items()}
    x_first = {candidate.x: shapes[candidate.x]} | shapes
    lengths = {} if candidate.lengths is None else {"lengths": str(numpy.asarray(candidate.lengths).tolist())}
    return {"shapes": ", ".join(f"{name} {shape}" for name, shape in x_first.items()), **lengths, "seed": seed,
            "rnnref": __version__, "numpy": numpy.__version__}
