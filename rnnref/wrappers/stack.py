"""Several cells: the only places where parameters nest.  p, state and extra are tuples, an item per cell."""
from dataclasses import dataclass

import numpy

from ..cell import Cell
from ..errors import NotSupported, ShapeError
from ..options import keyword_options


@keyword_options()
@dataclass(frozen=True)
class MultiCell(Cell):
    cells: tuple

    def __post_init__(self):
        if not hasattr(self.cells, "__iter__"):
            given = getattr(self.cells, "name", type(self.cells).__name__)
            raise NotSupported(type(self).__name__, f"cells is a {given}, expected a tuple of cells",
                               fix=f"{type(self).__name__}((a, b))")
        object.__setattr__(self, "cells", tuple(self.cells))
        for cell in self.cells:
            if not hasattr(cell, "forward"):
                raise NotSupported(type(self).__name__, f"{cell!r} is no cell: it has no forward")

    @property
    def name(self):
        return f"{type(self).__name__}({', '.join(cell.name for cell in self.cells)})"

    def axes(self):
        return tuple(cell.axes() for cell in self.cells)

    def units(self, p):
        return tuple(cell.units(q) for cell, q in zip(self.cells, p))

    def n_in(self, x):
        return self.cells[0].n_in(x)

    def lead(self, rows):
        return self.cells[0].lead(rows)

    def zeros(self, batch, units, xp=numpy, dtype="float32"):
        return tuple(cell.zeros(batch, n, xp, dtype) for cell, n in zip(self.cells, self.units_per_cell(units)))

    def units_per_cell(self, units):                      # one number means the same for all
        return units if isinstance(units, (tuple, list)) else (units,) * len(self.cells)

    def prepare(self, p, extra=None):
        return tuple(zip(*(cell.prepare(q, e) for cell, q, e in zip(self.cells, p, self.extra_per_cell(extra)))))

    def prepare_backward(self, p, kept, dp, dextra):
        back = zip(*(cell.prepare_backward(*a) for cell, *a in zip(self.cells, p, kept, dp, self.extra_per_cell(dextra))))
        dp, dextra = map(tuple, back)
        return dp, dextra if any(e is not None for e in dextra) else None

    def extra_per_cell(self, extra):                        # extra may be None: nobody takes any
        return extra or (None,) * len(self.cells)

    def check(self, p, x, s, extra=None, lead="B"):
        for what, given in (("parameters", p), ("the state", s), ("extra", self.extra_per_cell(extra))):
            if not isinstance(given, tuple) or len(given) != len(self.cells):
                got = f"of {len(given)}" if isinstance(given, tuple) else ""
                raise ShapeError(self.name, f"{what} is a {type(given).__name__} {got}".rstrip()
                                 + f", expected a tuple of {len(self.cells)}, one for each cell")
        return self.check_cells(p, x, s, self.extra_per_cell(extra), lead)

    def check_cells(self, p, x, s, extra, lead):
        raise NotImplementedError


class Stack(MultiCell):
    """One on the other: the output of each is the input of the next."""

    def width(self, units):
        return self.cells[-1].width(self.units_per_cell(units)[-1])

    def shapes(self, n_in, units):
        shapes = []
        for cell, n in zip(self.cells, self.units_per_cell(units)):
            shapes.append(cell.shapes(n_in, n))
            n_in = cell.width(n)
        return tuple(shapes)

    def check_cells(self, p, x, s, extra, lead):
        for cell, q, state, e in zip(self.cells, p, s, extra):
            x = cell.check(q, x, state, e, lead)
        return x

    def forward(self, p, x, s, extra=None):
        new, kept = [], []
        for cell, q, state, e in zip(self.cells, p, s, self.extra_per_cell(extra)):
            x, state, k = cell.forward(q, x, state, e)
            new.append(state)
            kept.append(k)
        return x, tuple(new), tuple(kept)

    def backward(self, p, kept, dy, dnew):
        back = []
        for cell, q, k, d in reversed(list(zip(self.cells, p, kept, dnew))):
            dy, *rest = cell.backward(q, k, dy, d)
            back.append(rest)
        ds, dextra, dp = zip(*reversed(back))
        return dy, ds, dextra if any(e is not None for e in dextra) else None, dp


class Bidirectional(MultiCell):
    """One forwards and one backwards over the same inputs: not one step, so only `run` can run it.  ys is a pair."""

    def shapes(self, n_in, units):
        return tuple(cell.shapes(n_in, n) for cell, n in zip(self.cells, self.units_per_cell(units)))

    def check_cells(self, p, x, s, extra, lead):
        if len(self.cells) != 2:
            raise ShapeError(self.name, f"{len(self.cells)} cells, expected 2: one for each direction")
        return tuple(cell.check(q, x, state, e, lead) for cell, q, state, e in zip(self.cells, p, s, extra))
