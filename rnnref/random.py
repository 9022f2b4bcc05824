"""Random numbers with the names and arguments of keras.random.

A seed is an integer, which gives the same numbers every time; a `SeedGenerator`, which gives others in every call, and
the same from call to call in every run; or None: others every time, unless `set_random_seed` was called.  The numbers
of a seed are NumPy's, not those of a back end of Keras.

>>> normal((2, 3), seed=1).shape, bool((normal((3,), seed=1) == normal((3,), seed=1)).all())
((2, 3), True)
"""
import random as python
from threading import Lock
from typing import Any, Optional, Sequence

import numpy

from . import ops
from .errors import InvalidValue, NotSupported
from .identifiers import unique_name
from .initializers import TruncatedNormal
from .shapes import check_count
from .shards import refuse
from .values import numbers

Array = Any
_LOCK = Lock()
_state: Any = None                                # the generator of seeds that set_random_seed starts


def set_random_seed(seed: int) -> None:
    """Start all random numbers anew: weights and noise of layers made from now on, Python's and NumPy's own.

    Same as keras.utils.set_random_seed.

    >>> from rnnref.layers import Dense
    >>> def weights():
    ...     set_random_seed(3)
    ...     layer = Dense(2)
    ...     layer.build((None, 3))
    ...     return layer.get_weights()[0]
    >>> bool((weights() == weights()).all())
    True
    """
    global _state
    check_count("random.set_random_seed", "seed", seed)
    if seed >= 2 ** 32:
        raise InvalidValue("random.set_random_seed", f"seed={seed}, expected an integer below 2 ** 32")
    python.seed(seed)
    numpy.random.seed(seed)
    _state = numpy.random.default_rng(seed)


def next_seed() -> Optional[int]:
    """A seed for what has none of its own; None before set_random_seed: then nothing is reproducible."""
    with _LOCK:
        return None if _state is None else int(_state.integers(2 ** 63))


class SeedGenerator:
    """A source of seeds: each function of random numbers that is given it uses the next one.

    seed    an integer; None: any

    Same as keras.random.SeedGenerator.

    >>> seed = SeedGenerator(3)
    >>> a, b = uniform((), seed=seed), uniform((), seed=seed)
    >>> bool(a != b), bool(a == uniform((), seed=SeedGenerator(3)))
    (True, True)
    """

    def __init__(self, seed: Optional[int] = None, name: Optional[str] = None):
        if seed is not None and (isinstance(seed, bool) or not hasattr(seed, "__index__")):
            raise NotSupported("random.SeedGenerator", f"seed={seed!r}, expected an integer")
        self.name, self.seed = name or unique_name(type(self).__name__), seed
        self._generator = numpy.random.default_rng(next_seed() if seed is None else seed)

    def next(self, ordered: bool = True) -> Array:
        """Two integers that no other call gives."""
        with _LOCK:
            return self._generator.integers(2 ** 32, size=2, dtype="uint32")

    def get_config(self) -> dict:
        return {"seed": self.seed}

    @classmethod
    def from_config(cls, config: dict) -> "SeedGenerator":
        return cls(**config)


def _generator(seed: Any) -> numpy.random.Generator:
    refuse("random", "random numbers in a layer or a loss: each process would draw its own",
           fix="layers.Dropout, layers.GaussianNoise and such, which draw for the whole batch")
    if isinstance(seed, SeedGenerator):
        return numpy.random.default_rng(seed.next())
    if isinstance(seed, numpy.random.Generator):
        return seed
    if seed is not None and not hasattr(seed, "__index__"):
        raise NotSupported("random", f"seed={seed!r}, expected None, an integer or a SeedGenerator")
    return numpy.random.default_rng(next_seed() if seed is None else seed)


