"""Counts of right and wrong decisions at thresholds: precision, recall, area under curves."""
from typing import Any, Optional, Sequence, Union

import numpy

from .. import ops
from ..arrays import namespace
from ..errors import NotSupported, ShapeError, check_option
from ..losses.base import mask_weights, match_ranks
from ..values import numbers
from .base import Metric, in_floats, mask_of

Array = Any
NEVER = -1e10                                     # what is not among the k largest, as in Keras
EPSILON = 1e-7


class _Counts(Metric):
    """Weighted counts of decisions y_pred > threshold, for each threshold."""

    adds_up = True
    true_positives: Any; false_positives: Any; true_negatives: Any; false_negatives: Any

    def _start(self, thresholds: Sequence[float], names: Sequence[str], shape: tuple) -> None:
        self._thresholds = [float(t) for t in thresholds]
        n = len(thresholds)
        self._even = n > 2 and bool(numpy.allclose(thresholds, numpy.arange(n) / (n - 1), atol=2 * EPSILON))
        for name in names:
            setattr(self, name, self.add_variable(shape, name=name))

    def _count(self, y_true: Array, y_pred: Array, weights: Array) -> tuple:
        """True and false positives [thresholds, labels], and the positives and negatives of labels [labels]; of
        arrays [N, labels]."""
        positive = ops.cast(y_true != 0, weights.dtype)
        right, wrong = positive * weights, (1 - positive) * weights
        count = self._by_buckets if self._even else self._by_comparison
        return count(y_pred, right), count(y_pred, wrong), right.sum(0, dtype="float64"), wrong.sum(0, dtype="float64")

    def _by_comparison(self, y_pred: Array, weights: Array) -> Array:
        return ops.stack([ops.where(y_pred > t, weights, 0).sum(0, dtype="float64") for t in self._thresholds])

    def _by_buckets(self, y_pred: Array, weights: Array) -> Array:
        """As Keras counts where thresholds are k / (n - 1): by the bucket of each prediction, in one pass."""
        xp, n, (_, labels) = namespace(y_pred), len(self._thresholds), y_pred.shape
        bucket = xp.ceil(xp.clip(y_pred, 0, 1) * (n - 1))                 # 0: not even above the first threshold
        bucket = xp.maximum(bucket, 1) if self._thresholds[0] < 0 else bucket
        places = bucket.astype("int64") + xp.arange(labels) * (n + 1)
        sums = ops.segment_sum(weights.reshape(-1).astype("float64"), places.reshape(-1), labels * (n + 1))
        sums = sums.reshape(labels, n + 1)[:, 1:]
        return xp.flip(xp.cumsum(xp.flip(sums, 1), axis=1), 1).T


def _aligned(y_true: Any, y_pred: Any, sample_weight: Any, dtype: Optional[str]) -> tuple:
    """Targets, predictions and weights in one shape; the mask of y_pred is in the weights."""
    mask, y_pred = mask_of(y_pred), in_floats(y_pred, dtype)
    y_true = in_floats(y_true, str(y_pred.dtype))
    weights = None if sample_weight is None else in_floats(sample_weight, str(y_pred.dtype))
    weights = mask_weights(weights, mask, y_pred.dtype)
    y_pred, y_true = match_ranks(y_pred, y_true)
    xp = namespace(y_pred)
    if tuple(y_true.shape) != tuple(y_pred.shape):
        raise ShapeError("metrics", f"y_true has shape {y_true.shape}, expected {y_pred.shape} as y_pred has")
    if weights is None:
        return y_true, y_pred, xp.ones_like(y_pred)
    while weights.ndim < y_pred.ndim:
        weights = weights[..., None]
    while weights.ndim > y_pred.ndim and weights.shape[-1] == 1:
        weights = weights[..., 0]
    try:
        return y_true, y_pred, xp.broadcast_to(weights, y_pred.shape)
    except ValueError:
        raise ShapeError("metrics", f"weights or a mask of shape {weights.shape} for predictions of shape "
                         f"{y_pred.shape}") from None


