"""Cells written as for Keras: an object with call(inputs, states).  (floor 7)"""
from copy import copy
from inspect import signature

import numpy

from ..arrays import is_array, is_floating
from ..cell import Cell
from ..errors import DtypeError, NotSupported, ShapeError
from ..shapes import ArraySpec
from ..tree import first_leaf, leaves
from .old_base import Layer
from .cell import OwningCell
from .nested import map_shapes, as_lists, output_shapes, one_step, cast_outputs, pack_like, stand_in, with_batch

_BACKWARD = "backward(inputs, states, doutputs, dstates) -> dinputs, dstates, {weight: its gradient}"


class _CalledCell(Cell):
    """The object as a cell of the core: pure, for it is asked on a copy that holds the parameters given."""
    own_products = "what its call() does"

    def __init__(self, cell, training=None):
        self.cell, self.options = cell, {} if training is None else {"training": training}

    @property
    def name(self):
        return type(self.cell).__name__

    def units(self, p=None):
        return self.cell.state_size

    def width(self, units):
        size = getattr(self.cell, "output_size", None)
        if size is None:                          # as Keras: the first of the states
            size = self.cell.state_size
            size = size[0] if isinstance(size, (list, tuple)) else size
        return size

    def zeros(self, batch, units=None, xp=numpy, dtype="float32"):
        made = getattr(self.cell, "get_initial_state", None)
        if made is None:
            return _zeros_of(self.cell.state_size, batch, xp, dtype)
        s = cast_outputs(made(batch_size=batch), numpy.empty(0, dtype))
        return s if isinstance(s, (tuple, dict)) else (s,)

    def holding(self, p):
        cell = copy(self.cell)
        vars(cell).update(p)
        return cell

    def check(self, p, x, s, extra=None, lead="B"):
        """The outlines of the outputs, as output_size says."""
        like = x if isinstance(x, ArraySpec) else first_leaf(x)
        rows = like.shape[:len(lead.split())]
        return map_shapes(lambda shape: ArraySpec((*rows, *shape[1:]), like.dtype, f"the output of {self.name}"),
                          output_shapes(self.width(None)))

    def forward(self, p, x, s, extra=None):
        given = self.holding(p).call(x, as_lists(s), **self.options)
        if not isinstance(given, (list, tuple)) or len(given) != 2:
            raise ShapeError(self.name, f"call gave a {type(given).__name__}, expected outputs, states")
        y = cast_outputs(given[0], first_leaf(x))
        for path, a in leaves(y):
            if not is_array(a):
                raise DtypeError(self.name, f"call gave {path or 'outputs'} as a {type(a).__name__}, expected a NumPy "
                                            "or CuPy array")
        return y, pack_like(self.name, "the state that call gave", given[1], s), (x, s)

    def backward(self, p, kept, dy, dnew):
        x, s = kept
        if not _has_backward(self.cell):
            raise NotSupported(self.name, "has call but no backward: it runs, but it cannot be trained",
                               fix=f"write {_BACKWARD}")
        given = self.holding(p).backward(x, as_lists(s), dy, as_lists(dnew))
        if not isinstance(given, (list, tuple)) or len(given) != 3 or not isinstance(given[2], dict):
            raise ShapeError(self.name, f"backward gave a {type(given).__name__}", axes=f"expected {_BACKWARD}")
        dx, ds = (pack_like(self.name, f"d{what} of backward", d, a)
                  for what, d, a in zip(("inputs", "states"), given, (x, s)))
        return dx, ds, None, given[2]


def _has_backward(cell):
    """Whether it has a backward of its own; every Layer has one that refuses."""
    method = getattr(type(cell), "backward", None)
    return method is not None and method is not Layer.backward


def _zeros_of(sizes, batch, xp, dtype):
    """A state that is zero, for sizes as Keras has them: n; [n, m] or (n, m) for two; a tuple in these is a shape."""
    if isinstance(sizes, dict):
        return {k: _zeros_in(size, batch, xp, dtype) for k, size in sizes.items()}
    items = [_zeros_in(size, batch, xp, dtype) for size in (sizes if isinstance(sizes, (list, tuple)) else [sizes])]
    return type(sizes)(*items) if hasattr(sizes, "_fields") else tuple(items)


def _zeros_in(size, batch, xp, dtype):
    if isinstance(size, (list, dict)) or hasattr(size, "_fields"):
        return _zeros_of(size, batch, xp, dtype)
    return xp.zeros((batch, *(size if isinstance(size, tuple) else (size,))), dtype)


