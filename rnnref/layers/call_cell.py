"""Cells written as for Keras: an object with call(inputs, states)."""
from copy import copy
from inspect import signature

import numpy

from ..arrays import is_array, is_floating
from ..cell import ALL, Cell
from ..errors import DtypeError, NotSupported, ShapeError
from ..nest import flatten, map_structure
from ..record import Record, paused
from ..shapes import ArraySpec
from ..tree import first_leaf, leaves, map_structure as map_tree
from ..values import Value, numbers
from .base import Layer
from .cell import CellLayer
from .nested import as_lists, cast_outputs, map_shapes, one_step, output_shapes, pack_like, stand_in, with_batch
from .weight import Weight, inside

_BACKWARD = "backward(inputs, states, doutputs, dstates) -> dinputs, dstates, {weight: its gradient}"


class _CalledCell(Cell):
    """The object as a cell of the core: pure, for it is asked on a copy that holds the parameters given.

    Where it has no backward of its own, every step is recorded, and the way back is that of the records.
    """
    own_products = "what its call() does"

    def __init__(self, cell, weights, training=None, keep=True):
        self.cell, self.weights, self.keep = cell, weights, keep           # {name: weight}
        self.options = {} if training is None else {"training": training}
        self.own_backward = getattr(type(cell), "backward", Layer.backward) is not Layer.backward

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
        with paused():
            return as_state(numbers(made(batch_size=batch)), numpy.empty(0, dtype))

    def holding(self, arrays):
        """A copy of the object with these, {name: array}, in the place of its weights."""
        cell, held = copy(self.cell), {w.key: name for name, w in self.weights.items()}
        for attribute, a in list(vars(cell).items()):
            if attribute in arrays:
                vars(cell)[attribute] = arrays[attribute]
            elif isinstance(a, Weight) and held.get(a.key) in arrays:
                vars(cell)[attribute] = arrays[held[a.key]]
        return cell

    def check(self, p, x, s, extra=None, lead="B"):
        """The outlines of the outputs, as output_size says."""
        like = x if isinstance(x, ArraySpec) else first_leaf(x)
        rows = like.shape[:len(lead.split())]
        return map_shapes(lambda shape: ArraySpec((*rows, *shape[1:]), like.dtype, f"the output of {self.name}"),
                          output_shapes(self.width(None)))

    def controls(self, extra):
        return self.options if extra is None else {**self.options, "constants": extra}

    def forward(self, p, x, s, extra=None):
        if self.own_backward:
            y, new = self.parted(self.holding(p).call(x, as_lists(s), **self.controls(extra)))
            kept = x, s
        else:
            kept = self.recorded(p, x, s, extra)
            y, new = kept[-1]
        y = cast_outputs(numbers(y), first_leaf(x))
        for path, a in leaves(y):
            if not is_array(a):
                raise DtypeError(self.name, f"call gave {path or 'outputs'} as a {type(a).__name__}, expected a NumPy "
                                            "or CuPy array")
        return y, pack_like(self.name, "the state that call gave", numbers(new), s), kept

    def recorded(self, p, x, s, extra):
        """One step in a record of its own: its weights stand for p there."""
        bound = {w.key: p[name] for name, w in self.weights.items()}
        with Record(self.keep, bool(self.options.get("training")), bound) as record:
            xs, ss, es = map_tree(record.leaf, x), map_tree(record.leaf, s), extra
            if extra is not None:
                es = [record.leaf(a) for a in extra] if isinstance(extra, tuple) else record.leaf(extra)
            own = {} if isinstance(self.cell, Layer) else {
                name: Value(a, record.serial, number) for name, w in self.weights.items()
                for a, number in [record.weights[w.key]]}
            given = self.parted(self.holding(own).call(xs, as_lists(ss), **self.controls(es)))
        return record, xs, ss, es, given

    def parted(self, given):
        if not isinstance(given, (list, tuple)) or len(given) != 2:
            raise ShapeError(self.name, f"call gave a {type(given).__name__}, expected outputs, states")
        return given

    def backward(self, p, kept, dy, dnew, wanted=ALL):
        if self.own_backward:
            return self.walked_by_hand(p, kept, dy, dnew)
        record, xs, ss, es, (y, new) = kept
        new = new if isinstance(new, (list, tuple)) else [new]
        dnew = as_lists(dnew)
        of = {"x": xs, "s": ss, "extra": tuple(es) if isinstance(es, list) else es, "p": self.weights}
        asked = None if len(wanted) == len(of) else [a for name in wanted for _, a in leaves(of[name])]
        found = record.backward([y, list(new)], [like_list(dy, y), [like_list(d, a) for d, a in zip(dnew, new)]], asked)
        dx, ds, dextra = (map_tree(lambda v: or_zero(found[v], v.data), of[name]) if name in wanted else None
                          for name in ("x", "s", "extra"))
        dp = {name: or_zero(found[w], p[name]) for name, w in self.weights.items()} if "p" in wanted else None
        return dx, ds, dextra, dp

    def walked_by_hand(self, p, kept, dy, dnew):
        x, s = kept
        given = self.holding(p).backward(x, as_lists(s), dy, as_lists(dnew))
        if not isinstance(given, (list, tuple)) or len(given) != 3 or not isinstance(given[2], dict):
            raise ShapeError(self.name, f"backward gave a {type(given).__name__}", axes=f"expected {_BACKWARD}")
        dx, ds = (pack_like(self.name, f"d{what} of backward", d, a)
                  for what, d, a in zip(("inputs", "states"), given, (x, s)))
        names = {attribute: name for attribute, a in vars(self.cell).items() if isinstance(a, Weight)
                 for name, w in self.weights.items() if w is a}
        return dx, ds, None, {names.get(name, name): d for name, d in given[2].items()}


