"""The layer that runs any cell over a sequence."""
from ..cell import Cell
from ..errors import NotSupported
from .call_cell import CallCell
from .cell import CellLayer, CoreCell
from .nested import one_step
from .recurrent import Recurrent, return_gradients, return_outputs
from .stacked import StackedRNNCells, common_dtype


class RNN(Recurrent):
    """A cell over a sequence, with Keras's arguments, defaults and results.

    cell                SimpleRNNCell, LSTMCell, GRUCell, StackedRNNCells; a list of cells, one on the other; any cell
                        of rnnref.cells, or of your own (`CoreCell`), with `units`, a number or one for each cell, and
                        `seed` of its weights; an object with call(inputs, states) and state_size (`CallCell`)
    return_sequences    y of every step, [B, T, H], and not only the last one, [B, H]
    return_state        (y, *states): the last h (and c)
    go_backwards        from the last step to the first.  As in Keras y is in the order in which the loop went: y[:, 0]
                        is beside x[:, -1]
    stateful            a call starts where the last one ended, until reset_state()
    unroll              changes nothing: one loop serves all
    zero_output_for_mask    y at dead steps is zero; if not, it repeats the output before (zero before the first)
    time_major          x and y are [T, B, ...], as the RFC has it and Keras 3 no more

    Inputs, outputs and states may be tuples, named tuples and dicts, where the cell takes and gives such: x is then a
    tree of arrays [B, T, ...], y has the structure of the outputs, and a state that is a dict is one of the states.

    Dead steps leave the state as it was; NaN in them harms nothing.  A last output at a dead step is what the policy
    says: zero_output_for_mask with right padding gives zeros for short rows, as in Keras.

    Same as       Keras RNN
    Differs from  Keras with the JAX back end: there leading dead steps say the initial h, and zero_output_for_mask is
                  ignored with unroll.  The PyTorch and TensorFlow back ends say zero, as here
    Errors        NotSupported: an option that is not there; ShapeError, DtypeError, DeviceError: arrays that do not fit

    >>> import numpy as np, rnnref
    >>> layer = RNN(rnnref.cells.LSTM(peepholes=True), units=4, return_sequences=True)
    >>> y = layer(np.ones((2, 5, 3)), mask=np.array([[True] * 5, [True, True, False, False, False]]))
    >>> y.shape, bool((y[1, 4] == y[1, 1]).all())
    ((2, 5, 4), True)
    >>> dx, dstate = layer.backward(np.ones_like(y))
    >>> sorted(layer.grads)
    ['R', 'W', 'Wpf', 'Wpi', 'Wpo', 'b']
    """

    def __init__(self, cell, return_sequences=False, return_state=False, go_backwards=False, stateful=False,
                 unroll=False, zero_output_for_mask=False, *, units=None, seed=None, time_major=False, dtype=None,
                 **base):
        self.cell = _as_layer(cell, units, seed, dtype)
        super().__init__(dtype=common_dtype(self.who, dtype, [self.cell]), **base)
        self.return_sequences, self.return_state, self.go_backwards = return_sequences, return_state, go_backwards
        self.stateful, self.unroll, self.zero_output_for_mask = stateful, unroll, zero_output_for_mask
        self.time_major = time_major

    def leaves(self):
        return self.cell.leaves()

    def build(self, n_in):
        self.cell.build(one_step(n_in))

    units = property(lambda self: self.cell.units)
    n_in = property(lambda self: self.cell.n_in)
    core = property(lambda self: self.cell.core)
    state_size = property(lambda self: self.cell.state_size)
    params = property(lambda self: self.cell.params, lambda self, tree: setattr(self.cell, "params", tree))
    grads = property(lambda self: self.cell.grads, lambda self, tree: setattr(self.cell, "grads", tree))

    @property
    def reverse(self):
        return self.go_backwards

    @property
    def padding(self):
        return "zero" if self.zero_output_for_mask else "repeat"

    def get_initial_state(self, batch_size):
        """Zeros, as `initial_state` takes them."""
        return self.cell.get_initial_state(batch_size)

    def noise(self, batch, xp, training=False, masks=None):
        return self.cell.noise(batch, xp, training, masks)

    def merged(self, ys):
        y = return_outputs(ys, self.go_backwards, self.return_sequences)
        return self.timed(y) if self.return_sequences else y

    def parted(self, dy, ys):
        dy = self.timed(dy) if self.return_sequences else dy
        return return_gradients(dy, ys, self.go_backwards, self.return_sequences)

    def loop_config(self):
        time = {"time_major": True} if self.time_major else {}       # Keras knows no such argument
        return time | self.config_of("return_sequences", "return_state", "go_backwards", "stateful", "unroll",
                                     "zero_output_for_mask")

    def get_config(self):
        return super().get_config() | self.loop_config() | self.config_of("cell")


def _as_layer(cell, units, seed, dtype):
    """The cell as a layer that owns its weights."""
    if isinstance(cell, (list, tuple)):
        return StackedRNNCells(_as_layers(cell, units, seed, dtype))
    if callable(getattr(cell, "call", None)) and not isinstance(cell, (CellLayer, Cell)):
        if units is not None:
            raise NotSupported("layers.RNN", f"units={units!r}: {type(cell).__name__} has its own state_size")
        return CallCell(cell, seed, dtype)
    if not isinstance(cell, CellLayer):
        return CoreCell(cell, units, seed, dtype=dtype)
    for name, value in (("units", units), ("seed", seed)):
        if value is not None:
            raise NotSupported("layers.RNN", f"{name}={value!r}: {type(cell).__name__} has its own")
    return cell


def _as_layers(cells, units, seed, dtype):
    each = units if isinstance(units, (list, tuple)) else [units] * len(cells)
    if len(each) != len(cells):
        raise NotSupported("layers.RNN", f"units={units!r} for {len(cells)} cells, expected one for each")
    for k, (cell, n) in enumerate(zip(cells, each)):
        raw = not isinstance(cell, CellLayer)
        cell = _as_layer(cell, n, seed, dtype) if raw else cell
        if raw:
            cell.forget((k,))
        yield cell
