"""What is put around a cell: a way past it, a product before or after it, a table of vectors in front of it."""
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy

from ..arrays import cast, is_array, namespace
from ..elementwise import dsigmoid, get_activation, sigmoid
from ..errors import DtypeError, NotSupported, ShapeError
from ..maps.dense import Dense
from ..shapes import ArraySpec, Size
from ..tree import add
from .base import Wrapper
from .owning import ParametricWrapper, infer_input_sizes, replace_width


class KeptResidual(NamedTuple):
    x: Any; y: Any; cell: Any


@dataclass(frozen=True)
class Residual(Wrapper):
    """y = x + y_cell, or fn(x, y_cell); the state is not touched (He et al. 2015; Wu et al. 2016).

    Shapes        x as wide as the output of the cell, unless `fn` says otherwise
    Options       fn(x, y) -> z and its way back dfn(x, y, dz) -> dx, dy
    Same as       TF 1 ResidualWrapper
    Errors        NotSupported: fn without dfn, when it is to be trained; ShapeError: widths that differ

    >>> import numpy as np, rnnref
    >>> cell = Residual(rnnref.cells.SimpleRNN("linear"))
    >>> p = {"W": np.zeros((1, 1)), "R": np.zeros((1, 1)), "b": np.ones(1)}
    >>> float(cell.forward(p, np.full((1, 1), 2.0), cell.zeros(1, 1, dtype="float64"))[0][0, 0])
    3.0
    """
    cell: Any
    fn: Any = None
    dfn: Any = None
    own_products = ""

    def forward(self, p, x, s, extra=None):
        y, new, k = self.cell.forward(p, x, s, extra)
        return cast(self.fn(x, y) if self.fn else x + y, y), new, KeptResidual(x, y, k)

    def backward(self, p, k, dy, dnew):
        if self.fn and not self.dfn:
            raise NotSupported(self.name, "fn is given without its way back", fix="dfn(x, y, dz) -> dx, dy")
        padding, dy = self.dfn(k.x, k.y, dy) if self.fn else (dy, dy)
        dx, ds, dextra, dp = self.cell.backward(p, k.cell, dy, dnew)
        return add(padding, dx), ds, dextra, dp

    def check(self, p, x, s, extra=None, lead="B"):
        y = self.cell.check(p, x, s, extra, lead)
        if not self.fn and y is not None and y.shape[-1] != x.shape[-1]:
            raise ShapeError(self.name, f"x is {x.shape[-1]} wide and the output of the cell {y.shape[-1]}: they are "
                                        "added", fix="InputProjection before it, or fn")
        return y


class KeptHighway(NamedTuple):
    x: Any; y: Any; carry: Any; transform: Any; carry_x: Any; transform_x: Any; cell: Any


@dataclass(frozen=True)
class Highway(ParametricWrapper):
    """y = carry x + transform y_cell, carry = sigmoid(x Wc + bc) (Srivastava, Greff & Schmidhuber 2015).

    transform = 1 - carry, or, with coupled=False, sigmoid(x Wt + bt).

    Shapes        x and the output of the cell [B, I]; Wc Wt [I, I], bc bt [I]
    Same as       TF 1 HighwayWrapper
    Errors        ShapeError: widths that differ

    >>> import numpy as np, rnnref
    >>> cell = Highway(rnnref.cells.SimpleRNN("linear"))
    >>> p = {n: np.zeros(s) for n, s in cell.shapes(1, 1).items()} | {"b": np.full(1, 2.0)}
    >>> float(cell.forward(p, np.full((1, 1), 4.0), cell.zeros(1, 1, dtype="float64"))[0][0, 0])
    3.0
    """
    cell: Any
    coupled: bool = True
    carry: Any = field(default=Dense("Wc", "bc"), repr=False)
    transform: Any = field(default=Dense("Wt", "bt"), repr=False)
    own_products = ""

    def own(self):
        return self.carry.axes("I", "I") | ({} if self.coupled else self.transform.axes("I", "I"))

    def own_shapes(self, n_in, units):
        return {name: (n_in,) * len(axes.split()) for name, axes in self.own().items()}, n_in

    def forward(self, p, x, s, extra=None):
        y, new, k = self.cell.forward(self.split(p)[1], x, s, extra)
        a, ka = self.carry.forward(p, x)
        carry, kt = sigmoid(a), None
        transform = 1 - carry
        if not self.coupled:
            a, kt = self.transform.forward(p, x)
            transform = sigmoid(a)
        return cast(x * carry + y * transform, y), new, KeptHighway(x, y, carry, transform, ka, kt, k)

    def backward(self, p, k, dy, dnew):
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

    def check(self, p, x, s, extra=None, lead="B"):
        sizes = infer_input_sizes(self.name, x, lead)
        self.check_own(p, x, sizes)
        y = self.cell.check(self.split(p)[1], x, s, extra, lead)
        if y is not None and y.shape[-1] != x.shape[-1]:
            raise ShapeError(self.name, f"x is {x.shape[-1]} wide and the output of the cell {y.shape[-1]}: they are "
                                        "mixed", fix="InputProjection before it")
        return y


