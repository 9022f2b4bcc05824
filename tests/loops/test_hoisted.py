"""The path `hoisted`: a product for all steps is one, and sequences written step by step are those stacked later."""
from dataclasses import replace

import numpy as np
import pytest

import rnnref
from rnnref.cells import TwoStage
from rnnref.loops import hoisted
from rnnref.testing.api import assert_same
from rnnref.testing.case import Trial, masking_options
from rnnref.tree import map_structure, stack
from tests.support.cases import CELLS, B, T, case

GATED = [name for name in CELLS if isinstance(case(name).cell, TwoStage)]
WAYS = masking_options((T, B))
PATH = {"paths": ("hoisted",)}


class Watched(np.ndarray):
    """An array that notes the shapes of the operands of its products."""
    seen: list = []

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if ufunc is np.matmul:
            self.seen.append([a.shape for a in inputs])
        inputs = [a.view(np.ndarray) if isinstance(a, Watched) else a for a in inputs]
        if "out" in options:
            options["out"] = tuple(a.view(np.ndarray) for a in options["out"])
        result = getattr(ufunc, method)(*inputs, **options)
        return result.view(Watched) if isinstance(result, np.ndarray) else result


@pytest.mark.parametrize("name", ("LSTM", "GRU before", "LayerNormLSTM, products apart", "ConvLSTM, a plane",
                                  "ConvLSTM, projected at each place", "SimpleRNN of two inputs"))
def test_every_product_is_one_of_two_matrices(name):
    """NumPy makes a product with an array of more axes matrix by matrix, and BLAS starts its threads for each."""
    one, Watched.seen = case(name), []
    p, xs = (map_structure(lambda a: a.view(Watched), tree) for tree in (one.p, one.xs))
    ys, new, tape = rnnref.run(one.cell, p, xs, one.s, **PATH)
    forward = len(Watched.seen)
    rnnref.run_back(tape, ys, new)
    assert forward > T and len(Watched.seen) > forward + T
    assert {len(shape) for shapes in Watched.seen for shape in shapes} == {2}


def test_groups_are_multiplied_one_by_one():
    """Not row by row: forward and back, both factors of a product have the groups for their first axis."""
    one, Watched.seen = case("GLSTM"), []
    p, xs = (map_structure(lambda a: a.view(Watched), tree) for tree in (one.p, one.xs))
    ys, new, tape = rnnref.run(one.cell, p, xs, one.s, **PATH)
    rnnref.run_back(tape, ys, new)
    assert len(Watched.seen) > 2 * T
    assert {(len(shape), shape[0]) for shapes in Watched.seen for shape in shapes} == {(3, 2)}


@pytest.mark.parametrize("reverse", (False, True))
@pytest.mark.parametrize("where", ("everywhere", "holes"))
@pytest.mark.parametrize("name", GATED)
def test_gradients_written_at_each_step_are_those_stacked_at_the_end(name, where, reverse, monkeypatch):
    one = replace(case(name), **WAYS[where], reverse=reverse)
    d, found = Trial(one).d, []
    for least in (0, 1 << 40):
        monkeypatch.setattr(hoisted, "MIN_BYTES", least)
        found.append(one.run_both_ways(d, **PATH)[:2])
    assert_same(*found)


def test_an_array_that_occurs_twice_in_every_step_is_written_once():
    rng, trees = np.random.default_rng(0), []
    for t in range(5):
        a, b = rng.normal(size=(2, 3)), rng.normal(size=4).astype("float32")
        trees.append((a, {"same": a, "until 2": a if t > 1 else 2 * a}, (b, None)))
    for order in (range(5), range(5)[::-1]):
        sequences = hoisted._Sequences(5)
        for t in order:
            sequences[t] = trees[t]
        got = sequences.tree()
        assert_same(got, stack(trees))
        assert got[1]["same"] is got[0] and got[1]["until 2"] is not got[0]
