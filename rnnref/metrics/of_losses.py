"""Means of losses over batches, and numbers made of such means."""
from typing import Any, Optional

from .. import losses, ops
from ..losses.base import join_masks, mask_weights, match_ranks
from .base import Mean, Metric, OfFunction, in_floats, mask_of

Array = Any


class MeanSquaredError(OfFunction):
    """The mean of (y_true - y_pred)^2.

    >>> import numpy as np
    >>> float(MeanSquaredError()(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]])))
    2.5
    """

    def __init__(self, name: Optional[str] = "mean_squared_error", dtype: Any = None):
        super().__init__(losses.mean_squared_error, name, dtype)


class MeanAbsoluteError(OfFunction):
    """The mean of |y_true - y_pred|.

    >>> import numpy as np
    >>> float(MeanAbsoluteError()(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]])))
    1.5
    """

    def __init__(self, name: Optional[str] = "mean_absolute_error", dtype: Any = None):
        super().__init__(losses.mean_absolute_error, name, dtype)


class RootMeanSquaredError(Mean):
    """The root of the mean of (y_true - y_pred)^2 over all batches.

    Same as: keras.metrics.RootMeanSquaredError, which does not read the mask of y_pred.

    >>> import numpy as np
    >>> float(RootMeanSquaredError()(np.array([[0.0, 1.0]]), np.array([[3.0, 5.0]])).round(4))
    3.5355
    """

    direction = "down"

    def __init__(self, name: Optional[str] = "root_mean_squared_error", dtype: Any = None):
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        mask, y_pred = mask_of(y_pred), in_floats(y_pred, self.dtype)
        y_true, y_pred = match_ranks(in_floats(y_true, str(y_pred.dtype)), y_pred)
        if mask is not None and sample_weight is not None:
            sample_weight = in_floats(sample_weight, str(y_pred.dtype))
        super().update_state(ops.square(y_pred - y_true), mask_weights(sample_weight, mask, y_pred.dtype))

    def result(self) -> Array:
        return ops.sqrt(super().result())


class KLDivergence(OfFunction):
    """The mean of sum(y_true log(y_true / y_pred)).

    >>> import numpy as np
    >>> float(KLDivergence()(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])).round(4))
    0.6931
    """

    def __init__(self, name: Optional[str] = "kl_divergence", dtype: Any = None):
        super().__init__(losses.kl_divergence, name, dtype)


class BinaryCrossentropy(OfFunction):
    """The mean of losses.binary_crossentropy.

    >>> import numpy as np
    >>> float(BinaryCrossentropy()(np.array([[1.0]]), np.array([[0.5]])).round(4))
    0.6931
    """

    def __init__(self, name: Optional[str] = "binary_crossentropy", dtype: Any = None, from_logits: bool = False,
                 label_smoothing: float = 0):
        super().__init__(losses.binary_crossentropy, name, dtype, from_logits=from_logits,
                         label_smoothing=label_smoothing)


class CategoricalCrossentropy(OfFunction):
    """The mean of losses.categorical_crossentropy.

    >>> import numpy as np
    >>> float(CategoricalCrossentropy()(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]])).round(4))
    0.6931
    """

    def __init__(self, name: Optional[str] = "categorical_crossentropy", dtype: Any = None, from_logits: bool = False,
                 label_smoothing: float = 0, axis: int = -1):
        super().__init__(losses.categorical_crossentropy, name, dtype, from_logits=from_logits,
                         label_smoothing=label_smoothing, axis=axis)


class SparseCategoricalCrossentropy(OfFunction):
    """The mean of losses.sparse_categorical_crossentropy.

    Places of ignore_class add 0 to the sum; as in Keras they are left out of the count only if there are weights or a
    mask.

    >>> import numpy as np
    >>> float(SparseCategoricalCrossentropy()(np.array([1]), np.array([[0.5, 0.5]])).round(4))
    0.6931
    """

    def __init__(self, name: Optional[str] = "sparse_categorical_crossentropy", dtype: Any = None,
                 from_logits: bool = False, ignore_class: Optional[int] = None, axis: int = -1):
        super().__init__(losses.sparse_categorical_crossentropy, name, dtype, from_logits=from_logits,
                         ignore_class=ignore_class, axis=axis)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        ignored = self._options["ignore_class"]
        if ignored is not None and (sample_weight is not None or mask_of(y_pred) is not None):
            sample_weight = _live_weights(y_true, ignored, len(y_pred.shape) - 1, sample_weight)
        super().update_state(y_true, y_pred, sample_weight)


class Perplexity(Metric):
    """exp of the mean cross-entropy of tokens: the number of classes among which a model seems to guess.

    y_true [..., T] ids, y_pred [..., T, K] probabilities, or logits with from_logits; targets equal to mask_token_id
    and places that the mask of y_pred leaves out are ignored.  0 before the first token.

    Same as: keras_hub.metrics.Perplexity, which does not read the mask of y_pred.

    >>> import numpy as np
    >>> float(Perplexity(mask_token_id=0)(np.array([[1, 0]]), np.full((1, 2, 4), 0.25)).round(4))
    4.0
    """

    direction, adds_up = "down", True

    def __init__(self, from_logits: bool = False, mask_token_id: Optional[int] = None, dtype: Any = None,
                 name: Optional[str] = "perplexity"):
        super().__init__(dtype, name)
        self.from_logits, self.mask_token_id = from_logits, mask_token_id
        self.total, self.count = self.add_variable(name="total"), self.add_variable(name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        mask, y_pred = mask_of(y_pred), in_floats(y_pred, self.dtype)
        y_true, live = ops.convert_to_tensor(y_true), None
        if self.mask_token_id is not None:
            live = (y_true != self.mask_token_id).reshape(y_pred.shape[:-1])
            y_true = ops.where(y_true != self.mask_token_id, y_true, 0)
        values = losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=self.from_logits)
        weights = ops.ones_like(values) if sample_weight is None else in_floats(sample_weight, str(values.dtype))
        weights = mask_weights(weights, join_masks(mask, live), values.dtype)
        values, weights = match_ranks(values, weights)
        self.total.assign_add((values * weights).sum(dtype="float64"))
        self.count.assign_add((ops.ones_like(values) * weights).sum(dtype="float64"))

    def result(self) -> Array:
        return ops.where(self.count.data == 0, 0.0, ops.exp(ops.divide_no_nan(self.total, self.count)))

    def get_config(self) -> dict:
        return super().get_config() | {"from_logits": self.from_logits, "mask_token_id": self.mask_token_id}


def _live_weights(y_true: Any, ignored: int, rank: int, sample_weight: Any) -> Array:
    """sample_weight with 0 where targets are ignored, one for each place."""
    y_true = ops.convert_to_tensor(y_true)
    live = (y_true if len(y_true.shape) == rank else ops.squeeze(y_true, -1)) != ignored
    weights = None if sample_weight is None else in_floats(sample_weight, None)
    return mask_weights(weights, live, "float32" if weights is None else weights.dtype)
