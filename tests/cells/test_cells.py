"""Cells beyond the common three: what they refuse, with which message, and where one equals another."""
import re
from pathlib import Path

import numpy as np
import pytest

import rnnref
from rnnref import DtypeError, NotSupported, ShapeError, cells, init, initializers
from rnnref.maps.composed import Sum
from rnnref.maps.dense import Dense
from rnnref.rules import elman, lstm
from rnnref.testing.api import assert_close
from tests.support.messages import raises_with

T, B, I, U = 4, 2, 3, 4
TWO = cells.GatedCell(Sum((Dense("W"), Dense("V"))), Dense("R"), elman.ElmanRule())
LINE = cells.ConvLSTM(kernel=(3,))


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape) * 0.5


def draw_parameters(cell, n_in=I, units=U, **changes):
    rng = np.random.default_rng(1)
    return init.parameters(cell, n_in, units, rng, "float64",
                           lambda cell, rng, name, axes, shape: rng.normal(size=shape) * 0.5) | changes


# cell, number of inputs, x, first state, parameters that are replaced, error, parts of its message
BAD = {
    "a line without channels": (LINE, I, normal(T, B, 5), None, {}, ShapeError,
                                ["x has shape (4, 2, 5), expected 4 axes", '"T B X I"']),
    "another kernel": (LINE, I, normal(T, B, 5, I), None, {"W": normal(2, I, 16)}, ShapeError,
                       ["W has shape (2, 3, 16), expected (3, 3, 16)", '"3 I G"']),
    "a state of another place": (LINE, I, normal(T, B, 5, I), LINE.zeros((B, 4), U, dtype="f8"), {}, ShapeError,
                                 ["state.h has shape (2, 4, 4), expected (2, 5, 4)", "X = 5 (from x"]),
    "a state without places": (LINE, I, normal(T, B, 5, I), LINE.zeros(B, U, dtype="f8"), {}, ShapeError,
                               ["state.h has shape (2, 4), expected 3 axes", '"B X H"']),
    "a kernel wider than x": (cells.ConvLSTM(kernel=(7,), recurrent_kernel=(3,), padding="valid"), I,
                              normal(T, B, 5, I), None, {}, ShapeError,
                              ["5 places", "the kernel has: 7", 'padding="same"']),
    "a highway that does not fit": (cells.IntersectionRNN(), I, normal(T, B, I), None, {}, ShapeError,
                                    ["3 inputs and 4 units, expected equal numbers", "x goes into the output"]),
    "inputs that cannot be cut": (cells.GLSTM(groups=2), I, normal(T, B, I), None, {}, ShapeError,
                                  ["3 inputs", "2 groups"]),
    "a group too wide": (cells.GLSTM(groups=2), 4, normal(T, B, 4), None, {"W": normal(2, 2, 9)}, ShapeError,
                         ["W has shape (2, 2, 9), expected (2, 2, 8)", '"2 I/2 G/2"']),
    "a matrix for a diagonal": (cells.IndRNN(), I, normal(T, B, I), None, {"R": normal(U, U)}, ShapeError,
                                ["R has shape (4, 4), expected (4,)"]),
    "one input of two": (TWO, (I, 2), normal(T, B, I), None, {}, ShapeError, ["expected a tuple of 2 arrays"]),
    "two inputs of one": (cells.LSTM(), I, (normal(T, B, I),) * 2, None, {}, DtypeError, ["x is a tuple"]),
    "another dtype in a tuple": (TWO, (I, 2), (normal(T, B, I), normal(T, B, 2).astype("f4")), None, {}, DtypeError,
                                 ["x.1 has dtype float32, expected float64"]),
    "no time": (cells.PhasedLSTM(), I, normal(T, B, I), None, {}, ShapeError, ["expected the pair (time, inputs)"]),
    "too many times": (cells.PhasedLSTM(), I, (normal(T, B, 2), normal(T, B, I)), None, {}, ShapeError,
                       ["time has shape (4, 2, 2), expected (4, 2, 1)"]),
    "too few features": (cells.GridLSTM(feature=3, skip=2, windows=(3,)), 7, normal(T, B, 6), None, {}, ShapeError,
                         ["x has 6 inputs, and the windows reach to 7"]),
    "a state of too few windows": (cells.TimeFreqLSTM(feature=3, skip=2, windows=3), 7, normal(T, B, 7),
                                   cells.TimeFreqLSTM(feature=3, skip=2, windows=2).zeros(B, U, dtype="f8"), {},
                                   ShapeError, ["state.h has shape (2, 2, 4), expected (2, 3, 4)"]),
    "another memory": (cells.NTM(cells.GRU(), slots=5, vector=3, outputs=2), I, normal(T, B, I), None,
                       {"memory0": normal(4, 3)}, ShapeError, ["memory0 has shape (4, 3), expected (5, 3)"]),
}


