"""Learning rates that depend on the step, with Keras's names.

A schedule takes a step or an array of steps, counted from 0, and gives the rate in float32.

>>> import numpy as np
>>> ExponentialDecay(0.5, decay_steps=10, decay_rate=0.25)(np.array([0, 5, 10]))
array([0.5  , 0.25 , 0.125], dtype=float32)
"""
from math import isfinite, log, pi
from typing import Any, Optional, Sequence

import numpy

from ..errors import NotSupported, ShapeError
from ..identifiers import Configured, Family

Array = Any


class LearningRateSchedule(Configured):
    """A function of the step.  A subclass defines `__call__(step)`; and get_config, where the arguments of its
    constructor are not attributes of the same names."""

    def __call__(self, step: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no __call__")


class _Formula(LearningRateSchedule):
    """A schedule whose `rate` takes steps in float64."""

    def __call__(self, step: Any) -> Any:
        return numpy.float32(self.rate(numpy.asarray(step, "float64")))

    def rate(self, t: Array) -> Array:
        raise NotImplementedError

    def _check(self, name: str) -> None:
        value = getattr(self, name)
        if not isinstance(value, (int, float, numpy.number)) or not isfinite(value) or value <= 0:
            raise NotSupported(f"optimizers.schedules.{type(self).__name__}", f"{name}={value!r}",
                               known="a number above 0")


class ExponentialDecay(_Formula):
    """initial decay_rate^(t / decay_steps); with staircase the exponent is rounded down.

    >>> float(ExponentialDecay(0.5, 10, 0.5, staircase=True)(19))
    0.25
    """

    def __init__(self, initial_learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool = False,
                 name: str = "ExponentialDecay"):
        self.initial_learning_rate, self.decay_steps, self.decay_rate = initial_learning_rate, decay_steps, decay_rate
        self.staircase, self.name = staircase, name
        self._check("decay_steps")

    def rate(self, t: Array) -> Array:
        p = t / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (numpy.floor(p) if self.staircase else p)


class InverseTimeDecay(_Formula):
    """initial / (1 + decay_rate t / decay_steps); with staircase t / decay_steps is rounded down.

    >>> float(InverseTimeDecay(0.5, 10, 1.0)(10))
    0.25
    """

    def __init__(self, initial_learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool = False,
                 name: str = "InverseTimeDecay"):
        self.initial_learning_rate, self.decay_steps, self.decay_rate = initial_learning_rate, decay_steps, decay_rate
        self.staircase, self.name = staircase, name
        self._check("decay_steps")

    def rate(self, t: Array) -> Array:
        p = t / self.decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * (numpy.floor(p) if self.staircase else p))


class PiecewiseConstantDecay(_Formula):
    """values[k] in the steps after boundaries[k - 1], up to and with boundaries[k].

    >>> import numpy as np
    >>> PiecewiseConstantDecay([2, 4], [0.5, 0.25, 0.125])(np.arange(6))
    array([0.5  , 0.5  , 0.5  , 0.25 , 0.25 , 0.125], dtype=float32)
    """

    def __init__(self, boundaries: Sequence, values: Sequence[float], name: str = "PiecewiseConstant"):
        if len(boundaries) != len(values) - 1 or list(boundaries) != sorted(boundaries):
            raise ShapeError("optimizers.schedules.PiecewiseConstantDecay", f"boundaries={boundaries!r} and values="
                             f"{values!r}, expected one value more than boundaries, which ascend")
        self.boundaries, self.values, self.name = boundaries, values, name

    def rate(self, t: Array) -> Array:
        return numpy.asarray(self.values, "float64")[numpy.searchsorted(numpy.asarray(self.boundaries, "float64"), t)]


class PolynomialDecay(_Formula):
    """end + (initial - end) (1 - t / decay_steps)^power, and end afterwards.

    cycle    decay again and again, each time to the next multiple of decay_steps

    >>> import numpy as np
    >>> PolynomialDecay(1.0, 4, end_learning_rate=0.5)(np.array([0, 2, 4, 9]))
    array([1.  , 0.75, 0.5 , 0.5 ], dtype=float32)
    """

    def __init__(self, initial_learning_rate: float, decay_steps: int, end_learning_rate: float = 0.0001,
                 power: float = 1.0, cycle: bool = False, name: str = "PolynomialDecay"):
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.end_learning_rate, self.power, self.cycle, self.name = end_learning_rate, power, cycle, name
        self._check("decay_steps")

    def rate(self, t: Array) -> Array:
        whole = self.decay_steps * (numpy.maximum(numpy.ceil(t / self.decay_steps), 1) if self.cycle else 1)
        left = 1 - numpy.minimum(t / whole, 1)
        return self.end_learning_rate + (self.initial_learning_rate - self.end_learning_rate) * left ** self.power


