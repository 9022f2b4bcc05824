"""The loop of a TwoStage cell with every product that does not wait for the state taken out of it.

The input product is computed once for all steps before the loop, the products of parameter gradients once after it;
only the recurrent product and the rule remain inside.
"""
from contextlib import nullcontext
from typing import Any, Collection, ContextManager, NamedTuple, Optional

import numpy

from ..arrays import Array
from ..cell import ALL, Kept, State, TwoStage
from ..cpu.blas import limit_threads
from ..tree import Tree, apply_mask, choose, first_leaf, leaves, map_structure, select_step, stack, unflatten
from .scan import list_steps, select_mask

MIN_BYTES = 1 << 19                               # of all outputs: gradients of less are still in a cache at the end
MIN_PRODUCT = 5e7                                 # multiplications: with less, BLAS threads wait longer than they gain


class Tape(NamedTuple):
    cell: Any; p: Any; kx: Any; keeps: list; live: Any; order: range

    def kept(self, t: int) -> Any:
        return Kept(select_step(self.kx, t), self.keeps[t])


def refuses(cell: Any, call: Any) -> Optional[str]:
    """None, or why this path cannot run the cell, in words."""
    if not isinstance(cell, TwoStage):
        return f"{type(cell).__name__} has no input map that does not wait for the state"
    if call.extra is not None:
        return "this path takes no extra"
    return "recompute keeps states alone, this path keeps the input product" if call.keep == "states" else None


def forward(cell: Any, p: Tree, xs: Tree, s: State, extra: Tree = None, live: Optional[Array] = None,
            reverse: bool = False, keep: Any = True) -> tuple[Tree, State, Optional[Tape]]:
    order = list_steps(xs, reverse)
    ys, keeps = [None] * len(order), [None] * len(order)
    with _limit_products(p, s, len(order)):
        axs, kx = cell.inputs.forward(p, apply_mask(live, xs))              # one product for all steps
        with limit_threads(len(order)):
            for t in order:
                now = select_mask(live, t)
                y, new, k = cell.step(p, select_step(axs, t), s)
                s, ys[t] = choose(now, new, s), apply_mask(now, y)
                keeps[t] = k if keep else None
    return stack(ys), s, Tape(cell, p, kx, keeps, live, order) if keep else None


def backward(tape: Tape, dys: Tree, ds: State, wanted: Collection[str] = ALL) -> tuple[Tree, State, Tree, Tree]:
    cell, p, kx, keeps, live, order = tape
    back = _allocate(dys)
    with _limit_products(p, ds, len(order)):
        with limit_threads(len(order)):
            for t in reversed(order):
                now = select_mask(live, t)
                dax, dold, deferred = cell.step_backward(p, keeps[t], apply_mask(now, dys[t]), apply_mask(now, ds))
                back[t] = dax, deferred           # in most cells `deferred` holds dax itself
                ds = choose(now, dold, ds)
        daxs, deferred = _collect(back)
        dxs = cell.input_backward_x(p, kx, daxs, wanted)
        return dxs, ds, None, cell.all_backward_p(p, kx, daxs, deferred, wanted)


def _limit_products(p: Tree, s: State, steps: int) -> ContextManager:
    """The limit of BLAS threads for the products of all steps; none for large ones."""
    if steps == 1:
        return limit_threads(steps)
    h = first_leaf(s)
    rows = steps * h.size // max(1, h.shape[-1])
    large = rows * max((a.size for _, a in leaves(p)), default=0) >= MIN_PRODUCT
    return nullcontext() if large else limit_threads(steps)


class _Sequences:
    """Trees of all steps as one tree of sequences [T, ...], written while a step is still in the cache."""

    def __init__(self, steps: int) -> None:
        self.steps, self.like, self.arrays, self.first = steps, None, [], []

    def __setitem__(self, t: int, tree: Tree) -> None:
        items: list = []
        map_structure(items.append, tree)
        if not self.arrays:
            ids = [*map(id, items)]
            self.like, self.first = tree, [*map(ids.index, ids)]
            self.arrays = [numpy.empty_like(a, shape=(self.steps, *numpy.shape(a))) for a in items]
        for k, a in enumerate(items):
            j = self.first[k]
            if j == k:
                self.arrays[k][t] = a
            elif items[j] is not a:               # the same array in every step until now
                self.first[k] = k
                self.arrays[k][...] = self.arrays[j]
                self.arrays[k][t] = a

    def tree(self) -> Tree:
        return unflatten(self.like, [self.arrays[j] for j in self.first])


def _allocate(dys: Array) -> Any:
    """What takes the trees of all steps: a list for small ones, and on a GPU, where each copy is a launch."""
    large = isinstance(dys, numpy.ndarray) and dys.nbytes >= MIN_BYTES
    return _Sequences(len(dys)) if large else [None] * len(dys)


def _collect(trees: Any) -> Tree:
    """The sequences of the trees of all steps; an array that occurs twice in every step is there once."""
    return trees.tree() if isinstance(trees, _Sequences) else stack(trees)
