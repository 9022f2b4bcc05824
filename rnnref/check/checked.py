"""One subject checked: what it hides is brought out, it is called, measured and judged.  (floor 10)"""
from dataclasses import replace

import numpy

from .budget import FACTOR, measure
from .engines import Refused
from .judge import Verdict, judge
from .report import Report
from .rows import Row
from .sentences import findings, listed
from .subject import GRADIENT, OUTPUT

BIAS = 0.3                                        # how large biases are drawn that were all zero


def checked(subject, rng, gradients=True, factor=FACTOR, perturb_biases=True, seed=None):
    """The `Report` on a subject."""
    subject, notes = brought_out(subject, rng, perturb_biases)
    verdicts, measured, found = compared(subject, rng, gradients, factor)
    return Report(subject.title, [v.row for v in verdicts], subject.facts | measured | sizes(subject, seed),
                  [*found, *notes])


def compared(subject, rng, gradients=True, factor=FACTOR):
    """The verdicts on all that the candidate gives, facts about how, and sentences."""
    answer, refusal = attempt("the call", OUTPUT, lambda: subject.answer(subject.given))
    if refusal:
        return [refusal], {}, [f"The candidate refuses: {refusal.row.note}"]
    got = {name: numpy.asarray(a) for name, a in answer.results.items()}
    yardstick, places = measure(subject, rng, tuple(got) if gradients and answer.back else (), factor), subject.places()
    verdicts, facts = [], yardstick.facts
    if yardstick.cotangents:
        back, refusal = attempt("the way back", GRADIENT, lambda: answer.back(yardstick.cotangents))
        got |= {} if refusal else back
        verdicts += [refusal] if refusal else []
    elif gradients:
        facts = {"gradients": "not compared: the candidate gives none"} | facts
    verdicts = [judge(subject, name, places[name], budget, got[name])
                for name, budget in yardstick.budgets.items() if name in got] + verdicts
    missing = [name for name in yardstick.budgets if name not in got]
    facts |= {"not given": f"by the candidate, so not compared: {' '.join(missing)}"} if missing else {}
    return verdicts, facts, list(findings(subject, yardstick, verdicts, rng))


def attempt(what, group, call):
    """(result, None), or (None, the verdict that says what the candidate raised)."""
    try:
        return call(), None
    except Exception as e:                        # whatever a candidate raises is its refusal, and is shown
        said = " ".join(("" if isinstance(e, Refused) else f"{type(e).__name__}: ").split() + str(e).split())
        said = said if len(said) < 400 else said[:397] + "..."
        return None, Verdict(what, Row(what, group, verdict="refused", note=said))


def brought_out(subject, rng, perturb_biases):
    """The subject with nothing in it that hides mistakes, where that can be changed, and sentences about it."""
    notes, given = [], dict(subject.given)
    zero = [name for name in subject.biases if given[name].size and not given[name].any()]
    if zero:
        drawn = perturb_biases and subject.settable
        for name in zero if drawn else ():
            given[name] = (BIAS * rng.standard_normal(given[name].shape)).astype(subject.dtype)
        notes.append(f"All zero: {listed(zero)}.  That hides mistakes with biases, and nearly all of a GRU: "
                     + ("random ones took their place, in a copy." if drawn else "check again with others."))
    dead = subject.dead()
    if dead is not None and dead.any():
        x = given[subject.x] = given[subject.x].copy()
        here = dead if subject.time == 0 else dead.T
        if not x[here].any():
            x[here] = rng.standard_normal(x[here].shape)
            notes.append("The padding of x was all zero, which hides a candidate that reads it: random numbers took "
                         "its place.")
    return replace(subject, given=given), notes


def sizes(subject, seed):
    from .. import __version__
    shapes = {name: a.shape for name, a in subject.given.items()}
    said = {subject.x: shapes[subject.x]} | {n: s for n, s in shapes.items() if n != subject.x}
    lengths = {} if subject.lengths is None else {"lengths": str(numpy.asarray(subject.lengths).tolist())}
    return {"shapes": ", ".join(f"{n} {s}" for n, s in said.items()), **lengths, "seed": seed,
            "rnnref": __version__, "numpy": numpy.__version__}
