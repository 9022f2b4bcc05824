"""A grouped map on the GPU: a product for each group, in the arithmetic of a math mode.

The part of x that a group multiplies is a block of columns, which cuBLAS reads in place.
"""
from dataclasses import dataclass
from typing import Any, ClassVar

from ..arrays import Array, as_matrix, namespace
from ..maps.dense import Grouped
from .matmul import CudaMap, matmul, sum_rows


@dataclass(frozen=True)
class CudaGrouped(CudaMap, Grouped):
    """A Grouped map whose products have the arithmetic of a math mode.  Results have the dtype of the weights."""
    mode: str = "fp32"
    plain: ClassVar[Any] = Grouped

    def forward(self, p: dict, x: Array) -> tuple[Array, Array]:
        W = p[self.W]
        products = self._multiply_groups(self._split_inputs(as_matrix(x), W), W)
        a = self.merge_groups(products).reshape(*x.shape[:-1], len(W) * W.shape[-1])
        if self.b:
            a += p[self.b]
        return a, x

    def backward_x(self, p: dict, x: Array, da: Array) -> Array:
        return self._multiply_groups(self.split_groups(as_matrix(da)), p[self.W].swapaxes(1, 2)).reshape(x.shape)

    def backward_p(self, p: dict, x: Array, da: Array) -> dict:
        W, da = p[self.W], as_matrix(da)
        dW = namespace(W).empty(W.shape, W.dtype)
        x, parts = self._split_inputs(as_matrix(x), W), self.split_groups(da)
        for k in range(len(W)):
            matmul(x[:, k].T, parts[:, k], self.mode, dW[k])
        return {self.W: dW} | ({self.b: sum_rows(da, W.dtype)} if self.b else {})

    def _split_inputs(self, x: Array, W: Array) -> Array:
        """[rows, I] -> [rows, groups, I / groups]."""
        return x.reshape(len(x), *W.shape[:2])

    def _multiply_groups(self, a: Array, W: Array) -> Array:
        """[rows, groups, n] times [groups, n, m] -> [rows, groups, m]."""
        out = namespace(a).empty((len(W), len(a), W.shape[-1]), W.dtype)
        for k in range(len(W)):
            matmul(a[:, k], W[k], self.mode, out[k])
        return out.swapaxes(0, 1)
