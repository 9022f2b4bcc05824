"""Two more questions to an engine: what does it refuse, and is anything given to it ignored?  (floor 11)"""
from collections import Counter
from typing import Any, NamedTuple

from ..check.engines import Refused
from ..onnx.attributes import FUNCTIONS, CANONICAL_NAMES
from .changes import OPTIONAL, Change, batch_axis_first
from .misread import time_first, without
from .search import CHAOS, apart, largest

MOVED = CHAOS                                     # by less than this, nothing has changed


class Twin(NamedTuple):
    """Another way to say the same, which the engine may take where it refuses the first."""
    refused: str
    instead: str
    case: Any                                     # case -> case, or None
    outputs: Any = dict                           # the outputs of the twin, as the case has them


def twins():
    yield Twin("layout=1", "with layout=0 and the first two axes swapped",
               lambda case: time_first(case) if case.attributes.get("layout") else None,
               lambda outputs: {n: batch_axis_first(n, a) for n, a in outputs.items()})
    yield Twin("activation names in other case than the text's", "with the names as the text writes them", as_written)
    yield Twin("a node without hidden_size", "with hidden_size given, which R tells too", with_hidden_size)
    yield Twin("activations without their scales", "with the default scales given", with_scales)


def as_written(case):
    names = case.attributes.get("activations", [])
    return told(case, activations=[CANONICAL_NAMES.get(n.lower(), n) for n in names]) if names else None


def with_hidden_size(case):
    return told(case, hidden_size=case.inputs["R"].shape[-1])


def with_scales(case):
    names = [CANONICAL_NAMES.get(n.lower(), n) for n in case.attributes.get("activations", [])]
    lists = {}
    for part in ("alpha", "beta"):
        defaults = [getattr(FUNCTIONS[n], part) for n in names if getattr(FUNCTIONS[n], part) is not None]
        given = list(case.attributes.get(f"activation_{part}", []))
        if len(given) < len(defaults):
            lists[f"activation_{part}"] = given + defaults[len(given):]
    return told(case, **lists)


def told(case, **attributes):
    """The case with these attributes, or None if it has them already."""
    new = case.attributes | attributes
    return None if new == case.attributes else case._replace(attributes=new)


class Refusal(NamedTuple):
    """Why a case is refused, and what comes of it said in another way."""
    about: str
    instead: str = ""
    outputs: Any = None


def why_refused(engine, case):
    """The first way to say the same that the engine takes, or else the first thing without which it runs."""
    for twin in twins():
        same = twin.case(case)
        outputs = same and given_by(engine, same)
        if outputs:
            return Refusal(twin.refused, twin.instead, twin.outputs(outputs))
    for name in OPTIONAL:
        fewer = without(*family(name))(case)
        if fewer and given_by(engine, fewer):
            return Refusal(name)
    return Refusal("")


def family(name):
    """What goes with an attribute or input when it is left out."""
    return {"activations": ("activations", "activation_alpha", "activation_beta"),
            "initial_h": ("initial_h", "initial_c")}.get(name, (name,))


def given_by(engine, case):
    try:
        return engine(case)
    except Refused:
        return None


class Heeded(NamedTuple):
    """Whether leaving something out moves the engine's outputs as it moves the reference's."""
    op: str
    name: str
    moved: int = 0                                # in so many of `tried` cases
    tried: int = 0
    by: float = 0.0                               # the most that the reference moved by


def heeds(engine, truth, results):
    """A `Heeded` for everything that may be left out, of every operator, from the first group that tells."""
    groups: dict = {}
    for result in results:
        for name in ("direction", *OPTIONAL):
            if name in result.case.inputs or name in result.case.attributes:
                groups.setdefault((result.case.op, name), {}).setdefault(result.case.group, []).append(result)
    return [one_heeded(engine, truth, op, name, of) for (op, name), of in groups.items()]


def one_heeded(engine, truth, op, name, groups):
    change, counts, by = Change(f"left out: {name}", "", case=without(*family(name))), Counter(), 0.0
    for results in groups.values():
        for case, got in ((r.case, r.got) for r in results if r.got is not None):
            flipped = truth.outputs(case, (change,))
            away = flipped and moved(truth.outputs(case), flipped, case)
            new = away and away > MOVED and given_by(engine, change.case(case))
            if new:
                by = max(by, away)
                counts[moved(got, new, case) > MOVED] += 1
        if counts:
            break
    return Heeded(op, name, counts[True], counts.total(), by)


def moved(a, b, case):
    """By how much of their largest entry the outputs move, in the one that moves most."""
    return max(apart(a[n], b[n]) / max(1, largest(a[n])) for n in case.outputs)
