"""Initializers with Keras's names: first values of weights.

    initializer(shape, dtype="float32") -> array            the same numbers every time if it has a seed

A layer hands its own generator over, which serves where an initializer has no seed.  Distributions are Keras's; the
numbers of a seed are not: each back end of Keras draws others.

>>> import numpy
>>> w = get("glorot_uniform")((3, 5))
>>> w.shape, w.dtype, bool((abs(w) <= numpy.sqrt(6 / 8)).all())
((3, 5), dtype('float32'), True)
"""
from inspect import signature
from math import prod
from typing import Any, Callable, Optional, Sequence

import numpy

from . import init
from .arrays import asnumpy, is_array
from .errors import InvalidType, NotSupported, ShapeError, check_option
from .identifiers import Configured, Family
from .values import Arraylike

Array = Any


class Initializer(Configured):
    """initializer(shape, dtype=None, rng=None) -> array.

    A subclass defines `draw(rng, shape)`, or `__call__(shape, dtype=None)` as for Keras; and get_config, where the
    arguments of its constructor are not attributes of the same names.

    seed    None: numbers of `rng`, or other ones every time; an integer: always the same; a numpy.random.Generator:
            its next numbers
    """
    seed: Any = None

    def __call__(self, shape: Sequence, dtype: Any = None, rng: Any = None) -> Array:
        if self.seed is not None or rng is None:
            rng = numpy.random.default_rng(self.seed)
        return numpy.asarray(self.draw(rng, tuple(shape))).astype(dtype or "float32")

    def draw(self, rng: Any, shape: tuple) -> Array:
        """An array of this shape in float64."""
        raise NotImplementedError(f"{type(self).__name__} defines neither draw nor __call__")

    def clone(self) -> "Initializer":
        """Another with the same arguments."""
        return type(self).from_config(self.get_config())

    def get_config(self) -> dict:
        config = super().get_config()
        if isinstance(config.get("seed"), numpy.random.Generator):
            raise NotSupported(f"initializers.{type(self).__name__}", "get_config with a generator as seed",
                               fix="an integer")
        return config


class Zeros(Initializer):
    """0 everywhere.

    >>> Zeros()((2,))
    array([0., 0.], dtype=float32)
    """

    def draw(self, rng: Any, shape: tuple) -> Array:
        return numpy.zeros(shape)


class Ones(Initializer):
    """1 everywhere.

    >>> Ones()((2,))
    array([1., 1.], dtype=float32)
    """

    def draw(self, rng: Any, shape: tuple) -> Array:
        return numpy.ones(shape)


class Constant(Initializer):
    """`value` everywhere: a number, or an array that is broadcast.

    >>> Constant([1, 2])((2, 2)).tolist()
    [[1.0, 2.0], [1.0, 2.0]]
    """

    def __init__(self, value: Any = 0.0):
        if isinstance(value, dict):               # as Keras writes an array
            value = value["config"]["value"]
        self.value = value

    def draw(self, rng: Any, shape: tuple) -> Array:
        try:
            return numpy.broadcast_to(asnumpy(self.value), shape)
        except ValueError:
            raise ShapeError("initializers.Constant", f"a value of shape {numpy.shape(self.value)}, expected one that "
                             f"broadcasts to {shape}") from None

    def get_config(self) -> dict:
        value = self.value
        return {"value": asnumpy(value).tolist() if hasattr(value, "shape") else value}


class Identity(Initializer):
    """gain on the diagonal of a matrix, 0 elsewhere.

    >>> Identity(2.0)((2, 2)).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """

    def __init__(self, gain: float = 1.0):
        self.gain = gain

    def draw(self, rng: Any, shape: tuple) -> Array:
        if len(shape) != 2:
            raise ShapeError("initializers.Identity", f"a shape {shape}, expected that of a matrix")
        return self.gain * numpy.eye(*shape)


class RandomNormal(Initializer):
    """Normally distributed numbers.

    >>> RandomNormal(seed=0)((2,)).tolist() == RandomNormal(seed=0)((2,)).tolist()
    True
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None):
        self.mean, self.stddev, self.seed = mean, stddev, _seed(self, seed)

    def draw(self, rng: Any, shape: tuple) -> Array:
        return rng.normal(self.mean, self.stddev, shape)


class TruncatedNormal(Initializer):
    """Normally distributed numbers, those further than two standard deviations from the mean drawn again.

    >>> bool((abs(TruncatedNormal(stddev=1.0)((100,))) <= 2).all())
    True
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None):
        self.mean, self.stddev, self.seed = mean, stddev, _seed(self, seed)

    def draw(self, rng: Any, shape: tuple) -> Array:
        return self.mean + self.stddev * init.truncated_normal(rng, shape)


