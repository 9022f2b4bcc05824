"""States that start again from zero inside of a sequence."""
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..cell import State
from ..errors import DtypeError, ShapeError, describe_type
from ..options import keyword_options
from ..shapes import ArraySpec
from ..tree import Tree, apply_mask
from .base import Wrapper


class Kept(NamedTuple):
    live: Any; reset: Any; cell: Any


@keyword_options()
@dataclass(frozen=True)
class Reset(Wrapper):
    """A cell whose state is set to zero before the steps where `reset` is set: episodes in one sequence.

        s'  = cell(inputs, 0 where reset, s elsewhere)

    Shapes        x is the pair (inputs, reset [B] of booleans); the rest as in the cell
    Same as       haiku ResetCore, with the initial state of zeros that its cells have
    Errors        ShapeError: an x that is not a pair, or a reset of another shape; DtypeError: reset is not boolean

    >>> import numpy as np, rnnref
    >>> cell = Reset(rnnref.cells.SimpleRNN(activation="linear"))
    >>> p = {"W": np.ones((1, 1)), "R": np.ones((1, 1)), "b": np.zeros(1)}
    >>> reset = np.array([False, False, True, False])[:, None]
    >>> rnnref.run(cell, p, (np.ones((4, 1, 1)), reset))[0].ravel()
    array([1., 2., 1., 2.])
    """
    cell: Any

    def n_in(self, x: Tree) -> Any:
        return self.cell.n_in(x[0])

    def forward(self, p: Tree, x: tuple, s: State, extra: Tree = None) -> tuple[Tree, State, Any]:
        inputs, reset = x
        y, new, k = self.cell.forward(p, inputs, apply_mask(~reset, s), extra)
        return y, new, Kept(~reset, reset, k)

    def backward(self, p: Tree, k: Any, dy: Tree, dnew: State) -> tuple[tuple, State, Tree, Tree]:
        dx, ds, dextra, dp = self.cell.backward(p, k.cell, dy, dnew)
        return (dx, k.reset & False), apply_mask(k.live, ds), dextra, dp     # a boolean has no gradient

    def check(self, p: Tree, x: Any, s: State, extra: Tree = None, lead: str = "B") -> Any:
        if not isinstance(x, tuple) or isinstance(x, ArraySpec) or len(x) != 2:
            raise ShapeError(self.name, f"x is {describe_type(x)}, expected the pair (inputs, reset)")
        inputs, reset = x
        dtype = getattr(reset, "dtype", type(reset).__name__)
        if dtype != bool:
            raise DtypeError(self.name, f"reset has dtype {dtype}, expected bool")
        y = self.cell.check(p, inputs, s, extra, lead)
        rows = tuple(y.shape[:len(lead.split())])
        if tuple(reset.shape) != rows:
            raise ShapeError(self.name, f"reset has shape {tuple(reset.shape)}, expected {rows}",
                             axes=f'reset is "{lead}"')
        return y
