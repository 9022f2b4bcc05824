"""From TF 1 to Keras: each loop, cell and wrapper of TF 1 beside what takes its place, with the same weights."""
import numpy as np
import pytest

import rnnref
from rnnref import layers, tf1
from rnnref.nest import flatten
from rnnref.testing.assertions import assert_close, assert_same
from tests.support.migration import (CELLS, LENGTHS, MASK, RNG, TWO, B, I, Pair, T, U, X, built, from_cudnn_gru,
                                     from_gru, from_lstm, random)
from tests.support.stories import arrays, gradients


def compare(k, old, layer, dy=None, x=X):
    """Outputs of a loop and of a layer, and the gradients of the inputs."""
    result, got = old(x), arrays(layer(x))
    y = result[0]
    assert_close(got, y, "path")
    dy = np.random.default_rng(8).normal(size=y.shape).astype("float32")
    assert_close(arrays(gradients(k, layer, x, dy)) if k is rnnref else gradients(k, layer, x, dy)[0],
                 result.backward(dy).inputs, "gradient")


# loops

@pytest.mark.parametrize("name", CELLS)
def test_a_cell_in_a_loop_by_hand_and_in_dynamic_rnn_is_rnn(k, name):
    pair = Pair(k, name)
    layer = pair.take(k.layers.RNN(pair.new, return_sequences=True, return_state=True))
    outputs, state = tf1.dynamic_rnn(pair.old, X)
    y, *states = arrays(layer(X))
    assert_close([y, *states], [outputs, *pair.states(state)], "path")
    old = pair.old.zero_state(B, "float32")
    new = pair.new.get_initial_state(batch_size=B)
    assert_same(arrays(new) if isinstance(new, list) else [arrays(new)], pair.states(old))
    for t in range(T):
        y, old = pair.old(X[:, t], old)
        z, new = pair.new(X[:, t], new)
        assert_same(y, outputs[:, t])
        assert_close(arrays(z), y, "path")
    assert pair.old.output_size == pair.new.output_size == U
    assert flatten(pair.old.state_size) == flatten(pair.new.state_size) == [U] * (1 + pair.is_lstm)
    compare(k, lambda x: tf1.dynamic_rnn(pair.old, x), lambda x: layer(x)[0])


@pytest.mark.parametrize("name", TWO)
def test_static_rnn_is_rnn_unrolled(k, name):
    pair = Pair(k, name)
    first = pair.old.zero_state(B, "float32")
    first = type(first)(*(a + n + 1 for n, a in enumerate(first))) if pair.is_lstm else first + 1
    outputs, state = tf1.static_rnn(pair.old, list(X.swapaxes(0, 1)), first)
    layer = pair.take(k.layers.RNN(pair.new, return_sequences=True, return_state=True, unroll=True))
    y, *states = arrays(layer(X, initial_state=pair.states(first)))
    assert_close([y, *states], [np.stack(outputs, 1), *pair.states(state)], "path")


@pytest.mark.parametrize("name", CELLS)
def test_sequence_length_is_a_mask(k, name):
    pair = Pair(k, name)
    outputs, state = tf1.dynamic_rnn(pair.old, X, LENGTHS)
    layer = pair.take(k.layers.RNN(pair.new, return_sequences=True, return_state=True, zero_output_for_mask=True))
    y, *states = arrays(layer(X, mask=MASK if k is rnnref else k.ops.convert_to_tensor(MASK)))
    assert_close([y, *states], [outputs, *pair.states(state)], "path")


@pytest.mark.parametrize("name", TWO)
def test_time_major_is_two_axes_swapped(k, name):
    pair = Pair(k, name)
    time_major, state = tf1.dynamic_rnn(pair.old, X.swapaxes(0, 1), LENGTHS, time_major=True)
    layer = pair.take(k.layers.RNN(pair.new, return_sequences=True, return_state=True, zero_output_for_mask=True))
    y, *states = arrays(layer(X, mask=MASK if k is rnnref else k.ops.convert_to_tensor(MASK)))
    assert_close([y.swapaxes(0, 1), *states], [time_major, *pair.states(state)], "path")
    if k is rnnref:                               # which has the argument of the RFC; Keras 3 has it no more
        layer = pair.take(layers.RNN(pair.new, return_sequences=True, zero_output_for_mask=True, time_major=True))
        assert_close(layer(X.swapaxes(0, 1), mask=MASK.T), time_major, "path")


