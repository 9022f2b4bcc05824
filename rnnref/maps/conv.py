"""Convolution over one, two or three axes of space: what makes an LSTM a ConvLSTM.  No rule notices."""
from dataclasses import dataclass
from itertools import product
from typing import Optional

from ..arrays import as_matrix, cast, namespace
from ..errors import NotSupported, ShapeError, check_option
from .dense import Map, add_bias


@dataclass(frozen=True)
class Conv(Map):
    """Cross-correlation of x [..., *S, C] with W [*kernel, C, G], channels last, a step of `strides` in each axis.

    padding  "same": as many places as x has (with strides: divided by them, rounded up), zeros around, the odd one
             behind, as TensorFlow has it; "valid": only where the kernel lies inside x
    """
    W: str
    b: Optional[str] = None
    kernel: tuple = (3,)
    strides: tuple = ()                           # (): 1 in each axis
    padding: str = "same"
    own_products = "patches of x and W"

    def __post_init__(self):
        check_option("Conv", "padding", self.padding, ("same", "valid"))
        for name in ("kernel", "strides"):
            given = getattr(self, name)
            given = tuple(given or (1,) * self.space)
            if len(given) != self.space or not 1 <= self.space <= 3 or min(given) < 1:
                raise NotSupported("Conv", f"{name}={getattr(self, name)!r}, expected a positive number for each of "
                                           "the 1 to 3 axes of space")
            object.__setattr__(self, name, given)

    @property
    def space(self):
        return len(self.kernel)

    def axes(self, i, o="G"):
        return {self.W: " ".join([*map(str, self.kernel), i, o])} | ({self.b: o} if self.b else {})

    def output_extent(self, extent):
        if self.padding == "same":
            return tuple(-(-n // s) for n, s in zip(extent, self.strides))
        if any(n < k for n, k in zip(extent, self.kernel)):
            raise ShapeError("Conv", f"x has {' x '.join(map(str, extent))} places, fewer than the kernel has: "
                                     f"{' x '.join(map(str, self.kernel))}", fix='padding="same" puts zeros around')
        return tuple((n - k) // s + 1 for n, k, s in zip(extent, self.kernel, self.strides))

    def forward(self, p, x):
        W = p[self.W]
        a = cast(self.unfold(x) @ W.reshape(-1, W.shape[-1]), x)
        return (add_bias(a, p[self.b]) if self.b else a), x

    def backward_x(self, p, x, da):
        W = p[self.W]
        return self.fold(cast(da @ W.reshape(-1, W.shape[-1]).T, da), x.shape)

    def backward_p(self, p, x, da):
        dW = as_matrix(self.unfold(x)).T @ as_matrix(da)
        return {self.W: dW.reshape(p[self.W].shape)} | ({self.b: as_matrix(da).sum(0)} if self.b else {})

    def unfold(self, x):
        """[..., *S, C] -> [..., *places, kernel x C]: what the kernel sees at each place."""
        xp, extent = namespace(x), x.shape[-1 - self.space:-1]
        padded = xp.zeros(self._padded_shape(x.shape), x.dtype)
        padded[self._interior(extent)] = x
        return xp.concatenate([padded[at] for at in self._kernel_slices(extent)], -1)

    def fold(self, d, shape):
        """The way back: of an x of that shape, each piece of a patch to where it came from."""
        extent, n = shape[-1 - self.space:-1], shape[-1]
        dx = namespace(d).zeros(self._padded_shape(shape), d.dtype)
        for k, at in enumerate(self._kernel_slices(extent)):
            dx[at] += d[..., k * n:(k + 1) * n]
        return dx[self._interior(extent)]

    def _zero_padding(self, extent):
        """Zeros before and behind in each axis."""
        if self.padding == "valid":
            return ((0, 0),) * self.space
        axes = zip(extent, self.output_extent(extent), self.kernel, self.strides)
        total = [max((m - 1) * s + k - n, 0) for n, m, k, s in axes]
        return tuple((n // 2, n - n // 2) for n in total)

    def _interior(self, extent):
        """Where x lies among the zeros."""
        at = (slice(before, before + n) for n, (before, _) in zip(extent, self._zero_padding(extent)))
        return (..., *at, slice(None))

    def _padded_shape(self, shape):
        extent = shape[-1 - self.space:-1]
        whole = [n + before + behind for n, (before, behind) in zip(extent, self._zero_padding(extent))]
        return (*shape[:-1 - self.space], *whole, shape[-1])

    def _kernel_slices(self, extent):
        """An index for each entry of the kernel: where it lies at all places at once."""
        spans = [[slice(k, k + (m - 1) * s + 1, s) for k in range(n)]
                 for n, m, s in zip(self.kernel, self.output_extent(extent), self.strides)]
        return [(..., *at, slice(None)) for at in product(*spans)]