class CallCell(OwningCell):
    """An object with call(inputs, states) -> outputs, states, as one writes them for Keras; `RNN(cell)` makes one.

    state_size      a number; a list or a tuple with one for each state, a number or, for a state [B, n, m], a tuple
                    (n, m); or a dict of these
    output_size     the same for outputs, where another cell is to take them; if not there, the first state's
    build           build(input_shape), if there is one, makes the weights once inputs are known; input_shape is
                    (B, I), for several inputs a tuple or a dict of such
    weights         are the floating arrays among the attributes, but those whose names start with _; they stay there
    call            gets x, and the states in a list; also `training`, if that is among its arguments
    backward        gets these once more and the gradients of what call gave; gives those of inputs and states, and a
                    dict of those of the weights.  Without it the cell runs, and says so when it is to be trained
    get_initial_state   get_initial_state(batch_size), if there is one, in the place of zeros

    A rnnref.layers.Layer has add_weight(shape, initializer, name) to make weights with.

    Same as       what keras.layers.RNN takes for a cell
    Differs from  Keras: nothing differentiates `call`, which is NumPy; inputs, states and outputs may be dicts, and
                  weights are arrays
    Errors        NotSupported: no backward; ShapeError: what call or backward gives is not like what it was given

    >>> import numpy as np
    >>> from rnnref.layers import RNN
    >>> class Sums:
    ...     state_size = 2
    ...     def build(self, input_shape):
    ...         self.kernel = np.ones((input_shape[-1], 2))
    ...     def call(self, inputs, states):
    ...         y = inputs @ self.kernel + states[0]
    ...         return y, [y]
    ...     def backward(self, inputs, states, doutputs, dstates):
    ...         d = doutputs + dstates[0]
    ...         return d @ self.kernel.T, [d], {"kernel": inputs.T @ d}
    >>> layer = RNN(Sums())
    >>> layer(np.ones((1, 5, 3))).tolist()
    [[15.0, 15.0]]
    >>> dx, dstate = layer.backward(np.ones((1, 2)))
    >>> layer.grads["kernel"].tolist()
    [[5.0, 5.0], [5.0, 5.0], [5.0, 5.0]]
    """

    def __init__(self, cell, seed=None, dtype=None, **base):
        if not hasattr(cell, "state_size"):
            raise NotSupported("layers.RNN", f"{type(cell).__name__} has call, but no state_size",
                               fix="a number, or a list with one for each state")
        self.cell, self.made = cell, ()
        dtype = cell.dtype if dtype is None and isinstance(cell, Layer) else dtype
        super().__init__(None, seed, dtype=dtype, **base)
        self.units = cell.state_size

    @property
    def core(self):
        return _CalledCell(self.cell)

    @property
    def who(self):
        return f"layers.RNN({type(self.cell).__name__})"

    @property
    def state_size(self):
        return self.cell.state_size

    @property
    def output_size(self):
        return self.core.width(None)

    @property
    def weight_names(self):
        return [name for name, a in vars(self.cell).items()
                if not name.startswith("_") and is_array(a) and is_floating(a.dtype)]

    params = property(lambda self: {name: getattr(self.cell, name) for name in self.weight_names},
                      lambda self, arrays: vars(self.cell).update(arrays))

    def build(self, n_in):
        shapes, before = map_shapes(with_batch, n_in), set(vars(self.cell))
        if isinstance(self.cell, Layer):
            self.cell.weight_rng = self.weight_rng
        if getattr(type(self.cell), "build", Layer.build) is not Layer.build:
            self.cell.build(shapes)
        self.made = tuple(name for name in self.weight_names if name not in before)
        self.params = self.placed(self.params)
        self.n_in = self.core.n_in(map_shapes(stand_in, one_step(shapes)))

    def forget(self, stream=None):
        """What build made is no more."""
        for name in self.made:
            delattr(self.cell, name)
        self.made = ()
        super().forget(stream)

    def noise(self, batch, xp, training=False, masks=None):
        if masks is not None:
            raise NotSupported(self.who, f"masks={type(masks).__name__}(…): this cell takes none")
        told = "training" in signature(self.cell.call).parameters
        return _CalledCell(self.cell, bool(training) if told else None), None

    def get_initial_state(self, batch_size):
        return as_lists(self.core.zeros(batch_size, dtype=self.dtype))

    def get_config(self):
        own = {"cell": self.config_of("cell")["cell"], "seed": self.seed}
        if own["cell"] is self.cell:
            raise NotSupported(self.who, "get_config of a cell without get_config()", fix="write one")
        return super().get_config() | own
