"""The map in groups on the GPU: a product for each group, in an arithmetic that its caller names.  (floor 5)

The part of x that a group sees is a block of columns, which cuBLAS reads where it lies.
"""
from dataclasses import dataclass
from typing import Any, ClassVar

from ..arrays import as_matrix, namespace
from ..maps.dense import Grouped
from . import precision
from .matmul import matmul, sum_rows


@dataclass(frozen=True)
class CudaGrouped(Grouped):
    """What a Grouped map does, its products in one mode.  Results have the dtype of the weights."""
    mode: str = "fp32"
    plain: ClassVar[Any] = Grouped
    refuses = staticmethod(lambda m: precision.why_no_cublas())

    def forward(self, p, x):
        W = p[self.W]
        a = self.merge_groups(self.each(self.cut(as_matrix(x), W), W)).reshape(*x.shape[:-1], len(W) * W.shape[-1])
        if self.b:
            a += p[self.b]
        return a, x

    def backward_x(self, p, x, da):
        return self.each(self.split_groups(as_matrix(da)), p[self.W].swapaxes(1, 2)).reshape(x.shape)

    def backward_p(self, p, x, da):
        W, da = p[self.W], as_matrix(da)
        dW = namespace(W).empty(W.shape, W.dtype)
        x, parts = self.cut(as_matrix(x), W), self.split_groups(da)
        for k in range(len(W)):
            matmul(x[:, k].T, parts[:, k], self.mode, dW[k])
        return {self.W: dW} | ({self.b: sum_rows(da, W.dtype)} if self.b else {})

    def cut(self, x, W):                          # [rows, I] -> [rows, groups, I / groups]
        return x.reshape(len(x), *W.shape[:2])

    def each(self, a, W):                         # [rows, groups, n] times [groups, n, m] -> [rows, groups, m]
        out = namespace(a).empty((len(W), len(a), W.shape[-1]), W.dtype)
        for k in range(len(W)):
            matmul(a[:, k], W[k], self.mode, out[k])
        return out.swapaxes(0, 1)
