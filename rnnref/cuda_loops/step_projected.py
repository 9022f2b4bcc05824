"""What a step launches where the output of a cell is projected, and that is the h that recurs.  (floor 5)

    ahead    as of the cell inside, whose output is not h; its product with P; one kernel: clip, h, the output, and none
             where the product is all of them
    back     one kernel: the gradient of h P, all of it; its product with P'; and as of the cell inside

The clip is a rule of its own, of one gate: rules/limited.py.  Like any rule it knows what to do with dead rows.
"""
from dataclasses import replace
from typing import Any, NamedTuple

from ..arrays import cast, namespace
from ..cuda.kernel_table import kernel_row_of
from ..cuda.matmul import prepare_matmuls
from ..cuda.step_launches import as_constant
from ..rules.limited import LimitedRule
from . import tapes
from .step_gated import (prepare_gates_backward, prepare_recurrent_backward, prepare_recurrent_forward,
                         prepare_rule_backward, prepare_rule_forward)
from .tapes import map_gradients, mode_of_map


class _StepArrays(NamedTuple):
    cell: Any                                     # Projected
    full: Any                                     # the output of the cell inside, as products take it
    kept: Any                                     # of the clip


def refuses(cell, call):
    """None, or why this Projected is not run step by step."""
    why = tapes.refuses(cell.cell, call) or tapes.refuses_maps(call, cell.map)
    if why:
        return why
    if kernel_row_of(cell.cell.rule).reads_h:
        return f"{cell.name} sees the old h itself, which is not as wide when it is projected"
    return "the projection has a bias: not built yet" if cell.map.b else None


def list_maps(cell):
    return cell.cell.recurrent, cell.map


class Tape(tapes.Tape):
    whole = property(lambda self: self.own.cell)
    text = property(lambda self: replace(self.own.cell, cell=super().text))

    @property
    def has_shared_outputs(self):
        """The product with P writes them then."""
        return self.live is None and self.sent is None and not self.own.cell.clip

    def step_kept(self, t):
        h = self.states(t)[1][0]
        return super().step_kept(t), cast(self.own.full[t], h), h if self.own.cell.clip else None


def allocate_tape(cell, p, kx, s, live, order, keep, ax):
    tape = tapes.allocate_tape(cell.cell, p, kx, s, live, order, keep, ax, Tape)
    xp, T, lead = namespace(ax), len(order) if keep else 1, ax.shape[1:-1]
    full = xp.empty((T, *lead, ax.shape[-1] // len(cell.rule.gates)), tape.matmul_states.dtype)
    kept = None
    if keep:                                      # without a clip nothing is: one for all steps, that nobody looks at
        kept = xp.empty((T if cell.clip else 1, *lead, 1, tape.hs.shape[-1]), tape.kept_buffer.dtype)
    return tape._replace(own=_StepArrays(cell, full, kept))


def prepare_forward(tape, weights, ax, ys, cublas_handle=None):
    xp, own, (was, now), first = namespace(ax), tape.own, tape.places(tape.order[0]), tape.order[0]
    out = {"h": (own.full, first)}
    if tape.sent is not None:
        out = {"h": as_constant(xp.empty(own.full.shape[1:], ax.dtype)), "sent": (own.full, first)}
    inner = prepare_recurrent_forward(tape, weights, ax, {}, out, cublas_handle)
    a = tape.beside(tape.hs, 1) if tape.has_shared_outputs else xp.empty((1, *tape.hs.shape[1:]), ax.dtype)
    project = prepare_matmuls(own.full, weights[own.cell.map.W], a, mode_of_map(own.cell.map), False, len(ax), 0, cublas_handle)
    if tape.has_shared_outputs:
        return *inner, project
    out = {"h": (tape.hs, now), "y": (ys, first), "sent": (tape.sent, now), "kept": (own.kept, first)}
    return *inner, project, prepare_rule_forward(tape, LimitedRule(own.cell.clip), {"ax": (a, 0), "h0": (tape.hs, was)}, out)


def allocate_gradients(tape):
    """And of h P."""
    dh = namespace(tape.hs).empty((len(tape.order), *tape.hs.shape[1:]), tape.matmul_states.dtype)
    return *tapes.allocate_gradients(tape), dh


def prepare_backward(tape, weights, dys, d, grads, cublas_handle=None):
    own, last, (*grads, da) = tape.own, tape.order[-1], grads
    given = {"kept": (own.kept, last), "dy": (dys, last), "dh": as_constant(d.h)}
    limit = prepare_rule_backward(tape, LimitedRule(own.cell.clip), given, {"dax": (da, last), "dh": as_constant(d.h)})
    dfull = namespace(dys).empty((1, *own.full.shape[1:]), dys.dtype)
    project = prepare_matmuls(da, weights[own.cell.map.W].T, dfull, mode_of_map(own.cell.map), False, len(da), 0, cublas_handle)
    dc = {"dc": as_constant(d.c)} if len(d) > 1 else {}
    inner = prepare_gates_backward(tape, {"dy": (dfull, 0)} | dc, dc, grads), prepare_recurrent_backward(tape, weights, d.h, grads[1], cublas_handle)
    return limit, project, *inner


def collect_gradients(tape, dax, dah, dp, da, d):
    dxs, d, _, grads = tapes.collect_gradients(tape, dax, dah, dp, d)
    return dxs, d, None, grads | map_gradients(tape.own.cell.map, tape.p, tape.own.full, da)
