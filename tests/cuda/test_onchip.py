"""Whole sequences on chip, run on the CPU: kernels in the host shim, cuBLAS by its double tests/support/blas.py."""
from dataclasses import replace

import numpy as np
import pytest

import rnnref
from rnnref.cells import GRU, LSTM, Bidirectional, SimpleRNN
from rnnref.check.tolerance import tolerance
from rnnref.cuda_loops import choice, onchip, stepped
from rnnref.loops.plan import describe_call, plan
from rnnref.loops.run import run, run_back
from rnnref.testing.assertions import assert_close, assert_same
from rnnref.testing.case import PLAIN, Trial, masking_options
from rnnref.testing.laws import check_law
from rnnref.tree import leaves, map_structure, to
from tests.kernels.onchip import card, forget
from tests.kernels.sequences import both_ways, inputs
from tests.shim.double import with_kernels
from tests.support import blas, strict
from tests.support.cases import CELLS, B, I, T, U, case

pytestmark = pytest.mark.kernels
WAYS = masking_options((T, B))
PATH = {"paths": ("onchip",)}
LAWS = 1, 3, 4, 5, 6, 7, 8, 9                     # not 2, finite differences: a test below is about them
NAMES = ("SimpleRNN tanh", "GRU", "GRU, weight norm", "LSTM", "LSTM, recurrent bias", "LSTM, cell clip, peepholes",
         "LSTM, coupled input, peepholes", "LSTM, coupled forget, peepholes")
KINDS = "SimpleRNN tanh", "GRU", "LSTM, cell clip, peepholes"


@pytest.fixture
def kernels():
    with with_kernels(), blas.install() as calls, card((2,)):
        yield calls


@pytest.mark.parametrize("where, reverse", (("everywhere", False), ("lengths", True), ("holes", False)))
@pytest.mark.parametrize("name", NAMES)
def test_laws(name, where, reverse, kernels):
    trial = Trial(replace(case(name), **WAYS[where], reverse=reverse, device="gpu"))
    assert any("onchip" in ran for ran in trial.choices)
    for number in LAWS:
        check_law(trial, number)
    assert any("onchip" in ran for ran in trial.outcomes)


@pytest.mark.parametrize("name", KINDS[1:])
@pytest.mark.parametrize("padding", ("repeat", "free"))
def test_laws_past_the_end(name, padding, kernels):
    trial = Trial(replace(case(name), **WAYS["lengths"], padding=padding, device="gpu"))
    for number in LAWS:
        check_law(trial, number)


def near(got, want, arithmetic):
    assert_close(got[:2], want[:2], "path", arithmetic=arithmetic)
    assert_close(got[2], want[2], "gradient", arithmetic=arithmetic)


@pytest.mark.parametrize("mode", ("fp32", "tf32", "bf16"))
@pytest.mark.parametrize("name", KINDS)
def test_every_schedule_gives_the_same_bits(name, mode):
    cell, (given, mask, d) = CELLS[name][0], inputs(CELLS[name][0], 11, 5, 3)
    runs, engine = [], {"ROWS": (1, 2, 4) if mode == "fp32" else (), "WARPS": (4,), "PROCESSORS": {90: 4}}
    for order, seed in (("fifo", 1), ("lifo", 1), ("random", 1), ("random", 2), ("random", 3)):
        with with_kernels(order, seed), blas.install(), card((4,), **engine):
            runs.append(both_ways(cell, given, mask, d, mode=mode, **PATH))
    for one in runs[1:]:
        assert_same(one, runs[0])


@pytest.mark.parametrize("reverse", (False, True))
@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_directional_differences(name, reverse, kernels):
    """Forward and backward on chip alone, no other path beside them."""
    cell, (given, mask, d) = CELLS[name][0], inputs(CELLS[name][0], 7, 3, dtype="float64")
    p, xs, s = given
    dxs, ds, _, dp = both_ways(cell, given, mask, d, reverse, **PATH)[2]
    drawn = map_structure(lambda a: np.random.default_rng(a.size).normal(size=a.shape), given)

    def loss(along, step):
        moved = map_structure(lambda a, b: a + step * b, given, along)
        ys, new, _ = both_ways(cell, moved, mask, d, reverse, False, **PATH)
        return dot((ys, new), d)
    for k, gradient in enumerate((dp, dxs, ds)):
        along = tuple(map_structure(lambda a: a * (j == k), one) for j, one in enumerate(drawn))
        change, predicted = (loss(along, 1e-6) - loss(along, -1e-6)) / 2e-6, dot(gradient, drawn[k])
        size = np.sqrt(dot(gradient, gradient) * dot(drawn[k], drawn[k]))
        assert abs(change - predicted) <= tolerance("difference", "float64") * size


