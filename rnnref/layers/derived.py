"""A cache of what is computed from the attributes of a layer, emptied when one of them is set."""
from typing import Any

_last_change = [object()]                         # another object after every change of any layer
_CHANGED_BY_CALLS = {"_values", "_grads", "_losses", "tape", "carried"}       # nothing is derived from these


def derived(layer: Any) -> dict:
    """{name: what was computed from the attributes of a layer}; empty after one was set.

    Nothing that depends on the items of a list or a dict may be kept here: these change without an attribute being set.
    """
    try:
        return layer.__dict__["_derived"]
    except KeyError:
        return vars(layer).setdefault("_derived", {})


def forget_derived(layer: Any) -> None:
    """Empty the cache of a layer, in which something has changed."""
    vars(layer).pop("_derived", None)
    _last_change[0] = object()


def last_change() -> object:
    """An object that stays the same until an attribute of any layer is set."""
    return _last_change[0]


def set_attribute(layer: Any, name: str, value: Any) -> None:
    """`__setattr__` of layers."""
    object.__setattr__(layer, name, value)
    if name not in _CHANGED_BY_CALLS:
        forget_derived(layer)


def delete_attribute(layer: Any, name: str) -> None:
    """`__delattr__` of layers."""
    object.__delattr__(layer, name)
    forget_derived(layer)
