"""Convolution on the GPU: the product of patches and kernel in an arithmetic that its caller names.  (floor 5)"""
from dataclasses import dataclass
from typing import Any, ClassVar

from ..arrays import as_matrix
from ..maps.conv import Conv
from . import precision
from .matmul import matmul, sum_rows


@dataclass(frozen=True)
class CudaConv(Conv):
    """What a Conv map does, its products in one mode.  Results have the dtype of the weights."""
    mode: str = "fp32"
    plain: ClassVar[Any] = Conv
    refuses = staticmethod(lambda m: precision.why_no_cublas())

    def forward(self, p, x):
        W, seen = p[self.W], self.unfold(x)
        a = matmul(as_matrix(seen), as_matrix(W), self.mode).reshape(*seen.shape[:-1], W.shape[-1])
        if self.b:
            a += p[self.b]
        return a, x

    def backward_x(self, p, x, da):
        d = matmul(as_matrix(da), as_matrix(p[self.W]).T, self.mode)
        return self.fold(d.reshape(*da.shape[:-1], d.shape[-1]), x.shape)

    def backward_p(self, p, x, da):
        W, da = p[self.W], as_matrix(da)
        dW = matmul(as_matrix(self.unfold(x)).T, da, self.mode, dtype=W.dtype).reshape(W.shape)
        return {self.W: dW} | ({self.b: sum_rows(da, W.dtype)} if self.b else {})
