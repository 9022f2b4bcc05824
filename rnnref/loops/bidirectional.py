"""The path for two directions when no other path takes both: one after the other, each by its own plan."""
from typing import Any, Collection, Iterator, NamedTuple, Optional

from ..arrays import Array
from ..cell import ALL, State
from ..tree import Tree, add
from ..wrappers.stack import Bidirectional
from .plan import Call, load_path


class Tape(NamedTuple):
    plans: tuple; tapes: tuple

    def kept(self, t: int) -> Any:
        return tuple(tape.kept(t) for tape in self.tapes)


def refuses(cell: Any, call: Call) -> Optional[str]:
    """None, or why this path cannot run the cell, in words."""
    return None if isinstance(cell, Bidirectional) else f"{type(cell).__name__} has one direction"


def split_call(cell: Any, call: Call) -> Iterator[tuple[Any, Call]]:
    """Each direction and its call."""
    units = call.units if isinstance(call.units, tuple) else (call.units,) * len(cell.cells)
    for one, e, u in zip(cell.cells, cell.extra_per_cell(call.extra), units):
        yield one, call._replace(extra=e, units=u)


def forward(plans: tuple, p: Tree, xs: Tree, s: State, extra: Tree = None, live: Optional[Array] = None,
            reverse: bool = False, keep: Any = True) -> tuple[Tree, State, Optional[Tape]]:
    runs = [load_path(plan.path).forward(plan.cell, q, xs, state, e, live, back, keep)
            for plan, q, state, e, back in zip(plans, p, s, extra or (None, None), (reverse, not reverse))]
    ys, new, tapes = zip(*runs)
    return ys, new, Tape(plans, tapes) if keep else None


def backward(tape: Tape, dys: Tree, ds: State, wanted: Collection[str] = ALL) -> tuple[Tree, State, Tree, Tree]:
    runs = [load_path(plan.path).backward(one, dy, d, wanted) for plan, one, dy, d in zip(*tape, dys, ds)]
    (ahead, back), ds, dextra, dp = zip(*runs)
    return add(ahead, back), ds, dextra if any(e is not None for e in dextra) else None, dp
