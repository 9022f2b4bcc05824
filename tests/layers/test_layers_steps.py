"""Steps of stateful layers: what a layer remembers from call to call never hides a change."""
import copy
import sys

import numpy as np
import pytest

import rnnref
from rnnref import ShapeError, layers
from rnnref.cells import LSTM
from rnnref.layers.weight import arrays
from rnnref.testing.api import assert_same

B, I, U = 2, 3, 4
X = np.random.default_rng(0).normal(size=(B, 5, I)).astype("float32")
KINDS = {
    "SimpleRNN": lambda **o: layers.SimpleRNN(U, **o), "LSTM": lambda **o: layers.LSTM(U, **o),
    "GRU": lambda **o: layers.GRU(U, **o), "reset before": lambda **o: layers.GRU(U, reset_after=False, **o),
    "core": lambda **o: layers.RNN(LSTM(peepholes=True), units=U, **o),
    "stack": lambda **o: layers.RNN([layers.LSTMCell(U, seed=2), layers.GRUCell(3, seed=3)], **o),
    "bidirectional": lambda **o: layers.Bidirectional(layers.LSTM(U, **{n: a for n, a in o.items() if n != "seed"}))}


def steps(layer, n):
    return [layer(X[:, t:t + 1]) for t in range(n)]


def like(layer, make):
    """A new layer with the weights and the state of another."""
    other = make(return_sequences=True, seed=1)
    other(X)
    other.set_weights(layer.get_weights())
    return other


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_that_changes_between_steps_is_seen_by_the_next(kind):
    """In place, by assignment, and all at once."""
    make = KINDS[kind]
    layer = make(return_sequences=True, seed=1)
    steps(layer, 3)
    changes = (lambda w: np.subtract(np.float32(0.3), w.data, out=w.data), lambda w: w.assign(w.data + 1),
               lambda w: layer.set_weights([a + 0.5 for a in layer.get_weights()]))
    for k, change in enumerate(changes):
        for w in layer.weights[k:] if k < 2 else layer.weights[:1]:
            before = layer(X[:, 2:4])
            change(w)
            y = layer(X[:, 2:4])
            assert_same(y, like(layer, make)(X[:, 2:4]), (kind, w.path))
            assert abs(y - before).max() > 0, w.path


def test_weights_lie_in_c_order_whoever_gives_them():
    layer = layers.LSTM(U)
    layer(X)
    given = [np.asfortranarray(a + 1) for a in layer.get_weights()]
    layer.set_weights(given)
    layer.weights[0].assign(np.asfortranarray(given[0]))
    for w, a in zip(layer.weights, given):
        assert w.data.flags.c_contiguous and not np.shares_memory(w.data, a)
        assert_same(w.data, a)


def test_stateful_steps_are_a_sequence():
    for kind in ("SimpleRNN", "LSTM", "GRU", "core", "stack"):
        whole, cut = (KINDS[kind](return_sequences=True, seed=1, **more) for more in ({}, {"stateful": True}))
        y = whole(X)
        cut(X[:, :1]), cut.reset_state(), cut.set_weights(whole.get_weights())
        by_steps = np.concatenate(steps(cut, 5), 1)
        assert abs(by_steps - y).max() < 1e-6, kind


def test_states_that_are_returned_may_be_written_to():
    layer, other = (layers.LSTM(U, stateful=True, return_state=True, seed=1) for _ in range(2))
    for t in range(3):
        y, h, c = layer(X[:, t:t + 1])
        z, *_ = other(X[:, t:t + 1])
        assert_same(y, z, t)
        h[:], c[:] = np.nan, np.nan
    layer.states[0][:] = np.nan
    assert np.isfinite(layer.states[0]).all()


def test_an_option_of_the_cell_that_changes_is_seen():
    layer = layers.LSTM(U, seed=1, return_sequences=True)
    y = layer(X)
    layer.cell.activation = "relu"
    other = layers.LSTM(U, seed=1, return_sequences=True, activation="relu")
    other(X)
    other.set_weights(layer.get_weights())
    assert_same(layer(X), other(X), "relu")
    layer.cell.activation = "tanh"
    assert_same(layer(X), y, "tanh again")


