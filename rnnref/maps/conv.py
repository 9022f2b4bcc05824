"""Convolution over one, two or three axes of space: the map of a ConvLSTM, under the same rule as an LSTM."""
from dataclasses import dataclass
from itertools import product
from typing import Any, Optional

from ..arrays import Array, as_matrix, cast, namespace
from ..errors import NotSupported, ShapeError, check_option
from ..tree import Tree
from .dense import Map, add_bias, multiply_rows


@dataclass(frozen=True)
class Conv(Map):
    """Convolution, as the cross-correlation of x [..., *S, C] with W [*kernel, C, G], channels last, with `strides`.

    padding   "same": as many positions as x has (with strides: divided by them, rounded up), zeros on both sides, an
              odd one at the end, as in TensorFlow; "valid": only positions where the kernel lies inside x
    dilation  the distance in x of neighbours in the kernel; 1 in each axis if not given
    """
    W: str
    b: Optional[str] = None
    kernel: tuple = (3,)
    strides: tuple = ()                           # (): 1 in each axis
    padding: str = "same"
    dilation: tuple = ()
    own_products = "patches of x and W"

    def __post_init__(self) -> None:
        check_option("Conv", "padding", self.padding, ("same", "valid"))
        for name in ("kernel", "strides", "dilation"):
            sizes = tuple(getattr(self, name) or (1,) * self.space)
            if len(sizes) != self.space or not 1 <= self.space <= 3 or min(sizes) < 1:
                raise NotSupported("Conv", f"{name}={getattr(self, name)!r}, expected a positive number for each of "
                                           "the 1 to 3 axes of space")
            object.__setattr__(self, name, sizes)

    @property
    def space(self) -> int:
        return len(self.kernel)

    @property
    def reach(self) -> tuple:
        """How many positions of x the kernel spans in each axis."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation))

    def axes(self, i: str, o: str = "G") -> dict[str, str]:
        return {self.W: " ".join([*map(str, self.kernel), i, o])} | ({self.b: o} if self.b else {})

    def output_extent(self, extent: tuple) -> tuple:
        if self.padding == "same":
            return tuple(-(-n // s) for n, s in zip(extent, self.strides))
        if any(n < k for n, k in zip(extent, self.reach)):
            raise ShapeError("Conv", f"x has {' x '.join(map(str, extent))} places, fewer than the kernel has: "
                                     f"{' x '.join(map(str, self.reach))}", fix='padding="same" adds zeros')
        return tuple((n - k) // s + 1 for n, k, s in zip(extent, self.reach, self.strides))

    def forward(self, p: Tree, x: Array) -> tuple[Array, Any]:
        W = p[self.W]
        a = cast(multiply_rows(self.unfold(x), W.reshape(-1, W.shape[-1])), x)
        return (add_bias(a, p[self.b]) if self.b else a), x

    def backward_x(self, p: Tree, x: Array, da: Array) -> Array:
        W = p[self.W]
        return self.fold(cast(multiply_rows(da, W.reshape(-1, W.shape[-1]).T), da), x.shape)

    def backward_p(self, p: Tree, x: Array, da: Array) -> Tree:
        dW = as_matrix(self.unfold(x)).T @ as_matrix(da)
        return {self.W: dW.reshape(p[self.W].shape)} | ({self.b: as_matrix(da).sum(0)} if self.b else {})

    def unfold(self, x: Array) -> Array:
        """[..., *S, C] -> [..., *places, kernel x C]: the patch of x under the kernel at each place."""
        xp, extent = namespace(x), x.shape[-1 - self.space:-1]
        padded = xp.zeros(self._padded_shape(x.shape), x.dtype)
        padded[self._interior(extent)] = x
        return xp.concatenate([padded[at] for at in self._kernel_slices(extent)], -1)

    def fold(self, d: Array, shape: tuple) -> Array:
        """The adjoint of unfold, for an x of that shape: each entry of a patch is added where it was taken from."""
        extent, n = shape[-1 - self.space:-1], shape[-1]
        dx = namespace(d).zeros(self._padded_shape(shape), d.dtype)
        for k, at in enumerate(self._kernel_slices(extent)):
            dx[at] += d[..., k * n:(k + 1) * n]
        return dx[self._interior(extent)]

    def _zero_padding(self, extent: tuple) -> tuple:
        """(zeros before, zeros after) in each axis of space."""
        if self.padding == "valid":
            return ((0, 0),) * self.space
        axes = zip(extent, self.output_extent(extent), self.reach, self.strides)
        total = [max((m - 1) * s + k - n, 0) for n, m, k, s in axes]
        return tuple((n // 2, n - n // 2) for n in total)

    def _interior(self, extent: tuple) -> tuple:
        """The index of x in the padded array."""
        at = (slice(before, before + n) for n, (before, _) in zip(extent, self._zero_padding(extent)))
        return (..., *at, slice(None))

    def _padded_shape(self, shape: tuple) -> tuple:
        """The shape of x with its zeros."""
        extent = shape[-1 - self.space:-1]
        padded = [n + before + after for n, (before, after) in zip(extent, self._zero_padding(extent))]
        return (*shape[:-1 - self.space], *padded, shape[-1])

    def _kernel_slices(self, extent: tuple) -> list:
        """For each entry of the kernel, the index of its position at all places of the result at once."""
        spans = [[slice(k * d, k * d + (m - 1) * s + 1, s) for k in range(n)]
                 for n, m, s, d in zip(self.kernel, self.output_extent(extent), self.strides, self.dilation)]
        return [(..., *at, slice(None)) for at in product(*spans)]
