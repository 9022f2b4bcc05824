"""Convolution on the GPU: the product of unfolded patches and kernel, in the arithmetic of a math mode."""
from dataclasses import dataclass
from typing import Any, ClassVar

from ..arrays import Array, as_matrix
from ..maps.conv import Conv
from .matmul import CudaMap, matmul, sum_rows


@dataclass(frozen=True)
class CudaConv(CudaMap, Conv):
    """A Conv map whose products have the arithmetic of a math mode.  Results have the dtype of the weights."""
    mode: str = "fp32"
    plain: ClassVar[Any] = Conv

    def forward(self, p: dict, x: Array) -> tuple[Array, Array]:
        W, patches = p[self.W], self.unfold(x)
        a = matmul(as_matrix(patches), as_matrix(W), self.mode).reshape(*patches.shape[:-1], W.shape[-1])
        if self.b:
            a += p[self.b]
        return a, x

    def backward_x(self, p: dict, x: Array, da: Array) -> Array:
        d = matmul(as_matrix(da), as_matrix(p[self.W]).T, self.mode)
        return self.fold(d.reshape(*da.shape[:-1], d.shape[-1]), x.shape)

    def backward_p(self, p: dict, x: Array, da: Array) -> dict:
        W, da = p[self.W], as_matrix(da)
        dW = matmul(as_matrix(self.unfold(x)).T, da, self.mode, dtype=W.dtype).reshape(W.shape)
        return {self.W: dW} | ({self.b: sum_rows(da, W.dtype)} if self.b else {})
