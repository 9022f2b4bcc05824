"""The pointwise parts of a GRU with the reset before the product, a kernel each: two ahead, two back.  (floor 5)

    reset(ax, ag, h0)                       -> r h, kept       ag = h R, blocks r z; kept: an array [*lead, 3, n], r z n
    renew(ax, an, h0, kept)                 -> y, h            an = (r h) Rn
    renew_back(kept, h0, dy, dh)            -> dax             of which blocks z and n are written
    reset_back(kept, h0, dy, dh, drh, dax)  -> dh0             drh = dn Rn'; writes block r of dax; add dg R' to dh0
    parted(a)                               -> dg, dn          blocks r z and block n, as views

All take live, out and launch as pointwise.py has them; the names in `out` are those of the results, and `sent` of
`renew`.  ag and an may be None: they are in ax already, of which either part sees the sum alone.
On the way back kept may be the cell's Kept too, whose r z n are views of that array.
Types: r h, sent and dax are S, kept is A, all others W.
"""
from ..cells import gru_before
from ..rules.gru import Pre
from .hold import LaunchArrays, arithmetic_dtype
from .kernel_table import KERNEL_TABLE, refuses_activations
from .launch import launch, why_no_compiler
from .source import Kernel

WHO = "GRU"
KEPT_COUNT = 3                                        # r z n


def refuses(cell):
    """None, or why no kernel does what the pointwise parts of this cell do."""
    if type(cell.rule) is not gru_before.GRURule:
        return f"no kernel has been written for {type(cell.rule).__name__} with the reset before the product"
    return why_no_compiler() or refuses_activations(WHO, cell.rule, KERNEL_TABLE[gru_before.GRURule].activations)


def reset(ax, ag, h0, live=None, out=None, launch=launch):
    """r and z from their sums, and what the second product takes: -> r h, kept."""
    hold, W, A, lead, n = _start_launch(h0, live, out)
    S = hold.operand_dtype("rh", W)
    hold.take("ax", ax, (*lead, 3 * n), W)
    hold.take("ag", ag, (*lead, 2 * n), W)
    hold.take("h0", h0, h0.shape, W)
    rh, kept = hold.make("rh", h0.shape, S), hold.make("kept", (*lead, KEPT_COUNT, n), A)
    launch(make_kernel("Reset", A, S, W), hold)
    return rh, kept


def renew(ax, an, h0, kept, live=None, out=None, launch=launch):
    """n, which joins the others in `kept`, and the new state: -> y, h."""
    hold, W, A, lead, n = _start_launch(h0, live, out)
    S = hold.operand_dtype("sent", W)
    hold.take("ax", ax, (*lead, 3 * n), W)
    hold.take("an", an, h0.shape, W)
    hold.take("h0", h0, h0.shape, W)
    hold.into("kept", kept, (*lead, KEPT_COUNT, n), A)
    h = hold.make("h", h0.shape, W)
    y = hold.make("y", h0.shape, W) if live is not None or "y" in hold.out else h
    hold.make("sent", h0.shape, S) if "sent" in hold.out else None
    launch(make_kernel("Renew", A, S, W), hold)
    return y, h


def renew_backward(kept, h0, dy, dh, live=None, out=None, launch=launch):
    """What the gates z and n get: -> dax, whose block r is not written yet."""
    hold, W, A, lead, n = _start_launch(h0, live, out)
    S = hold.operand_dtype("dax", W)
    hold.add_kept("r z n", kept, A)
    hold.take("h0", h0, h0.shape, W)
    hold.take("dy", dy, h0.shape, W)
    hold.take("dh", dh, h0.shape, W)
    dax = hold.make("dax", (*lead, 3 * n), S)
    launch(make_kernel("RenewBack", A, S, W), hold)
    return dax


def reset_backward(kept, h0, dy, dh, drh, dax, live=None, out=None, launch=launch):
    """What the gate r gets, written to dax, and the gradient of the old state but for dg R': -> dh0."""
    hold, W, A, lead, n = _start_launch(h0, live, out)
    hold.add_kept("r z n", kept, A)
    for name, a in (("h0", h0), ("dy", dy), ("dh", dh), ("drh", drh)):
        hold.take(name, a, h0.shape, W)
    hold.into("dax", dax, (*lead, 3 * n), dax.dtype)
    dh0 = hold.make("dh", h0.shape, W, "dh0")
    launch(make_kernel("ResetBack", A, dax.dtype, W), hold)
    return dh0


def split_gates(a):
    """Of three blocks, those that act on h and the one that acts on r h: two views."""
    n = a.shape[-1] // 3
    return a[..., :2 * n], a[..., 2 * n:]


def _start_launch(h0, live, out):
    *lead, n = h0.shape
    return LaunchArrays(WHO, h0, out, live, tuple(lead), n), h0.dtype, arithmetic_dtype(WHO, h0.dtype), tuple(lead), n


def make_kernel(args, A, S, W):
    return Kernel("reset_before.cu", args, A.name, S.name, W.name)


def kept_views(kept, h0, gates, new):
    """The cell's Kept; `gates` and `new` are what the two products kept."""
    r, z, n = (kept[..., j, :] for j in range(3))
    return gru_before.Kept(r, z, n, h0, gates, new, Pre(None, None, None))
