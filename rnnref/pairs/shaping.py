"""Pairs that only move entries: shapes, axes, joining and splitting, padding."""
from typing import Any

import numpy

from ..arrays import Array, namespace
from ..errors import NotSupported
from .table import Op, fit, single


def in_shape(shape: Any, dy: Array) -> Any:
    return dy.reshape(shape)


def _size(shape: Any) -> int:
    return int(numpy.prod(shape, dtype=int))


def expand_dims(x: Array, axis: Any) -> tuple:
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    ndim = x.ndim + len(axes)
    if any(not -ndim <= k < ndim for k in axes):
        raise ValueError(f"axis {axis} of a result with {ndim} axes")
    places = {k % ndim for k in axes}
    sizes = iter(x.shape)
    return x.reshape([1 if k in places else next(sizes) for k in range(ndim)]), x.shape


def transpose(x: Array, axes: Any = None) -> tuple:
    axes = None if axes is None else [k % x.ndim for k in axes]
    return x.transpose(axes), axes


def d_transpose(axes: Any, dy: Array) -> Array:
    return dy.transpose(None if axes is None else sorted(range(len(axes)), key=axes.__getitem__))


def repeat(x: Array, repeats: Any, axis: Any = None) -> tuple:
    if not hasattr(repeats, "__index__"):
        raise NotSupported("ops.repeat", "a number of repeats for each entry", fix="ops.take with the indices wanted")
    return namespace(x).repeat(x, int(repeats), axis), (x.shape, int(repeats), axis)


def d_repeat(kept: Any, dy: Array) -> Array:
    shape, n, axis = kept
    flat, k = (shape, axis % len(shape)) if axis is not None else ((_size(shape),), 0)
    return dy.reshape(*flat[:k + 1], n, *flat[k + 1:]).sum(k + 1).reshape(shape)


def tile(x: Array, repeats: Any) -> tuple:
    repeats = (repeats,) if hasattr(repeats, "__index__") else tuple(int(n) for n in repeats)
    shape = (1,) * (len(repeats) - x.ndim) + x.shape
    repeats = (1,) * (len(shape) - len(repeats)) + repeats
    y = x.reshape([m for n in shape for m in (1, n)])
    y = namespace(x).broadcast_to(y, [m for pair in zip(repeats, shape) for m in pair])
    return y.reshape([r * n for r, n in zip(repeats, shape)]), (x.shape, shape, repeats)


def d_tile(kept: Any, dy: Array) -> Array:
    given, shape, repeats = kept
    dy = dy.reshape([m for pair in zip(repeats, shape) for m in pair])
    return dy.sum(tuple(range(0, 2 * len(shape), 2))).reshape(given)


def concatenate(*xs: Any, axis: Any = 0) -> tuple:
    if axis is None:
        raise NotSupported("ops.concatenate", "axis=None", fix="ops.ravel of each, and axis=0")
    return namespace(*xs).concatenate(xs, axis), ([x.shape[axis] for x in xs], axis)


def d_concatenate(kept: Any, dy: Array, wanted: Any = None) -> Array:
    sizes, axis = kept
    return _cut(dy, [int(n) for n in numpy.cumsum(sizes)[:-1]], axis)


def _cut(a: Any, places: list, axis: int) -> tuple:
    """The pieces of an array between these places along an axis."""
    axis %= a.ndim
    edges = [0, *places, a.shape[axis]]
    return tuple(a[(slice(None),) * axis + (slice(i, j),)] for i, j in zip(edges, edges[1:]))


def stack(*x: Any, axis: Any = 0) -> tuple:
    return namespace(*x).stack(x, axis), axis


def d_stack(axis: Any, dy: Array, wanted: Any = None) -> Array:
    return tuple(namespace(dy).moveaxis(dy, axis, 0))


