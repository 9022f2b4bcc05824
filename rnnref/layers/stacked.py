"""Stacked cells, and the conversion of whatever RNN is given to a cell."""
from typing import Any, Iterator, Optional

from ..cell import Cell
from ..errors import InvalidType, NotSupported, ShapeError, describe_type
from ..nest import describe
from ..wrappers.stack import Stack
from .call_cell import CallCell
from .cell import CellLayer, CoreCell, TfCell, under
from .nested import output_shapes


class StackedRNNCells(CellLayer):
    """A stack of cells in one loop; as in Keras, states are a list of one list for each cell, and without that
    inner list for a cell of your own with one state.

    Shapes        x [B, I]; y of the last cell; params and grads are tuples, weights lie end to end
    Same as       Keras StackedRNNCells; RNN([cell, cell]) makes one
    Differs from  Keras: a cell object that occurs twice is refused, since each owns the weights it is trained on

    >>> import numpy as np
    >>> from rnnref.layers import GRUCell, LSTMCell
    >>> cell = StackedRNNCells([LSTMCell(4), GRUCell(3)])
    >>> y, states = cell(np.ones((2, 5)))
    >>> y.shape, cell.state_size, [[s.shape for s in one] for one in states]
    ((2, 3), [[4, 4], 3], [[(2, 4), (2, 4)], [(2, 3)]])
    """

    def __init__(self, cells: Any, *, dtype: Any = None, **base: Any) -> None:
        if not hasattr(cells, "__iter__"):
            raise InvalidType("layers.StackedRNNCells", f"cells is {describe_type(cells)}", fix="a list of cells")
        cells = list(cells)                       # they may come from a generator, which ends and cannot be copied
        self._given = (cells,), self._given[1]
        self.cells = tuple(as_layer(cell) if is_call(cell) or is_tf(cell) else cell for cell in cells)
        if not self.cells or not all(isinstance(cell, CellLayer) for cell in self.cells):
            kinds = ", ".join(type(cell).__name__ for cell in self.cells)
            raise NotSupported("layers.StackedRNNCells", f"cells are {kinds or 'none'}",
                               known="SimpleRNNCell, LSTMCell, GRUCell, CoreCell(cell, units)")
        owners = [layer for cell in self.cells for layer in cell._all_layers()]
        if len({*map(id, owners)}) < len(owners):
            raise NotSupported("layers.StackedRNNCells", "the same cell object twice: its gradients would be those of "
                                                         "one place only", fix="a cell object for each place")
        super().__init__(dtype=common_dtype("layers.StackedRNNCells", dtype, self.cells), **base)
        self.units = tuple(cell.units for cell in self.cells)

    @property
    def core(self) -> Any:
        return Stack(tuple(cell.core for cell in self.cells))

    state_size = property(lambda self: [cell.state_size for cell in self.cells])
    output_size = property(lambda self: self.cells[-1].output_size)
    weight_names = property(lambda self: [name for cell in self.cells for name in cell.weight_names])
    n_in: Any = property(lambda self: self.cells[0].n_in)

    def build(self, input_shape: Any, constants_shape: Any = None) -> None:
        told = {} if constants_shape is None else {"constants_shape": constants_shape}
        for cell in self.cells:
            if not cell.built:
                cell.build(input_shape, **(told if takes_constants(cell) else {}))
            if cell is not self.cells[-1] and cell.output_size is None:
                raise NotSupported(self.who, f"the width of the outputs of {type(cell.cell).__name__} is not known: "
                                   "its state_size is a dict", fix="an attribute output_size")
            input_shape = output_shapes(cell.output_size)

    def _build_from(self, weights: Any) -> None:
        self._count(weights)
        for cell in self.cells:
            n = len(cell.weight_names)
            if not cell.built:
                cell._build_from(weights[:n])
            weights = weights[n:]
        self.build(None)

    def _tree(self, p: dict) -> Any:
        return tuple(cell._tree(under(p, f"cells.{k}.")) for k, cell in enumerate(self.cells))

    def _flat(self, tree: Any) -> dict:
        return {f"cells.{k}.{path}": a for k, (cell, q) in enumerate(zip(self.cells, tree))
                for path, a in cell._flat(q).items()}

    def draw(self, training: bool, x: Any, states: Any = None, steps: Any = None) -> Any:
        drawn = [cell.draw(training, x, steps=steps) for cell in self.cells]
        return drawn if any(d is not None for d in drawn) else None

    def running(self, batch: Any, xp: Any, training: bool = False, masks: Any = None, constants: Any = None,
                keep: bool = True) -> tuple:
        each = split_masks(self.who, "masks", masks, self.cells)
        cores, extra = zip(*(cell.running(batch, xp, training, m, constants if takes_constants(cell) else None, keep)
                             for cell, m in zip(self.cells, each)))
        return Stack(cores), extra if any(e is not None for e in extra) else None

    def constants_of(self, dextra: Any) -> Optional[tuple]:
        if dextra is None:
            return None
        return tuple(cell.constants_of(d) for cell, d in zip(self.cells, dextra))

    def to_list(self, state: Any) -> list:
        each = [cell.to_list(s) for cell, s in zip(self.cells, state)]
        return [s[0] if getattr(cell, "bare_state", False) else s for cell, s in zip(self.cells, each)]

    def from_list(self, who: str, what: Any, given: Any, like: Any) -> tuple:
        if given is not None and (not isinstance(given, (list, tuple)) or len(given) != len(self.cells)):
            raise ShapeError(who, f"{what} is {describe(given)}, expected a list of {len(self.cells)}: one for each "
                                  "cell")
        return tuple(cell.from_list(who, f"{what}.{k}", None if given is None else given[k], like[k])
                     for k, cell in enumerate(self.cells))

    def first_state(self, p: dict, batch: Any, keep: bool) -> Optional[tuple]:
        found = [cell.first_state(under(p, f"cells.{k}."), batch, keep) for k, cell in enumerate(self.cells)]
        if all(one is None for one in found):
            return None
        zero = [cell.core.zeros(batch, cell.units, dtype=self.dtype) for cell in self.cells]
        states = tuple(z if one is None else one[0] for one, z in zip(found, zero))
        return states, lambda ds: {f"cells.{k}.{path}": a for k, (one, d) in enumerate(zip(found, ds))
                                   if one is not None for path, a in one[1](d).items()}

    def get_config(self) -> dict:
        return super().get_config() | self.config_of("cells")


