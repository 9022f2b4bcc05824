"""A table of vectors before the cell, for inputs that are integers."""
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

import numpy

from ..arrays import is_array, namespace
from ..cell import State
from ..errors import DtypeError, NotSupported, ShapeError, describe_type
from ..maps.dense import Dense
from ..options import keyword_options
from ..shapes import ArraySpec, Size
from ..tree import Tree
from .base import ParametricWrapper


class KeptEmbedding(NamedTuple):
    ids: Any; cell: Any


@keyword_options()
@dataclass(frozen=True)
class Embedding(ParametricWrapper):
    """An embedding before the cell: the cell's input is row x of a table E.

    Shapes        x integers [B] or [B, 1], which have no gradient; E [classes, size]
    Options       classes, size
    Same as       TF 1 EmbeddingWrapper
    Errors        DtypeError: x is not an array of integers; ShapeError: an x outside the table;
                  NotSupported: no first state is given, whose dtype integers do not determine

    >>> import numpy as np, rnnref
    >>> cell = Embedding(rnnref.cells.SimpleRNN(activation="linear"), classes=3, size=1)
    >>> p = {"E": np.array([[5.0], [6.0], [7.0]]), "W": np.ones((1, 1)), "R": np.zeros((1, 1)), "b": np.zeros(1)}
    >>> cell.forward(p, np.array([2, 0]), cell.zeros(2, 1, dtype="float64"))[0].tolist()
    [[7.0], [5.0]]
    """
    cell: Any
    _: KW_ONLY
    classes: int
    size: int
    table: Any = field(default=Dense("E"), repr=False)

    def own_axes(self) -> dict[str, str]:
        return {"E": "V N"}

    def own_shapes(self, n_in: Any, units: Any) -> tuple[dict, Any]:
        return {"E": (self.classes, self.size)}, self.size

    def zeros(self, batch: Any, units: Any, xp: Any = numpy, dtype: Any = "float32") -> State:
        if numpy.dtype(dtype).kind in "iu":
            raise NotSupported(self.name, "no state is given, and integers do not determine its dtype",
                               fix='cell.zeros(batch, units, dtype="float32")')
        return self.cell.zeros(batch, units, xp, dtype)

    def forward(self, p: Tree, x: Tree, s: State, extra: Tree = None) -> tuple[Tree, State, Any]:
        ids = x.reshape(len(x))
        y, new, k = self.cell.forward(self.split(p)[1], p["E"][ids], s, extra)
        return y, new, KeptEmbedding(ids, k)

    def backward(self, p: Tree, k: Any, dy: Tree, dnew: State) -> tuple[Tree, State, Tree, Tree]:
        dv, ds, dextra, dq = self.cell.backward(self.split(p)[1], k.cell, dy, dnew)
        ids = namespace(k.ids).arange(self.classes)[:, None] == k.ids           # one-hot rows
        return None, ds, dextra, self.join(self.table.backward_p(p, ids.astype(dv.dtype).T, dv), dq)

    def check(self, p: Tree, x: Tree, s: State, extra: Tree = None, lead: str = "B") -> Any:
        n = len(lead.split())
        if not is_array(x) or x.dtype.kind not in "iu":
            given = f"has dtype {x.dtype}" if is_array(x) else f"is {describe_type(x)}"
            raise DtypeError(self.name, f"x {given}, expected an array of integers")
        if tuple(x.shape[n:]) not in ((), (1,)):
            raise ShapeError(self.name, f"x has shape {tuple(x.shape)}, expected {lead} or {lead} 1")
        if x.size and bool(((x < 0) | (x >= self.classes)).any()):
            raise ShapeError(self.name, f"x is from {int(x.min())} to {int(x.max())}, expected from 0 to "
                                        f"{self.classes - 1}", axes=f'E is "V N" with V = {self.classes}')
        self.check_own(p, None, {"V": Size(self.classes, "classes"), "N": Size(self.size, "size")})
        rows = ArraySpec((*x.shape[:n], self.size), p["E"].dtype, "the rows of E")
        return self.cell.check(self.split(p)[1], rows, s, extra, lead)
