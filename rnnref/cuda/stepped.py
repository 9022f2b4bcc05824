"""Tier 1: the whole sequence with one product and one fused pointwise kernel for each step.  (floor 5)

    before the loop    x W for all steps, in one product; R, and in 16-bit modes the first h, made ready once
    each step ahead    h R, added to x W where the rule sees only the sum; one kernel: gates, c, h, the output
    each step back     one kernel: gradients of gates and of c; one product: dh += dah R'
    after the loop     dx, dW, dR and the biases, in one product each

Every step writes to arrays that are there before the loop (sequence.py), so it allocates nothing and waits for nothing.

Not a CUDA graph: `cublas.setStream` of CuPy, which every call of it begins with, raises while a stream is being
captured (CuPy 14.2), so the products of the loop cannot be recorded.  It takes a cuBLAS handle outside CuPy, or
products of our own.  Until then, where a step is shorter than the host's two launches, the host is the limit.
"""
from ..arrays import namespace
from ..tree import only
from . import pointwise
from .products import factor, repeated
from .sequence import finished, fresh, gradients, mode_of, opened, refuses, row
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
    ax, kx = cell.inputs.forward(p, only(live, xs))                   # one product for all steps
    tape, ring = opened(cell, p, kx, s, live, order, keep, ax), Ring(cell, p, ax)
    # where nobody else looks at them, the states are the outputs
    bare = live is None and not keep
    ys = tape.beside(tape.hs, 1) if bare else namespace(ax).empty((len(order), *s[0].shape), ax.dtype)
    launch = forwards(tape, ax, ring.arrays, None if bare else ys)
    m, took = cell.recurrent, tape.took
    mode = mode_of(cell)
    multiply = repeated(took, factor(p[m.W], mode), ax if ring.arrays is None else ring.arrays, mode,
                        ring.adds, len(order), tape.places(0)[0])
    for i, t in enumerate(order):
        ring.fill(i)
        multiply(t)
        launch(t)
    last = tape.state(tape.places(order[-1])[1])
    return ys, type(s)(*(fresh(a, like.dtype) for a, like in zip(last, s))), tape if keep else None


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

    A rule that sees only the sum gets h R added to x W in place, and no bias is left for the loop.  Another gets h R in
    an array of its own, into which its bias is written for some steps at a time: then `arrays` are these.
    """

    def __init__(self, cell, p, ax):
        b, self.arrays = cell.recurrent.b, None
        self.bias = p[b] if b else None
        self.adds = cell.rule.sums or self.bias is not None
        if not cell.rule.sums:
            self.arrays = namespace(ax).empty((RING if b else 1, *ax.shape[1:]), ax.dtype)
        elif b:
            ax += self.bias

    def fill(self, i):
        """Before the i-th step."""
        if self.arrays is not None and self.bias is not None and i % RING == 0:
            self.arrays[...] = self.bias


def backward(tape, dys, ds):
    """Gradients of the inputs, of the first state, None, and of the parameters."""
    with explained(WHO):
        return back(tape, dys, ds)


def back(tape, dys, ds):
    cell, p, m = tape.cell, tape.p, tape.cell.recurrent
    mode, d = mode_of(cell), cell.rule.State(*(fresh(a, k.dtype) for a, k in zip(ds, tape.state(0))))
    dax, dah, dp = gradients(tape)
    launch, passed = backwards(tape, namespace(dys).ascontiguousarray(dys), d, dax, dah, dp)
    multiply = repeated(dah, factor(p[m.W], mode).T, d[0][None], mode, passed, len(tape.order), 0)
    for t in reversed(tape.order):
        launch(t)
        multiply(t)
    return finished(tape, dax, dah, dp, d)


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
