"""Several cells side by side: all see the same x, and their outputs lie end to end."""
from ..arrays import namespace
from ..shapes import ArraySpec
from ..tree import add
from .stack import MultiCell


class Parallel(MultiCell):
    """y = [y_0, y_1, ...] of the cells on the same x; parameters, states and extra are tuples, an item per cell.

    >>> import numpy as np, rnnref
    >>> cell = Parallel((rnnref.cells.SimpleRNN(), rnnref.cells.GRU()))
    >>> cell.width((2, 3))
    5
    """

    def width(self, units):
        return sum(cell.width(n) for cell, n in zip(self.cells, self.units_per_cell(units)))

    def shapes(self, n_in, units):
        return tuple(cell.shapes(n_in, n) for cell, n in zip(self.cells, self.units_per_cell(units)))

    def check_cells(self, p, x, s, extra, lead):
        each = [cell.check(q, x, state, e, lead) for cell, q, state, e in zip(self.cells, p, s, extra)]
        wide = sum(y.shape[-1] for y in each)
        return ArraySpec((*each[0].shape[:-1], wide), each[0].dtype, f"the output of {self.name}")

    def forward(self, p, x, s, extra=None):
        each = [cell.forward(q, x, state, e) for cell, q, state, e in zip(self.cells, p, s, self.extra_per_cell(extra))]
        ys, new, kept = zip(*each)
        return namespace(x).concatenate(ys, -1), new, (kept, tuple(y[:0] for y in ys))

    def backward(self, p, kept, dy, dnew):
        dx, start, back = None, 0, []
        for cell, q, k, empty, d in zip(self.cells, p, *kept, dnew):
            stop = start + empty.shape[-1]        # how wide its part of the output is
            dpart, *rest = cell.backward(q, k, dy[..., start:stop], d)
            dx, start = add(dx, dpart), stop
            back.append(rest)
        ds, dextra, dp = zip(*back)
        return dx, ds, dextra if any(e is not None for e in dextra) else None, dp
