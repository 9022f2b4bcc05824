"""Normalization over the batch, over features, and to norm 1."""
from math import prod
from typing import Any, NamedTuple

from .. import ops
from ..arrays import namespace, upcast
from ..errors import ShapeError
from ..shards import current
from . import config as configs
from .arguments import (add_weight, check_axes, check_integers, check_numbers, check_rate, config_of_arguments,
                        keep_weight_options, refuse)
from .base import Layer

COUNT_EPSILON = 1e-7                              # Keras adds it to the number of live places


class _Batch(NamedTuple):
    """What BatchNormalization keeps.  `live` and `count` are None without a mask, and all but `normal` and `rstd` in
    inference."""
    normal: Any; rstd: Any; mean: Any = None; variance: Any = None; live: Any = None; count: Any = None
    off: Any = None                               # the sum of x - mean over live places: 0 except for COUNT_EPSILON


class BatchNormalization(Layer):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, for each place of `axis`

    In training mean and variance are those of the batch, over all other axes, and the moving averages become
    momentum moving + (1 - momentum) batch, once the call is done.  Else, or while the layer is not trainable, they are
    the moving averages.

        masked      only live steps count: sums over them, divided by their number + 1e-7
        variance    the mean of squares, divided by n and not by n - 1, for the moving average too

    Shapes        x [..., C, ...], mask like x without its last axis; gamma, beta, moving_mean, moving_variance [C]
    Options       center, scale           whether there is a beta, a gamma
                  beta_ and gamma_initializer, _regularizer, _constraint; moving_mean_ and moving_variance_initializer
    Errors        NotSupported for renorm and synchronized; ShapeError for a mask without exactly one axis less than x

    16 bits are computed in float32.  Where training is distributed the batch is that of all processes, as with Keras's
    synchronized=True.  Paper: Ioffe & Szegedy (2015), arXiv:1502.03167.
    Same as keras.layers.BatchNormalization.  Differs from torch.nn.BatchNorm1d, whose momentum is 1 - this one, and
    whose moving variance is divided by n - 1.

    >>> import numpy as np
    >>> layer, x = BatchNormalization(momentum=0.5, epsilon=0.0), np.array([[1.0], [3.0]])
    >>> layer(x, training=True).tolist(), [w.numpy().tolist() for w in layer.non_trainable_weights]
    ([[-1.0], [1.0]], [[1.0], [1.0]])
    """
    supports_masking = True
    get_config = config_of_arguments

    def __init__(self, axis: int = -1, momentum: float = 0.99, epsilon: float = 1e-3, center: bool = True,
                 scale: bool = True, beta_initializer: Any = "zeros", gamma_initializer: Any = "ones",
                 moving_mean_initializer: Any = "zeros", moving_variance_initializer: Any = "ones",
                 beta_regularizer: Any = None, gamma_regularizer: Any = None, beta_constraint: Any = None,
                 gamma_constraint: Any = None, renorm: bool = False, renorm_clipping: Any = None,
                 renorm_momentum: float = 0.99, synchronized: bool = False, **base: Any):
        super().__init__(**base)
        refuse(self, "batch renormalization is not implemented", renorm=renorm, renorm_clipping=renorm_clipping)
        refuse(self, "a model is on one device; Model.distribute takes the whole batch by itself",
               synchronized=synchronized)
        check_integers(self, single=True, axis=axis)
        check_numbers(self, 0, epsilon=epsilon)
        check_rate(self, "momentum", momentum)
        self.renorm = self.synchronized = False
        self.renorm_clipping, self.renorm_momentum = None, renorm_momentum     # which Keras always writes
        self.axis, self.momentum, self.epsilon, self.center, self.scale = axis, momentum, epsilon, center, scale
        keep_weight_options(self, "beta", beta_initializer, beta_regularizer, beta_constraint)
        keep_weight_options(self, "gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        keep_weight_options(self, "moving_mean", moving_mean_initializer)
        keep_weight_options(self, "moving_variance", moving_variance_initializer)
        self.gamma = self.beta = None

    def build(self, input_shape: Any) -> None:
        _check_axes(self, [self.axis], input_shape)
        shape = input_shape[self.axis]
        if self.scale:
            self.gamma = add_weight(self, shape, "gamma")
        if self.center:
            self.beta = add_weight(self, shape, "beta")
        self.moving_mean = add_weight(self, shape, "moving_mean", trainable=False)
        self.moving_variance = add_weight(self, shape, "moving_variance", trainable=False)

    def apply(self, p: dict, x: Any, *, mask: Any = None, training: bool = False, noise: Any = None, keep: bool = True
              ) -> tuple:
        x = upcast(configs.taken(self.who, "x", x, self.dtype))
        if mask is not None and mask.ndim != x.ndim - 1:
            raise ShapeError(self.who, f"mask has shape {mask.shape}, expected {x.shape[:-1]}: that of x without its "
                             "last axis")
        shape = _along([self.axis], x)
        if training and self.trainable:
            mean, variance, live, count, off = self._moments(x, mask)
        else:
            mean, variance = (upcast(p[name]).reshape(shape) for name in ("moving_mean", "moving_variance"))
            live = count = off = None
        rstd = 1 / namespace(x).sqrt(variance + self.epsilon)
        normal = (x - mean) * rstd
        y = _scaled(p, normal, shape)
        batch = (mean, variance, live, count, off) if training and self.trainable else ()
        return y.astype(self.dtype), _Batch(normal if keep else None, rstd, *batch)

    def _moments(self, x: Any, mask: Any) -> tuple:
        """Mean and variance, with axes of length 1; which places are live, how many, and the sum of x - mean there."""
        xp, axes = namespace(x), _others([self.axis], x.ndim)
        n = self._count_places(x)
        if mask is None:
            mean = _total(x, axes) / n
            return mean, _total((x - mean) ** 2, axes) / n, None, None, None
        live = xp.broadcast_to((mask if mask.dtype == bool else mask != 0)[..., None], x.shape)
        count = _total(live, axes).astype(x.dtype) + COUNT_EPSILON
        mean = _total(xp.where(live, x, 0), axes) / count
        off = xp.where(live, x - mean, 0)
        return mean, _total(off ** 2, axes) / count, live, count, _total(off, axes)

    def _count_places(self, x: Any) -> int:
        """How many places a mean is over: those of the whole batch."""
        shape, shard = x.shape, current()
        return prod(shape if shard is None else shard.expand(shape, self.who)) // shape[self.axis]

    def apply_back(self, p: dict, kept: Any, dy: Any, wanted: Any = None) -> tuple:
        dn, dp = _scaled_back(p, kept.normal, upcast(dy), [self.axis])
        if wanted is not None and not wanted[0]:
            return (None,), dp
        dx = dn * kept.rstd
        if kept.mean is not None:                 # the mean and the variance depend on x too
            axes, normal, rstd = _others([self.axis], dy.ndim), kept.normal, kept.rstd
            dmean = -rstd * _total(dn, axes)
            dvariance = -0.5 * rstd ** 2 * _total(dn * normal, axes)
            if kept.live is None:
                dx = dx + (dmean + 2 * dvariance * normal / rstd) / self._count_places(dy)
            else:
                dmean = dmean - 2 * dvariance * kept.off / kept.count
                dx = dx + kept.live * (dmean + 2 * dvariance * normal / rstd) / kept.count
        return (dx.astype(self.dtype),), dp

    def leaves(self, kept: Any) -> bool:
        return kept.mean is not None

    def leave(self, kept: Any) -> None:
        if kept.mean is not None:
            for w, new in ((self.moving_mean, kept.mean), (self.moving_variance, kept.variance)):
                w.assign(upcast(w.data) * self.momentum + new.reshape(w.shape) * (1 - self.momentum))


class LayerNormalization(Layer):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, mean and variance over `axis`

    Shapes        gamma and beta have the axes that are normalized over: [I] for x [..., I]
    Options       axis                    an integer or several
                  center, scale           whether there is a beta, a gamma
                  beta_ and gamma_initializer, _regularizer, _constraint
    Errors        NotSupported for rms_scaling, which Keras has removed

    16 bits are computed in float32.  Paper: Ba, Kiros & Hinton (2016), arXiv:1607.06450.
    Same as keras.layers.LayerNormalization; torch.nn.LayerNorm, whose epsilon is 1e-5.

    >>> import numpy as np
    >>> LayerNormalization(epsilon=0.0)(np.array([[1.0, 3.0]]))
    array([[-1.,  1.]], dtype=float32)
    """
    supports_masking = True
    get_config = config_of_arguments

    def __init__(self, axis: Any = -1, epsilon: float = 1e-3, center: bool = True, scale: bool = True,
                 beta_initializer: Any = "zeros", gamma_initializer: Any = "ones", beta_regularizer: Any = None,
                 gamma_regularizer: Any = None, beta_constraint: Any = None, gamma_constraint: Any = None,
                 rms_scaling: bool = False, **base: Any):
        super().__init__(**base)
        refuse(self, "it scales by the variance, and Keras has removed it", "layers.RMSNormalization",
               rms_scaling=rms_scaling)
        check_numbers(self, 0, epsilon=epsilon)
        self.rms_scaling = False
        self.axis, self.epsilon, self.center, self.scale = _axis(self, axis), epsilon, center, scale
        keep_weight_options(self, "beta", beta_initializer, beta_regularizer, beta_constraint)
        keep_weight_options(self, "gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        self.gamma = self.beta = None

    def build(self, input_shape: Any) -> None:
        _check_axes(self, _listed(self.axis), input_shape)
        shape = [input_shape[k] for k in _listed(self.axis)]
        if self.scale:
            self.gamma = add_weight(self, shape, "gamma")
        if self.center:
            self.beta = add_weight(self, shape, "beta")

    def _build_from(self, weights: Any) -> None:
        if self.axis != -1 or not weights:
            return super()._build_from(weights)
        self.build((None, len(weights[0])))

    def apply(self, p: dict, x: Any, *, mask: Any = None, training: bool = False, noise: Any = None, keep: bool = True
              ) -> tuple:
        x = upcast(configs.taken(self.who, "x", x, self.dtype))
        axes = tuple(_listed(self.axis))
        off = x - x.mean(axes, keepdims=True)
        rstd = 1 / namespace(x).sqrt((off * off).mean(axes, keepdims=True) + self.epsilon)
        normal = off * rstd
        return _scaled(p, normal, _along(axes, x)).astype(self.dtype), (normal, rstd)

    def apply_back(self, p: dict, kept: Any, dy: Any, wanted: Any = None) -> tuple:
        normal, rstd = kept
        axes = tuple(_listed(self.axis))
        dn, dp = _scaled_back(p, normal, upcast(dy), axes)
        if wanted is not None and not wanted[0]:
            return (None,), dp
        dx = dn - dn.mean(axes, keepdims=True) - normal * (dn * normal).mean(axes, keepdims=True)
        return ((dx * rstd).astype(self.dtype),), dp


class RMSNormalization(Layer):
    """y = scale x / sqrt(mean(x^2) + epsilon), the mean over `axis`, an integer or several

    Paper: Zhang & Sennrich (2019), arXiv:1910.07467.  Same as keras.layers.RMSNormalization, where masks are dropped
    too; torch.nn.RMSNorm.

    >>> import numpy as np
    >>> RMSNormalization(epsilon=0.0)(np.array([[1.0, -1.0]]))
    array([[ 1., -1.]], dtype=float32)
    """
    get_config = config_of_arguments

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **base: Any):
        super().__init__(**base)
        check_numbers(self, 0, epsilon=epsilon)
        self.axis, self.epsilon = _axis(self, axis), epsilon

    def build(self, input_shape: Any) -> None:
        _check_axes(self, _listed(self.axis), input_shape)
        self.scale = self.add_weight([input_shape[k] for k in _listed(self.axis)], "ones", name="scale")

    def call(self, x: Any) -> Any:
        axes = tuple(_listed(self.axis))
        return ops.rms_normalization(x, ops.reshape(self.scale, _along(axes, x)), axes, self.epsilon)


