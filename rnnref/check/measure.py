"""Run one candidate, measure its errors and return the report."""
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import numpy

from ..arrays import Array
from ..errors import Error, ShapeError
from .budget import FACTOR, find_nonfinite, measure_budgets, run_truth
from .calls import call_back, call_once, check_further_calls, judge_near
from .candidate import GRADIENT, Candidate, Watch
from .findings import describe_findings, join_names
from .gate_errors import measure_gates
from .hypotheses import Reason, explain_results
from .report import Report
from .reproduce import list_arrays
from .row import GateErrors
from .single_steps import check_single_steps
from .verdict import Verdict

C = TypeVar("C", bound=Candidate)
_BIAS_SCALE = 0.3                                 # the standard deviation of biases drawn in place of zeros


class Comparisons(NamedTuple):
    """What `compare_results` found: verdicts, facts on how they were reached, findings, and the errors of gates."""
    verdicts: list[Verdict]
    facts: dict[str, Any]
    findings: list[str]
    gates: GateErrors = GateErrors()


def check_candidate(candidate: Candidate, rng: numpy.random.Generator, gradients: bool = True, factor: float = FACTOR,
                    perturb_biases: bool = True, seed: int | None = None, strict: bool = False,
                    progress: Watch | None = None) -> Report:
    """The `Report` on a candidate."""
    _check_numbers(candidate)
    own = {n: numpy.array(a) for n, a in candidate.arrays.items()}           # the caller's arrays may change
    candidate = replace(candidate, arrays=own, watch=progress or candidate.watch)
    with numpy.errstate(all="ignore"):            # what overflows is in the report
        candidate, notes = randomize_zeros(candidate, rng, perturb_biases)
        found = compare_results(candidate, rng, gradients, factor)
    return Report(candidate.title, [v.row for v in found.verdicts],
                  candidate.facts | found.facts | _collect_facts(candidate, seed), [*found.findings, *notes],
                  strict=strict, arrays=list_arrays(candidate), gates=found.gates)


def _check_numbers(candidate: Candidate) -> None:
    """Raise an error for arrays that are not finite and lengths that do not fit: these are the caller's."""
    nonfinite = find_nonfinite(candidate.arrays)
    if nonfinite:
        raise Error("verify", f"{join_names(nonfinite)} {'holds' if len(nonfinite) == 1 else 'hold'} NaN or infinities",
                    reason="the reference gives no finite numbers to compare with", fix="give finite numbers")
    if candidate.lengths is None:
        return
    (T, B), lengths = candidate.size, numpy.asarray(candidate.lengths)
    if lengths.shape != (B,):
        raise ShapeError("verify", f"lengths has shape {lengths.shape}, expected ({B},)", axes=f"a batch of {B} rows")
    if B and not (0 <= lengths.min() and lengths.max() <= T):
        raise ShapeError("verify", f"lengths are {lengths.tolist()}, expected each from 0 to {T}", axes=f"{T} steps")


def compare_results(candidate: Candidate, rng: numpy.random.Generator, gradients: bool = True, factor: float = FACTOR,
                    explained: bool = True) -> Comparisons:
    """Compare everything that the candidate returns; `explained`: and say why it differs."""
    reference = run_truth(candidate)              # first: arguments that do not fit are errors of the caller
    first = call_once(candidate)
    if first.refusals:
        return Comparisons(first.refusals, {}, [f"The candidate could not be run: {first.refusals[0].row.note}"])
    back = gradients and first.evaluation.back is not None
    budgets = measure_budgets(candidate, rng, tuple(first.results) if back else (), factor, reference)
    found, refusals = call_back(first, budgets.cotangents)
    facts = {"gradients": "not compared: the candidate has no backward pass"} if gradients and not back else {}
    returned = first.results | found
    verdicts, budgets = judge_near(candidate, budgets, returned, rng, factor)
    known = {v.name for v in verdicts if v.row.verdict == "differs"}
    further = [*check_single_steps(candidate, returned, verdicts, rng, factor),
               *check_further_calls(first, budgets, found, known, rng, factor)]
    missing = [name for name in budgets.by_name if name not in returned]
    unknown = [f"{name} ({a.dtype})" for name, a in returned.items() if name not in budgets.by_name]
    open_names = [*([f"{' '.join(missing)}: the candidate does not return them"] if missing else []),
                  *([f"{' '.join(unknown)}: the reference has no floating numbers of these names"] if unknown else [])]
    facts |= budgets.facts | _describe_starts(candidate)
    facts |= {"not compared": "; ".join(open_names)} if open_names else {}
    all_verdicts = verdicts + refusals + further
    if not explained:
        return Comparisons(all_verdicts, facts, [])
    wrong = [v for v in verdicts if v.row.verdict == "differs" and v.row.group != GRADIENT]
    numbers = any(not v.row.note.startswith("dtype") for v in wrong)
    reason = explain_results(candidate, budgets, returned, rng) if numbers else Reason()
    gates, suspected = measure_gates(candidate, returned, verdicts, budgets, reason.cause, bool(reason.sentences))
    findings = describe_findings(candidate, budgets, verdicts, further, returned, rng, reason.sentences, suspected)
    elsewhere = [] if known else _explain_second_call(candidate, further, rng, factor)
    return Comparisons(all_verdicts, facts, [*elsewhere, *findings], gates)


def _explain_second_call(candidate: Candidate, further: list[Verdict], rng: numpy.random.Generator, factor: float,
                         ) -> list[str]:
    """Why a candidate that is right on the given numbers is wrong on others, where a mistake explains these."""
    if not any("(second call)" in v.name for v in further):
        return []
    other = candidate.redraw(rng, start=bool(candidate.initial))
    again, budgets = call_once(other), measure_budgets(other, rng, (), factor)
    if all(v.row.verdict != "differs" for v in judge_near(other, budgets, again.results, rng, factor)[0]):
        return []
    reason = explain_results(other, budgets, again.results, rng)
    return [f"On other numbers: {sentence}" for sentence in reason.sentences] if reason.cause else []


def _describe_starts(candidate: Candidate) -> dict[str, str]:
    """From which initial states the candidate was run."""
    both = "random; and in a second call, on other numbers, no initial state is given"
    start = both if candidate.initial else candidate.start
    return {"initial states": start} if start else {}


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
    if candidate.mask is not None:
        lengths = {"mask": f"False at {int((~candidate.mask).sum())} of {candidate.mask.size} steps of all rows"}
    return {"shapes": ", ".join(f"{name} {shape}" for name, shape in x_first.items()), **lengths, "seed": seed,
            "rnnref": __version__, "numpy": numpy.__version__}