def test_what_passed_once_is_checked_anew_for_other_inputs():
    layer = layers.LSTM(U, return_sequences=True)
    layer(X), layer(X)
    with pytest.raises(ShapeError, match="expected 3 on the last axis"):
        layer(X[..., :2])
    with pytest.raises(ShapeError, match="expected 3 axes"):
        layer(X[0])
    assert layer(X.astype("float64")).dtype == np.float32
    assert_same(layer(X.tolist()), layer(X), "lists")


class Tower(layers.Layer):
    """Layers as attributes, which change after calls."""

    def __init__(self):
        super().__init__(name="tower")
        self.first, self.more, self.kept = layers.Dense(2, name="a"), [], ([layers.Dense(2, name="k")],)

    def call(self, x):
        for layer in (self.first, *self.more, *self.kept[0]):
            x = layer(x)
        return x


def test_layers_that_are_added_later_are_found():
    tower = Tower()
    tower(X)
    assert [w.path for w in tower.weights] == ["tower/a/kernel", "tower/a/bias", "tower/k/kernel", "tower/k/bias"]
    tower.more.append(layers.Dense(2, name="b"))
    tower(X)
    assert [w.path for w in tower.weights[2:4]] == ["tower/b/kernel", "tower/b/bias"]
    tower.first = layers.Dense(2, name="c", use_bias=False)
    tower(X)
    tower.last = layers.Dense(2, name="d")
    tower.last.build((None, 2))
    assert [w.path.removeprefix("tower/") for w in tower.weights] == [
        "c/kernel", "b/kernel", "b/bias", "k/kernel", "k/bias", "d/kernel", "d/bias"]
    del tower.last
    tower.more.clear()
    assert len(tower.weights) == 3
    tower.more = ()
    assert len(tower.weights) == 3                # and now only the list in a tuple can grow
    tower.kept[0].append(layers.Dense(2, name="e"))
    tower(X)
    assert [w.path for w in tower.weights[3:]] == ["tower/e/kernel", "tower/e/bias"]
    layer = layers.Dense(2)
    layer(X)
    layer.weights[0].trainable = False
    assert [w.name for w in layer.weights] == ["bias", "kernel"]
    layer.scale = layer.add_weight((2,), name="scale")
    assert [w.name for w in layer.weights] == ["bias", "scale", "kernel"]


def test_a_copy_of_a_layer_has_weights_of_its_own():
    layer = layers.LSTM(U, return_sequences=True)
    y = layer(X)
    other = copy.deepcopy(layer)
    other.weights[0].assign(0 * other.weights[0].data)
    assert_same(layer(X), y, "the first")
    assert abs(other(X) - y).max() > 0 and arrays(layer)["cell.kernel"].any() and not arrays(other)["cell.kernel"].any()


def count_calls(f):
    """The calls of Python functions that f makes: what a step costs beside its arithmetic, on any machine."""
    seen = []
    f(), f()
    sys.setprofile(lambda frame, event, arg: seen.append(event) if event == "call" else None)
    try:
        f()
    finally:
        sys.setprofile(None)
    return len(seen)


def test_a_step_of_a_stateful_layer_makes_few_calls():
    x, cell = np.ones((1, 64), "float32"), LSTM()
    p, s = rnnref.init.parameters(cell, 64, 64, np.random.default_rng(0)), cell.zeros(1, 64)
    layer = layers.LSTM(64, stateful=True, return_sequences=True)
    assert count_calls(lambda: cell.forward(p, x, s)) <= 60
    assert count_calls(lambda: rnnref.run(cell, p, x[None], s, keep=False)) <= 95
    assert count_calls(lambda: layer.forward(x[:, None], keep=False)) <= 130
    assert count_calls(lambda: layer(x[:, None])) <= 147
