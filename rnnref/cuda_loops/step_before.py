"""The launches of one step of a GRU with the reset before the product.

    forward    h R of the gates r and z; one kernel: these, and r h; (r h) R of n; one kernel: n, h, the output
    backward   one kernel: gradients of z and n; dn R'; one kernel: that of r, and of h; one product: dh += dg R'

Gates depend only on sums: products are added to x W, each to the blocks of its gates, and on the way back they read the
gradients of these blocks in place.
"""
from typing import Any, NamedTuple, Optional

from ..arrays import Array, as_matrix, cast, namespace
from ..cuda import reset_before
from ..cuda.launch import arithmetic_dtype
from ..cuda.matmul import matmul, prepare_matmuls, sum_rows
from ..cuda.reset_before import split_gates
from ..cuda.step_launches import as_constant, prepare_launches
from . import tapes
from .step_gated import Launch
from .tapes import as_plain, mode_of, refuses_maps

allocate_gradients, collect_gradients = tapes.allocate_gradients, tapes.collect_gradients


class _StepArrays(NamedTuple):
    rh: Any                                       # r h, in the dtype of operands of products
    kept: Any                                     # r z n: of the tape, or of one step


def refuses(cell: Any, call: Any) -> Optional[str]:
    """None, or why this cell is not run step by step."""
    return refuses_maps(call, cell.inputs, cell.recurrent) or reset_before.refuses(cell)


def list_maps(cell: Any) -> tuple:
    """The maps whose weights a step multiplies by."""
    return (cell.recurrent,)


class Tape(tapes.Tape):
    """The tape with r h, the operand of the second product."""
    plain_cell = property(lambda self: as_plain(self.cell))

    def step_kept(self, t: int) -> Any:
        """The intermediates of step t without the input map, as the plain cell keeps them."""
        h = self.states(t)[0][0]
        return reset_before.kept_views(self.kept_buffer[t], h, h, cast(self.own.rh[t], h))

    def recurrent_gradients(self, da: Array) -> dict:
        """Gradients of the parameters of the recurrent map, whose blocks r z multiply h and whose block n r h."""
        m, xp, dtype = self.cell.recurrent, namespace(da), self.p[self.cell.recurrent.W].dtype
        dR = xp.empty(self.p[m.W].shape, dtype)
        operands = self.select_states(self.matmul_states, 0), self.own.rh
        for x, d, out in zip(operands, split_gates(da), split_gates(dR)):
            matmul(as_matrix(x).T, as_matrix(d), mode_of(self.cell), out)
        return {m.W: dR} | ({m.b: sum_rows(as_matrix(da), dtype)} if m.b else {})


def allocate_tape(cell: Any, p: dict, kx: Any, s: Any, live: Optional[Array], order: range, keep: Any, ax: Array
                  ) -> Any:
    """A tape with all its arrays, and the first state in them."""
    tape = tapes.allocate_tape(cell, p, kx, s, live, order, keep, ax, Tape, reset_before.KEPT_COUNT)
    xp, (*lead, n), T, kept = namespace(ax), s[0].shape, len(order) if keep else 1, tape.kept_buffer
    if not keep:
        kept = xp.empty((1, *lead, reset_before.KEPT_COUNT, n), arithmetic_dtype(reset_before.WHO, ax.dtype))
    return tape._replace(own=_StepArrays(xp.empty((T, *lead, n), tape.matmul_states.dtype), kept))


def prepare_forward(tape: Any, weights: dict, ax: Array, ys: Optional[Array], cublas_handle: Any = None
                    ) -> tuple[Launch, ...]:
    """Functions of t: the launches of a step forward, in order."""
    own, first, T, mode = tape.own, tape.order[0], len(ax), mode_of(tape.cell)
    (Rg, Rn), (ag, an) = split_gates(weights[tape.cell.recurrent.W]), split_gates(ax)
    before, after = tape.state_indices(first)

    def reset(ax: Array, h0: Array, live: Any, out: dict, launch: Any) -> None:
        reset_before.reset(ax, None, h0, live, out, launch)

    def renew(ax: Array, h0: Array, kept: Array, live: Any, out: dict, launch: Any) -> None:
        reset_before.renew(ax, None, h0, kept, live, out, launch)
    inputs, kept = {"ax": (ax, first), "h0": (tape.hs, before)}, {"kept": (own.kept, first)}
    out = {"h": (tape.hs, after), "y": (ys, first), "sent": (tape.sent, after)}
    return (prepare_matmuls(tape.matmul_states, Rg, ag, mode, True, T, tape.state_indices(0)[0], cublas_handle),
            prepare_launches(reset, tape.order, tape.live, inputs, kept | {"rh": (own.rh, first)}),
            prepare_matmuls(own.rh, Rn, an, mode, True, T, 0, cublas_handle),
            prepare_launches(renew, tape.order, tape.live, inputs | kept, out))


def prepare_backward(tape: Any, weights: dict, dys: Array, d: Any, grads: Any, cublas_handle: Any = None
                     ) -> tuple[Launch, ...]:
    """Functions of t: the launches of a step back, in order."""
    (dax, *_), order, T, mode = grads, tape.order[::-1], len(dys), mode_of(tape.cell)
    (Rg, Rn), (dg, dn), last = split_gates(weights[tape.cell.recurrent.W]), split_gates(dax), order[0]
    drh, dh = namespace(dys).empty((1, *dys.shape[1:]), dys.dtype), as_constant(d.h)
    inputs = {"kept": (tape.kept_buffer, last), "h0": (tape.hs, tape.state_indices(last)[0]), "dy": (dys, last),
              "dh": dh}
    more = inputs | {"drh": (drh, 0), "dax": (dax, last)}
    return (prepare_launches(reset_before.renew_backward, order, tape.live, inputs, {"dax": (dax, last)}),
            prepare_matmuls(dn, Rn.T, drh, mode, False, T, 0, cublas_handle),
            prepare_launches(reset_before.reset_backward, order, tape.live, more, {"dh": dh}),
            prepare_matmuls(dg, Rg.T, dh[0], mode, True, T, 0, cublas_handle))
