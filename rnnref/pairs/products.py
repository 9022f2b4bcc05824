"""Pairs of products: matmul, and sums over indices."""
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import numpy

from ..arrays import Array, as_matrix, namespace
from ..errors import NotSupported
from .table import Op, fit


def matmul(x1: Array, x2: Array) -> tuple:
    return namespace(x1, x2).matmul(x1, x2), (x1, x2)


def d_matmul(kept: Any, dy: Array, wanted: Any = (True, True)) -> tuple:
    a, b = kept
    u, v = a[None] if a.ndim == 1 else a, b[:, None] if b.ndim == 1 else b     # vectors as rows and columns
    dy = dy[..., None] if b.ndim == 1 else dy
    dy = dy[..., None, :] if a.ndim == 1 else dy
    da = db = None
    if wanted[0]:
        da = fit(dy @ v.swapaxes(-1, -2), u.shape).reshape(a.shape)
    if wanted[1] and v.ndim == 2:                 # all rows in one product
        db = (as_matrix(u).T @ as_matrix(dy)).reshape(b.shape)
    elif wanted[1]:
        db = fit(u.swapaxes(-1, -2) @ dy, v.shape).reshape(b.shape)
    return da, db


def einsum(*operands: Any, subscripts: Any) -> tuple:
    terms, out = explicit(subscripts, [a.ndim for a in operands])
    y = namespace(*operands).einsum(",".join(terms) + "->" + out, *operands, optimize=len(operands) > 1)
    return y, (terms, out, operands)


def d_einsum(kept: Any, dy: Array, wanted: Any = None) -> Array:
    """An operand's gradient is an einsum of dy and of the others; an index that it alone has was summed over."""
    terms, out, arrays = kept
    found = []
    for k, (term, a) in enumerate(zip(terms, arrays)):
        if wanted is not None and not wanted[k]:
            found.append(None)
            continue
        others, rest = [*terms[:k], *terms[k + 1:]], [*arrays[:k], *arrays[k + 1:]]
        seen = [c for c in term if c in out or any(c in t for t in others)]
        d = namespace(dy).einsum(",".join([out, *others]) + "->" + "".join(seen), dy, *rest, optimize=bool(rest))
        d = d[tuple(slice(None) if c in seen else None for c in term)]
        found.append(fit(namespace(d).broadcast_to(d, numpy.broadcast_shapes(d.shape, a.shape)), a.shape))
    return tuple(found)


def explicit(subscripts: str, ranks: list) -> tuple:
    """The letters of each operand and of the result, "..." spelled out.

    >>> explicit("...ij,jk", [3, 2])
    (['Zij', 'jk'], 'Zik')
    """
    if not isinstance(subscripts, str):
        raise NotSupported("ops.einsum", "operands with lists of axes", fix='a string: "ij,jk->ik"')
    ins, arrow, out = subscripts.replace(" ", "").partition("->")
    terms = ins.split(",")
    if len(terms) != len(ranks):
        raise ValueError(f"{subscripts!r} names {len(terms)} operands, {len(ranks)} were given")
    free = "".join(c for c in (ascii_lowercase + ascii_uppercase)[::-1] if c not in subscripts)    # for "..."
    terms = [t.replace("...", free[:rank - len(t.replace("...", ""))][::-1]) for t, rank in zip(terms, ranks)]
    for term in terms:
        if len(set(term)) < len(term):
            raise NotSupported("ops.einsum", f"{subscripts!r}: an index occurs twice in one operand",
                               fix="ops.diagonal or ops.trace first")
    letters = "".join(terms)
    dots = "".join(c for c in reversed(free) if c in letters)
    if not arrow:
        out = "..." + "".join(sorted(c for c in {*letters} - {*free} if letters.count(c) == 1))
    return terms, out.replace("...", dots)


def tensordot(x1: Array, x2: Array, axes: Any = 2) -> Any:
    if isinstance(axes, int):
        left, right = list(range(x1.ndim - axes, x1.ndim)), list(range(axes))
    else:
        left, right = ([n] if isinstance(n, int) else list(n) for n in axes)
    ours, theirs = [chr(97 + k) for k in range(x1.ndim)], [chr(110 + k) for k in range(x2.ndim)]
    for i, j in zip(left, right, strict=True):
        theirs[j] = ours[i]
    out = [c for c in ours if c not in theirs] + [c for c in theirs if c not in ours]
    return einsum(x1, x2, subscripts=f"{''.join(ours)},{''.join(theirs)}->{''.join(out)}")


def scaled(x1: Array, x2: Array) -> Any:
    """One of them is a number."""
    return einsum(x1, x2, subscripts="...,...->...")


def inner(x1: Array, x2: Array) -> Any:
    if not x1.ndim or not x2.ndim:
        return scaled(x1, x2)
    return tensordot(x1, x2, ([x1.ndim - 1], [x2.ndim - 1]))


def dot(x1: Array, x2: Array) -> Any:
    if not x1.ndim or not x2.ndim:
        return scaled(x1, x2)
    return tensordot(x1, x2, ([x1.ndim - 1], [max(x2.ndim - 2, 0)]))


def outer(x1: Array, x2: Array) -> tuple:
    y, (_, _, arrays) = einsum(x1.reshape(x1.size), x2.reshape(x2.size), subscripts="i,j->ij")
    return y, (x1.shape, x2.shape, arrays)


def d_outer(kept: Any, dy: Array, wanted: Any = (True, True)) -> tuple:
    first, second, arrays = kept
    d1, d2 = d_einsum((["i", "j"], "ij", arrays), dy, wanted)
    return None if d1 is None else d1.reshape(first), None if d2 is None else d2.reshape(second)


OPS = [
    Op("matmul", matmul, d_matmul, 2, "The product of matrices, over all leading axes."),
    Op("einsum", einsum, d_einsum, "after", "The sum over indices that `subscripts` describes."),
    Op("tensordot", tensordot, d_einsum, 2, "The sum of products over `axes`: a number, or a list for each array."),
    Op("dot", dot, d_einsum, 2, "The sum over the last axis of x1 and the last but one of x2."),
    Op("inner", inner, d_einsum, 2, "The sum of products over the last axes."),
    Op("outer", outer, d_outer, 2, "All products of an entry of x1 and one of x2."),
]
