"""The states of TF 1, such as (c, h) or one matrix [c, h], and their conversion to and from states of rnnref.

A form describes a state of TF as a tree whose leaves are paths in the state of rnnref: LSTMStateTuple("c", "h"), or "h"
alone, or a tuple of forms.  "c 1" is index 1 of c [B, n, U] along its second axis.  "time #" is one integer in TF and
an array [B] here, in which rows that have ended stop counting.  `Flat` concatenates its leaves to one matrix.

With 16-bit variables c is float32, as everywhere in rnnref, and so is a matrix [c, h].
"""
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

from ..arrays import Array, namespace
from ..errors import ShapeError, StructureError, describe_type
from ..tree import Tree, leaves, map_structure, tuple_like, unflatten

LSTMStateTuple = namedtuple("LSTMStateTuple", "c h")
CH = LSTMStateTuple("c", "h")


@dataclass(frozen=True)
class Flat:
    """The leaves of a form, concatenated to one matrix."""
    form: Any


def nest_form(form: Any, path: str) -> Any:
    """The same form for a state at `path` of a larger one."""
    if isinstance(form, Flat):
        return Flat(nest_form(form.form, path))
    return map_structure(lambda leaf: f"{path}.{leaf}", form)


def list_leaves(form: Any) -> list[str]:
    """The leaves of a form, in TF's order."""
    if isinstance(form, Flat):
        return list_leaves(form.form)
    if isinstance(form, dict):
        return [leaf for item in form.values() for leaf in list_leaves(item)]
    return [leaf for item in form for leaf in list_leaves(item)] if isinstance(form, tuple) else [form]


def _select_piece(arrays: dict[str, Array], leaf: str) -> Array:
    """The array, or the part of an array, of a leaf."""
    path, _, part = leaf.partition(" ")
    a = arrays[path]
    return a if not part else a.max().astype("int32") if part == "#" else a[:, int(part)]


def state_to_tf(form: Any, state: Tree) -> Tree:
    """A state of rnnref -> the state of TF."""
    return _build_state(form, dict(leaves(state)))


def _build_state(form: Any, arrays: dict[str, Array]) -> Tree:
    if isinstance(form, Flat):
        pieces = [_select_piece(arrays, leaf) for leaf in list_leaves(form)]
        return namespace(*pieces).concatenate(pieces, -1)
    if isinstance(form, dict):
        return {name: _build_state(item, arrays) for name, item in form.items()}
    if isinstance(form, tuple):
        return tuple_like(form, [_build_state(item, arrays) for item in form])
    return _select_piece(arrays, form)


def state_from_tf(form: Any, state: Tree, like: Tree, who: str) -> Tree:
    """A state of TF -> the state of rnnref, with the structure and the widths of `like`."""
    pieces = collect(form, state, dict(leaves(like)), who)
    return unflatten(like, [pieces[path] if path in pieces else _join_pieces(pieces, path) for path, _ in leaves(like)])


def _join_pieces(pieces: dict[str, Array], path: str) -> Array:
    """The array of rnnref at `path`, from its pieces "path 0", "path 1" ..., or from one number "path #"."""
    if f"{path} #" in pieces:
        like = next(a for a in pieces.values() if a.ndim > 1)
        return namespace(like).full(len(like), pieces[f"{path} #"], like.dtype)
    n = sum(leaf.partition(" ")[0] == path for leaf in pieces)
    stacked = [pieces[f"{path} {k}"] for k in range(n)]
    return namespace(*stacked).stack(stacked, 1)


def collect(form: Any, state: Tree, like: dict[str, Array], who: str) -> dict[str, Array]:
    """{leaf: array} of a state of TF."""
    if isinstance(form, Flat):
        widths = [_select_piece(like, leaf).shape[-1] for leaf in list_leaves(form)]
        if not hasattr(state, "shape") or state.shape[-1] != sum(widths):
            raise ShapeError(who, f"the state is {_describe(state)}, expected one matrix {sum(widths)} wide",
                             axes=f"[{', '.join(list_leaves(form))}] end to end, {' + '.join(map(str, widths))} wide")
        ends = [sum(widths[:n]) for n in range(len(widths) + 1)]
        parts = zip(list_leaves(form), ends, ends[1:])
        return {leaf: _as_half(state[..., a:b], _select_piece(like, leaf)) for leaf, a, b in parts}
    if isinstance(form, dict):
        if not isinstance(state, dict) or state.keys() != form.keys():
            raise StructureError(who, f"the state is {_describe(state)}, expected a dict of {', '.join(form)}")
        form, state = tuple(form.values()), tuple(state[name] for name in form)
    if isinstance(form, tuple):
        if not isinstance(state, (tuple, list)) or len(state) != len(form):
            raise StructureError(who, f"the state is {_describe(state)}, expected a tuple of {len(form)}",
                                 fix=f"its parts are {', '.join(getattr(form, '_fields', map(str, range(len(form)))))}")
        pieces: dict[str, Array] = {}
        for item, part in zip(form, state):
            pieces |= collect(item, part, like, who)
        return pieces
    if not hasattr(state, "shape"):
        raise StructureError(who, f"the state is {_describe(state)}, expected an array: {form}")
    return {form: state}


def _as_half(a: Array, like: Array) -> Array:
    """A part of a matrix in which c is float32, in the 16 bits that it has by itself."""
    return a.astype(like.dtype) if like.dtype.itemsize == 2 and a.dtype.itemsize == 4 else a


def _describe(state: Tree) -> str:
    if hasattr(state, "shape"):
        return f"an array of shape {tuple(state.shape)}"
    return describe_type(state) + (f" of {len(state)}" if isinstance(state, (tuple, list)) else "")


def compute_sizes(form: Any, like: Tree) -> Any:
    """TF's state_size: widths where the state has one axis besides the batch, shapes elsewhere."""
    arrays = dict(leaves(like))
    if isinstance(form, Flat):
        return sum(_select_piece(arrays, leaf).shape[-1] for leaf in list_leaves(form))
    if isinstance(form, tuple):
        sizes = [compute_sizes(item, like) for item in form]
        return tuple_like(form, sizes)
    shape = _select_piece(arrays, form).shape[1:]
    return shape[0] if len(shape) == 1 else tuple(shape)
