"""Options of recurrent layers that act on weights, losses and first states; cells of users and of TF 1; time."""
import numpy as np
import pytest

from rnnref import Model, NotSupported, Record, ShapeError, activations, ops, tf1
from rnnref.layers import (GRU, LSTM, RNN, Bidirectional, ConvLSTM1D, ConvLSTM2D, ConvLSTMCell, GRUCell, Layer,
                           LSTMCell, SimpleRNN, TimeDistributed, Weight)
from rnnref.testing.api import assert_close, assert_same
from tests.support.layer_cases import HOLES, SEQ, STATE, B, I, Recorded, T, U, X, random


def l1(w):
    return ops.sum(ops.absolute(w))


# regularizers, constraints, frozen weights

def test_regularizers_are_losses_of_the_weights_they_name():
    layer = LSTM(U, kernel_regularizer=l1, bias_regularizer=lambda w: 2 * ops.sum(w), dtype="float64", seed=0)
    assert not layer.losses                       # no weights yet
    layer(X)
    kernel, _, bias = layer.get_weights()
    assert_close([float(a) for a in layer.losses], [float(abs(kernel).sum()), float(2 * bias.sum())], "path")
    with Record() as record:
        loss = sum(layer.losses)
    found = record.backward(loss)
    assert_same([found[w] for w in layer.weights], [np.sign(kernel), None, np.full(4 * U, 2.0)])
    both = Bidirectional(layer)
    both(X)
    assert len(both.losses) == 4
    both.forward_layer.trainable = False
    assert len(both.losses) == 2


def test_activity_is_divided_by_the_batch():
    layer = GRU(U, activity_regularizer=l1, dtype="float64", **SEQ)
    y = layer(X)
    assert_close(float(layer.losses[0]), float(abs(y).sum() / B), "path")
    layer(X)
    assert len(layer.losses) == 1                 # those of the last call
    with Record() as record:
        y = layer(X)
        assert len(record.losses) == 1
    dy = record.backward(record.losses[0])
    layer(X)
    layer.backward(np.sign(y.data) / B)
    assert_close([dy[w] for w in layer.weights], layer.get_grads(), "path")


def test_constraints_are_attributes_of_the_weights():
    def clipped(w):
        return ops.clip(w, 0, 1)
    layer = GRU(U, recurrent_constraint=clipped)
    layer(X)
    assert [w.constraint for w in layer.weights] == [None, clipped, None]


def test_a_frozen_direction():
    both = Bidirectional(LSTM(U, **SEQ))
    both(X)
    both.backward_layer.trainable = False
    assert [w.path.split("/")[1] for w in both.trainable_weights] == ["forward_lstm"] * 3
    with Record() as record:
        loss = ops.sum(both(X))
    found = record.backward(loss)
    assert all(found[w] is not None for w in both.forward_layer.weights)
    assert all(found[w] is None for w in both.backward_layer.weights)


def test_weights_have_the_paths_of_keras():
    layer, both = LSTM(U), Bidirectional(GRU(U))
    stack = RNN([LSTMCell(2), GRUCell(2)])
    for one in (layer, both, stack):
        one(X)
    assert [w.path for w in layer.weights] == [f"lstm/lstm_cell/{n}" for n in ("kernel", "recurrent_kernel", "bias")]
    assert [w.path for w in both.weights][3] == "bidirectional/backward_gru/gru_cell/kernel"
    assert [w.path for w in stack.weights][::3] == ["rnn/stacked_rnn_cells/lstm_cell/kernel",
                                                    "rnn/stacked_rnn_cells/gru_cell/kernel"]
    assert isinstance(layer.cell.kernel, Weight) and layer.cell.kernel is layer.weights[0]


def test_a_handle_of_a_gru_is_in_the_layout_of_keras():
    """z before r, and both biases in one."""
    layer = GRU(U, dtype="float64")
    layer(X)
    bias = layer.weights[2]
    bias.assign(np.arange(6.0 * U).reshape(2, -1))
    z, r, n = np.split(bias.numpy(), 3, 1)
    assert_same([layer.params["b"], layer.params["bR"]], list(np.concatenate([r, z, n], 1)))
    with Record() as record:
        loss = ops.sum(layer(X))
    layer(X)
    layer.backward(np.ones((B, U)))
    grads = layer.grads
    got = np.split(record.backward(loss)[bias], 3, 1)
    assert_same([grads["b"], grads["bR"]], list(np.concatenate([got[1], got[0], got[2]], 1)))


