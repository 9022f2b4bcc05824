"""The decision rule on a grid of sizes, modes and cards, without a device; and what `explain` makes of it."""
import itertools

import numpy as np
import pytest

import rnnref
from rnnref.cells import GRU, LSTM, Bidirectional, GatedCell
from rnnref.cuda import precision
from rnnref.cuda_loops.choice import (HOST, MAX_GROUP, MIN_STEPS, PROCESSOR_BYTES, TIER_NAMES, Problem, choose,
                                      estimate_step, stepped)
from rnnref.loops.plan import Call
from rnnref.maps.dense import Dense
from rnnref.rules.layer_norm import LayerNormRule
from rnnref.rules.lstm import LSTMRule

ALL = (3, 2, 1, 0)
SIZES = ((1, 1000, 256, 256), (16, 256, 512, 512), (64, 100, 256, 512), (64, 512, 512, 1024), (128, 256, 1024, 1024),
         (256, 128, 1024, 2048), (4, 5, 8, 16), (0, 10, 3, 4), (2000, 20, 1, 300))
CARDS = 70, 75, 80, 86, 87, 89, 90, 100, 103, 120, 121, None
GRID = [Problem(T, B, I, H, gates, dtype, mode, sm, back) for (B, T, I, H), gates, (dtype, mode), sm, back in
        itertools.product(SIZES, (1, 3, 4), (("float64", "fp32"), ("float32", "fp32"), ("float32", "tf32"),
                                             ("float32", "bf16"), ("float16", "fp16")), CARDS, (True, False))]


def test_every_problem_has_a_tier_and_every_faster_one_a_reason():
    for problem, built in itertools.product(GRID, ((1, 0), ALL)):
        chosen = choose(problem, built)
        assert chosen.tier in built and chosen == choose(problem, built)
        assert set(chosen.why_not) == {3: {2}, 2: set()}.get(chosen.tier, {3, 2})
        assert all(len(why.split()) > 2 and "None" not in why for why in chosen.why_not.values())
        assert (chosen.blocks > 0) == (chosen.tier > 1)


def test_nothing_that_is_not_built_is_chosen():
    assert {choose(problem).tier for problem in GRID} == {1, 2}


def test_what_is_chosen_fits_its_card():
    for problem in GRID:
        chosen = choose(problem, ALL)
        if chosen.tier > 1:
            assert problem.held <= chosen.blocks * PROCESSOR_BYTES and problem.T >= 8
            assert problem.sm >= (90 if chosen.tier == 2 and chosen.blocks > 1 else 75)
            assert chosen.blocks in (1, 2, 4, 8, 16) if chosen.tier == 2 else chosen.blocks <= MAX_GROUP
            assert chosen.tier == 2 or problem.sm >= 80
            assert chosen.blocks < 16 or chosen.tier == 3 or problem.sm in (90, 100, 103)


# The plan of issue 3 for an H200: tiers for inference and for training.
@pytest.mark.parametrize("size, mode, ahead, back", (
    ((1, 1000, 256, 256), "fp32", (2, 16), (2, 16)), ((1, 1000, 256, 256), "bf16", (2, 8), (2, 8)),
    ((16, 256, 512, 512), "fp32", (2, 16), (2, 16)), ((16, 256, 512, 512), "bf16", (2, 16), (2, 16)),
    ((64, 100, 256, 512), "tf32", (2, 16), (2, 16)),
    ((64, 512, 512, 1024), "fp32", (1, 0), (1, 0)), ((64, 512, 512, 1024), "tf32", (3, 47), (3, 47)),
    ((64, 512, 512, 1024), "bf16", (3, 24), (3, 24)), ((128, 256, 1024, 1024), "fp32", (1, 0), (1, 0)),
    ((128, 256, 1024, 1024), "tf32", (3, 47), (1, 0)), ((128, 256, 1024, 1024), "bf16", (3, 24), (3, 24)),
    ((256, 128, 1024, 2048), "fp32", (1, 0), (1, 0)), ((256, 128, 1024, 2048), "bf16", (1, 0), (1, 0)),
))
def test_the_plan_for_an_h200(size, mode, ahead, back):
    B, T, I, H = size
    for want, gradients in ((ahead, False), (back, True)):
        chosen = choose(Problem(T, B, I, H, 4, "float32", mode, 90, gradients), ALL)
        assert (chosen.tier, chosen.blocks) == want, chosen.why_not