class KeptProjection(NamedTuple):
    x: Any; y: Any; pre: Any; cell: Any


@dataclass(frozen=True)
class InputProjection(ParametricWrapper):
    """The cell on activation(x Wi + bi).

    Shapes        x [B, I], Wi [I, N], bi [N], with N = `size` what the cell sees
    Same as       TF 1 InputProjectionWrapper
    Errors        ShapeError: parameters that do not fit
    """
    cell: Any
    size: int
    activation: Any = "linear"
    map: Any = field(default=Dense("Wi", "bi"), repr=False)
    own_products = ""

    def __post_init__(self):
        object.__setattr__(self, "activation", get_activation(self.activation))

    def own(self):
        return self.map.axes("I", "N")

    def own_shapes(self, n_in, units):
        return {"Wi": (n_in, self.size), "bi": (self.size,)}, self.size

    def forward(self, p, x, s, extra=None):
        a, kx = self.map.forward(p, x)
        a, pre = self.activation.forward(a)
        a = cast(a, x)
        y, new, k = self.cell.forward(self.split(p)[1], a, s, extra)
        return y, new, KeptProjection(kx, a, pre, k)

    def backward(self, p, k, dy, dnew):
        da, ds, dextra, dq = self.cell.backward(self.split(p)[1], k.cell, dy, dnew)
        da = cast(self.activation.backward(k.y, k.pre, da), da)
        return self.map.backward_x(p, k.x, da), ds, dextra, self.join(self.map.backward_p(p, k.x, da), dq)

    def check(self, p, x, s, extra=None, lead="B"):
        self.check_own(p, x, infer_input_sizes(self.name, x, lead) | {"N": Size(self.size, "size")})
        return self.cell.check(self.split(p)[1], replace_width(x, self.size, "the projected x"), s, extra, lead)


@dataclass(frozen=True)
class OutputProjection(ParametricWrapper):
    """y = activation(y_cell Wo + bo); the state is not projected.

    Shapes        Wo [H, N], bo [N], with H the width of the output of the cell and N = `size`
    Same as       TF 1 OutputProjectionWrapper
    Differs from  LSTM(projection=N), where the projected output recurs
    Errors        ShapeError: parameters that do not fit
    """
    cell: Any
    size: int
    activation: Any = "linear"
    map: Any = field(default=Dense("Wo", "bo"), repr=False)
    own_products = ""

    def __post_init__(self):
        object.__setattr__(self, "activation", get_activation(self.activation))

    def own(self):
        return self.map.axes("H", "N")

    def own_shapes(self, n_in, units):
        return {"Wo": (self.cell.width(units), self.size), "bo": (self.size,)}, n_in

    def width(self, units):
        return self.size

    def forward(self, p, x, s, extra=None):
        y, new, k = self.cell.forward(self.split(p)[1], x, s, extra)
        a, ky = self.map.forward(p, y)
        y, pre = self.activation.forward(a)
        y = cast(y, a)
        return y, new, KeptProjection(ky, y, pre, k)

    def backward(self, p, k, dy, dnew):
        da = cast(self.activation.backward(k.y, k.pre, dy), dy)
        dx, ds, dextra, dq = self.cell.backward(self.split(p)[1], k.cell, self.map.backward_x(p, k.x, da), dnew)
        return dx, ds, dextra, self.join(self.map.backward_p(p, k.x, da), dq)

    def check(self, p, x, s, extra=None, lead="B"):
        y = self.cell.check(self.split(p)[1], x, s, extra, lead)
        if y is None:
            return None
        self.check_own(p, y, {"H": Size(y.shape[-1], "the output of the cell"), "N": Size(self.size, "size")})
        return replace_width(y, self.size, f"the output of {self.name}")