# activations

@pytest.mark.parametrize("function", [lambda a: a * ops.sigmoid(a), np.tanh, "softmax", "gelu"],
                         ids=["own", "numpy", "softmax", "gelu"])
def test_functions_as_activations(function):
    layer = GRU(U, function, np.tanh, dtype="float64", seed=0, **SEQ)
    y = layer(X)
    dx, _ = layer.backward(np.ones_like(y))
    v = random(X.shape, 1)
    at = [layer(X + e * v).sum() for e in (1e-6, -1e-6)]
    assert abs((at[0] - at[1]) / 2e-6 - (dx * v).sum()) < 1e-8 * np.linalg.norm(dx) * np.linalg.norm(v)


def test_functions_are_what_their_names_say():
    for one, other in ((activations.tanh, "tanh"), (activations.relu, "relu"), (np.tanh, "tanh"),
                       (lambda a: a * ops.sigmoid(a), "silu"), (activations.hard_sigmoid, "hard_sigmoid")):
        layers = [LSTM(U, one, seed=0, dtype="float64"), LSTM(U, other, seed=0, dtype="float64")]
        assert_close(layers[0](X), layers[1](X), "path")
    assert LSTM(U, activations.tanh).get_config()["activation"] == "tanh"


# masks that travel

def test_masks_of_outputs():
    for make, want in ((lambda: LSTM(U, **SEQ), HOLES), (lambda: LSTM(U), None)):
        with Record() as record:
            assert make()(record.constant(X, HOLES)).mask is want
    with Record() as record:
        y, h = GRU(U, **SEQ, **STATE)(record.constant(X, HOLES))
        assert y.mask is HOLES and h.mask is None
        assert Bidirectional(GRU(U, **SEQ))(y).mask is HOLES
        a, b = Bidirectional(GRU(U, **SEQ), None)(y)
        assert a.mask is HOLES and b.mask is HOLES
        layer = LSTM(U, dtype="float64")
        masked = layer(record.constant(X, HOLES))
        assert_same(masked.data, layer(X, mask=HOLES).data)


# states

def test_a_learned_first_state():
    class WithStart(Layer):
        def build(self, input_shape):
            self.start = self.add_weight((1, U), "ones", name="start")
            self.gru = GRU(U, dtype=self.dtype)

        def call(self, x):
            return self.gru(x, initial_state=ops.broadcast_to(self.start, (x.shape[0], U)))
    layer = WithStart(dtype="float64")
    y = layer(X)
    layer.gru(X, np.ones((B, U)))
    _, (ds,) = layer.gru.backward(np.ones((B, U)))
    layer(X)
    layer.backward(np.ones_like(y))
    assert_close(layer.grads["start"], ds.sum(0, keepdims=True), "path")


def test_a_first_state_of_the_cell():
    """get_initial_state made of weights: its gradient is that of the state."""
    layer = RNN(Recorded(dtype="float64"), **SEQ)
    y = layer(X)
    start = np.tanh(layer.cell.cell.first.numpy())
    given = np.broadcast_to(start, (B, U))
    _, (ds,) = layer.backward(np.ones_like(y))
    learned = layer.grads["first"]
    assert_same(layer(X, given), y)
    _, (again,) = layer.backward(np.ones_like(y))
    assert_same(again, ds)
    assert not layer.grads["first"].any()         # it was given
    assert_close(learned, (ds * (1 - start ** 2)).sum(0), "path")


def test_stateful_inside_a_record():
    whole, cut = (GRU(U, dtype="float64", seed=3, **SEQ, **more) for more in ({}, {"stateful": True}))
    y = whole(X)
    with Record(training=True):
        one = cut(X[:, :2])
    with Record(keep=False):
        two = cut(X[:, 2:])
    assert_close(np.concatenate([one.data, two.data], 1), y, "path")
    assert cut.compute_output_shape((B, T, I)) == (B, T, U)
    assert_close(cut.states[0], y[:, -1], "path")                 # a trial run leaves nothing


