"""What layers return, and what they were given, belongs to the caller."""
import numpy as np
import pytest

import rnnref
from rnnref import cells, layers, tf1
from rnnref.nest import flatten

X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
STATEFUL = {
    "SimpleRNN": lambda: layers.SimpleRNN(4, stateful=True, return_state=True, seed=0),
    "LSTM": lambda: layers.LSTM(4, stateful=True, return_state=True, seed=0),
    "GRU": lambda: layers.GRU(4, stateful=True, return_state=True, seed=0),
    "several cells": lambda: layers.RNN([cells.LSTM(), cells.GRU()], units=4, stateful=True, return_state=True, seed=0),
    "Bidirectional": lambda: layers.Bidirectional(layers.LSTM(4, stateful=True, return_state=True, seed=0)),
}


def spoil(arrays):
    for a in flatten(arrays):
        a[...] = 7


@pytest.mark.parametrize("name", STATEFUL)
def test_carried_states_are_not_the_callers(name):
    calm, spoilt, rng = STATEFUL[name](), STATEFUL[name](), np.random.default_rng(1)
    for call in range(3):
        x = rng.normal(size=(2, 5, 3)).astype("float32")
        want, given = calm(x), x.copy()
        found = spoilt(given)
        assert all(np.array_equal(a, b) for a, b in zip(found, want))
        spoil([given, *found])
        if call:
            spoil(spoilt.states)
    assert all(np.array_equal(a, b) for a, b in zip(flatten(spoilt.states), flatten(calm.states)))


@pytest.mark.parametrize("name", STATEFUL)
def test_first_states_and_weights_that_are_handed_out(name):
    layer = STATEFUL[name]()
    want = [a.copy() for a in layer(X)]
    layer.reset_state()
    weights = [a.copy() for a in layer.get_weights()]
    spoil(layer.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), weights))
    given = [a.copy() for a in weights]
    layer.set_weights(given)
    spoil(given)
    if hasattr(layer, "get_initial_state"):
        spoil(layer.get_initial_state(2))
    assert all(np.array_equal(a, b) for a, b in zip(layer(X), want))


@pytest.mark.parametrize("wrap", (lambda one: one, layers.Bidirectional))
def test_gradients_after_everything_was_written_to(wrap):
    found = []
    for touch in (lambda arrays: None, spoil):
        layer = wrap(layers.LSTM(4, return_sequences=True, return_state=True, seed=0))
        x, first = X.copy(), [np.full((2, 4), 0.1, "float32") for _ in range(4 if wrap is layers.Bidirectional else 2)]
        y, *states = layer(x, initial_state=first)
        dy = np.ones_like(y)
        touch([x, y, *first, *states])
        found.append((layer.backward(dy), layer.get_grads()))
    assert all(np.array_equal(a, b) for a, b in zip(*map(flatten, found)))


def test_intermediates_that_a_tape_hands_out_can_be_read_only():
    GRU = cells.GRU()
    for cell in (cells.LSTM(), cells.Stack((GRU, cells.LSTM())), cells.Bidirectional((GRU, GRU))):
        p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0))
        for paths in (("hoisted", "layerwise", "plain", "bidirectional"), ("plain", "bidirectional")):
            ys, new, tape = rnnref.run(cell, p, X, paths=paths)
            arrays = [a for a in all_arrays(tape.kept(1))]
            assert arrays
            for a in arrays:
                with pytest.raises(ValueError, match="read-only"):
                    a[...] = 0


def all_arrays(kept):
    for item in kept.values() if isinstance(kept, dict) else kept:
        if isinstance(item, np.ndarray):
            yield item
        elif isinstance(item, (tuple, list, dict)):
            yield from all_arrays(item)


def test_one_step_and_its_way_back():
    cell = cells.GRU()
    p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0), "float64")
    results = []
    for touch in (lambda arrays: None, spoil):
        q, x, s = {name: a.copy() for name, a in p.items()}, X[0].astype("float64"), cell.zeros(5, 4, dtype="float64")
        (y, new), back = rnnref.vjp(cell, q, x, s)
        dy, dnew = np.ones_like(y), type(new)(np.ones_like(y))
        touch([x, y, *s, *new, *q.values()])
        results.append(back(dy, dnew))
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(*map(rnnref.tree.leaves, results)))


def test_zero_states_of_tf1():
    cell = tf1.BasicLSTMCell(4)
    spoil(cell.zero_state(2, "float32"))
    assert not any(a.any() for a in flatten(cell.zero_state(2, "float32")))
