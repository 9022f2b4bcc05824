"""A cell around one cell.  Its parameters and its state are the inner cell's, with its own names beside them."""
from typing import Any

from ..cell import Cell, find_missing
from ..errors import NotSupported, ShapeError
from ..shapes import ArraySpec, check_floating, expect


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
        if find_missing(self.cell, "units"):
            raise NotSupported(self.name, "the number of units is not known: the cell has no units(p)",
                               fix="give the first state")
        return self.cell.units(p)

    def prepare(self, p, extra=None):
        return self.cell.prepare(p, extra)

    def prepare_backward(self, p, kept, dp, dextra):
        return self.cell.prepare_backward(p, kept, dp, dextra)

    def check(self, p, x, s, extra=None, lead="B"):
        return self.cell.check(p, x, s, extra, lead)


class ParametricWrapper(Wrapper):
    def own_axes(self):
        """Its own parameters and their axes."""
        raise NotImplementedError

    def own_shapes(self, n_in, units):
        """The shapes of its own parameters, and how many inputs its cell gets."""
        raise NotImplementedError

    def axes(self):
        return self.join(self.own_axes(), self.cell.axes())

    def shapes(self, n_in, units):
        own, n_in = self.own_shapes(n_in, units)
        return self.join(own, self.cell.shapes(n_in, units))

    def units(self, p):
        return self.cell.units(self.split(p)[1])

    def split(self, p):
        """(its own parameters, those of its cell)."""
        mine = self.own_axes()
        lacks = [name for name in mine if not isinstance(p, dict) or name not in p]
        if lacks:
            raise ShapeError(self.name, f"parameters: {' '.join(lacks)} missing", names=f"its own are {' '.join(mine)}")
        rest = {name: a for name, a in p.items() if name not in mine}
        return {name: p[name] for name in mine}, rest["cell"] if rest.keys() == {"cell"} else rest

    def join(self, own, inner):
        """One dict; what is a tuple, or has a name of ours, goes one floor down."""
        flat = isinstance(inner, dict) and not own.keys() & inner.keys()
        return own | (inner if flat else {"cell": inner})

    def prepare(self, p, extra=None):
        own, inner = self.split(p)
        inner, extra, kept = self.cell.prepare(inner, extra)
        return self.join(own, inner), extra, kept

    def prepare_backward(self, p, kept, dp, dextra):
        own, inner = self.split(dp)
        inner, dextra = self.cell.prepare_backward(self.split(p)[1], kept, inner, dextra)
        return self.join(own, inner), dextra

    def check_own(self, p, x, sizes):
        """Raise unless its own parameters have these sizes and the dtype of x (None: any floating dtype)."""
        own, _ = self.split(p)
        for name, a in own.items():
            check_floating(self.name, name, a, x.dtype if x is not None else None)
            expect(self.name, name, a, self.own_axes()[name], sizes)


def replace_width(x, n, name):
    """What x becomes: `n` wide."""
    return ArraySpec((*x.shape[:-1], n), x.dtype, name)
