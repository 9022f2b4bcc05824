"""The plain loop: for every cell, bit for bit what a loop written by hand gives.

In reverse, positions past a row's length come first and leave the state as it was, so right-padded batches need no
gather and outputs come back aligned with the inputs.
"""
from typing import Any, Collection, NamedTuple, Optional

from ..arrays import Array, upcast
from ..cell import ALL, Cell, State, name_of, step_back
from ..cpu.blas import limit_threads
from ..errors import ShapeError, describe_type
from ..products import find_parts
from ..tree import PerStep, Tree, add, apply_mask, choose, first_leaf, leaves, map_structure, select_step, stack


class Tape(NamedTuple):
    cell: Any; p: Any; xs: Any; extra: Any
    states: list                                  # before each step, if states alone are kept
    keeps: list                                   # the intermediates of each step, otherwise
    live: Any; order: range

    def kept(self, t: int) -> Any:
        return self.keeps[t] if self.states[t] is None else self.forward(t)[2]

    def forward(self, t: int) -> tuple:
        """Step t again, where states alone were kept."""
        now = select_mask(self.live, t)
        x, extra = apply_mask(now, select_step(self.xs, t)), select_extra(self.extra, t, now)
        return self.cell.forward(self.p, x, self.states[t], extra)


def refuses(cell: Any, call: Any) -> Optional[str]:
    """None, or why this path cannot run the cell, in words."""
    for part in find_parts(cell):
        if getattr(type(part), "forward", Cell.forward) is Cell.forward:
            where = "" if part is cell else f" inside of {type(cell).__name__}"
            also = ", run it by itself, and what follows on its outputs" * (part is not cell)
            return f"{type(part).__name__}{where} has no forward: it is not one step in time{also}"
    return None


def forward(cell: Any, p: Tree, xs: Tree, s: State, extra: Tree = None, live: Optional[Array] = None,
            reverse: bool = False, keep: Any = True) -> tuple[Tree, State, Optional[Tape]]:
    """xs [T, B, ...], live [T, B] or None -> ys [T, B, ...], the last state, a tape.

    keep: True (all intermediates), "states" (forward runs again on the way back) or False (no tape).
    """
    order = list_steps(xs, reverse)
    ys, keeps, states = [None] * len(order), [None] * len(order), [None] * len(order)
    with limit_threads(len(order)):
        for t in order:
            now = select_mask(live, t)
            y, new, k = cell.forward(p, apply_mask(now, select_step(xs, t)), s, select_extra(extra, t, now))
            if t == order[0]:
                _check_state_structure(cell, new, s)
            if keep == "states":
                states[t] = s
            elif keep:
                keeps[t] = k
            s, ys[t] = choose(now, new, s), apply_mask(now, y)      # a dead step leaves the state, and gives zero
    return stack(ys), s, Tape(cell, p, xs, extra, states, keeps, live, order) if keep else None


def backward(tape: Tape, dys: Tree, ds: State, wanted: Collection[str] = ALL) -> tuple[Tree, State, Tree, Tree]:
    """Gradients of the inputs, of the first state, of `extra` (summed over time) and of the parameters.

    wanted: those that are asked for, of "x", "s", "extra" and "p"; another may be None.
    """
    dxs, dextra, dp = [None] * len(tape.order), None, None
    with limit_threads(len(tape.order)):
        for t in reversed(tape.order):
            now = select_mask(tape.live, t)
            dy, dnew = apply_mask(now, select_step(dys, t)), apply_mask(now, ds)
            dxs[t], dold, de, dq = step_back(tape.cell, tape.p, tape.kept(t), dy, dnew, wanted)
            ds = choose(now, dold, ds)
            dextra, dp = add(dextra, map_structure(upcast, de)), add(dp, map_structure(upcast, dq))
    return stack(dxs), ds, dextra, dp


def _check_state_structure(cell: Any, new: State, s: State) -> None:
    """Raise unless the new state has the structure of the old one: a common mistake in a first cell of one's own."""
    got, want = ([path for path, _ in leaves(tree)] for tree in (new, s))
    if got != want:
        kind = f"the {type(new).__name__} " + " ".join(got) if got != [""] else describe_type(new)
        raise ShapeError(name_of(cell),
                         f"forward gave {kind} as the state, expected the {type(s).__name__} {' '.join(want)}",
                         hint="states are tuples, named tuples or dicts of arrays" * isinstance(new, list))


def list_steps(xs: Tree, reverse: bool) -> range:
    """The steps in the order of the loop."""
    T = len(first_leaf(xs))
    return range(T)[::-1] if reverse else range(T)


def select_mask(live: Optional[Array], t: int) -> Optional[Array]:
    """`live` of step t [B], or None."""
    return None if live is None else live[t]


def select_extra(extra: Tree, t: int, now: Optional[Array]) -> Tree:
    """`extra` with each `PerStep` replaced by its array of step t, zero in dead rows."""
    return map_structure(lambda e: apply_mask(now, e.steps[t]) if isinstance(e, PerStep) else e, extra)
