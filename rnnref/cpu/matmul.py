"""The product of a weight matrix with a few columns, [M, K] [K, N], in the form that is fastest on this processor.

Where OpenBLAS has kernels for small matrices, many products of a few rows each are faster than one: they read both
factors where they lie and copy nothing.  The form is a pure function of sizes, dtype and processor, read from a table.
"""
import json
from functools import lru_cache, partial
from pathlib import Path
from typing import Callable

import numpy

from ..arrays import Array
from .blas import core_type

TABLE = Path(__file__).with_name("products.json")  # {core type: {dtype: {"K N": M K N of a chunk, 0: one product}}}


@lru_cache(None)
def load_table(core: str) -> dict:
    """{dtype: {(log2 K, log2 N): the largest M K N of a chunk, or 0}} of a processor; {} if it was never measured."""
    table = json.loads(TABLE.read_text()).get(core, {})
    return {dtype: {tuple(map(float, sizes.split())): size for sizes, size in rows.items()}
            for dtype, rows in table.items()}


@lru_cache(4096)
def choose_rows(M: int, K: int, N: int, dtype: str, core: str) -> int:
    """The rows of each chunk, a divisor of M; M itself: one product."""
    table = load_table(core).get(dtype)
    if not table:
        return M
    k, n = ([*sorted({sizes[axis] for sizes in table})] for axis in (0, 1))
    limit = table[_nearest(k, K), _nearest(n, N)]
    return max((r for r in range(8, M + 1) if M % r == 0 and r * K * N <= limit), default=M)


def _nearest(exponents: list[float], size: int) -> float:
    """The exponent whose power of two is nearest to a size, by their ratio."""
    return min(exponents, key=lambda e: abs(numpy.log2(max(size, 1)) - e))


class Product:
    """The product of `w` [M, K] with [K, N], written into an array: call(x, out).

    shape     of the result: [M, N], [chunks, rows, N], or [M] of a single column
    """
    __slots__ = "call", "shape"
    shape: tuple

    def __init__(self, w: Array, columns: int) -> None:
        M, K = w.shape
        rows = choose_rows(M, K, columns, w.dtype.name, core_type()) if columns > 1 else M
        self.call: Callable = w.dot
        self.shape = (M, columns) if columns > 1 else (M,)
        if rows < M:
            self.call, self.shape = partial(numpy.matmul, w.reshape(M // rows, rows, K)), (M // rows, rows, columns)

    def results(self, outs: Array) -> Array:
        """[n, M, N] as n results of `call`, in the same memory."""
        return outs.reshape(len(outs), *self.shape)
