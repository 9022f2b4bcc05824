"""Cells that own their weights: the cell inside an RNN layer, or single steps."""
from typing import Any, NamedTuple, Optional

from .. import init
from ..arrays import is_array, namespace
from ..cell import ALL, Cell, vjp
from ..errors import NotSupported, ShapeError, describe_type
from ..loops.run import make_initial_state
from ..tree import first_leaf, leaves, map_structure, zeros_like
from . import config as configs
from .base import Layer
from .nested import as_lists, cast_inputs, listless, map_shapes, pack_like, sizes_of, stand_in


class Step(NamedTuple):
    """What the forward pass of one step keeps for the backward pass."""
    back: Any; y: Any; new: Any
    given: Any                                    # the states as they were given


class CellLayer(Layer):
    """One step: y, states = cell(x, states);   backward(dy, dstates) -> dx, dstates.

    x [B, I], or the tree that the cell takes; states, a list as in Keras ([h], LSTM: [h, c]; of several cells a list
    of lists), are zeros if not given.  A state given without a list comes back without one.

    A cell has a `core`, the cell of rnnref.cells that computes it, and may have a first state of its own,
    `first_state`.
    """
    vectors: Any = False                          # whether x must be one array [B, I]
    units: Any = None                             # a number; those of several cells are one for each
    n_in: Any = None                              # what it was built for: core.n_in of the inputs
    channels_first = False

    @property
    def core(self) -> Any:
        raise NotImplementedError

    def running(self, batch: Any, xp: Any, training: bool = False, masks: Any = None, constants: Any = None,
                keep: bool = True) -> tuple:
        """The core to run, and its `extra`."""
        raise NotImplementedError

    def draw_masks(self, batch: int) -> Any:
        """Masks of dropout for a batch of this many rows; None if there is no dropout."""
        return None

    def first_state(self, p: dict, batch: Any, keep: bool) -> Any:
        """None: zeros.  Else the first state, made of the weights, and its way back to {path: gradient}."""
        return None

    @property
    def state_size(self) -> Any:
        """As in Keras: a number, a list, or a list of these; a tuple for arrays with more axes."""
        sizes = sizes_of(self.core.zeros(1, self.units))
        return sizes[0] if isinstance(sizes, list) and len(sizes) == 1 else sizes

    @property
    def output_size(self) -> Any:
        return self.core.width(self.units)

    def get_initial_state(self, batch_size: int = 1) -> list:
        """Zeros, as calls take them."""
        return self.to_list(self.core.zeros(batch_size, self.units, dtype=self.dtype))

    def constants_of(self, dextra: Any) -> Any:
        """The gradient of the constants, from that of the `extra` of the core."""
        return dextra

    # states of the core <-> states as users have them

    def to_list(self, state: Any) -> list:
        return as_lists(state)

    def from_list(self, who: str, what: str, given: Any, like: Any) -> Any:
        """A state of the core, in the structure of `like`, from the states of a user; None is zeros."""
        return pack_like(who, what, given, like)

    def inward(self, tree: Any, lead: int = 1) -> Any:
        """Arrays of users as the core takes them: channels last.  `lead`: how many axes come before."""
        return tree

    def outward(self, tree: Any, lead: int = 1) -> Any:
        return tree

    # the pair

    def draw(self, training: bool, x: Any, states: Any = None, steps: Any = None) -> Any:
        return self.draw_masks(len(first_leaf(listless(x)))) if training else None

    def apply(self, p: dict, x: Any, states: Any = None, *, mask: Any = None, training: bool = False, noise: Any = None,
              keep: bool = True, masks: Any = None, constants: Any = None) -> tuple:
        given = cast_inputs(self.who, "x", listless(x), self.dtype)
        x = self.inward(given)
        for path, a in leaves(x):
            if a.ndim < 2 or a.ndim > 2 and self.vectors:
                raise ShapeError(self.who, f"{f'x.{path}' if path else 'x'} has shape {a.shape}, expected 2 axes",
                                 axes='x is "B I": one step')
        check_inputs(self, x, given)
        like, drawn = first_leaf(x), noise if masks is None else masks
        core, extra = self.running(len(like), namespace(like), training, drawn,
                                   constants, keep)
        s = make_initial_state(core, first_leaf(x)[None], self.units)
        s = s if states is None else self.from_list(self.who, "states", states, s)
        (y, new), back = vjp(core, self._tree(p), x, s, extra)
        return (self.outward(y), as_given(self.to_list(new), states)), Step(back, y, new, states)

    def apply_back(self, p: dict, kept: Any, dy: Any, wanted: Any = None) -> tuple:
        dy, dstates = dy
        dx, ds, dp = self._step_back(kept, dy, dstates, wanted_names(wanted))
        return (dx, as_given(ds, kept.given)), dp

    def _step_back(self, kept: Any, dy: Any, dstates: Any, wanted: Any = ALL) -> tuple:
        dy = pack_like(self.who, "dy", dy, self.outward(kept.y))
        dnew = self.from_list(self.who, "dstates", dstates, kept.new)
        dx, ds, _, dp = kept.back(self.inward(dy), dnew, wanted)
        return None if dx is None else self.outward(dx), self.to_list(ds), {} if dp is None else self._flat(dp)

    def backward(self, dy: Any = None, dstates: Any = None) -> tuple:
        p, kept = self.recorded()
        dx, ds, self._grads = self._step_back(kept, dy, dstates)
        return dx, ds