def test_dropout_in_a_record_is_that_of_the_seed():
    one, two = (LSTM(U, dropout=0.5, recurrent_dropout=0.3, seed=4, dtype="float64") for _ in range(2))
    with Record(training=True):
        y = one(X)
    assert_same(y.data, two(X, training=True))
    with Record():
        y = one(X)
    assert_same(y.data, two(X))


def test_a_stack_returns_one_state_as_keras_does():
    class Own(Layer):
        state_size = 2

        def call(self, inputs, states):
            return inputs[:, :2] + states[0], [states[0] + 1]
    _, own, gru = RNN([Own(), GRUCell(2)], **STATE)(X)
    assert own.shape == (B, 2) and isinstance(gru, list)


# cells of TF 1

@pytest.mark.parametrize("make", [lambda: tf1.LSTMCell(U), lambda: tf1.GRUCell(U),
                                  lambda: tf1.LSTMCell(U, num_proj=2, use_peepholes=True),
                                  lambda: tf1.MultiRNNCell([tf1.LSTMCell(U), tf1.GRUCell(2)])],
                         ids=["lstm", "gru", "projected", "several"])
def test_a_cell_of_tf1_is_its_loop(make):
    cell = make()
    cell.build(I, "float64", 0)
    layer = RNN(cell, dtype="float64", **SEQ, **STATE)
    y, *states = layer(X)
    state, ys = cell.zero_state(B, "float64"), []
    for t in range(T):
        out, state = cell(X[:, t], state)
        ys.append(out)
    want = list(state) if isinstance(state, tuple) else [state]
    assert_close([y, states], [np.stack(ys, 1), want], "path")
    first = [cell.zero_state(B, "float64")]
    first = list(first[0]) if isinstance(first[0], tuple) else first
    assert_same(list(layer(X, first)), [y, *states])


def looped(base):
    """A layer or a model that loops over a cell of TF 1 in its own call, one of two in a list."""
    class Looped(base):
        def __init__(self, cell):
            super().__init__(dtype="float64")
            self.cells = [cell]

        def call(self, x):
            state = self.cells[0].zero_state(x.shape[0], "float64")
            for t in range(x.shape[1]):
                y, state = self.cells[0](x[:, t], state)
            return y
    return Looped


@pytest.mark.parametrize("first", ["arrays", "record", "build"])
@pytest.mark.parametrize("base", [Layer, Model])
def test_the_first_call_of_a_loop_by_hand_finds_its_cell_of_tf1(base, first):
    def cell():
        made = tf1.LSTMCell(U)
        made.build(I, "float64", 0)
        return made
    layer, want = looped(base)(cell()), RNN(cell(), dtype="float64")
    if first == "arrays":
        assert_close(layer(X), want(X), "path")           # a layer runs by the fastest path, a loop by hand does not
    elif first == "build":
        layer.build(X.shape)
    with Record() as record:
        loss, other = ops.sum(layer(X)), ops.sum(want(X))
    assert len(layer.trainable_weights) == len(want.trainable_weights) > 0
    assert_close([record.backward(loss)[w] for w in layer.trainable_weights],
                 [record.backward(other)[w] for w in want.trainable_weights], "path")


def test_variables_of_tf1_keep_their_dtype_or_have_that_of_the_layer():
    cell = tf1.GRUCell(U)
    cell.build(I, "float64", 0)
    before = [np.copy(a) for a in cell.p.values()]
    layer = looped(Layer)(cell)
    layer(X)
    assert_same(list(cell.p.values()), before)
    layer = looped(Layer)(tf1.GRUCell(U))
    layer(X)
    assert {w.dtype for w in layer.weights} == {np.dtype("float64")}


def test_a_cell_of_tf1_draws_masks_at_every_step():
    cell = tf1.DropoutWrapper(tf1.GRUCell(U), output_keep_prob=0.5, seed=1)
    y = RNN(cell, dtype="float64", seed=1, **SEQ)(X)
    dead = (y == 0).reshape(B, T, U)
    assert 0.2 < dead.mean() < 0.8 and np.any(dead[:, 0] != dead[:, 1])


# configurations

