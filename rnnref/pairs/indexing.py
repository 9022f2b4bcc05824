"""Pairs that choose or place entries by index.  Indices have no gradient."""
from typing import Any

import numpy

from ..arrays import Array, namespace
from ..errors import NotSupported
from .table import Op, Part, constant, fit, shape_of, single


def take(x: Array, indices: Any, axis: Any = None) -> tuple:
    return namespace(x).take(x, indices, axis), (x.shape, indices, axis)


def d_take(kept: Any, dy: Array, wanted: Any = (True, False)) -> tuple:
    shape, indices, axis = kept
    if axis is None:
        return Part((int(numpy.prod(shape, dtype=int)),), indices, dy).dense().reshape(shape), None
    return Part(shape, (slice(None),) * (axis % len(shape)) + (indices,), dy), None


def take_along_axis(x: Array, indices: Any, axis: Any = None) -> tuple:
    if axis is None:
        return namespace(x).take(x.reshape(x.size), indices.reshape(indices.size)), (x.shape, indices, None)
    return namespace(x).take_along_axis(x, indices, axis), (x.shape, indices, axis)


def d_take_along_axis(kept: Any, dy: Array, wanted: Any = (True, False)) -> Array:
    shape, indices, axis = kept
    if axis is None:
        return d_take((shape, indices.reshape(indices.size), None), dy)
    return Part(shape, along(dy, indices, axis), dy), None


def along(like: Any, indices: Any, axis: int) -> tuple:
    """The key that chooses what take_along_axis does, for a result like `like`."""
    key = [namespace(like).arange(n).reshape([-1 if j == k else 1 for j in range(like.ndim)])
           for k, n in enumerate(like.shape)]
    key[axis] = indices
    return tuple(key)


def sort(x: Array, axis: Any = -1) -> tuple:
    order = namespace(x).argsort(x, axis)
    return namespace(x).take_along_axis(x, order, axis), (x.shape, order, axis)


def d_sort(kept: Any, dy: Array) -> Array:
    return d_take_along_axis(kept, dy)[0]


def top_k(x: Array, k: Any, sorted: bool = True) -> tuple:
    """The values, in descending order, and their indices along the last axis."""
    order = namespace(x).argsort(-x, -1)[..., :k].astype("int32")
    return (namespace(x).take_along_axis(x, order, -1), order), (x.shape, order, -1)


def d_top_k(kept: Any, dys: Any) -> Array:
    return d_take_along_axis(kept, dys[0])[0]


def diagonal(x: Array, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> tuple:
    shape, last = x.shape, (x.ndim - 2, x.ndim - 1)
    y = namespace(x).moveaxis(x, (axis1, axis2), last)
    n = max(min(y.shape[-2] + min(offset, 0), y.shape[-1] - max(offset, 0)), 0)
    rows = namespace(x).arange(n) - min(offset, 0)
    key = (Ellipsis, rows, rows + offset)
    return y[key], (y.shape, key, (last, (axis1, axis2)), shape)


def d_diagonal(kept: Any, dy: Array) -> Array:
    shape, key, back, _ = kept
    whole = Part(shape, key, dy).dense()
    return namespace(whole).moveaxis(whole, *back)


def triangle(keep: str) -> Any:
    def forward(x: Array, k: Any = 0) -> tuple:
        xp = namespace(x)
        off = xp.arange(x.shape[-1]) - xp.arange(x.shape[-2])[:, None]
        mask = off <= k if keep == "lower" else off >= k
        return xp.where(mask, x, 0).astype(x.dtype), mask
    return forward


def d_triangle(mask: Any, dy: Array) -> Array:
    return namespace(dy).where(mask, dy, 0)


# placing

def _key(indices: Any) -> tuple:
    """indices [..., n], a place of n axes in each row, as a key."""
    return tuple(indices[..., k] for k in range(indices.shape[-1]))


def scatter(indices: Any, values: Any, shape: Any) -> tuple:
    """Zeros but for `values`; those of one place are added."""
    return Part(tuple(shape), _key(indices), values).dense(), indices


def d_scatter(indices: Any, dy: Array, wanted: Any = (False, True)) -> tuple:
    return None, dy[_key(indices)]


def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: Any = None) -> tuple:
    if reduction not in (None, "add"):
        raise NotSupported("ops.scatter_update", f"reduction={reduction!r}", known="None, 'add'")
    y, key, stays, shape = inputs.copy(), _key(indices), None, shape_of(updates)
    if reduction is None:                         # written by a sum, which is the same on a GPU
        stays = _stays(key, y)
        updates = namespace(y).where(stays, updates, 0).astype(y.dtype)
        y[key] = namespace(y).zeros((), y.dtype)
    namespace(y).add.at(y, key, updates)
    return y, (key, reduction, stays, shape)


