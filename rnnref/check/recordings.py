"""What every cell of a candidate was given and returned on its first steps."""
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from .candidate import Candidate, Direction
from .misuse import Misuse
from .trace import ROWS, STEPS, Recorded

_MISFITS = (ValueError, IndexError, KeyError, TypeError)


class Short(NamedTuple):
    """A candidate on its first steps alone, and what it returned there."""
    candidate: Candidate
    returned: dict[str, Array]


def align(direction: Direction, lengths: Array | None) -> Recorded | None:
    """A few rows of one direction in the order in which it reads them; None if no row has a step."""
    x, y, first, reverse = direction
    T, B = x.shape[:2]
    if y.shape[:2] != (T, B) or not T or not B:
        return None
    n = numpy.full(B, T) if lengths is None else numpy.asarray(lengths)
    steps = min(STEPS, int(n.max()))
    if not steps:
        return None
    rows = numpy.flatnonzero(n >= steps)[:ROWS]
    t = numpy.arange(steps)[:, None]
    t = n[rows] - 1 - t if reverse else t + 0 * rows
    zero = numpy.zeros((len(rows), y.shape[-1]))
    h, c = (first[k][rows] if len(first) > k else None for k in (0, 1))
    return Recorded(x[t, rows], y[t, rows], zero if h is None else h, c)


def run_short(candidate: Candidate, names: Any) -> list[Short]:
    """A candidate of several layers on one step, whose last states are the outputs of all cells.

    Where it starts from zero, on which R does not act, on two and three steps too, if all its cells read forwards.
    [] for one that does not run on these, or whose states are not returned.

    names   of the results that are wanted
    """
    found: list[Short] = []
    for steps in range(1, min(STEPS, candidate.size[0]) + 1):
        short = candidate.truncate(steps)
        try:
            returned = {n: numpy.asarray(a) for n, a in short.run_candidate(
                {n: a.copy() for n, a in short.arrays.items()}).results.items() if n in names}
        except Exception:                         # a candidate for one length only
            return found
        chain = short.describe_chain(returned)
        if chain is None:
            return found
        found.append(Short(short, returned))
        if all(chain.first) or any(chain.reverse) or any(len(below) > 1 for below in chain.below):
            break
    return found


def record_cells(shorts: list[Short], misuses: tuple[Misuse, ...], change: Callable) -> list[Recorded]:
    """What every cell was given and returned, for data and results without these misuses; [] where that is not known.

    change   a candidate -> the same with the data of the misuses
    """
    chains = []
    for short, returned in shorts:
        changed = change(short)
        for misuse in reversed(misuses):
            returned = misuse.undo(changed, returned) if misuse.undo and changed is not None else returned
        chain = None if changed is None else changed.describe_chain(returned)
        if chain is None:
            return []
        chains.append(chain)
    if not chains:
        return []
    whole, found = chains[-1], []
    ys = [numpy.stack([chain.last[k] for chain in chains]) for k in range(len(whole.last))]
    for k, below in enumerate(whole.below):
        x = numpy.concatenate([ys[n] for n in below], -1) if below else whole.x
        found.append(align(Direction(x, ys[k], whole.first[k], whole.reverse[k]), shorts[-1].candidate.lengths))
    return [r for r in found if r is not None] if None not in found else []
