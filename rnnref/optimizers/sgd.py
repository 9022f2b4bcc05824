"""Stochastic gradient descent, with momentum."""
from typing import Any

from ..errors import NotSupported
from .base import Array, Optimizer


class SGD(Optimizer):
    """w -= rate d; with momentum m = momentum m - rate d, w += m.

    nesterov    w += momentum m - rate d, with the new m

    Same as: keras.optimizers.SGD.  torch.optim.SGD multiplies by the rate after the momentum, which differs when the
    rate changes.

    >>> import numpy as np
    >>> from rnnref.layers import Layer
    >>> w = Layer(name="mine").add_weight((1,), "ones", name="w")
    >>> optimizer = SGD(0.25, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.apply([(w, np.ones(1))])
    >>> w.numpy()                                                         # 1 - 0.25 - (0.125 + 0.25)
    array([0.375], dtype=float32)
    """

    def __init__(self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, **options: Any):
        if not isinstance(momentum, (int, float)) or not 0 <= momentum <= 1:
            raise NotSupported("optimizers.SGD", f"momentum={momentum!r}", known="a number from 0 to 1")
        super().__init__(learning_rate, **options)
        self.momentum, self.nesterov = momentum, nesterov
        self.slots = (("momentum",),) if momentum else ()

    def update(self, xp: Any, w: Array, d: Array, *rest: Any) -> tuple:
        if not self.momentum:
            return w - d * rest[0],
        m, rate = rest
        m = m * self.momentum - d * rate
        return (w + m * self.momentum - d * rate if self.nesterov else w + m), m

    def get_config(self) -> dict:
        return super().get_config() | {"momentum": self.momentum, "nesterov": self.nesterov}
