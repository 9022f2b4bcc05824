"""One step of a rule, by the plain rule on NumPy arrays and by its kernels on those of the double."""
from typing import Any, NamedTuple

import numpy as np

from rnnref.check.tolerance import tolerance
from rnnref.cuda import pointwise
from rnnref.rules.elman import ElmanRule
from rnnref.rules.gru import GRURule
from rnnref.rules.limited import LimitedRule
from rnnref.rules.lstm import LSTMRule
from rnnref.testing.assertions import pair_leaves
from rnnref.tree import apply_mask, choose, expand_mask, leaves, map_structure, to
from tests.kernels.instances import dtype

RULES = {
    "Elman": ElmanRule(),
    "GRU": GRURule(),
    "Limited": LimitedRule(),
    "Limited, clip": LimitedRule(0.3),
    "Limited, clip to 0": LimitedRule(0.0),
    "LSTM": LSTMRule(),
    "LSTM, forget bias": LSTMRule(forget_bias=1.0),
    "LSTM, peepholes": LSTMRule(peepholes=True),
    "LSTM, coupled input": LSTMRule(coupled="input", forget_bias=0.5),
    "LSTM, coupled input, peepholes": LSTMRule(coupled="input", peepholes=True),
    "LSTM, coupled forget": LSTMRule(coupled="forget"),
    "LSTM, coupled forget, peepholes": LSTMRule(coupled="forget", peepholes=True),
    "LSTM, cell clip": LSTMRule(cell_clip=0.3),
    "LSTM, cell clip to 0": LSTMRule(cell_clip=0.0),
    "LSTM, cell clip, peepholes": LSTMRule(cell_clip=0.3, peepholes=True),
    "LSTM, cell clip through": LSTMRule(cell_clip=0.3, cell_clip_gradient="through"),
    "LSTM, everything": LSTMRule(1.0, True, "input", cell_clip=0.3, cell_clip_gradient="through"),
}


class Step(NamedTuple):
    """Arguments in main memory: of storage W, c and its gradient in the arithmetic of W."""
    rule: Any; p: Any; ax: Any; ah: Any; s: Any
    dy: Any; dnew: Any; live: Any


def draw_step(rule, lead=(5,), n=7, W="float32", seed=0, live=None, scale=0.5):
    """A step with numbers as large as those of trained cells; live: the part of rows that are."""
    rng, A = np.random.default_rng(seed), arithmetic(W)

    def draw(shape, name):
        return (rng.normal(size=shape) * scale).astype(dtype(name))

    def state():
        return rule.State(*(draw((*lead, n), A if name in rule.float32_fields else W) for name in rule.State._fields))
    p, blocks = {name: draw(n, A) for name in rule.axes()}, len(rule.gates) * n
    rows = None if live is None else rng.random(lead) < live
    ax, ah = draw((*lead, blocks), W), draw((*lead, blocks), W)
    return Step(rule, p, ax, ah, state(), draw((*lead, n), W), state(), rows)


def arithmetic(W):
    return W if W in ("float64", "longdouble", np.dtype("longdouble").name) else "float32"


def by_plain(step, wider=False):
    """(y, new, kept), (dax, dah, ds, dp) by the rule, in float32 at least; dead rows as loops treat them.

    wider: computed in more digits than the kernels have, and rounded to theirs, so that only their rounding is seen.
    """
    if wider:
        A, more = arithmetic(step.ax.dtype.name), "float64" if step.ax.dtype.itemsize < 8 else "longdouble"
        return map_structure(lambda a: a.astype(A), by_plain(cast_to(step, more)))
    rule, live, A = step.rule, step.live, arithmetic(step.ax.dtype.name)
    arrays = step.p, step.ax, step.ah, step.s, step.dy, step.dnew
    p, ax, ah, s, dy, dnew = map_structure(lambda a: a.astype(A), arrays)
    y, new, kept = rule.forward(p, apply_mask(live, ax), apply_mask(live, ah), s)
    dax, dah, ds, dp = rule.backward(p, kept, apply_mask(live, dy), apply_mask(live, dnew))
    through = ds if live is None else type(ds)(*(
        np.where(expand_mask(live, d), 0 if a is None else a, d) for a, d in zip(ds, dnew)))
    return (apply_mask(live, y), choose(live, new, s), kept), (dax, dah, through, dp)


def by_kernel(step, out=None, back_out=None):
    """The same by the kernels, on the installed double."""
    p, ax, ah, s, dy, dnew, live = to("gpu", step[1:])
    ahead = pointwise.forward(step.rule, p, ax, ah, s, live, out)
    back = pointwise.backward(step.rule, p, ahead[2], dy, dnew, live, back_out)
    return to("cpu", ahead), to("cpu", back)


def in_place(step):
    """The new state, written over the old one."""
    p, ax, ah, s, live = to("gpu", (step.p, step.ax, step.ah, step.s, step.live))
    return to("cpu", pointwise.forward(step.rule, p, ax, ah, s, live, dict(zip(("h", "c"), s)), keep=False)[1])


def cast_to(step, dtype):
    return Step(step.rule, *(map_structure(lambda a: a.astype(dtype), tree) for tree in step[1:-1]), step.live)


def ulps(got, want, given=()):
    """{path: how far off, in units in the last place of the largest entry of the whole}; None and shapes must agree.

    `given`: gradients that come in are entries too.  Where 1 - y y is almost zero, the results may be far smaller.
    """
    both = list(pair_leaves(got, want))
    unit = np.spacing(max(abs(a).max(initial=0) for a in [one.want for one in both] + [a for _, a in leaves(given)]))
    return {one.path: float(abs(one.got - one.want).max(initial=0) / unit) for one in both}


def assert_near(got, want, name, prefix="", given=()):
    off = ulps(got, want, given)
    worst = max(off, key=off.get)
    assert off[worst] <= tolerance("kernel", name), f"{prefix}{worst}: {off[worst]:.2f} ulp of the largest entry"


def bits(tree):
    return [(path, a.tobytes()) for path, a in leaves(tree)]
