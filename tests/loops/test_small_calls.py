"""What `run` and `run_back` decide once, or leave out where nothing is to be done, changes no result and no error."""
import sys
from pathlib import Path

import numpy as np
import pytest

import rnnref
from rnnref import Error, cells, run, run_back
from rnnref.cell import GatedCell
from rnnref.errors import InvalidType, ShapeError
from rnnref.maps.dense import Dense
from rnnref.maps.normed import WeightNorm
from rnnref.rules.lstm import LSTMRule
from rnnref.shapes import check_like, is_like
from rnnref.testing.api import assert_same
from rnnref.tree import leaves, map_structure
from tests.support.cases import CELLS, case

LSTM, X = cells.LSTM(), np.random.default_rng(1).normal(size=(5, 2, 3)).astype("float32")
P = rnnref.init.parameters(LSTM, 3, 4, np.random.default_rng(0))


def test_a_first_state_that_is_left_out_is_zero_in_every_call():
    want = run(LSTM, P, X, LSTM.zeros(2, 4))
    for _ in range(3):
        ys, new, tape = run(LSTM, P, X)
        for got, a in zip((ys, new, run_back(tape, ys)), (want[0], want[1], run_back(want[2], want[0]))):
            assert_same(got, a)
        for a in (ys, *new):
            a[...] = 7                            # those of the caller, and of no other call


class FirstOnes(GatedCell):
    """A cell whose first state is one."""

    def zeros(self, batch, units, xp=np, dtype="float32"):
        return map_structure(lambda a: a + 1, super().zeros(batch, units, xp, dtype))


def test_a_first_state_of_a_cells_own_is_made_in_every_call():
    cell = FirstOnes(Dense("W", "b"), Dense("R"), LSTMRule())
    want = run(cell, P, X, cell.zeros(2, 4))[0]
    assert not np.array_equal(want, run(LSTM, P, X)[0])
    for _ in range(3):
        assert_same(run(cell, P, X)[0], want)


def test_what_zeros_remembers_lets_nothing_else_pass():
    assert LSTM.zeros(2, 1).c.shape == LSTM.zeros((2,), 1).c.shape == (2, 1)
    assert [a.dtype.name for a in LSTM.zeros(2, 1, dtype="float16")] == ["float16", "float32"]
    assert [a.dtype.name for a in LSTM.zeros(2, 1, dtype="float64")] == ["float64", "float64"]
    for batch, units in ((2, True), (2, 1.0), (True, 1), (2.0, 1), (2, 0), (-1, 1)):
        with pytest.raises(Error):
            LSTM.zeros(batch, units)


@pytest.mark.parametrize("name", CELLS)
def test_gradients_have_the_structure_of_what_they_belong_to(name):
    one = case(name)
    for paths in ({}, {"paths": ("plain", "bidirectional")}):
        ys, new, tape = run(one.cell, one.p, one.xs, one.s, extra=one.extra, **paths)
        dxs, ds, _, dp = run_back(tape, ys, new)
        for d, a in ((dp, one.p), (ds, one.s), (dxs, one.xs)):
            assert type(d) is type(a)
            assert [(path, x.shape) for path, x in leaves(d)] == [(path, x.shape) for path, x in leaves(a)]
            assert all(x.dtype == y.dtype or y.dtype.kind in "iub" for (_, x), (_, y) in zip(leaves(d), leaves(a)))


H = np.zeros((2, 4), "float32")
STATE = LSTM.rule.State(H, H)
LIKE = {
    "an array": (H, H), "another shape": (H[0], H), "another dtype": (H.astype("float64"), H), "integers": (
        H.astype(int), H.astype(int)), "a matrix": (H.view(np.matrix), H), "a list": ([H], H), "None": (None, H),
    "a state": (STATE, LSTM.rule.State(H, H)), "a tuple": (tuple(STATE), STATE), "another state": (
        cells.GRU().rule.State(H), STATE), "a longer tuple": ((H, H, H), (H, H)), "a shorter tuple": ((H,), (H, H)),
    "a dict": ({"a": H, "b": H}, {"b": H, "a": H}), "another name": ({"a": H}, {"b": H}), "one name more": (
        {"a": H, "b": H}, {"a": H}), "one name less": ({"a": H}, {"a": H, "b": H}), "a dict for a tuple": (
        {"0": H}, (H,)), "deep inside": (({"a": STATE},), ({"a": STATE},)), "deep inside, another": (
        ({"a": STATE._replace(c=H[:1])},), ({"a": STATE},)),
}