class UnitNormalization(Layer):
    """y = x / |x|, the norm over `axis`, an integer or several

    Same as keras.layers.UnitNormalization.

    >>> import numpy as np
    >>> UnitNormalization()(np.array([[3.0, 4.0]]))
    array([[0.6, 0.8]], dtype=float32)
    """
    supports_masking = True
    get_config = config_of_arguments

    def __init__(self, axis: Any = -1, **base: Any):
        super().__init__(**base)
        self.axis = _axis(self, axis)

    def build(self, input_shape: Any) -> None:
        _check_axes(self, _listed(self.axis), input_shape)

    def call(self, x: Any) -> Any:
        return ops.normalize(x, axis=self.axis, order=2, epsilon=1e-12)


# gamma, beta and axes

def _scaled(p: dict, normal: Any, shape: tuple) -> Any:
    """gamma normal + beta; without those of the two that the layer does not have."""
    y = normal * upcast(p["gamma"]).reshape(shape) if "gamma" in p else normal
    return y + upcast(p["beta"]).reshape(shape) if "beta" in p else y


def _scaled_back(p: dict, normal: Any, dy: Any, axes: Any) -> tuple:
    """The gradient of `normal`, and those of gamma and beta."""
    others, dp = _others(axes, dy.ndim), {}
    if "gamma" in p:
        dp["gamma"] = (dy * normal).sum(others).reshape(p["gamma"].shape).astype(p["gamma"].dtype)
    if "beta" in p:
        dp["beta"] = dy.sum(others).reshape(p["beta"].shape).astype(p["beta"].dtype)
    return dy * upcast(p["gamma"]).reshape(_along(axes, dy)) if "gamma" in p else dy, dp


def _along(axes: Any, x: Any) -> tuple:
    """The shape of what has only these axes of x, with 1 elsewhere."""
    axes = {k % len(x.shape) for k in axes}
    return tuple(n if k in axes else 1 for k, n in enumerate(x.shape))


def _total(a: Any, axes: tuple) -> Any:
    """The sum over these axes, of the rows of all processes."""
    found, shard = a.sum(axes, keepdims=True), current()
    return found if shard is None else shard.total(found)


def _others(axes: Any, ndim: int) -> tuple:
    return tuple(k for k in range(ndim) if k not in {j % ndim for j in axes})


def _listed(axis: Any) -> list:
    return axis if isinstance(axis, list) else [axis]


def _axis(layer: Layer, axis: Any) -> Any:
    check_integers(layer, axis=axis)
    return sorted(axis) if isinstance(axis, (list, tuple)) else axis


def _check_axes(layer: Layer, axes: list, shape: Any) -> None:
    check_axes(layer, axes, shape)
    for k in axes:
        if shape[k] is None:
            raise ShapeError(layer.who, f"axis={k} of x has no known length: its shape is {tuple(shape)}")
