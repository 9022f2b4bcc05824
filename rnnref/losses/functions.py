"""Losses as functions: a value for each row (and step), made of operations, under Keras's names.

y_true and y_pred [..., K] give [...]: the mean over the last axis, or the sum over classes.
"""
from typing import Any, Optional
from warnings import warn

from .. import ops
from ..arrays import namespace
from ..errors import ShapeError
from ..values import Value, numbers
from .base import check_classes, check_smoothing, match_ranks

Array = Any
EPSILON = 1e-7                                    # Keras's backend.epsilon()


def _pair(who: str, y_true: Array, y_pred: Array) -> tuple:
    """Both arrays in the dtype of the predictions, with equal ranks."""
    return _check_shapes(who, *match_ranks(*_same_dtype(y_true, y_pred)))


def _check_shapes(who: str, y_true: Array, y_pred: Array) -> tuple:
    """Both arrays; raise ShapeError unless they broadcast to each other."""
    shapes = tuple(y_true.shape), tuple(y_pred.shape)
    if any(n != m and 1 not in (n, m) and None not in (n, m) for n, m in zip(shapes[0][::-1], shapes[1][::-1])):
        raise ShapeError(who, f"y_true has shape {shapes[0]}, y_pred {shapes[1]}, expected equal shapes",
                         axes="y_pred is what the model gives, y_true the targets")
    return y_true, y_pred


def _same_dtype(y_true: Array, y_pred: Array) -> tuple:
    y_pred = ops.convert_to_tensor(y_pred)
    y_pred = y_pred if y_pred.dtype.kind == "f" else ops.cast(y_pred, "float32")
    return ops.cast(ops.convert_to_tensor(y_true), y_pred.dtype), y_pred


def mean_squared_error(y_true: Array, y_pred: Array) -> Array:
    """mean((y_true - y_pred)^2) over the last axis.

    >>> mean_squared_error([[0.0, 1.0]], [[1.0, 3.0]])
    array([2.5], dtype=float32)
    """
    y_true, y_pred = _pair("losses.mean_squared_error", y_true, y_pred)
    return ops.mean(ops.square(ops.subtract(y_true, y_pred)), axis=-1)


def mean_absolute_error(y_true: Array, y_pred: Array) -> Array:
    """mean(|y_true - y_pred|) over the last axis.

    >>> mean_absolute_error([[0.0, 1.0]], [[1.0, 3.0]])
    array([1.5], dtype=float32)
    """
    y_true, y_pred = _pair("losses.mean_absolute_error", y_true, y_pred)
    return ops.mean(ops.absolute(ops.subtract(y_true, y_pred)), axis=-1)


def huber(y_true: Array, y_pred: Array, delta: float = 1.0) -> Array:
    """The mean over the last axis of e^2 / 2 where |e| <= delta, and of delta |e| - delta^2 / 2 elsewhere.

    >>> huber([[0.0, 0.0]], [[0.5, 3.0]])
    array([1.3125], dtype=float32)
    """
    y_true, y_pred = _pair("losses.huber", y_true, y_pred)
    e = ops.absolute(ops.subtract(y_pred, y_true))
    return ops.mean(ops.where(numbers(e) <= delta, 0.5 * ops.square(e), delta * e - 0.5 * delta * delta), axis=-1)


def kl_divergence(y_true: Array, y_pred: Array) -> Array:
    """sum(y_true log(y_true / y_pred)) over the last axis, of probabilities clipped to [1e-7, 1].

    >>> kl_divergence([[1.0, 0.0]], [[0.5, 0.5]]).round(4)
    array([0.6931], dtype=float32)
    """
    y_true, y_pred = _check_shapes("losses.kl_divergence", *_same_dtype(y_true, y_pred))
    y_true, y_pred = ops.clip(y_true, EPSILON, 1), ops.clip(y_pred, EPSILON, 1)
    return ops.sum(ops.multiply(y_true, ops.log(ops.divide(y_true, y_pred))), axis=-1)


def binary_crossentropy(y_true: Array, y_pred: Array, from_logits: bool = False, label_smoothing: float = 0.0,
                        axis: int = -1) -> Array:
    """The mean over `axis` of -(y log p + (1 - y) log(1 - p)).

    from_logits        p = sigmoid(y_pred); else p is y_pred, clipped to [1e-7, 1 - 1e-7]
    label_smoothing    s: y (1 - s) + s / 2 in the place of y

    >>> binary_crossentropy([[1.0, 0.0]], [[0.5, 0.5]]).round(4)
    array([0.6931], dtype=float32)
    """
    y_true, y_pred = _check_shapes("losses.binary_crossentropy", *_same_dtype(y_true, y_pred))
    if check_smoothing("losses.binary_crossentropy", label_smoothing):
        y_true = y_true * (1 - label_smoothing) + 0.5 * label_smoothing
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits=from_logits), axis=axis)


