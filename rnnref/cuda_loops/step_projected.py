"""The launches of one step where the output of a cell is projected, and the projection is the h of the next step.

    forward    those of the inner cell, whose output is not h; its product with P; one kernel: clip, h, the output (none
               where the product alone gives h)
    backward   one kernel: the gradient of h P; its product with P'; and those of the inner cell

The clip is a rule of its own, of one gate: rules/limited.py.  Like any rule it handles dead rows.
"""
from dataclasses import replace
from typing import Any, Collection, NamedTuple, Optional

from ..arrays import Array, cast, namespace
from ..cell import ALL
from ..cuda.kernel_table import kernel_row_of
from ..cuda.matmul import prepare_matmuls
from ..cuda.step_launches import as_constant
from ..rules.limited import LimitedRule
from . import tapes
from .step_gated import (Launch, prepare_gates_backward, prepare_recurrent_backward, prepare_recurrent_forward,
                         prepare_rule_backward, prepare_rule_forward)
from .tapes import map_gradients, mode_of_map


class _StepArrays(NamedTuple):
    cell: Any                                     # ProjectedCell
    full: Any                                     # outputs of the inner cell, in the dtype of operands of products
    kept: Any                                     # intermediates of the clip


def refuses(cell: Any, call: Any) -> Optional[str]:
    """None, or why this ProjectedCell is not run step by step."""
    why = tapes.refuses(cell.cell, call) or tapes.refuses_maps(call, cell.map)
    if why:
        return why
    if kernel_row_of(cell.cell.rule).reads_h:
        return f"{cell.name} reads the old h itself, whose width changes when it is projected"
    return "a projection with a bias is not implemented" if cell.map.b else None


def list_maps(cell: Any) -> tuple:
    """The maps whose weights a step multiplies by."""
    return cell.cell.recurrent, cell.map


class Tape(tapes.Tape):
    """The tape with the arrays of the projection."""
    outer_cell = property(lambda self: self.own.cell)
    plain_cell = property(lambda self: replace(self.own.cell, cell=super().plain_cell))

    @property
    def has_shared_outputs(self) -> bool:
        """True if the product with P can write the states, which are then the outputs."""
        return self.live is None and self.sent is None and self.own.cell.clip is None

    def step_kept(self, t: int) -> Any:
        """The intermediates of step t, of the inner cell, the projection and the clip."""
        h = self.states(t)[1][0]
        return super().step_kept(t), cast(self.own.full[t], h), None if self.own.cell.clip is None else h


def allocate_tape(cell: Any, p: dict, kx: Any, s: Any, live: Optional[Array], order: range, keep: Any, ax: Array
                  ) -> Any:
    """A tape with all its arrays, and the first state in them."""
    tape = tapes.allocate_tape(cell.cell, p, kx, s, live, order, keep, ax, Tape)
    xp, T, lead = namespace(ax), len(order) if keep else 1, ax.shape[1:-1]
    full = xp.empty((T, *lead, ax.shape[-1] // len(cell.rule.gates)), tape.matmul_states.dtype)
    kept = None
    if keep:                                      # without a clip one for all steps, which is never read
        kept = xp.empty((1 if cell.clip is None else T, *lead, 1, tape.hs.shape[-1]), tape.kept_buffer.dtype)
    return tape._replace(own=_StepArrays(cell, full, kept))


def prepare_forward(tape: Any, weights: dict, ax: Array, ys: Optional[Array], cublas_handle: Any = None
                    ) -> tuple[Launch, ...]:
    """Functions of t: the launches of a step forward, in order."""
    xp, own, first = namespace(ax), tape.own, tape.order[0]
    before, after = tape.state_indices(first)
    out = {"h": (own.full, first)}
    if tape.sent is not None:
        out = {"h": as_constant(xp.empty(own.full.shape[1:], ax.dtype)), "sent": (own.full, first)}
    inner = prepare_recurrent_forward(tape, weights, ax, {}, out, cublas_handle)
    a = tape.select_states(tape.hs, 1) if tape.has_shared_outputs else xp.empty((1, *tape.hs.shape[1:]), ax.dtype)
    P = own.cell.map
    project = prepare_matmuls(own.full, weights[P.W], a, mode_of_map(P), False, len(ax), 0, cublas_handle)
    if tape.has_shared_outputs:
        return *inner, project
    inputs = {"ax": (a, 0), "h0": (tape.hs, before)}
    out = {"h": (tape.hs, after), "y": (ys, first), "sent": (tape.sent, after), "kept": (own.kept, first)}
    return *inner, project, prepare_rule_forward(tape, LimitedRule(own.cell.clip), inputs, out)


def allocate_gradients(tape: Any) -> tuple:
    """Arrays for the gradients of the inner cell's steps, and of h P."""
    dh = namespace(tape.hs).empty((len(tape.order), *tape.hs.shape[1:]), tape.matmul_states.dtype)
    return *tapes.allocate_gradients(tape), dh


def prepare_backward(tape: Any, weights: dict, dys: Array, d: Any, grads: Any, cublas_handle: Any = None
                     ) -> tuple[Launch, ...]:
    """Functions of t: the launches of a step back, in order."""
    own, P, last, (*grads, da) = tape.own, tape.own.cell.map, tape.order[-1], grads
    inputs = {"kept": (own.kept, last), "dy": (dys, last), "dh": as_constant(d.h)}
    out = {"dax": (da, last), "dh": as_constant(d.h)}
    limit = prepare_rule_backward(tape, LimitedRule(own.cell.clip), inputs, out)
    dfull = namespace(dys).empty((1, *own.full.shape[1:]), dys.dtype)
    project = prepare_matmuls(da, weights[P.W].T, dfull, mode_of_map(P), False, len(da), 0, cublas_handle)
    dc = {"dc": as_constant(d.c)} if len(d) > 1 else {}
    return (limit, project, prepare_gates_backward(tape, {"dy": (dfull, 0)} | dc, dc, grads),
            prepare_recurrent_backward(tape, weights, d.h, grads[1], cublas_handle))


def collect_gradients(tape: Any, dax: Array, dah: Array, dp: Any, da: Array, d: Any, wanted: Collection[str] = ALL
                      ) -> tuple:
    """The products after the loop, and the gradients that are wanted."""
    dxs, d, _, grads = tapes.collect_gradients(tape, dax, dah, dp, d, wanted)
    if grads is not None:
        grads |= map_gradients(tape.own.cell.map, tape.p, tape.own.full, da)
    return dxs, d, None, grads
