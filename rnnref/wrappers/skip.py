"""The input beside the output: a skip connection that joins channels."""
from dataclasses import KW_ONLY, dataclass
from typing import Any

from ..arrays import namespace
from ..options import keyword_options
from ..shapes import ArraySpec
from .base import Wrapper


@keyword_options()
@dataclass(frozen=True)
class Skip(Wrapper):
    """y = [h', x], end to end in the last axis.  The state is the cell's.

    state="joined" puts [h', x] in the place of h' too, as TF 1's ConvLSTMCell(skip_connection=True) does.  That state
    does not fit the cell any more, so one step is all that it can do.

    >>> import numpy as np, rnnref
    >>> cell, p = Skip(rnnref.cells.SimpleRNN()), {"W": np.zeros((1, 1)), "R": np.zeros((1, 1)), "b": np.zeros(1)}
    >>> cell.forward(p, np.full((1, 1), 7.0), cell.zeros(1, 1, dtype="float64"))[0]
    array([[0., 7.]])
    """
    cell: Any
    _: KW_ONLY
    state: str = "own"

    def width(self, units):
        raise NotImplementedError("the output is as wide as the state and x together")

    def forward(self, p, x, s, extra=None):
        y, new, kept = self.cell.forward(p, x, s, extra)
        joined = namespace(x).concatenate([y, x], -1)
        return joined, new if self.state == "own" else type(new)(joined, *new[1:]), kept

    def backward(self, p, kept, dy, dnew):
        n = dnew[-1].shape[-1] if self.state == "joined" else dnew[0].shape[-1]
        dx = dy[..., n:]
        if self.state == "joined":
            dx, dnew = dx + dnew[0][..., n:], type(dnew)(dnew[0][..., :n], *dnew[1:])
        inner, ds, dextra, dp = self.cell.backward(p, kept, dy[..., :n], dnew)
        return inner + dx, ds, dextra, dp

    def check(self, p, x, s, extra=None, lead="B"):
        y = self.cell.check(p, x, s, extra, lead)
        return ArraySpec((*y.shape[:-1], y.shape[-1] + x.shape[-1]), y.dtype, f"the output of {self.name}")
