"""Losses as objects: a value for each row and step, weighted, masked and reduced to one number, as in Keras 3."""
from math import prod
from typing import Any, Callable, Optional

import numpy

from .. import ops, shards
from ..arrays import is_array, namespace
from ..errors import NotSupported, ShapeError, check_option
from ..identifiers import unique_name
from ..nest import flatten, map_structure
from ..record import Record, current
from ..values import Arraylike, Value, numbers

Array = Any
REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None)


class Loss:
    """A function of targets and predictions that gives the number to be minimised.

    A subclass defines `call(y_true, y_pred)`, a value for each row (and step), made of operations of rnnref.ops or of
    NumPy.  Called while a record is open, a loss is recorded, and `record.backward` of it gives gradients.

    reduction    "sum_over_batch_size" or "mean": the sum over the number of values | "sum" |
                 "mean_with_sample_weight": the sum over the sum of weights | "none" or None: the values
    dtype        in which it is computed; that of the predictions unless given, float32 at least

    The mask of y_pred, and one that `call` leaves on its values, gives the weight 0 to what is masked; means are then
    means over the rest.  sample_weight multiplies values and does not divide, but for "mean_with_sample_weight".

    Same as: keras.losses.Loss, which computes in float32 unless a dtype is given.

    >>> import numpy as np
    >>> from rnnref import ops
    >>> class Cubic(Loss):
    ...     def call(self, y_true, y_pred):
    ...         return ops.mean(ops.absolute(y_pred - y_true) ** 3, axis=-1)
    >>> float(Cubic()(np.zeros((2, 1)), np.array([[1.0], [2.0]])))
    4.5
    """

    _reads_mask = False                           # whether `call` itself uses the mask of y_pred

    def __init__(self, name: Optional[str] = None, reduction: Optional[str] = "sum_over_batch_size", dtype: Any = None):
        self.name = name or unique_name(type(self).__name__)
        self.reduction = check_option(f"losses.{type(self).__name__}", "reduction", reduction, REDUCTIONS)
        self.dtype = None if dtype is None else str(dtype)

    def call(self, y_true: Any, y_pred: Any) -> Array:
        """A value for each row (and step)."""
        raise NotImplementedError(f"{type(self).__name__} defines no call")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Array:
        """The loss of predictions; a value of the open record, or an array if there is none."""
        record = current()
        if record is not None:
            return self._reduced(record, y_true, y_pred, sample_weight)
        with Record(keep=False) as record:        # values carry masks, arrays do not
            return numbers(self._reduced(record, y_true, y_pred, sample_weight))

    def _reduced(self, record: Record, y_true: Any, y_pred: Any, sample_weight: Any) -> Array:
        y_pred = _map_arrays(lambda a: _as_value(record, a, self.dtype), y_pred)
        dtype = flatten(y_pred)[0].dtype
        y_true = _map_arrays(lambda a: record.constant(ops.cast(ops.convert_to_tensor(numbers(a)), dtype)), y_true)
        in_mask = y_pred.mask if isinstance(y_pred, Value) and not self._reads_mask else None
        values = ops.convert_to_tensor(self.call(y_true, y_pred))
        mask = join_masks(in_mask, values.mask if isinstance(values, Value) else None)
        return reduce_weighted(f"losses.{type(self).__name__}", values, sample_weight, mask, self.reduction)

    def get_config(self) -> dict:
        """The arguments from which `from_config` makes the same loss."""
        config = {"name": self.name, "reduction": self.reduction}
        return config if self.dtype is None else config | {"dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict) -> "Loss":
        """The loss of such a configuration."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


class LossFunctionWrapper(Loss):
    """A function of (y_true, y_pred) as a loss, with options for it.

    Ranks that differ by one are made equal before the call: y [B] beside p [B, 1].

    >>> import numpy as np
    >>> f = LossFunctionWrapper(lambda y_true, y_pred: abs(y_pred - y_true), reduction="sum")
    >>> float(f(np.array([1.0, 2.0]), np.array([[1.5], [2.5]])))
    1.0
    """

    def __init__(self, fn: Callable, reduction: Optional[str] = "sum_over_batch_size", name: Optional[str] = None,
                 dtype: Any = None, **options: Any):
        super().__init__(name, reduction, dtype)
        self.fn, self.options = fn, options

    def call(self, y_true: Any, y_pred: Any) -> Array:
        if is_leaf(y_true) and is_leaf(y_pred):
            y_true, y_pred = match_ranks(y_true, y_pred)
        return self.fn(y_true, y_pred, **self.options)

    def get_config(self) -> dict:
        from . import serialize  # __init__.py imports this module
        return super().get_config() | {"fn": serialize(self.fn)} | self.options

    @classmethod
    def from_config(cls, config: dict) -> Loss:
        from . import get
        return cls(**config | {"fn": get(config["fn"])} if "fn" in config else config)


def is_leaf(a: Any) -> bool:
    """Whether `a` is one array, or a list of numbers that stands for one."""
    return not isinstance(a, (dict, list, tuple)) or not any(
        is_array(b) or isinstance(b, Arraylike) for b in flatten(a))


def _map_arrays(f: Callable, tree: Any) -> Any:
    return f(tree) if is_leaf(tree) else map_structure(f, tree)


def _as_value(record: Record, a: Any, dtype: Any) -> Any:
    """Predictions as a value of this record, in float32 at least, with their mask."""
    if isinstance(a, Value) and a.record != record.serial:
        a = record.constant(a.data, a.mask)
    a = a if isinstance(a, Value) else record.constant(ops.convert_to_tensor(numbers(a)))
    dtype = dtype or (a.dtype if a.dtype.kind == "f" and a.dtype.itemsize > 2 else "float32")
    mask, a = a.mask, ops.cast(a, dtype) if a.dtype != dtype else a
    a.mask = mask
    return a


def match_ranks(a: Array, b: Array) -> tuple:
    """Two arrays whose ranks differ by one, the last axis of the larger having length 1, with equal ranks.

    A vector becomes a column; otherwise the last axis of the other goes.

    >>> import numpy
    >>> [x.shape for x in match_ranks(numpy.ones(3), numpy.ones((3, 1)))]
    [(3, 1), (3, 1)]
    >>> [x.shape for x in match_ranks(numpy.ones((3, 4)), numpy.ones((3, 4, 1)))]
    [(3, 4), (3, 4)]
    """
    small, large = (a, b) if len(a.shape) < len(b.shape) else (b, a)
    if len(large.shape) == len(small.shape) + 1 and large.shape[-1] == 1:
        if len(small.shape) == 1:
            small = ops.expand_dims(small, -1)
        else:
            large = ops.squeeze(large, -1)
    return (small, large) if len(a.shape) < len(b.shape) else (large, small)


def join_masks(*masks: Any) -> Any:
    """Where all of these masks are true; None if there is none."""
    found = None
    for mask in masks:
        if mask is not None:
            found = mask if found is None else found & mask
    return found


def mask_weights(sample_weight: Any, mask: Any, dtype: Any, reduction: Optional[str] = "sum") -> Any:
    """sample_weight with 0 where the mask is false; for a mean, total / live where it is true."""
    if mask is None:
        return sample_weight
    xp = namespace(mask)
    live = mask.astype(dtype)
    if reduction in ("mean", "sum_over_batch_size"):
        live = live * (_count("losses", mask.shape) / xp.maximum(_total(live.sum()), 1)).astype(dtype)
    if sample_weight is None:
        return live
    live, sample_weight = match_ranks(live, sample_weight)
    return sample_weight * live


def reduce_weighted(who: str, values: Array, sample_weight: Any, mask: Any, reduction: Optional[str]) -> Array:
    """Values times their weights, reduced to a number or as they are."""
    if sample_weight is not None:
        sample_weight = ops.cast(ops.convert_to_tensor(sample_weight), values.dtype)
    weights = mask_weights(sample_weight, mask, values.dtype, reduction)
    if weights is not None:
        values, weights = match_ranks(values, weights)
        if values.shape and weights.shape and not _fits(weights.shape, values.shape):
            raise ShapeError(who, f"values of shape {tuple(values.shape)}, one for each row and step, and weights or a "
                             f"mask of shape {tuple(weights.shape)}", fix="sample_weight[:, None] for one of each "
                             "row of sequences")
        values = ops.multiply(values, weights)
    if reduction in (None, "none") or not values.shape:
        shards.refuse(who, f"reduction={reduction!r} of an array of shape {tuple(values.shape)}",
                      fix='a value for each row, and reduction="sum_over_batch_size"')
        return values
    total = ops.sum(values)
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and weights is not None:
        return ops.divide_no_nan(total, _total(ops.sum(weights)))
    return total / max(_count(who, values.shape), 1)


def _count(who: str, shape: tuple) -> int:
    """The number of entries of an array over the whole batch, given the shape of the rows of this process."""
    shard = shards.current()
    return prod(shape) if shard is None else shard.count_all(shape, who)


def _total(a: Array) -> Array:
    """The sum over all rows of the batch, from that over the rows of this process."""
    shard = shards.current()
    return a if shard is None else shard.total(numbers(a))


def _fits(weights: tuple, values: tuple) -> bool:
    """Whether weights have the rank of the values, and on each axis their length or 1; nothing else is broadcast."""
    return len(weights) == len(values) and all(m in (1, n) for m, n in zip(weights, values))


def check_classes(who: str, y_true: Any, count: int, least: int = 0) -> None:
    """Raise ShapeError for indices of classes that y_pred does not have; those on a GPU are not checked."""
    if isinstance(y_true, numpy.ndarray) and y_true.size and not (y_true.min() >= least and y_true.max() < count):
        raise ShapeError(who, f"y_true has classes from {y_true.min():g} to {y_true.max():g}, expected {least} to "
                         f"{count - 1}: y_pred has {count} classes", fix="ignore_class= for targets to be ignored"
                         if "ctc" not in who else None)


def check_smoothing(who: str, label_smoothing: Any) -> Any:
    """label_smoothing, a number from 0 to 1; raise NotSupported otherwise."""
    if not isinstance(label_smoothing, (int, float)) or not 0 <= label_smoothing <= 1:
        raise NotSupported(who, f"label_smoothing={label_smoothing!r}", known="a number from 0 to 1")
    return label_smoothing
