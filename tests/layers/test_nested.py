"""Inputs, outputs and states that are trees: through the loops, the laws and the layers."""
import numpy as np
import pytest

from rnnref import ShapeError, cells, run, run_back
from rnnref.check.tolerance import tolerance
from rnnref.layers import RNN, Bidirectional
from rnnref.testing.api import LawViolation, assert_close, assert_same, check_cell
from rnnref.tree import map_structure
from tests.support.nested_cell import (BACK, BATCH, FIRST, MASK, NAMED, SEQ, STATE, UNITS, WAYS, XS, CallTrained,
                                       DictCell, NestedCell, P, Pair, S, X, layer, random, weights)


class Half(cells.Cell):
    """The video alone, or the audio: one array everywhere."""

    def __init__(self, name):
        self.weight, self.equation = name, {"kernel_1": "bi,ik->bk", "kernel_2_3": "bij,ijkl->bkl"}[name]

    def forward(self, p, x, s, extra=None):
        y = np.einsum(self.equation, x, p[self.weight])
        return y, (s[0] + y,), x

    def backward(self, p, x, dy, dnew):
        ins, out = self.equation.split("->")
        x_axes, w_axes = ins.split(",")
        d = dy + dnew[0]
        dx = np.einsum(f"{out},{w_axes}->{x_axes}", d, p[self.weight])
        return dx, dnew, None, {self.weight: np.einsum(f"{x_axes},{out}->{w_axes}", x, d)}


# loops

def test_the_laws_hold():
    for cell, xs in ((NestedCell(), XS), (DictCell(), dict(zip(("audio", "video"), XS)))):
        held = check_cell(cell, xs=xs, units=UNITS)
        assert held.laws == tuple(range(1, 10)) and held.paths == ("plain",)


class OneWrong(NestedCell):
    def backward(self, p, kept, dy, dnew):
        (da, dv), *rest = super().backward(p, kept, dy, dnew)
        return (da, 2 * dv), *rest


def test_the_laws_name_the_leaf_that_is_wrong():
    with pytest.raises(LawViolation, match=r"law 2 .*: dxs\.1: (.*\n)*.*right  dxs\.0"):
        check_cell(OneWrong(), xs=XS, units=UNITS)


PAST = [(where, padding) for where in WAYS for padding in ("zero", "repeat", "free")
        if padding != "free" or "mask" not in WAYS[where]]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("where, padding", PAST)
def test_a_pair_is_two_runs(where, padding, reverse):
    """Whatever the loop is told, the two halves of a pair are what each by itself would be."""
    for recompute in (False, True):
        how = {**WAYS[where], "padding": padding, "reverse": reverse, "recompute": recompute}
        ys, new, tape = run(NestedCell(), P, XS, Pair(*FIRST), **how)
        dys, ds = map_structure(lambda a: random(*a.shape, seed=5), (ys, new))
        dxs, dold, _, dp = run_back(tape, dys, ds)
        for k, name in enumerate(P):
            y, s, one = run(Half(name), {name: P[name]}, XS[k], (FIRST[k],), **how)
            dx, d, _, dw = run_back(one, dys[k], (ds[k],))
            assert_close((ys[k], new[k], dxs[k], dold[k], dp[name]), (y, s[0], dx, d[0], dw[name]), "path", name)


def test_a_gradient_that_is_not_given_is_zero_wherever_it_is():
    ys, new, tape = run(NestedCell(), P, XS)
    want = run_back(tape, (ys[0], np.zeros_like(ys[1])), Pair(np.zeros_like(new.audio), new.video))
    assert_same(run_back(tape, (ys[0], None), Pair(None, new.video)), want)
    assert not any(a.any() for a in run_back(tape, (None, None))[3].values())


# layers

def test_a_layer_is_run():
    for time_major in (False, True):
        one = layer(**SEQ, **STATE, time_major=time_major)
        turn = (lambda tree: tree) if time_major else (lambda tree: map_structure(lambda a: a.swapaxes(0, 1), tree))
        ys, new, tape = run(NestedCell(), P, XS, Pair(*FIRST), padding="repeat", **WAYS["holes"])
        y, *states = one(turn(XS), FIRST, mask=turn(WAYS["holes"]["mask"]))
        assert_same((turn(y), states), (ys, list(new)))
        dys, ds = map_structure(lambda a: random(*a.shape, seed=5), (ys, new))
        dx, dstate = one.backward(list(turn(dys)), list(ds))
        dxs, dold, _, dp = run_back(tape, dys, ds)
        assert_same((turn(dx), dstate, one.grads), (dxs, list(dold), dp))
    assert one.state_size == [2, (3, 2)] and one.cell.output_size == UNITS
    assert [a.shape for a in one.get_initial_state(BATCH)] == [a.shape for a in S]


