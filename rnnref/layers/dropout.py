"""Dropout and normal noise in training, and two layers that leave x unchanged."""
from math import sqrt
from typing import Any, Optional

import numpy

from .. import regularizers
from ..arrays import namespace
from ..errors import NotSupported, ShapeError
from ..shards import current, draw_rows
from . import config as configs
from .arguments import check_rate, config_of_arguments
from .base import Layer


class _Factor(Layer):
    """y = x noise in training, y = x else; a subclass draws the noise."""
    supports_masking = True

    def draw(self, training: bool, x: Any) -> Any:
        if not training or not self.rate:         # type: ignore[attr-defined]
            return None
        return namespace(x).asarray(self._draw(tuple(x.shape)).astype(self.dtype))

    def _draw(self, shape: tuple) -> Any:
        """The noise for inputs of this shape."""
        raise NotImplementedError

    def apply(self, p: dict, x: Any, *, mask: Any = None, training: bool = False, noise: Any = None, keep: bool = True
              ) -> tuple:
        x = configs.taken(self.who, "x", x, self.dtype)
        return (x if noise is None else x * noise), noise

    def apply_back(self, p: dict, noise: Any, dy: Any, wanted: Any = None) -> tuple:
        return (dy if noise is None else dy * noise,), {}


class Dropout(_Factor):
    """y = x noise in training, where noise is 0 with probability `rate`, else 1 / (1 - rate); y = x else

    noise_shape   the shape in which noise is drawn, and then broadcast to x: 1 where one number serves a whole axis,
                  None where it is as long as that of x; None alone: the shape of x
    seed          of the noise; None: different noise each time.  The noise of a seed differs from Keras's

    Paper: Srivastava et al. (2014).  Same as keras.layers.Dropout, torch.nn.Dropout.

    >>> import numpy as np
    >>> layer = Dropout(0.5, seed=1)
    >>> layer(np.ones((1, 4)), training=True), layer(np.ones((1, 4)))
    (array([[...]], dtype=float32), array([[1., 1., 1., 1.]], dtype=float32))
    """
    get_config = config_of_arguments

    def __init__(self, rate: float, noise_shape: Any = None, seed: Optional[int] = None, **base: Any):
        super().__init__(seed=seed, **base)
        check_rate(self, "rate", rate)
        self.rate, self.noise_shape = rate, None if noise_shape is None else _noise_shape(self, noise_shape)

    def _draw(self, shape: Any) -> Any:
        if self.noise_shape is not None:
            if len(self.noise_shape) != len(shape):
                raise ShapeError(self.who, f"noise_shape={self.noise_shape}, expected {len(shape)} axes, as x has: "
                                 f"{tuple(shape)}")
            shape = [n if m is None else m for n, m in zip(shape, self.noise_shape)]
            if self.noise_shape[0] is not None:   # not drawn row by row
                return _zeros_and_more(_pick_rows(self.noise_rng.random(shape)), self.rate)
        return _zeros_and_more(draw_rows(self.noise_rng.random, shape, self.who), self.rate)


class SpatialDropout1D(_Factor):
    """Dropout of whole features: the noise is the same at every step

    Shapes        x [B, T, I], noise [B, 1, I]

    Paper: Tompson et al. (2015), arXiv:1411.4280.  Same as keras.layers.SpatialDropout1D.

    >>> import numpy as np
    >>> y = SpatialDropout1D(0.5)(np.ones((2, 3, 4)), training=True)
    >>> bool((y == y[:, :1]).all())
    True
    """
    def __init__(self, rate: float, seed: Optional[int] = None, name: Optional[str] = None, dtype: Any = None):
        super().__init__(seed=seed, name=name, dtype=dtype)
        check_rate(self, "rate", rate)
        self.rate = rate

    def get_config(self) -> dict:
        return {"rate": self.rate, "seed": self.seed, "name": self.name, "dtype": self.dtype}    # all that Keras takes

    def _draw(self, shape: Any) -> Any:
        return _zeros_and_more(draw_rows(self.noise_rng.random, (shape[0], 1, shape[2]), self.who), self.rate)

    def apply(self, p: dict, x: Any, *, mask: Any = None, training: bool = False, noise: Any = None, keep: bool = True
              ) -> tuple:
        if x.ndim != 3:
            raise ShapeError(self.who, f"x has shape {x.shape}, expected three axes", axes="x is [B, T, I]")
        return super().apply(p, x, mask=mask, training=training, noise=noise, keep=keep)


