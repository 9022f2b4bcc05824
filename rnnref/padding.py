"""Masks from lengths, and the outputs at padded steps.

Loops give zero at every step where a row is not live, and leave its state.  The two other policies in use are computed
from that: "repeat" (Keras) repeats the last live output, "free" (flax) lets the cell run on over the padding.
"""
from typing import Any, Optional

from .arrays import Array, is_array, namespace
from .errors import DtypeError, NotSupported, ShapeError, check_option
from .tree import Tree, expand_mask, map_structure

_POLICIES = ("zero", "repeat", "free")


def make_live_mask(xs: Array, lengths: Any, mask: Any, who: str = "run") -> Optional[Array]:
    """lengths [B] or mask [T, B] -> live [T, B], or None where every step of every row is live."""
    if lengths is None and mask is None:
        return None
    if lengths is not None and mask is not None:
        raise NotSupported(who, "both lengths and mask are given", fix="give one of them")
    (T, B), xp = xs.shape[:2], namespace(xs)
    value, name = (lengths, "lengths") if mask is None else (mask, "mask")
    try:
        a = value if is_array(value) else xp.asarray(value)
    except (ValueError, TypeError) as e:
        raise ShapeError(who, f"{name} is {value!r}, which is no array: {e}") from None
    namespace(xs, a)                              # raises unless both are in main memory or both on the GPU
    want, shape, kinds = ("integers", (B,), "iu") if mask is None else ("bool", (T, B), "b")
    if a.dtype.kind not in kinds:
        raise DtypeError(who, f"{name} has dtype {a.dtype}, expected {want}")
    if a.shape != shape:
        raise ShapeError(who, f"{name} has shape {a.shape}, expected {shape}",
                         axes=f'{name} is "{"B" if mask is None else "T B"}" with T, B = {T, B} (from x)',
                         hint="time comes first here: mask.T" if a.shape == (B, T) and mask is not None else "")
    if mask is not None:
        return a.copy()
    if B and bool(((a < 0) | (a > T)).any()):
        raise ShapeError(who, f"lengths are {a.tolist()}, expected each from 0 to {T}",
                         axes=f"T = {T} (from x, shape {tuple(xs.shape)})")
    return xp.arange(T)[:, None] < a


def check_policy(padding: str, mask: Any, is_bidirectional: bool, who: str = "run") -> None:
    """Raise unless `padding` is a policy that can be had with these arguments."""
    check_option(who, "padding", padding, _POLICIES)
    if padding == "free" and mask is not None:
        raise NotSupported(who, "padding='free' with a mask: only lengths tell where the padding begins")
    if padding == "free" and is_bidirectional:
        raise NotSupported(who, "padding='free' with two directions", fix="run each direction by itself")


def repeat(ys: Tree, live: Optional[Array], reverse: bool) -> Tree:
    """The outputs, each dead step with the previous live one in the order of the loop; zero before the first."""
    return map_structure(lambda a: _sweep(a, live, reverse, forwards=True), ys)


def drepeat(dys: Tree, live: Optional[Array], reverse: bool) -> Tree:
    """The gradient through `repeat`: that of a repeated output is added to the step it was repeated from."""
    return map_structure(lambda a: _sweep(a, live, reverse, forwards=False), dys)


def _sweep(a: Array, live: Optional[Array], reverse: bool, forwards: bool) -> Array:
    if live is None:
        return a
    xp, order = namespace(a), range(len(a))
    order = order[::-1] if reverse == forwards else order
    out, carried = [None] * len(a), xp.zeros_like(a[0])
    for t in order:
        now = expand_mask(live[t], a[t])
        if forwards:
            out[t] = carried = xp.where(now, a[t], carried)
        else:
            carried = carried + a[t]
            out[t], carried = xp.where(now, carried, 0), xp.where(now, 0, carried)
    return xp.stack(out)
