"""Adam: the mean of recent gradients, divided by the root of the mean of their squares; AdamW with decay."""
from math import sqrt
from typing import Any, Optional

from ..errors import NotSupported
from ..options import is_number
from .base import Array, Optimizer


class Adam(Optimizer):
    """m += (1 - beta_1) (d - m);  v += (1 - beta_2) (d^2 - v);  w -= alpha_t m / (sqrt(v) + epsilon).

    alpha_t = rate sqrt(1 - beta_2^t) / (1 - beta_1^t) in step t = 1, 2, ...: epsilon is added to the root that is not
    corrected, as in the last formula of section 2 of the paper.

    amsgrad    the largest v so far in the place of v

    Paper: Kingma & Ba (2015), Adam; Reddi, Kale & Kumar (2018), On the convergence of Adam and beyond.
    Same as: keras.optimizers.Adam.  torch.optim.Adam adds epsilon, 1e-8, to the corrected root.

    >>> import numpy as np
    >>> from rnnref.layers import Layer
    >>> w = Layer(name="mine").add_weight((2,), "ones", name="w")
    >>> Adam(0.25).apply([(w, np.array([3.0, -0.5]))])                    # the first step is the rate
    >>> w.numpy().round(4)
    array([0.75, 1.25], dtype=float32)
    """

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
                 amsgrad: bool = False, **options: Any):
        super().__init__(learning_rate, **options)
        for name, beta in (("beta_1", beta_1), ("beta_2", beta_2)):
            if not is_number(beta) or not 0 <= beta < 1:
                raise NotSupported(f"optimizers.{type(self).__name__}", f"{name}={beta!r}",
                                   known="a number from 0 to below 1")
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad
        self.slots = (("momentum", "velocity"),) + (("velocity_hat",),) * bool(amsgrad)

    def numbers(self, t: int, rate: float, dtype: Any) -> tuple:
        beta_1, beta_2 = (float(dtype.type(beta)) for beta in (self.beta_1, self.beta_2))     # rounded, as in Keras
        return rate * sqrt(1 - beta_2 ** t) / (1 - beta_1 ** t),

    def update(self, xp: Any, w: Array, d: Array, m: Array, v: Array, *rest: Any) -> tuple:
        *largest, alpha = rest
        m = m + (d - m) * (1 - self.beta_1)
        v = v + (d * d - v) * (1 - self.beta_2)
        if largest:
            largest = [xp.maximum(largest[0], v)]
        return w - m * alpha / (xp.sqrt(largest[0] if largest else v) + self.epsilon), m, v, *largest

    def get_config(self) -> dict:
        return super().get_config() | {name: getattr(self, name) for name in ("beta_1", "beta_2", "epsilon", "amsgrad")}


class AdamW(Adam):
    """Adam whose weights decay: w -= weight_decay rate w before each update.

    Paper: Loshchilov & Hutter (2019), Decoupled weight decay regularization.
    Same as: keras.optimizers.AdamW; torch.optim.AdamW decays by 0.01.

    >>> import numpy as np
    >>> from rnnref.layers import Layer
    >>> w = Layer(name="mine").add_weight((1,), "ones", name="w")
    >>> AdamW(0.25, weight_decay=0.5).apply([(w, np.zeros(1))])           # 1 - 0.5 0.25
    >>> w.numpy()
    array([0.875], dtype=float32)
    """

    def __init__(self, learning_rate: Any = 0.001, weight_decay: Optional[float] = 0.004, beta_1: float = 0.9,
                 beta_2: float = 0.999, epsilon: float = 1e-7, amsgrad: bool = False, **options: Any):
        if weight_decay is None:
            raise NotSupported("optimizers.AdamW", "weight_decay=None", fix="optimizers.Adam")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **options)
