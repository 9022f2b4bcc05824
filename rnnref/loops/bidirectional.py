"""The path for two directions when no other path takes both: one after the other, each by its own plan."""
from typing import NamedTuple

from ..tree import add
from ..wrappers.stack import Bidirectional
from .plan import load_path


class Tape(NamedTuple):
    plans: tuple; tapes: tuple

    def kept(self, t):
        return tuple(tape.kept(t) for tape in self.tapes)


def refuses(cell, call):
    return None if isinstance(cell, Bidirectional) else f"{type(cell).__name__} has one direction"


def split_call(cell, call):
    """Each direction and its call."""
    units = call.units if isinstance(call.units, tuple) else (call.units,) * len(cell.cells)
    for one, e, u in zip(cell.cells, cell.extra_per_cell(call.extra), units):
        yield one, call._replace(extra=e, units=u)


def forward(plans, p, xs, s, extra=None, live=None, reverse=False, keep=True):
    runs = [load_path(plan.path).forward(plan.cell, q, xs, state, e, live, back, keep)
            for plan, q, state, e, back in zip(plans, p, s, extra or (None, None), (reverse, not reverse))]
    ys, new, tapes = zip(*runs)
    return ys, new, Tape(plans, tapes) if keep else None


def backward(tape, dys, ds):
    runs = [load_path(plan.path).backward(one, dy, d) for plan, one, dy, d in zip(*tape, dys, ds)]
    (ahead, back), ds, dextra, dp = zip(*runs)
    return add(ahead, back), ds, dextra if any(e is not None for e in dextra) else None, dp