class KeptEmbedding(NamedTuple):
    ids: Any; cell: Any


@dataclass(frozen=True)
class Embedding(ParametricWrapper):
    """The cell on rows of a table E: x are whole numbers [B] or [B, 1], which have no gradient.

    Shapes        E [classes, size]
    Same as       TF 1 EmbeddingWrapper
    Errors        DtypeError: x that are not whole numbers; ShapeError: numbers outside the table;
                  NotSupported: no first state is given (x do not tell its dtype)

    >>> import numpy as np, rnnref
    >>> cell = Embedding(rnnref.cells.SimpleRNN("linear"), 3, 1)
    >>> p = {"E": np.array([[5.0], [6.0], [7.0]]), "W": np.ones((1, 1)), "R": np.zeros((1, 1)), "b": np.zeros(1)}
    >>> cell.forward(p, np.array([2, 0]), cell.zeros(2, 1, dtype="float64"))[0].tolist()
    [[7.0], [5.0]]
    """
    cell: Any
    classes: int
    size: int
    table: Any = field(default=Dense("E"), repr=False)
    own_products = ""

    def own(self):
        return {"E": "V N"}

    def own_shapes(self, n_in, units):
        return {"E": (self.classes, self.size)}, self.size

    def zeros(self, batch, units, xp=numpy, dtype="float32"):
        if numpy.dtype(dtype).kind in "iu":
            raise NotSupported(self.name, "no state is given, and whole numbers do not tell its dtype",
                               fix='cell.zeros(batch, units, dtype="float32")')
        return self.cell.zeros(batch, units, xp, dtype)

    def forward(self, p, x, s, extra=None):
        ids = x.reshape(len(x))
        y, new, k = self.cell.forward(self.split(p)[1], p["E"][ids], s, extra)
        return y, new, KeptEmbedding(ids, k)

    def backward(self, p, k, dy, dnew):
        dv, ds, dextra, dq = self.cell.backward(self.split(p)[1], k.cell, dy, dnew)
        ids = namespace(k.ids).arange(self.classes)[:, None] == k.ids           # a product, so equal rows are summed
        return None, ds, dextra, self.join(self.table.backward_p(p, ids.astype(dv.dtype).T, dv), dq)

    def check(self, p, x, s, extra=None, lead="B"):
        n = len(lead.split())
        if not is_array(x) or x.dtype.kind not in "iu":
            came = getattr(x, "dtype", type(x).__name__)
            raise DtypeError(self.name, f"x is {came}, expected an array of whole numbers")
        if tuple(x.shape[n:]) not in ((), (1,)):
            raise ShapeError(self.name, f"x has shape {tuple(x.shape)}, expected {lead} or {lead} 1")
        if x.size and bool(((x < 0) | (x >= self.classes)).any()):
            raise ShapeError(self.name, f"x are from {int(x.min())} to {int(x.max())}, expected from 0 to "
                                        f"{self.classes - 1}", axes=f'E is "V N" with V = {self.classes}')
        self.check_own(p, None, {"V": Size(self.classes, "classes"), "N": Size(self.size, "size")})
        looked = ArraySpec((*x.shape[:n], self.size), p["E"].dtype, "the rows of E")
        return self.cell.check(self.split(p)[1], looked, s, extra, lead)
