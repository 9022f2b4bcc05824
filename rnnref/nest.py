"""Nested structures of users: lists, tuples, named tuples and dicts; anything else, None too, is a leaf.

The trees of the core (`tree.py`) are something else: there a list is numbers, and None is an empty tree.
"""
from typing import Any, Callable, Iterable

from .errors import ShapeError, describe_type


def map_structure(f: Callable, tree: Any) -> Any:
    """`f` of every leaf, in the same structure.

    >>> map_structure(lambda a: 2 * a, {"x": [1, 2], "y": (3,)})
    {'x': [2, 4], 'y': (6,)}
    """
    if isinstance(tree, dict):
        return {k: map_structure(f, v) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        items = [map_structure(f, v) for v in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return f(tree)


def flatten(tree: Any) -> list:
    """The leaves from left to right.

    >>> flatten([1, (2, {"a": None}), []])
    [1, 2, None]
    """
    if not isinstance(tree, (dict, list, tuple)):
        return [tree]
    return [leaf for v in (tree.values() if isinstance(tree, dict) else tree) for leaf in flatten(v)]


def unflatten(tree: Any, leaves: Iterable) -> Any:
    """The structure of `tree` with these leaves.

    >>> unflatten([1, (2, 3)], "abc")
    ['a', ('b', 'c')]
    """
    items = iter(leaves)
    return map_structure(lambda _: next(items), tree)


def align(tree: Any, other: Any, who: str = "nest") -> list:
    """The leaves of `other` in the order of those of `tree`; a None in `other` stands for all leaves below it.

    Dicts are matched by their keys, lists and tuples by position.

    >>> align({"a": 1, "b": [2, 3]}, {"b": None, "a": 10})
    [10, None, None]
    """
    if other is None:
        return [None] * len(flatten(tree))
    if isinstance(tree, dict):
        if not isinstance(other, dict) or other.keys() != tree.keys():
            raise ShapeError(who, f"{describe(other)}, expected a dict of {' '.join(map(str, tree))}")
        return [leaf for k in tree for leaf in align(tree[k], other[k], who)]
    if isinstance(tree, (list, tuple)):
        if not isinstance(other, (list, tuple)) or len(other) != len(tree):
            raise ShapeError(who, f"{describe(other)}, expected a list of {len(tree)}")
        return [leaf for a, b in zip(tree, other) for leaf in align(a, b, who)]
    return [other]


def describe(tree: Any) -> str:
    """A nest in words, for messages.

    >>> import numpy as np
    >>> [describe(tree) for tree in ([1, 2], {"a": 1, "b": 2}, np.ones(3), None)]
    ['a list of 2', 'a dict of a b', 'an array of shape (3,)', 'None']
    """
    if isinstance(tree, dict):
        return f"a dict of {' '.join(map(str, tree)) or 'nothing'}"
    if hasattr(tree, "shape") and hasattr(tree, "dtype"):
        return f"an array of shape {tuple(tree.shape)}"
    return f"{describe_type(tree)} of {len(tree)}" if isinstance(tree, (list, tuple)) else describe_type(tree)
