"""One subject checked: what it hides is brought out, it is called, measured and judged.  (floor 10)"""
from dataclasses import replace

import numpy

from .budget import FACTOR, measure_budgets
from .candidate import GRADIENT, OUTPUT
from .findings import describe_findings, join_names
from .onnx_engines import RefusalError
from .report import Report
from .row import Row
from .verdict import Verdict, judge

_BIAS_SCALE = 0.3                                        # how large biases are drawn that were all zero


def check_candidate(candidate, rng, gradients=True, factor=FACTOR, perturb_biases=True, seed=None):
    """The `Report` on a subject."""
    candidate, notes = randomize_zeros(candidate, rng, perturb_biases)
    verdicts, measured, found = compare_results(candidate, rng, gradients, factor)
    return Report(candidate.title, [v.row for v in verdicts], candidate.facts | measured | _collect_facts(candidate, seed),
                  [*found, *notes])


def compare_results(candidate, rng, gradients=True, factor=FACTOR):
    """The verdicts on all that the candidate gives, facts about how, and sentences."""
    answer, refusal = _attempt("the call", OUTPUT, lambda: candidate.run_candidate(candidate.arrays))
    if refusal:
        return [refusal], {}, [f"The candidate refuses: {refusal.row.note}"]
    got = {name: numpy.asarray(a) for name, a in answer.results.items()}
    yardstick, places = measure_budgets(candidate, rng, tuple(got) if gradients and answer.back else (), factor), candidate.describe_arrays()
    verdicts, facts = [], yardstick.facts
    if yardstick.cotangents:
        back, refusal = _attempt("the way back", GRADIENT, lambda: answer.back(yardstick.cotangents))
        got |= {} if refusal else back
        verdicts += [refusal] if refusal else []
    elif gradients:
        facts = {"gradients": "not compared: the candidate gives none"} | facts
    verdicts = [judge(candidate, name, places[name], budget, got[name])
                for name, budget in yardstick.by_name.items() if name in got] + verdicts
    missing = [name for name in yardstick.by_name if name not in got]
    facts |= {"not given": f"by the candidate, so not compared: {' '.join(missing)}"} if missing else {}
    return verdicts, facts, list(describe_findings(candidate, yardstick, verdicts, rng))


def _attempt(what, group, call):
    """(result, None), or (None, the verdict that says what the candidate raised)."""
    try:
        return call(), None
    except Exception as e:                        # whatever a candidate raises is its refusal, and is shown
        said = " ".join(("" if isinstance(e, RefusalError) else f"{type(e).__name__}: ").split() + str(e).split())
        said = said if len(said) < 400 else said[:397] + "..."
        return None, Verdict(what, Row(what, group, verdict="refused", note=said))


def randomize_zeros(candidate, rng, perturb_biases):
    """The subject with nothing in it that hides mistakes, where that can be changed, and sentences about it."""
    notes, arrays = [], dict(candidate.arrays)
    zero = [name for name in candidate.biases if arrays[name].size and not arrays[name].any()]
    if zero:
        drawn = perturb_biases and candidate.settable
        for name in zero if drawn else ():
            arrays[name] = (_BIAS_SCALE * rng.standard_normal(arrays[name].shape)).astype(candidate.dtype)
        notes.append(f"All zero: {join_names(zero)}.  That hides mistakes with biases, and nearly all of a GRU: "
                     + ("random ones took their place, in a copy." if drawn else "check again with others."))
    dead = candidate.padding_mask()
    if dead is not None and dead.any():
        x = arrays[candidate.x] = arrays[candidate.x].copy()
        here = dead if candidate.time == 0 else dead.T
        if not x[here].any():
            x[here] = rng.standard_normal(x[here].shape)
            notes.append("The padding of x was all zero, which hides a candidate that reads it: random numbers took "
                         "its place.")
    return replace(candidate, arrays=arrays), notes


def _collect_facts(candidate, seed):
    from .. import __version__
    shapes = {name: a.shape for name, a in candidate.arrays.items()}
    said = {candidate.x: shapes[candidate.x]} | {n: s for n, s in shapes.items() if n != candidate.x}
    lengths = {} if candidate.lengths is None else {"lengths": str(numpy.asarray(candidate.lengths).tolist())}
    return {"shapes": ", ".join(f"{n} {s}" for n, s in said.items()), **lengths, "seed": seed,
            "rnnref": __version__, "numpy": numpy.__version__}
