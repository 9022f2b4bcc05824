"""New arrays, and questions about arrays, as keras.ops has them: floats are float32 unless a dtype is given.

Arrays are made in main memory; ops.zeros_like, ones_like and full_like make them where another array is.
"""
from typing import Any, Optional, Sequence

import numpy

from .arrays import asnumpy, is_array
from .errors import NotSupported
from .values import Arraylike, functions

Array = Any


def convert_to_tensor(x: Any, dtype: Any = None, sparse: Any = None, ragged: Any = None) -> Array:
    """x as an array: lists and numbers are float32, int32 or bool; arrays, values and symbols stay as they are.

    >>> convert_to_tensor([1.0, 2.0]).dtype, convert_to_tensor([1, 2]).dtype
    (dtype('float32'), dtype('int32'))
    """
    if sparse or ragged:
        raise NotSupported("ops.convert_to_tensor", f"sparse={sparse}, ragged={ragged}", known="dense arrays")
    if not is_array(x) and not isinstance(x, Arraylike):
        x = numpy.asarray(x)
        x = x.astype({"float64": "float32", "int64": "int32"}.get(x.dtype.name, x.dtype))
    return x if dtype is None or x.dtype == dtype else functions.cast(x, dtype)


def array(x: Any, dtype: Any = None) -> Array:
    """`convert_to_tensor`.

    >>> array([1, 2], "float32")
    array([1., 2.], dtype=float32)
    """
    return convert_to_tensor(x, dtype)


def convert_to_numpy(x: Any) -> numpy.ndarray:
    """A copy of x in main memory, without a gradient.

    >>> convert_to_numpy([1.0])
    array([1.], dtype=float32)
    """
    return x.numpy() if isinstance(x, Arraylike) else numpy.array(asnumpy(convert_to_tensor(x)))


def is_tensor(x: Any) -> bool:
    """Whether x is an array, a value, a weight or a symbol.

    >>> is_tensor(numpy.ones(2)), is_tensor([1.0])
    (True, False)
    """
    return is_array(x) or isinstance(x, Arraylike)


def shape(x: Any) -> tuple:
    """The shape; None in it where a symbol takes any length.

    >>> shape(numpy.ones((2, 3)))
    (2, 3)
    """
    return tuple(convert_to_tensor(x).shape)


def ndim(x: Any) -> int:
    """The number of axes.

    >>> ndim(numpy.ones((2, 3)))
    2
    """
    return len(shape(x))


def size(x: Any) -> Optional[int]:
    """The number of entries.

    >>> size(numpy.ones((2, 3)))
    6
    """
    return convert_to_tensor(x).size


def dtype(x: Any) -> str:
    """The name of the dtype.

    >>> dtype(numpy.ones(2)), dtype(1.0)
    ('float64', 'float32')
    """
    return convert_to_tensor(x).dtype.name


def zeros(shape: Any, dtype: Any = None) -> Array:
    """Zeros in this shape.

    >>> zeros((1, 2))
    array([[0., 0.]], dtype=float32)
    """
    return numpy.zeros(shape, dtype or "float32")


def ones(shape: Any, dtype: Any = None) -> Array:
    """Ones in this shape.

    >>> ones(2)
    array([1., 1.], dtype=float32)
    """
    return numpy.ones(shape, dtype or "float32")


def empty(shape: Any, dtype: Any = None) -> Array:
    """Zeros in this shape, so that no run depends on what lay in memory.

    >>> empty(2)
    array([0., 0.], dtype=float32)
    """
    return zeros(shape, dtype)


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Array:
    """`fill_value` in this shape; float32 unless a dtype is given, as in Keras.

    >>> full(2, 7)
    array([7., 7.], dtype=float32)
    """
    return numpy.full(shape, fill_value, dtype or "float32")


def eye(N: int, M: Optional[int] = None, k: int = 0, dtype: Any = None) -> Array:
    """[N, M] with ones where the column is the row + k.

    >>> eye(2)
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    return numpy.eye(N, M, k, dtype or "float32")


def identity(n: int, dtype: Any = None) -> Array:
    """The identity matrix.

    >>> identity(1)
    array([[1.]], dtype=float32)
    """
    return eye(n, dtype=dtype)


def tri(N: int, M: Optional[int] = None, k: int = 0, dtype: Any = None) -> Array:
    """[N, M] with ones where the column is at most the row + k.

    >>> tri(2)
    array([[1., 0.],
           [1., 1.]], dtype=float32)
    """
    return numpy.tri(N, M, k, dtype or "float32")


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Array:
    """start, start + step, ... before stop; int32 if all of these are integers, else float32.

    >>> arange(3), arange(0, 1, 0.5)
    (array([0, 1, 2], dtype=int32), array([0. , 0.5], dtype=float32))
    """
    start, stop = (0, start) if stop is None else (start, stop)
    found = numpy.arange(start, stop, 1 if step is None else step)
    return found.astype(dtype or {"float64": "float32", "int64": "int32"}.get(found.dtype.name, found.dtype))


def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None,
             axis: int = 0) -> Any:
    """`num` numbers in equal steps from start to stop.

    >>> linspace(0, 1, 3)
    array([0. , 0.5, 1. ], dtype=float32)
    """
    found: Any = numpy.linspace(start, stop, num, endpoint=endpoint, retstep=True, axis=axis)
    made: Any = found[0].astype(dtype or "float32")
    return (made, found[1]) if retstep else made


def nonzero(x: Any) -> tuple:
    """The indices of entries that are not 0, an array for each axis.  Their number depends on x.

    >>> nonzero([0, 3, 4])
    (array([1, 2]),)
    """
    x = convert_to_tensor(x)
    return (x._concrete("ops.nonzero") if isinstance(x, Arraylike) else x).nonzero()


def unravel_index(indices: Any, shape: Sequence[int]) -> tuple:
    """Indices of the flat array as an index for each axis.

    >>> unravel_index(numpy.array([3]), (2, 2))
    (array([1]), array([1]))
    """
    found = []
    for n in reversed(shape):
        found.append(indices % n)
        indices = indices // n
    return tuple(reversed(found))
