"""Optimizers with Keras's names: rules by which gradients change weights.

    with Record(training=True) as record:
        loss = loss_fn(y, model(x))
    optimizer.apply(record.backward(loss), model.trainable_weights)

>>> get("adam"), get({"class_name": "SGD", "config": {"learning_rate": 0.5}}).learning_rate.numpy()
(<Adam adam..., 0 iterations>, array(0.5))
"""
from typing import Any, Optional

from ..absent import Absent
from ..errors import NotSupported, describe_type
from ..identifiers import Family
from . import schedules
from .adagrad import Adagrad
from .adam import Adam, AdamW
from .base import Optimizer
from .lion import Lion
from .rmsprop import RMSprop
from .sgd import SGD

_REFUSED = (
    ("Adadelta Adafactor Adamax Ftrl Lamb Muon Nadam ScheduleFreeAdamW", "it is not implemented",
     "optimizers.Adam, or a subclass of optimizers.Optimizer with slots and update"),
    ("LossScaleOptimizer", "the scale is an option of every optimizer", "loss_scale_factor="),
    ("MultiOptimizer OptimizerMap", "it is not implemented",
     "an optimizer for each list of weights: optimizer.apply(gradients, weights)"),
    ("legacy", "Keras 3 itself refuses them", "the optimizer of the same name in rnnref.optimizers"),
)
__getattr__ = Absent("optimizers", *_REFUSED)

_MEMBERS = (Optimizer, SGD, RMSprop, Adagrad, Adam, AdamW, Lion)
_FAMILY = Family("optimizers", _MEMBERS, {m.__name__.lower(): m for m in _MEMBERS},
                 {name: why for names, why, _ in _REFUSED for name in (*names.split(), *names.lower().split())})
__all__ = sorted([m.__name__ for m in _MEMBERS] + ["deserialize", "get", "schedules", "serialize"])


def get(identifier: Any) -> Optional[Optimizer]:
    """An optimizer from its name, class or configuration; an optimizer and None are returned as they are.

    >>> get("RMSprop").rho
    0.9
    >>> adam = Adam(0.01)
    >>> get(adam) is adam
    True

    Raises NotSupported for an unknown name.
    """
    if isinstance(identifier, Optimizer):
        return identifier
    found = _FAMILY.get(identifier.lower() if isinstance(identifier, str) else identifier)
    if found is not None and not isinstance(found, Optimizer):
        raise NotSupported("optimizers", f"{describe_type(found)}, {found!r}", known="a name, a configuration, a "
                           "class of optimizers or an optimizer of rnnref.optimizers")
    return found


def serialize(optimizer: Any) -> Any:
    """The configuration of an optimizer, as Keras writes it, without its variables.

    >>> serialize(SGD(0.5))["config"]["learning_rate"]
    0.5
    """
    return _FAMILY.serialize(optimizer)


def deserialize(config: Any, custom_objects: Optional[dict] = None) -> Any:
    """The optimizer of such a configuration.

    >>> deserialize(serialize(Adam(beta_1=0.5))).beta_1
    0.5
    """
    return _FAMILY.deserialize(config, custom_objects)
