"""What a step launches where the cell is two maps and a rule.  (floor 5)

    ahead    h R, added to x W where the rule sees only the sum; one kernel: gates, c, h, the output
    back     one kernel: gradients of gates and of c; one product: dh += dah R'
"""
from typing import Any

from ..arrays import namespace
from . import pointwise, sequence
from .products import repeated
from .sequence import mode_of
from .series import series, still
from .texts import text_of

RING = 16                                         # steps whose recurrent bias is written in one launch

refuses, opened, gradients, finished = sequence.refuses, sequence.opened, sequence.gradients, sequence.finished


def maps(cell):
    return (cell.recurrent,)


def ahead(tape, weights, ax, ys, by=None):
    first = tape.order[0]
    was, now = tape.places(first)
    return through_rule(tape, weights, ax, {"h0": (tape.hs, was)},
                        {"h": (tape.hs, now), "y": (ys, first), "sent": (tape.sent, now)}, by)


def through_rule(tape, weights, ax, given, out, by):
    """From h through R and the rule.  given, out: what the kernel takes and gives beside gates, c and what is kept."""
    ring, first = Ring(tape, ax), tape.order[0]
    (was, now), target = tape.places(first), ax if ring.arrays is None else ring.arrays
    multiply = repeated(tape.took, weights[tape.cell.recurrent.W], target, mode_of(tape.cell), ring.adds, len(ax),
                        tape.places(0)[0], by)
    given = given | {"ax": (ax, first), "ah": (ring.arrays, first), "c0": (tape.cs, was)}
    out = out | {"c": (tape.cs, now), "kept": (tape.kept_all, first)}
    return ring.fill, multiply, rule_ahead(tape, tape.cell.rule, given, out)


def rule_ahead(tape, rule, given, out):
    """The launches of a rule.  given, out: see `series`."""
    def step(ax, live, out, launch, ah=None, h0=None, c0=None):
        pointwise.forward(rule, tape.p, ax, ah, state(rule, h0, c0), live, out, "kept" in out, launch)
    return series(step, tape.order, tape.live, given, out)


def state(rule, h, c):
    return rule.State(*(h, c)[:len(rule.State._fields)])


class Ring:
    """Where h R goes, and its bias.

    A rule that sees only the sum gets h R added to x W in place, where the bias is already.  Another gets h R in an
    array of its own, into which its bias is written for some steps at a time: then `arrays` are these.
    """

    arrays: Any = None
    bias: Any = None

    def __init__(self, tape, ax):
        rule, b, self.first = tape.cell.rule, tape.cell.recurrent.b, tape.order[0]
        if not rule.is_additive:
            self.bias = tape.p[b] if b else None
            self.arrays = namespace(ax).empty((RING if b else 1, *ax.shape[1:]), ax.dtype)
        self.adds = rule.is_additive or self.bias is not None

    def fill(self, t):
        """Before step t."""
        if self.bias is not None and (t - self.first) % RING == 0:
            self.arrays[...] = self.bias


def back(tape, weights, dys, d, grads, by=None):
    both = {name: still(a) for name, a in zip(("dh", "dc"), d)}
    return (from_rule(tape, {"dy": (dys, tape.order[-1])} | both, both, grads),
            from_gates(tape, weights, d.h, grads[1], by))


def from_rule(tape, given, out, grads):
    """From what the rule gave to its gates.  given, out: the gradients that the kernel takes and gives beside these."""
    (dax, dah, dp), last = grads, tape.order[-1]
    was, now = tape.places(last)
    given = given | {"kept": (tape.kept_all, last), "h0": (tape.hs, was), "c0": (tape.cs, was), "c": (tape.cs, now)}
    return rule_back(tape, tape.cell.rule, given, out | {"dax": (dax, last), "dah": (dah, last), "dp": (dp, last)})


def rule_back(tape, rule, given, out):
    """The launches of a rule on the way back."""
    def step(kept, dy, live, out, launch, dh=None, dc=None, h0=None, c0=None, c=None):
        k = pointwise.views(rule, kept, state(rule, h0, c0), state(rule, None, c))
        pointwise.backward(rule, tape.p, k, dy, state(rule, dh, dc), live, out, launch)
    return series(step, tape.order[::-1], tape.live, given, out)


def from_gates(tape, weights, dh, dah, by):
    """From the gates to h: in the place of what dh was, or added to what the kernel left there."""
    adds = text_of(tape.cell.rule).sees_h or tape.live is not None
    return repeated(dah, weights[tape.cell.recurrent.W].T, still(dh)[0], mode_of(tape.cell), adds, len(tape.order), 0,
                    by)
