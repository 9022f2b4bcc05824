"""The states of TF 1, (c, h) or one matrix [c, h], made of ours and back.

A form is a tree whose leaves are paths of our state: LSTMStateTuple("c", "h"), or "h" alone, or a tuple of forms;
"c 1" is the second of what c [B, n, U] holds; "time #" is one whole number, which we have in each row of the batch (and
rows that end early stop counting);
`Flat` joins what it holds to one matrix.
"""
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

from ..arrays import namespace
from ..errors import ShapeError
from ..tree import leaves, map_structure, tuple_like, unflatten

LSTMStateTuple = namedtuple("LSTMStateTuple", "c h")
CH = LSTMStateTuple("c", "h")


@dataclass(frozen=True)
class Flat:
    form: Any


def nest_form(form, path):
    """The same form of a state that lies at `path` of a larger one."""
    return Flat(nest_form(form.form, path)) if isinstance(form, Flat) else map_structure(lambda leaf: f"{path}.{leaf}", form)


def list_leaves(form):
    """The leaves of a form, in TF's order."""
    return list_leaves(form.form) if isinstance(form, Flat) else [leaf for item in as_tuple(form) for leaf in _list_item_leaves(item)]


def as_tuple(form):
    return form if isinstance(form, tuple) else (form,)


def _list_item_leaves(item):
    return list_leaves(item) if isinstance(item, (tuple, Flat)) else [item]


def _select_piece(arrays, leaf):
    """The array, or the part of an array, that a leaf names."""
    path, _, part = leaf.partition(" ")
    a = arrays[path]
    return a if not part else a.max().astype("int32") if part == "#" else a[:, int(part)]


def state_to_tf(form, state):
    """Our state -> theirs."""
    return _build_state(form, dict(leaves(state)))


def _build_state(form, arrays):
    if isinstance(form, Flat):
        pieces = [_select_piece(arrays, leaf) for leaf in list_leaves(form)]
        return namespace(*pieces).concatenate(pieces, -1)
    if isinstance(form, tuple):
        return tuple_like(form, [_build_state(item, arrays) for item in form])
    return _select_piece(arrays, form)


def state_from_tf(form, state, like, who):
    """Their state -> ours, which has the structure and the widths of `like`."""
    found: dict = {}
    collect(form, state, dict(leaves(like)), found, who)
    arrays = {path: found[path] if path in found else _join_pieces(found, path) for path, _ in leaves(like)}
    return unflatten(like, arrays.values())


def _join_pieces(found, path):
    if f"{path} #" in found:
        like = next(a for a in found.values() if a.ndim > 1)
        return namespace(like).full(len(like), found[f"{path} #"], like.dtype)
    n = sum(leaf.partition(" ")[0] == path for leaf in found)
    pieces = [found[f"{path} {k}"] for k in range(n)]
    return namespace(*pieces).stack(pieces, 1)


def collect(form, state, like, found, who):
    """{leaf: array} of what a state of theirs holds."""
    if isinstance(form, Flat):
        widths = [_select_piece(like, leaf).shape[-1] for leaf in list_leaves(form)]
        if not hasattr(state, "shape") or state.shape[-1] != sum(widths):
            raise ShapeError(who, f"the state is {_describe(state)}, expected one matrix {sum(widths)} wide",
                             axes=f"[{', '.join(list_leaves(form))}] end to end, {' + '.join(map(str, widths))} wide")
        ends = [sum(widths[:n]) for n in range(len(widths) + 1)]
        found |= {leaf: state[..., a:b] for leaf, a, b in zip(list_leaves(form), ends, ends[1:])}
    elif isinstance(form, tuple):
        if not isinstance(state, (tuple, list)) or len(state) != len(form):
            raise ShapeError(who, f"the state is {_describe(state)}, expected a tuple of {len(form)}",
                             fix=f"its parts are {', '.join(getattr(form, '_fields', map(str, range(len(form)))))}")
        for item, part in zip(form, state):
            collect(item, part, like, found, who)
    elif not hasattr(state, "shape"):
        raise ShapeError(who, f"the state is {_describe(state)}, expected an array: {form}")
    else:
        found[form] = state


def _describe(state):
    if hasattr(state, "shape"):
        return f"an array of shape {tuple(state.shape)}"
    return f"a {type(state).__name__}" + (f" of {len(state)}" if isinstance(state, (tuple, list)) else "")


def compute_sizes(form, like):
    """TF's state_size: widths where the state has one axis beside the batch, shapes elsewhere."""
    arrays = dict(leaves(like))
    if isinstance(form, Flat):
        return sum(_select_piece(arrays, leaf).shape[-1] for leaf in list_leaves(form))
    return map_structure(lambda leaf: _compute_size(_select_piece(arrays, leaf).shape[1:]), form) if isinstance(form, tuple) and not any(
        isinstance(item, Flat) for item in form) else (
        tuple(compute_sizes(item, like) for item in form) if isinstance(form, tuple) else _compute_size(_select_piece(arrays, form).shape[1:]))


def _compute_size(shape):
    return shape[0] if len(shape) == 1 else tuple(shape)
