"""Cells as Keras has them: objects with call(inputs, states)."""
from copy import copy
from inspect import signature
from typing import Any, NamedTuple, Optional

import numpy

from ..arrays import is_array, is_floating
from ..cell import ALL, Cell
from ..errors import DtypeError, NotSupported, ShapeError, describe_type
from ..nest import flatten, map_structure
from ..record import Record, paused
from ..shapes import ArraySpec
from ..tree import PerStep, first_leaf, leaves, map_structure as map_tree, tuple_like
from ..values import Value, numbers
from .base import Layer
from .cell import CellLayer
from .draws import MOST, drawing_from
from .nested import (as_lists, cast_outputs, listless, map_shapes, one_step, output_shapes, pack_like, stand_in,
                     with_batch)
from .weight import Weight, inside

_BACKWARD = "backward(inputs, states, doutputs, dstates) -> dinputs, dstates, {weight: its gradient}"


class _Extra(NamedTuple):
    """`extra` in training: constants, and a seed for what the layers inside draw at each step."""
    constants: Any; seeds: Any = None


class _CalledCell(Cell):
    """Such an object as a cell of the core: pure, since each step calls a copy that holds the given parameters.

    Where it has no backward of its own, every step is recorded, and its record is walked back.
    """
    own_products = "what its call() does"

    def __init__(self, cell: Any, weights: Any, training: Any = None, keep: Any = True, draws: bool = False) -> None:
        self.cell, self.weights, self.keep, self.draws = cell, weights, keep, draws     # {name: weight}
        self.training, told = bool(training), "training" in signature(cell.call).parameters
        self.options = {"training": self.training} if told and training is not None else {}
        self.own_backward = getattr(type(cell), "backward", Layer.backward) is not Layer.backward

    @property
    def name(self) -> Any:
        return type(self.cell).__name__

    def units(self, p: Any = None) -> Any:
        return self.cell.state_size

    def width(self, units: Any) -> Any:
        size = getattr(self.cell, "output_size", None)
        if size is None:                          # as Keras: the first of the states
            size = self.cell.state_size
            size = size[0] if isinstance(size, (list, tuple)) and size else size
            size = None if isinstance(size, dict) else size                    # which of its items is not known
        return size

    def zeros(self, batch: Any, units: Any = None, xp: Any = numpy, dtype: Any = "float32") -> Any:
        made = getattr(self.cell, "get_initial_state", None)
        if made is None:
            return _zeros_of(self.cell.state_size, batch, xp, dtype)
        with paused():
            return as_state(numbers(made(batch_size=batch)), numpy.empty(0, dtype))

    def holding(self, arrays: Any) -> Any:
        """A copy of the object with these, {name: array}, in the place of its weights."""
        cell, held = copy(self.cell), {w.key: name for name, w in self.weights.items()}
        for attribute, a in list(vars(cell).items()):
            if attribute in arrays:
                vars(cell)[attribute] = arrays[attribute]
            elif isinstance(a, Weight) and held.get(a.key) in arrays:
                vars(cell)[attribute] = arrays[held[a.key]]
        return cell

    def check(self, p: dict, x: Any, s: Any, extra: Any = None, lead: str = "B") -> Any:
        """Shape and dtype of the outputs, from output_size."""
        like = x if isinstance(x, ArraySpec) else first_leaf(x)
        rows = like.shape[:len(lead.split())]
        size = self.width(None)
        return None if size is None else map_shapes(
            lambda shape: ArraySpec((*rows, *shape[1:]), like.dtype, f"the output of {self.name}"), output_shapes(size))

    def controls(self, constants: Any) -> Any:
        return self.options if constants is None else {**self.options, "constants": constants}

    def forward(self, p: dict, x: Any, s: Any, extra: Any = None) -> Any:
        extra, seed = (extra.constants, int(extra.seeds.max())) if isinstance(extra, _Extra) else (extra, None)
        with drawing_from(seed):                  # `seeds` has one number in every live row
            if self.own_backward:
                y, new = self.parted(self.holding(p).call(x, as_lists(s), **self.controls(extra)))
                kept = x, s, seed
            else:
                kept = self.recorded(p, x, s, extra)
                y, new = kept[-1]
        y = cast_outputs(numbers(y), first_leaf(x))
        for path, a in leaves(y):
            if not is_array(a):
                raise DtypeError(self.name, f"call gave {path or 'outputs'} as {describe_type(a)}, expected a NumPy "
                                            "or CuPy array")
        return y, pack_like(self.name, "the state that call gave", numbers(new), s), kept

    def recorded(self, p: dict, x: Any, s: Any, extra: Any) -> tuple:
        """Record one step, in which the weights are the values of p."""
        bound = {w.key: p[name] for name, w in self.weights.items()}
        with Record(self.keep, self.training, bound) as record:
            xs, ss, es = map_tree(record.leaf, x), map_tree(record.leaf, s), extra
            if extra is not None:
                es = [record.leaf(a) for a in extra] if isinstance(extra, tuple) else record.leaf(extra)
            own = {} if isinstance(self.cell, Layer) else {
                name: Value(a, record.serial, number) for name, w in self.weights.items()
                for a, number in [record.weights[w.key]]}
            given = self.parted(self.holding(own).call(xs, as_lists(ss), **self.controls(es)))
        for layer, kept in record.pending:
            if layer.leaves(kept):
                raise NotSupported(self.name, f"{layer.who} {layer.name!r} would write moving averages or a state at "
                                   "every step, and a step must be a pure function",
                                   fix="that layer before or after the RNN; its state as one of the states of the "
                                       "cell; LayerNormalization in the place of BatchNormalization")
        return record, xs, ss, as_tuples(es), as_tuples(given)

    def parted(self, given: Any) -> Any:
        if not isinstance(given, (list, tuple)) or len(given) != 2:
            raise ShapeError(self.name, f"call gave {describe_type(given)}, expected outputs, states")
        return given

    def backward(self, p: dict, kept: Any, dy: Any, dnew: Any, wanted: Any = ALL) -> Any:
        if self.own_backward:
            return self.walked_by_hand(p, kept, dy, dnew)
        record, xs, ss, es, (y, new) = kept
        new = new if isinstance(new, (list, tuple)) else [new]
        dnew = as_lists(dnew)
        of = {"x": xs, "s": ss, "extra": es, "p": self.weights}
        asked = None if len(wanted) == len(of) else [a for name in wanted for _, a in leaves(of[name])]
        found = record.backward([y, list(new)], [like_list(dy, y), [like_list(d, a) for d, a in zip(dnew, new)]], asked)
        dx, ds, dextra = (map_tree(lambda v: or_zero(found[v], v.data), of[name]) if name in wanted else None
                          for name in ("x", "s", "extra"))
        dp = {name: or_zero(found[w], p[name]) for name, w in self.weights.items()} if "p" in wanted else None
        return dx, ds, _Extra(dextra) if self.draws else dextra, dp

    def walked_by_hand(self, p: dict, kept: Any, dy: Any, dnew: Any) -> tuple:
        x, s, seed = kept
        with drawing_from(seed):
            given = self.holding(p).backward(x, as_lists(s), dy, as_lists(dnew))
        if not isinstance(given, (list, tuple)) or len(given) != 3 or not isinstance(given[2], dict):
            raise ShapeError(self.name, f"backward gave {describe_type(given)}", axes=f"expected {_BACKWARD}")
        dx, ds = (pack_like(self.name, f"d{what} of backward", d, a)
                  for what, d, a in zip(("inputs", "states"), given, (x, s)))
        names = {attribute: name for attribute, a in vars(self.cell).items() if isinstance(a, Weight)
                 for name, w in self.weights.items() if w is a}
        return dx, ds, None, {names.get(name, name): d for name, d in given[2].items()}


