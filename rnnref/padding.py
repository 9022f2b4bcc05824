"""Where a row lives, and what its outputs say past its end.  (floor 5)

Loops give zero at every step where a row is not live, and leave its state.  The two other policies of the field are
made of that: "repeat" (Keras) says the last output again, "free" (flax) lets the cell run on over the padding.
"""
from .arrays import is_array, namespace
from .errors import DtypeError, NotSupported, ShapeError, check_option
from .tree import expand_mask, map_structure

_POLICIES = ("zero", "repeat", "free")


def make_live_mask(xs, lengths, mask, who="run"):
    """lengths [B] or mask [T, B] -> live [T, B], or None where every step of every row is."""
    if lengths is None and mask is None:
        return None
    if lengths is not None and mask is not None:
        raise NotSupported(who, "both lengths and mask are given", fix="give the one that says where rows are live")
    (T, B), xp = xs.shape[:2], namespace(xs)
    given, name = (lengths, "lengths") if mask is None else (mask, "mask")
    a = given if is_array(given) else xp.asarray(given)
    namespace(xs, a)                              # on the same side of the bus
    want, shape, kinds = ("integers", (B,), "iu") if mask is None else ("bool", (T, B), "b")
    if a.dtype.kind not in kinds:
        raise DtypeError(who, f"{name} has dtype {a.dtype}, expected {want}")
    if a.shape != shape:
        raise ShapeError(who, f"{name} has shape {a.shape}, expected {shape}",
                         axes=f'{name} is "{"B" if mask is None else "T B"}" with T, B = {T, B} (from x)',
                         hint="time comes first here: mask.T" if a.shape == (B, T) and mask is not None else "")
    if mask is not None:
        return a
    if B and bool(((a < 0) | (a > T)).any()):
        raise ShapeError(who, f"lengths are {a.tolist()}, expected each from 0 to {T}",
                         axes=f"T = {T} (from x, shape {tuple(xs.shape)})")
    return xp.arange(T)[:, None] < a


def check_policy(padding, mask, is_bidirectional, who="run"):
    check_option(who, "padding", padding, _POLICIES)
    if padding == "free" and mask is not None:
        raise NotSupported(who, "padding='free' with a mask: where the cell runs on is only said for lengths")
    if padding == "free" and is_bidirectional:
        raise NotSupported(who, "padding='free' with two directions", fix="run each direction by itself")


def repeat(ys, live, reverse):
    """At dead steps the output before, in the order in which the loop goes; zero before the first."""
    return map_structure(lambda a: _sweep(a, live, reverse, forwards=True), ys)


def drepeat(dys, live, reverse):
    """The gradient of a repeated output belongs to the step that said it."""
    return map_structure(lambda a: _sweep(a, live, reverse, forwards=False), dys)


def _sweep(a, live, reverse, forwards):
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