def test_several_cells_are_a_list(k):
    a, b = Pair(k, "LSTMCell"), Pair(k, "GRUCell", 3, U, seed=1)
    old, v = random(tf1.MultiRNNCell([tf1.LSTMCell(U, forget_bias=0.5), tf1.GRUCell(3)]), I)
    old.load_variables({f"multi_rnn_cell/cell_{n}/{name}": w for n, pair in enumerate((a, b))
                        for name, w in pair.old.dump_variables().items()})
    outputs, (first, second) = tf1.dynamic_rnn(old, X, LENGTHS)
    layer = built(k.layers.RNN([a.new, b.new], return_sequences=True, return_state=True, zero_output_for_mask=True),
                  a.weights + b.weights)
    y, (h, c), state = arrays(layer(X, mask=MASK if k is rnnref else k.ops.convert_to_tensor(MASK)))
    state = state[0] if isinstance(state, list) else state
    assert_close([y, h, c, state], [outputs, first.h, first.c, second], "path")
    assert old.output_size == layer.cell.output_size == 3 and flatten(layer.cell.state_size) == [U, U, 3]


@pytest.mark.parametrize("lengths", (None, LENGTHS), ids=("all", "lengths"))
def test_two_directions_are_bidirectional(k, lengths):
    a, b = Pair(k, "LSTMCell"), Pair(k, "LSTMCell", seed=1)
    options = {} if lengths is None else {"mask": MASK if k is rnnref else k.ops.convert_to_tensor(MASK)}
    (fw, bw), states = tf1.bidirectional_dynamic_rnn(a.old, b.old, X, lengths, dtype="float32")
    both, *last = tf1.static_bidirectional_rnn(a.old, b.old, list(X.swapaxes(0, 1)), dtype="float32",
                                               sequence_length=lengths)
    assert_same(np.stack(both, 1), np.concatenate([fw, bw], -1))

    def layer(**more):
        return built(k.layers.Bidirectional(k.layers.LSTM(U, return_sequences=True, zero_output_for_mask=True), **more),
                     a.weights + b.weights)
    assert_close(arrays(layer(merge_mode="concat")(X, **options)), np.concatenate([fw, bw], -1), "path")
    assert_close(list(arrays(layer(merge_mode=None)(X, **options))), [fw, bw], "path")
    with_states = built(k.layers.Bidirectional(k.layers.LSTM(U, return_state=True)), a.weights + b.weights)
    _, *found = arrays(with_states(X, **options))
    assert_close(found, [states[0].h, states[0].c, states[1].h, states[1].c], "path")
    assert_same(tuple(last), states)


def test_a_stack_of_both_directions(k):
    pairs = [[Pair(k, "GRUCell", U, n, seed) for seed in seeds] for n, seeds in ((I, (0, 1)), (2 * U, (2, 3)))]
    (a, b), (c, d) = pairs
    y, *_ = tf1.stack_bidirectional_dynamic_rnn([a.old, c.old], [b.old, d.old], X, dtype="float32",
                                                sequence_length=LENGTHS)
    steps, *_ = tf1.stack_bidirectional_rnn([a.old, c.old], [b.old, d.old], list(X.swapaxes(0, 1)), dtype="float32",
                                            sequence_length=LENGTHS)
    assert_same(np.stack(steps, 1), y)
    L = k.layers
    model = k.Sequential([k.Input((T, I)), L.Masking(99.0)] + [
        L.Bidirectional(L.GRU(U, reset_after=False, return_sequences=True, zero_output_for_mask=True)) for _ in pairs])
    model.set_weights(sum((p.weights for pair in pairs for p in pair), []))
    padded = np.where(MASK[..., None], X, np.float32(99))
    assert_close(model.predict(padded, verbose=0), y, "path")


def test_raw_rnn_is_a_loop_by_hand(k):
    """A decoder: every input is made of the output before it."""
    pair, feed = Pair(k, "GRUCell", U, I), RNG.normal(size=(U, I)).astype("float32")
    first, ends = np.ones((B, U), "float32"), np.array([5, 3, 1])

    def loop(time, output, state, loop_state):
        emit, state = (np.zeros(U, "float32"), first) if output is None else (output, state)
        return time >= ends, X[:, 0] if output is None else np.tanh(output @ feed), state, emit, None
    emitted, last, _ = tf1.raw_rnn(pair.old, loop)
    pair.take(k.layers.RNN(pair.new))
    x, h, found = X[:, 0], first, []
    for t in range(T):
        y, [new] = pair.new(x, [h])
        live = (t < ends)[:, None]
        found.append(np.where(live, arrays(y), 0))
        h = np.where(live, arrays(new), h)
        x = np.tanh(arrays(y) @ feed)
    assert_close([np.stack(found), h], [emitted, last], "path")


def test_a_state_saver_is_stateful(k):
    pair = Pair(k, "LSTMCell")

    class Saver:
        saved = {"c": np.zeros((B, U), "float32"), "h": np.zeros((B, U), "float32")}

        def state(self, name):
            return self.saved[name]

        def save_state(self, name, value):
            self.saved[name] = value
    saver, layer = Saver(), pair.take(k.layers.RNN(pair.new, return_sequences=True, stateful=True))
    whole, end = tf1.dynamic_rnn(pair.old, X)
    for steps in (slice(0, 2), slice(2, 5)):
        outputs, _ = tf1.static_state_saving_rnn(pair.old, list(X[:, steps].swapaxes(0, 1)), saver, ("c", "h"))
        assert_same(np.stack(outputs, 1), whole[:, steps])
        assert_close(arrays(layer(X[:, steps])), whole[:, steps], "path")
        assert_close([arrays(s) for s in layer.states], [saver.saved["h"], saver.saved["c"]], "path")
    assert_same((saver.saved["c"], saver.saved["h"]), tuple(end))
    layer.reset_state()
    assert_close(arrays(layer(X[:, :2])), whole[:, :2], "path")