def test_dicts_and_named_tuples():
    """The structure comes back as it went in; a state that is a dict is one of the states."""
    one, other = layer(**SEQ, **STATE), layer(DictCell(), **SEQ, **STATE)
    (a, v), *states = one(X, FIRST, mask=MASK)
    first = {"sum": dict(zip(Pair._fields, FIRST))}
    for given in (first, [first]):
        (y,), state = other(NAMED, given, mask=MASK)
        assert_same((y, state), (Pair(a, v), {"sum": {"audio": states[0], "video": states[1]}}))
    dx, ds = one.backward([a, v], states)
    dnamed, (dstate,) = other.backward([Pair(a, v)], state)
    assert_same((dnamed, dstate, other.grads),
                (dict(zip(Pair._fields, dx)), {"sum": dict(zip(Pair._fields, ds))}, one.grads))
    assert other.state_size == {"sum": {"audio": 2, "video": (3, 2)}}


def test_the_order_of_go_backwards_and_the_last_output():
    back, ahead = layer(**BACK, **SEQ, **STATE), layer(**SEQ, **STATE)
    flipped = map_structure(lambda a: a[:, ::-1], X)
    assert_close(list(back(X)), list(ahead(flipped)), "path")
    dy = map_structure(lambda a: random(*a.shape, seed=6), back(X)[0])
    ahead(flipped)
    assert_close(back.backward(dy)[0], map_structure(lambda a: a[:, ::-1], ahead.backward(dy)[0]), "path")
    last, whole = layer(), layer(**SEQ)
    assert_same(last(X, mask=MASK), map_structure(lambda a: a[:, -1], whole(X, mask=MASK)))
    d = map_structure(lambda a: random(*a.shape, seed=7), last(X, mask=MASK))
    into = map_structure(lambda a, g: np.concatenate([np.zeros_like(a[:, 1:]), g[:, None]], 1), whole(X, mask=MASK), d)
    assert_same((last.backward(d), last.grads), (whole.backward(into), whole.grads))


@pytest.mark.parametrize("cell, x", [(None, X), (DictCell(), NAMED)], ids=["tuple", "dict"])
def test_stateful_is_a_sequence_cut_in_two(cell, x):
    whole, cut = layer(cell, **SEQ, **STATE), layer(cell, **SEQ, stateful=True)
    y, *states = whole(x)
    one, two = (cut(map_structure(lambda a: a[:, when], x)) for when in (slice(2), slice(2, None)))
    assert_close((map_structure(lambda a, b: np.concatenate([a, b], 1), one, two), cut.states), (y, states), "path")
    with pytest.raises(ShapeError, match="a batch of 2, expected 4"):
        cut(map_structure(lambda a: a[:2], x))
    cut.reset_state()
    assert_same(cut(map_structure(lambda a: a[:, :2], x)), one)


@pytest.mark.parametrize("cell, x", [(None, X), (CallTrained(), X), (DictCell(), NAMED)], ids=["tuple", "call", "dict"])
def test_a_step_of_descent_lowers_the_loss(cell, x):
    one = RNN(cell or NestedCell(), dtype="float64", seed=0, units=None if isinstance(cell, CallTrained) else UNITS)
    target = map_structure(lambda a: random(*a.shape, seed=8), one(x))

    def loss():
        off = map_structure(np.subtract, one(x), target)
        return off, sum((a * a).sum() for a in flat(off)) / BATCH
    losses = []
    for _ in range(3):
        off, now = loss()
        losses.append(now)
        one.backward(map_structure(lambda a: 2 * a / BATCH, off))
        one.params = map_structure(lambda w, g: w - 0.05 * g, one.params, one.grads)
    assert losses[0] > losses[1] > losses[2] > 0
    assert_same(one.get_weights(), [one.params[name] for name in one.weight_names])


