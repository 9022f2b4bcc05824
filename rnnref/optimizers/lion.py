"""Lion: steps of one size, in the direction of the sign of a mean of gradients."""
from typing import Any

from ..errors import NotSupported
from .base import Array, Optimizer


class Lion(Optimizer):
    """w -= rate sign(beta_1 m + (1 - beta_1) d);  m = beta_2 m + (1 - beta_2) d.

    Paper: Chen et al. (2023), Symbolic discovery of optimization algorithms.
    Same as: keras.optimizers.Lion.

    >>> import numpy as np
    >>> from rnnref.layers import Layer
    >>> w = Layer(name="mine").add_weight((2,), "ones", name="w")
    >>> Lion(0.25).apply([(w, np.array([3.0, -0.5]))])
    >>> w.numpy()
    array([0.75, 1.25], dtype=float32)
    """

    slots = (("momentum",),)

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **options: Any):
        if not 0 < beta_1 <= 1:
            raise NotSupported("optimizers.Lion", f"beta_1={beta_1!r}", known="a number above 0, at most 1")
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2 = beta_1, beta_2

    def update(self, xp: Any, w: Array, d: Array, m: Array, rate: Any) -> tuple:
        w = w - rate * xp.sign(m * self.beta_1 + d * (1 - self.beta_1))
        return w, m * self.beta_2 + d * (1 - self.beta_2)

    def get_config(self) -> dict:
        return super().get_config() | {"beta_1": self.beta_1, "beta_2": self.beta_2}