def split(x: Array, indices_or_sections: Any, axis: Any = 0) -> tuple:
    n = x.shape[axis]
    if hasattr(indices_or_sections, "__index__"):
        if n % indices_or_sections:
            raise ValueError(f"an axis of {n} cannot be split into {indices_or_sections} equal parts")
        places = [k * (n // indices_or_sections) for k in range(1, indices_or_sections)]
    else:
        places = [min(int(k) if k >= 0 else int(k) + n, n) for k in indices_or_sections]
        if places != sorted(places):
            raise ValueError(f"the places of a split ascend: {indices_or_sections} of an axis of {n}")
    return _cut(x, places, axis), axis


def array_split(x: Array, indices_or_sections: Any, axis: Any = 0) -> Any:
    if hasattr(indices_or_sections, "__index__"):
        n, more = divmod(x.shape[axis], indices_or_sections)
        sizes = [n + (k < more) for k in range(indices_or_sections)]
        indices_or_sections = [sum(sizes[:k]) for k in range(1, len(sizes))]
    return split(x, indices_or_sections, axis)


def d_split(axis: Any, dys: Any) -> Array:
    return namespace(*dys).concatenate(dys, axis)


def unstack(x: Array, num: Any = None, axis: Any = 0) -> tuple:
    if num is not None and num != x.shape[axis]:
        raise ValueError(f"num={num}, and axis {axis} of the array has {x.shape[axis]} entries")
    return tuple(namespace(x).moveaxis(x, axis, 0)), axis


def d_unstack(axis: Any, dys: Any) -> Array:
    return namespace(*dys).stack(dys, axis)


def pad(x: Array, pad_width: Any, mode: Any = "constant", constant_values: Any = None) -> tuple:
    if mode != "constant":
        raise NotSupported("ops.pad", f"mode={mode!r}", known="'constant'", fix="ops.take with the indices wanted")
    width = numpy.broadcast_to(numpy.asarray(pad_width, int), (x.ndim, 2)).tolist()
    y = namespace(x).pad(x, width, mode="constant", constant_values=constant_values or 0)
    return y, tuple(slice(before, before + n) for (before, _), n in zip(width, x.shape))


def roll(x: Array, shift: Any, axis: Any = None) -> tuple:
    return namespace(x).roll(x, shift, axis), (shift, axis)


def d_roll(kept: Any, dy: Array) -> Array:
    shift, axis = kept
    back = tuple(-k for k in shift) if isinstance(shift, (tuple, list)) else -shift
    return namespace(dy).roll(dy, back, axis)


OPS = [
    Op("reshape", lambda x, newshape: (x.reshape(newshape), x.shape), single(in_shape), 1, "x in another shape."),
    Op("ravel", lambda x: (x.reshape(x.size), x.shape), single(in_shape), 1, "x with one axis."),
    Op("expand_dims", expand_dims, single(in_shape), 1, "x with an axis, or several, of 1 more."),
    Op("squeeze", lambda x, axis=None: (namespace(x).squeeze(x, axis), x.shape), single(in_shape), 1,
       "x without axes of 1: those given, or all."),
    Op("broadcast_to", lambda x, shape: (namespace(x).broadcast_to(x, shape), x.shape),
       single(lambda shape, dy: fit(dy, shape)), 1, "x repeated along axes of 1 and new ones, to a larger shape."),
    Op("transpose", transpose, single(d_transpose), 1, "x with its axes in another order; reversed, if none is given."),
    Op("swapaxes", lambda x, axis1, axis2: (x.swapaxes(axis1, axis2), (axis1, axis2)),
       single(lambda axes, dy: dy.swapaxes(*axes)), 1, "x with two axes in each other's place."),
    Op("moveaxis", lambda x, source, destination: (namespace(x).moveaxis(x, source, destination),
                                                   (destination, source)),
       single(lambda back, dy: namespace(dy).moveaxis(dy, *back)), 1, "x with axes moved to other places."),
    Op("flip", lambda x, axis=None: (namespace(x).flip(x, axis), axis),
       single(lambda axis, dy: namespace(dy).flip(dy, axis)), 1, "x in reverse order along axes, or along all."),
    Op("roll", roll, single(d_roll), 1, "x shifted along axes; what leaves at one end enters at the other."),
    Op("repeat", repeat, single(d_repeat), 1, "Every entry along `axis`, or of the flat array, `repeats` times."),
    Op("tile", tile, single(d_tile), 1, "The whole array `repeats` times along every axis."),
    Op("pad", pad, single(lambda inside, dy: dy[inside]), 1, "x with constants around: (before, after) for each axis."),
    Op("concatenate", concatenate, d_concatenate, "list", "Arrays joined along an axis that they have."),
    Op("stack", stack, d_stack, "list", "Arrays of one shape joined along a new axis."),
    Op("split", split, single(d_split), 1, "A tuple of parts along `axis`: equal ones, or those between given places."),
    Op("array_split", array_split, single(d_split), 1, "`split`, where the first parts may be longer by one."),
    Op("unstack", unstack, single(d_unstack), 1, "A tuple of the entries along `axis`."),
]
