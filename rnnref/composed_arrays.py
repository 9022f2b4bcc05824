"""Operations of keras.ops on arrays that are made of those of the table, and so have their gradients from them."""
import builtins
from functools import wraps
from typing import Any, Callable, Optional, Sequence

import numpy

from .arrays import is_floating, namespace
from .creation import convert_to_tensor
from .errors import NotSupported
from .symbols import called, is_symbolic
from .values import functions as table, numbers

Array = Any


def composed(function: Callable) -> Callable:
    """Of symbols, one call of the whole; of anything else, the operations that it is made of."""
    @wraps(function)
    def operation(*args: Any, **options: Any) -> Any:
        if is_symbolic((args, options)):
            return called(operation, args, options)
        return function(*args, **options)
    return operation


# joining and splitting

@composed
def append(x1: Array, x2: Array, axis: Optional[int] = None) -> Array:
    """x2 after x1 along `axis`, or both flat.

    >>> append([1.0], [2.0, 3.0])
    array([1., 2., 3.], dtype=float32)
    """
    return table.concatenate([table.ravel(x1), table.ravel(x2)] if axis is None else [x1, x2], axis or 0)


@composed
def vstack(xs: Sequence) -> Array:
    """Arrays joined along the first axis; those with one axis are rows.

    >>> vstack([[1.0, 2.0], [3.0, 4.0]])
    array([[1., 2.],
           [3., 4.]], dtype=float32)
    """
    xs = [convert_to_tensor(x) for x in xs]
    return table.concatenate([table.reshape(x, (1, -1)) if len(x.shape) < 2 else x for x in xs], 0)


@composed
def hstack(xs: Sequence) -> Array:
    """Arrays joined along the second axis, or along the only one.

    >>> hstack([[1.0, 2.0], [3.0]])
    array([1., 2., 3.], dtype=float32)
    """
    xs = [convert_to_tensor(x) for x in xs]
    xs = [table.ravel(x) if not x.shape else x for x in xs]
    return table.concatenate(xs, min(1, len(xs[0].shape) - 1))


@composed
def dstack(xs: Sequence) -> Array:
    """Arrays joined along the third axis.

    >>> dstack([[1.0], [2.0]])
    array([[[1., 2.]]], dtype=float32)
    """
    xs = [convert_to_tensor(x) for x in xs]
    xs = [table.expand_dims(x, 0) if len(x.shape) == 1 else x for x in xs]
    return table.concatenate([table.expand_dims(x, -1) if len(x.shape) == 2 else x for x in xs], 2)


@composed
def vsplit(x: Array, indices_or_sections: Any) -> tuple:
    """`split` along the first axis.

    >>> vsplit([[1.0], [2.0]], 2)[1]
    array([[2.]], dtype=float32)
    """
    return table.split(x, indices_or_sections, 0)


@composed
def hsplit(x: Array, indices_or_sections: Any) -> tuple:
    """`split` along the second axis, or along the only one.

    >>> hsplit([[1.0, 2.0]], 2)[1]
    array([[2.]], dtype=float32)
    """
    x = convert_to_tensor(x)
    return table.split(x, indices_or_sections, min(1, len(x.shape) - 1))


@composed
def dsplit(x: Array, indices_or_sections: Any) -> tuple:
    """`split` along the third axis.

    >>> dsplit([[[1.0, 2.0]]], 2)[1]
    array([[[2.]]], dtype=float32)
    """
    return table.split(x, indices_or_sections, 2)


@composed
def slice(inputs: Array, start_indices: Sequence[int], shape: Sequence[int]) -> Array:
    """The block of this shape from `start_indices` on; -1 in `shape` is all that is left.

    >>> slice([1.0, 2.0, 3.0], [1], [2])
    array([2., 3.], dtype=float32)
    """
    inputs = convert_to_tensor(inputs)
    key = []
    for start, n, whole in zip(start_indices, shape, inputs.shape, strict=True):
        start, stop = int(start), whole if n == -1 else int(start) + int(n)
        if not 0 <= start <= stop <= whole:
            raise ValueError(f"from {start} to {stop} is not within an axis of {whole}")
        key.append(builtins.slice(start, stop))
    return table.get_item(inputs, tuple(key))


@composed
def fliplr(x: Array) -> Array:
    """`flip` along the second axis.

    >>> fliplr([[1.0, 2.0]])
    array([[2., 1.]], dtype=float32)
    """
    return table.flip(x, 1)


