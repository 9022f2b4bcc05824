"""Tier 1: the whole sequence with one product and one fused pointwise kernel for each step.  (floor 5)

    before the loop    x W for all steps, in one product; R, and in 16-bit modes the first h, made ready once
    each step ahead    h R, added to x W where the rule sees only the sum; one kernel: gates, c, h, the output
    each step back     one kernel: gradients of gates and of c; one product: dh += dah R'
    after the loop     dx, dW, dR and the biases, in one product each

Every step writes to arrays that are there before the loop, so it allocates nothing and waits for nothing.  h, c and
what the rule keeps lie one step after the other, and so are the factors of the last products as they are.

Not a CUDA graph: `cublas.setStream` of CuPy, which every call of it begins with, raises while a stream is being
captured (CuPy 14.2), so the products of the loop cannot be recorded.  It takes a cuBLAS handle outside CuPy, or
products of our own.  Until then, where a step is shorter than the host's two launches, the host is the limit.
"""
from typing import Any, NamedTuple

from ..arrays import cast, namespace, rows, wide
from ..cell import GatedCell, Kept, Stepped, total
from ..maps.dense import Dense
from ..maps.normed import WeightNorm
from ..tree import at, choose, only
from . import modes, pointwise
from .hold import arithmetic
from .products import CudaDense, CudaWeightNorm, dtype_of, factor, product, repeated, summed
from .series import Launches
from .trouble import explained

WHO = "cuda.stepped"
MAPS = (Dense, WeightNorm, CudaDense, CudaWeightNorm)
RING = 16                                         # steps whose recurrent bias is written in one launch


def refuses(cell, call):
    """None, or why this cell is not run here."""
    if call.home != "cupy":
        return "arrays are in main memory"
    if type(cell) is not GatedCell:
        return f"{type(cell).__name__} is not two maps and a rule: not built yet"
    for m in (cell.inputs, cell.recurrent):
        if type(m) not in MAPS:
            return f"the map {type(m).__name__} is not a product of matrices"
    if call.extra is not None:
        return "it takes no extra"
    if call.keep == "states":
        return "recompute keeps states only, this path keeps what every step needs on the way back"
    if call.dtype.name not in modes.PRODUCTS:
        return f"cuBLAS has no {call.dtype}"
    return modes.lacking() or pointwise.refuses(cell.rule)


def row(live, t):
    return None if live is None else live[t]


class Tape(NamedTuple):
    cell: Any; p: Any; kx: Any; hs: Any; sent: Any; cs: Any; kept_all: Any; live: Any; order: range; like: Any

    @property
    def took(self):
        """The states as products take them."""
        return self.hs if self.sent is None else self.sent

    def places(self, t):
        """Where the states before and after step t are."""
        return (t, t + 1) if self.order.step > 0 else (t + 1, t)

    def states(self, t):
        return [self.state(k) for k in self.places(t)]

    def state(self, k):
        """State number k; where none but the last are kept, that one."""
        State, h = self.cell.rule.State, self.hs[k % len(self.hs)]
        return State(h) if self.cs is None else State(h, self.cs[k % len(self.cs)])

    def beside(self, a, which):
        """Of an array with one state more than steps: those that steps begin with (0), or that they give (1)."""
        return a[:-1] if self.places(0)[which] == 0 else a[1:]

    def of_rule(self, t):
        return pointwise.views(self.cell.rule, self.kept_all[t], *self.states(t))

    def kept(self, t):
        """As the text keeps it.  A kernel keeps nothing of dead rows: there it is the text, run again."""
        x, (s, _) = at(self.kx, t), self.states(t)
        k, now = Kept(x, Stepped(s[0], self.of_rule(t))), row(self.live, t)
        if now is None:
            return k
        ax, ah = (m.forward(self.p, a)[0] for m, a in ((self.cell.inputs, x), (self.cell.recurrent, s[0])))
        text = plain(self.cell.rule).forward(self.p, wide(ax), wide(ah), type(s)(*map(wide, s)))[2]
        return Kept(x, Stepped(s[0], choose(now, k.step.rule, text)))


def plain(rule):
    """The text of a rule, or of the twin of one."""
    text = vars(type(rule)).get("plain")
    return text(**vars(rule)) if text else rule


def fresh(a, dtype):
    """A copy that may be written over, rows end to end."""
    copied = namespace(a).empty(a.shape, dtype)
    copied[...] = a
    return copied


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
    mode = getattr(m, "mode", "fp32")
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


def opened(cell, p, kx, s, live, order, keep, ax):
    """A tape with all its arrays, and the first state in its place.  Without `keep` states are written over."""
    xp, T, W = namespace(ax), len(order), ax.dtype
    A, S = arithmetic(WHO, W), sent_as(cell, W)
    some = T + 1 if keep else 1

    def begun(count, a, dtype):
        made = xp.empty((count, *a.shape), dtype)
        made[0 if order.step > 0 else count - 1] = a
        return made
    hs = begun(T + 1 if live is None else some, s[0], W)
    sent = begun(some, s[0], S) if S != W else None
    cs = begun(some, s[1], A) if len(s) > 1 else None
    kept_all = xp.empty(pointwise.buffer(cell.rule, (T, *s[0].shape[:-1]), s[0].shape[-1]), A) if keep else None
    return Tape(cell, p, kx, hs, sent, cs, kept_all, live, order, s)


def sent_as(cell, W):
    """The dtype in which h and the gradients of gates go into products."""
    wanted = modes.MODES[getattr(cell.recurrent, "mode", "fp32")].operands
    return W if wanted is None or W.name != "float32" else dtype_of(wanted)


def backward(tape, dys, ds):
    """Gradients of the inputs, of the first state, None, and of the parameters."""
    with explained(WHO):
        return back(tape, dys, ds)


def back(tape, dys, ds):
    cell, p, m = tape.cell, tape.p, tape.cell.recurrent
    mode, dtype = getattr(m, "mode", "fp32"), p[m.W].dtype
    d = cell.rule.State(*(fresh(a, k.dtype) for a, k in zip(ds, tape.state(0))))
    dax, dah, dp = gradients(tape)
    launch, passed = backwards(tape, namespace(dys).ascontiguousarray(dys), d, dax, dah, dp)
    multiply = repeated(dah, factor(p[m.W], mode).T, d[0][None], mode, passed, len(tape.order), 0)
    for t in reversed(tape.order):
        launch(t)
        multiply(t)
    grads = cell.inputs.backward_p(p, tape.kx, dax)
    grads |= {m.W: product(rows(tape.beside(tape.took, 0)).T, rows(dah), mode, dtype=dtype)}
    grads |= {m.b: summed(rows(dah), dtype)} if m.b else {}
    grads |= total(p, {name: dp[..., j, :] for j, name in enumerate(pointwise.names(cell.rule))})
    ds = type(ds)(*(cast(a, like) for a, like in zip(d, tape.like)))
    return cell.inputs.backward_x(p, tape.kx, dax), ds, None, grads


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


def gradients(tape):
    """Where the steps write the gradients of the gates, of x and of h (one and the same for a rule of the sum), and of
    the rule's own parameters."""
    xp, rule, (T, *lead, n) = namespace(tape.hs), tape.cell.rule, tape.hs.shape
    lead, S = (T - 1, *lead), tape.took.dtype
    dax = xp.empty((*lead, len(rule.gates) * n), S)
    dah = dax if rule.sums else xp.empty(dax.shape, S)
    names = pointwise.names(rule)
    return dax, dah, xp.empty((*lead, len(names), n), tape.kept_all.dtype) if names else None