class _AtThresholds(_Counts):
    """Base class of Precision and Recall: true positives over all predicted, or over all actual positives."""

    direction = "up"
    _other = ""

    def __init__(self, thresholds: Union[float, Sequence[float], None], top_k: Optional[int], class_id: Optional[int],
                 name: Optional[str], dtype: Any):
        super().__init__(dtype, name)
        self.init_thresholds, self.top_k, self.class_id = thresholds, top_k, class_id
        found: Any = (0.5 if top_k is None else NEVER) if thresholds is None else thresholds
        self.thresholds: list = list(found) if isinstance(found, (list, tuple)) else [found]
        if thresholds is not None and not all(t is not None and 0 <= t <= 1 for t in self.thresholds):
            raise NotSupported(f"metrics.{type(self).__name__}", f"thresholds={thresholds!r}",
                               known="numbers from 0 to 1")
        self._start(self.thresholds, ("true_positives", self._other), (len(self.thresholds),))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred, weights = _aligned(y_true, y_pred, sample_weight, self.dtype)
        if self.top_k is not None:
            chosen = ops.one_hot(ops.top_k(y_pred, self.top_k)[1], y_pred.shape[-1]).sum(-2) > 0
            y_pred = ops.where(chosen, y_pred, NEVER)
        if self.class_id is not None:
            if y_pred.ndim < 2:
                raise ShapeError(f"metrics.{type(self).__name__}", f"class_id={self.class_id} of predictions of shape "
                                 f"{y_pred.shape}, expected [..., classes]")
            y_true, y_pred, weights = (a[..., self.class_id] for a in (y_true, y_pred, weights))
        right, wrong, positives, _ = self._count(*(a.reshape(-1, 1) for a in (y_true, y_pred, weights)))
        self.true_positives.assign_add(right[:, 0])
        getattr(self, self._other).assign_add((wrong if self._other == "false_positives" else positives - right)[:, 0])

    def result(self) -> Array:
        found = ops.divide_no_nan(self.true_positives, self.true_positives + getattr(self, self._other))
        return found[0] if len(self.thresholds) == 1 else found

    def get_config(self) -> dict:
        return super().get_config() | {"thresholds": self.init_thresholds, "top_k": self.top_k,
                                       "class_id": self.class_id}


class Precision(_AtThresholds):
    """True positives / (true positives + false positives), where y_pred > threshold is a positive.

    thresholds    0.5, a number or a list: a result for each
    top_k         only the k largest of the last axis can be positives, at any threshold unless one is given
    class_id      only this place of the last axis counts

    The mask of y_pred counts, which keras.metrics.Precision does not read.

    >>> import numpy as np
    >>> float(Precision()(np.array([1, 0, 1]), np.array([0.9, 0.8, 0.2])))
    0.5
    """

    _other = "false_positives"

    def __init__(self, thresholds: Union[float, Sequence[float], None] = None, top_k: Optional[int] = None,
                 class_id: Optional[int] = None, name: Optional[str] = None, dtype: Any = None):
        super().__init__(thresholds, top_k, class_id, name, dtype)


class Recall(_AtThresholds):
    """True positives / (true positives + false negatives), where y_pred > threshold is a positive.

    The arguments are those of Precision.

    >>> import numpy as np
    >>> float(Recall(thresholds=0.1)(np.array([1, 0, 1]), np.array([0.9, 0.8, 0.2])))
    1.0
    """

    _other = "false_negatives"

    def __init__(self, thresholds: Union[float, Sequence[float], None] = None, top_k: Optional[int] = None,
                 class_id: Optional[int] = None, name: Optional[str] = None, dtype: Any = None):
        super().__init__(thresholds, top_k, class_id, name, dtype)