class CosineDecay(_Formula):
    """from rate ((1 - alpha) (1 + cos(pi t / decay_steps)) / 2 + alpha), and alpha times the rate afterwards.

    warmup_target    first, in warmup_steps, a straight line from the initial rate to this one, which then decays

    Paper: Loshchilov & Hutter (2017), SGDR: Stochastic gradient descent with warm restarts.

    >>> import numpy as np
    >>> CosineDecay(0.0, 10, warmup_target=1.0, warmup_steps=4)(np.array([0, 2, 4, 9, 14])).round(4)
    array([0. , 0.5, 1. , 0.5, 0. ], dtype=float32)
    """

    def __init__(self, initial_learning_rate: float, decay_steps: int, alpha: float = 0.0, name: str = "CosineDecay",
                 warmup_target: Optional[float] = None, warmup_steps: int = 0):
        self.initial_learning_rate, self.decay_steps, self.alpha = initial_learning_rate, decay_steps, alpha
        self.name, self.warmup_target, self.warmup_steps = name, warmup_target, warmup_steps
        self._check("decay_steps")

    def rate(self, t: Array) -> Array:
        top, warm = self.initial_learning_rate, 0
        if self.warmup_target is not None:
            top, warm = self.warmup_target, self.warmup_steps
        done = numpy.clip((t - warm) / self.decay_steps, 0, 1)
        decayed = top * ((1 - self.alpha) * 0.5 * (1 + numpy.cos(pi * done)) + self.alpha)
        rising = self.initial_learning_rate + (top - self.initial_learning_rate) * t / max(warm, 1)
        return numpy.where(t < warm, rising, decayed)


class CosineDecayRestarts(_Formula):
    """The decay of CosineDecay, which starts again after first_decay_steps; each time t_mul times as long, and from a
    rate m_mul times as high.

    Paper: Loshchilov & Hutter (2017), SGDR: Stochastic gradient descent with warm restarts.

    >>> import numpy as np
    >>> CosineDecayRestarts(1.0, 2, t_mul=2.0, m_mul=0.5)(np.array([0, 1, 2, 4, 6])).round(4)
    array([1.  , 0.5 , 0.5 , 0.25, 0.25], dtype=float32)
    """

    def __init__(self, initial_learning_rate: float, first_decay_steps: int, t_mul: float = 2.0, m_mul: float = 1.0,
                 alpha: float = 0.0, name: str = "SGDRDecay"):
        self.initial_learning_rate, self.first_decay_steps = initial_learning_rate, first_decay_steps
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name
        self._check("first_decay_steps")

    def rate(self, t: Array) -> Array:
        done = t / self.first_decay_steps
        if self.t_mul == 1:
            k = numpy.floor(done)
            done = done - k
        else:                                     # the lengths before restart k sum to (t_mul^k - 1) / (t_mul - 1)
            k = numpy.floor(numpy.log(1 + done * (self.t_mul - 1)) / log(self.t_mul))
            done = (done - (self.t_mul ** k - 1) / (self.t_mul - 1)) / self.t_mul ** k
        decayed = (1 - self.alpha) * 0.5 * self.m_mul ** k * (1 + numpy.cos(pi * done)) + self.alpha
        return self.initial_learning_rate * decayed


_FAMILY = Family("optimizers.schedules", (CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay,
                                          LearningRateSchedule, PiecewiseConstantDecay, PolynomialDecay))
__all__ = sorted([m.__name__ for m in _FAMILY.members] + ["deserialize", "serialize"])


def serialize(learning_rate_schedule: Any) -> Any:
    """The configuration of a schedule, as Keras writes it.

    >>> serialize(CosineDecay(0.1, 10))["class_name"]
    'CosineDecay'
    """
    return _FAMILY.serialize(learning_rate_schedule)


def deserialize(config: Any, custom_objects: Optional[dict] = None) -> Any:
    """The schedule of such a configuration.

    >>> deserialize(serialize(CosineDecay(0.1, 10))).decay_steps
    10
    """
    return _FAMILY.deserialize(config, custom_objects)
