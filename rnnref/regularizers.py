"""Regularizers with Keras's names: functions of a weight, or of outputs, that give a number to add to the loss.

>>> import numpy
>>> get("l2")(numpy.array([1.0, 2.0])).item(), L1L2(l1=1, l2=10)(numpy.array([1.0, -2.0])).item()
(0.05, 53.0)
"""
from math import isfinite
from typing import Any, Callable, Optional

from . import ops
from .errors import NotSupported, ShapeError, check_option
from .identifiers import Configured, Family

Array = Any


class Regularizer(Configured):
    """A function of one array, which gives a number.  A subclass defines `__call__`; and get_config, where the
    arguments of its constructor are not attributes of the same names."""

    def __call__(self, x: Array) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no __call__")


class L1L2(Regularizer):
    """l1 sum |x| + l2 sum x^2.

    >>> import numpy
    >>> L1L2(l1=0.5)(numpy.array([1.0, -2.0])).item()
    1.5
    """

    def __init__(self, l1: Optional[float] = 0.0, l2: Optional[float] = 0.0):
        self.l1, self.l2 = _factor(self, "l1", l1 or 0.0), _factor(self, "l2", l2 or 0.0)

    def __call__(self, x: Array) -> Array:
        terms = [self.l1 * ops.sum(ops.absolute(x))] if self.l1 else []
        terms += [self.l2 * ops.sum(ops.square(x))] if self.l2 else []
        return sum(terms[1:], terms[0]) if terms else ops.sum(ops.zeros_like(x))


class L1(L1L2):
    """l1 sum |x|; the gradient is 0 where x is.

    >>> L1(0.5)([1.0, -2.0]).item()
    1.5
    """

    def __init__(self, l1: Optional[float] = 0.01):
        super().__init__(l1=0.01 if l1 is None else l1)


class L2(L1L2):
    """l2 sum x^2, without the half that some put before it.

    >>> L2(0.5)([1.0, -2.0]).item()
    2.5
    """

    def __init__(self, l2: Optional[float] = 0.01):
        super().__init__(l2=0.01 if l2 is None else l2)


class OrthogonalRegularizer(Regularizer):
    """factor times the mean |cosine| between different rows (mode="rows") or columns of a matrix.

    >>> OrthogonalRegularizer(1.0)([[1.0, 0.0], [0.0, 2.0]]).item(), OrthogonalRegularizer(1.0)([[1.0], [2.0]]).item()
    (0.0, 1.0)

    Raises ShapeError for what is no matrix.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows"):
        self.factor = _factor(self, "factor", factor)
        self.mode = check_option("regularizers.OrthogonalRegularizer", "mode", mode, ("rows", "columns"))

    def __call__(self, x: Array) -> Array:
        x = ops.convert_to_tensor(x)
        if len(x.shape) != 2:
            raise ShapeError("regularizers.OrthogonalRegularizer", f"an array of shape {tuple(x.shape)}, expected a "
                             "matrix")
        x = ops.normalize(x if self.mode == "rows" else ops.transpose(x), axis=1)
        n = x.shape[0]
        other = ops.absolute(ops.triu(ops.matmul(x, ops.transpose(x)), k=1))
        return self.factor * ops.sum(other) / max(n * (n - 1) / 2, 1)


def _factor(who: Any, name: str, value: Any) -> float:
    """A number that is not negative."""
    if not isinstance(value, (int, float)) or not isfinite(value) or value < 0:
        raise NotSupported(f"regularizers.{type(who).__name__}", f"{name}={value!r}, expected a number, 0 or larger")
    return float(value)


_FAMILY = Family("regularizers", (L1, L2, L1L2, OrthogonalRegularizer), {"l1_l2": L1L2})
l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer           # Keras's other names
MEMBERS = _FAMILY.members


def get(identifier: Any) -> Optional[Callable]:
    """A regularizer from its name, class or configuration; a function and None are returned as they are.

    >>> get("l1"), get({"class_name": "L2", "config": {"l2": 0.5}}), get(None)
    (L1(l1=0.01), L2(l2=0.5), None)

    Raises NotSupported for an unknown name.
    """
    return _FAMILY.get(identifier)


def serialize(regularizer: Any) -> Any:
    """The configuration of a regularizer, as Keras writes it.

    >>> serialize(L2(0.5))
    {'module': 'keras.regularizers', 'class_name': 'L2', 'config': {'l2': 0.5}, 'registered_name': None}
    """
    return _FAMILY.serialize(regularizer)


def deserialize(config: Any, custom_objects: Optional[dict] = None) -> Any:
    """The regularizer of such a configuration.

    >>> deserialize(serialize(L2(0.5)))
    L2(l2=0.5)
    """
    return _FAMILY.deserialize(config, custom_objects)
