"""The choice of a method on a grid of sizes, modes and cards, without a device; and how `explain` shows it."""
import itertools

import numpy as np
import pytest

import rnnref
from rnnref.cells import GRU, LSTM, Bidirectional, GatedCell
from rnnref.cuda import precision
from rnnref.cuda_loops.choice import (HOST, MAX_GROUP, METHODS, MIN_STEPS, PROCESSOR_BYTES, Problem, choose,
                                      estimate_step, stepped, why_no_graph)
from rnnref.loops.plan import Call
from rnnref.maps.dense import Dense
from rnnref.rules.layer_norm import LayerNormRule
from rnnref.rules.lstm import LSTMRule

ALL = tuple(METHODS)
SIZES = ((1, 1000, 256, 256), (16, 256, 512, 512), (64, 100, 256, 512), (64, 512, 512, 1024), (128, 256, 1024, 1024),
         (256, 128, 1024, 2048), (4, 5, 8, 16), (0, 10, 3, 4), (2000, 20, 1, 300))
CARDS = 70, 75, 80, 86, 87, 89, 90, 100, 103, 120, 121, None
GRID = [Problem(T, B, I, H, gates, dtype, mode, sm, back) for (B, T, I, H), gates, (dtype, mode), sm, back in
        itertools.product(SIZES, (1, 3, 4), (("float64", "fp32"), ("float32", "fp32"), ("float32", "tf32"),
                                             ("float32", "bf16"), ("float16", "fp16")), CARDS, (True, False))]


def test_every_problem_has_a_method_and_every_faster_one_a_reason():
    for problem, methods in itertools.product(GRID, (("stepped", "plain"), ALL)):
        chosen = choose(problem, methods)
        assert chosen.method in methods and chosen == choose(problem, methods)
        assert tuple(chosen.why_not) == ALL[:ALL.index(chosen.method)]
        assert all(len(why.split()) > 2 and "None" not in why for why in chosen.why_not.values())
        assert (chosen.blocks > 0) == (chosen.method in ("clusters", "groups"))


def test_methods_that_are_not_implemented_are_not_chosen():
    assert {choose(problem).method for problem in GRID} == {"stepped", "clusters"}


def test_what_is_chosen_fits_its_card():
    for problem in GRID:
        chosen = choose(problem, ALL)
        clusters = chosen.method == "clusters"
        if clusters or chosen.method == "groups":
            assert problem.weight_bytes <= chosen.blocks * PROCESSOR_BYTES and problem.T >= 8
            assert problem.sm >= (90 if clusters and chosen.blocks > 1 else 75)
            assert chosen.blocks in (1, 2, 4, 8, 16) if clusters else chosen.blocks <= MAX_GROUP
            assert clusters or problem.sm >= 80
            assert chosen.blocks < 16 or not clusters or problem.sm in (90, 100, 103)


# For an H200: method and blocks, for inference and for training.
@pytest.mark.parametrize("size, mode, inference, training", (
    ((1, 1000, 256, 256), "fp32", ("clusters", 16), ("clusters", 16)),
    ((1, 1000, 256, 256), "bf16", ("clusters", 16), ("clusters", 16)),
    ((16, 256, 512, 512), "fp32", ("clusters", 16), ("clusters", 16)),
    ((16, 256, 512, 512), "bf16", ("clusters", 16), ("clusters", 16)),
    ((64, 100, 256, 512), "tf32", ("clusters", 16), ("clusters", 16)),
    ((64, 512, 512, 1024), "fp32", ("stepped", 0), ("stepped", 0)),
    ((64, 512, 512, 1024), "tf32", ("groups", 47), ("groups", 47)),
    ((64, 512, 512, 1024), "bf16", ("groups", 24), ("groups", 24)),
    ((128, 256, 1024, 1024), "fp32", ("stepped", 0), ("stepped", 0)),
    ((128, 256, 1024, 1024), "tf32", ("groups", 47), ("stepped", 0)),
    ((128, 256, 1024, 1024), "bf16", ("groups", 24), ("groups", 24)),
    ((256, 128, 1024, 2048), "fp32", ("stepped", 0), ("stepped", 0)),
    ((256, 128, 1024, 2048), "bf16", ("stepped", 0), ("stepped", 0)),
))
def test_the_plan_for_an_h200(size, mode, inference, training):
    B, T, I, H = size
    for want, gradients in ((inference, False), (training, True)):
        chosen = choose(Problem(T, B, I, H, 4, "float32", mode, 90, gradients), ALL)
        assert (chosen.method, chosen.blocks) == want, chosen.why_not


