"""Trees: nested dicts, tuples and named tuples of arrays; None is an empty tree.

Parameters, states, inputs and gradients are all trees, and these functions are all operations on them.
"""
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Iterator, Optional, Sequence

import numpy

from .arrays import Array, is_array, is_cupy, make_transfer, namespace

Tree = Any                                        # arrays in dicts, tuples and named tuples, as deep as need be


@dataclass(frozen=True)
class PerStep:
    """A leaf of `extra` that differs from step to step; a bare array is the same at every step."""
    steps: Any                                    # [T, B, ...]


def map_structure(f: Callable, tree: Tree, *rest: Tree) -> Tree:
    """A tree of f(leaf, *leaves at the same place in `rest`), with the structure of `tree`.

    >>> map_structure(lambda a: 2 * a, {"W": 1, "b": (2, None)})
    {'W': 2, 'b': (4, None)}
    """
    if type(tree) is numpy.ndarray:               # first: most are
        return f(tree, *rest)
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {k: map_structure(f, v, *[r[k] for r in rest]) for k, v in tree.items()}
    if isinstance(tree, tuple) and not rest:
        return tuple_like(tree, [map_structure(f, a) for a in tree])
    if isinstance(tree, tuple):
        return tuple_like(tree, [map_structure(f, *items) for items in zip(tree, *rest, strict=True)])
    return f(tree, *rest)


def tuple_like(like: Any, items: Iterable) -> tuple:
    """`items` as a tuple of the type of `like`, which may be a named tuple."""
    return type(like)(*items) if hasattr(like, "_fields") else tuple(items)


def unflatten(like: Tree, values: Iterable) -> Tree:
    """A tree with the structure of `like` and these values as leaves, in the order of `leaves(like)`.

    >>> unflatten({"W": 0, "b": (0, None)}, [1, 2])
    {'W': 1, 'b': (2, None)}
    """
    rest = iter(values)
    return map_structure(lambda _: next(rest), like)


def leaves(tree: Tree, path: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, leaf) for every leaf.

    >>> dict(leaves({"W": 1, "cells": (2, 3)}))
    {'W': 1, 'cells.0': 2, 'cells.1': 3}
    """
    if isinstance(tree, (dict, tuple)):
        items = tree.items() if isinstance(tree, dict) else zip(getattr(tree, "_fields", range(len(tree))), tree)
        for k, v in items:
            yield from leaves(v, f"{path}.{k}" if path else str(k))
    elif tree is not None:
        yield path, tree


def first_leaf(tree: Tree) -> Any:
    """The first leaf of a tree that has one."""
    if type(tree) is numpy.ndarray:
        return tree
    first = tree[0] if isinstance(tree, tuple) and tree else None
    return first if type(first) is numpy.ndarray else next(leaves(tree))[1]


def select_step(tree: Tree, t: int) -> Tree:
    """Step t of a tree of sequences."""
    return tree[t] if type(tree) is numpy.ndarray else map_structure(lambda a: a[t], tree)


def stack(trees: Sequence[Tree]) -> Tree:
    """Steps [...] to sequences [T, ...]; an array that occurs twice in every step is stacked once."""
    if len(trees) == 1 and type(trees[0]) is numpy.ndarray:
        return trees[0][None].copy()
    done = {}

    def one(*arrays: Array) -> Array:
        same = tuple(map(id, arrays))
        if same not in done:
            done[same] = namespace(*arrays).stack(arrays)
        return done[same]
    return map_structure(one, *trees)


def add(a: Tree, b: Tree) -> Tree:
    """a + b for trees of gradients, where None is no gradient."""
    return a if b is None else b if a is None else map_structure(lambda u, v: u + v, a, b)


def fill_missing(tree: Tree, like: Tree) -> Tree:
    """`tree` with zeros in the place of None: a gradient that is not given is zero."""
    if tree is None:
        return zeros_like(like)
    if type(tree) is numpy.ndarray:
        return tree
    if isinstance(like, dict) and isinstance(tree, dict):
        return {k: fill_missing(d, like[k]) if k in like else d for k, d in tree.items()}
    if isinstance(like, tuple) and isinstance(tree, tuple) and len(tree) == len(like):
        return tuple_like(tree, [fill_missing(d, a) for d, a in zip(tree, like)])
    return tree


def zeros_like(tree: Tree) -> Tree:
    """Zeros in the shapes and dtypes of `tree`, on the same device."""
    if isinstance(tree, tuple):                   # as in `copy`
        return tuple_like(tree, [numpy.zeros(a.shape, a.dtype) if type(a) is numpy.ndarray else zeros_like(a)
                                 for a in tree])
    return map_structure(lambda a: namespace(a).zeros(a.shape, a.dtype) if is_array(a) else numpy.zeros_like(a), tree)


def copy(tree: Tree) -> Tree:
    """The tree with arrays of its own, laid out as they were: products of another layout may differ in the last bit."""
    if type(tree) is numpy.ndarray:
        return tree.copy("K")
    if tree is None:
        return None
    if isinstance(tree, tuple):                   # most states, without a call for each array
        return tuple_like(tree, [a.copy("K") if type(a) is numpy.ndarray else copy(a) for a in tree])
    if isinstance(tree, dict):
        return {k: a.copy("K") if type(a) is numpy.ndarray else copy(a) for k, a in tree.items()}
    return tree.copy("K") if is_array(tree) else PerStep(tree.steps.copy("K")) if isinstance(tree, PerStep) else tree


def read_only(kept: Any) -> Any:
    """A tree, lists and all, with views of arrays that cannot be written; a GPU has none, there they are copies."""
    if isinstance(kept, list):
        return [read_only(item) for item in kept]
    if isinstance(kept, (tuple, dict)):
        return map_structure(read_only, kept)
    if isinstance(kept, numpy.ndarray):
        kept = kept.view()
        kept.flags.writeable = False
        return kept
    return kept.copy() if is_cupy(kept) else kept


def apply_mask(live: Optional[Array], tree: Tree) -> Tree:
    """`tree` where `live` ([B] or [T, B], None: everywhere), zero elsewhere.

    Dead entries are replaced, not multiplied by zero, so NaN in them goes too.
    """
    return tree if live is None else map_structure(
        lambda a: namespace(a).where(expand_mask(live, a), a, _zero(a)), tree)


def _zero(a: Array) -> Any:
    """0 in the kind of `a`: next to booleans a number would make integers of them."""
    return False if a.dtype.kind == "b" else 0


def choose(live: Optional[Array], new: Tree, old: Tree) -> Tree:
    """`new` where `live`, `old` elsewhere."""
    return new if live is None else map_structure(lambda a, b: namespace(a).where(expand_mask(live, a), a, b), new, old)


def expand_mask(live: Array, a: Array) -> Array:
    """`live` with as many axes as `a`, so that it broadcasts over the axes after time and batch."""
    return live.reshape(live.shape + (1,) * (a.ndim - live.ndim))


def to(where: str, tree: Tree) -> Tree:
    """The tree in main memory ("cpu") or on the GPU ("gpu"): the only way to move arrays between them.

    Errors   MissingExtra: CuPy is not installed.  NotSupported: another place.
    """
    move = make_transfer(where)
    return map_structure(lambda a: PerStep(move(a.steps)) if isinstance(a, PerStep) else move(a), tree)
