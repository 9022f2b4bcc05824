"""How many predictions are right: functions with 1 or 0 for each row (and step), and their means."""
from typing import Any, Optional

from .. import ops
from ..errors import ShapeError
from ..losses.base import match_ranks
from .base import OfFunction

Array = Any


def accuracy(y_true: Array, y_pred: Array) -> Array:
    """1 where y_pred equals y_true, else 0.

    >>> accuracy([1, 2], [1, 3])
    array([1., 0.], dtype=float32)
    """
    y_true, y_pred = match_ranks(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred))
    return ops.cast(ops.equal(ops.cast(y_true, y_pred.dtype), y_pred), "float32")


def binary_accuracy(y_true: Array, y_pred: Array, threshold: float = 0.5) -> Array:
    """1 where y_pred > threshold is y_true, else 0.

    >>> binary_accuracy([1.0, 1.0, 0.0], [0.6, 0.5, 0.5])
    array([1., 0., 1.], dtype=float32)
    """
    y_true, y_pred = match_ranks(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred))
    return ops.cast(ops.equal(y_true, ops.cast(y_pred > threshold, y_true.dtype)), "float32")


def categorical_accuracy(y_true: Array, y_pred: Array) -> Array:
    """1 where the largest of y_pred [..., K] has the place of the largest of y_true, else 0.

    >>> categorical_accuracy([[0.0, 1.0]], [[0.3, 0.7]])
    array([1.], dtype=float32)
    """
    return sparse_categorical_accuracy(ops.argmax(ops.convert_to_tensor(y_true), axis=-1), y_pred)


def sparse_categorical_accuracy(y_true: Array, y_pred: Array) -> Array:
    """1 where y_true is the index of the largest of y_pred [..., K], else 0.

    >>> sparse_categorical_accuracy([1, 0], [[0.3, 0.7], [0.3, 0.7]])
    array([1., 0.], dtype=float32)
    """
    y_true, y_pred = _ids(y_true, y_pred)
    return ops.cast(ops.equal(y_true, ops.cast(ops.argmax(y_pred, axis=-1), y_true.dtype)), "float32")


def top_k_categorical_accuracy(y_true: Array, y_pred: Array, k: int = 5) -> Array:
    """1 where the largest of y_true is in the place of one of the k largest of y_pred, else 0.

    >>> top_k_categorical_accuracy([[0.0, 1.0, 0.0]], [[0.5, 0.3, 0.2]], k=2)
    array([1.], dtype=float32)
    """
    return sparse_top_k_categorical_accuracy(ops.argmax(ops.convert_to_tensor(y_true), axis=-1), y_pred, k)


def sparse_top_k_categorical_accuracy(y_true: Array, y_pred: Array, k: int = 5, from_sorted_ids: bool = False) -> Array:
    """1 where y_true is the index of one of the k largest of y_pred, else 0.

    from_sorted_ids    y_pred are indices, the most probable first

    >>> sparse_top_k_categorical_accuracy([2, 1], [[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]], k=2)
    array([0., 1.], dtype=float32)
    """
    y_true, y_pred = _ids(y_true, y_pred)
    if from_sorted_ids:
        found = ops.any(ops.equal(ops.expand_dims(ops.cast(y_true, y_pred.dtype), -1), y_pred[..., :k]), axis=-1)
    else:
        rows = y_pred.reshape((-1, y_pred.shape[-1]))
        found = ops.in_top_k(ops.cast(y_true, "int32").reshape((-1,)), rows, k).reshape(y_true.shape)
    return ops.cast(found, "float32")


def _ids(y_true: Array, y_pred: Array) -> tuple:
    """Indices [...] beside predictions [..., K]; a last axis of length 1 is removed."""
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    if tuple(y_true.shape) != tuple(y_pred.shape[:-1]):
        raise ShapeError("metrics", f"indices of shape {tuple(y_true.shape)} for predictions of shape "
                         f"{tuple(y_pred.shape)}, expected {tuple(y_pred.shape[:-1])}")
    return y_true, y_pred


class _Accuracy(OfFunction):
    direction = "up"


class Accuracy(_Accuracy):
    """How often y_pred equals y_true.

    >>> import numpy as np
    >>> float(Accuracy()(np.array([1, 2]), np.array([1, 3])))
    0.5
    """

    def __init__(self, name: Optional[str] = "accuracy", dtype: Any = None):
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(_Accuracy):
    """How often y_pred > threshold is y_true.

    >>> import numpy as np
    >>> float(BinaryAccuracy(threshold=0.2)(np.array([1.0, 1.0]), np.array([0.3, 0.1])))
    0.5
    """

    def __init__(self, name: Optional[str] = "binary_accuracy", dtype: Any = None, threshold: float = 0.5):
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(_Accuracy):
    """How often the largest of y_pred is that of y_true.

    >>> import numpy as np
    >>> float(CategoricalAccuracy()(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[0.3, 0.7], [0.3, 0.7]])))
    0.5
    """

    def __init__(self, name: Optional[str] = "categorical_accuracy", dtype: Any = None):
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(_Accuracy):
    """How often y_true is the index of the largest of y_pred.

    >>> import numpy as np
    >>> float(SparseCategoricalAccuracy()(np.array([1, 0]), np.array([[0.3, 0.7], [0.3, 0.7]])))
    0.5
    """

    def __init__(self, name: Optional[str] = "sparse_categorical_accuracy", dtype: Any = None):
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(_Accuracy):
    """How often the largest of y_true is among the k largest of y_pred.

    >>> import numpy as np
    >>> float(TopKCategoricalAccuracy(k=2)(np.eye(3), np.tile([0.5, 0.3, 0.2], (3, 1))).round(4))
    0.6667
    """

    def __init__(self, k: int = 5, name: Optional[str] = "top_k_categorical_accuracy", dtype: Any = None):
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(_Accuracy):
    """How often y_true is the index of one of the k largest of y_pred; `from_sorted_ids`: y_pred are sorted indices.

    >>> import numpy as np
    >>> float(SparseTopKCategoricalAccuracy(k=2)(np.arange(3), np.tile([0.5, 0.3, 0.2], (3, 1))).round(4))
    0.6667
    """

    def __init__(self, k: int = 5, name: Optional[str] = "sparse_top_k_categorical_accuracy", dtype: Any = None,
                 from_sorted_ids: bool = False):
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids)

    def get_config(self) -> dict:
        config = super().get_config()
        return config if config["from_sorted_ids"] else {k: v for k, v in config.items() if k != "from_sorted_ids"}
