"""Pairs over axes: sums, means, extremes, softmax, cumulative sums.

`kept` of a reduction ends in (shape, axis, keepdims) of what was reduced.
"""
from typing import Any

import numpy

from ..arrays import Array, namespace
from .table import Op, constant, single


def spread(d: Any, shape: tuple, axis: Any, keepdims: bool) -> Any:
    """What was reduced, broadcast to the shape that went in."""
    if not keepdims:
        d = d.reshape([1 if k in _axes(axis, len(shape)) else n for k, n in enumerate(shape)])
    return namespace(d).broadcast_to(d, shape)


def _axes(axis: Any, ndim: int) -> tuple:
    if axis is None:
        return tuple(range(ndim))
    return tuple(k % ndim for k in (axis if isinstance(axis, (tuple, list)) else (axis,)))


def _one(axis: Any) -> Any:
    """Axes as NumPy takes them: lists, too, are tuples."""
    return tuple(axis) if isinstance(axis, list) else axis


def _dropped(y: Any, axis: Any, keepdims: bool) -> Any:
    """A result that was computed with keepdims=True."""
    if keepdims:
        return y
    gone = _axes(axis, y.ndim)
    return y.reshape([n for k, n in enumerate(y.shape) if k not in gone])


def by_slope(kept: Any, dy: Array) -> Any:
    slope, how = kept
    return spread(dy, *how) * slope


def total(x: Array, axis: Any = None, keepdims: bool = False) -> tuple:
    axis = _one(axis)
    return x.sum(axis=axis, keepdims=keepdims), (x.shape, axis, keepdims)


def mean(x: Array, axis: Any = None, keepdims: bool = False) -> tuple:
    axis = _one(axis)
    y = x.mean(axis=axis, keepdims=keepdims)
    return y, (y.size / max(x.size, 1), (x.shape, axis, keepdims))


def var(x: Array, axis: Any = None, keepdims: bool = False) -> tuple:
    axis = _one(axis)
    off = x - x.mean(axis=axis, keepdims=True)
    y = (off * off).mean(axis=axis, keepdims=keepdims)
    return y, (2 * y.size / max(x.size, 1) * off, (x.shape, axis, keepdims))


def std(x: Array, axis: Any = None, keepdims: bool = False) -> tuple:
    axis = _one(axis)
    off = x - x.mean(axis=axis, keepdims=True)
    root = namespace(x).sqrt((off * off).mean(axis=axis, keepdims=True))
    slope = root.size / max(x.size, 1) * off / namespace(x).where(root == 0, 1, root)      # of equals it is taken as 0
    return _dropped(root, axis, keepdims), (slope, (x.shape, axis, keepdims))


