"""Trees: nested dicts, tuples and named tuples of arrays; None is an empty tree.  (floor 0)

Parameters, states, inputs and gradients are all trees, and these few functions are all that is done to them.
"""
from dataclasses import dataclass
from typing import Any

from .arrays import make_transfer, namespace

Tree = Any                                        # arrays in dicts, tuples and named tuples, as deep as need be


@dataclass(frozen=True)
class PerStep:
    """A leaf of `extra` that differs from step to step; a bare array is the same at every step."""
    steps: Any                                    # [T, B, ...]


def map_structure(f, tree, *rest):
    """`f` of every leaf, beside the leaves at the same place in `rest`; the structure stays.

    >>> map_structure(lambda a: 2 * a, {"W": 1, "b": (2, None)})
    {'W': 2, 'b': (4, None)}
    """
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {k: map_structure(f, v, *(r[k] for r in rest)) for k, v in tree.items()}
    if isinstance(tree, tuple):
        items = [map_structure(f, v, *(r[i] for r in rest)) for i, v in enumerate(tree)]
        return type(tree)(*items) if hasattr(tree, "_fields") else tuple(items)
    return f(tree, *rest)


def leaves(tree, path=""):
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


def first_leaf(tree):
    """The first leaf."""
    return next(leaves(tree))[1]


def select_step(tree, t):
    """Step t of a tree of sequences."""
    return map_structure(lambda a: a[t], tree)


def stack(trees):
    """Steps [...] to sequences [T, ...]; what occurs twice in a step is stacked once."""
    done = {}

    def one(*arrays):
        same = tuple(map(id, arrays))
        if same not in done:
            done[same] = namespace(*arrays).stack(arrays)
        return done[same]
    return map_structure(one, *trees)


def add(a, b):
    """a + b for gradient trees, where None is no gradient."""
    return a if b is None else b if a is None else map_structure(lambda u, v: u + v, a, b)


def fill_missing(tree, like):
    """`tree` with zeros wherever it says None: a gradient that is not given is zero."""
    if tree is None:
        return zeros_like(like)
    if isinstance(like, dict) and isinstance(tree, dict):
        return {k: fill_missing(d, like[k]) if k in like else d for k, d in tree.items()}
    if isinstance(like, tuple) and isinstance(tree, tuple) and len(tree) == len(like):
        items = [fill_missing(d, a) for d, a in zip(tree, like)]
        return type(tree)(*items) if hasattr(tree, "_fields") else tuple(items)
    return tree


def zeros_like(tree):
    """Zeros in the shapes, dtypes and place of `tree`."""
    return map_structure(lambda a: namespace(a).zeros_like(a), tree)


def apply_mask(live, tree):
    """`tree` where `live`, zero elsewhere: a selection, so NaN goes too.  live: None (everywhere), [B] or [T, B]."""
    return tree if live is None else map_structure(lambda a: namespace(a).where(expand_mask(live, a), a, 0), tree)


def choose(live, new, old):
    """`new` where `live`, `old` elsewhere."""
    return new if live is None else map_structure(lambda a, b: namespace(a).where(expand_mask(live, a), a, b), new, old)


def expand_mask(live, a):
    """`live` with as many axes as `a`, so that it broadcasts over what a row holds."""
    return live.reshape(live.shape + (1,) * (a.ndim - live.ndim))


def to(where, tree):
    """The tree on the "cpu" or on the "gpu": the only way that arrays cross the bus."""
    move = make_transfer(where)
    return map_structure(lambda a: PerStep(move(a.steps)) if isinstance(a, PerStep) else move(a), tree)
