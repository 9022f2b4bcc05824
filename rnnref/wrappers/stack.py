"""Wrappers of several cells: a stack, and two directions."""
from dataclasses import dataclass
from typing import Any, Collection

import numpy

from ..arrays import namespace
from ..cell import ALL, Cell, State, step_back
from ..errors import NotSupported, ShapeError, describe_type, with_article
from ..options import keyword_options
from ..shapes import ArraySpec
from ..tree import Tree, add


@keyword_options()
@dataclass(frozen=True)
class MultiCell(Cell):
    """Base class of several cells: parameters, state and extra are tuples with an item for each cell.

    `units` is a tuple too, or one number for all cells.  `extra` may be None if no cell takes any.
    """
    cells: tuple

    def __post_init__(self) -> None:
        if not hasattr(self.cells, "__iter__"):
            given = getattr(self.cells, "name", type(self.cells).__name__)
            raise NotSupported(type(self).__name__, f"cells is {with_article(given)}, expected a tuple of cells",
                               fix=f"{type(self).__name__}((a, b))")
        object.__setattr__(self, "cells", tuple(self.cells))
        if not self.cells:
            raise NotSupported(type(self).__name__, "cells is empty, expected one cell or more")
        for cell in self.cells:
            if not hasattr(cell, "forward"):
                raise NotSupported(type(self).__name__, f"{cell!r} is not a cell: it has no forward")

    @property
    def name(self) -> str:
        return f"{type(self).__name__}({', '.join(cell.name for cell in self.cells)})"

    def axes(self) -> Any:
        return tuple(cell.axes() for cell in self.cells)

    def units(self, p: Tree) -> Any:
        return tuple(cell.units(q) for cell, q in zip(self.cells, p))

    def n_in(self, x: Tree) -> Any:
        return self.cells[0].n_in(x)

    def lead(self, rows: tuple) -> Any:
        return self.cells[0].lead(rows)

    def zeros(self, batch: Any, units: Any, xp: Any = numpy, dtype: Any = "float32") -> State:
        return tuple(cell.zeros(batch, n, xp, dtype) for cell, n in zip(self.cells, self.units_per_cell(units)))

    def units_per_cell(self, units: Any) -> tuple:
        """`units` as a tuple."""
        return tuple(units) if isinstance(units, (tuple, list)) else (units,) * len(self.cells)

    def prepare(self, p: Tree, extra: Tree = None) -> tuple[Tree, Tree, Any]:
        each = zip(self.cells, p, self.extra_per_cell(extra))
        p, extra, kept = zip(*(cell.prepare(q, e) for cell, q, e in each))
        return p, extra, kept

    def prepare_backward(self, p: Tree, kept: Any, dp: Tree, dextra: Tree) -> tuple[Tree, Tree]:
        each = zip(self.cells, p, kept, dp, self.extra_per_cell(dextra))
        dp, dextra = map(tuple, zip(*(cell.prepare_backward(*given) for cell, *given in each)))
        return dp, dextra if any(e is not None for e in dextra) else None

    def extra_per_cell(self, extra: Tree) -> tuple:
        """`extra` as a tuple."""
        return extra or (None,) * len(self.cells)

    def parameters_per_cell(self, p: Tree) -> tuple:
        """The parameters as a tuple with an item for each cell."""
        return p

    def check(self, p: Tree, x: Tree, s: State, extra: Tree = None, lead: str = "B") -> Any:
        for what, tree in (("parameters", p), ("the state", s), ("extra", self.extra_per_cell(extra))):
            if not isinstance(tree, tuple) or len(tree) != len(self.cells):
                got = f"of {len(tree)}" if isinstance(tree, tuple) else ""
                raise ShapeError(self.name, f"{what} is {describe_type(tree)} {got}".rstrip()
                                 + f", expected a tuple of {len(self.cells)}, one for each cell")
        return self.check_cells(p, x, s, self.extra_per_cell(extra), lead)

    def check_cells(self, p: Tree, x: Tree, s: State, extra: Tree, lead: str) -> Any:
        """`check` of every cell; returns shape and dtype of the output."""
        raise NotImplementedError


