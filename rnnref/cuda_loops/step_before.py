"""What a step launches where the reset stands before the product.  (floor 5)

    ahead    h R of the gates r and z; one kernel: these, and r h; (r h) R of n; one kernel: n, h, the output
    back     one kernel: gradients of z and n; dn R'; one kernel: that of r, and of h; one product: dh += dg R'

Only sums are seen: products are added to x W, each to the blocks of its gates, and read the gradients of these where
they lie.
"""
from typing import Any, NamedTuple

from ..arrays import as_matrix, cast, namespace
from ..cuda import reset_before
from ..cuda.hold import arithmetic_dtype
from ..cuda.matmul import matmul, prepare_matmuls, sum_rows
from ..cuda.reset_before import split_gates
from ..cuda.step_launches import as_constant, prepare_launches
from . import tapes
from .tapes import as_plain, mode_of, refuses_maps

allocate_gradients, collect_gradients = tapes.allocate_gradients, tapes.collect_gradients


class _StepArrays(NamedTuple):
    rh: Any                                       # r h, as products take it
    kept: Any                                     # r z n: on the tape, or of one step


def refuses(cell, call):
    """None, or why this cell is not run step by step."""
    return refuses_maps(call, cell.inputs, cell.recurrent) or reset_before.refuses(cell)


def list_maps(cell):
    return (cell.recurrent,)


class Tape(tapes.Tape):
    text = property(lambda self: as_plain(self.cell))

    def step_kept(self, t):
        h = self.states(t)[0][0]
        return reset_before.kept_views(self.kept_buffer[t], h, h, cast(self.own.rh[t], h))

    def recurrent_gradients(self, da):
        m, xp, dtype = self.cell.recurrent, namespace(da), self.p[self.cell.recurrent.W].dtype
        dR = xp.empty(self.p[m.W].shape, dtype)
        for took, d, out in zip((self.beside(self.matmul_states, 0), self.own.rh), split_gates(da), split_gates(dR)):
            matmul(as_matrix(took).T, as_matrix(d), mode_of(self.cell), out)
        return {m.W: dR} | ({m.b: sum_rows(as_matrix(da), dtype)} if m.b else {})


def allocate_tape(cell, p, kx, s, live, order, keep, ax):
    tape = tapes.allocate_tape(cell, p, kx, s, live, order, keep, ax, Tape, reset_before.KEPT_COUNT)
    xp, (*lead, n), T = namespace(ax), s[0].shape, len(order) if keep else 1
    kept = tape.kept_buffer if keep else xp.empty((1, *lead, reset_before.KEPT_COUNT, n), arithmetic_dtype(reset_before.WHO, ax.dtype))
    return tape._replace(own=_StepArrays(xp.empty((T, *lead, n), tape.matmul_states.dtype), kept))


def prepare_forward(tape, weights, ax, ys, cublas_handle=None):
    own, first, T, mode = tape.own, tape.order[0], len(ax), mode_of(tape.cell)
    (Rg, Rn), (ag, an), (was, now) = split_gates(weights[tape.cell.recurrent.W]), split_gates(ax), tape.places(first)

    def reset(ax, h0, live, out, launch):
        reset_before.reset(ax, None, h0, live, out, launch)

    def renew(ax, h0, kept, live, out, launch):
        reset_before.renew(ax, None, h0, kept, live, out, launch)
    given, kept = {"ax": (ax, first), "h0": (tape.hs, was)}, {"kept": (own.kept, first)}
    return (prepare_matmuls(tape.matmul_states, Rg, ag, mode, True, T, tape.places(0)[0], cublas_handle),
            prepare_launches(reset, tape.order, tape.live, given, kept | {"rh": (own.rh, first)}),
            prepare_matmuls(own.rh, Rn, an, mode, True, T, 0, cublas_handle),
            prepare_launches(renew, tape.order, tape.live, given | kept,
                   {"h": (tape.hs, now), "y": (ys, first), "sent": (tape.sent, now)}))


def prepare_backward(tape, weights, dys, d, grads, cublas_handle=None):
    (dax, *_), order, T, mode = grads, tape.order[::-1], len(dys), mode_of(tape.cell)
    (Rg, Rn), (dg, dn), last = split_gates(weights[tape.cell.recurrent.W]), split_gates(dax), order[0]
    drh, dh = namespace(dys).empty((1, *dys.shape[1:]), dys.dtype), as_constant(d.h)
    given = {"kept": (tape.kept_buffer, last), "h0": (tape.hs, tape.places(last)[0]), "dy": (dys, last), "dh": dh}
    return (prepare_launches(reset_before.renew_backward, order, tape.live, given, {"dax": (dax, last)}),
            prepare_matmuls(dn, Rn.T, drh, mode, False, T, 0, cublas_handle),
            prepare_launches(reset_before.reset_backward, order, tape.live, given | {"drh": (drh, 0), "dax": (dax, last)}, {"dh": dh}),
            prepare_matmuls(dg, Rg.T, dh[0], mode, True, T, 0, cublas_handle))
