"""What the paths of tiers 1 and 2 have in common: what they keep of a sequence, and what stands before and after the
loop.  (floor 5)

h, c and what the rule keeps lie one step after the other, and so are the factors of the last products as they are.
"""
from typing import Any, NamedTuple

from ..arrays import cast, namespace, rows, wide
from ..cell import GatedCell, Kept, Stepped, total
from ..maps.dense import Dense
from ..maps.normed import WeightNorm
from ..tree import at, choose, only
from . import modes, pointwise
from .hold import arithmetic
from .products import CudaDense, CudaWeightNorm, Products, dtype_of, product, summed

MAPS = (Dense, WeightNorm, CudaDense, CudaWeightNorm)


def refuses(cell, call):
    """None, or why this cell is not run by kernels for a whole sequence."""
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


def inputs(cell, p, xs, live, out=None):
    """x W for all steps in one product, in `out` if that is given, and what its way back needs.

    A rule that sees only the sum finds its recurrent bias there already.
    """
    m, b = cell.inputs, cell.recurrent.b
    if isinstance(m, Products):
        ax, kx = m.forward(p, only(live, xs), out)
    else:
        ax, kx = m.forward(p, only(live, xs))
        if out is not None:
            out[...] = ax
            ax = out
    if cell.rule.sums and b:
        ax += p[b]
    return ax, kx


def outputs(tape, ax):
    """Where the outputs go.  Where nobody else looks at them, the states are the outputs."""
    if as_states(tape):
        return tape.beside(tape.hs, 1)
    return namespace(ax).empty((len(tape.order), *tape.hs.shape[1:]), ax.dtype)


def as_states(tape):
    return tape.live is None and tape.kept_all is None


def ended(tape):
    """The state after the last step, in the dtypes of the first."""
    last = tape.state(tape.places(tape.order[-1])[1])
    return type(tape.like)(*(fresh(a, like.dtype) for a, like in zip(last, tape.like)))


def opened(cell, p, kx, s, live, order, keep, ax):
    """A tape with all its arrays, and the first state in its place.  Without `keep` states are written over."""
    xp, T, W = namespace(ax), len(order), ax.dtype
    A, S = arithmetic("a sequence on the GPU", W), sent_as(cell, W)
    some = T + 1 if keep else 1
    hs = xp.empty((T + 1 if live is None else some, *s[0].shape), W)
    sent = xp.empty((some, *s[0].shape), S) if S != W else None
    cs = xp.empty((some, *s[1].shape), A) if len(s) > 1 else None
    kept_all = xp.empty(pointwise.buffer(cell.rule, (T, *s[0].shape[:-1]), s[0].shape[-1]), A) if keep else None
    return begun(Tape(cell, p, kx, hs, sent, cs, kept_all, live, order, s), s)


def begun(tape, s):
    """The tape, with the first state in its place."""
    first = tape.places(tape.order[0])[0]
    for states, a in ((tape.hs, s[0]), (tape.sent, s[0]), (tape.cs, s[-1])):
        if states is not None:
            states[first % len(states)] = a
    return tape


def sent_as(cell, W):
    """The dtype in which h and the gradients of gates go into products."""
    wanted = modes.MODES[mode_of(cell)].operands
    return W if wanted is None or W.name != "float32" else dtype_of(wanted)


def mode_of(cell):
    """The math mode of the product with R."""
    return getattr(cell.recurrent, "mode", "fp32")


def gradients(tape):
    """Where the steps write the gradients of the gates, of x and of h (one and the same for a rule of the sum), and of
    the rule's own parameters."""
    xp, rule, (T, *lead, n) = namespace(tape.hs), tape.cell.rule, tape.hs.shape
    lead, S = (T - 1, *lead), tape.took.dtype
    dax = xp.empty((*lead, len(rule.gates) * n), S)
    dah = dax if rule.sums else xp.empty(dax.shape, S)
    names = pointwise.names(rule)
    return dax, dah, xp.empty((*lead, len(names), n), tape.kept_all.dtype) if names else None


def finished(tape, dax, dah, dp, d):
    """After the loop: gradients of the inputs, of the first state, None, and of the parameters.

    dp: what each step gave to the rule's own parameters, [..., names, n]; d: the gradient of the first state.
    """
    cell, p, m = tape.cell, tape.p, tape.cell.recurrent
    mode, dtype = mode_of(cell), p[m.W].dtype
    grads = cell.inputs.backward_p(p, tape.kx, dax)
    grads |= {m.W: product(rows(tape.beside(tape.took, 0)).T, rows(dah), mode, dtype=dtype)}
    grads |= {m.b: summed(rows(dah), dtype)} if m.b else {}
    grads |= total(p, {name: dp[..., j, :] for j, name in enumerate(pointwise.names(cell.rule))})
    d = type(tape.like)(*(cast(a, like) for a, like in zip(d, tape.like)))
    return cell.inputs.backward_x(p, tape.kx, dax), d, None, grads