@pytest.mark.parametrize("change, tier, says", (
    ({"T": 7}, 2, "7 steps, under 8"),
    ({"sm": 86}, 2, "compute capability 9.0, this card has 8.6"),
    ({"H": 1024}, 2, "R is 16.8 MB, too large for the registers and shared memory of a cluster"),
    ({"sm": 120}, 2, "R is 4.2 MB, too large for the registers and shared memory of a cluster"),
    ({"sm": 86, "H": 64, "B": 256, "dtype": "float64"}, 2,
     "a step would take 10.1 microseconds, stepped 10.0 (estimates)"),
    ({"B": 300}, 2, "a step would take 18.2 microseconds, stepped 17.3 (estimates)"),
    ({"H": 4096}, 3, "the largest group of 66 blocks holds 23.7 MB"),
    ({"sm": 75}, 3, "compute capability 8.0, this card has 7.5"),
    ({"B": 300}, 3, "B H is 153600: from 65536 on products in float32 keep the card busy"),
    ({"mode": "tf32", "H": 1024, "B": 128}, 3, "on the way back a group would have 46 rows, at most 32"),
    ({"H": None}, 2, "the number of units is not said"),
    ({"sm": None}, 3, "its compute capability is not said"),
    ({"unfit": "no kernel for it"}, 1, "no kernel for it"),
    ({"H": 1024, "B": 16}, 3, "not built: R would lie in 47 of its blocks"),
))
def test_every_reason_is_in_words(change, tier, says):
    chosen = choose(Problem(100, 64, 256, 512, 4, "float32", sm=90)._replace(**change))
    assert says in chosen.why_not[tier] and chosen.tier == (0 if "unfit" in change else 1)


def test_a_stepped_step_takes_at_least_what_its_launches_take_on_the_host():
    small, large = (Problem(100, B, 256, H, 4, "float32", sm=90) for B, H in ((1, 64), (64, 2048)))
    assert estimate_step(small) < stepped(small) == HOST and stepped(small._replace(directions=2)) == 2 * HOST
    assert HOST < stepped(large) == estimate_step(large) < stepped(large._replace(B=128))


def test_tilings_do_not_depend_on_how_many_steps_there_are():
    """So tests of ten steps meet those that are measured."""
    for problem in GRID:
        if problem.T >= MIN_STEPS:
            assert choose(problem._replace(T=10)).ways == choose(problem).ways


def on_gpu(shape=(100, 64, 256), dtype="float32", sm=90, units=512, **more):
    return Call("cupy", shape, np.dtype(dtype), sm=sm, units=units, **more)


def explained(cell, call, **choice):
    return dict(line.split(": ", 1) for line in rnnref.explain(cell, call, **choice).splitlines())


def test_explain_needs_no_device():
    said = explained(LSTM(), on_gpu(units=1024), mode="tf32")
    assert said == {
        "onchip": "clusters: R is 16.8 MB, too large for the registers and shared memory of a cluster; "
                       "groups of the whole card: not built: R would lie in 47 of its blocks",
        "stepped": "runs", "tier": "1, products and kernels step by step",
        "mode": "tf32, factors rounded to 10 bits of mantissa, summed in float32",
        "Dense": "CudaDense in its place", "LSTM": "CudaLSTM in its place"}


def test_explain_of_the_text():
    said = explained(GatedCell(Dense("W"), Dense("R"), LayerNormRule(LSTMRule())), on_gpu())
    assert said["stepped"] == said["onchip"] == "no kernel has been written for NormOfSum"
    assert said["hoisted"] == "runs" and said["tier"] == "0, the text as it is written"
    assert said["LSTM"] == "CudaLSTM in its place" and said["Dense"] == "CudaDense in its place"


@pytest.mark.parametrize("cell, name", ((GRU(reset="before"), "GRUBefore"), (LSTM(projection=3), "Projected")))
def test_explain_of_two_products_a_step(cell, name):
    said = explained(cell, on_gpu())
    assert said["onchip"] == f"{name} is not two maps and a rule: not built yet"
    assert said["stepped"] == "runs" and said["Dense"] == "CudaDense in its place"


def test_explain_of_two_directions_knows_the_units_of_both():
    said = explained(Bidirectional((LSTM(), GRU())), on_gpu(units=(512, 4096)))
    assert said["bidirectional"] == "runs" and (said["0 tier"][0], said["1 tier"][0]) == ("2", "1")
    assert "16 blocks of" in said["0 forward kernel"] and "R is 201.3 MB" in said["1 onchip"]


@pytest.mark.parametrize("mode", precision.MODES)
def test_every_mode_is_named(mode):
    assert explained(LSTM(), on_gpu(mode=mode))["mode"].startswith(f"{mode}, ")


def test_names_are_said_for_every_tier():
    assert set(TIER_NAMES) == set(ALL)
