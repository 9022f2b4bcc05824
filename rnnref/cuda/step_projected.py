"""What a step launches where the output of a cell is projected, and that is the h that recurs.  (floor 5)

    ahead    as of the cell inside, whose output is not h; its product with P; one kernel: clip, h, the output, and none
             where the product is all of them
    back     one kernel: the gradient of h P, all of it; its product with P'; and as of the cell inside

The clip is a rule of its own, of one gate: rules/limited.py.  Like any rule it knows what to do with dead rows.
"""
from dataclasses import replace
from typing import Any, NamedTuple

from ..arrays import cast, namespace
from ..rules.limited import LimitedRule
from . import sequence
from .products import repeated
from .sequence import mode, weighed
from .series import still
from .step_gated import from_gates, from_rule, rule_ahead, rule_back, through_rule
from .texts import text_of


class Own(NamedTuple):
    cell: Any                                     # Projected
    full: Any                                     # the output of the cell inside, as products take it
    kept: Any                                     # of the clip


def refuses(cell, call):
    """None, or why this Projected is not run step by step."""
    why = sequence.refuses(cell.cell, call) or sequence.prevented(call, cell.map)
    if why:
        return why
    if text_of(cell.cell.rule).sees_h:
        return f"{cell.name} sees the old h itself, which is not as wide when it is projected"
    return "the projection has a bias: not built yet" if cell.map.b else None


def maps(cell):
    return cell.cell.recurrent, cell.map


class Tape(sequence.Tape):
    whole = property(lambda self: self.own.cell)
    text = property(lambda self: replace(self.own.cell, cell=super().text))

    @property
    def as_states(self):
        """The product with P writes them then."""
        return self.live is None and self.sent is None and not self.own.cell.clip

    def of_step(self, t):
        h = self.states(t)[1][0]
        return super().of_step(t), cast(self.own.full[t], h), h if self.own.cell.clip else None


def opened(cell, p, kx, s, live, order, keep, ax):
    tape = sequence.opened(cell.cell, p, kx, s, live, order, keep, ax, Tape)
    xp, T, lead = namespace(ax), len(order) if keep else 1, ax.shape[1:-1]
    full = xp.empty((T, *lead, ax.shape[-1] // len(cell.rule.gates)), tape.took.dtype)
    kept = None
    if keep:                                      # without a clip nothing is: one for all steps, that nobody looks at
        kept = xp.empty((T if cell.clip else 1, *lead, 1, tape.hs.shape[-1]), tape.kept_all.dtype)
    return tape._replace(own=Own(cell, full, kept))


def ahead(tape, weights, ax, ys, by=None):
    xp, own, (was, now), first = namespace(ax), tape.own, tape.places(tape.order[0]), tape.order[0]
    out = {"h": (own.full, first)}
    if tape.sent is not None:
        out = {"h": still(xp.empty(own.full.shape[1:], ax.dtype)), "sent": (own.full, first)}
    inner = through_rule(tape, weights, ax, {}, out, by)
    a = tape.beside(tape.hs, 1) if tape.as_states else xp.empty((1, *tape.hs.shape[1:]), ax.dtype)
    project = repeated(own.full, weights[own.cell.map.W], a, mode(own.cell.map), False, len(ax), 0, by)
    if tape.as_states:
        return *inner, project
    out = {"h": (tape.hs, now), "y": (ys, first), "sent": (tape.sent, now), "kept": (own.kept, first)}
    return *inner, project, rule_ahead(tape, LimitedRule(own.cell.clip), {"ax": (a, 0), "h0": (tape.hs, was)}, out)


def gradients(tape):
    """And of h P."""
    dh = namespace(tape.hs).empty((len(tape.order), *tape.hs.shape[1:]), tape.took.dtype)
    return *sequence.gradients(tape), dh


def back(tape, weights, dys, d, grads, by=None):
    own, last, (*grads, da) = tape.own, tape.order[-1], grads
    given = {"kept": (own.kept, last), "dy": (dys, last), "dh": still(d.h)}
    limit = rule_back(tape, LimitedRule(own.cell.clip), given, {"dax": (da, last), "dh": still(d.h)})
    dfull = namespace(dys).empty((1, *own.full.shape[1:]), dys.dtype)
    project = repeated(da, weights[own.cell.map.W].T, dfull, mode(own.cell.map), False, len(da), 0, by)
    dc = {"dc": still(d.c)} if len(d) > 1 else {}
    inner = from_rule(tape, {"dy": (dfull, 0)} | dc, dc, grads), from_gates(tape, weights, d.h, grads[1], by)
    return limit, project, *inner


def finished(tape, dax, dah, dp, da, d):
    dxs, d, _, grads = sequence.finished(tape, dax, dah, dp, d)
    return dxs, d, None, grads | weighed(tape.own.cell.map, tape.p, tape.own.full, da)