class Stack(MultiCell):
    """A stack of cells: the output of each is the input of the next.

    Shapes        x of the first cell, the output of the last; parameters, state and extra are tuples, an item per cell
    Same as       torch's num_layers (its dropout: a Stack of Dropout cells), Keras StackedRNNCells, TF 1 MultiRNNCell
    Errors        NotSupported: no tuple of cells; ShapeError: parameters, a state or extra for another number of cells

    >>> import rnnref
    >>> Stack((rnnref.cells.SimpleRNN(), rnnref.cells.GRU(recurrent_bias=False))).shapes(3, (4, 2))
    ({'W': (3, 4), 'b': (4,), 'R': (4, 4)}, {'W': (4, 6), 'b': (6,), 'R': (2, 6)})
    """

    def width(self, units: Any) -> int:
        return self.cells[-1].width(self.units_per_cell(units)[-1])

    def shapes(self, n_in: Any, units: Any) -> Any:
        shapes = []
        for cell, n in zip(self.cells, self.units_per_cell(units)):
            shapes.append(cell.shapes(n_in, n))
            n_in = cell.width(n)
        return tuple(shapes)

    def check_cells(self, p: Tree, x: Tree, s: State, extra: Tree, lead: str) -> Any:
        for cell, q, state, e in zip(self.cells, p, s, extra):
            x = cell.check(q, x, state, e, lead)
        return x

    def forward(self, p: Tree, x: Tree, s: State, extra: Tree = None) -> tuple[Tree, State, Any]:
        new, kept = [], []
        for cell, q, state, e in zip(self.cells, p, s, self.extra_per_cell(extra)):
            x, state, k = cell.forward(q, x, state, e)
            new.append(state)
            kept.append(k)
        return x, tuple(new), tuple(kept)

    def backward(self, p: Tree, kept: Any, dy: Tree, dnew: State, wanted: Collection[str] = ALL
                 ) -> tuple[Tree, State, Tree, Tree]:
        back = []
        for n, (cell, q, k, d) in reversed(list(enumerate(zip(self.cells, p, kept, dnew)))):
            dy, *rest = step_back(cell, q, k, dy, d, wanted_of_layer(n, wanted))
            back.append(rest)
        ds, dextra, dp = zip(*reversed(back))
        return dy, ds, dextra if any(e is not None for e in dextra) else None, dp


def wanted_of_layer(n: int, wanted: Collection[str]) -> Collection[str]:
    """What layer n of a stack is to give: the gradient of x of each but the first goes on into the layer below."""
    return {*wanted, "x"} if n else wanted


class SkipStack(MultiCell):
    """A stack of cells with skip connections: each after the first sees x too, and all outputs are concatenated.

        y_0 = cell_0(x)         y_k = cell_k([x, y_(k-1)])          y = [y_0, y_1, ...]

    Shapes        x of the first cell; the others take x and the output below; parameters, state and extra are tuples,
                  an item per cell
    Paper         Graves, "Generating sequences with recurrent neural networks" (2013), section 2
    Same as       haiku deep_rnn_with_skip_connections
    Errors        NotSupported: no tuple of cells; ShapeError: parameters, a state or extra for another number of cells

    >>> import rnnref
    >>> cell = SkipStack((rnnref.cells.SimpleRNN(bias=False), rnnref.cells.SimpleRNN(bias=False)))
    >>> cell.shapes(3, (4, 2)), cell.width((4, 2))
    (({'W': (3, 4), 'R': (4, 4)}, {'W': (7, 2), 'R': (2, 2)}), 6)
    """

    def width(self, units: Any) -> int:
        return sum(cell.width(n) for cell, n in zip(self.cells, self.units_per_cell(units)))

    def shapes(self, n_in: Any, units: Any) -> Any:
        shapes, below = [], 0
        for cell, n in zip(self.cells, self.units_per_cell(units)):
            shapes.append(cell.shapes(n_in + below, n))
            below = cell.width(n)
        return tuple(shapes)

    def check_cells(self, p: Tree, x: Tree, s: State, extra: Tree, lead: str) -> Any:
        total, given = 0, x
        for cell, q, state, e in zip(self.cells, p, s, extra):
            y = cell.check(q, given, state, e, lead)
            total += y.shape[-1]
            given = ArraySpec((*x.shape[:-1], x.shape[-1] + y.shape[-1]), x.dtype, f"x and the output of {cell.name}")
        return ArraySpec((*x.shape[:-1], total), x.dtype, f"the output of {self.name}")

    def forward(self, p: Tree, x: Tree, s: State, extra: Tree = None) -> tuple[Tree, State, Any]:
        xp, new, kept, ys = namespace(x), [], [], []
        for cell, q, state, e in zip(self.cells, p, s, self.extra_per_cell(extra)):
            y, state, k = cell.forward(q, xp.concatenate([x, ys[-1]], -1) if ys else x, state, e)
            ys.append(y)
            new.append(state)
            kept.append(k)
        return xp.concatenate(ys, -1), tuple(new), (tuple(kept), x.shape[-1], tuple(y.shape[-1] for y in ys))

    def backward(self, p: Tree, kept: Any, dy: Tree, dnew: State) -> tuple[Tree, State, Tree, Tree]:
        (kept, n, widths), back, dx, dbelow = kept, [], None, None
        end = sum(widths)
        for cell, q, k, d, width in reversed(list(zip(self.cells, p, kept, dnew, widths))):
            dgiven, *rest = cell.backward(q, k, add(dy[..., end - width:end], dbelow), d)
            end -= width
            dx, dbelow = add(dx, dgiven[..., :n]), dgiven[..., n:]
            back.append(rest)
        ds, dextra, dp = zip(*reversed(back))
        return dx, ds, dextra if any(e is not None for e in dextra) else None, dp


