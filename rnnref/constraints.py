"""Constraints with Keras's names: functions of a weight that an optimizer applies after every update.

The norm of a weight is taken over `axis`: 0, the default, is the norm of all weights into one unit of a Dense.

>>> import numpy
>>> get("non_neg")(numpy.array([-1.0, 2.0])), MaxNorm(1.0)(numpy.array([[3.0], [4.0]])).round(3).tolist()
(array([0., 2.]), [[0.6], [0.8]])
"""
from typing import Any, Callable, Optional, Union

from . import ops
from .errors import NotSupported
from .identifiers import Configured, Family

Array = Any
EPSILON = 1e-7                                    # added to norms, as in Keras


class Constraint(Configured):
    """A function of one array, which gives another of its shape.  A subclass defines `__call__`; and get_config, where
    the arguments of its constructor are not attributes of the same names."""

    def __call__(self, w: Array) -> Array:
        raise NotImplementedError(f"{type(self).__name__} defines no __call__")


class NonNeg(Constraint):
    """max(w, 0).

    >>> NonNeg()([-1.0, 2.0])
    array([0., 2.], dtype=float32)
    """

    def __call__(self, w: Array) -> Array:
        return ops.maximum(ops.convert_to_tensor(w), 0)


class UnitNorm(Constraint):
    """w / (1e-7 + |w|).

    >>> UnitNorm()([[3.0], [4.0]]).round(3).tolist()
    [[0.6000000238418579], [0.800000011920929]]
    """

    def __init__(self, axis: Union[int, list] = 0):
        self.axis = _axes(self, axis)

    def __call__(self, w: Array) -> Array:
        w = ops.convert_to_tensor(w)
        return w / (EPSILON + _norm(w, self.axis))


class MaxNorm(Constraint):
    """w min(|w|, max_value) / (1e-7 + |w|).

    >>> MaxNorm(10.0)([[3.0], [4.0]]).round(3).tolist()
    [[3.0], [4.0]]
    """

    def __init__(self, max_value: float = 2, axis: Union[int, list] = 0):
        self.max_value, self.axis = _number(self, "max_value", max_value), _axes(self, axis)

    def __call__(self, w: Array) -> Array:
        w = ops.convert_to_tensor(w)
        norm = _norm(w, self.axis)
        return w * (ops.clip(norm, 0, self.max_value) / (EPSILON + norm))


class MinMaxNorm(Constraint):
    """w (rate clip(|w|, min_value, max_value) + (1 - rate) |w|) / (1e-7 + |w|).

    >>> MinMaxNorm(min_value=10.0, max_value=20.0)([[3.0], [4.0]]).round(3).tolist()
    [[6.0], [8.0]]
    """

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Union[int, list] = 0):
        self.min_value, self.max_value = _number(self, "min_value", min_value), _number(self, "max_value", max_value)
        self.rate, self.axis = _number(self, "rate", rate), _axes(self, axis)

    def __call__(self, w: Array) -> Array:
        w = ops.convert_to_tensor(w)
        norm = _norm(w, self.axis)
        wanted = self.rate * ops.clip(norm, self.min_value, self.max_value) + (1 - self.rate) * norm
        return w * (wanted / (EPSILON + norm))


def _norm(w: Array, axis: Any) -> Array:
    return ops.sqrt(ops.sum(ops.square(w), axis=axis, keepdims=True))


def _axes(who: Any, axis: Any) -> Any:
    if not hasattr(axis, "__index__") and not isinstance(axis, (list, tuple)):
        raise NotSupported(f"constraints.{type(who).__name__}", f"axis={axis!r}, expected an integer or a list of them")
    return axis


def _number(who: Any, name: str, value: Any) -> Any:
    if not isinstance(value, (int, float)) or value < 0:
        raise NotSupported(f"constraints.{type(who).__name__}", f"{name}={value!r}, expected a number, 0 or larger")
    return value


_FAMILY = Family("constraints", (MaxNorm, MinMaxNorm, NonNeg, UnitNorm), {"nonneg": NonNeg})
max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm    # Keras's other names
MEMBERS = _FAMILY.members


def get(identifier: Any) -> Optional[Callable]:
    """A constraint from its name, class or configuration; a function and None are returned as they are.

    >>> get("max_norm"), get({"class_name": "UnitNorm", "config": {"axis": 1}}), get(None)
    (MaxNorm(max_value=2, axis=0), UnitNorm(axis=1), None)

    Raises NotSupported for an unknown name.
    """
    return _FAMILY.get(identifier)


def serialize(constraint: Any) -> Any:
    """The configuration of a constraint, as Keras writes it.

    >>> serialize(UnitNorm())
    {'module': 'keras.constraints', 'class_name': 'UnitNorm', 'config': {'axis': 0}, 'registered_name': None}
    """
    return _FAMILY.serialize(constraint)


def deserialize(config: Any, custom_objects: Optional[dict] = None) -> Any:
    """The constraint of such a configuration.

    >>> deserialize(serialize(MaxNorm(3)))
    MaxNorm(max_value=3, axis=0)
    """
    return _FAMILY.deserialize(config, custom_objects)