def wanted_names(wanted: Any) -> Any:
    """`wanted` of `apply_back`, for (x, states, constants, weights), as names for `run_back`, with "s" in any case."""
    if wanted is None:
        return ALL
    *of_args, of_weights = wanted
    return {"s", *(name for name, asked in zip(("x", "s", "extra"), of_args) if asked), *(["p"] if of_weights else [])}


def as_given(states: Any, given: Any) -> Any:
    """A list of states; a single state that was given without a list comes back without one."""
    return states[0] if given is not None and not isinstance(given, (list, tuple)) and len(states) == 1 else states


def check_inputs(layer: Any, x: Any, given: Any) -> None:
    """Raise unless x is as wide as what the layer was built for; `given` is x as the user has it."""
    found, built_for = layer.core.n_in(x), layer.n_in
    if found != built_for:
        one = is_array(x)
        where = "the last axis"
        if one and getattr(layer, "data_format", None) == "channels_first":
            where = f"axis {2 if hasattr(layer, 'cell') else 1}, that of the channels"
        raise ShapeError(layer.who, f"x has shape {given.shape}, expected {built_for} on {where}" if one else
                         f"x has inputs {found}, expected {built_for}",
                         axes=f"this layer was built for {'I = ' * one}{built_for}")


def under(p: dict, prefix: str) -> dict:
    """The entries of {path: array} whose paths begin with this prefix, which is cut off."""
    n = len(prefix)
    return {path[n:]: a for path, a in p.items() if path.startswith(prefix)}


def shapes_in(tree: Any) -> Any:
    """The shapes in a tree of them; a shape is a tuple of numbers."""
    items = tree.values() if isinstance(tree, dict) else tree or ()
    if not isinstance(tree, dict) and all(hasattr(n, "__index__") for n in items):
        return [] if tree is None else [tuple(items)]
    return [shape for item in items for shape in shapes_in(item)]


class CoreCell(CellLayer):
    """Any cell of rnnref.cells, or of your own, as a layer: `RNN(cell, units=...)` makes one.

    Your own is a `rnnref.cells.Cell` with forward and, to be trained, backward; further axes() and
    shapes(n_in, units), so that weights can be made, zeros(batch, units, xp, dtype) for a first state, and
    width(units), how wide the output is.  Weights lie in the order of axes(), in our layout; `masks`, or `constants`
    where a gradient is wanted, is its `extra`.
    Where x is no array [B, I], n_in(x) is the argument of shapes: by default the last axis of every array.
    """

    def __init__(self, cell: Any, units: Any = None, seed: Optional[int] = None, **base: Any) -> None:
        self.cell, self.units = cell, units
        if not isinstance(cell, Cell):
            raise NotSupported("layers.RNN", f"cell is {describe_type(cell)}",
                               known="a cell of rnnref.layers, a rnnref.cells.Cell with units=..., an object with "
                                     "call(inputs, states) and state_size, a cell of rnnref.tf1, or a list of these")
        lacks = [name for name in ("axes", "shapes", "zeros", "width") if not hasattr(cell, name)]
        if lacks:
            raise NotSupported("layers.RNN", f"{type(cell).__name__} has no {', '.join(lacks)}: no weights can be made",
                               fix="rnnref.run takes it with weights and a state of your own")
        if units is None:
            raise NotSupported("layers.RNN", f"units are not given: {getattr(cell, 'name', type(cell).__name__)} "
                                             "itself has no size", fix="RNN(cell, units=...)")
        super().__init__(seed=seed, **base)

    @property
    def core(self) -> Any:
        return self.cell

    def running(self, batch: Any, xp: Any, training: bool = False, masks: Any = None, constants: Any = None,
                keep: bool = True) -> tuple:
        return self.cell, masks if constants is None else constants

    def build(self, input_shape: Any) -> None:
        self.n_in = self.cell.n_in(map_shapes(stand_in, input_shape))
        for shape in shapes_in(self.cell.shapes(self.n_in, self.units)):
            configs.count_weight(self.who, shape, self.dtype)
        for path, a in leaves(init.parameters(self.cell, self.n_in, self.units, self.weight_rng, self.dtype)):
            self._hold(path, a)

    @property
    def weight_names(self) -> list:
        return [path for path, _ in leaves(self.cell.axes())]

    def _tree(self, p: dict) -> Any:
        paths = iter(self.weight_names)
        return map_structure(lambda _: p[next(paths)], self.cell.axes())

    def _flat(self, tree: Any) -> dict:
        return dict(leaves(tree))

    def get_config(self) -> dict:
        return super().get_config() | self.config_of("cell", "units", "seed")