class Bidirectional(MultiCell):
    """Two cells over the same inputs, one forwards in time and one backwards: the outputs are a pair.

    It has no single step, so only `run` can run it.

    Shapes        x of both cells; outputs, parameters, state and extra are pairs
    Same as       torch's bidirectional=True, Keras Bidirectional(merge_mode=None), TF 1 bidirectional_dynamic_rnn
    Errors        NotSupported: no tuple of cells; ShapeError: not two of them, or parameters that do not fit

    >>> import numpy as np, rnnref
    >>> cell = Bidirectional((rnnref.cells.SimpleRNN(activation="linear"),) * 2)
    >>> p = {"W": np.ones((1, 1)), "R": np.ones((1, 1)), "b": np.zeros(1)}
    >>> ahead, back = rnnref.run(cell, (p, p), np.array([1.0, 2.0, 4.0]).reshape(3, 1, 1))[0]
    >>> ahead.ravel(), back.ravel()
    (array([1., 3., 7.]), array([7., 6., 4.]))
    """

    def shapes(self, n_in: Any, units: Any) -> Any:
        return tuple(cell.shapes(n_in, n) for cell, n in zip(self.cells, self.units_per_cell(units)))

    def check_cells(self, p: Tree, x: Tree, s: State, extra: Tree, lead: str) -> Any:
        if len(self.cells) != 2:
            raise ShapeError(self.name, f"{len(self.cells)} cells, expected 2: one for each direction")
        return tuple(cell.check(q, x, state, e, lead) for cell, q, state, e in zip(self.cells, p, s, extra))


class SharedBidirectional(Bidirectional):
    """One cell over the same inputs forwards and backwards in time: one set of parameters, whose gradients are summed.

    Shapes        as in Bidirectional, but the parameters are those of the one cell
    Same as       flax Bidirectional of one cell in both directions
    Errors        NotSupported: more than one cell; ShapeError: parameters that do not fit

    >>> import numpy as np, rnnref
    >>> cell = SharedBidirectional(rnnref.cells.SimpleRNN(activation="linear"))
    >>> p = {"W": np.ones((1, 1)), "R": np.ones((1, 1)), "b": np.zeros(1)}
    >>> (ahead, back), _, tape = rnnref.run(cell, p, np.array([1.0, 2.0, 4.0]).reshape(3, 1, 1))
    >>> ahead.ravel(), back.ravel()
    (array([1., 3., 7.]), array([7., 6., 4.]))
    >>> rnnref.run_back(tape, (np.ones_like(ahead), np.ones_like(back)))[3]["b"]
    array([12.])
    """

    def __post_init__(self) -> None:
        if not hasattr(self.cells, "__iter__") and not hasattr(self.cells, "forward"):
            raise NotSupported("SharedBidirectional", f"cells is {describe_type(self.cells)}, expected one cell",
                               fix="SharedBidirectional(cell)")
        cells = self.cells if hasattr(self.cells, "__iter__") else (self.cells,)
        if not cells or any(cell != cells[0] for cell in cells):        # a configuration names the one cell twice
            raise NotSupported("SharedBidirectional", f"{len(cells)} cells, expected one for both directions",
                               fix="Bidirectional((a, b))")
        object.__setattr__(self, "cells", (cells[0], cells[0]))
        super().__post_init__()

    @property
    def cell(self) -> Any:
        """The one cell."""
        return self.cells[0]

    @property
    def name(self) -> str:
        return f"SharedBidirectional({self.cell.name})"

    def parameters_per_cell(self, p: Tree) -> tuple:
        return p, p

    @property
    def gates(self) -> Any:
        return self.cell.gates

    def axes(self) -> Any:
        return self.cell.axes()

    def shapes(self, n_in: Any, units: Any) -> Any:
        return self.cell.shapes(n_in, self.units_per_cell(units)[0])

    def units(self, p: Tree) -> Any:
        return (self.cell.units(p),) * 2

    def prepare(self, p: Tree, extra: Tree = None) -> tuple[Tree, Tree, Any]:
        return super().prepare(self.parameters_per_cell(p), extra)

    def prepare_backward(self, p: Tree, kept: Any, dp: Tree, dextra: Tree) -> tuple[Tree, Tree]:
        (ahead, back), dextra = super().prepare_backward(self.parameters_per_cell(p), kept, dp, dextra)
        return add(ahead, back), dextra

    def check(self, p: Tree, x: Tree, s: State, extra: Tree = None, lead: str = "B") -> Any:
        return super().check(self.parameters_per_cell(p), x, s, extra, lead)