def dot(a, b):
    b = dict(leaves(b))
    return sum((one * b[path]).sum() for path, one in leaves(a))


@pytest.mark.parametrize("mode", ("fp32", "tf32", "bf16"))
@pytest.mark.parametrize("name", KINDS)
def test_a_row_does_not_depend_on_the_others(name, mode, kernels):
    """Its bits are the same when other rows change, are dead or infinite."""
    cell, (given, mask, d) = CELLS[name][0], inputs(CELLS[name][0], 21, 11)
    (p, xs, s), keep = given, 4
    wild = [np.where(np.arange(11)[:, None] == keep, a, np.float32("inf")) for a in (xs, d[0])]
    calm = mask & (np.arange(11) == keep)
    with card((2,), ROWS=(1, 2, 4) if mode == "fp32" else ()):
        want = both_ways(cell, given, mask, d, mode=mode, **PATH)
        for one, rows in (((p, wild[0], s), mask), ((p, xs, s), calm)):
            ys, new, back = both_ways(cell, one, rows, (wild[1], d[1]), mode=mode, **PATH)
            for got, wanted in ((new, want[1]), (back[1], want[2][1])):
                assert_same(map_structure(lambda a: a[keep], got), map_structure(lambda a: a[keep], wanted))
            assert_same(ys[:, keep], want[0][:, keep])


@pytest.mark.parametrize("name", KINDS)
def test_inference_keeps_nothing(name, kernels, monkeypatch):
    cell, (given, mask, d) = CELLS[name][0], inputs(CELLS[name][0], 13, 5)
    want, launches = both_ways(cell, given, mask, d, **PATH), []
    launch = onchip.launch_sequence
    monkeypatch.setattr(onchip, "launch_sequence", lambda ones, *rest: launches.append(ones) or launch(ones, *rest))
    assert_same(both_ways(cell, given, mask, d, keep=False, **PATH)[:2], want[:2])
    assert {name for name, a in launches[0][0].arrays.items() if a is not None and a.ndim > 2} == {"ax", "y"}


def test_two_directions_are_one_launch(kernels, monkeypatch):
    launches, launch = [], onchip.launch_sequence
    monkeypatch.setattr(onchip, "launch_sequence",
                        lambda ones, *rest: launches.append(len(ones)) or launch(ones, *rest))
    for cells in ((GRU(), GRU()), (LSTM(peepholes=True), LSTM(peepholes=True, forget_bias=0.5))):
        cell = Bidirectional(cells)
        parts = [inputs(one, 9, 5, seed=k) for k, one in enumerate(cells)]
        given = tuple(part[0][0] for part in parts), parts[0][0][1], tuple(part[0][2] for part in parts)
        d = tuple(zip(*(part[2] for part in parts)))
        for reverse in (False, True):
            launches.clear()
            got = both_ways(cell, given, parts[0][1], d, reverse, **PATH)
            assert launches == [2, 2]
            near(got, both_ways(cell, given, parts[0][1], d, reverse, paths=("stepped", "bidirectional")), "float32")
    one = replace(case("Bidirectional"), **WAYS["lengths"], device="gpu")
    check_law(Trial(one), 9)


def test_a_batch_of_no_rows(kernels):
    for name in KINDS:
        given, mask, d = inputs(CELLS[name][0], 7, 0)
        ys, new, (dxs, ds, _, dp) = both_ways(CELLS[name][0], given, mask, d, **PATH)
        assert ys.shape == (4, 0, 7) and new[0].shape == ds[0].shape == (0, 7) and dxs.shape == (4, 0, 3)
        assert all((a == 0).all() and a.shape == given[0][key].shape for key, a in dp.items())


def test_the_tape_answers_as_that_of_the_stepped_path_does(kernels):
    for name in KINDS:
        given, mask, d = inputs(CELLS[name][0], 7, 3)
        p, xs, s = to("gpu", given)
        paths = "onchip", "stepped"
        got, want = (run(CELLS[name][0], p, xs, s, paths=(path,))[2].kept(2) for path in paths)
        assert_close(to("cpu", got), to("cpu", want), "path", arithmetic="float32")


