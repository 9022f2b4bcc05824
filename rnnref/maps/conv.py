"""Convolution over one, two or three axes of space: what makes an LSTM a ConvLSTM.  No rule notices."""
from dataclasses import dataclass
from itertools import product
from typing import Optional

from ..arrays import cast, namespace, as_matrix
from ..errors import NotSupported, ShapeError, check_option
from .dense import Map, add_bias


@dataclass(frozen=True)
class Conv(Map):
    """Cross-correlation of x [..., *S, C] with W [*kernel, C, G], channels last, a step of `strides` in each axis.

    padding   "same": as many places as x has (with strides: divided by them, rounded up), zeros around, the odd one
              behind, as TensorFlow has it; "valid": only where the kernel lies inside x
    dilation  how far apart in x the places are that neighbours in the kernel see; 1 in each axis if not given
    """
    W: str
    b: Optional[str] = None
    kernel: tuple = (3,)
    strides: tuple = ()                           # (): 1 in each axis
    padding: str = "same"
    dilation: tuple = ()
    own_products = "patches of x and W"

    def __post_init__(self):
        check_option("Conv", "padding", self.padding, ("same", "valid"))
        for name in ("kernel", "strides", "dilation"):
            given = getattr(self, name)
            given = tuple(given or (1,) * self.space)
            if len(given) != self.space or not 1 <= self.space <= 3 or min(given) < 1:
                raise NotSupported("Conv", f"{name}={getattr(self, name)!r}, expected a positive number for each of "
                                           "the 1 to 3 axes of space")
            object.__setattr__(self, name, given)

    @property
    def space(self):
        return len(self.kernel)

    @property
    def reach(self):
        """How many places of x the kernel spans in each axis."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation))

    def axes(self, i, o="G"):
        return {self.W: " ".join([*map(str, self.kernel), i, o])} | ({self.b: o} if self.b else {})

    def places(self, extent):
        if self.padding == "same":
            return tuple(-(-n // s) for n, s in zip(extent, self.strides))
        if any(n < k for n, k in zip(extent, self.reach)):
            raise ShapeError("Conv", f"x has {' x '.join(map(str, extent))} places, fewer than the kernel has: "
                                     f"{' x '.join(map(str, self.reach))}", fix='padding="same" puts zeros around')
        return tuple((n - k) // s + 1 for n, k, s in zip(extent, self.reach, self.strides))

    def forward(self, p, x):
        W = p[self.W]
        a = cast(self.patches(x) @ W.reshape(-1, W.shape[-1]), x)
        return (add_bias(a, p[self.b]) if self.b else a), x

    def backward_x(self, p, x, da):
        W = p[self.W]
        return self.fold(cast(da @ W.reshape(-1, W.shape[-1]).T, da), x.shape)

    def backward_p(self, p, x, da):
        dW = as_matrix(self.patches(x)).T @ as_matrix(da)
        return {self.W: dW.reshape(p[self.W].shape)} | ({self.b: as_matrix(da).sum(0)} if self.b else {})

    def patches(self, x):
        """[..., *S, C] -> [..., *places, kernel x C]: what the kernel sees at each place."""
        xp, extent = namespace(x), x.shape[-1 - self.space:-1]
        padded = xp.zeros(self.padded(x.shape), x.dtype)
        padded[self.inside(extent)] = x
        return xp.concatenate([padded[at] for at in self.offsets(extent)], -1)

    def fold(self, d, shape):
        """The way back: of an x of that shape, each piece of a patch to where it came from."""
        extent, n = shape[-1 - self.space:-1], shape[-1]
        dx = namespace(d).zeros(self.padded(shape), d.dtype)
        for k, at in enumerate(self.offsets(extent)):
            dx[at] += d[..., k * n:(k + 1) * n]
        return dx[self.inside(extent)]

    def around(self, extent):
        """Zeros before and behind in each axis."""
        if self.padding == "valid":
            return ((0, 0),) * self.space
        axes = zip(extent, self.places(extent), self.reach, self.strides)
        total = [max((m - 1) * s + k - n, 0) for n, m, k, s in axes]
        return tuple((n // 2, n - n // 2) for n in total)

    def inside(self, extent):
        """Where x lies among the zeros."""
        at = (slice(before, before + n) for n, (before, _) in zip(extent, self.around(extent)))
        return (..., *at, slice(None))

    def padded(self, shape):
        extent = shape[-1 - self.space:-1]
        whole = [n + before + behind for n, (before, behind) in zip(extent, self.around(extent))]
        return (*shape[:-1 - self.space], *whole, shape[-1])

    def offsets(self, extent):
        """An index for each entry of the kernel: where it lies at all places at once."""
        spans = [[slice(k * d, k * d + (m - 1) * s + 1, s) for k in range(n)]
                 for n, m, s, d in zip(self.kernel, self.places(extent), self.strides, self.dilation)]
        return [(..., *at, slice(None)) for at in product(*spans)]
