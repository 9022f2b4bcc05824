"""The table of mistakes, last part: what an engine does with the attributes of an ONNX node, and how it reads them."""
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

from ..onnx.attributes import CANONICAL_NAMES, FUNCTIONS
from ..onnx.reading import CHOICES, ONNXRUNTIME, Reading
from .misuse import Misuse

_SCALES = {"activation_alpha": "alpha", "activation_beta": "beta"}
SEVERAL = "readings"                              # the slot of several at once
IGNORED = ("clip", "activations", *_SCALES, "input_forget", "layout")
Attributes = dict[str, Any]


def list_node_misuses(candidate: Any) -> Iterator[Misuse]:
    """All that are possible with a node: each changes the attributes or the reading from which its cells are made."""
    for switch, values in CHOICES.items():
        for value in values:
            if value != getattr(candidate.reading, switch):
                changed = replace(candidate.reading, **{switch: value})
                yield _read(candidate.reading, changed, f"reading {switch}")
    yield _read(candidate.reading, ONNXRUNTIME, SEVERAL)
    for name in IGNORED:
        dependents = (name, *_SCALES) if name == "activations" else (name,)
        yield _change(f"{name} is ignored", _leave_out(*dependents), name)
    if candidate.attributes.get("direction") == "reverse":
        yield _change("direction is ignored", _leave_out("direction"), "direction")
    for names in (["activation_alpha"], ["activation_beta"], [*_SCALES]):
        words = " and ".join(_SCALES[name] for name in names)
        verb = "is" if len(names) == 1 else "are"
        yield _change(f"{words} {verb} 0 where left out", _zero_missing_scales(*names), "activations")
    yield _change("both directions use the activations of the first", _repeat_activations, "activations")


def _read(reading: Reading, other: Reading, slot: str) -> Misuse:
    """The reading with the switches in which another one differs from it."""
    names = [f.name for f in fields(other) if getattr(other, f.name) != getattr(reading, f.name)]
    changed = {name: getattr(other, name) for name in names}

    def data(c: Any) -> Any:
        new = replace(c.reading, **changed)
        return None if c.reading == new else replace(c, reading=new)
    words = ", ".join(f"{name}={value!r}" for name, value in changed.items())
    return Misuse(slot, f"the ONNX specification is read as Reading({words})", data=data, whole=True, cells=True)


def _change(words: str, change: Callable[[Attributes, str], Attributes | None], slot: str) -> Misuse:
    def data(c: Any) -> Any:
        attributes = change(c.attributes, c.attributes.get("direction", "forward"))
        if attributes is None:
            return None
        return replace(c, attributes=attributes, time=attributes.get("layout", 0),
                       backwards=attributes.get("direction") == "reverse")
    return Misuse(slot, words, data=data, whole=True, cells=True)


def _leave_out(*names: str) -> Callable[[Attributes, str], Attributes | None]:
    def change(attributes: Attributes, direction: str) -> Attributes | None:
        kept = {n: v for n, v in attributes.items() if n not in names}
        return kept if len(kept) < len(attributes) else None
    return change


def _takes(function: str, part: str) -> bool:
    """Whether an activation has an alpha or a beta."""
    known = CANONICAL_NAMES.get(function.lower())
    return known is not None and getattr(FUNCTIONS[known], part) is not None


def _zero_missing_scales(*names: str) -> Callable[[Attributes, str], Attributes | None]:
    """0 for every value that activation_alpha or activation_beta leaves out."""
    def change(attributes: Attributes, direction: str) -> Attributes | None:
        lists = {}
        for name in names:
            values = list(attributes.get(name, []))
            missing = sum(_takes(f, _SCALES[name]) for f in attributes.get("activations", [])) - len(values)
            if missing > 0:
                lists[name] = values + [0.0] * missing
        return attributes | lists if lists else None
    return change


def _repeat_activations(attributes: Attributes, direction: str) -> Attributes | None:
    """The activations, alpha and beta of the first direction for the second one too."""
    names = attributes.get("activations", [])
    first = list(names[:len(names) // 2])
    if direction != "bidirectional" or not first:
        return None
    new: Attributes = {"activations": first * 2}
    for name, part in _SCALES.items():
        if name in attributes:
            new[name] = list(attributes[name])[:sum(_takes(f, part) for f in first)] * 2
    return None if attributes == attributes | new else attributes | new
