"""The pointwise parts of a GRU with the reset before the product, one kernel each: two forward, two backward.

    reset(ax, ag, h0)                           -> r h, kept   ag = h R, blocks r z; kept: an array [*lead, 3, n], r z n
    renew(ax, an, h0, kept)                     -> y, h        an = (r h) Rn
    renew_backward(kept, h0, dy, dh)            -> dax         of which blocks z and n are written
    reset_backward(kept, h0, dy, dh, drh, dax)  -> dh0         drh = dn Rn'; writes block r of dax; add dg R' to dh0
    split_gates(a)                              -> dg, dn      blocks r z and block n, as views

All take live, out and launch as pointwise.py has them; the names in `out` are those of the results, and `sent` of
`renew`.  ag and an may be None: then they are in ax already, and each part reads the sum alone.
On the way back kept may also be the cell's Kept, whose r z n are views of that array.
Types: r h, sent and dax are S, kept is A, all others W.
"""
from typing import Any, Callable, Optional

import numpy

from ..arrays import Array
from ..cells import gru_before
from ..rules.gru import Pre
from .kernel_table import KERNEL_TABLE, refuses_activations
from .launch import LaunchArrays, arithmetic_dtype, launch, why_no_compiler
from .source import Kernel

WHO = "GRU"
KEPT_COUNT = 3                                    # r z n


def refuses(cell: Any) -> Optional[str]:
    """None, or why no kernels compute the pointwise parts of this cell."""
    if type(cell.rule) is not gru_before.GRURule:
        return f"no kernel has been written for {cell.rule.name} with the reset before the product"
    return why_no_compiler() or refuses_activations(WHO, cell.rule, KERNEL_TABLE[gru_before.GRURule].activations)


def reset(ax: Array, ag: Optional[Array], h0: Array, live: Optional[Array] = None, out: Optional[dict] = None,
          launch: Callable = launch) -> tuple[Array, Array]:
    """r and z from their sums, and the operand of the second product: -> r h, kept."""
    arrays, W, A, lead, n = _start_launch(h0, live, out)
    S = arrays.operand_dtype("rh", W)
    arrays.add_input("ax", ax, (*lead, 3 * n), W)
    arrays.add_input("ag", ag, (*lead, 2 * n), W)
    arrays.add_input("h0", h0, h0.shape, W)
    rh, kept = arrays.add_output("rh", h0.shape, S), arrays.add_output("kept", (*lead, KEPT_COUNT, n), A)
    launch(make_kernel("Reset", A, S, W), arrays)
    return rh, kept


def renew(ax: Array, an: Optional[Array], h0: Array, kept: Array, live: Optional[Array] = None,
          out: Optional[dict] = None, launch: Callable = launch) -> tuple[Array, Array]:
    """n, which is written beside r and z in `kept`, and the new state: -> y, h."""
    arrays, W, A, lead, n = _start_launch(h0, live, out)
    S = arrays.operand_dtype("sent", W)
    arrays.add_input("ax", ax, (*lead, 3 * n), W)
    arrays.add_input("an", an, h0.shape, W)
    arrays.add_input("h0", h0, h0.shape, W)
    arrays.add_in_out("kept", kept, (*lead, KEPT_COUNT, n), A)
    h = arrays.add_output("h", h0.shape, W)
    y = arrays.add_output("y", h0.shape, W) if live is not None or "y" in arrays.out else h
    arrays.add_output("sent", h0.shape, S) if "sent" in arrays.out else None
    launch(make_kernel("Renew", A, S, W), arrays)
    return y, h


def renew_backward(kept: Any, h0: Array, dy: Optional[Array], dh: Optional[Array], live: Optional[Array] = None,
                   out: Optional[dict] = None, launch: Callable = launch) -> Array:
    """Gradients of the gates z and n: -> dax, whose block r is not written yet."""
    arrays, W, A, lead, n = _start_launch(h0, live, out)
    S = arrays.operand_dtype("dax", W)
    arrays.add_kept("r z n", kept, A)
    arrays.add_input("h0", h0, h0.shape, W)
    arrays.add_input("dy", dy, h0.shape, W)
    arrays.add_input("dh", dh, h0.shape, W)
    dax = arrays.add_output("dax", (*lead, 3 * n), S)
    launch(make_kernel("RenewBack", A, S, W), arrays)
    return dax


def reset_backward(kept: Any, h0: Array, dy: Optional[Array], dh: Optional[Array], drh: Array, dax: Array,
                   live: Optional[Array] = None, out: Optional[dict] = None, launch: Callable = launch) -> Array:
    """The gradient of the gate r, written to dax, and that of the old state without dg R': -> dh0."""
    arrays, W, A, lead, n = _start_launch(h0, live, out)
    arrays.add_kept("r z n", kept, A)
    for name, a in (("h0", h0), ("dy", dy), ("dh", dh), ("drh", drh)):
        arrays.add_input(name, a, h0.shape, W)
    arrays.add_in_out("dax", dax, (*lead, 3 * n), dax.dtype)
    dh0 = arrays.add_output("dh", h0.shape, W, "dh0")
    launch(make_kernel("ResetBack", A, dax.dtype, W), arrays)
    return dh0


def split_gates(a: Array) -> tuple[Array, Array]:
    """Views of the two blocks r z, which act on h, and of the block n, which acts on r h."""
    n = a.shape[-1] // 3
    return a[..., :2 * n], a[..., 2 * n:]


def _start_launch(h0: Array, live: Optional[Array], out: Optional[dict]) -> tuple:
    """The arrays of a launch, W, A, the leading axes and the number of units."""
    *lead, n = h0.shape
    return LaunchArrays(WHO, h0, out, live, tuple(lead), n), h0.dtype, arithmetic_dtype(WHO, h0.dtype), tuple(lead), n


def make_kernel(args: str, A: numpy.dtype, S: numpy.dtype, W: numpy.dtype) -> Kernel:
    """The kernel of the struct `args` for these dtypes."""
    return Kernel("reset_before.cu", args, A.name, S.name, W.name)


def kept_views(kept: Array, h0: Array, gates: Any, new: Any) -> gru_before.Kept:
    """The cell's Kept; `gates` and `new` are the intermediates of the two products."""
    r, z, n = (kept[..., j, :] for j in range(3))
    return gru_before.Kept(r, z, n, h0, gates, new, Pre(None, None, None))
