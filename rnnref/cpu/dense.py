"""Dense layers: products of a few rows by parts of the weights, those of all steps in several threads.

OpenBLAS multiplies small parts where they lie.  Its own threads wait for each other, on a busy machine for long;
a lane that no thread has begun is run by the caller.
"""
from dataclasses import dataclass
from typing import Any, Optional

import numpy

from ..arrays import Array, as_matrix
from ..maps.dense import Dense
from ..tree import Tree
from .blas import core_type, count_threads, limit_threads
from .lanes import MIN_PRODUCT, run_lanes, split_product
from .matmul import choose_rows

_SMALL = 1_000_000                                # multiplications: so many are one part in every row of the table
_MIN_COLUMNS = 64                                 # of a part of W in C order: shorter parts of rows are read slowly


@dataclass(frozen=True)
class PartedDense(Dense):
    """A dense layer that multiplies few rows by parts of the columns of W, and those of all steps in lanes."""
    own_products = "x W"
    plain = Dense

    @staticmethod
    def refuses(m: Any) -> Optional[str]:
        """None, or why the map cannot be replaced by this one."""
        return None

    def backward_p(self, p: Tree, x: Array, da: Array) -> Tree:
        if x.ndim < 3:
            return super().backward_p(p, x, da)
        da = as_matrix(da)
        return {self.W: _multiply_in_lanes(as_matrix(x).T, da)} | ({self.b: da.sum(0)} if self.b else {})

    def multiply(self, x: Array, W: Array) -> Array:
        if x.ndim > 2:
            return _multiply_in_lanes(as_matrix(x), W).reshape(*x.shape[:-1], W.shape[1])
        n = _choose_columns(x, W)
        if n == W.shape[1]:
            return super().multiply(x, W)
        y = numpy.empty_like(x, shape=(len(x), W.shape[1]))
        parts = W.reshape(len(W), -1, n).swapaxes(0, 1)
        numpy.matmul(x, parts, out=y.reshape(len(x), -1, n).swapaxes(0, 1))
        return y


def _multiply_in_lanes(x: Array, W: Array) -> Array:
    """x W, some rows of x in each thread."""
    (M, K), N = x.shape, W.shape[1]
    if M * K * N < 2 * MIN_PRODUCT or x.dtype != W.dtype or x.dtype.kind != "f":
        return x @ W                              # without a question for the threads, which one step would feel
    lanes = split_product(M, K * N, count_threads())
    if len(lanes) < 2:
        return x @ W
    y = numpy.empty_like(x, shape=(M, N), order="C")

    def run(lane: slice) -> None:
        numpy.matmul(x[lane], W, out=y[lane])
    with limit_threads():
        run_lanes(run, lanes)
    return y


def _choose_columns(x: Array, W: Array) -> int:
    """The columns of each part; all of W: one product."""
    K, N = W.shape
    if len(x) * K * N <= _SMALL or x.dtype != W.dtype:
        return N
    n = choose_rows(N, K, len(x), x.dtype.name, core_type())
    return n if n >= _MIN_COLUMNS or not W.flags.c_contiguous else N
