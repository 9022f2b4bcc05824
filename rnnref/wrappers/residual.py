"""A connection past the cell: its input added to its output, or mixed with it by a gate."""
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Collection, NamedTuple

from ..arrays import cast
from ..cell import ALL, State, step_back
from ..elementwise import dsigmoid, sigmoid
from ..errors import NotSupported, ShapeError
from ..maps.dense import Dense
from ..options import keyword_options
from ..shapes import check_input
from ..tree import Tree, add
from .base import ParametricWrapper, Wrapper


class KeptResidual(NamedTuple):
    x: Any; y: Any; cell: Any


@keyword_options()
@dataclass(frozen=True)
class Residual(Wrapper):
    """A residual connection: y = x + y_cell, or fn(x, y_cell); the state is the cell's.

    Shapes        x as wide as the output of the cell, unless `fn` takes other widths
    Options       fn(x, y) -> z, and its gradients dfn(x, y, dz) -> dx, dy
    Paper         He, Zhang, Ren & Sun, "Deep residual learning" (2015); in recurrent networks: Wu et al. (2016)
    Same as       TF 1 ResidualWrapper
    Errors        NotSupported: backward with fn and no dfn; ShapeError: widths that differ

    >>> import numpy as np, rnnref
    >>> cell = Residual(rnnref.cells.SimpleRNN(activation="linear"))
    >>> p = {"W": np.zeros((1, 1)), "R": np.zeros((1, 1)), "b": np.ones(1)}
    >>> float(cell.forward(p, np.full((1, 1), 2.0), cell.zeros(1, 1, dtype="float64"))[0][0, 0])
    3.0
    """
    cell: Any
    _: KW_ONLY
    fn: Any = None
    dfn: Any = None

    def forward(self, p: Tree, x: Tree, s: State, extra: Tree = None) -> tuple[Tree, State, Any]:
        y, new, k = self.cell.forward(p, x, s, extra)
        return cast(self.fn(x, y) if self.fn else x + y, y), new, KeptResidual(x, y, k)

    def backward(self, p: Tree, k: Any, dy: Tree, dnew: State, wanted: Collection[str] = ALL
                 ) -> tuple[Tree, State, Tree, Tree]:
        if self.fn and not self.dfn:
            raise NotSupported(self.name, "fn is given without its gradients", fix="dfn(x, y, dz) -> dx, dy")
        dskip, dy = self.dfn(k.x, k.y, dy) if self.fn else (dy, dy)
        dx, ds, dextra, dp = step_back(self.cell, p, k.cell, dy, dnew, wanted)
        return add(dskip, dx), ds, dextra, dp

    def check(self, p: Tree, x: Tree, s: State, extra: Tree = None, lead: str = "B") -> Any:
        y = self.cell.check(p, x, s, extra, lead)
        if not self.fn and y is not None and y.shape[-1] != x.shape[-1]:
            raise ShapeError(self.name, f"x is {x.shape[-1]} wide and the output of the cell {y.shape[-1]}: they are "
                                        "added", fix="InputProjection before it, or fn")
        return y


class KeptHighway(NamedTuple):
    x: Any; y: Any; carry: Any; transform: Any; carry_x: Any; transform_x: Any; cell: Any


@keyword_options()
@dataclass(frozen=True)
class Highway(ParametricWrapper):
    """A highway connection, the input and the output mixed by a gate: y = carry x + transform y_cell.

        carry = sigmoid(x Wc + bc)      transform = 1 - carry, or, with coupled=False, sigmoid(x Wt + bt)

    Shapes        x and the output of the cell [B, I]; Wc Wt [I, I], bc bt [I]
    Options       coupled=True
    Paper         Srivastava, Greff & Schmidhuber, "Highway networks" (2015)
    Same as       TF 1 HighwayWrapper
    Errors        ShapeError: widths that differ

    >>> import numpy as np, rnnref
    >>> cell = Highway(rnnref.cells.SimpleRNN(activation="linear"))
    >>> p = {n: np.zeros(s) for n, s in cell.shapes(1, 1).items()} | {"b": np.full(1, 2.0)}
    >>> float(cell.forward(p, np.full((1, 1), 4.0), cell.zeros(1, 1, dtype="float64"))[0][0, 0])
    3.0
    """
    cell: Any
    _: KW_ONLY
    coupled: bool = True
    carry: Any = field(default=Dense("Wc", "bc"), repr=False)
    transform: Any = field(default=Dense("Wt", "bt"), repr=False)

    def own_axes(self) -> dict[str, str]:
        return self.carry.axes("I", "I") | ({} if self.coupled else self.transform.axes("I", "I"))

    def own_shapes(self, n_in: Any, units: Any) -> tuple[dict, Any]:
        return {name: (n_in,) * len(axes.split()) for name, axes in self.own_axes().items()}, n_in

    def forward(self, p: Tree, x: Tree, s: State, extra: Tree = None) -> tuple[Tree, State, Any]:
        y, new, k = self.cell.forward(self.split(p)[1], x, s, extra)
        a, ka = self.carry.forward(p, x)
        carry, kt = sigmoid(a), None
        transform = 1 - carry
        if not self.coupled:
            a, kt = self.transform.forward(p, x)
            transform = sigmoid(a)
        return cast(x * carry + y * transform, y), new, KeptHighway(x, y, carry, transform, ka, kt, k)

    def backward(self, p: Tree, k: Any, dy: Tree, dnew: State) -> tuple[Tree, State, Tree, Tree]:
        dcarry, dtransform, dx, dp = dy * k.x, dy * k.y, dy * k.carry, {}
        if self.coupled:
            dcarry = dcarry - dtransform
        else:
            da = dsigmoid(k.transform, dtransform)
            dx = dx + self.transform.backward_x(p, k.transform_x, da)
            dp = self.transform.backward_p(p, k.transform_x, da)
        da = dsigmoid(k.carry, dcarry)
        dx, dp = dx + self.carry.backward_x(p, k.carry_x, da), dp | self.carry.backward_p(p, k.carry_x, da)
        inner, ds, dextra, dq = self.cell.backward(self.split(p)[1], k.cell, dy * k.transform, dnew)
        return dx + inner, ds, dextra, self.join(dp, dq)

    def check(self, p: Tree, x: Tree, s: State, extra: Tree = None, lead: str = "B") -> Any:
        sizes = check_input(self.name, x, f"{lead} I")
        self.check_own(p, x, sizes)
        y = self.cell.check(self.split(p)[1], x, s, extra, lead)
        if y is not None and y.shape[-1] != x.shape[-1]:
            raise ShapeError(self.name, f"x is {x.shape[-1]} wide and the output of the cell {y.shape[-1]}: they are "
                                        "mixed", fix="InputProjection before it")
        return y
