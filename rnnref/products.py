"""Lists the parts of a cell, and those whose matrix products no math mode controls.

A math mode reaches the products of maps, which GPU versions take the place of.  A class of rnnref multiplies through
the maps that it holds unless it declares `own_products`; a class from elsewhere must declare it, or is refused any
mode but "fp32".
"""
from functools import lru_cache
from typing import Any, Optional

from .cell import Cell
from .elementwise import Activation
from .maps.dense import Map
from .rules.rule import Rule


def find_parts(cell: Any) -> list:
    """The cell and all cells and maps that it holds, however deep."""
    parts = [cell]
    for part in parts:                            # the list grows meanwhile
        members = _collect_class_vars(part.__class__) | getattr(part, "__dict__", {})
        for new in (new for value in members.values() for new in _find_parts_in(value)):
            if all(new is not old for old in parts):
                parts.append(new)
    return parts


@lru_cache(None)
def _collect_class_vars(cls: type) -> dict:
    """Maps and cells among the class variables: no field, so nothing takes their place, but they multiply."""
    return {name: value for one in reversed(cls.__mro__) for name, value in vars(one).items()
            if isinstance(value, (Map, Cell, tuple))}


def _find_parts_in(value: Any) -> list:
    if isinstance(value, tuple):
        return [part for item in value for part in _find_parts_in(item)]
    # rules and activations are pointwise
    return [value] if hasattr(value, "forward") and not isinstance(value, (type, Rule, Activation)) else []


def find_own_products(cell: Any) -> dict[str, Optional[str]]:
    """{class name: its own matrix products in words, or None if it declares nothing}, for the parts that have such."""
    classes = dict.fromkeys(type(part) for part in find_parts(cell))
    declared = {cls.__name__: declared_products(cls) for cls in classes if "plain" not in vars(cls)}      # of no kernel
    return {name: products for name, products in declared.items() if products != ""}


def declared_products(cls: type) -> Optional[str]:
    """`own_products` as the class itself declares it: a base class cannot answer for the code of a subclass.

    "" where nothing is declared and the class is one of rnnref; None where it is another's.
    """
    is_ours = cls.__module__.partition(".")[0] == __name__.partition(".")[0]
    return vars(cls).get("own_products", "" if is_ours else None)


def describe_products(own: dict[str, Optional[str]]) -> str:
    """One clause for each class that `find_own_products` names."""
    return "; ".join(f"{name} multiplies {what} by CuPy's own product" if what else
                     f"{name} does not declare which products are its own" for name, what in own.items())