class GaussianDropout(_Factor):
    """y = x noise in training, where noise is normal of mean 1 and variance rate / (1 - rate); y = x else

    Paper: Srivastava et al. (2014), section 10.  Same as keras.layers.GaussianDropout.

    >>> import numpy as np
    >>> GaussianDropout(0.5)(np.ones((1, 2)))
    array([[1., 1.]], dtype=float32)
    """
    get_config = config_of_arguments

    def __init__(self, rate: float, seed: Optional[int] = None, **base: Any):
        super().__init__(seed=seed, **base)
        check_rate(self, "rate", rate)
        if rate == 1:
            raise NotSupported(self.who, "rate=1: the variance rate / (1 - rate) is infinite")
        self.rate = rate

    def _draw(self, shape: Any) -> Any:
        deviation = sqrt(self.rate / (1 - self.rate))
        return draw_rows(lambda shape: self.noise_rng.normal(1, deviation, shape), shape, self.who)


class GaussianNoise(Layer):
    """y = x + noise in training, where noise is normal of mean 0 and standard deviation `stddev`; y = x else

    Same as keras.layers.GaussianNoise.

    >>> import numpy as np
    >>> GaussianNoise(0.5)(np.ones((1, 2)))
    array([[1., 1.]], dtype=float32)
    """
    supports_masking = True
    get_config = config_of_arguments

    def __init__(self, stddev: float, seed: Optional[int] = None, **base: Any):
        super().__init__(seed=seed, **base)
        check_rate(self, "stddev", stddev)
        self.stddev = stddev

    def draw(self, training: bool, x: Any) -> Any:
        if not training or not self.stddev:
            return None
        noise = draw_rows(lambda shape: self.noise_rng.normal(0, self.stddev, shape), x.shape, self.who)
        return namespace(x).asarray(numpy.asarray(noise, self.dtype))

    def apply(self, p: dict, x: Any, *, mask: Any = None, training: bool = False, noise: Any = None, keep: bool = True
              ) -> tuple:
        x = configs.taken(self.who, "x", x, self.dtype)
        return (x if noise is None else x + noise), None

    def apply_back(self, p: dict, kept: Any, dy: Any, wanted: Any = None) -> tuple:
        return (dy,), {}


class Identity(Layer):
    """y = x

    Same as keras.layers.Identity.

    >>> import numpy as np
    >>> Identity()(np.ones((1, 2)))
    array([[1., 1.]], dtype=float32)
    """
    supports_masking = True

    def __init__(self, **base: Any):
        super().__init__(**base)

    def call(self, x: Any) -> Any:
        return x


class ActivityRegularization(Layer):
    """y = x, and l1 sum |x| + l2 sum x^2, divided by the batch size, is added to the losses

    Same as keras.layers.ActivityRegularization.

    >>> import numpy as np
    >>> layer = ActivityRegularization(l1=0.5)
    >>> layer(np.ones((2, 3))).shape, [float(loss) for loss in layer.losses]
    ((2, 3), [1.5])
    """
    supports_masking = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **base: Any):
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **base)
        self.l1, self.l2 = l1, l2

    def get_config(self) -> dict:
        config = config_of_arguments(self)
        del config["activity_regularizer"]
        return config

    def call(self, x: Any) -> Any:
        return x


def _zeros_and_more(drawn: Any, rate: float) -> Any:
    """Of numbers drawn from 0 to 1, 0 with probability `rate`, else 1 / (1 - rate): 1 on average."""
    return (drawn >= rate) * (1 / (1 - rate) if rate < 1 else 0.0)


def _pick_rows(noise: Any) -> Any:
    """The noise of the rows that this process computes, of noise for all; noise with one row for all stays."""
    shard = current()
    return noise if shard is None or len(noise) != shard.size else noise[shard.rows]


def _noise_shape(layer: Layer, shape: Any) -> tuple:
    if not isinstance(shape, (list, tuple)) or not all(n is None or hasattr(n, "__index__") and n > 0 for n in shape):
        raise NotSupported(layer.who, f"noise_shape={shape!r}, expected a tuple of positive integers and None")
    return tuple(shape)
