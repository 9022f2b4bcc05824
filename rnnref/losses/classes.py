"""The losses of `functions` as classes with Keras's names, arguments and configurations."""
from typing import Any, Callable, Optional

from . import functions
from .base import Loss, LossFunctionWrapper, check_smoothing

MEAN = "sum_over_batch_size"


class _OfFunction(LossFunctionWrapper):
    """A loss of one function, whose configuration has the options but not the function."""

    _plain: dict = {}                             # options that Keras's configurations lack, and their defaults

    def __init__(self, fn: Callable, reduction: Optional[str], name: Optional[str], dtype: Any, **options: Any):
        super().__init__(fn, reduction, name, dtype, **options)
        check_smoothing(f"losses.{type(self).__name__}", options.get("label_smoothing", 0))

    def __getattr__(self, name: str) -> Any:
        options = self.__dict__.get("options", {})
        if name not in options:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return options[name]

    def get_config(self) -> dict:
        return Loss.get_config(self) | {k: v for k, v in self.options.items() if self._plain.get(k, ...) != v}

    @classmethod
    def from_config(cls, config: dict) -> Loss:
        return cls(**config)


class MeanSquaredError(_OfFunction):
    """mean((y_true - y_pred)^2).

    >>> import numpy as np
    >>> float(MeanSquaredError()(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]])))
    2.5
    """

    def __init__(self, reduction: Optional[str] = MEAN, name: Optional[str] = "mean_squared_error", dtype: Any = None):
        super().__init__(functions.mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(_OfFunction):
    """mean(|y_true - y_pred|).

    >>> import numpy as np
    >>> float(MeanAbsoluteError(reduction="sum")(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]])))
    1.5
    """

    def __init__(self, reduction: Optional[str] = MEAN, name: Optional[str] = "mean_absolute_error", dtype: Any = None):
        super().__init__(functions.mean_absolute_error, reduction, name, dtype)


class Huber(_OfFunction):
    """e^2 / 2 up to |e| = delta, and linear beyond.

    >>> import numpy as np
    >>> float(Huber(delta=2.0)(np.array([[0.0, 0.0]]), np.array([[1.0, 3.0]])))
    2.25
    """

    _plain = {"delta": 1.0}

    def __init__(self, delta: float = 1.0, reduction: Optional[str] = MEAN, name: Optional[str] = "huber_loss",
                 dtype: Any = None):
        super().__init__(functions.huber, reduction, name, dtype, delta=delta)


class KLDivergence(_OfFunction):
    """sum(y_true log(y_true / y_pred)) of probabilities.

    >>> import numpy as np
    >>> round(float(KLDivergence()(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]]))), 4)
    0.6931
    """

    def __init__(self, reduction: Optional[str] = MEAN, name: Optional[str] = "kl_divergence", dtype: Any = None):
        super().__init__(functions.kl_divergence, reduction, name, dtype)


class BinaryCrossentropy(_OfFunction):
    """-(y log p + (1 - y) log(1 - p)), where y_pred are probabilities p or logits.

    >>> import numpy as np
    >>> round(float(BinaryCrossentropy(from_logits=True)(np.array([1.0, 0.0]), np.array([[0.0], [0.0]]))), 4)
    0.6931
    """

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1,
                 reduction: Optional[str] = MEAN, name: Optional[str] = "binary_crossentropy", dtype: Any = None):
        super().__init__(functions.binary_crossentropy, reduction, name, dtype, from_logits=from_logits,
                         label_smoothing=label_smoothing, axis=axis)


class CategoricalCrossentropy(_OfFunction):
    """-sum(y log p) over classes, where y_true are probabilities, and y_pred probabilities p or logits.

    >>> import numpy as np
    >>> round(float(CategoricalCrossentropy()(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]))), 4)
    0.6931
    """

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1,
                 reduction: Optional[str] = MEAN, name: Optional[str] = "categorical_crossentropy", dtype: Any = None):
        super().__init__(functions.categorical_crossentropy, reduction, name, dtype, from_logits=from_logits,
                         label_smoothing=label_smoothing, axis=axis)


class SparseCategoricalCrossentropy(_OfFunction):
    """-log p of the class y_true, an index; targets equal to ignore_class are ignored.

    >>> import numpy as np
    >>> loss = SparseCategoricalCrossentropy(ignore_class=-1)
    >>> round(float(loss(np.array([1, -1]), np.array([[0.5, 0.5], [0.5, 0.5]]))), 4)
    0.6931
    """

    _plain = {"axis": -1}

    def __init__(self, from_logits: bool = False, ignore_class: Optional[int] = None, reduction: Optional[str] = MEAN,
                 axis: int = -1, name: Optional[str] = "sparse_categorical_crossentropy", dtype: Any = None):
        super().__init__(functions.sparse_categorical_crossentropy, reduction, name, dtype, from_logits=from_logits,
                         ignore_class=ignore_class, axis=axis)


class CTC(_OfFunction):
    """-log of the probability of all paths that spell y_true, whose classes start at 1; y_pred are logits.

    The mask of y_pred gives the length of each row.

    >>> import numpy as np
    >>> round(float(CTC()(np.array([[1]]), np.zeros((1, 2, 2)))), 4)
    0.2877
    """

    _reads_mask = True

    def __init__(self, reduction: Optional[str] = MEAN, name: Optional[str] = "ctc", dtype: Any = None):
        super().__init__(functions.ctc, reduction, name, dtype)