def normal(shape: Sequence, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Array:
    """Numbers of the normal distribution.

    >>> bool(abs(normal((10000,), 5.0, seed=1).mean() - 5) < 0.05)
    True
    """
    return _generator(seed).normal(mean, stddev, tuple(shape)).astype(dtype or "float32")


def truncated_normal(shape: Sequence, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None,
                     seed: Any = None) -> Array:
    """Numbers of the normal distribution, none further than 2 stddev from the mean.

    >>> bool(abs(truncated_normal((1000,), stddev=3.0, seed=1)).max() < 6)
    True
    """
    made = TruncatedNormal(mean, stddev)
    return numpy.asarray(made.draw(_generator(seed), tuple(shape))).astype(dtype or "float32")


def uniform(shape: Sequence, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None) -> Array:
    """Numbers evenly from minval to below maxval; integers for an integer dtype.

    >>> bool((uniform((100,), 2, 3, seed=1) >= 2).all())
    True
    """
    if numpy.dtype(dtype or "float32").kind in "iu":
        return randint(shape, minval, maxval, dtype, seed)
    found = _generator(seed).uniform(minval, maxval, tuple(shape)).astype(dtype or "float32")
    return numpy.where(found >= maxval, numpy.asarray(minval, found.dtype), found)            # rounded up


def randint(shape: Sequence, minval: Any, maxval: Any, dtype: Any = "int32", seed: Any = None) -> Array:
    """Integers evenly from minval to below maxval.

    >>> sorted({int(n) for n in randint((100,), 0, 3, seed=1)})
    [0, 1, 2]
    """
    return _generator(seed).integers(int(minval), int(maxval), tuple(shape)).astype(dtype)


def gamma(shape: Sequence, alpha: float, dtype: Any = None, seed: Any = None) -> Array:
    """Numbers of the gamma distribution with this shape parameter.

    >>> bool(abs(gamma((10000,), 3.0, seed=1).mean() - 3) < 0.1)
    True
    """
    return _generator(seed).gamma(alpha, 1.0, tuple(shape)).astype(dtype or "float32")


def beta(shape: Sequence, alpha: float, beta: float, dtype: Any = None, seed: Any = None) -> Array:
    """Numbers of the beta distribution.

    >>> bool(abs(beta((10000,), 1.0, 3.0, seed=1).mean() - 0.25) < 0.02)
    True
    """
    return _generator(seed).beta(alpha, beta, tuple(shape)).astype(dtype or "float32")


def binomial(shape: Sequence, counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None) -> Array:
    """How often each of `counts` trials with these probabilities succeeds.

    >>> binomial((2,), 5, 1.0, seed=1)
    array([5., 5.], dtype=float32)
    """
    return _generator(seed).binomial(counts, probabilities, tuple(shape)).astype(dtype or "float32")


def categorical(logits: Array, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Array:
    """num_samples classes for each row of logits [B, C], unnormalized log-probabilities: [B, num_samples].

    >>> categorical([[0.0, 100.0]], 3, seed=1)
    array([[1, 1, 1]], dtype=int32)
    """
    logits = numpy.asarray(numbers(logits), "float64")
    noise = _generator(seed).gumbel(size=(len(logits), num_samples, logits.shape[-1]))
    return (logits[:, None] + noise).argmax(-1).astype(dtype)


def shuffle(x: Array, axis: int = 0, seed: Any = None) -> Array:
    """x with its entries along `axis` in another order.

    >>> sorted(shuffle([1, 2, 3], seed=1).tolist())
    [1, 2, 3]
    """
    x = ops.convert_to_tensor(x)
    return ops.take(x, _generator(seed).permutation(x.shape[axis]), axis=axis)


def dropout(inputs: Array, rate: float, noise_shape: Optional[Sequence] = None, seed: Any = None) -> Array:
    """inputs, each entry 0 with probability `rate` and the others over 1 - rate; recorded, where inputs are values.

    >>> sorted({float(a) for a in dropout([1.0] * 50, 0.5, seed=1)})
    [0.0, 2.0]
    """
    x = ops.convert_to_tensor(inputs)
    shape = [n if m is None else m for n, m in zip(x.shape, noise_shape or x.shape)]
    keep = _generator(seed).random(shape) >= rate
    return ops.where(keep, x / (1 - rate), 0) if rate < 1 else ops.zeros_like(x)