def d_scatter_update(kept: Any, dy: Array, wanted: Any = (True, False, True)) -> tuple:
    key, reduction, stays, shape = kept
    dx = dy
    if reduction is None and wanted[0]:
        dx = dy.copy()
        dx[key] = namespace(dy).zeros((), dy.dtype)
    du = dy[key] if stays is None else namespace(dy).where(stays, dy[key], 0)
    return dx, None, fit(du, shape) if wanted[2] else None


def _stays(key: tuple, y: Any) -> Any:
    """Which of the entries at a key stay when they are written in order: the last of those for one place."""
    xp = namespace(y)
    order = xp.arange(key[0].size).reshape(key[0].shape)
    last = xp.zeros(y.shape[:len(key)], order.dtype)
    xp.maximum.at(last, key, order)
    stays = last[key] == order
    return stays.reshape(stays.shape + (1,) * (y.ndim - len(key)))


def slice_update(inputs: Any, start_indices: Any, updates: Any) -> tuple:
    key = tuple(slice(int(k), int(k) + n) for k, n in zip(start_indices, updates.shape, strict=True))
    if any(s.start < 0 or s.stop > n for s, n in zip(key, inputs.shape, strict=True)):
        raise ValueError(f"updates at {tuple(map(int, start_indices))} reach out of the array")
    y = inputs.copy()
    y[key] = updates
    return y, key


def d_slice_update(key: Any, dy: Array, wanted: Any = (True, False, True)) -> tuple:
    dx = None
    if wanted[0]:
        dx = dy.copy()
        dx[key] = 0
    return dx, None, dy[key]


def segment_sum(data: Any, segment_ids: Any, num_segments: Any = None, sorted: bool = False) -> tuple:
    if num_segments is None:
        num_segments = int(segment_ids.max()) + 1
    return Part((num_segments, *data.shape[1:]), (segment_ids,), data).dense(), segment_ids


def d_segment_sum(ids: Any, dy: Array, wanted: Any = (True, False)) -> tuple:
    return dy[ids], None


# without a gradient

def one_hot(x: Array, num_classes: Any, axis: Any = -1, dtype: Any = None, sparse: bool = False) -> Any:
    if sparse:
        raise NotSupported("ops.one_hot", "sparse=True: there are no sparse arrays")
    xp = namespace(x)
    hot = xp.expand_dims(x, -1) == xp.arange(num_classes)
    return xp.moveaxis(hot.astype(dtype or "float32"), -1, axis)


def searchsorted(sorted_sequence: Any, values: Any, side: Any = "left") -> Any:
    return namespace(sorted_sequence, values).searchsorted(sorted_sequence, values, side).astype("int32")


def isin(x1: Array, x2: Array, assume_unique: bool = False, invert: bool = False) -> Any:
    found = (x1[..., None] == x2.reshape(x2.size)).any(-1)
    return ~found if invert else found


OPS = [
    Op("get_item", lambda x, key: (x[key], (x.shape, key)), single(lambda kept, dy: Part(kept[0], kept[1], dy)), 1,
       "x[key]."),
    Op("take", take, d_take, 2, "The entries along `axis`, or of the flat array, with these indices."),
    Op("take_along_axis", take_along_axis, d_take_along_axis, 2,
       "Along `axis`, for every place along the others, the entries with these indices."),
    Op("sort", sort, single(d_sort), 1, "x in ascending order along `axis`."),
    Op("top_k", top_k, single(d_top_k), 1, "The k largest along the last axis, descending, and their indices."),
    Op("diagonal", diagonal, single(d_diagonal), 1, "The entries whose indices on two axes differ by `offset`."),
    Op("tril", triangle("lower"), single(d_triangle), 1, "x where the column is at most the row + k, else 0."),
    Op("triu", triangle("upper"), single(d_triangle), 1, "x where the column is at least the row + k, else 0."),
    Op("scatter", scatter, d_scatter, 2, "Zeros in `shape` with `values` added at indices [..., axes]."),
    Op("scatter_update", scatter_update, d_scatter_update, 3, "`inputs` with `updates` at indices [..., axes]."),
    Op("slice_update", slice_update, d_slice_update, 3, "`inputs` with `updates` from `start_indices` on."),
    Op("segment_sum", segment_sum, d_segment_sum, 2, "The sums of the rows of `data` with the same segment id."),
    constant("one_hot", one_hot, 1, "1 at the index x of a new axis, 0 elsewhere."),
    constant("argsort", lambda x, axis=-1: namespace(x).argsort(x, axis).astype("int32"), 1,
             "The indices that sort x along `axis`."),
    constant("searchsorted", searchsorted, 2, "Where values belong in a sorted sequence."),
    constant("isin", isin, 2, "Whether the entries of x1 are among those of x2."),
]
