"""What a cell is made of, and who in it multiplies matrices without saying in which arithmetic.  (floor 4)"""
from functools import lru_cache

from .cell import Cell
from .elementwise import Activation
from .maps.dense import Map
from .rules.rule import Rule


def find_parts(cell):
    """It and all cells and maps that it holds, however deep."""
    found = [cell]
    for part in found:                            # which grows meanwhile
        held = _collect_class_vars(part.__class__) | getattr(part, "__dict__", {})
        for new in (new for value in held.values() for new in _find_parts_in(value)):
            if all(new is not old for old in found):
                found.append(new)
    return found


@lru_cache(None)
def _collect_class_vars(cls):
    """Of the class itself too: what is no field has no twin, and is still there."""
    return {name: value for one in reversed(cls.__mro__) for name, value in vars(one).items()
            if isinstance(value, (Map, Cell, tuple))}


def _find_parts_in(value):
    if isinstance(value, tuple):
        return [part for item in value for part in _find_parts_in(item)]
    # rules and activations are pointwise
    return [value] if hasattr(value, "forward") and not isinstance(value, (type, Rule, Activation)) else []


def find_own_products(cell):
    """{name of a part: which products are its own, in words; None: it does not say}.  A twin has none."""
    said = {type(part): vars(type(part)).get("multiplies") for part in find_parts(cell) if "plain" not in vars(type(part))}
    return {cls.__name__: what for cls, what in said.items() if what != ""}


def describe_products(own):
    """Whose products these are."""
    said = [f"{name} multiplies {what} by CuPy's own product" if what else
            f"{name} does not say which products are its own" for name, what in own.items()]
    return "; ".join(said)
