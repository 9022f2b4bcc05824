"""Two more questions to an engine: what does it refuse, and is anything given to it ignored?  (floor 11)"""
from collections import Counter
from typing import Any, NamedTuple

from ..check.onnx_engines import RefusalError
from ..onnx.attributes import CANONICAL_NAMES, FUNCTIONS
from .effects import leave_out, to_time_first
from .faults import OPTIONAL, Fault, to_batch_first
from .search import CHAOS_THRESHOLD, max_difference, max_magnitude

_THRESHOLD = CHAOS_THRESHOLD                                     # by less than this, nothing has changed


class _Rewrite(NamedTuple):
    """Another way to say the same, which the engine may take where it refuses the first."""
    refused: str
    instead: str
    case: Any                                     # case -> case, or None
    outputs: Any = dict                           # the outputs of the twin, as the case has them


def _list_rewrites():
    yield _Rewrite("layout=1", "with layout=0 and the first two axes swapped",
               lambda case: to_time_first(case) if case.attributes.get("layout") else None,
               lambda outputs: {n: to_batch_first(n, a) for n, a in outputs.items()})
    yield _Rewrite("activation names in other case than the text's", "with the names as the text writes them", _normalize_names)
    yield _Rewrite("a node without hidden_size", "with hidden_size given, which R tells too", _add_hidden_size)
    yield _Rewrite("activations without their scales", "with the default scales given", _add_default_scales)


def _normalize_names(case):
    names = case.attributes.get("activations", [])
    return _set_attributes(case, activations=[CANONICAL_NAMES.get(n.lower(), n) for n in names]) if names else None


def _add_hidden_size(case):
    return _set_attributes(case, hidden_size=case.inputs["R"].shape[-1])


def _add_default_scales(case):
    names = [CANONICAL_NAMES.get(n.lower(), n) for n in case.attributes.get("activations", [])]
    lists = {}
    for part in ("alpha", "beta"):
        defaults = [getattr(FUNCTIONS[n], part) for n in names if getattr(FUNCTIONS[n], part) is not None]
        given = list(case.attributes.get(f"activation_{part}", []))
        if len(given) < len(defaults):
            lists[f"activation_{part}"] = given + defaults[len(given):]
    return _set_attributes(case, **lists)


def _set_attributes(case, **attributes):
    """The case with these attributes, or None if it has them already."""
    new = case.attributes | attributes
    return None if new == case.attributes else case._replace(attributes=new)


class Refusal(NamedTuple):
    """Why a case is refused, and what comes of it said in another way."""
    about: str
    instead: str = ""
    outputs: Any = None


def explain_refusal(engine, case):
    """The first way to say the same that the engine takes, or else the first thing without which it runs."""
    for twin in _list_rewrites():
        same = twin.case(case)
        outputs = same and _try_engine(engine, same)
        if outputs:
            return Refusal(twin.refused, twin.instead, twin.outputs(outputs))
    for name in OPTIONAL:
        fewer = leave_out(*_list_dependents(name))(case)
        if fewer and _try_engine(engine, fewer):
            return Refusal(name)
    return Refusal("")


def _list_dependents(name):
    """What goes with an attribute or input when it is left out."""
    return {"activations": ("activations", "activation_alpha", "activation_beta"),
            "initial_h": ("initial_h", "initial_c")}.get(name, (name,))


def _try_engine(engine, case):
    try:
        return engine(case)
    except RefusalError:
        return None


class Sensitivity(NamedTuple):
    """Whether leaving something out moves the engine's outputs as it moves the reference's."""
    op: str
    name: str
    moved: int = 0                                # in so many of `tried` cases
    tried: int = 0
    by: float = 0.0                               # the most that the reference moved by


def measure_sensitivities(engine, truth, results):
    """A `Heeded` for everything that may be left out, of every operator, from the first group that tells."""
    groups: dict = {}
    for result in results:
        for name in ("direction", *OPTIONAL):
            if name in result.case.inputs or name in result.case.attributes:
                groups.setdefault((result.case.op, name), {}).setdefault(result.case.group, []).append(result)
    return [_measure_sensitivity(engine, truth, op, name, of) for (op, name), of in groups.items()]


def _measure_sensitivity(engine, truth, op, name, groups):
    change, counts, by = Fault(f"left out: {name}", "", case=leave_out(*_list_dependents(name))), Counter(), 0.0
    for results in groups.values():
        for case, got in ((r.case, r.got) for r in results if r.got is not None):
            flipped = truth.outputs(case, (change,))
            away = flipped and _measure_change(truth.outputs(case), flipped, case)
            new = away and away > _THRESHOLD and _try_engine(engine, change.case(case))
            if new:
                by = max(by, away)
                counts[_measure_change(got, new, case) > _THRESHOLD] += 1
        if counts:
            break
    return Sensitivity(op, name, counts[True], counts.total(), by)


def _measure_change(a, b, case):
    """By how much of their largest entry the outputs move, in the one that moves most."""
    return max(max_difference(a[n], b[n]) / max(1, max_magnitude(a[n])) for n in case.outputs)
