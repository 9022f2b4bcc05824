"""Several cells as one."""
from ..errors import NotSupported, ShapeError
from ..wrappers.stack import Stack
from .cell import CellLayer
from .nested import output_shapes


class StackedRNNCells(CellLayer):
    """One cell on the other in one loop; as in Keras, states are a list of one list for each cell.

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

    def __init__(self, cells, *, dtype=None, **base):
        self.cells = tuple(cells)
        if not self.cells or not all(isinstance(cell, CellLayer) for cell in self.cells):
            kinds = ", ".join(type(cell).__name__ for cell in self.cells)
            raise NotSupported("layers.StackedRNNCells", f"cells are {kinds or 'none'}",
                               known="SimpleRNNCell, LSTMCell, GRUCell, CoreCell(cell, units)")
        owners = [leaf for cell in self.cells for leaf in cell.leaves()]
        if len({*map(id, owners)}) < len(owners):
            raise NotSupported("layers.StackedRNNCells", "the same cell object twice: its gradients would be those of "
                                                         "one place only", fix="a cell object for each place")
        super().__init__(dtype=common_dtype("layers.StackedRNNCells", dtype, self.cells), **base)

    def leaves(self):
        return [leaf for cell in self.cells for leaf in cell.leaves()]

    @property
    def units(self):
        return tuple(cell.units for cell in self.cells)

    @property
    def core(self):
        return Stack(tuple(cell.core for cell in self.cells))

    @property
    def state_size(self):
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self):
        return self.cells[-1].output_size

    @property
    def n_in(self):
        return self.cells[0].n_in

    def build(self, n_in):
        for cell in self.cells:
            if not cell.built:
                cell.build(n_in)
            n_in = output_shapes(cell.output_size)

    params = property(lambda self: tuple(cell.params for cell in self.cells),
                      lambda self, trees: set_each(self.cells, "params", trees))
    grads = property(lambda self: tuple(cell.grads for cell in self.cells),
                     lambda self, trees: set_each(self.cells, "grads", trees))

    def noise(self, batch, xp, training=False, masks=None):
        cores, extra = zip(*(cell.noise(batch, xp, training, m)
                             for cell, m in zip(self.cells, split_masks(self.who, masks, self.cells))))
        return Stack(cores), extra if any(e is not None for e in extra) else None

    def get_config(self):
        return super().get_config() | self.config_of("cells")


def set_each(layers, name, trees):
    for layer, tree in zip(layers, trees, strict=True):
        setattr(layer, name, tree)


def split_masks(who, masks, layers):
    """Masks of each layer; None is none for any."""
    if masks is None:
        return (None,) * len(layers)
    if isinstance(masks, (list, tuple)) and not hasattr(masks, "_fields") and len(masks) == len(layers):
        return masks
    raise ShapeError(who, f"masks is a {type(masks).__name__}, expected {len(layers)} in a list: one for each of "
                          f"{', '.join(layer.name for layer in layers)}")


def common_dtype(who, dtype, layers):
    """The dtype that all of `layers` have."""
    found = {layer.dtype for layer in layers} | ({dtype} if dtype is not None else set())
    if len(found) > 1:
        raise NotSupported(who, f"dtypes {' and '.join(sorted(map(str, found)))} in one layer",
                           fix="give each cell the same dtype=")
    return found.pop()
