"""Cells and wrappers of TF Addons, flax and haiku, against formulas written another way."""
import math

import numpy as np
import pytest

import rnnref
from rnnref import cells, init
from rnnref.elementwise import get_activation
from rnnref.testing.assertions import assert_close, assert_same
from rnnref.tree import map_structure

RNG = np.random.default_rng(6)
T, B, I, U = 5, 3, 4, 6


def normal(*shape):
    return RNG.normal(size=shape)


def drawn(cell, n_in=I, units=U):
    return map_structure(lambda a: normal(*a.shape) * 0.5, init.parameters(cell, n_in, units, RNG, "float64"))


def layer_norm(a, epsilon):
    mean = np.mean(a, axis=1, keepdims=True)
    return (a - mean) / np.sqrt(np.var(a, axis=1, keepdims=True) + epsilon)


def logistic(a):
    return 1 / (1 + np.exp(-a))


@pytest.mark.parametrize("joint", (True, False))
def test_layer_norm_lstm_of_two_normed_products(joint):
    """The step of TF Addons: three layer norms and a bias, over all gates; gates i f g o."""
    cell, x = cells.LayerNormLSTM(separate=True, joint=joint, epsilon=1e-3), normal(T, B, I)
    p = drawn(cell)
    beta, bias = normal(4 * U), normal(4 * U)
    p["b"] = beta + bias                          # of the kernel norm, and of the cell
    h, c, ys = np.zeros((B, U)), np.zeros((B, U)), []
    for t in range(T):
        def norm(a):
            return layer_norm(a, 1e-3) if joint else np.hstack([layer_norm(b, 1e-3) for b in np.split(a, 4, 1)])
        z = norm(x[t] @ p["W"]) * p["gain"] + beta
        z = z + norm(h @ p["R"]) * p["gain_r"] + p["bR"] + bias
        i, f, g, o = np.split(z, 4, 1)
        c = layer_norm(logistic(f) * c + logistic(i) * np.tanh(g), 1e-3) * p["gain_c"] + p["shift_c"]
        h = logistic(o) * np.tanh(c)
        ys.append(h)
    got, new, _ = rnnref.run(cell, p, x)
    assert_close((got, new.h, new.c), (np.stack(ys), h, c), "path")


def test_layer_norm_simple_rnn_without_a_bias():
    cell, x = cells.LayerNormSimpleRNN(bias=False, epsilon=1e-3), normal(T, B, I)
    p = drawn(cell)
    assert set(p) == {"W", "R", "gain"}
    h = np.zeros((B, U))
    for t in range(T):
        h = np.tanh(layer_norm(x[t] @ p["W"] + h @ p["R"], 1e-3) * p["gain"])
    assert_close(rnnref.run(cell, p, x)[1].h, h, "path")


def test_a_simple_rnn_with_a_residual_connection():
    """The h that is added is that of an identity in R."""
    cell, x = cells.SimpleRNN(residual=True, activation="softsign"), normal(T, B, I)
    p = drawn(cell)
    ys, new, tape = rnnref.run(cell, p, x)
    other = cells.SimpleRNN(activation="softsign")
    want, last, there = rnnref.run(other, p | {"R": p["R"] + np.eye(U)}, x)
    assert_close((ys, new), (want, last), "path")
    dy = normal(*ys.shape)
    assert_close(rnnref.run_back(tape, dy), rnnref.run_back(there, dy), "path")


def test_a_cell_on_a_gpu_with_a_residual_connection_takes_the_plain_rule():
    from rnnref.cuda.kernel_table import kernel_row_of
    assert kernel_row_of(cells.SimpleRNN(residual=True).rule) is None and kernel_row_of(cells.SimpleRNN().rule)


@pytest.mark.parametrize("lengths", (None, [5, 2, 0]), ids=("all", "lengths"))
@pytest.mark.parametrize("make", (cells.LSTM, lambda: cells.Stack((cells.GRU(), cells.LSTM()))))
def test_a_reset_starts_a_sequence_of_its_own(make, lengths):
    """Each row, cut where it is reset, gives the same alone; the gradient does not go back over a reset."""
    inner = make()
    cell, p, x = cells.Reset(inner), drawn(inner), normal(T, B, I)
    reset = RNG.random((T, B)) < 0.4
    reset[0], reset[2] = [False, True, False], [True, False, False]
    s = map_structure(lambda a: normal(*a.shape), inner.zeros(B, U, dtype="float64"))
    ys, new, tape = rnnref.run(cell, p, (x, reset), s, lengths=lengths)
    dy, ds = normal(*ys.shape), map_structure(lambda a: normal(*a.shape), new)
    (dx, dreset), dstart, _, dp = rnnref.run_back(tape, dy, ds)
    total, dx_want, dreset_want = map_structure(np.zeros_like, p), np.zeros_like(x), np.zeros_like(reset)
    assert_same(dreset, dreset_want)
    for b in range(B):
        n = T if lengths is None else lengths[b]
        cuts = [0, *[t for t in range(1, n) if reset[t, b]], n]
        parts, state = [], map_structure(lambda a: a[b:b + 1], s)
        for k, (start, stop) in enumerate(zip(cuts, cuts[1:])):
            if k or n and reset[0, b]:
                state = map_structure(np.zeros_like, state)
            if stop > start:
                y, state, back = rnnref.run(inner, p, x[start:stop, b:b + 1], state)
                assert_close(ys[start:stop, b:b + 1], y, "path")
                parts.append((start, stop, back))
        assert_close(map_structure(lambda a: a[b:b + 1], new), state, "path")
        d = map_structure(lambda a: a[b:b + 1], ds)
        for start, stop, back in parts[::-1]:
            dx_want[start:stop, b:b + 1], d, _, dq = rnnref.run_back(back, dy[start:stop, b:b + 1], d)
            total = map_structure(np.add, total, dq)
            if start or reset[0, b]:
                d = map_structure(np.zeros_like, d)
        assert_close(map_structure(lambda a: a[b:b + 1], dstart), d, "path")
    assert_close((dx, dp), (dx_want, total), "path")