class TfCell(CellLayer):
    """A cell of rnnref.tf1 as a layer: y, state = cell(x, state), states as TF 1 nests them; `RNN(cell)` makes one.

    Its variables, if it has them, are the first weights; masks of its dropout act in every call, as in TF 1.
    """

    drawn = False                                 # whether this layer made its variables

    def __init__(self, cell: Any, seed: Optional[int] = None, **base: Any) -> None:
        self.cell, self.units = cell, cell.spec.units
        super().__init__(seed=seed, **base)

    @classmethod
    def of(cls, cell: Any, dtype: Any = None) -> Any:
        """The layer of a cell, the same one in each call.

        dtype   that of the layer around it, for a cell that has no variables yet
        """
        if cell.layer is None:
            cell.layer = cls(cell, dtype=dtype if cell.p is None else first_leaf(cell.p).dtype)
        return cell.layer

    core = property(lambda self: self.cell.core)
    state_size = property(lambda self: self.cell.state_size)
    output_size = property(lambda self: self.cell.output_size)

    def build(self, input_shape: Any) -> None:
        self.n_in = self.core.n_in(map_shapes(stand_in, input_shape))
        self.drawn = self.cell.p is None
        if self.drawn:
            self.cell.build(self.n_in, self.dtype, int(self.weight_rng.integers(2 ** 31)))
        for path, a in leaves(self.cell.p):
            self._hold(path, a.astype(self.dtype))

    def _sublayers(self) -> dict:
        return {}

    # the cell alone holds the arrays: training changes its variables

    @property
    def _values(self) -> Any:
        return dict(leaves(self.cell.p)) if self._handles else {}

    @_values.setter
    def _values(self, arrays: Any) -> None:
        if arrays:
            self.cell.p = self._tree({**dict(leaves(self.cell.p)), **arrays})

    def _forget(self, stream: Any = None) -> None:
        super()._forget(stream)
        if self.drawn:
            self.cell.p = None

    def _tree(self, p: dict) -> Any:
        paths = (path for path, _ in leaves(self.cell.p))
        return map_structure(lambda _: p[next(paths)], self.cell.p)

    def _flat(self, tree: Any) -> dict:
        return dict(leaves(tree))

    def running(self, batch: Any, xp: Any, training: bool = False, masks: Any = None, constants: Any = None,
                keep: bool = True) -> tuple:
        return self.core, masks

    def draw(self, training: bool, x: Any, states: Any = None, steps: Any = None) -> Any:
        x = first_leaf(listless(x))
        rows = (len(x),) if steps is None else (steps, len(x))
        xp = namespace(x)
        like = map_structure(lambda n: xp.broadcast_to(xp.zeros((), self.dtype), (*rows, n)), self.n_in)
        return self.cell.draw_masks(like, steps)

    def to_list(self, state: Any) -> Any:
        theirs = self.cell.state_to_tf(state)
        return list(theirs) if isinstance(theirs, tuple) else [theirs]

    def from_list(self, who: str, what: Any, given: Any, like: Any) -> Any:
        if given is None:
            return zeros_like(like)
        form = self.cell.state_to_tf(like)
        if is_array(form):                        # alone, or in a list of one
            given = given[0] if isinstance(given, (list, tuple)) and len(given) == 1 else given
        return self.cell.state_from_tf(pack_like(who, what, given, form))

    def get_config(self) -> dict:
        return super().get_config() | {"cell": {"class_name": type(self.cell).__name__, "module": "rnnref.tf1",
                                                "config": self.cell.get_config()}, "seed": self.seed}