@pytest.mark.parametrize("what", LIKE)
def test_the_quick_look_passes_nothing_that_a_check_refuses(what):
    actual, like = LIKE[what]
    try:
        check_like("a cell", "dys", actual, like)
        passes = True
    except Error:
        passes = False
    assert is_like(actual, like) is (passes and what not in ("a matrix", "a dict for a tuple"))


def test_gradients_of_another_structure_are_refused():
    ys, new, tape = run(LSTM, P, X)
    run_back(tape, ys, new)
    for dys, ds, words in ((ys, tuple(new), "ds holds"), (ys[1:], new, "dys has shape"), (ys, new[::-1], "ds holds"),
                           (ys, new._replace(c=new.c[:1]), "ds.c has shape"), (ys.astype("float64"), None, "dys has")):
        with pytest.raises(Error, match=words):
            run_back(tape, dys, ds)


class Forgetful(GatedCell):
    """A cell whose way back gives a gradient of b in another shape."""

    def all_backward_p(self, *args):
        dp = super().all_backward_p(*args)
        return dp | {"b": dp["b"][None]}


def test_gradients_of_another_shape_are_refused_in_every_call():
    cell = Forgetful(Dense("W", "b"), Dense("R"), LSTMRule())
    tape = run(cell, P, X)[2]
    for _ in range(2):
        with pytest.raises(ShapeError, match="gradient of b with shape"):
            run_back(tape, tape.like[0])


def test_options_that_equal_those_of_a_call_before_are_still_refused():
    run(LSTM, P, X)
    for option in ({"keep": 1}, {"reverse": 0}, {"kernels": 1.0}, {"recompute": 0}):
        with pytest.raises(InvalidType):
            run(LSTM, P, X, **option)


def count_calls(f):
    """The calls of functions of rnnref that f makes, those of the kernels for whole sequences aside."""
    root, seen = Path(rnnref.__file__).parent, []
    inside = {str(path) for path in root.rglob("*.py") if path.parent.name not in ("cpu", "maps", "rules")}
    f(), f()
    sys.setprofile(lambda frame, event, arg: seen.append(1) if event == "call" and frame.f_code.co_filename in inside
                   else None)
    try:
        f()
    finally:
        sys.setprofile(None)
    return len(seen)


def test_a_sequence_makes_few_calls_around_its_kernel():
    assert rnnref.explain(LSTM, X).endswith("sequence: runs")
    ready, tape, dys = rnnref.prepare(LSTM, P), run(LSTM, P, X)[2], np.ones((5, 2, 4), "float32")
    assert count_calls(lambda: run(LSTM, ready, X, keep=False)) <= 28
    assert count_calls(lambda: run(LSTM, P, X)) <= 33
    assert count_calls(lambda: run_back(tape, dys)) <= 39


def test_what_a_cell_prepares_is_prepared_in_every_call():
    cell = cells.LSTM()
    normed = GatedCell(WeightNorm("W", "b", "V", "gain"), Dense("R"), LSTMRule())
    p = rnnref.init.parameters(normed, 3, 4, np.random.default_rng(0))
    for scale in (1, 2):
        q = p | {"gain": scale * p["gain"]}
        W = q["gain"] * q["V"] / np.sqrt((q["V"] ** 2).sum(0))
        want = run(cell, {"W": W, "R": q["R"], "b": q["b"]}, X)[0]
        assert abs(run(normed, q, X)[0] - want).max() < 1e-6
