"""A dense layer before the cell or after it."""
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

from ..arrays import cast
from ..cell import State
from ..elementwise import get_activation
from ..maps.dense import Dense
from ..options import keyword_options
from ..shapes import Size, check_input
from ..tree import Tree
from .base import ParametricWrapper, replace_width


class KeptProjection(NamedTuple):
    x: Any; y: Any; pre: Any; cell: Any


@dataclass(frozen=True)
class _Projection(ParametricWrapper):
    """A dense layer to `size` units, `map`, followed by an activation."""
    cell: Any
    _: KW_ONLY
    size: int
    activation: Any = "linear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "activation", get_activation(self.activation))


@keyword_options()
@dataclass(frozen=True)
class InputProjection(_Projection):
    """A dense layer before the cell: the cell's input is activation(x Wi + bi).

    Shapes        x [B, I], Wi [I, N], bi [N], with N = `size` inputs of the cell
    Options       size, activation="linear"
    Same as       TF 1 InputProjectionWrapper
    Errors        NotSupported: an activation that is not known; ShapeError: parameters that do not fit

    >>> import rnnref
    >>> InputProjection(rnnref.cells.SimpleRNN(), size=2).shapes(3, 4)
    {'Wi': (3, 2), 'bi': (2,), 'W': (2, 4), 'b': (4,), 'R': (4, 4)}
    """
    map: Any = field(default=Dense("Wi", "bi"), repr=False, kw_only=True)

    def own_axes(self) -> dict[str, str]:
        return self.map.axes("I", "N")

    def own_shapes(self, n_in: Any, units: Any) -> tuple[dict, Any]:
        return {"Wi": (n_in, self.size), "bi": (self.size,)}, self.size

    def forward(self, p: Tree, x: Tree, s: State, extra: Tree = None) -> tuple[Tree, State, Any]:
        a, kx = self.map.forward(p, x)
        a, pre = self.activation.forward(a)
        a = cast(a, x)
        y, new, k = self.cell.forward(self.split(p)[1], a, s, extra)
        return y, new, KeptProjection(kx, a, pre, k)

    def backward(self, p: Tree, k: Any, dy: Tree, dnew: State) -> tuple[Tree, State, Tree, Tree]:
        da, ds, dextra, dq = self.cell.backward(self.split(p)[1], k.cell, dy, dnew)
        da = cast(self.activation.backward(k.y, k.pre, da), da)
        return self.map.backward_x(p, k.x, da), ds, dextra, self.join(self.map.backward_p(p, k.x, da), dq)

    def check(self, p: Tree, x: Tree, s: State, extra: Tree = None, lead: str = "B") -> Any:
        self.check_own(p, x, check_input(self.name, x, f"{lead} I") | {"N": Size(self.size, "size")})
        return self.cell.check(self.split(p)[1], replace_width(x, self.size, "the projected x"), s, extra, lead)


@keyword_options()
@dataclass(frozen=True)
class OutputProjection(_Projection):
    """A dense layer after the cell: y = activation(y_cell Wo + bo); the state is the cell's.

    Shapes        Wo [H, N], bo [N], with H the width of the output of the cell and N = `size`
    Options       size, activation="linear"
    Same as       TF 1 OutputProjectionWrapper
    Differs from  LSTM(projection=N), where the projected output is the h of the next step
    Errors        NotSupported: an activation that is not known; ShapeError: parameters that do not fit

    >>> import rnnref
    >>> OutputProjection(rnnref.cells.SimpleRNN(), size=2).shapes(3, 4)
    {'Wo': (4, 2), 'bo': (2,), 'W': (3, 4), 'b': (4,), 'R': (4, 4)}
    """
    map: Any = field(default=Dense("Wo", "bo"), repr=False, kw_only=True)

    def own_axes(self) -> dict[str, str]:
        return self.map.axes("H", "N")

    def own_shapes(self, n_in: Any, units: Any) -> tuple[dict, Any]:
        return {"Wo": (self.cell.width(units), self.size), "bo": (self.size,)}, n_in

    def width(self, units: Any) -> int:
        return self.size

    def forward(self, p: Tree, x: Tree, s: State, extra: Tree = None) -> tuple[Tree, State, Any]:
        y, new, k = self.cell.forward(self.split(p)[1], x, s, extra)
        a, ky = self.map.forward(p, y)
        y, pre = self.activation.forward(a)
        y = cast(y, a)
        return y, new, KeptProjection(ky, y, pre, k)

    def backward(self, p: Tree, k: Any, dy: Tree, dnew: State) -> tuple[Tree, State, Tree, Tree]:
        da = cast(self.activation.backward(k.y, k.pre, dy), dy)
        dx, ds, dextra, dq = self.cell.backward(self.split(p)[1], k.cell, self.map.backward_x(p, k.x, da), dnew)
        return dx, ds, dextra, self.join(self.map.backward_p(p, k.x, da), dq)

    def check(self, p: Tree, x: Tree, s: State, extra: Tree = None, lead: str = "B") -> Any:
        y = self.cell.check(self.split(p)[1], x, s, extra, lead)
        if y is None:
            return None
        self.check_own(p, y, {"H": Size(y.shape[-1], "the output of the cell"), "N": Size(self.size, "size")})
        return replace_width(y, self.size, f"the output of {self.name}")
