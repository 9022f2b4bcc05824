"""Sums, means and norms of keras.ops that are made of operations of the table."""
from typing import Any, Callable

from .composed_arrays import composed, diff
from .creation import convert_to_tensor
from .errors import NotSupported
from .values import functions as table

Array = Any


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
    """The norm of vectors: sum(|x|^ord)^(1 / ord), with ord 2 by default; over all entries for axis=None.

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
        square = table.sum(table.square(x), axis, keepdims)
        is_zero = table.equal(square, 0)          # there the slope of the root is infinite: it is taken as 0
        return table.where(is_zero, 0, table.sqrt(table.where(is_zero, 1, square)))
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


# without NaN

def _without(fill: float, name: str) -> Callable:
    def operation(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
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