def prod(x: Array, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> tuple:
    """The gradient takes the other factors by running products from both ends, so that a zero does no harm."""
    axis, how = _one(axis), (x.shape, _one(axis), keepdims)
    xp = namespace(x)
    axes = _axes(axis, x.ndim)
    order = [k for k in range(x.ndim) if k not in axes] + list(axes)
    rest = [x.shape[k] for k in order[:x.ndim - len(axes)]]
    moved = x.transpose(order).reshape(*rest, int(numpy.prod([x.shape[k] for k in axes], dtype=int)))
    return x.prod(axis=axis, keepdims=keepdims, dtype=dtype), (xp, moved, order, how, x.dtype)


def d_prod(kept: Any, dy: Array) -> Array:
    xp, moved, order, how, dtype = kept
    others = xp.ones_like(moved)
    for k in range(moved.shape[-1] - 1):
        others[..., k + 1] = others[..., k] * moved[..., k]
    after = xp.ones(moved.shape[:-1], moved.dtype)
    for k in reversed(range(moved.shape[-1])):
        others[..., k] = others[..., k] * after
        after = after * moved[..., k]
    others = others.reshape([how[0][k] for k in order]).transpose(sorted(range(len(order)), key=order.__getitem__))
    return (spread(dy, *how) * others).astype(dtype)


def largest(x: Array, axis: Any = None, keepdims: bool = False, initial: Any = None) -> tuple:
    axis = _one(axis)
    y = x.max(axis=axis, keepdims=True)
    at = (x == y).astype(x.dtype)
    at = at / at.sum(axis=axis, keepdims=True)    # equals share
    if initial is not None:
        at, y = at * (y > initial), namespace(x).maximum(y, initial)
    return _dropped(y, axis, keepdims), (at, (x.shape, axis, keepdims))


def smallest(x: Array, axis: Any = None, keepdims: bool = False, initial: Any = None) -> tuple:
    y, kept = largest(-x, axis, keepdims, None if initial is None else -initial)
    return -y, kept


def _top(x: Array, axis: Any) -> Any:
    """The largest entry along axes, which are kept; -infinity of none."""
    if x.size:
        return x.max(axis=axis, keepdims=True)
    return namespace(x).full_like(x.sum(axis=axis, keepdims=True), -numpy.inf)


def logsumexp(x: Array, axis: Any = None, keepdims: bool = False) -> tuple:
    axis, xp = _one(axis), namespace(x)
    top = _top(x, axis)
    top = xp.where(xp.isfinite(top), top, 0)      # of nothing but -infinity: -infinity, and no NaN
    e = xp.exp(x - top)
    whole = e.sum(axis=axis, keepdims=True)
    nothing = whole == 0
    y = xp.where(nothing, -xp.inf, xp.log(xp.where(nothing, 1, whole)) + top).astype(x.dtype)
    return _dropped(y, axis, keepdims), (e / xp.where(nothing, 1, whole), (x.shape, axis, keepdims))


def softmax(x: Array, axis: Any = -1) -> tuple:
    axis = _one(axis)
    e = namespace(x).exp(x - _top(x, axis))
    y = e / e.sum(axis=axis, keepdims=True)
    return y, (y, axis)


def d_softmax(kept: Any, dy: Array) -> Array:
    y, axis = kept
    return y * (dy - (dy * y).sum(axis=axis, keepdims=True))


def log_softmax(x: Array, axis: Any = -1) -> tuple:
    axis = _one(axis)
    if not x.size:
        return x, (x, axis)
    off = x - x.max(axis=axis, keepdims=True)
    y = off - namespace(x).log(namespace(x).exp(off).sum(axis=axis, keepdims=True))
    return y, (y, axis)


def d_log_softmax(kept: Any, dy: Array) -> Array:
    y, axis = kept
    return dy - namespace(y).exp(y) * dy.sum(axis=axis, keepdims=True)


def sparsemax(x: Array, axis: Any = -1) -> tuple:
    """The nearest point of the simplex (Martins & Astudillo 2016): max(x - tau, 0), where tau makes the sum 1."""
    xp = namespace(x)
    z = xp.moveaxis(x, axis, -1)
    if not z.shape[-1]:
        return x, (x, axis)
    down = -xp.sort(-z, axis=-1)
    k = xp.arange(1, z.shape[-1] + 1, dtype=x.dtype)
    sums = xp.cumsum(down, axis=-1)
    count = (1 + k * down > sums).sum(-1, keepdims=True)
    tau = (xp.take_along_axis(sums, count - 1, -1) - 1) / count
    y = xp.moveaxis(xp.maximum(z - tau, 0).astype(x.dtype), -1, axis)
    return y, ((y > 0).astype(x.dtype), axis)


def d_sparsemax(kept: Any, dy: Array) -> Array:
    support, axis = kept
    count = namespace(dy).maximum(support.sum(axis=axis, keepdims=True), 1)         # 0 of an axis without length
    return support * (dy - (dy * support).sum(axis=axis, keepdims=True) / count)


def cumsum(x: Array, axis: Any = None, dtype: Any = None) -> tuple:
    return namespace(x).cumsum(x, axis=axis, dtype=dtype), (x.shape, axis, x.dtype)


def d_cumsum(kept: Any, dy: Array) -> Array:
    shape, axis, dtype = kept
    return _reverse_cumsum(dy, 0 if axis is None else axis).reshape(shape).astype(dtype)


def _reverse_cumsum(d: Any, axis: int) -> Any:
    xp = namespace(d)
    return xp.flip(xp.cumsum(xp.flip(d, axis), axis=axis), axis)


def cumprod(x: Array, axis: Any = None, dtype: Any = None) -> tuple:
    """Step by step, and back the same way: a zero does no harm."""
    xp = namespace(x)
    z = x.reshape(1, x.size) if axis is None else xp.moveaxis(x, axis, -1)
    y = xp.empty(z.shape, dtype or x.dtype)
    for k in range(z.shape[-1]):
        y[..., k] = z[..., k] * y[..., k - 1] if k else z[..., k]
    return (y.reshape(x.size) if axis is None else xp.moveaxis(y, -1, axis)), (z, y, x.shape, axis)


def d_cumprod(kept: Any, dy: Array) -> Array:
    z, y, shape, axis = kept
    xp = namespace(dy)
    dy = dy.reshape(1, dy.size) if axis is None else xp.moveaxis(dy, axis, -1)
    dz, d = xp.empty(z.shape, z.dtype), 0
    for k in reversed(range(z.shape[-1])):
        d = dy[..., k] + d                        # the gradient of y[k]
        dz[..., k] = d * y[..., k - 1] if k else d
        d = d * z[..., k]
    return dz.reshape(shape) if axis is None else xp.moveaxis(dz, -1, axis)


def plain(name: str, doc: str) -> Op:
    def forward(x: Array, axis: Any = None, keepdims: bool = False) -> Any:
        return getattr(namespace(x), name)(x, axis=_one(axis), keepdims=keepdims)
    return constant(name, forward, 1, doc)


OPS = [
    Op("sum", total, single(lambda how, dy: spread(dy, *how)), 1, "The sum over `axis`, or of all."),
    Op("mean", mean, single(by_slope), 1, "The mean over `axis`, or of all."),
    Op("var", var, single(by_slope), 1, "The mean square distance from the mean, over `axis` or of all."),
    Op("std", std, single(by_slope), 1, "The square root of `var`."),
    Op("prod", prod, single(d_prod), 1, "The product over `axis`, or of all."),
    Op("max", largest, single(by_slope), 1, "The largest over `axis`, or of all; equals share the gradient."),
    Op("min", smallest, single(by_slope), 1, "The smallest over `axis`, or of all; equals share the gradient."),
    Op("logsumexp", logsumexp, single(by_slope), 1, "log(sum(exp(x))) over `axis`, without an overflow."),
    Op("softmax", softmax, single(d_softmax), 1, "exp(x) / sum(exp(x)) over `axis`."),
    Op("log_softmax", log_softmax, single(d_log_softmax), 1, "log(softmax(x)), without an overflow."),
    Op("sparsemax", sparsemax, single(d_sparsemax), 1, "The nearest point of the simplex over `axis`: a softmax "
       "with exact zeros."),
    Op("cumsum", cumsum, single(d_cumsum), 1, "The sums of the first 1, 2, 3 ... entries along `axis`."),
    Op("cumprod", cumprod, single(d_cumprod), 1, "The products of the first 1, 2, 3 ... entries along `axis`."),
    plain("argmax", "The index of the largest along `axis`, or in the flat array."),
    plain("argmin", "The index of the smallest along `axis`, or in the flat array."),
    plain("any", "Whether any entry along `axis` is true."), plain("all", "Whether all entries along `axis` are true."),
    constant("count_nonzero", lambda x, axis=None: (x != 0).sum(axis=_one(axis)), 1,
             "How many entries along `axis` are not 0."),
]