def as_tuples(tree: Any) -> Any:
    """A nest with its lists made tuples: the core takes a list for numbers."""
    if isinstance(tree, dict):
        return {k: as_tuples(item) for k, item in tree.items()}
    return tuple_like(tree, map(as_tuples, tree)) if isinstance(tree, (list, tuple)) else tree


def or_zero(d: Any, a: Any) -> Any:
    return a * 0 if d is None else d


def like_list(d: Any, like: Any) -> Any:
    """A tree of gradients in the structure of what the user gave, which may have lists."""
    if isinstance(like, dict):
        return {k: like_list(d[k], a) for k, a in like.items()}
    return [like_list(e, a) for e, a in zip(d, like)] if isinstance(like, (list, tuple)) else d


def as_state(given: Any, like: Any) -> Any:
    s = cast_outputs(given, like)
    return s if isinstance(s, (tuple, dict)) else (s,)


def _zeros_of(sizes: Any, batch: Any, xp: Any, dtype: Any) -> Any:
    """A state that is zero, for sizes as Keras has them: n; [n, m] or (n, m) for two; a tuple in these is a shape."""
    if isinstance(sizes, dict):
        return {k: _zeros_in(size, batch, xp, dtype) for k, size in sizes.items()}
    items = [_zeros_in(size, batch, xp, dtype) for size in (sizes if isinstance(sizes, (list, tuple)) else [sizes])]
    return type(sizes)(*items) if hasattr(sizes, "_fields") else tuple(items)


