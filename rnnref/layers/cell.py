"""Cells that own their weights: what RNN holds, and single steps by themselves.  (floor 7)"""
from typing import Any

import numpy

from .. import init
from ..arrays import is_array, namespace
from ..cell import Cell, vjp
from ..errors import NotSupported, ShapeError
from ..tree import leaves, zeros
from .base import Layer, Owner, taken


class CellLayer(Layer):
    """One step: forward(x, states) -> y, states;   backward(dy, dstates) -> dx, dstates.

    x [B, I]; states, a list as in Keras ([h], LSTM: [h, c]; of several cells a list of lists), are zeros if not given.
    """
    units: Any; n_in: Any                         # numbers; units of several cells are one for each
    params: Any; grads: Any

    @property
    def core(self):
        """The cell of rnnref.cells that computes it."""
        raise NotImplementedError

    def noise(self, batch, xp, training=False, masks=None):
        """The core to run, and its `extra`."""
        raise NotImplementedError

    @property
    def state_size(self):
        """As in Keras: a number, a list, or a list of these."""
        sizes = sizes_of(self.core.zeros(1, self.units))
        return sizes[0] if len(sizes) == 1 else sizes

    @property
    def output_size(self):
        return self.core.width(self.units)

    def get_initial_state(self, batch_size):
        return listed(self.core.zeros(batch_size, self.units, dtype=self.dtype))

    def forward(self, x, states=None, training=False, *, masks=None):
        x = self.taken("x", x)
        if x.ndim != 2:
            raise ShapeError(self.who, f"x has shape {x.shape}, expected 2 axes", axes='x is "B I": one step')
        self.fit(x)
        core, extra = self.noise(len(x), namespace(x), training, masks)
        s = core.zeros(len(x), self.units, namespace(x), self.dtype)
        s = packed(self.who, "states", states, s)
        (y, new), back = vjp(core, self.params, x, s, extra)
        self.tape = back, y, new
        return y, listed(new)

    def backward(self, dy=None, dstates=None):
        back, y, new = self.recorded()
        dy = packed(self.who, "dy", dy, y)
        dx, ds, _, self.grads = back(dy, packed(self.who, "dstates", dstates, new))
        return dx, listed(ds)

    def fit(self, x):
        """Build for inputs like x, or raise if that is not what the layer is for."""
        if not self.built:
            self.build(x.shape[-1])
            if namespace(x) is not numpy:
                self.to("gpu")
        if x.shape[-1] != self.n_in:
            raise ShapeError(self.who, f"x has shape {x.shape}, expected {self.n_in} on the last axis",
                             axes=f"this layer was built for I = {self.n_in}")


class OwningCell(Owner, CellLayer):
    """A cell with arrays of its own, for so many `units`."""

    def __init__(self, units, seed=None, **base):
        super().__init__(seed, **base)
        self.units = units

    @property
    def who(self):
        units = getattr(self, "units", None)
        return super().who if units is None else f"{super().who}(units={units})"


class CoreCell(OwningCell):
    """Any cell of rnnref.cells, or of your own, as a layer: `RNN(cell, units=...)` makes one.

    Your own is a `rnnref.cells.Cell` with forward and, to be trained, backward; further axes() and
    shapes(n_in, units), so that weights can be made, zeros(batch, units, xp, dtype) for a first state, and
    width(units), how wide the output is.  Weights lie in the order of axes(), in our layout; `masks` is its `extra`.
    """

    def __init__(self, cell, units=None, seed=None, **base):
        self.cell = cell
        if not isinstance(cell, Cell):
            raise NotSupported("layers.RNN", f"cell is a {type(cell).__name__}",
                               known="a cell of rnnref.layers, a rnnref.cells.Cell with units=..., or a list of these")
        lacks = [name for name in ("axes", "shapes", "zeros", "width") if not hasattr(cell, name)]
        if lacks:
            raise NotSupported("layers.RNN", f"{type(cell).__name__} has no {', '.join(lacks)}: no weights can be made",
                               fix="rnnref.run takes it with weights and a state of your own")
        if units is None:
            raise NotSupported("layers.RNN", f"units are not given: {called(cell)} itself has no size",
                               fix="RNN(cell, units=...)")
        super().__init__(units, seed, **base)

    @property
    def core(self):
        return self.cell

    def noise(self, batch, xp, training=False, masks=None):
        return self.cell, masks

    def build(self, n_in):
        n_in = self.inputs_of(n_in)
        self.params = self.placed(init.parameters(self.cell, n_in, self.units, self.weight_rng, self.dtype))
        self.n_in = n_in

    @property
    def weight_names(self):
        return [path for path, _ in leaves(self.cell.axes())]

    def get_config(self):
        return super().get_config() | self.config_of("cell", "units", "seed")


def called(cell):
    return getattr(cell, "name", type(cell).__name__)


def sizes_of(state):
    return [sizes_of(s) if isinstance(s, tuple) else s.shape[-1] for s in state]


def listed(state):
    """A state of ours as Keras has it: lists in lists."""
    return [listed(s) if isinstance(s, tuple) else s for s in state]


def packed(who, what, given, like):
    """What the user gives for `like`: lists, tuples or named tuples; None is zeros, a bare array a list of one."""
    if given is None:
        return zeros(like)
    if not isinstance(like, tuple):
        a = taken(who, what, given, like.dtype)
        if a.shape != like.shape:
            raise ShapeError(who, f"{what} has shape {a.shape}, expected {like.shape}")
        return a
    given = [given] if is_array(given) and len(like) == 1 else given
    if not isinstance(given, (list, tuple)) or len(given) != len(like):
        got = f"{len(given)} items" if isinstance(given, (list, tuple)) else f"a {type(given).__name__}"
        raise ShapeError(who, f"{what} is {got}, expected {len(like)}: "
                              f"{', '.join(getattr(like, '_fields', ['one for each cell']))}")
    names = getattr(like, "_fields", range(len(like)))
    items = [packed(who, f"{what}.{n}", a, b) for n, a, b in zip(names, given, like)]
    return type(like)(*items) if hasattr(like, "_fields") else tuple(items)
