"""Two more tests of an engine: which option makes it refuse a case, and which inputs and attributes it ignores."""
from collections import Counter
from typing import Any, Callable, Iterator, NamedTuple, Optional, Sequence

from ..arrays import Array
from ..check.onnx_engines import RefusalError
from ..errors import Error
from ..onnx.attributes import CANONICAL_NAMES, FUNCTIONS
from .cases import Case, Outputs, copy_case, swap_batch_and_time
from .search import CHAOS_THRESHOLD, Result, Truth, max_difference, max_magnitude, run_reference
from .specification import OPTIONAL

Engine = Callable[[Case], Outputs]
CaseEffect = Callable[[Case], Optional[Case]]     # None: the case would not change
_THRESHOLD = CHAOS_THRESHOLD                      # a smaller relative change is no change


def leave_out(*names: str) -> CaseEffect:
    """The case without these inputs and attributes; None where it has none of them."""
    def effect(case: Case) -> Optional[Case]:
        if not any(n in case.inputs or n in case.attributes for n in names):
            return None
        inputs, attributes = ({n: v for n, v in d.items() if n not in names} for d in (case.inputs, case.attributes))
        return case._replace(inputs=inputs, attributes=attributes)
    return effect


def _to_time_first(case: Case) -> Optional[Case]:
    """The same computation with layout=0."""
    if not case.attributes.get("layout"):
        return None
    attributes = {n: v for n, v in case.attributes.items() if n != "layout"}
    return swap_batch_and_time(case)._replace(attributes=attributes)      # swapping two axes is its own inverse


def _to_batch_first(name: str, a: Array) -> Array:
    """An output with layout=0 as layout=1 has it: Y [B, T, D, H], states [B, D, H]."""
    return a.transpose(2, 0, 1, 3) if name == "Y" else a.swapaxes(0, 1)


class _Rewrite(NamedTuple):
    """An equivalent form of a node, which an engine may accept where it refuses the original."""
    original: str
    instead: str
    case: CaseEffect
    outputs: Callable[[Outputs], Outputs] = dict  # the outputs of the rewritten case -> those of the original


def _list_rewrites() -> Iterator[_Rewrite]:
    yield _Rewrite("layout=1", "with layout=0 and the first two axes swapped",
                   _to_time_first, lambda outputs: {n: _to_batch_first(n, a) for n, a in outputs.items()})
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


def _try_reference(case: Case) -> Optional[Outputs]:
    """The outputs of the reference; None where the case without an option is none, as without its layout."""
    try:
        return run_reference(case)
    except Error:
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
    counts: Counter = Counter()
    largest = 0.0
    for results in by_group.values():
        for case, got in ((r.case, r.got) for r in results if r.got is not None):
            shorter = effect(case)
            expected = shorter and _try_reference(shorter)
            change = _measure_change(truth.outputs(case), expected, case) if expected else 0.0
            new = change > _THRESHOLD and _try_engine(engine, shorter)
            if new:
                largest = max(largest, change)
                counts[_measure_change(got, new, case) > _THRESHOLD] += 1
        if counts:
            break
    return Sensitivity(op, name, counts[True], counts.total(), largest)


def _measure_change(a: Any, b: Any, case: Case) -> float:
    """The change of the outputs relative to their largest entry, in the output that changes most."""
    return max(max_difference(a[n], b[n]) / max(1, max_magnitude(a[n])) for n in case.outputs)
