"""Tier 1: the whole sequence with one product and one fused pointwise kernel for each step.  (floor 5)

    before the loop    x W for all steps, in one product; R, and in 16-bit modes the first h, made ready once
    each step ahead    h R, added to x W where the rule sees only the sum; one kernel: gates, c, h, the output
    each step back     one kernel: gradients of gates and of c; one product: dh += dah R'
    after the loop     dx, dW, dR and the biases, in one product each

Every step writes to arrays that are there before the loop (sequence.py), so it allocates nothing and waits for nothing.
The host launches twice for each step: where a step on the card is shorter than that, the host is the limit.  graphed.py
launches the same steps at once, as a CUDA graph.  What that gains has not been measured (not yet run on a device), so
it runs when it is asked for: paths=("cuda.graphed", "apart").
"""
from typing import Any

from ..arrays import namespace
from . import pointwise
from .products import factor, repeated
from .sequence import as_states, ended, finished, fresh, gradients, inputs, mode_of, opened, outputs, refuses, row
from .series import Launches
from .trouble import explained

__all__ = ["backward", "forward", "refuses"]
WHO = "cuda.stepped"
RING = 16                                         # steps whose recurrent bias is written in one launch


def forward(cell, p, xs, s, extra=None, live=None, reverse=False, keep=True):
    """xs [T, B, I], live [T, B] or None -> ys [T, B, H], the last state, a tape."""
    with explained(WHO):
        live = None if live is None else namespace(live).ascontiguousarray(live)
        return ahead(cell, p, xs, s, live, range(len(xs))[::-1 if reverse else 1], keep)


def ahead(cell, p, xs, s, live, order, keep):
    ax, kx = inputs(cell, p, xs, live)
    tape = opened(cell, p, kx, s, live, order, keep, ax)
    ys = outputs(tape, ax)
    steps_ahead(tape, ax, Ring(cell, p, ax), factor(p[cell.recurrent.W], mode_of(cell)), ys)()
    return ys, ended(tape), tape if keep else None


def steps_ahead(tape, ax, ring, R, ys, by=None):
    """All steps ahead, as a function that launches them and does nothing else.  by: whose products, if not CuPy's."""
    order, target = tape.order, ax if ring.arrays is None else ring.arrays
    launch = forwards(tape, ax, ring.arrays, None if as_states(tape) else ys)
    multiply = repeated(tape.took, R, target, mode_of(tape.cell), ring.adds, len(order), tape.places(0)[0], by)

    def steps():
        for i, t in enumerate(order):
            ring.fill(i)
            multiply(t)
            launch(t)
    return steps


def forwards(tape, ax, ah, ys):
    """The launches of all steps ahead."""
    cell, first, launches = tape.cell, tape.order[0], Launches()
    was, now = tape.places(first)
    out = dict(zip(("h", "c"), tape.state(now)))
    for name, a, k in (("y", ys, first), ("kept", tape.kept_all, first), ("sent", tape.sent, now)):
        if a is not None:
            out[name] = a[k % len(a)]
    pointwise.forward(cell.rule, tape.p, ax[first], None if ah is None else ah[first % len(ah)], tape.state(was),
                      row(tape.live, first), out, tape.kept_all is not None, launches.record)
    return launches.over(len(tape.order), first, {
        "ax": ax, "ah": ah, "h0": tape.hs, "c0": tape.cs, "y": ys, "h": tape.hs, "c": tape.cs, "sent": tape.sent,
        "kept": tape.kept_all, "live": tape.live})


class Ring:
    """Where h R goes, and its bias.

    A rule that sees only the sum gets h R added to x W in place, where the bias is already.  Another gets h R in an
    array of its own, into which its bias is written for some steps at a time: then `arrays` are these.
    """

    arrays: Any = None
    bias: Any = None

    def __init__(self, cell, p, ax):
        b = cell.recurrent.b
        if not cell.rule.sums:
            self.bias = p[b] if b else None
            self.arrays = namespace(ax).empty((RING if b else 1, *ax.shape[1:]), ax.dtype)
        self.adds = cell.rule.sums or self.bias is not None

    def fill(self, i):
        """Before the i-th step."""
        if self.bias is not None and i % RING == 0:
            self.arrays[...] = self.bias


def backward(tape, dys, ds):
    """Gradients of the inputs, of the first state, None, and of the parameters."""
    with explained(WHO):
        return back(tape, dys, ds)


def back(tape, dys, ds):
    d = tape.cell.rule.State(*(fresh(a, k.dtype) for a, k in zip(ds, tape.state(0))))
    R, (dax, dah, dp) = factor(tape.p[tape.cell.recurrent.W], mode_of(tape.cell)), gradients(tape)
    steps_back(tape, R, namespace(dys).ascontiguousarray(dys), d, dax, dah, dp)()
    return finished(tape, dax, dah, dp, d)


def steps_back(tape, R, dys, d, dax, dah, dp, by=None):
    """All steps back, as `steps_ahead` has those ahead."""
    launch, passed = backwards(tape, dys, d, dax, dah, dp)
    multiply = repeated(dah, R.T, d[0][None], mode_of(tape.cell), passed, len(tape.order), 0, by)

    def steps():
        for t in reversed(tape.order):
            launch(t)
            multiply(t)
    return steps


def backwards(tape, dys, d, dax, dah, dp):
    """The launches of all steps back, and whether they leave something in d.h for the product to be added to."""
    rule, first, launches, whole = tape.cell.rule, tape.order[-1], Launches(), {"dax": dax, "dah": dah}
    out = {name: a[first] for name, a in (whole if dp is None else whole | {"dp": dp}).items()}
    out |= dict(zip(("dh", "dc"), d))
    before = pointwise.backward(rule, tape.p, tape.of_rule(first), dys[first], d, row(tape.live, first), out,
                                launches.record)[2]
    return launches.over(len(tape.order), first, whole | {
        "kept": tape.kept_all, "c0": tape.cs, "c": tape.cs, "h0": tape.hs, "dy": dys, "dp": dp, "live": tape.live,
    }), before[0] is not None