def _zeros_in(size: Any, batch: Any, xp: Any, dtype: Any) -> Any:
    if isinstance(size, (list, dict)) or hasattr(size, "_fields"):
        return _zeros_of(size, batch, xp, dtype)
    return xp.zeros((batch, *(size if isinstance(size, tuple) else (size,))), dtype)


class CallCell(CellLayer):
    """An object with call(inputs, states) -> outputs, states, as for Keras; `RNN(cell)` makes one.

    state_size      a number; a list or a tuple with one for each state, a number or, for a state [B, n, m], a tuple
                    (n, m); or a dict of these
    output_size     the same for outputs, where another cell is to take them; by default that of the first state
    build           build(input_shape), if defined, makes the weights once inputs are known; input_shape is
                    (B, I), for several inputs a tuple or a dict of such
    weights         of a Layer those that it and its layers have; of any other object the floating arrays among the
                    attributes, but those whose names start with _.  They stay there
    call            gets x, and the states in a list; also `training` and `constants`, if these are among its arguments.
                    It is written with NumPy's functions or rnnref.ops, and recorded at every step.  Layers of
                    dropout and noise in it draw anew at every step, from a seed that `draw` of the pair gives
    backward        if defined, takes the arguments of call and the gradients of its results; returns those of inputs
                    and states, and a dict of those of the weights.  Nothing is recorded then
    get_initial_state   get_initial_state(batch_size), if defined, in the place of zeros; weights that it is made of
                    are trained

    An object that is a rnnref.layers.Layer makes weights with add_weight(shape, initializer, name).

    Same as       what keras.layers.RNN takes for a cell
    Differs from  Keras: inputs, states and outputs may be dicts
    Errors        ShapeError: results of call or backward without the structure of its arguments; NotSupported: a
                  layer in it that writes something in a call, as BatchNormalization does in training, or a stateful RNN

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

    def __init__(self, cell: Any, seed: Optional[int] = None, dtype: Any = None, **base: Any) -> None:
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
    def core(self) -> Any:
        return _CalledCell(self.cell, self.under_our_names())

    @property
    def who(self) -> str:
        return f"layers.RNN({type(self.cell).__name__})"

    @property
    def bare_state(self) -> Any:
        """Whether it has one state, which Keras returns without a list where the cell is one of several."""
        return isinstance(self.cell.state_size, int) and not hasattr(self.cell, "get_initial_state")

    state_size = property(lambda self: self.cell.state_size)
    output_size = property(lambda self: self.core.width(None))
    weight_names = property(lambda self: list(self.under_our_names()))

    def takes(self, name: str) -> Any:
        """Whether this is among the arguments of `call`."""
        return name in signature(self.cell.call).parameters

    # weights: of a Layer its own, of any other object arrays among its attributes

    def _sublayers(self) -> Any:
        return {"cell": self.cell} if isinstance(self.cell, Layer) else {}

    def under_our_names(self) -> dict:
        """{name: weight}"""
        return {path.removeprefix("cell."): w for path, w in self.named_weights().items()}

    def _tree(self, p: dict) -> Any:
        return {path.removeprefix("cell."): a for path, a in p.items()}

    def _flat(self, tree: Any) -> dict:
        return {f"cell.{path}": a for path, a in tree.items()} if isinstance(self.cell, Layer) else dict(tree)

    def _hold_attributes(self) -> None:
        names = [name for name, a in vars(self.cell).items()
                 if not name.startswith("_") and is_array(a) and is_floating(a.dtype)]
        self._handles = {name: self._handles[name] if name in self._handles else Weight(self, name) for name in names}

    @property
    def _values(self) -> dict:
        return {name: getattr(self.cell, name) for name in self._handles}

    @_values.setter
    def _values(self, arrays: Any) -> None:
        if "cell" in vars(self) and not isinstance(self.cell, Layer):
            vars(self.cell).update(arrays)

    def build(self, input_shape: Any, constants_shape: Any = None) -> None:
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

    def _build_layer(self, shapes: Any, constants_shape: Any) -> None:
        """Build the cell and the layers that its call uses: their weights must exist before the first step."""
        cell = self.cell
        if self.seed is not None:
            cell.weight_rng, cell.noise_rng = self.weight_rng, self.noise_rng
        if not cell.built:
            cell.build(shapes)
        if cell._sublayers():
            with Record(keep=False, probing=True) as record, numpy.errstate(all="ignore"), inside(cell):
                def stand_ins(shapes: Any) -> Any:
                    return map_shapes(lambda s: record.constant(numpy.zeros((2, *s[1:]), self.dtype)), shapes)
                told = {"training": False} if self.takes("training") else {}
                if constants_shape is not None:
                    told["constants"] = stand_ins(constants_shape)
                cell.call(stand_ins(shapes), map_structure(record.constant, as_lists(
                    self.core.zeros(2, dtype=self.dtype))), **told)

    def _forget(self, stream: Any = None) -> None:
        """Remove the weights that build made."""
        for name in self.made:
            delattr(self.cell, name)
        self.made = ()
        super()._forget(stream)
        if not isinstance(self.cell, Layer):
            self._hold_attributes()

    def first_state(self, p: dict, batch: Any, keep: bool) -> Optional[tuple]:
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

        def back(ds: Any) -> dict:
            found = record.backward(state, like_list(ds, state))
            return {path: or_zero(found[w], p[path]) for path, w in weights.items()}
        return s, back

    def draw(self, training: bool, x: Any, states: Any = None, steps: Any = None) -> Any:
        if not training or not self._inner_layers():
            return None
        rows = len(first_leaf(listless(x)))
        seeds = self._seed_rng().integers(1, MOST, () if steps is None else (steps, 1))
        return _Extra(None, numpy.broadcast_to(seeds, (rows,) if steps is None else (steps, rows)))

    def _inner_layers(self) -> list:
        """The layers in the cell, which may draw."""
        held = [self.cell] if isinstance(self.cell, Layer) else flatten(vars(self.cell))
        return [layer for one in held if isinstance(one, Layer) for layer in one._all_layers()]

    def _seed_rng(self) -> Any:
        """The generator of the seeds of steps: that of a layer inside that has a seed, if there is one."""
        return next((layer.noise_rng for layer in self._inner_layers() if layer.seed is not None), self.noise_rng)

    def constants_of(self, dextra: Any) -> Any:
        return dextra.constants if isinstance(dextra, _Extra) else dextra

    def running(self, batch: Any, xp: Any, training: bool = False, masks: Any = None, constants: Any = None,
                keep: bool = True) -> tuple:
        drawn, masks = (masks, None) if isinstance(masks, _Extra) else (None, masks)
        if masks is not None:
            raise NotSupported(self.who, f"masks={type(masks).__name__}(…): this cell takes none")
        if constants is not None and not self.takes("constants"):
            raise NotSupported(self.who, "constants: call has no such argument", fix="call(inputs, states, constants)")
        extra = tuple(constants) if isinstance(constants, list) else constants
        if drawn is not None:
            seeds = xp.asarray(drawn.seeds)
            extra = _Extra(extra, PerStep(seeds) if seeds.ndim == 2 else seeds)
        return _CalledCell(self.cell, self.under_our_names(), bool(training), keep, drawn is not None), extra

    def get_initial_state(self, batch_size: Any = 1) -> Any:
        return as_lists(self.core.zeros(batch_size, dtype=self.dtype))

    def get_config(self) -> dict:
        own = {"cell": self.config_of("cell")["cell"], "seed": self.seed}
        if own["cell"] is self.cell:
            raise NotSupported(self.who, "get_config of a cell without get_config()", fix="write one")
        return super().get_config() | own