@pytest.mark.parametrize("name", BAD)
def test_arguments_that_do_not_fit(name):
    cell, n_in, x, s, changes, error, pieces = BAD[name]
    with raises_with(error, pieces):
        rnnref.run(cell, draw_parameters(cell, n_in) | changes, x, s)


@pytest.mark.parametrize("make, pieces", (
    (lambda: cells.ConvLSTM(kernel=(3,) * 4), ["kernel=(3, 3, 3, 3)", "1 to 3 axes"]),
    (lambda: cells.ConvLSTM(kernel=(3,), strides=(0,)), ["strides=(0,)"]),
    (lambda: cells.ConvLSTM(padding="full"), ["padding='full'", "'same', 'valid'"]),
    (lambda: cells.ESN(leak=0), ["leak=0"]),
    (lambda: cells.ESN(connectivity=0), ["connectivity=0", "above 0"]),
    (lambda: cells.ESN(spectral_radius=-1), ["spectral_radius=-1", "0 or more"]),
    (lambda: cells.LSTM(cell_clip=-1.0), ["LSTM: cell_clip=-1.0", "0 or more"]),
    (lambda: cells.LSTM(projection=2, projection_clip=-0.5), ["LSTM: projection_clip=-0.5", "0 or more"]),
    (lambda: cells.GridLSTM(feature=3, skip=2, windows=(3,), cell_clip=-1), ["GridLSTM: cell_clip=-1"]),
    (lambda: cells.LSTM(cell_clip="1"), ["cell_clip='1'", "a number"]),
    (lambda: cells.MGU(reset="between"), ["reset='between'", "'before', 'after'"]),
    (lambda: cells.SRU(highway="none"), ["highway='none'", "'projected', 'input'"]),
    (lambda: cells.GridLSTM(feature=3, skip=2, windows=(3,), starts=(0, 1)), ["starts=(0, 1)"]),
    (lambda: cells.NTM(cells.GRU(), slots=5, vector=3, outputs=2, shift=3), ["shift=3"]),
    (lambda: cells.CandidateDropout(cells.SimpleRNN()), ["no rule with a candidate"]),
    (lambda: cells.PhasedCell(cells.LSTM(projection=2)), ["projection", "open together"]),
    (lambda: cells.DensePeepholes(rule=lstm.LSTMRule(peepholes=True)), ["forget_bias, gate"]),
))
def test_options_that_are_refused(make, pieces):
    with raises_with(NotSupported, pieces):
        make()


def both_ways(cell, p, x, s=None):
    ys, new, tape = rnnref.run(cell, p, x, s)
    return ys, new, rnnref.run_back(tape, np.cos(np.arange(ys.size)).reshape(ys.shape))


def test_a_kernel_of_one_is_an_lstm_at_every_place():
    conv, x = cells.ConvLSTM(kernel=(1,)), normal(T, B, 5, I)
    p = draw_parameters(conv)
    ys, new, (dxs, _, _, dp) = both_ways(conv, p, x)
    flat = p | {"W": p["W"][0], "R": p["R"][0]}
    want, last, (dwant, _, _, dq) = both_ways(cells.LSTM(), flat, x.reshape(T, B * 5, I))
    lie = [a.reshape(like.shape) for a, like in ((want, ys), (last.c, new.c), (dwant, dxs))]
    assert_close((ys, new.c, dxs), tuple(lie), "path")
    assert_close({n: a.reshape(dq[n].shape) for n, a in dp.items()}, dq, "path")


def test_groups_are_an_lstm_with_block_diagonal_matrices():
    cell, x = cells.GLSTM(groups=2), normal(T, B, 4)
    p = draw_parameters(cell, 4)
    whole = {n: np.concatenate([column for g in range(4) for column in columns(p[n], g)], -1) for n in "WR"}
    assert_close(both_ways(cell, p, x)[:2], both_ways(cells.LSTM(), whole | {"b": p["b"]}, x)[:2], "path")


def columns(a, g):
    """Gate g of two groups [2, n, 4 m], each group with zeros in the rows of the other."""
    n, m = a.shape[1], a.shape[2] // 4
    for k in range(2):
        column = np.zeros((2 * n, m))
        column[k * n:(k + 1) * n] = a[k, :, g * m:(g + 1) * m]
        yield column