def or_zero(d, a):
    return a * 0 if d is None else d


def like_list(d, like):
    """A tree of gradients in the structure of what the user gave, which may have lists."""
    if isinstance(like, dict):
        return {k: like_list(d[k], a) for k, a in like.items()}
    return [like_list(e, a) for e, a in zip(d, like)] if isinstance(like, (list, tuple)) else d


def as_state(given, like):
    s = cast_outputs(given, like)
    return s if isinstance(s, (tuple, dict)) else (s,)


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


class CallCell(CellLayer):
    """An object with call(inputs, states) -> outputs, states, as one writes them for Keras; `RNN(cell)` makes one.

    state_size      a number; a list or a tuple with one for each state, a number or, for a state [B, n, m], a tuple
                    (n, m); or a dict of these
    output_size     the same for outputs, where another cell is to take them; if not there, the first state's
    build           build(input_shape), if there is one, makes the weights once inputs are known; input_shape is
                    (B, I), for several inputs a tuple or a dict of such
    weights         of a Layer those that it and its layers have; of any other object the floating arrays among the
                    attributes, but those whose names start with _.  They stay there
    call            gets x, and the states in a list; also `training` and `constants`, if these are among its arguments.
                    It is written with NumPy's functions or rnnref.ops, and recorded at every step
    backward        by hand, if there is one: gets these once more and the gradients of what call gave; gives those of
                    inputs and states, and a dict of those of the weights.  Nothing is recorded then
    get_initial_state   get_initial_state(batch_size), if there is one, in the place of zeros; made of weights, it is
                    learned

    A rnnref.layers.Layer has add_weight(shape, initializer, name) to make weights with.

    Same as       what keras.layers.RNN takes for a cell
    Differs from  Keras: inputs, states and outputs may be dicts
    Errors        ShapeError: what call or backward gives is not like what it was given

    >>> import numpy as np
    >>> from rnnref.layers import RNN
    >>> class Sums:
    ...     state_size = 2
    ...     def build(self, input_shape):
    ...         self.kernel = np.ones((input_shape[-1], 2))
    ...     def call(self, inputs, states):
    ...         y = inputs @ self.kernel + states[0]
    ...         return y, [y]
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
        super().__init__(seed=seed, dtype=dtype, **base)
        self.units = cell.state_size
        if not isinstance(cell, Layer):
            self._hold_attributes()

    @property
    def core(self):
        return _CalledCell(self.cell, self.under_our_names())

    @property
    def who(self):
        return f"layers.RNN({type(self.cell).__name__})"

    @property
    def bare_state(self):
        """Whether it has one state, which Keras returns without a list where the cell is one of several."""
        return isinstance(self.cell.state_size, int) and not hasattr(self.cell, "get_initial_state")

    state_size = property(lambda self: self.cell.state_size)
    output_size = property(lambda self: self.core.width(None))
    weight_names = property(lambda self: list(self.under_our_names()))

    def takes(self, name):
        """Whether this is among the arguments of `call`."""
        return name in signature(self.cell.call).parameters

    # weights: of a Layer its own, of any other object arrays among its attributes

    def _sublayers(self):
        return {"cell": self.cell} if isinstance(self.cell, Layer) else {}

    def under_our_names(self):
        """{name: weight}"""
        return {path.removeprefix("cell."): w for path, w in self.named_weights().items()}

    def _tree(self, p):
        return {path.removeprefix("cell."): a for path, a in p.items()}

    def _flat(self, tree):
        return {f"cell.{path}": a for path, a in tree.items()} if isinstance(self.cell, Layer) else dict(tree)

    def _hold_attributes(self):
        names = [name for name, a in vars(self.cell).items()
                 if not name.startswith("_") and is_array(a) and is_floating(a.dtype)]
        self._handles = {name: self._handles[name] if name in self._handles else Weight(self, name) for name in names}

    @property
    def _values(self):
        return {name: getattr(self.cell, name) for name in self._handles}

    @_values.setter
    def _values(self, arrays):
        if "cell" in vars(self) and not isinstance(self.cell, Layer):
            vars(self.cell).update(arrays)

    def build(self, input_shape, constants_shape=None):
        shapes = map_shapes(with_batch, input_shape)
        if isinstance(self.cell, Layer):
            self._build_layer(shapes, constants_shape)
        else:
            before = set(vars(self.cell))
            if hasattr(self.cell, "build"):
                self.cell.build(shapes)
            self._hold_attributes()
            self.made = tuple(name for name in self._handles if name not in before)
            for name, a in self._values.items():
                setattr(self.cell, name, a.astype(self.dtype))
        self.n_in = self.core.n_in(map_shapes(stand_in, one_step(shapes)))

    def _build_layer(self, shapes, constants_shape):
        """Build the cell and the layers that its call meets: they have to be there before the first step."""
        cell = self.cell
        if self.seed is not None:
            cell.weight_rng, cell.noise_rng = self.weight_rng, self.noise_rng
        if not cell.built:
            cell.build(shapes)
        if cell._sublayers():
            with Record(keep=False, probing=True) as record, numpy.errstate(all="ignore"), inside(cell):
                def stand_ins(shapes):
                    return map_shapes(lambda s: record.constant(numpy.zeros((2, *s[1:]), self.dtype)), shapes)
                told = {"training": False} if self.takes("training") else {}
                if constants_shape is not None:
                    told["constants"] = stand_ins(constants_shape)
                cell.call(stand_ins(shapes), map_structure(record.constant, as_lists(
                    self.core.zeros(2, dtype=self.dtype))), **told)

    def _forget(self, stream=None):
        """What build made is no more."""
        for name in self.made:
            delattr(self.cell, name)
        self.made = ()
        super()._forget(stream)
        if not isinstance(self.cell, Layer):
            self._hold_attributes()

    def first_state(self, p, batch, keep):
        made = getattr(self.cell, "get_initial_state", None)
        if made is None or not isinstance(self.cell, Layer):
            return None
        weights = self.named_weights()
        with Record(keep, bound={w.key: p[path] for path, w in weights.items()}) as record:
            state = made(batch_size=batch)
        if not any(isinstance(a, Value) and a.number is not None for a in flatten(state)):
            return None
        state = state if isinstance(state, (list, tuple, dict)) else [state]
        s = as_state(numbers(state), numpy.empty(0, self.dtype))

        def back(ds):
            found = record.backward(state, like_list(ds, state))
            return {path: or_zero(found[w], p[path]) for path, w in weights.items()}
        return s, back

    def running(self, batch, xp, training=False, masks=None, constants=None, keep=True):
        if masks is not None:
            raise NotSupported(self.who, f"masks={type(masks).__name__}(…): this cell takes none")
        if constants is not None and not self.takes("constants"):
            raise NotSupported(self.who, "constants: call has no such argument", fix="call(inputs, states, constants)")
        extra = tuple(constants) if isinstance(constants, list) else constants
        training = bool(training) if self.takes("training") else None
        return _CalledCell(self.cell, self.under_our_names(), training, keep), extra

    def get_initial_state(self, batch_size=1):
        return as_lists(self.core.zeros(batch_size, dtype=self.dtype))

    def get_config(self):
        own = {"cell": self.config_of("cell")["cell"], "seed": self.seed}
        if own["cell"] is self.cell:
            raise NotSupported(self.who, "get_config of a cell without get_config()", fix="write one")
        return super().get_config() | own