def flat(tree):
    return [tree] if not isinstance(tree, (tuple, dict)) else [
        a for item in (tree.values() if isinstance(tree, dict) else tree) for a in flat(item)]


MERGE = {"concat": lambda a, b: np.concatenate([a, b], -1), "sum": np.add, "mul": np.multiply,
         "ave": lambda a, b: (a + b) / 2}


@pytest.mark.parametrize("mode", [*MERGE, None])
def test_two_directions(mode):
    both = Bidirectional(layer(**SEQ, **STATE), mode)
    both.build(map_structure(np.shape, X))
    both.set_weights([*P.values(), *weights(1).values()])
    ahead, back = (layer(**SEQ, **STATE, **way, zero_output_for_mask=True) for way in ({}, BACK))
    back.set_weights(list(weights(1).values()))
    (y, *s), (z, *more) = ahead(X, mask=MASK), back(X, mask=MASK)
    z = map_structure(lambda a: a[:, ::-1], z)
    got = both(X, mask=MASK)
    assert_same(list(got), [*((y, z) if mode is None else (map_structure(MERGE[mode], y, z),)), *s, *more])
    dy = map_structure(lambda a: random(*a.shape, seed=9), got[:2] if mode is None else got[0])
    dx, _ = both.backward(dy)
    grads, at = [*dx, *both.get_grads()], [*X, *both.get_weights()]
    v = [random(*a.shape, seed=10) for a in at]

    def loss(e):
        x, y, *w = (a + e * d for a, d in zip(at, v))
        both.set_weights(w)
        out = both((x, y), mask=MASK)
        return sum((a * d).sum() for a, d in zip(flat(out[:2] if mode is None else out[0]), flat(dy)))
    change, says = (loss(1e-6) - loss(-1e-6)) / 2e-6, sum((g * d).sum() for g, d in zip(grads, v))
    size = np.sqrt(sum((g * g).sum() for g in grads) * sum((d * d).sum() for d in v))
    assert abs(change - says) <= tolerance("difference", "float64") * size


class Sees(cells.Cell):
    """Takes the pair of the cell below: h' = h + x.audio W."""

    def axes(self):
        return {"W": "I U"}

    def shapes(self, n_in, units):
        return {"W": (n_in[0], units)}

    def width(self, units):
        return units

    def zeros(self, batch, units, xp=np, dtype="float32"):
        return (xp.zeros((batch, units), dtype),)

    def forward(self, p, x, s, extra=None):
        h = s[0] + x[0] @ p["W"]
        return h, (h,), x

    def backward(self, p, x, dy, dnew):
        d = dy + dnew[0]
        return (d @ p["W"].T, np.zeros_like(x[1])), (d,), None, {"W": x[0].T @ d}


@pytest.mark.parametrize("lower, units", [(NestedCell, UNITS), (CallTrained, None)], ids=["core", "call"])
def test_a_stack_hands_a_pair_up(lower, units):
    one, two = RNN(lower(), units=units, dtype="float64", **SEQ), RNN(Sees(), units=3, dtype="float64", **SEQ)
    stack = RNN([one.fresh().cell, two.fresh().cell], dtype="float64", **SEQ)
    got = stack(X)
    two(one(X))                                   # builds both
    for part, w in ((one, stack.get_weights()[:2]), (two, stack.get_weights()[2:])):
        part.set_weights(w)
    assert_same(got, two(one(X)))
    dx, _ = stack.backward(got)
    dy, _ = two.backward(got)
    assert_close(dx, one.backward(dy)[0], "path")
    assert_close(stack.get_grads(), one.get_grads() + two.get_grads(), "path")


def test_a_single_step():
    cell = layer().cell
    x, (y, states) = map_structure(lambda a: a[:, 0], X), (None, None)
    y, states = cell(x, FIRST)
    whole = layer(**SEQ, **STATE)
    ys, *new = whole(map_structure(lambda a: a[:, :1], X), FIRST)
    assert_same((y, states), (map_structure(lambda a: a[:, 0], ys), new))
    dx, ds = cell.backward(y, states)
    dxs, dold = whole.backward(ys, new)
    assert_same((dx, ds), (map_structure(lambda a: a[:, 0], dxs), dold))
