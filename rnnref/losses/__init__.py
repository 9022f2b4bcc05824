"""Losses with Keras's names: functions with a value for each row (and step), and classes that reduce these to a number.

    with Record(training=True) as record:
        loss = MeanSquaredError()(y, model(x))
    optimizer.apply(record.backward(loss), model.trainable_weights)

>>> import numpy as np
>>> get("mse")([[0.0]], [[2.0]]), float(get("MeanSquaredError")(np.zeros((1, 1)), np.full((1, 1), 2.0)))
(array([4.], dtype=float32), 4.0)
"""
from typing import Any, Optional

from ..absent import Absent
from ..identifiers import Family, name_of
from .base import Loss, LossFunctionWrapper
from .classes import (CTC, BinaryCrossentropy, CategoricalCrossentropy, Huber, KLDivergence, MeanAbsoluteError,
                      MeanSquaredError, SparseCategoricalCrossentropy)
from .functions import (binary_crossentropy, categorical_crossentropy, ctc, huber, kl_divergence, mean_absolute_error,
                        mean_squared_error, sparse_categorical_crossentropy)

_REFUSED = (
    ("BinaryFocalCrossentropy CategoricalFocalCrossentropy CategoricalGeneralizedCrossEntropy "
     "binary_focal_crossentropy categorical_focal_crossentropy categorical_generalized_cross_entropy",
     "it is not implemented",
     "a function of rnnref.ops, and class_weight or sample_weight for classes that are rare"),
    ("CategoricalHinge Hinge SquaredHinge categorical_hinge hinge squared_hinge", "it is not implemented",
     "lambda y, p: ops.mean(ops.maximum(1 - y * p, 0), axis=-1)"),
    ("Circle Dice Tversky circle dice tversky", "it is for images", "losses.BinaryCrossentropy"),
    ("CosineSimilarity cosine_similarity", "it is not implemented",
     "lambda y, p: -ops.sum(ops.normalize(y) * ops.normalize(p), axis=-1)"),
    ("LogCosh log_cosh", "it is not implemented", "losses.Huber, which is as smooth where errors are small"),
    ("MeanAbsolutePercentageError MeanSquaredLogarithmicError Poisson mean_absolute_percentage_error "
     "mean_squared_logarithmic_error poisson", "it is not implemented", "a function of rnnref.ops"),
)
__getattr__ = Absent("losses", *_REFUSED)

_FAMILY = Family("losses", (
    Loss, LossFunctionWrapper, BinaryCrossentropy, CTC, CategoricalCrossentropy, Huber, KLDivergence, MeanAbsoluteError,
    MeanSquaredError, SparseCategoricalCrossentropy, binary_crossentropy, categorical_crossentropy, ctc, huber,
    kl_divergence, mean_absolute_error, mean_squared_error, sparse_categorical_crossentropy),
    {"bce": binary_crossentropy, "BCE": binary_crossentropy, "kld": kl_divergence, "KLD": kl_divergence,
     "mae": mean_absolute_error, "MAE": mean_absolute_error, "mse": mean_squared_error, "MSE": mean_squared_error},
    {name: why for names, why, _ in _REFUSED for name in names.split()})

__all__ = sorted({m.__name__ for m in _FAMILY.members} | {"deserialize", "get", "resolve", "serialize"})


def get(identifier: Any) -> Any:
    """A loss from its name, class or configuration; a function, an object and None are returned as they are.

    >>> get("huber") is huber, get({"class_name": "Huber", "config": {"delta": 2.0}})
    (True, Huber(name='huber_loss', reduction='sum_over_batch_size', delta=2.0))

    Raises NotSupported for an unknown name.
    """
    return _FAMILY.get(identifier)


def serialize(loss: Any) -> Any:
    """The configuration of a loss, as Keras writes it.

    >>> serialize(MeanSquaredError())["config"]
    {'name': 'mean_squared_error', 'reduction': 'sum_over_batch_size'}
    """
    return _FAMILY.serialize(loss)


def deserialize(name: Any, custom_objects: Optional[dict] = None) -> Any:
    """The loss of such a configuration.

    >>> deserialize(serialize(Huber(2.0))).delta
    2.0
    """
    return _FAMILY.deserialize(name, custom_objects)


def is_binary(y_pred: Any) -> bool:
    """Whether predictions of this shape are one probability each."""
    return y_pred.shape[-1] == 1


def is_sparse(y_true: Any, y_pred: Any) -> bool:
    """Whether targets of this shape are indices of classes: they have fewer axes, or a last one of length 1."""
    return len(y_true.shape) < len(y_pred.shape) or y_true.shape[-1] == 1 < y_pred.shape[-1]


def resolve(identifier: Any, y_true: Any, y_pred: Any) -> Optional[Loss]:
    """The loss that `compile(loss=identifier)` means for targets and predictions of these shapes, as in Keras.

    "crossentropy" or "ce" is binary if y_pred has a last axis of length 1, sparse categorical if y_true has fewer axes
    or a last one of length 1, else categorical.  A function becomes a Loss with its name.

    >>> import numpy as np
    >>> resolve("crossentropy", np.zeros(2), np.zeros((2, 3))).fn.__name__, resolve("mse", np.ones(1), np.ones(1)).name
    ('sparse_categorical_crossentropy', 'mse')
    """
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        found = (binary_crossentropy if is_binary(y_pred) else sparse_categorical_crossentropy
                 if is_sparse(y_true, y_pred) else categorical_crossentropy)
    else:
        found = get(identifier)
    if found is None or isinstance(found, Loss):
        return found
    name = identifier if isinstance(identifier, str) else name_of(found)
    return LossFunctionWrapper(found, name=name)
