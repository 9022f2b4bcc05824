"""A cell around one cell.  Its parameters and its state are the inner cell's, with its own names beside them."""
from typing import Any

from ..cell import Cell
from ..errors import NotSupported


class Wrapper(Cell):
    cell: Any

    @property
    def name(self):
        return f"{type(self).__name__}({self.cell.name})"

    @property
    def gates(self):
        return self.cell.gates

    def axes(self):
        return self.cell.axes()

    def shapes(self, n_in, units):
        return self.cell.shapes(n_in, units)

    def n_in(self, x):
        return self.cell.n_in(x)

    def lead(self, rows):
        return self.cell.lead(rows)

    def zeros(self, *sizes, **place):
        return self.cell.zeros(*sizes, **place)

    def width(self, units):
        return self.cell.width(units)

    def units(self, p):
        if not hasattr(self.cell, "units"):
            raise NotSupported(self.name, "does not say its number of units", fix="give the first state")
        return self.cell.units(p)

    def prepare(self, p, extra=None):
        return self.cell.prepare(p, extra)

    def prepare_backward(self, p, kept, dp, dextra):
        return self.cell.prepare_backward(p, kept, dp, dextra)

    def check(self, p, x, s, extra=None, lead="B"):
        return self.cell.check(p, x, s, extra, lead)