@pytest.mark.parametrize("x, error, message", (
    (np.ones((T, B, I)), rnnref.ShapeError, "expected the pair"),
    ((np.ones((T, B, I)), np.ones((T, B))), rnnref.DtypeError, "reset has dtype float64, expected bool"),
    ((np.ones((T, B, I)), np.ones((T, B, 1), bool)), rnnref.ShapeError, r"reset has shape \(5, 3, 1\)")))
def test_a_reset_that_does_not_fit(x, error, message):
    cell = cells.Reset(cells.GRU())
    with pytest.raises(error, match=message):
        rnnref.run(cell, drawn(cells.GRU()), x)


def test_a_stack_with_skip_connections():
    """The layers of haiku one after the other, each over the whole sequence."""
    cell, x = cells.SkipStack((cells.GRU(), cells.LSTM(), cells.SimpleRNN())), normal(T, B, I)
    units = (3, 6, 2)
    p = drawn(cell, units=units)
    ys, new, tape = rnnref.run(cell, p, x)
    below, outputs, states, tapes = None, [], [], []
    for one, q in zip(cell.cells, p):
        below, state, back = rnnref.run(one, q, x if below is None else np.concatenate([x, below], -1))
        outputs.append(below)
        states.append(state)
        tapes.append(back)
    assert_close((ys, new), (np.concatenate(outputs, -1), tuple(states)), "path")
    dy = normal(*ys.shape)
    dx, dbelow, dps = 0, 0, []
    for back, d in list(zip(tapes, np.split(dy, [3, 9], -1)))[::-1]:
        d, _, _, dp = rnnref.run_back(back, d + dbelow)
        dx, dbelow = dx + d[..., :I], d[..., I:]
        dps.insert(0, dp)
    got = rnnref.run_back(tape, dy)
    assert_close((got[0], got[3]), (dx, tuple(dps)), "path")


@pytest.mark.parametrize("make", (cells.LSTM, lambda: cells.Stack((cells.GRU(), cells.LSTM()))))
def test_one_cell_in_both_directions(make):
    cell, x = make(), normal(T, B, I)
    shared, p = cells.SharedBidirectional(cell), drawn(make())
    both = cells.Bidirectional((cell, cell))
    got, want = rnnref.run(shared, p, x, lengths=[5, 2, 0]), rnnref.run(both, (p, p), x, lengths=[5, 2, 0])
    assert_same(got[:2], want[:2])
    dy = tuple(normal(*y.shape) for y in got[0])
    got, want = rnnref.run_back(got[2], dy), rnnref.run_back(want[2], dy)
    assert_same(got[:2], want[:2])
    assert_close(got[3], map_structure(np.add, *want[3]), "path")
    assert init.parameters(shared, I, U, RNG).keys() == p.keys() if isinstance(p, dict) else True
    with pytest.raises(rnnref.NotSupported, match="2 cells, expected one"):
        cells.SharedBidirectional((cell, cells.SimpleRNN()))


@pytest.mark.parametrize("dtype", ("float64", "float32"))
def test_gelu_is_x_times_the_normal_distribution(dtype):
    x = np.concatenate([np.linspace(-7, 7, 57), [-1e4, -np.inf, 1e4, np.inf]]).astype(dtype)
    gelu = get_activation("gelu")
    y, kept = gelu.forward(x)
    want = np.array([0.0 if a == -np.inf else a * 0.5 * math.erfc(-a / math.sqrt(2)) for a in x.tolist()])
    np.testing.assert_allclose(y, want, rtol=200 * np.finfo(dtype).eps)
    near = np.clip(x.astype("float64"), -30, 30)
    slope = [0.5 * math.erfc(-a / math.sqrt(2)) for a in x.tolist()] + near * np.exp(-0.5 * near ** 2) / math.sqrt(
        2 * math.pi)
    np.testing.assert_allclose(gelu.backward(y, kept, np.ones_like(x)), slope, atol=8 * np.finfo(dtype).eps)
    assert abs(y[10] - get_activation("gelu_tanh").forward(x[10:11])[0][0]) > 1e-5
    assert_close(rnnref.activations.gelu(x[:57]), y[:57], "path")