def test_it_steps_back_where_that_is_faster(kernels, monkeypatch):
    cell, (given, mask, d) = LSTM(), inputs(LSTM(), 7, 3)
    want, calls = both_ways(cell, given, mask, d, **PATH), []
    one_way = choice.plan_clusters
    monkeypatch.setattr(choice, "plan_clusters",
                        lambda problem: (*one_way(problem)[:2], (one_way(problem)[2][0], None)))
    forget()
    back = stepped.run_backward
    monkeypatch.setattr(stepped, "run_backward", lambda *given: calls.append(1) or back(*given))
    near(both_ways(cell, given, mask, d, **PATH), want, "float32")
    assert calls
    p, xs, s = to("gpu", given)
    notes = rnnref.explain(cell, describe_call(xs, s=s))
    assert "backward kernel: none: stepping back takes less time (estimates)" in notes


def test_every_bit_comes_again_and_nothing_crosses_the_bus(kernels):
    one = case("LSTM, cell clip, peepholes")
    given, options = to("gpu", (one.p, one.xs, one.s)), to("gpu", WAYS["lengths"])
    seen = []
    for _ in range(2):
        strict.counts.clear()
        ys, new, tape = run(one.cell, *given, **options, **PATH)
        back = run_back(tape, ys, new)
        assert strict.counts == {"item": 1}       # that lengths lie between 0 and T
        seen.append(to("cpu", (ys, new, back)))
    assert_same(*seen)


def test_products_are_few(kernels):
    """One for all steps of x, and three for dx, dW and dR."""
    given, mask, d = inputs(LSTM(), 7, 3)
    both_ways(LSTM(), given, mask, d, **PATH)
    assert len(kernels) == 4


def test_it_is_the_first_choice_and_explained(kernels):
    given, mask, d = inputs(LSTM(), 7, 3)
    p, xs, s = to("gpu", given)
    notes = dict(plan(LSTM(), describe_call(xs, s=s)).notes)
    assert notes["onchip"] == "runs" and notes["on the GPU"] == "R held on chip"
    for way in ("forward kernel", "backward kernel"):
        for words in ("multiply-add; 2 blocks of", "units for 1 of 3 rows", "registers of a thread", "of shared memory",
                      "microseconds a step (estimate)"):
            assert words in notes[way]


@pytest.mark.parametrize("cell, change, message", (
    (GRU(reset="before"), {}, "GRUBefore is not two maps and a rule (GatedCell): not implemented"),
    (SimpleRNN(activation="relu"), {}, "activation='relu'"),
    (LSTM(), {"keep": "states"}, "recompute keeps states alone"),
    (LSTM(), {"home": "numpy"}, "arrays are in main memory"),
    (LSTM(), {"sm": 80, "units": 512}, "clusters of blocks need compute capability 9.0, this card has 8.0"),
    (LSTM(), {"units": 2048}, "R is 67.1 MB, too large for the registers and shared memory of a cluster"),
    (Bidirectional((LSTM(), GRU())), {"units": (7, 7)}, "cells of two kinds or sizes need two launches"),
    (Bidirectional((LSTM(), LSTM())), {"units": (7, 8)}, "cells of two kinds or sizes need two launches"),
    (Bidirectional((LSTM(), LSTM(projection=2))), {"units": (7, 7)},
     "ProjectedCell is not two maps and a rule (GatedCell)"),
    (Bidirectional((LSTM(), LSTM())), {"home": "numpy"}, "arrays are in main memory"),
))
def test_refusals(cell, change, message, kernels):
    from rnnref.cuda_loops import onchip
    call = rnnref.loops.plan.Call("cupy", (T, B, I), np.dtype("float32"), sm=90, units=U)._replace(**change)
    with card():
        assert message in onchip.refuses(cell, call)


def test_the_plain_code_runs_where_it_is_asked_for(kernels):
    given, mask, d = inputs(LSTM(), 7, 3)
    assert_close(both_ways(LSTM(), given, mask, d, **PLAIN), both_ways(LSTM(), given, mask, d, **PATH), "path",
                 arithmetic="float32")
