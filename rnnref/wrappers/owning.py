"""A wrapper with parameters of its own, flat beside those of its cell.

Those of several cells, and those of a cell with the same names, lie under "cell".
"""
from ..errors import ShapeError
from ..shapes import ArraySpec, Size, check_floating, expect
from .base import Wrapper


class ParametricWrapper(Wrapper):
    def own(self):
        """Its own parameters and their axes."""
        raise NotImplementedError

    def own_shapes(self, n_in, units):
        """The shapes of its own parameters, and how many inputs its cell gets."""
        raise NotImplementedError

    def axes(self):
        return self.join(self.own(), self.cell.axes())

    def shapes(self, n_in, units):
        own, n_in = self.own_shapes(n_in, units)
        return self.join(own, self.cell.shapes(n_in, units))

    def units(self, p):
        return self.cell.units(self.split(p)[1])

    def split(self, p):
        """(its own parameters, those of its cell)."""
        mine = self.own()
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
            expect(self.name, name, a, self.own()[name], sizes)


def infer_input_sizes(who, x, lead):
    """The sizes of the axes of x, "… I"."""
    name, axes = (x.name if isinstance(x, ArraySpec) else "x"), f"{lead} I".split()
    check_floating(who, name, x)
    if len(x.shape) != len(axes):
        raise ShapeError(who, f"{name} has shape {tuple(x.shape)}, expected {len(axes)} axes",
                         axes=f'{name} is "{lead} I"')
    return {letter: Size(n, f"from {name}, shape {tuple(x.shape)}") for letter, n in zip(axes, x.shape)}


def replace_width(x, n, name):
    """What x becomes: `n` wide."""
    return ArraySpec((*x.shape[:-1], n), x.dtype, name)