def categorical_crossentropy(y_true: Array, y_pred: Array, from_logits: bool = False, label_smoothing: float = 0.0,
                             axis: int = -1) -> Array:
    """-sum(y log p) over the classes on `axis`; y_true are their probabilities.

    from_logits        p = softmax(y_pred); else p = y_pred / sum(y_pred), clipped to [1e-7, 1 - 1e-7]
    label_smoothing    s: y (1 - s) + s / K in the place of y; K is the length of the last axis, as in Keras

    >>> categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).round(4)
    array([0.6931], dtype=float32)
    """
    y_true, y_pred = _same_dtype(y_true, y_pred)
    if y_pred.shape[-1] == 1:
        warn(f"losses.categorical_crossentropy: y_pred has shape {tuple(y_pred.shape)}: of one class the loss is 0; "
             "binary_crossentropy is for two classes", stacklevel=2)
    if check_smoothing("losses.categorical_crossentropy", label_smoothing):
        y_true = y_true * (1 - label_smoothing) + label_smoothing / y_true.shape[-1]
    return ops.categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)


def sparse_categorical_crossentropy(y_true: Array, y_pred: Array, from_logits: bool = False,
                                    ignore_class: Optional[int] = None, axis: int = -1) -> Array:
    """-log p of the class y_true, an index, with the classes on `axis` of y_pred.

    from_logits     p = softmax(y_pred); else p = y_pred / sum(y_pred), clipped to [1e-7, 1 - 1e-7]
    ignore_class    targets that are ignored: 0 there, and in a record the result has a mask without them

    >>> sparse_categorical_crossentropy([1, -1], [[0.5, 0.5], [0.5, 0.5]], ignore_class=-1).round(4)
    array([0.6931, 0.    ], dtype=float32)
    """
    y_true, y_pred = ops.convert_to_tensor(numbers(y_true)), ops.convert_to_tensor(y_pred)
    if len(y_true.shape) == len(y_pred.shape) and y_true.shape[axis] == 1:
        y_true = ops.squeeze(y_true, axis)
    who, count = "losses.sparse_categorical_crossentropy", y_pred.shape[axis]
    if ignore_class is None:
        check_classes(who, y_true, count)
        return ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)
    live = y_true != ignore_class
    y_true = ops.where(live, y_true, 0)
    check_classes(who, y_true, count)
    values = ops.sparse_categorical_crossentropy(
        y_true, ops.where(ops.expand_dims(live, axis), y_pred, 1), from_logits=from_logits, axis=axis)
    values = ops.where(live, values, 0)
    if isinstance(values, Value):
        values.mask = live
    return values


def ctc(y_true: Array, y_pred: Array) -> Array:
    """-log of the probability of all paths that spell y_true: connectionist temporal classification.

    y_true [B, N] classes from 1 on, with 0 behind them; y_pred [B, T, K] logits, of which class 0 is the blank.  Of a
    value with a mask the live steps count, all T otherwise.  `ops.ctc_loss` takes lengths and another blank.

    Paper: Graves, Fernández, Gomez & Schmidhuber (2006), Connectionist temporal classification.
    Same as: keras.losses.ctc, which knows no mask; torch.nn.functional.ctc_loss of log_softmax, reduction="none".

    >>> import numpy
    >>> ctc([[1]], numpy.zeros((1, 2, 2), "float32")).round(4)                # 3 of 4 paths: 11, 01, 10
    array([0.2877], dtype=float32)
    """
    y_true, y_pred = ops.convert_to_tensor(numbers(y_true)), ops.convert_to_tensor(y_pred)
    if len(y_true.shape) != 2 or len(y_pred.shape) != 3:
        raise ShapeError("losses.ctc", f"y_true has shape {tuple(y_true.shape)} and y_pred {tuple(y_pred.shape)}, "
                         "expected [B, N] and [B, T, K]")
    check_classes("losses.ctc", y_true, y_pred.shape[2])
    mask, xp = getattr(y_pred, "mask", None), namespace(numbers(y_pred))
    steps = xp.full(y_pred.shape[:1], y_pred.shape[1], "int32") if mask is None else mask.sum(-1)
    return ops.ctc_loss(y_true, y_pred, (y_true != 0).sum(-1), steps, mask_index=0)