class RandomUniform(Initializer):
    """Uniformly distributed numbers from minval to below maxval.

    >>> bool((abs(RandomUniform()((100,))) <= 0.05).all())
    True
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None):
        self.minval, self.maxval, self.seed = minval, maxval, _seed(self, seed)

    def draw(self, rng: Any, shape: tuple) -> Array:
        return rng.uniform(self.minval, self.maxval, shape)


class Orthogonal(Initializer):
    """gain times a random matrix with orthonormal rows or columns, whichever are fewer; all axes but the last are rows.

    Paper: Saxe, McClelland & Ganguli (2014), arXiv:1312.6120.

    >>> w = Orthogonal()((2, 3))
    >>> (w @ w.T).round(3).tolist() == [[1, 0], [0, 1]]
    True
    """

    def __init__(self, gain: float = 1.0, seed: Any = None):
        self.gain, self.seed = gain, _seed(self, seed)

    def draw(self, rng: Any, shape: tuple) -> Array:
        if len(shape) < 2:
            raise ShapeError("initializers.Orthogonal", f"a shape {shape}, expected two axes or more")
        return self.gain * init.orthogonal(rng, shape)


class VarianceScaling(Initializer):
    """Numbers of mean 0 and variance scale / n.

    mode            n is "fan_in", "fan_out", or "fan_avg", their mean: the products of the axes of inputs and outputs
    distribution    "truncated_normal", "untruncated_normal" or "uniform"
    input_axes, output_axes     None: the last but one and the last axis, times all axes before them

    >>> VarianceScaling(mode="fan_in", distribution="uniform", seed=0)((1000, 2)).std().round(3).item()
    0.032000001519918...
    """

    def __init__(self, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal",
                 seed: Any = None, input_axes: Any = None, output_axes: Any = None):
        who = f"initializers.{type(self).__name__}"
        if not scale > 0:
            raise NotSupported(who, f"scale={scale!r}, expected a positive number")
        self.scale, self.mode = scale, check_option(who, "mode", mode, ("fan_in", "fan_out", "fan_avg"))
        distribution = {"normal": "truncated_normal"}.get(distribution.lower(), distribution.lower())
        self.distribution = check_option(who, "distribution", distribution,
                                         ("uniform", "truncated_normal", "untruncated_normal"))
        self.seed, self.input_axes, self.output_axes = _seed(self, seed), input_axes, output_axes

    def draw(self, rng: Any, shape: tuple) -> Array:
        fans = None
        if self.input_axes is not None and self.output_axes is not None:
            fans = tuple(prod(shape[k] for k in axes) for axes in (self.input_axes, self.output_axes))
        return init.scale_variance(rng, shape, self.scale, self.mode, self.distribution, fans)


class GlorotUniform(VarianceScaling):
    """Uniform numbers in +-sqrt(6 / (fan_in + fan_out)).

    Paper: Glorot & Bengio (2010), also called Xavier.
    """

    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None):
        super().__init__(1.0, "fan_avg", "uniform", seed, input_axes, output_axes)


class GlorotNormal(VarianceScaling):
    """Truncated normal numbers of variance 2 / (fan_in + fan_out).

    Paper: Glorot & Bengio (2010), also called Xavier.
    """

    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None):
        super().__init__(1.0, "fan_avg", "truncated_normal", seed, input_axes, output_axes)


class HeUniform(VarianceScaling):
    """Uniform numbers in +-sqrt(6 / fan_in).

    Paper: He, Zhang, Ren & Sun (2015), arXiv:1502.01852, also called Kaiming.
    """

    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None):
        super().__init__(2.0, "fan_in", "uniform", seed, input_axes, output_axes)


class HeNormal(VarianceScaling):
    """Truncated normal numbers of variance 2 / fan_in.

    Paper: He, Zhang, Ren & Sun (2015), arXiv:1502.01852, also called Kaiming.
    """

    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None):
        super().__init__(2.0, "fan_in", "truncated_normal", seed, input_axes, output_axes)


class LecunUniform(VarianceScaling):
    """Uniform numbers in +-sqrt(3 / fan_in).

    Paper: Klambauer et al. (2017), arXiv:1706.02515.
    """

    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None):
        super().__init__(1.0, "fan_in", "uniform", seed, input_axes, output_axes)


class LecunNormal(VarianceScaling):
    """Truncated normal numbers of variance 1 / fan_in.

    Paper: Klambauer et al. (2017), arXiv:1706.02515.
    """

    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None):
        super().__init__(1.0, "fan_in", "truncated_normal", seed, input_axes, output_axes)


def _seed(who: Any, seed: Any) -> Any:
    if seed is None or hasattr(seed, "__index__") or isinstance(seed, numpy.random.Generator):
        return seed
    raise NotSupported(f"initializers.{type(who).__name__}", f"seed={seed!r}",
                       known="an integer, a numpy.random.Generator, or None")


_FAMILY = Family(
    "initializers", (Zeros, Ones, Constant, Identity, RandomNormal, TruncatedNormal, RandomUniform, Orthogonal,
                     VarianceScaling, GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal),
    {"zero": Zeros, "one": Ones, "uniform": RandomUniform, "normal": RandomNormal, "IdentityInitializer": Identity,
     "OrthogonalInitializer": Orthogonal},
    dict.fromkeys(("STFT", "stft", "STFTInitializer"), "there is no signal processing"))
globals().update({name: a for name, a in _FAMILY.by_name.items() if name not in ("zero", "one", "uniform", "normal")})
MEMBERS = _FAMILY.members


def __getattr__(name: str) -> Any:
    if name in _FAMILY.refused:
        raise NotSupported(f"initializers.{name}", _FAMILY.refused[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def get(identifier: Any) -> Optional[Callable]:
    """An initializer from its name, class or configuration; a function and None are returned as they are.

    An array stands for itself, in the shape that it has.

    >>> get("zeros"), get({"class_name": "Constant", "config": {"value": 2}}), get(numpy.ones(2))((2,))
    (Zeros(), Constant(value=2), array([1., 1.], dtype=float32))

    Raises NotSupported for an unknown name.
    """
    return _given(identifier) if is_array(identifier) or isinstance(identifier, Arraylike) else _FAMILY.get(identifier)


def _given(a: Any) -> Callable:
    a = a.numpy() if isinstance(a, Arraylike) else asnumpy(a)

    def given(shape: Sequence, dtype: Any = None) -> Array:
        if tuple(shape) != a.shape:
            raise ShapeError("initializers", f"an array of shape {a.shape}, expected {tuple(shape)}")
        return a.astype(dtype or "float32")
    return given


def draw(who: str, identifier: Any, shape: tuple, dtype: Any, rng: Any) -> Array:
    """First values of a weight: an array of this shape and dtype.

    identifier    what `get` takes; a function is one of (shape, dtype=None) as in Keras, or of (rng, shape)
    rng           the generator for what has no seed of its own

    >>> draw("mine", lambda shape, dtype=None: numpy.full(shape, 7, dtype), (2,), "float32", None)
    array([7., 7.], dtype=float32)

    Raises ShapeError if another shape came out.
    """
    f: Any = get(identifier)
    names = tuple(signature(f).parameters)
    if not names:
        raise InvalidType(who, "the initializer takes no arguments, expected (shape, dtype) or (rng, shape)")
    if names[0] in ("rng", "generator"):
        a = f(rng, shape)
    else:
        a = f(shape, dtype=dtype, rng=rng) if "rng" in names else f(shape, dtype=dtype)
    a = numpy.asarray(asnumpy(a))
    if a.shape != shape:
        raise ShapeError(who, f"the initializer gave shape {a.shape}, expected {shape}")
    return a.astype(dtype)


def serialize(initializer: Any) -> Any:
    """The configuration of an initializer, as Keras writes it.

    >>> serialize(Constant(2.0))
    {'module': 'keras.initializers', 'class_name': 'Constant', 'config': {'value': 2.0}, 'registered_name': None}
    """
    return _FAMILY.serialize(initializer)


def deserialize(config: Any, custom_objects: Optional[dict] = None) -> Any:
    """The initializer of such a configuration.

    >>> deserialize(serialize(RandomNormal(seed=3)))
    RandomNormal(mean=0.0, stddev=0.05, seed=3)
    """
    return _FAMILY.deserialize(config, custom_objects)
