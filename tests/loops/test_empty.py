"""Sequences of no steps: outputs [0, B, ...], the state as it was, and gradients that are zero."""
import numpy as np
import pytest

import rnnref
from rnnref import layers
from rnnref.loops.run import run_empty
from rnnref.testing.assertions import assert_same
from rnnref.tree import map_structure, zeros_like
from tests.support.cases import CELLS, case

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", [name for name, (cell, _) in CELLS.items()
                                  if not isinstance(cell, rnnref.cells.Bidirectional)])      # which has no single step
def test_no_steps_of_every_cell(name):
    given = case(name)
    plain = ("plain", "bidirectional")
    whole, _, _ = rnnref.run(given.cell, given.p, given.xs, given.s, extra=given.extra, paths=plain)
    ys, new, tape = run_empty(given.cell, given.p, map_structure(lambda a: a[:0], given.xs), given.s)
    assert_same(ys, map_structure(lambda a: a[:0], whole))
    assert_same(new, given.s)
    ds = map_structure(lambda a: RNG.normal(size=a.shape).astype(a.dtype), given.s)
    dxs, back, _, dp = rnnref.run_back(tape, None, ds)
    assert_same(back, ds)
    assert_same(map_structure(abs, dp), zeros_like(given.p))
    assert not any(a.size for _, a in rnnref.tree.leaves(dxs))


@pytest.mark.parametrize("make", (layers.SimpleRNN, layers.LSTM, layers.GRU))
@pytest.mark.parametrize("time_major", (False, True))
def test_no_steps_of_a_layer(make, time_major):
    layer = make(4, return_sequences=True, return_state=True, time_major=time_major, dtype="float64", dropout=0.5)
    x = np.ones((0, 2, 3) if time_major else (2, 0, 3))
    start = [RNG.normal(size=(2, 4)) for _ in range(2 if make is layers.LSTM else 1)]
    y, *state = layer(x, initial_state=start, training=True)
    assert y.shape == ((0, 2, 4) if time_major else (2, 0, 4)) and y.dtype == np.float64
    assert_same(state, start)
    dx, ds = layer.backward(np.zeros_like(y), start)
    assert dx.shape == x.shape and not any(d.any() for d in layer.grads.values())
    assert_same(ds, start)
    with pytest.raises(rnnref.ShapeError, match="without steps there is no last output"):
        make(4, dtype="float64")(np.ones((2, 0, 3)))