class AUC(_Counts):
    """The area under a curve of right against wrong decisions, by sums over thresholds.

    num_thresholds      0 - 1e-7, then 1 / (n - 1), 2 / (n - 1) ... and 1 + 1e-7; or `thresholds` between these two
    curve               "ROC": recall against false positives / negatives | "PR": precision against recall | "PRGAIN"
    summation_method    "interpolation": trapezoids, for "PR" as Davis & Goadrich (2006) | "minoring" | "majoring"
    multi_label         an area for each label, the last axis of [N, labels], and their mean, by label_weights
    from_logits         y_pred are logits

    The mask of y_pred counts, which keras.metrics.AUC does not read.

    >>> import numpy as np
    >>> float(AUC(num_thresholds=3)(np.array([0, 0, 1, 1]), np.array([0, 0.5, 0.3, 0.9])).round(4))
    0.75
    """

    direction = "up"

    def __init__(self, num_thresholds: int = 200, curve: str = "ROC", summation_method: str = "interpolation",
                 name: Optional[str] = None, dtype: Any = None, thresholds: Optional[Sequence[float]] = None,
                 multi_label: bool = False, num_labels: Optional[int] = None, label_weights: Any = None,
                 from_logits: bool = False):
        super().__init__(dtype, name)
        self.curve = check_option("metrics.AUC", "curve", str(curve).upper(), ("ROC", "PR", "PRGAIN"))
        self.summation_method = check_option("metrics.AUC", "summation_method", str(summation_method).lower(),
                                             ("interpolation", "majoring", "minoring"))
        self.multi_label, self.num_labels, self.from_logits = multi_label, num_labels, from_logits
        self.label_weights = None if label_weights is None else [float(a) for a in label_weights]
        if num_labels and not multi_label:
            raise NotSupported("metrics.AUC", f"num_labels={num_labels} without multi_label=True")
        self._given = thresholds is not None
        if not self._given and num_thresholds < 2:
            raise NotSupported("metrics.AUC", f"num_thresholds={num_thresholds}", known="2 or more")
        inner = sorted(thresholds) if thresholds is not None else [
            k / (num_thresholds - 1) for k in range(1, num_thresholds - 1)]
        self.thresholds = [-EPSILON, *inner, 1 + EPSILON]
        self.num_thresholds = len(self.thresholds)
        if not multi_label or num_labels:
            self._build(num_labels)

    def _build(self, labels: Optional[int]) -> None:
        names = ("true_positives", "false_positives", "true_negatives", "false_negatives")
        self._start(self.thresholds, names, (self.num_thresholds, labels) if labels else (self.num_thresholds,))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred, weights = _aligned(y_true, y_pred, sample_weight, self.dtype)
        if self.from_logits:
            y_pred = ops.sigmoid(y_pred)
        if self.multi_label:
            if y_pred.ndim != 2:
                raise ShapeError("metrics.AUC", f"y_pred has shape {y_pred.shape}, expected [N, labels] as multi_label "
                                 "is given")
            if not self._variables:
                self._build(y_pred.shape[1])
        else:
            if self.label_weights is not None:
                weights = weights * self._labels(y_pred)
            y_true, y_pred, weights = (a.reshape(-1, 1) for a in (y_true, y_pred, weights))
        right, wrong, positives, negatives = self._count(y_true, y_pred, weights)
        shape = self.true_positives.shape
        for v, a in ((self.true_positives, right), (self.false_positives, wrong),
                     (self.true_negatives, negatives - wrong), (self.false_negatives, positives - right)):
            v.assign_add(a.reshape(shape))

    def _labels(self, like: Array) -> Array:
        return namespace(like).asarray(numpy.asarray(self.label_weights, str(like.dtype)))

    def result(self) -> Array:
        if not self._variables:
            return numpy.zeros(())
        tp, fp, tn, fn = (numbers(v) for v in self._variables)
        if self.curve == "PR" and self.summation_method == "interpolation":
            terms = _between_precisions(tp, fp, fn)
        else:
            x, y = self._curve(tp, fp, tn, fn)
            if self.summation_method == "interpolation":
                height = (y[:-1] + y[1:]) / 2
            else:
                choose = ops.minimum if self.summation_method == "minoring" else ops.maximum
                height = choose(y[:-1], y[1:])
            terms = (x[:-1] - x[1:]) * height
        area = terms.sum(0)
        if not self.multi_label:
            return area
        if self.label_weights is None:
            return area.mean()
        weights = self._labels(area)
        return ops.divide_no_nan((area * weights).sum(), weights.sum())

    def _curve(self, tp: Array, fp: Array, tn: Array, fn: Array) -> tuple:
        share, recall = ops.divide_no_nan, ops.divide_no_nan(tp, tp + fn)
        if self.curve == "ROC":
            return share(fp, fp + tn), recall
        if self.curve == "PR":
            return recall, share(tp, tp + fp)
        odds = share(tp + fn, tn + fp)
        gains = [ops.where(tp == 0, never, 1 - odds * share(a, tp)) for a, never in ((fn, 0.0), (fp, 1.0))]
        return ops.maximum(gains[0], 0), gains[1]

    def get_config(self) -> dict:
        config = super().get_config() | {name: getattr(self, name) for name in (
            "num_thresholds curve summation_method multi_label num_labels label_weights from_logits".split())}
        return config | {"thresholds": self.thresholds[1:-1]} if self._given else config

    @classmethod
    def from_config(cls, config: dict) -> "AUC":
        """The metric of such a configuration; in Keras's label_weights are a tensor."""
        weights = config.get("label_weights")
        return cls(**config | {"label_weights": weights["config"]["value"]} if isinstance(weights, dict) else config)


def _between_precisions(tp: Array, fp: Array, fn: Array) -> Array:
    """The areas between thresholds of precision over recall, where true positives are linear in all positives p:
    with tp = a + b p the area is b (dtp + a log(p / p')) / (tp + fn)."""
    p = tp + fp
    dtp = tp[:-1] - tp[1:]
    b = ops.divide_no_nan(dtp, ops.maximum(p[:-1] - p[1:], 0))
    a = tp[1:] - b * p[1:]
    ratio = ops.where((p[:-1] > 0) & (p[1:] > 0), ops.divide_no_nan(p[:-1], ops.maximum(p[1:], 0)), 1.0)
    return ops.divide_no_nan(b * (dtp + a * ops.log(ratio)), ops.maximum(tp[1:] + fn[1:], 0))