def test_a_diagonal_map_is_a_diagonal_matrix():
    cell, x = cells.IndyLSTM(), normal(T, B, I)
    p = draw_parameters(cell)
    R = np.concatenate([np.diag(r) for r in np.split(p["R"], 4)], -1)
    assert_close(both_ways(cell, p, x)[:2], both_ways(cells.LSTM(), p | {"R": R}, x)[:2], "path")


@pytest.mark.parametrize("reset", ("before", "after"))
def test_a_diagonal_gru_has_one_reset_only(reset):
    cell, x = cells.IndyGRU(), normal(T, B, I)
    p = draw_parameters(cell)
    R = np.concatenate([np.diag(r) for r in np.split(p["R"], 3)], -1)
    full = cells.GRU(reset=reset, recurrent_bias=False)
    assert_close(both_ways(cell, p, x)[:2], both_ways(full, p | {"R": R}, x)[:2], "path")


def test_an_echo_state_network_without_leak_is_a_simple_rnn():
    cell, x = cells.ESN(), normal(T, B, I)
    p = draw_parameters(cell)
    assert_close(both_ways(cell, p, x), both_ways(cells.SimpleRNN(), p, x), "path")


@pytest.mark.parametrize("scheme", ("keras", "torch"))
@pytest.mark.parametrize("units, connectivity, radius", ((50, 0.1, 0.9), (1, 0.1, 0.5), (7, 1.0, 1.25), (5, 0.3, 0.0)))
def test_the_reservoir_of_an_echo_state_network_is_sparse_and_contracts(scheme, units, connectivity, radius):
    cell = cells.ESN(connectivity=connectivity, spectral_radius=radius)
    R = init.parameters(cell, I, units, np.random.default_rng(0), "float64", scheme)["R"]
    seen = (R != 0).sum(0)
    assert (seen == (max(1, round(connectivity * units)) if radius else 0)).all()
    power = np.linalg.matrix_power(R, 400)        # |R^n|^(1/n) tends to the spectral radius
    assert abs(np.linalg.norm(power) ** (1 / 400) - radius) < 0.02


@pytest.mark.parametrize("scheme", ("keras", "torch"))
def test_first_values_lie_in_c_order(scheme):
    """Loops would lay out any other at every call."""
    p = init.parameters(cells.LSTM(), I, U, np.random.default_rng(0), "float32", scheme)
    assert all(a.flags.c_contiguous for a in (*p.values(), initializers.Orthogonal()((U, 4 * U))))


LIMITED = {
    "LSTM": cells.LSTM(cell_clip=0.0), "projection": cells.LSTM(projection=2, projection_clip=0.0),
    "LayerNormLSTM": cells.LayerNormLSTM(cell_clip=0.0), "WeightNormLSTM": cells.WeightNormLSTM(cell_clip=0.0),
    "NAS": cells.NAS(projection=2, projection_clip=0.0), "GLSTM": cells.GLSTM(cell_clip=0.0),
    "TimeFreqLSTM": cells.TimeFreqLSTM(feature=2, skip=1, windows=2, rule=lstm.LSTMRule(cell_clip=0.0)),
    "GridLSTM": cells.GridLSTM(feature=2, skip=1, windows=(2,), cell_clip=0.0)}


@pytest.mark.parametrize("name", LIMITED)
def test_a_limit_of_zero_clips_to_zero(name):
    ys, new, (dx, _, _, dp) = both_ways(LIMITED[name], draw_parameters(LIMITED[name]), normal(T, B, I))
    assert not ys.any() and not new.h.any() and (name in ("projection", "NAS") or not new.c.any())
    assert not dx.any() and not any(d.any() for d in dp.values())


def test_a_phased_lstm_runs_from_its_first_values():
    cell = cells.PhasedLSTM()
    p = init.parameters(cell, (1, I), U, np.random.default_rng(0), "float64")
    ys, _, _ = both_ways(cell, p, (np.cumsum(np.ones((T, B, 1)), 0), normal(T, B, I)))
    assert (p["period"] >= 1).all() and np.isfinite(ys).all() and (p["ratio_on"] == 0.1).all()


def test_a_first_state_has_the_places_of_the_output():
    cell = cells.ConvLSTM(kernel=(3, 2), strides=(2, 1), padding="valid")
    ys, new, _ = rnnref.run(cell, draw_parameters(cell), normal(T, B, 7, 5, I))
    assert ys.shape == (T, B, 3, 4, U) and new.c.shape == (B, 3, 4, U)


def test_the_readme_names_every_file():
    folder = Path(rnnref.cells.__file__).parent
    listed = re.findall(r"^    (\w+\.py) ", (folder / "README.md").read_text(), re.M)
    assert sorted(listed) == sorted(path.name for path in folder.glob("*.py") if path.name != "__init__.py")
