"""Tolerances of a case: right engines are within them, wrong ones and lower precision are not, chaos is refused."""
import numpy as np
import pytest

import rnnref
from rnnref import cells
from rnnref.check import ChaosError, is_rounding, tolerance
from rnnref.check.rounding import _keep_bits
from rnnref.errors import InvalidType, NotSupported, ShapeError
from tests.support.onnx_reading import lstm

T, B, I, H = 30, 3, 5, 8


def draw(cell, scheme="torch", seed=0, dtype="float32"):
    rng = np.random.default_rng(seed)
    return rnnref.init.parameters(cell, I, H, rng, dtype, scheme=scheme), rng.normal(size=(T, B, I)).astype(dtype)


def run_loop(x, p, add=0.0, round_operands=lambda a: a):
    """An LSTM written here, in the dtype of x."""
    h = c = np.zeros((x.shape[1], H), x.dtype)
    ys, r = [], round_operands
    for xt in x:
        i, f, g, o = np.split(r(xt) @ r(p["W"]) + r(h) @ r(p["R"]) + p["b"], 4, -1)
        i, f, o = (1 / (1 + np.exp(-a)) for a in (i, f + x.dtype.type(add), o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        ys.append(h)
    return np.stack(ys), c


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(4))
def test_another_engine_is_rounding_and_a_wrong_one_is_not(dtype, seed):
    cell = cells.LSTM()
    p, x = draw(cell, seed=seed, dtype=dtype)
    y, c = run_loop(x, p)
    assert is_rounding(y, dtype, cell, x, p) and is_rounding({"y": y, "c": c}, dtype, cell, x, p)
    assert not is_rounding(run_loop(x, p, add=1e-3 if dtype == "float32" else 1e-9)[0], dtype, cell, x, p)
    assert not is_rounding({"y": y, "c": -c}, dtype, cell, x, p)


def as_tf32(a):
    """float32 with 10 bits of fraction, by arithmetic instead of bits."""
    fraction, exponent = np.frexp(a.astype("float64"))
    return np.ldexp(np.rint(np.ldexp(fraction, 11)), exponent - 11).astype("float32")


def as_half(a):
    return a.astype("float16").astype("float32")


@pytest.mark.parametrize("mode, rounding, low, high", [
    ("tf32", as_tf32, 2e-4, 5e-3), ("fp16", as_half, 2e-4, 5e-3)])
def test_rounded_operands_are_rounding_in_their_mode_only(mode, rounding, low, high):
    cell = cells.LSTM()
    p, x = draw(cell)
    y, c = run_loop(x, p, round_operands=rounding)
    assert is_rounding({"y": y, "c": c}, "float32", cell, x, p, mode=mode)
    assert not is_rounding(y, "float32", cell, x, p)
    allowed = tolerance("float32", cell, x, p, mode=mode)
    assert low < allowed.output < high < tolerance("float32", cell, x, p, mode="bf16").output * 10
    assert tolerance({"fp16": "float16"}.get(mode, mode), cell, x, p).by_name == allowed.by_name


def test_bits_are_dropped_to_nearest_even():
    a = np.array([1 + 2 ** -10, 1 + 2 ** -11, 1 + 3 * 2 ** -11, -(1 + 2 ** -11 + 2 ** -20), 0.0, np.inf], "float32")
    want = [1 + 2 ** -10, 1, 1 + 2 ** -9, -(1 + 2 ** -10), 0, np.inf]
    assert _keep_bits(13)(a).tolist() == want
    x = np.random.default_rng(0).normal(size=1000).astype("float32")
    assert np.array_equal(_keep_bits(13)(x), as_tf32(x))


def test_gradients_have_tolerances_too():
    cell = cells.GRU()
    p, x = draw(cell, dtype="float32")
    dy = np.random.default_rng(1).normal(size=(T, B, H)).astype("float32")
    ys, new, tape = rnnref.run(cell, p, x)
    dx, _, _, dp = rnnref.run_back(tape, dy)
    got = {"dx": dx, "dW": dp["W"], "dR": dp["R"]}
    assert is_rounding(got, "float32", cell, x, p, dy=dy)
    assert not is_rounding(got | {"dR": dp["R"] * 1.0001}, "float32", cell, x, p, dy=dy)
    with pytest.raises(InvalidType, match="dW without dy"):
        is_rounding({"dW": dp["W"]}, "float32", cell, x, p)


def test_lengths_states_and_directions():
    cell = rnnref.wrappers.Bidirectional((cells.LSTM(), cells.LSTM()))
    p, x = draw(cell)
    allowed = tolerance("float32", cell, x, p, lengths=[T, 3, 1])
    assert {"y.0", "y.1"} < set(allowed.by_name) and allowed.output < 2e-6
    lstm_cell = cells.LSTM()
    p, x = draw(lstm_cell)
    start = lstm_cell.zeros(B, H)
    allowed = tolerance("float32", lstm_cell, x, p, start, reverse=True, lengths=[T, 3, 1])
    assert {"h", "c", "dh0", "dc0"} < set(allowed.by_name)
    as_tuple = tolerance("float32", lstm_cell, x, p, tuple(start), reverse=True, lengths=[T, 3, 1])
    as_list = tolerance("float32", lstm_cell, x, p, list(start), reverse=True, lengths=[T, 3, 1])
    assert as_tuple.by_name == as_list.by_name == allowed.by_name
    assert allowed.by_step.shape == (T,) and (np.diff(allowed.by_step) >= 0).all()
    assert tolerance("float32", lstm_cell, (4, 2, 3), units=5, gradients=False).by_name.keys() == {"y", "h", "c"}


def test_an_independent_reading_of_onnx_is_rounding():
    cell = cells.LSTM()
    p, x = draw(cell)
    W, R, b = (np.concatenate([np.split(p[n], 4, -1)[k] for k in (0, 3, 1, 2)], -1) for n in ("W", "R", "b"))
    inputs = {"X": x.astype("float64"), "W": W.T[None], "R": R.T[None], "B": np.concatenate([b, 0 * b])[None]}
    y = lstm(inputs, {"hidden_size": H})["Y"][:, 0]
    assert is_rounding(y, "float64", cell, x.astype("float64"),
                       {n: a.astype("float64") for n, a in p.items()})


def test_chaos_is_refused_at_the_step_where_float32_and_float64_part():
    rng = np.random.default_rng(0)
    R = 2 * rng.normal(size=(64, 64)) / 8
    p, x = {"W": 0.1 * rng.normal(size=(4, 64)), "R": R, "b": np.zeros(64)}, rng.normal(size=(120, 2, 4))
    with pytest.raises(ChaosError, match="rounding grows to .* at step .* of 120") as caught:
        tolerance("float32", cells.SimpleRNN(), x, p)
    h = {dtype: np.zeros((2, 64), dtype) for dtype in ("float32", "float64")}
    parted = None
    for t, xt in enumerate(x):
        h = {d: np.tanh(xt.astype(d) @ p["W"].astype(d) + a @ p["R"].astype(d)) for d, a in h.items()}
        if parted is None and abs(h["float32"] - h["float64"]).max() > 1e-3:
            parted = t
    assert abs(caught.value.step - parted) <= 8 and "compare the first" in str(caught.value)
    short = x[:caught.value.step - 15]
    assert tolerance("float32", cells.SimpleRNN(), short, p).output < 1e-3
    with pytest.raises(ChaosError) as reverse:
        tolerance("float32", cells.SimpleRNN(), x[::-1], p, reverse=True)
    assert reverse.value.step == caught.value.step


def test_arguments_that_have_no_sense_are_refused():
    cell = cells.LSTM()
    p, x = draw(cell)
    with pytest.raises(NotSupported, match="dtype='int8'"):
        tolerance("int8", cell, x, p)
    with pytest.raises(NotSupported, match="mode='fp8'"):
        tolerance("float32", cell, x, p, mode="fp8")
    with pytest.raises(NotSupported, match="a mode is one of float32"):
        tolerance("float64", cell, x, p, mode="tf32")
    with pytest.raises(InvalidType, match="neither p= nor units="):
        tolerance("float32", cell, x)
    with pytest.raises(ShapeError, match="y has shape"):
        is_rounding(np.zeros((2, 2)), "float32", cell, x, p)
    with pytest.raises(NotSupported, match="an array 'z'"):
        is_rounding({"z": x}, "float32", cell, x, p)


@pytest.mark.parametrize("x", ["abc", None, np.full((4, 2, 3), np.nan), np.ones((0, 2, 3)), np.array(["a"])])
def test_inputs_that_are_no_numbers(x):
    with pytest.raises((InvalidType, ShapeError), match="tolerance: x "):
        tolerance("float32", cells.LSTM(), x, units=4)
