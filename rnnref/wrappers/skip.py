"""A skip connection that concatenates the input to the output."""
from dataclasses import KW_ONLY, dataclass
from typing import Any

from ..arrays import namespace
from ..cell import State
from ..errors import check_option
from ..options import keyword_options
from ..shapes import ArraySpec
from ..tree import Tree
from .base import Wrapper


@keyword_options()
@dataclass(frozen=True)
class Skip(Wrapper):
    """A skip connection: y = [y_cell, x], concatenated in the last axis.

    Options       state="own": the state is the cell's; "concatenated": its h' is replaced by y too, after which it no
                  longer fits the cell, so only one step can be run
    Same as       TF 1 ConvLSTMCell(skip_connection=True), with state="concatenated"
    Errors        NotSupported: another value of `state`; ShapeError: what does not fit the cell

    >>> import numpy as np, rnnref
    >>> cell, p = Skip(rnnref.cells.SimpleRNN()), {"W": np.zeros((1, 1)), "R": np.zeros((1, 1)), "b": np.zeros(1)}
    >>> cell.forward(p, np.full((1, 1), 7.0), cell.zeros(1, 1, dtype="float64"))[0]
    array([[0., 7.]])
    """
    cell: Any
    _: KW_ONLY
    state: str = "own"

    def __post_init__(self) -> None:
        check_option("Skip", "state", self.state, ("own", "concatenated"))

    def width(self, units: Any) -> int:
        raise NotImplementedError("the width of the output depends on x")

    def forward(self, p: Tree, x: Tree, s: State, extra: Tree = None) -> tuple[Tree, State, Any]:
        y, new, kept = self.cell.forward(p, x, s, extra)
        both = namespace(x).concatenate([y, x], -1)
        return both, new if self.state == "own" else type(new)(both, *new[1:]), kept

    def backward(self, p: Tree, kept: Any, dy: Tree, dnew: State) -> tuple[Tree, State, Tree, Tree]:
        n = dnew[-1].shape[-1] if self.state == "concatenated" else dnew[0].shape[-1]
        dx = dy[..., n:]
        if self.state == "concatenated":
            dx, dnew = dx + dnew[0][..., n:], type(dnew)(dnew[0][..., :n], *dnew[1:])
        inner, ds, dextra, dp = self.cell.backward(p, kept, dy[..., :n], dnew)
        return inner + dx, ds, dextra, dp

    def check(self, p: Tree, x: Tree, s: State, extra: Tree = None, lead: str = "B") -> Any:
        y = self.cell.check(p, x, s, extra, lead)
        return ArraySpec((*y.shape[:-1], y.shape[-1] + x.shape[-1]), y.dtype, f"the output of {self.name}")