def test_hard_sigmoid_of_keras_2():
    old = {"name": "gru", "units": U, "recurrent_activation": "hard_sigmoid", "activation": "tanh",
           "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}}}
    new = dict(old, kernel_initializer={"module": "keras.initializers", "class_name": "GlorotUniform",
                                        "config": {"seed": None}})
    gates = [GRU.from_config(config).core.rule.gate for config in (old, new, dict(new, time_major=False))]
    assert [round(g.alpha, 3) for g in gates] == [0.2, 0.167, 0.2]
    assert GRU.from_config(dict(old, batch_input_shape=(2, None, 3))).input_shape_given == (2, None, 3)


# convolutions

def test_dropout_of_convolutions():
    """A mask of ones changes nothing, and one that is zero on an input is an input of zeros."""
    layer = ConvLSTM1D(2, 2, padding="same", dropout=0.5, recurrent_dropout=0.5, dtype="float64", seed=0, **SEQ)
    x = random((B, 3, 5, 2))
    y = layer(x)
    drawn = layer.cell.draw_masks(B)
    assert [a.shape for a in drawn.x] == [(B, 5, 2)] * 4 and [a.shape for a in drawn.h] == [(B, 5, 2)] * 4
    assert np.any(layer(x, training=True) != y)
    ones = drawn._replace(x=[np.ones_like(a) for a in drawn.x], h=[np.ones_like(a) for a in drawn.h])
    assert_close(layer(x, masks=ones), y, "path")
    holed = np.ones((B, 5, 2))
    holed[:, 2] = 0
    assert_close(layer(x, masks=ones._replace(x=[holed] * 4)), layer(x * holed[:, None]), "path")
    masked = layer(x, masks=drawn)
    dx, _ = layer.backward(np.ones_like(masked))
    v = random(x.shape, 1)
    at = [layer(x + e * v, masks=drawn).sum() for e in (1e-6, -1e-6)]
    assert abs((at[0] - at[1]) / 2e-6 - (dx * v).sum()) < 1e-8


def test_channels_first_is_a_transposition():
    last, first = (ConvLSTM2D(2, 3, padding="same", data_format=f, dtype="float64", seed=0, **SEQ, **STATE)
                   for f in ("channels_last", "channels_first"))
    x, s = random((B, 3, 4, 5, 2)), [random((B, 4, 5, 2), k) for k in range(2)]
    y, *new = last(x, s)
    got, *states = first(np.moveaxis(x, -1, 2), [np.moveaxis(a, -1, 1) for a in s])
    assert_close([np.moveaxis(got, 2, -1), *(np.moveaxis(a, 1, -1) for a in states)], [y, *new], "path")
    assert [a.shape for a in first.get_initial_state(B)] == [(B, 2, 4, 5)] * 2


ERRORS = {
    "strides": (lambda: ConvLSTM1D(2, 3, strides=2, dilation_rate=2), ValueError, "Specifying `strides > 1` is not"),
    "kernel": (lambda: ConvLSTM2D(2, (3,)), ShapeError, r"kernel_size=\(3,\), expected a positive number, or 2 of"),
    "padding": (lambda: ConvLSTM1D(2, 3, padding="full"), NotSupported, "padding='full'"),
    "rank": (lambda: ConvLSTMCell(4, 2, 3), NotSupported, "rank=4"),
    "axes": (lambda: ConvLSTM2D(2, 3)(X), ShapeError, "expected 4 axes"),
    "mask of time": (lambda: TimeDistributed(SimpleRNN(2))(X[:, :, None], mask=HOLES[:, :2]), ValueError,
                     "The `mask` passed to the `TimeDistributed` layer has a shape"),
    "no layer": (lambda: TimeDistributed(3), NotSupported, "layer is an int"),
    "constants": (lambda: LSTM(U)(X, constants=[X[:, 0]]), NotSupported, "constants.*takes none"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_message(name):
    action, kind, says = ERRORS[name]
    with pytest.raises(kind, match=says):
        action()


def test_a_list_of_cells_runs_in_both_directions():
    def stack(**options):
        return RNN([LSTMCell(2, dtype="float64"), GRUCell(U, dtype="float64")], return_sequences=True, **options)
    both, one, two = Bidirectional(stack()), stack(), stack(go_backwards=True)
    y = both(X)
    for half, layer in zip((one, two), both.both):
        half(X)
        half.set_weights(layer.get_weights())
    assert_same(y, np.concatenate([one(X), two(X)[:, ::-1]], -1))
    assert Bidirectional.from_config(both.get_config()).get_config() == both.get_config()