@pytest.mark.parametrize("change, method, words", (
    ({"T": 7}, "clusters", "7 steps, with fewer than 8 loading R takes longer"),
    ({"sm": 86}, "clusters", "clusters of blocks need compute capability 9.0, this card has 8.6"),
    ({"H": 1024}, "clusters", "R is 16.8 MB, too large for the registers and shared memory of a cluster"),
    ({"sm": 120}, "clusters", "R is 4.2 MB, too large for the registers and shared memory of a cluster"),
    ({"B": 256, "mode": "tf32"}, "clusters", "a step would take 20.2 microseconds, stepped 18.6 (estimates)"),
    ({"B": 700}, "clusters", "a step would take 76.8 microseconds, stepped 76.6 (estimates)"),
    ({"H": 4096}, "groups", "the largest group of 66 blocks holds 23.7 MB"),
    ({"sm": 75}, "groups", "compute capability 8.0, this card has 7.5"),
    ({"B": 700}, "groups", "B H is 358400: from 65536 on products in float32 keep the card busy"),
    ({"mode": "tf32", "H": 1024, "B": 128}, "groups", "on the way back a group would have 46 rows, at most 32"),
    ({"H": None}, "clusters", "not known without the number of units"),
    ({"sm": None}, "groups", "the compute capability of the card is not known"),
    ({"why_unfit": "no kernel for it"}, "stepped", "no kernel for it"),
    ({"H": 1024, "B": 16}, "groups", "not implemented: R would need 47 blocks"),
))
def test_reasons(change, method, words):
    chosen = choose(Problem(100, 64, 256, 512, 4, "float32", sm=90)._replace(**change))
    assert words in chosen.why_not[method] and chosen.method == ("plain" if "why_unfit" in change else "stepped")


def test_a_stepped_step_takes_at_least_what_its_launches_take_on_the_host():
    """But for a sequence that is worth a graph."""
    small, large = (Problem(7, B, 256, H, 4, "float32", sm=90) for B, H in ((1, 64), (64, 2048)))
    assert estimate_step(small) < stepped(small) == HOST and stepped(small._replace(directions=2)) == 2 * HOST
    assert HOST < stepped(large) == estimate_step(large) < stepped(large._replace(B=128))
    assert stepped(small._replace(T=100)) == estimate_step(small._replace(T=100)) < HOST


@pytest.mark.parametrize("change, words", (
    ({}, None), ({"mode": "fp32", "B": 16}, None), ({"sm": 80}, None), ({"directions": 2}, None),
    ({"T": 7}, "7 steps: with fewer than 8 there is little to launch at once"),
    ({"mode": "fp32", "B": 128}, "a step takes about 61 microseconds on the card (estimate), its launches 28"),
    ({"sm": None}, "not known without the number of units and the card"), ({"sm": 60}, "not known without"),
    ({"H": None}, "not known without"), ({"T": 1000, "B": 128}, "its arrays would hold 10.7 GB between two sequences"),
))
def test_whether_a_graph_gains(change, words):
    why = why_no_graph(Problem(512, 64, 512, 1024, 4, "float32", "bf16", sm=90)._replace(**change))
    assert why is None if words is None else words in why


def test_tilings_do_not_depend_on_how_many_steps_there_are():
    """So tests of ten steps run the tilings that are measured."""
    for problem in GRID:
        if problem.T >= MIN_STEPS:
            assert choose(problem._replace(T=10)).tilings == choose(problem).tilings


def on_gpu(shape=(100, 64, 256), dtype="float32", sm=90, units=512, **more):
    return Call("cupy", shape, np.dtype(dtype), sm=sm, units=units, **more)


def explain(cell, call, **choice):
    return dict(line.split(": ", 1) for line in rnnref.explain(cell, call, **choice).splitlines())


def test_explain_needs_no_device():
    assert explain(LSTM(), on_gpu(units=1024), mode="tf32") == {
        "onchip": "clusters of blocks: R is 16.8 MB, too large for the registers and shared memory of a cluster; "
                  "groups of blocks over the whole card: not implemented: R would need 47 blocks",
        "replayed": "runs",
        "on the GPU": "products and kernels, step by step, from the second sequence of a kind on as one CUDA graph",
        "mode": "tf32, operands rounded to 10 bits of mantissa, summed in float32",
        "Dense": "cuBLAS product", "LSTM": "CUDA kernel"}


def test_explain_of_a_rule_without_a_kernel():
    notes = explain(GatedCell(Dense("W"), Dense("R"), LayerNormRule(LSTMRule())), on_gpu())
    assert notes["stepped"] == notes["onchip"] == "no kernel has been written for LayerNormLSTM"
    assert notes["hoisted"] == "runs" and notes["on the GPU"] == "the plain code, step by step"
    assert notes["LSTM"] == "CUDA kernel" and notes["Dense"] == "cuBLAS product"


@pytest.mark.parametrize("cell, name", ((GRU(reset="before"), "GRUBefore"), (LSTM(projection=3), "ProjectedCell")))
def test_explain_of_two_products_a_step(cell, name):
    notes = explain(cell, on_gpu())
    assert notes["onchip"] == f"{name} is not two maps and a rule (GatedCell): not implemented"
    assert notes["replayed"] == "runs" and notes["Dense"] == "cuBLAS product"


def test_explain_of_two_directions_knows_the_units_of_both():
    notes = explain(Bidirectional((LSTM(), GRU())), on_gpu(units=(512, 4096)))
    assert notes["bidirectional"] == notes["0 onchip"] == notes["1 stepped"] == "runs"
    assert "16 blocks of" in notes["0 forward kernel"] and "R is 201.3 MB" in notes["1 onchip"]


@pytest.mark.parametrize("mode", precision.MODES)
def test_every_mode_is_named(mode):
    assert explain(LSTM(), on_gpu(mode=mode))["mode"].startswith(f"{mode}, ")
