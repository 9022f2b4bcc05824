"""Layers inside of a cell with `call`: what they draw, the noise of the pair determines; what they write is refused."""
import numpy as np
import pytest

import rnnref
from rnnref import Record, layers as L
from rnnref.errors import NotSupported
from rnnref.testing.api import assert_close, assert_same
from tests.support.layer_cases import U, X
from tests.support.messages import raises_with

MASK = np.array([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], bool)


class Dropping(L.Layer):
    """Dropout of x, noise on the state; no word of training."""
    state_size = U

    def __init__(self, rate=0.5, seed=None, **base):
        super().__init__(dtype="float64", **base)
        self.drop = L.Dropout(rate, seed=seed, dtype="float64")
        self.noise = L.GaussianNoise(0.3, dtype="float64")
        self.dense = L.Dense(U, dtype="float64")

    def call(self, x, states):
        y = np.tanh(self.dense(self.drop(x)) + self.noise(states[0]))
        return y, [y]


class Plain:
    """An object that is no layer and holds one."""
    state_size = 4

    def __init__(self):
        self.drop = L.Dropout(0.5, dtype="float64")

    def call(self, x, states):
        y = self.drop(x) + 0.5 * states[0]
        return y, [y]


MAKE = {
    "alone": lambda: L.RNN(Dropping(), return_sequences=True),
    "a stack": lambda: L.RNN([Dropping(), L.GRUCell(2, dtype="float64")]),
    "two directions": lambda: L.Bidirectional(L.RNN(Dropping())),
    "an object": lambda: L.RNN(Plain(), dtype="float64"),
}


def made(name):
    layer = MAKE[name]()
    layer(X)
    return layer, {path: w.data for path, w in layer.named_weights().items()}


@pytest.mark.parametrize("masked", [None, MASK], ids=["", "masked"])
@pytest.mark.parametrize("name", MAKE)
def test_the_pair_is_pure_in_training(name, masked):
    layer, p = made(name)
    noise, other = layer.draw(True, X), layer.draw(True, X)

    def y(x, noise=noise):
        return layer.apply(p, x, training=True, noise=noise, mask=masked)[0]
    assert_same(y(X), y(X))
    assert abs(y(X) - y(X, other)).max() > 1e-3
    out, kept = layer.apply(p, X, training=True, noise=noise, mask=masked)
    (dx, *_), _ = layer.apply_back(p, kept, np.cos(out))
    v = np.sin(np.arange(X.size)).reshape(X.shape)
    change = ((y(X + 1e-6 * v) - y(X - 1e-6 * v)) * np.cos(out)).sum() / 2e-6
    assert abs(change - (dx * v).sum()) < 1e-7 * np.sqrt((dx ** 2).sum() * (v ** 2).sum())
    assert_same(layer.apply(p, X, mask=masked)[0], layer.apply(p, X, mask=masked, noise=layer.draw(False, X))[0])


def test_every_step_drops_other_inputs():
    layer = L.RNN(Plain(), return_sequences=True, dtype="float64")
    y = layer(np.ones((64, 5, 4)), training=True)
    dropped = np.stack([y[:, 0], *(y[:, t] - 0.5 * y[:, t - 1] for t in range(1, 5))])
    assert set(np.unique(dropped.round(12))) == {0.0, 2.0}
    assert 0.4 < (dropped == 0).mean() < 0.6
    for t in range(1, 5):
        assert (dropped[t] != dropped[t - 1]).any()


def test_a_record_goes_back_through_the_numbers_that_were_drawn():
    layer = L.RNN(Plain(), dtype="float64")
    with Record(training=True) as record:
        x = record.leaf(np.ones((2, 5, 4)))
        y = layer(x)
        loss = rnnref.ops.sum(y)
    dx = record.backward(loss)[x]
    assert_close((dx * x.data).sum((1,)), y.data)             # the layer is linear in x, row by row


def test_a_seed_gives_the_same_numbers_again():
    for make in (lambda: L.RNN(Dropping(seed=3)), lambda: L.RNN(Plain(), seed=3, dtype="float64")):
        one, two = make(), make()
        for layer in (one, two):
            layer(X)
            layer.set_weights([np.ones_like(w) for w in layer.get_weights()])
        first = one(X, training=True)
        assert_same(two(X, training=True), first)
        assert (one(X, training=True) != first).any()


class Holding(L.Layer):
    state_size = U

    def __init__(self, inner, **base):
        super().__init__(dtype="float64", **base)
        self.inner = inner

    def call(self, x, states):
        y = self.inner(x) + states[0]
        return y, [y]


class LastOfOne(L.Layer):
    """A stateful RNN over one step."""

    def __init__(self):
        super().__init__(dtype="float64")
        self.rnn = L.Bidirectional(L.LSTM(U, stateful=True, dtype="float64"), merge_mode="sum")

    def call(self, x):
        return self.rnn(rnnref.ops.expand_dims(x, 1))


def test_a_layer_that_writes_something_at_every_step_is_refused():
    x = X[..., :U]
    normed = L.RNN(Holding(L.BatchNormalization(dtype="float64")))
    assert normed(x).shape == (3, U)                          # in inference it writes nothing
    with raises_with(NotSupported, ["Holding", "layers.BatchNormalization", "LayerNormalization"]):
        normed(x, training=True)
    normed.cell.cell.inner.trainable = False
    assert_same(normed(x, training=True), normed(x))
    assert L.RNN(Holding(L.Dense(U, activation=L.ReLU(), dtype="float64")))(x, training=True).shape == (3, U)
    with raises_with(NotSupported, ["layers.Bidirectional", "its state as one of the states of the cell"]):
        L.RNN(Holding(LastOfOne()))(x)
