"""Several cells side by side on the same input."""
from typing import Any

from ..arrays import namespace
from ..cell import State
from ..shapes import ArraySpec
from ..tree import Tree, add
from .stack import MultiCell


class Parallel(MultiCell):
    """Cells side by side on the same x, with their outputs concatenated: y = [y_0, y_1, ...].

    Shapes        parameters, state and extra are tuples, an item per cell; y is as wide as all outputs together
    Errors        NotSupported: no tuple of cells; ShapeError: parameters, a state or extra for another number of cells

    >>> import numpy as np, rnnref
    >>> cell = Parallel((rnnref.cells.SimpleRNN(), rnnref.cells.GRU()))
    >>> cell.width((2, 3))
    5
    """

    def width(self, units: Any) -> int:
        return sum(cell.width(n) for cell, n in zip(self.cells, self.units_per_cell(units)))

    def shapes(self, n_in: Any, units: Any) -> Any:
        return tuple(cell.shapes(n_in, n) for cell, n in zip(self.cells, self.units_per_cell(units)))

    def check_cells(self, p: Tree, x: Tree, s: State, extra: Tree, lead: str) -> Any:
        outputs = [cell.check(q, x, state, e, lead) for cell, q, state, e in zip(self.cells, p, s, extra)]
        width = sum(y.shape[-1] for y in outputs)
        return ArraySpec((*outputs[0].shape[:-1], width), outputs[0].dtype, f"the output of {self.name}")

    def forward(self, p: Tree, x: Tree, s: State, extra: Tree = None) -> tuple[Tree, State, Any]:
        each = zip(self.cells, p, s, self.extra_per_cell(extra))
        results = [cell.forward(q, x, state, e) for cell, q, state, e in each]
        ys, new, kept = zip(*results)
        return namespace(x).concatenate(ys, -1), new, (kept, tuple(y[:0] for y in ys))

    def backward(self, p: Tree, kept: Any, dy: Tree, dnew: State) -> tuple[Tree, State, Tree, Tree]:
        dx, start, back = None, 0, []
        for cell, q, k, empty, d in zip(self.cells, p, *kept, dnew):
            stop = start + empty.shape[-1]        # the width of its part of the output
            dpart, *rest = cell.backward(q, k, dy[..., start:stop], d)
            dx, start = add(dx, dpart), stop
            back.append(rest)
        ds, dextra, dp = zip(*back)
        return dx, ds, dextra if any(e is not None for e in dextra) else None, dp
