"""From TF 1 to Keras piece by piece: nested data, cells of TF 1 in layers, cells of Keras in loops of TF 1."""
import numpy as np
import pytest

import rnnref
from rnnref import layers, tf1
from rnnref.errors import NotSupported
from rnnref.nest import flatten
from rnnref.testing.assertions import assert_close, assert_same
from tests.support.messages import raises_with
from tests.support.migration import CELLS, LENGTHS, MASK, RNG, B, I, Pair, T, U, X, from_lstm

# nested data


def nested_weights():
    rng = np.random.default_rng(6)
    return rng.normal(size=(2, 3)).astype("float32"), rng.normal(size=(2, 3, 4, 2)).astype("float32")


class OldNested(tf1.RNNCell):
    """With sizes of TF 1: a TensorShape is one array."""
    state_size = output_size = (3, tf1.TensorShape([4, 2]))

    def __init__(self):
        super().__init__()
        self.first, self.second = nested_weights()

    def call(self, inputs, state):
        a, b = inputs
        a = np.tanh(a @ self.first) + state[0]
        b = np.einsum("bij,ijkl->bkl", b, self.second) + state[1]
        return (a, b), (a, b)


class NewNested(layers.Layer):
    """With sizes of Keras: a tuple is the shape of one array."""
    state_size = output_size = [3, (4, 2)]

    def build(self, shapes):
        self.first, self.second = self.add_weight((2, 3)), self.add_weight((2, 3, 4, 2))

    def call(self, inputs, states):
        a, b = inputs
        a = np.tanh(a @ self.first) + states[0]
        b = rnnref.ops.einsum("bij,ijkl->bkl", b, self.second) + states[1]
        return (a, b), [a, b]


def test_nested_inputs_outputs_and_states():
    x = RNG.normal(size=(B, T, 2)).astype("float32"), RNG.normal(size=(B, T, 2, 3)).astype("float32")
    (a, b), state = result = tf1.dynamic_rnn(OldNested(), x, LENGTHS)
    layer = layers.RNN(NewNested(), return_sequences=True, return_state=True, zero_output_for_mask=True)
    layer.build(((B, T, 2), (B, T, 2, 3)))
    layer.set_weights(nested_weights())
    (ya, yb), *states = layer(x, mask=MASK)
    assert_close([ya, yb, *states], [a, b, *state], "path")
    d = [RNG.normal(size=y.shape).astype("float32") for y in (a, b)]
    assert_close(layer.backward(tuple(d))[0], result.backward(tuple(d)).inputs, "gradient")
    first, second = nested_weights()
    assert_close([a[0], b[1, :2]], [np.cumsum(np.tanh(x[0][0] @ first), 0), np.cumsum(
        np.tensordot(x[1][1, :2], second, 2), 0)], "path")
    (za, zb), new = tf1.dynamic_rnn(layer.cell.cell, x, LENGTHS)             # the cell of Keras in a loop of TF 1
    assert_close([za, zb, *new], [a, b, *state], "path")


# cells of one in loops of the other

@pytest.mark.parametrize("name", CELLS)
def test_cells_of_tf1_in_layers(name):
    pair = Pair(rnnref, name)
    (outputs, state), dy = tf1.dynamic_rnn(pair.old, X, LENGTHS), RNG.normal(size=(B, T, U)).astype("float32")
    layer = layers.RNN(pair.old, return_sequences=True, return_state=True, zero_output_for_mask=True)
    y, *states = layer(X, mask=MASK)
    assert_close([y, *states], [outputs, *(state if pair.is_lstm else [state])], "path")
    wanted = tf1.dynamic_rnn(pair.old, X, LENGTHS).backward(dy)
    dx, _ = layer.backward(dy)
    assert_close(dx, wanted.inputs, "gradient")
    assert_close(pair.old.gradients(layer.grads), wanted.variables, "gradient")


def loops(cell, second):
    """Every loop of TF 1 with a cell: what it gives."""
    steps = list(X.swapaxes(0, 1))
    yield tf1.dynamic_rnn(cell, X, LENGTHS)
    yield tf1.dynamic_rnn(cell, X.swapaxes(0, 1), time_major=True, dtype="float32")
    yield tf1.static_rnn(cell, steps, dtype="float32", sequence_length=LENGTHS)
    yield tf1.bidirectional_dynamic_rnn(cell, second, X, LENGTHS, dtype="float32")
    yield tf1.static_bidirectional_rnn(cell, second, steps, dtype="float32")
    yield tf1.stack_bidirectional_dynamic_rnn([cell], [second], X, dtype="float32", sequence_length=LENGTHS)
    yield tf1.stack_bidirectional_rnn([cell], [second], steps, dtype="float32")


