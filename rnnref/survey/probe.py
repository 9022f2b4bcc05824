"""Two more tests of an engine: which option makes it refuse a case, and which inputs and attributes it ignores."""
from collections import Counter
from typing import Any, Callable, Iterator, NamedTuple, Optional, Sequence

from ..check.onnx_engines import RefusalError
from ..onnx.attributes import CANONICAL_NAMES, FUNCTIONS
from .cases import Case, Outputs, copy_case
from .effects import CaseEffect, leave_out, to_time_first
from .faults import OPTIONAL, Fault, to_batch_first
from .search import CHAOS_THRESHOLD, Result, Truth, max_difference, max_magnitude

Engine = Callable[[Case], Outputs]
_THRESHOLD = CHAOS_THRESHOLD                      # a smaller relative change is no change


class _Rewrite(NamedTuple):
    """An equivalent form of a node, which an engine may accept where it refuses the original."""
    original: str
    instead: str
    case: CaseEffect
    outputs: Callable[[Outputs], Outputs] = dict  # the outputs of the rewritten case -> those of the original


def _list_rewrites() -> Iterator[_Rewrite]:
    yield _Rewrite("layout=1", "with layout=0 and the first two axes swapped",
                   lambda case: to_time_first(case) if case.attributes.get("layout") else None,
                   lambda outputs: {n: to_batch_first(n, a) for n, a in outputs.items()})
    yield _Rewrite("activation names in upper or lower case", "with the names written as in the specification",
                   _normalize_names)
    yield _Rewrite("a node without hidden_size", "with hidden_size, which the shape of R also gives",
                   _add_hidden_size)
    yield _Rewrite("activations without alpha and beta", "with the default alpha and beta written out",
                   _add_default_scales)


def _normalize_names(case: Case) -> Optional[Case]:
    names = case.attributes.get("activations", [])
    return _set_attributes(case, activations=[CANONICAL_NAMES.get(n.lower(), n) for n in names]) if names else None


def _add_hidden_size(case: Case) -> Optional[Case]:
    return _set_attributes(case, hidden_size=case.inputs["R"].shape[-1])


def _add_default_scales(case: Case) -> Optional[Case]:
    names = [CANONICAL_NAMES.get(n.lower(), n) for n in case.attributes.get("activations", [])]
    lists = {}
    for part in ("alpha", "beta"):
        defaults = [getattr(FUNCTIONS[n], part) for n in names if getattr(FUNCTIONS[n], part) is not None]
        values = list(case.attributes.get(f"activation_{part}", []))
        if len(values) < len(defaults):
            lists[f"activation_{part}"] = values + defaults[len(values):]
    return _set_attributes(case, **lists)


def _set_attributes(case: Case, **attributes: Any) -> Optional[Case]:
    """The case with these attributes, or None if it has them already."""
    new = case.attributes | attributes
    return None if new == case.attributes else case._replace(attributes=new)


class Refusal(NamedTuple):
    """The option that makes an engine refuse a case, and the outputs of an equivalent case that it accepts."""
    topic: str
    instead: str = ""
    outputs: Optional[Outputs] = None


def explain_refusal(engine: Engine, case: Case) -> Refusal:
    """The first equivalent form that the engine accepts, or else the first option without which it runs the case."""
    for rewrite in _list_rewrites():
        rewritten = rewrite.case(case)
        outputs = _try_engine(engine, rewritten) if rewritten else None
        if outputs:
            return Refusal(rewrite.original, rewrite.instead, rewrite.outputs(outputs))
    for name in OPTIONAL:
        shorter = leave_out(*_list_dependents(name))(case)
        if shorter and _try_engine(engine, shorter):
            return Refusal(name)
    return Refusal("")


def _list_dependents(name: str) -> tuple[str, ...]:
    """The inputs and attributes that are left out together with `name`."""
    return {"activations": ("activations", "activation_alpha", "activation_beta"),
            "initial_h": ("initial_h", "initial_c")}.get(name, (name,))


def _try_engine(engine: Engine, case: Case) -> Optional[Outputs]:
    try:
        return engine(copy_case(case))
    except RefusalError:
        return None


class Sensitivity(NamedTuple):
    """Whether the engine's outputs change as the reference's do when an input or attribute is left out."""
    op: str
    name: str
    moved: int = 0                                # the number of cases, of those tried, in which they change
    tried: int = 0
    by: float = 0.0                               # the largest relative change of the reference


def measure_sensitivities(engine: Engine, truth: Truth, results: Sequence[Result]) -> list[Sensitivity]:
    """A `Sensitivity` for every optional input and attribute of every operator.

    Each is measured on the first group of results in which leaving it out changes the reference.
    """
    groups: dict = {}
    for result in results:
        for name in ("direction", *OPTIONAL):
            if name in result.case.inputs or name in result.case.attributes:
                groups.setdefault((result.case.op, name), {}).setdefault(result.case.group, []).append(result)
    return [_measure_sensitivity(engine, truth, op, name, by_group) for (op, name), by_group in groups.items()]


def _measure_sensitivity(engine: Engine, truth: Truth, op: str, name: str,
                         by_group: dict[str, list[Result]]) -> Sensitivity:
    effect: Any = leave_out(*_list_dependents(name))
    fault, counts, largest = Fault(f"left out: {name}", "", case=effect), Counter(), 0.0
    for results in by_group.values():
        for case, got in ((r.case, r.got) for r in results if r.got is not None):
            expected = truth.outputs(case, (fault,))
            change = expected and _measure_change(truth.outputs(case), expected, case)
            new = change and change > _THRESHOLD and _try_engine(engine, effect(case))
            if new:
                largest = max(largest, change)
                counts[_measure_change(got, new, case) > _THRESHOLD] += 1
        if counts:
            break
    return Sensitivity(op, name, counts[True], counts.total(), largest)


def _measure_change(a: Any, b: Any, case: Case) -> float:
    """The change of the outputs relative to their largest entry, in the output that changes most."""
    return max(max_difference(a[n], b[n]) / max(1, max_magnitude(a[n])) for n in case.outputs)
