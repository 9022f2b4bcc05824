"""Adagrad: gradients divided by the root of the sum of all their squares."""
from typing import Any

from .base import Array, Optimizer


class Adagrad(Optimizer):
    """a += d^2;  w -= rate d / sqrt(a + epsilon); a starts at initial_accumulator_value.

    Paper: Duchi, Hazan & Singer (2011), Adaptive subgradient methods.
    Same as: keras.optimizers.Adagrad.  torch.optim.Adagrad starts at 0 and adds epsilon to the root.

    >>> import numpy as np
    >>> from rnnref.layers import Layer
    >>> w = Layer(name="mine").add_weight((1,), "ones", name="w")
    >>> Adagrad(0.1, initial_accumulator_value=9).apply([(w, np.full(1, 4.0))])          # 1 - 0.1 4 / 5
    >>> w.numpy().round(6)
    array([0.92], dtype=float32)
    """

    slots = (("accumulator",),)

    def __init__(self, learning_rate: Any = 0.001, initial_accumulator_value: float = 0.1, epsilon: float = 1e-7,
                 **options: Any):
        super().__init__(learning_rate, **options)
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon
        self.first_values = {"accumulator": initial_accumulator_value}

    def update(self, xp: Any, w: Array, d: Array, a: Array, rate: Any) -> tuple:
        a = a + d * d
        return w - d * rate / xp.sqrt(a + self.epsilon), a

    def get_config(self) -> dict:
        return super().get_config() | {"initial_accumulator_value": self.initial_accumulator_value,
                                       "epsilon": self.epsilon}
