"""Products by parts of the weights, or in several threads: the values of one product in every layout, the same bits."""
from dataclasses import replace

import numpy as np
import pytest

import rnnref
from rnnref.cells import GRU, LSTM, LayerNormLSTM, ProjectedCell
from rnnref.cpu import dense, lanes
from rnnref.cpu.dense import PartedDense
from rnnref.loops.plan import clear_cache
from rnnref.maps.dense import Dense
from rnnref.testing.api import assert_close, assert_same
from rnnref.testing.case import Trial, draw_case
from rnnref.tree import leaves, map_structure
from tests.support.precision import cast_all

ROWS, K, N = 16, 256, 512
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def measured(monkeypatch):
    """The table of a processor where parts are faster, whichever runs the test."""
    monkeypatch.setattr(dense, "core_type", lambda: "SkylakeX")
    clear_cache()
    yield
    clear_cache()


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("order", ("C", "F", "slice"))
def test_parts_give_the_values_of_one_product(dtype, order):
    whole = RNG.normal(size=(K, 2 * N)).astype(dtype)
    W = whole[:, N:] if order == "slice" else np.array(whole[:, :N], order=order)
    p, plain, parted = {"W": W, "b": whole[0, :N]}, Dense("W", "b"), PartedDense("W", "b")
    x, da = RNG.normal(size=(ROWS, K)).astype(dtype), RNG.normal(size=(ROWS, N)).astype(dtype)
    assert dense._choose_columns(x, W) < N and dense._choose_columns(da, W.T) < K
    y, kept = parted.forward(p, x)
    assert_close((y, parted.backward_x(p, kept, da)), (plain.forward(p, x)[0], plain.backward_x(p, x, da)), "path")
    assert_same((parted.forward(p, x)[0], y.flags.c_contiguous), (y, True))


def test_what_is_one_product_stays_one():
    x, W = np.ones((ROWS, K), "float32"), np.ones((K, N), "float32")
    for few in (x[:1], x.astype("float64"), np.ones((ROWS, K), "float16")):
        assert dense._choose_columns(few, W) == N
        assert PartedDense("W").forward({"W": W}, few)[0].shape == (*few.shape[:-1], N)
    assert dense._choose_columns(np.ones((64, K), "float32"), W) == N          # parts of 32 columns would be slower


@pytest.mark.parametrize("dtype", ("float32", "float64", "float16"))
@pytest.mark.parametrize("threads, least, many", ((3, 1, 3), (3, 1e9, 1), (1, 1, 1)))
def test_products_of_all_steps_in_threads_are_the_same(dtype, threads, least, many, monkeypatch):
    ran = []
    for module in (lanes, dense):
        monkeypatch.setattr(module, "MIN_PRODUCT", least)
    monkeypatch.setattr(dense, "count_threads", lambda: threads)
    monkeypatch.setattr(dense, "run_lanes", lambda f, rows: ran.append(rows) or lanes.run_lanes(f, rows))
    W = RNG.normal(size=(24, 40)).astype(dtype)
    p, plain, parted = {"W": W, "b": W[0]}, Dense("W", "b"), PartedDense("W", "b")
    whole = RNG.normal(size=(5, 14, 40)).astype(dtype)
    x, da = whole[:, ::2, :24], whole[:, ::2]     # as rows of a batch are, not one block of memory

    def compute(m):
        return m.forward(p, x)[0], m.backward_x(p, x, da), m.backward_p(p, x, da)
    found = compute(parted)
    assert_close(found, compute(plain), "path")
    assert [len(rows) for rows in ran] == [many] * 3 * (many > 1)
    assert_same(compute(parted), found)
    assert all(a.flags.c_contiguous for _, a in leaves(found))


@pytest.mark.parametrize("cell", (LayerNormLSTM(), ProjectedCell(GRU(), projection=256), GRU(reset="before"), LSTM()))
def test_a_loop_with_parts_is_the_plain_one_and_repeats_its_bits(cell):
    drawn = draw_case(cell, n_in=8, units=256, steps=5, batch=16)
    tame = map_structure(lambda a: a / 8 if a.ndim > 1 else a, drawn.p)       # else rounding grows from step to step
    one = cast_all(replace(drawn, p=tame), "float32")
    choice, trial = {"paths": ("hoisted", "plain")}, Trial(one)
    plain = one.run_both_ways(trial.d, kernels=False, **choice)[:2]
    parted = one.run_both_ways(trial.d, **choice)[:2]
    assert_close(parted, plain, "path")
    assert_same(one.run_both_ways(trial.d, **choice)[:2], parted)


def test_the_map_is_taken_where_kernels_are_and_parts_where_they_were_measured(monkeypatch):
    cell, call = LayerNormLSTM(), rnnref.loops.plan.describe_call(np.zeros((5, 2, 3), "float32"))
    assert type(rnnref.loops.plan.plan(cell, call).cell.recurrent) is PartedDense
    assert type(rnnref.loops.plan.plan(cell, call, kernels=False).cell.recurrent) is Dense
    assert rnnref.explain(cell, np.zeros((5, 2, 3), "float32")).splitlines()[-1] == "hoisted: runs"
    x, W = np.ones((ROWS, K), "float32"), np.ones((K, N), "float32")
    assert dense._choose_columns(x, W) < N
    monkeypatch.setattr(dense, "core_type", lambda: "another")
    assert dense._choose_columns(x, W) == N
