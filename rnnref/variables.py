"""Variables: arrays by name that metrics and optimizers change, with the methods of Keras's."""
from typing import Any, Optional

import numpy

from .arrays import is_array, namespace
from .errors import ShapeError
from .values import Arraylike

Array = Any


class Variable(Arraylike):
    """An array with a name.  Operations and functions of NumPy take it as an array without a gradient.

    It is where what is added to it is: one that is new has no place yet, and goes to the device of the first.

    >>> v = Variable(numpy.zeros(2, "float32"), "total")
    >>> v.assign_add([1, 2])
    >>> v.numpy(), float((v * 2).sum())
    (array([1., 2.], dtype=float32), 6.0)
    """

    trainable = False

    def __init__(self, data: Array, name: str, path: Optional[str] = None):
        self.name, self.path, self.key = name, path or name, object()
        self._data, self._new = numpy.asarray(data), True

    data = property(lambda self: self._data)
    value = data

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path} {tuple(self.shape)} {self.dtype}>"

    def assign(self, a: Any) -> None:
        """Replace the array by `a`, in the same dtype."""
        a = self._array(a)
        if a.shape != self.shape:
            raise ShapeError(self.path, f"assigned an array of shape {a.shape}, expected {self.shape}")
        self._put(a.astype(self.dtype))

    def assign_add(self, a: Any) -> None:
        """Add `a` to it."""
        a = self._array(a)
        if self._new and namespace(a) is not numpy:
            self._data = namespace(a).asarray(self._data) if self._data.any() else namespace(a).zeros(self.shape,
                                                                                                      self.dtype)
        namespace(self.data, a)                   # both on one device
        self.assign(self.data + a)

    def reset(self) -> None:
        """Fill with zeros; the next sum decides the device."""
        self._data, self._new = numpy.zeros(self.shape, self.dtype), True

    def assign_sub(self, a: Any) -> None:
        """Subtract `a` from it."""
        self.assign_add(-self._array(a))

    def _array(self, a: Any) -> Array:
        a = a.data if isinstance(a, Arraylike) else a
        return a if is_array(a) else numpy.asarray(a)

    def _put(self, a: Array) -> None:
        self._data, self._new = a, False
