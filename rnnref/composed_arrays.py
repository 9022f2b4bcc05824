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


# sums and means

@composed
def average(x: Array, axis: Any = None, weights: Any = None) -> Array:
    """sum(weights x) / sum(weights) over `axis`, or the mean; weights [n] belong to an `axis` of n.

    >>> average([1.0, 4.0], weights=[2.0, 1.0])
    array(2., dtype=float32)
    """
    if weights is None:
        return table.mean(x, axis)
    x, weights = convert_to_tensor(x), convert_to_tensor(weights)
    if weights.shape != x.shape:
        weights = table.reshape(weights, [n if k == axis % len(x.shape) else 1 for k, n in enumerate(x.shape)])
        weights = table.broadcast_to(weights, x.shape)
    return table.divide(table.sum(table.multiply(x, weights), axis), table.sum(weights, axis))


@composed
def ptp(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """max - min over `axis`.

    >>> ptp([1.0, 4.0])
    array(3., dtype=float32)
    """
    return table.subtract(table.max(x, axis, keepdims), table.min(x, axis, keepdims))


@composed
def trace(x: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """The sum of a diagonal.

    >>> trace([[1.0, 2.0], [3.0, 4.0]])
    array(5., dtype=float32)
    """
    return table.sum(table.diagonal(x, offset, axis1, axis2), -1)


@composed
def vdot(x1: Array, x2: Array) -> Array:
    """The sum of products of the flat arrays.

    >>> vdot([1.0, 2.0], [3.0, 4.0])
    array(11., dtype=float32)
    """
    return table.dot(table.ravel(x1), table.ravel(x2))


@composed
def norm(x: Array, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Array:
    """The norm of vectors: sum(|x|^ord)^(1 / ord), 2 unless told otherwise; over all entries for axis=None.

    Infinity is the largest |x|; of matrices there is "fro" alone, over two axes or all.

    >>> norm([3.0, 4.0])
    array(5., dtype=float32)
    """
    x = convert_to_tensor(x)
    axes = range(len(x.shape)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    if isinstance(ord, str) and ord != "fro" or len(axes) > 1 and ord not in (None, "fro"):
        raise NotSupported("ops.norm", f"ord={ord!r} over {len(axes)} axes",
                           known="a number over one axis; None and 'fro' over several")
    if ord in (None, "fro", 2):
        return table.sqrt(table.sum(table.square(x), axis, keepdims))
    if ord in (float("inf"), -float("inf")):
        return (table.max if ord > 0 else table.min)(table.absolute(x), axis, keepdims)
    if ord == 0:
        return table.cast(table.sum(table.not_equal(x, 0), axis, keepdims), x.dtype)
    return table.power(table.sum(table.power(table.absolute(x), ord), axis, keepdims), 1 / ord)


@composed
def moments(x: Array, axes: Any, keepdims: bool = False, synchronized: bool = False) -> tuple:
    """mean, variance over `axes`.

    >>> moments([1.0, 3.0], [0])
    (array(2., dtype=float32), array(1., dtype=float32))
    """
    if synchronized:
        raise NotSupported("ops.moments", "synchronized=True: there is one process")
    return table.mean(x, axes, keepdims), table.var(x, axes, keepdims)


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


@composed
def trapezoid(y: Array, x: Any = None, dx: float = 1.0, axis: int = -1) -> Array:
    """The integral of y along `axis` by trapezoids, at places x or in steps dx.

    >>> trapezoid([1.0, 3.0])
    array(2., dtype=float32)
    """
    y = table.moveaxis(y, axis, -1)
    step = dx if x is None else diff(x, axis=axis if len(convert_to_tensor(x).shape) > 1 else -1)
    if x is not None and len(convert_to_tensor(x).shape) > 1:
        step = table.moveaxis(step, axis, -1)
    return table.sum(table.multiply(table.add(y[..., 1:], y[..., :-1]), table.multiply(step, 0.5)), -1)


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


# without NaN

def _without(fill: float, name: str) -> Callable:
    def operation(x, axis=None, keepdims=False):
        return getattr(table, name)(table.where(table.isnan(x), fill, x), axis, keepdims)
    return operation


@composed
def nansum(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """The sum of what is not NaN.

    >>> nansum([1.0, float("nan")])
    array(1., dtype=float32)
    """
    return _without(0.0, "sum")(x, axis, keepdims)


@composed
def nanprod(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """The product of what is not NaN.

    >>> nanprod([2.0, float("nan")])
    array(2., dtype=float32)
    """
    return _without(1.0, "prod")(x, axis, keepdims)


@composed
def nanmax(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """The largest of what is not NaN.

    >>> nanmax([2.0, float("nan")])
    array(2., dtype=float32)
    """
    return _without(-float("inf"), "max")(x, axis, keepdims)


@composed
def nanmin(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """The smallest of what is not NaN.

    >>> nanmin([2.0, float("nan")])
    array(2., dtype=float32)
    """
    return _without(float("inf"), "min")(x, axis, keepdims)


@composed
def nanmean(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """The mean of what is not NaN.

    >>> nanmean([2.0, float("nan")])
    array(2., dtype=float32)
    """
    x = convert_to_tensor(x)
    count = table.sum(table.logical_not(table.isnan(x)), axis, keepdims)
    return table.divide(nansum(x, axis, keepdims), table.cast(count, x.dtype))


@composed
def nanvar(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """The variance of what is not NaN.

    >>> nanvar([2.0, 4.0, float("nan")])
    array(1., dtype=float32)
    """
    x = convert_to_tensor(x)
    live = table.logical_not(table.isnan(x))      # NaN is replaced before it is squared: its gradient is 0
    off = table.where(live, table.subtract(table.where(live, x, 0.0), nanmean(x, axis, True)), 0.0)
    count = table.cast(table.sum(live, axis, keepdims), x.dtype)
    return table.divide(table.sum(table.square(off), axis, keepdims), count)


@composed
def nanstd(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """The standard deviation of what is not NaN.

    >>> nanstd([2.0, 4.0, float("nan")])
    array(1., dtype=float32)
    """
    return table.sqrt(nanvar(x, axis, keepdims))


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
