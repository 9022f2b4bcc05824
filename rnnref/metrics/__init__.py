"""Metrics with Keras's names: results over many batches, whose sums stay on the device of the predictions.

>>> import numpy as np
>>> metric = get("mean_absolute_error")
>>> metric.update_state(np.array([[1.0]]), np.array([[2.0]]))
>>> float(metric.result())
1.0
"""
from typing import Any, Optional

from ..absent import Absent
from ..identifiers import Family, name_of
from ..losses import (binary_crossentropy, categorical_crossentropy, huber, is_binary, is_sparse, kl_divergence,
                      mean_absolute_error, mean_squared_error, sparse_categorical_crossentropy)
from .accuracy import (Accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy,
                       SparseTopKCategoricalAccuracy, TopKCategoricalAccuracy, accuracy, binary_accuracy,
                       categorical_accuracy, sparse_categorical_accuracy, sparse_top_k_categorical_accuracy,
                       top_k_categorical_accuracy)
from .base import Mean, MeanMetricWrapper, Metric, Sum
from .confusion import AUC, Precision, Recall
from .of_losses import (BinaryCrossentropy, CategoricalCrossentropy, KLDivergence, MeanAbsoluteError, MeanSquaredError,
                        Perplexity, RootMeanSquaredError, SparseCategoricalCrossentropy)

_FIX = "metrics.MeanMetricWrapper of a function of (y_true, y_pred), or a subclass of metrics.Metric"
_REFUSED = (
    ("BinaryIoU IoU MeanIoU OneHotIoU OneHotMeanIoU", "it is for images", _FIX),
    ("F1Score FBetaScore FalseNegatives FalsePositives PrecisionAtRecall RecallAtPrecision SensitivityAtSpecificity "
     "SpecificityAtSensitivity TrueNegatives TruePositives", "it is not implemented",
     "metrics.Precision, metrics.Recall, metrics.AUC and the counts that these have as variables"),
    ("CategoricalHinge CosineSimilarity Hinge LogCoshError MeanAbsolutePercentageError MeanSquaredLogarithmicError "
     "Poisson SquaredHinge binary_focal_crossentropy categorical_focal_crossentropy categorical_hinge hinge log_cosh "
     "mean_absolute_percentage_error mean_squared_logarithmic_error poisson squared_hinge", "it is not implemented",
     _FIX),
    ("ConcordanceCorrelation PearsonCorrelation R2Score concordance_correlation pearson_correlation",
     "it is not implemented", "NumPy on what model.predict(x) gives"),
)
__getattr__ = Absent("metrics", *_REFUSED)

_MEMBERS = (AUC, Accuracy, BinaryAccuracy, BinaryCrossentropy, CategoricalAccuracy, CategoricalCrossentropy,
            KLDivergence, Mean, MeanAbsoluteError, MeanMetricWrapper, MeanSquaredError, Metric, Perplexity, Precision,
            Recall, RootMeanSquaredError, SparseCategoricalAccuracy, SparseCategoricalCrossentropy,
            SparseTopKCategoricalAccuracy, Sum, TopKCategoricalAccuracy)
_FUNCTIONS = (binary_accuracy, binary_crossentropy, categorical_accuracy, categorical_crossentropy, huber,
              kl_divergence, mean_absolute_error, mean_squared_error, sparse_categorical_accuracy,
              sparse_categorical_crossentropy, sparse_top_k_categorical_accuracy, top_k_categorical_accuracy)
_FAMILY = Family("metrics", _MEMBERS, {
    "bce": BinaryCrossentropy, "BCE": BinaryCrossentropy, "mae": MeanAbsoluteError, "MAE": MeanAbsoluteError,
    "mse": MeanSquaredError, "MSE": MeanSquaredError, "auc": AUC},
    {name: why for names, why, _ in _REFUSED for name in names.split()})
__all__ = sorted([f.__name__ for f in (*_MEMBERS, *_FUNCTIONS)] + ["deserialize", "get", "resolve", "serialize"])


def get(identifier: Any) -> Any:
    """A metric from its name, class or configuration; a function, an object and None are returned as they are.

    >>> get("mse"), get({"class_name": "AUC", "config": {"curve": "PR"}}).curve
    (<MeanSquaredError mean_squared_error>, 'PR')

    Raises NotSupported for an unknown name.
    """
    return _FAMILY.get(identifier)


def serialize(metric: Any) -> Any:
    """The configuration of a metric, as Keras writes it.

    >>> serialize(BinaryAccuracy())["config"]
    {'name': 'binary_accuracy', 'dtype': None, 'threshold': 0.5}
    """
    return _FAMILY.serialize(metric)


def deserialize(config: Any, custom_objects: Optional[dict] = None) -> Any:
    """The metric of such a configuration.

    >>> deserialize(serialize(BinaryAccuracy(threshold=0.25)))._options
    {'threshold': 0.25}
    """
    return _FAMILY.deserialize(config, custom_objects)


def resolve(identifier: Any, y_true: Any, y_pred: Any) -> Metric:
    """The metric that `compile(metrics=[identifier])` means for targets and predictions of these shapes, as in Keras.

    "accuracy" or "acc" is binary if y_pred has a last axis of length 1, sparse categorical if y_true has fewer axes or
    a last one of length 1, else categorical.  A metric of a name has this name; a function becomes a mean of its name.

    >>> import numpy as np
    >>> resolve("acc", np.zeros(2), np.zeros((2, 3))), resolve("mse", np.zeros(2), np.zeros(2))
    (<SparseCategoricalAccuracy acc>, <MeanSquaredError mse>)
    """
    if isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc"):
        found = (BinaryAccuracy if is_binary(y_pred) else SparseCategoricalAccuracy if is_sparse(y_true, y_pred)
                 else CategoricalAccuracy)()
    else:
        found = get(identifier)
    if not isinstance(found, Metric):
        found = MeanMetricWrapper(found, name_of(found))
    if isinstance(identifier, str):
        found.name = identifier
    return found
