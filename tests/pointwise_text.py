"""The boundary of the pointwise kernels with the plain rules behind it: what a loop may rely on, said by the text.

Arrays in `out` are written to, dead rows are treated as the head of rnnref/cuda/pointwise.py says, and results that may
overwrite an argument do so: a loop that relies on the old values is seen.
"""
import sys

from rnnref.arrays import cast, wide
from rnnref.cuda import pointwise
from rnnref.cuda.stepped import plain
from rnnref.cuda.texts import activations_refuse, text_of
from rnnref.tree import beside, tmap

names = pointwise.names


def refuses(rule):
    text = text_of(rule)
    return f"no kernel has been written for {type(rule).__name__}" if text is None else \
        activations_refuse(type(rule).__name__, rule, text.activations)


def buffer(rule, lead, n):
    return (*lead, text_of(rule).stored, n)


def views(rule, array, s, new):
    text = text_of(rule)
    return text.views([array[..., j, :] for j in range(text.stored)], s, new)


def put(out, name, value, like=None):
    """A result, where the caller wants it."""
    if value is None:
        return None
    if out.get(name) is None:
        return value if like is None else cast(value, like)
    assert out[name].shape == value.shape and out[name].flags.c_contiguous
    out[name][...] = value.astype(out[name].dtype)
    return out[name]


def forward(rule, p, ax, ah, s, live=None, out=None, keep=True):
    xp, out, text = sys.modules["cupy"], out or {}, plain(rule)
    y, new, kept = text.forward(p, wide(ax), 0 if ah is None else wide(ah), tmap(wide, s))
    dead = None if live is None else ~live
    if dead is not None:
        new = tmap(lambda a, b: xp.where(beside(dead, a), wide(b), a), new, s)
        y = xp.where(beside(dead, y), 0, y)
    k = None
    if keep:
        array = xp.stack(list(kept)[:buffer(rule, (), 1)[0]], -2)
        if dead is not None:
            array = xp.where(beside(dead, array), 0, array)
        array, before = put(out, "kept", array), s
    h = put(out, "h", new[0], ax)
    c = put(out, "c", new[1]) if len(new) > 1 else None
    if live is not None or "y" in out:
        y = put(out, "y", y, ax)
    else:
        y = h
    put(out, "sent", new[0])
    new = type(new)(h, c) if len(new) > 1 else type(new)(h)
    if keep:
        k = views(rule, array, before, new)
    return y, new, k


def backward(rule, p, kept, dy, dnew, live=None, out=None):
    xp, out, text = sys.modules["cupy"], out or {}, plain(rule)
    zero = xp.zeros_like(kept[0])
    d = type(dnew)(*(zero if a is None else wide(a) for a in dnew))
    dax, dah, ds, dp = text.backward(p, tmap(wide, kept), zero if dy is None else wide(dy), d)
    if live is not None:
        def dies(a): return xp.where(beside(~live, a), 0, a)
        dax, dah, dp = dies(dax), dies(dah), tmap(dies, dp)
        ds = type(ds)(*(xp.where(beside(~live, old), old, 0 if a is None else a) for a, old in zip(ds, d)))
    dp = {name: dp[name] for name in names(rule)}
    dh = put(out, "dh", ds[0], dy)
    rest = [put(out, "dc", a) for a in ds[1:]]
    dax = put(out, "dax", dax, dy)
    dah = dax if rule.sums else put(out, "dah", dah, dy)
    if dp:
        array = put(out, "dp", xp.stack(list(dp.values()), -2))
        dp = {name: array[..., j, :] for j, name in enumerate(dp)}
    return dax, dah, type(ds)(dh, *rest), dp
