"""Cells that own their weights: what RNN holds, and single steps by themselves.  (floor 7)"""
from typing import Any

from .. import init
from ..arrays import namespace
from ..cell import Cell, vjp
from ..errors import NotSupported, ShapeError
from ..loops.run import make_initial_state
from ..tree import first_leaf, leaves, map_structure
from .old_base import Layer, Owner
from .nested import map_shapes, cast_inputs, as_lists, pack_like, sizes_of, stand_in


class CellLayer(Layer):
    """One step: forward(x, states) -> y, states;   backward(dy, dstates) -> dx, dstates.

    x [B, I], or the tree that the cell takes; states, a list as in Keras ([h], LSTM: [h, c]; of several cells a list
    of lists), are zeros if not given.
    """
    vectors: Any = False                          # whether x must be one array [B, I]
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
        """As in Keras: a number, a list, or a list of these; a tuple for arrays with more axes."""
        sizes = sizes_of(self.core.zeros(1, self.units))
        return sizes[0] if isinstance(sizes, list) and len(sizes) == 1 else sizes

    @property
    def output_size(self):
        return self.core.width(self.units)

    def get_initial_state(self, batch_size):
        return as_lists(self.core.zeros(batch_size, self.units, dtype=self.dtype))

    def forward(self, x, states=None, training=False, *, masks=None):
        x = cast_inputs(self.who, "x", x, self.dtype)
        for path, a in leaves(x):
            if a.ndim < 2 or a.ndim > 2 and self.vectors:
                raise ShapeError(self.who, f"{f'x.{path}' if path else 'x'} has shape {a.shape}, expected 2 axes",
                                 axes='x is "B I": one step')
        self.fit(x, map_structure(lambda a: a.shape, x))
        core, extra = self.noise(len(first_leaf(x)), namespace(first_leaf(x)), training, masks)
        s = make_initial_state(core, first_leaf(x)[None], self.units)
        s = s if states is None else pack_like(self.who, "states", states, s)
        (y, new), back = vjp(core, self.params, x, s, extra)
        self.tape = back, y, new
        return y, as_lists(new)

    def backward(self, dy=None, dstates=None):
        back, y, new = self.recorded()
        dy = pack_like(self.who, "dy", dy, y)
        dx, ds, _, self.grads = back(dy, pack_like(self.who, "dstates", dstates, new))
        return dx, as_lists(ds)


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
    Where x is no array [B, I], n_in(x) says what shapes takes: if not written, the last axis of every array.
    """

    def __init__(self, cell, units=None, seed=None, **base):
        self.cell = cell
        if not isinstance(cell, Cell):
            raise NotSupported("layers.RNN", f"cell is a {type(cell).__name__}",
                               known="a cell of rnnref.layers, a rnnref.cells.Cell with units=..., an object with "
                                     "call(inputs, states) and state_size, or a list of these")
        lacks = [name for name in ("axes", "shapes", "zeros", "width") if not hasattr(cell, name)]
        if lacks:
            raise NotSupported("layers.RNN", f"{type(cell).__name__} has no {', '.join(lacks)}: no weights can be made",
                               fix="rnnref.run takes it with weights and a state of your own")
        if units is None:
            raise NotSupported("layers.RNN", f"units are not given: {_name_of(cell)} itself has no size",
                               fix="RNN(cell, units=...)")
        super().__init__(units, seed, **base)

    @property
    def core(self):
        return self.cell

    def noise(self, batch, xp, training=False, masks=None):
        return self.cell, masks

    def build(self, n_in):
        n_in = self.cell.n_in(map_shapes(stand_in, n_in))
        self.params = self.placed(init.parameters(self.cell, n_in, self.units, self.weight_rng, self.dtype))
        self.n_in = n_in

    @property
    def weight_names(self):
        return [path for path, _ in leaves(self.cell.axes())]

    def get_config(self):
        return super().get_config() | self.config_of("cell", "units", "seed")


def _name_of(cell):
    return getattr(cell, "name", type(cell).__name__)
