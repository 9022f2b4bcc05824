"""Dense layers of a few rows: products by parts of the weights that OpenBLAS multiplies where they lie."""
from dataclasses import dataclass
from typing import Any, Optional

import numpy

from ..arrays import Array
from ..maps.dense import Dense
from .blas import core_type
from .matmul import choose_rows, load_table

_SMALL = 1_000_000                                # multiplications: so many are one part in every row of the table
_MIN_COLUMNS = 64                                 # of a part of W in C order: shorter parts of rows are read slowly


@dataclass(frozen=True)
class PartedDense(Dense):
    """A dense layer whose product with few rows is one for each part of the columns of W."""
    own_products = "x W"
    plain = Dense

    @staticmethod
    def refuses(m: Any) -> Optional[str]:
        """None, or why the map cannot be replaced by this one."""
        return None if load_table(core_type()) else "products of this processor were not measured"

    def multiply(self, x: Array, W: Array) -> Array:
        n = _choose_columns(x, W)
        if n == W.shape[1]:
            return super().multiply(x, W)
        y = numpy.empty_like(x, shape=(len(x), W.shape[1]))
        parts = W.reshape(len(W), -1, n).swapaxes(0, 1)
        numpy.matmul(x, parts, out=y.reshape(len(x), -1, n).swapaxes(0, 1))
        return y


def _choose_columns(x: Array, W: Array) -> int:
    """The columns of each part; all of W: one product."""
    K, N = W.shape
    if x.ndim != 2 or len(x) * K * N <= _SMALL or x.dtype != W.dtype:
        return N
    n = choose_rows(N, K, len(x), x.dtype.name, core_type())
    return n if n >= _MIN_COLUMNS or not W.flags.c_contiguous else N