@pytest.mark.parametrize("name, layer", (("CudnnLSTM", "LSTM"), ("CudnnGRU", "GRU")))
def test_layers_of_cudnn_are_fused_layers(k, name, layer):
    old = getattr(tf1, name)(2, U, direction="bidirectional").build(I)
    v = {n: RNG.uniform(-0.7, 0.7, a.shape).astype("float32") for n, a in old.dump_variables().items()}
    old.load_variables(v, I)
    y, states = old(X.swapaxes(0, 1))
    weights = []
    for n in range(2):
        for way in ("fw", "bw"):
            scope = f"stack_bidirectional_rnn/cell_{n}/bidirectional_rnn/{way}/cudnn_compatible_{layer.lower()}_cell/"
            own = {name.removeprefix(scope): a for name, a in v.items() if name.startswith(scope)}
            weights += (from_lstm(0) if layer == "LSTM" else from_cudnn_gru)(own, 2 * U * n or I)
    make = getattr(k.layers, layer)
    model = k.Sequential([k.Input((T, I))] + [
        k.layers.Bidirectional(make(U, return_sequences=True)) for _ in range(2)])
    model.set_weights(weights)
    assert_close(model.predict(X, verbose=0), y.swapaxes(0, 1), "path")


# wrappers

def test_wrappers_are_layers_around(k):
    L, ids = k.layers, np.array([[1, 0, 4, 2, 2], [3, 3, 0, 1, 4]])
    x = RNG.normal(size=(B, T, U)).astype("float32")

    def model(shape, weights, *chain):
        made = k.Sequential([k.Input(shape[1:]), *chain])
        made.set_weights(weights)
        return made.predict(x if shape[-1] == U else X if shape[-1] == I else ids, verbose=0)

    def gru(n):
        pair = Pair(k, "GRUCell", U, n)
        return pair, L.GRU(U, reset_after=False, return_sequences=True)
    pair, layer = gru(U)
    inputs = k.Input((T, U))
    residual = k.Model(inputs, L.Add()([inputs, layer(inputs)]))
    residual.set_weights(pair.weights)
    wrapped = tf1.ResidualWrapper(pair.old).build(U)
    wrapped.load_variables(pair.old.dump_variables())
    assert_close(residual.predict(x, verbose=0), tf1.dynamic_rnn(wrapped, x)[0], "path")

    for make, n, shape, chain, own in (
            (lambda c: tf1.InputProjectionWrapper(c, 3), I, (B, T, I), lambda: [L.Dense(3)], 3),
            (lambda c: tf1.EmbeddingWrapper(c, 5, 3), 1, (2, T), lambda: [L.Embedding(5, 3)], 3),
            (lambda c: tf1.OutputProjectionWrapper(c, 3), I, (B, T, I), lambda: [], I)):
        pair, layer = gru(own)
        wrapper, v = random(make(pair.old), n)
        cell = {name.partition("gru_cell/")[2]: a for name, a in v.items() if "gru_cell/" in name}
        around = [a for name, a in v.items() if "gru_cell/" not in name]
        weights = from_gru(cell, own)
        if chain():
            got = model(shape, around + weights, *chain(), layer)
        else:
            got = model(shape, weights + around, layer, L.Dense(3))
        data = X if len(shape) > 2 else ids[..., None]
        assert_close(got, tf1.dynamic_rnn(wrapper, data, dtype="float32")[0], "path")


def test_dropout_with_one_mask_for_all_steps():
    """dropout= of Keras is DropoutWrapper(variational_recurrent=True): with a mask given, the same numbers."""
    pair = Pair(rnnref, "LSTMCell")
    layer = pair.take(layers.LSTM(U, return_sequences=True, dropout=0.5))
    dropped = tf1.DropoutWrapper(pair.old, input_keep_prob=0.5, variational_recurrent=True, input_size=I,
                                 dtype="float32").build(I)
    dropped.load_variables(pair.old.dump_variables())
    keep = np.array([[1, 0], [0, 1], [1, 1]], "float32")
    wanted = tf1.dynamic_rnn(dropped, X, extra=dropped.masks(input=keep))[0]
    found = layer(X, masks=rnnref.cells.Masks(x=2 * keep), training=True)
    assert_close(found, wanted, "path")
    assert_close(found, tf1.dynamic_rnn(pair.old, X * 2 * keep[:, None])[0], "path")