def takes_constants(cell: Any) -> Any:
    """Whether a cell, or one of several, has a call(inputs, states, constants)."""
    if isinstance(cell, StackedRNNCells):
        return any(map(takes_constants, cell.cells))
    return isinstance(cell, CallCell) and cell.takes("constants")


def split_masks(who: str, what: Any, masks: Any, layers: Any) -> Any:
    """A list of masks, one for each layer; None is None for each."""
    if masks is None:
        return (None,) * len(layers)
    if isinstance(masks, (list, tuple)) and not hasattr(masks, "_fields") and len(masks) == len(layers):
        return masks
    raise ShapeError(who, f"{what} is {describe(masks)}, expected a list of {len(layers)}: one for each of "
                          f"{', '.join(layer.name for layer in layers)}")


def common_dtype(who: str, dtype: Any, layers: Any) -> Any:
    """The dtype that all of `layers` have."""
    found = {layer.dtype for layer in layers} | ({dtype} if dtype is not None else set())
    if len(found) > 1:
        raise NotSupported(who, f"dtypes {' and '.join(sorted(map(str, found)))} in one layer",
                           fix="give each cell the same dtype=")
    return found.pop()


def is_call(cell: Any) -> Any:
    """Whether it is an object with call(inputs, states), as for Keras."""
    return callable(getattr(cell, "call", None)) and not isinstance(cell, (CellLayer, Cell)) and not hasattr(
        cell, "return_sequences") and not is_tf(cell)


def is_tf(cell: Any) -> Any:
    """Whether it is a cell of rnnref.tf1, a module beside this one."""
    return hasattr(cell, "load_variables") and hasattr(cell, "spec")


def as_layer(cell: Any, units: Any = None, seed: Optional[int] = None, dtype: Any = None) -> Any:
    """The cell as a layer that owns its weights."""
    if isinstance(cell, (list, tuple)):
        return StackedRNNCells(list(each_as_layer(cell, units, seed, dtype)))
    if is_call(cell) or is_tf(cell):
        if units is not None:
            raise NotSupported("layers.RNN", f"units={units!r}: {type(cell).__name__} has its own state_size")
        return (CallCell if is_call(cell) else TfCell)(cell, seed, dtype=dtype)
    if not isinstance(cell, CellLayer):
        return CoreCell(cell, units, seed, dtype=dtype)
    for name, value in (("units", units), ("seed", seed)):
        if value is not None:
            raise NotSupported("layers.RNN", f"{name}={value!r}: {type(cell).__name__} has its own")
    return cell


def each_as_layer(cells: Any, units: Any, seed: Optional[int], dtype: Any) -> Iterator[Any]:
    each = units if isinstance(units, (list, tuple)) else [units] * len(cells)
    if len(each) != len(cells):
        raise NotSupported("layers.RNN", f"units={units!r} for {len(cells)} cells, expected one for each")
    for k, (cell, n) in enumerate(zip(cells, each)):
        raw = not isinstance(cell, CellLayer)
        yield as_layer(cell, n, _seed_of(seed, k), dtype) if raw else cell


def _seed_of(seed: Optional[int], k: Any) -> Any:
    """The seed of cell k: numbers of its own, which its configuration keeps."""
    if seed is None or not k:
        return seed
    return [*(seed if isinstance(seed, (list, tuple)) else [seed]), k]