@pytest.mark.parametrize("name", CELLS)
def test_cells_of_keras_in_every_loop_of_tf1(name):
    a, b = Pair(rnnref, name), Pair(rnnref, name, seed=1)
    for pair in (a, b):
        pair.take(layers.RNN(pair.new))

    def in_order(tree):
        """The states of TF 1's LSTM are c and h, those of Keras h and c: as a dict, which has no order."""
        if hasattr(tree, "_fields"):
            return [tree.h, tree.c]
        return [a for item in tree for a in in_order(item)] if isinstance(tree, (list, tuple)) else [tree]
    for n, (old, new) in enumerate(zip(loops(a.old, b.old), loops(a.new, b.new), strict=True)):
        assert_close(flatten(tuple(new)), in_order(tuple(old)), "path")
        dy = old[0]
        old, new = old.backward(dy), new.backward(dy)
        assert_close(flatten(new.inputs), flatten(old.inputs), "gradient")
        if n < 3:
            convert = from_lstm(0) if a.is_lstm else CELLS[name][2]
            wanted = convert({key.partition("/")[2]: d for key, d in old.variables.items()}, I)
            got = list(new.variables.values())
            assert [path.rpartition("/")[2] for path in new.variables] == ["kernel", "recurrent_kernel", "bias"]
            if name == "CudnnCompatibleGRUCell":  # TF 1 has one bias for the gates, which are those of both in Keras
                assert_same(got[2][1, :2 * U], got[2][0, :2 * U])
                wanted[2][1, :2 * U] = wanted[2][0, :2 * U]
            assert_close(got, wanted, "gradient")


def test_cells_of_keras_in_raw_rnn_and_with_a_state_saver():
    pair = Pair(rnnref, "LSTMCell")
    layer = pair.take(layers.RNN(pair.new, return_sequences=True, return_state=True))
    y, h, c = layer(X)

    def loop(time, output, state, loop_state):
        state = pair.new.get_initial_state(batch_size=B) if output is None else state
        emit = np.zeros(U, "float32") if output is None else output
        return np.full(B, time >= T), X[:, min(time, T - 1)], state, emit, None
    emitted, state, _ = tf1.raw_rnn(pair.new, loop)
    assert_close([emitted.swapaxes(0, 1), *state], [y, h, c], "path")

    class Saver:
        saved = {"h": np.zeros((B, U), "float32"), "c": np.zeros((B, U), "float32")}
        state = saved.get

        def save_state(self, name, value):
            self.saved[name] = value
    tf1.static_state_saving_rnn(pair.new, list(X.swapaxes(0, 1)), Saver(), ("h", "c"))
    assert_close([Saver.saved["h"], Saver.saved["c"]], [h, c], "path")


def test_several_cells_of_keras_in_a_loop_of_tf1():
    stack = layers.StackedRNNCells([layers.LSTMCell(U, seed=0), layers.GRUCell(3, seed=1)])
    outputs, ((h, c), state) = result = tf1.dynamic_rnn(stack, X, LENGTHS)
    layer = layers.RNN(stack, return_sequences=True, return_state=True, zero_output_for_mask=True)
    y, first, second = layer(X, mask=MASK)
    assert_close([outputs, [h, c], [state]], [y, first, second], "path")
    d = result.backward(outputs)
    dx, _ = layer.backward(outputs)
    assert_close([d.inputs, *d.variables.values()], [dx, *layer.get_grads()], "gradient")
    assert list(d.variables) == [w.path for w in stack.weights]


@pytest.mark.parametrize("make", (lambda: tf1.GRUCell(U).build(I, seed=0), lambda: layers.GRUCell(U)))
def test_a_loop_of_tf1_in_a_model_is_refused_and_rnn_takes_its_place(make):
    class Old(rnnref.Model):
        def __init__(self, cell):
            super().__init__()
            self.cell = cell

        def call(self, x):
            return tf1.dynamic_rnn(self.cell, x)[1]

    class New(rnnref.Model):
        def __init__(self, cell):
            super().__init__()
            self.rnn = layers.RNN(cell)

        def call(self, x):
            return self.rnn(x)
    cell = make()
    with raises_with(NotSupported, ["a loop of TF 1 in the call of a model", "layers.RNN(cell"]):
        Old(cell)(X)
    with raises_with(NotSupported, ["a loop of TF 1 in the call of a model", "layers.RNN(cell"]):
        tf1.dynamic_rnn(cell, rnnref.Input((T, I)))
    assert_close(New(cell)(X), tf1.dynamic_rnn(cell, X)[1], "path")


class Learned(layers.Layer):
    """A cell with a weight as its first state."""
    state_size = U

    def build(self, shape):
        self.first, self.kernel = self.add_weight((U,), "ones"), self.add_weight((shape[-1], U))

    def get_initial_state(self, batch_size=None):
        return [rnnref.ops.tile(self.first[None], (batch_size, 1))]

    def call(self, inputs, states):
        h = np.tanh(inputs @ self.kernel + states[0])
        return h, [h]


def test_what_would_lose_a_gradient_or_has_other_axes_is_refused():
    with raises_with(NotSupported, ["a first state made of weights", "initial_state="]):
        tf1.dynamic_rnn(Learned(), X)
    given = tf1.dynamic_rnn(cell := Learned(), X, initial_state=np.ones((B, U), "float32"))
    assert_close(given[0], layers.RNN(cell, return_sequences=True)(X), "path")
    images = RNG.normal(size=(B, T, 4, 4, 2)).astype("float32")
    with raises_with(NotSupported, ["channels_first"]):
        tf1.dynamic_rnn(layers.ConvLSTMCell(2, 3, 3, data_format="channels_first"), images)
    layer = layers.ConvLSTM2D(3, 3, return_sequences=True)
    assert_close(tf1.dynamic_rnn(layer.cell, images)[0], layer(images), "path")
    with raises_with(TypeError, ["expected a cell of rnnref.tf1", "loops take cells of rnnref.layers too"]):
        tf1.MultiRNNCell([layers.LSTMCell(U)])