@composed
def flipud(x: Array) -> Array:
    """`flip` along the first axis.

    >>> flipud([1.0, 2.0])
    array([2., 1.], dtype=float32)
    """
    return table.flip(x, 0)


@composed
def meshgrid(*x: Array, indexing: str = "xy") -> tuple:
    """Each of some vectors broadcast to the grid of all.

    >>> meshgrid([1.0, 2.0], [3.0])[0]
    array([[1., 2.]], dtype=float32)
    """
    if indexing not in ("xy", "ij"):
        raise NotSupported("ops.meshgrid", f"indexing={indexing!r}", known="'xy', 'ij'")
    arrays = [convert_to_tensor(a) for a in x]
    sizes, n = [a.size for a in arrays], len(arrays)
    found = []
    for k, a in enumerate(arrays):
        a = table.reshape(a, [-1 if j == k else 1 for j in range(n)])
        a = table.broadcast_to(a, tuple(sizes))
        found.append(table.swapaxes(a, 0, 1) if indexing == "xy" and n > 1 else a)
    return tuple(found)


@composed
def diff(a: Array, n: int = 1, axis: int = -1) -> Array:
    """The differences of neighbours along `axis`, n times over.

    >>> diff([1.0, 4.0, 9.0])
    array([3., 5.], dtype=float32)
    """
    a = convert_to_tensor(a)
    for _ in range(n):
        lead = (builtins.slice(None),) * (axis % len(a.shape))
        later, sooner = ((*lead, builtins.slice(1, None)), (*lead, builtins.slice(None, -1)))
        a = table.subtract(table.get_item(a, later), table.get_item(a, sooner))
    return a


# choosing

@composed
def diag(x: Array, k: int = 0) -> Array:
    """The diagonal of a matrix, or the matrix with this diagonal and zeros elsewhere.

    >>> diag([1.0, 2.0])
    array([[1., 0.],
           [0., 2.]], dtype=float32)
    """
    x = convert_to_tensor(x)
    if len(x.shape) != 1:
        return table.diagonal(x, k)
    rows = namespace(numbers(x)).arange(x.shape[0]) - min(k, 0)
    places = namespace(rows).stack([rows, rows + k], -1)
    return table.scatter(places, x, (x.shape[0] + abs(k),) * 2)


@composed
def diagflat(x: Array, k: int = 0) -> Array:
    """The matrix with the entries of x on its diagonal.

    >>> diagflat([[3.0]])
    array([[3.]], dtype=float32)
    """
    return diag(table.ravel(x), k)


@composed
def select(condlist: Sequence, choicelist: Sequence, default: Any = 0) -> Array:
    """Entry by entry, the choice beside the first condition that is true.

    >>> select([[True, False], [True, True]], [[1.0, 2.0], [3.0, 4.0]])
    array([1., 4.], dtype=float32)
    """
    found = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        found = table.where(condition, choice, found)
    return found


# numbers

@composed
def deg2rad(x: Array) -> Array:
    """Degrees as radians.

    >>> deg2rad([180.0])
    array([3.1415927], dtype=float32)
    """
    return table.multiply(convert_to_tensor(x), 3.141592653589793 / 180)


@composed
def rad2deg(x: Array) -> Array:
    """Radians as degrees.

    >>> rad2deg([0.0])
    array([0.], dtype=float32)
    """
    return table.multiply(convert_to_tensor(x), 180 / 3.141592653589793)


@composed
def saturate_cast(x: Array, dtype: Any) -> Array:
    """x in another dtype, limited to what that can hold.

    >>> saturate_cast([300.0, -1.0], "uint8")
    array([255,   0], dtype=uint8)
    """
    kind = numpy.dtype(dtype)
    if kind == "bool":
        return table.cast(x, dtype)
    info: Any = numpy.finfo(kind) if is_floating(kind) else numpy.iinfo(kind)
    return table.cast(table.clip(x, info.min, info.max), dtype)


@composed
def isclose(x1: Array, x2: Array, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Array:
    """Whether |x1 - x2| <= atol + rtol |x2|.

    >>> isclose([1.0], [1.000001])
    array([ True])
    """
    a, b = numbers((convert_to_tensor(x1), convert_to_tensor(x2)))
    return namespace(a, b).isclose(a, b, rtol, atol, equal_nan)


@composed
def allclose(x1: Array, x2: Array, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Array:
    """Whether `isclose` is true of all.

    >>> bool(allclose([1.0], [1.000001]))
    True
    """
    return isclose(x1, x2, rtol, atol, equal_nan).all()
