"""The loop of a TwoStage cell with every product that does not wait for the state taken out of it.

The input product is computed once for all steps before the loop, the products of parameter gradients once after it;
only the recurrent product and the rule remain inside.
"""
from typing import Any, Collection, NamedTuple, Optional

from ..arrays import Array
from ..cell import ALL, Kept, State, TwoStage
from ..cpu.blas import limit_threads
from ..tree import Tree, apply_mask, choose, select_step, stack
from .scan import list_steps, select_mask


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
    axs, kx = cell.inputs.forward(p, apply_mask(live, xs))                  # one product for all steps
    with limit_threads(len(order)):
        for t in order:
            now = select_mask(live, t)
            y, new, k = cell.step(p, select_step(axs, t), s)
            s, ys[t] = choose(now, new, s), apply_mask(now, y)
            keeps[t] = k if keep else None
    return stack(ys), s, Tape(cell, p, kx, keeps, live, order) if keep else None


def backward(tape: Tape, dys: Tree, ds: State, wanted: Collection[str] = ALL) -> tuple[Tree, State, Tree, Tree]:
    cell, p, kx, keeps, live, order = tape
    back: list = [None] * len(order)
    with limit_threads(len(order)):
        for t in reversed(order):
            now = select_mask(live, t)
            dax, dold, deferred = cell.step_backward(p, keeps[t], apply_mask(now, dys[t]), apply_mask(now, ds))
            back[t] = dax, deferred
            ds = choose(now, dold, ds)
    daxs, deferred = stack(back)                  # in most cells `deferred` holds dax itself
    return cell.input_backward_x(p, kx, daxs, wanted), ds, None, cell.all_backward_p(p, kx, daxs, deferred, wanted)
