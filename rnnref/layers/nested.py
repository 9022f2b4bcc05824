"""Nested data of users, as the trees that the core takes; states as Keras lists them.

Inputs are an array, or tuples, named tuples and dicts of arrays.  A list counts as numbers, except among states,
gradients and sizes, where Keras has lists: there it is the same as a tuple.
"""
from typing import Any

import numpy

from ..arrays import cast, is_array
from ..errors import InvalidType, ShapeError
from ..nest import describe, flatten
from ..tree import zeros_like
from .config import taken


def _is_nested(a: Any) -> Any:
    """Whether inputs are several arrays: a tuple of numbers is one array, a tuple with an array in it is a nest."""
    return isinstance(a, dict) or isinstance(a, tuple) and (
        hasattr(a, "_fields") or any(is_array(item) or _is_nested(item) for item in a))


def listless(x: Any) -> Any:
    """A nest with lists of arrays made tuples: the core takes a list for numbers."""
    if isinstance(x, (list, tuple)) and any(is_array(a) or isinstance(a, (list, tuple, dict)) for a in x) and not \
            hasattr(x, "_fields") and any(map(holds_arrays, x)):
        return tuple(map(listless, x))
    return x


def holds_arrays(a: Any) -> bool:
    """Whether there is an array in a nest."""
    return any(map(is_array, flatten(a)))


def cast_inputs(who: str, name: str, a: Any, dtype: Any) -> Any:
    """The inputs of a call, every array in `dtype`."""
    if not _is_nested(a):
        return taken(who, name, a, dtype)
    if isinstance(a, dict):
        return {k: cast_inputs(who, f"{name}.{k}", item, dtype) for k, item in a.items()}
    items = [cast_inputs(who, f"{name}.{k}", item, dtype) for k, item in zip(getattr(a, "_fields", range(len(a))), a)]
    return type(a)(*items) if hasattr(a, "_fields") else tuple(items)


def cast_outputs(y: Any, like: Any) -> Any:
    """The results of a cell of the user in the dtype of `like`, with tuples in the place of lists."""
    if isinstance(y, dict):
        return {k: cast_outputs(item, like) for k, item in y.items()}
    if isinstance(y, (list, tuple)):
        items = [cast_outputs(item, like) for item in y]
        return type(y)(*items) if hasattr(y, "_fields") else tuple(items)
    return cast(y, like) if is_array(y) else y


# states

def as_lists(state: Any) -> Any:
    """A state of ours as Keras has it: lists in lists.  A dict is one item."""
    return _as_list(state) if isinstance(state, tuple) else [_as_list(state)]


def _as_list(state: Any) -> Any:
    if isinstance(state, dict):
        return {k: _as_list(s) for k, s in state.items()}
    return [_as_list(s) for s in state] if isinstance(state, tuple) else state


def sizes_of(state: Any) -> Any:
    """A number for an array [B, n], a tuple for one with more axes."""
    if isinstance(state, dict):
        return {k: sizes_of(s) for k, s in state.items()}
    if isinstance(state, tuple):
        return [sizes_of(s) for s in state]
    return state.shape[-1] if state.ndim == 2 else state.shape[1:]


def pack_like(who: str, what: Any, given: Any, like: Any) -> Any:
    """A state in the structure of `like`, from lists, tuples, dicts or a single array; None is zeros."""
    if given is None:
        return zeros_like(like)
    if isinstance(like, dict):
        return _pack_dict(who, what, given, like)
    if not isinstance(like, tuple):
        a = taken(who, what, given, like.dtype)
        if a.shape != like.shape:
            raise ShapeError(who, f"{what} has shape {a.shape}, expected {like.shape}")
        return a
    given = [given] if is_array(given) and len(like) == 1 else given
    if not isinstance(given, (list, tuple)) or len(given) != len(like):
        raise ShapeError(who, f"{what} is {describe(given)}, expected a list of {len(like)}: "
                              f"{', '.join(getattr(like, '_fields', ['one for each']))}")
    names = getattr(like, "_fields", range(len(like)))
    items = [pack_like(who, f"{what}.{n}", a, b) for n, a, b in zip(names, given, like)]
    return type(like)(*items) if hasattr(like, "_fields") else tuple(items)


def _pack_dict(who: str, what: Any, given: Any, like: Any) -> dict:
    given = given[0] if isinstance(given, (list, tuple)) and len(given) == 1 else given
    if not isinstance(given, dict) or given.keys() != like.keys():
        raise ShapeError(who, f"{what} is {describe(given)}, expected a dict of {' '.join(map(str, like))}")
    return {k: pack_like(who, f"{what}.{k}", given[k], b) for k, b in like.items()}


# shapes

def _is_shape(a: Any) -> Any:
    """A number of inputs, or a shape that ends in it: numbers, or None where any will do."""
    return hasattr(a, "__index__") or isinstance(a, (tuple, list)) and len(a) > 0 and all(
        n is None or hasattr(n, "__index__") for n in a)


def map_shapes(f: Any, shapes: Any) -> Any:
    """`f` of every shape in a tree of them."""
    if _is_shape(shapes):
        return f(shapes)
    if isinstance(shapes, dict):
        return {k: map_shapes(f, s) for k, s in shapes.items()}
    if not isinstance(shapes, (list, tuple)):
        raise InvalidType("layers", f"input_shape={shapes!r}, expected a shape such as (None, T, I), or a nest of them")
    items = [map_shapes(f, s) for s in shapes]
    return type(shapes)(*items) if hasattr(shapes, "_fields") else tuple(items)


def stand_in(shape: Any) -> Any:
    """An array of that shape which takes no memory."""
    shape = (shape,) if hasattr(shape, "__index__") else shape
    return numpy.broadcast_to(numpy.zeros(()), [n or 0 for n in shape])


def with_batch(shape: Any) -> Any:
    """[B, I] for a number of inputs; a shape stays."""
    return (None, shape) if hasattr(shape, "__index__") else tuple(shape)


def one_step(shapes: Any) -> Any:
    """Shapes of sequences [B, T, ...] -> those of one step, [B, ...]."""
    return map_shapes(lambda s: s if hasattr(s, "__index__") or len(s) < 3 else (s[0], *s[2:]), shapes)


def output_shapes(sizes: Any) -> Any:
    """Sizes of outputs, a number or a tree of numbers and shapes, as shapes [B, ...] of the inputs of the next."""
    if isinstance(sizes, (tuple, list, dict)):
        items = sizes.items() if isinstance(sizes, dict) else enumerate(sizes)
        found = {k: (None, *s) if _is_shape(s) and not hasattr(s, "__index__") else output_shapes(s) for k, s in items}
        return found if isinstance(sizes, dict) else tuple(found.values())
    return (None, sizes)


def shape_of(a: Any) -> Any:
    """The shape of an array, for any batch."""
    return (None, *a.shape[1:]) if hasattr(a, "shape") else None
