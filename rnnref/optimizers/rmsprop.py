"""RMSprop: gradients divided by the root of the mean of their recent squares."""
from typing import Any

from .base import Array, Optimizer


class RMSprop(Optimizer):
    """v = rho v + (1 - rho) d^2;  w -= rate d / sqrt(v + epsilon).

    momentum    m = momentum m + rate d / sqrt(v + epsilon), w -= m
    centered    v - a^2 in the place of v, with a = rho a + (1 - rho) d: the variance in the place of the square

    Paper: Tieleman & Hinton (2012), lecture 6.5; centered as in Graves (2013), Generating sequences with recurrent
    neural networks, eqs. 38 to 41.
    Same as: keras.optimizers.RMSprop.  torch.optim.RMSprop adds epsilon to the root, and calls rho alpha, 0.99.

    >>> import numpy as np
    >>> from rnnref.layers import Layer
    >>> w = Layer(name="mine").add_weight((1,), "ones", name="w")
    >>> RMSprop(0.1, rho=0.75).apply([(w, np.full(1, 8.0))])              # v = 16: 1 - 0.1 8 / 4
    >>> w.numpy().round(6)
    array([0.8], dtype=float32)
    """

    def __init__(self, learning_rate: Any = 0.001, rho: float = 0.9, momentum: float = 0.0, epsilon: float = 1e-7,
                 centered: bool = False, **options: Any):
        super().__init__(learning_rate, **options)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered
        self.slots = (("velocity",),) + (("momentum",),) * (momentum > 0) + (("average_gradient",),) * bool(centered)

    def update(self, xp: Any, w: Array, d: Array, v: Array, *rest: Any) -> tuple:
        *slots, rate = rest
        v = v * self.rho + d * d * (1 - self.rho)
        variance, a = v, ()
        if self.centered:
            mean = slots.pop() * self.rho + d * (1 - self.rho)
            variance, a = v - mean * mean, (mean,)
        change = d * rate / xp.sqrt(variance + self.epsilon)
        if not slots:
            return w - change, v, *a
        m = slots[0] * self.momentum + change
        return w - m, v, m, *a

    def get_config(self) -> dict:
        return super().get_config() | {name: getattr(self, name) for name in ("rho", "momentum", "epsilon", "centered")}
