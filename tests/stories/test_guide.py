"""The Keras guide to recurrent networks, run with rnnref in the place of keras; and with Keras, on the same weights."""
import numpy as np
import pytest

import rnnref
from rnnref.check.tolerance import tolerance
from rnnref.testing.assertions import assert_close, assert_same
from tests.support.messages import raises_with
from tests.support.stories import arrays, gru_step, loop, lstm, rnn_step, set_random_weights

RNG = np.random.default_rng(2)
CURVE = tolerance("curve", "float32")
WORDS = RNG.integers(0, 50, (4, 7))


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


def read_summary(model):
    lines = []
    model.summary(print_fn=lambda text, **_: lines.extend(text.splitlines()))
    return lines


def test_embedding_lstm_dense(k):
    model = k.Sequential()
    model.add(k.layers.Embedding(input_dim=50, output_dim=6))
    model.add(k.layers.LSTM(8))
    model.add(k.layers.Dense(10))
    model.build((None, 7))
    table, *of_lstm, kernel, bias = set_random_weights(model)
    wanted = lstm(table[WORDS], of_lstm)[1] @ kernel + bias
    assert_close(model.predict(WORDS, verbose=0), wanted.astype("float32"), "path")
    text = "\n".join(read_summary(model))
    assert f"{50 * 6 + 4 * 8 * (6 + 8 + 1) + 8 * 10 + 10}" in text and "(None, 7, 6)" in text


def test_gru_with_sequences_and_simple_rnn(k):
    model = k.Sequential([k.Input((None,), dtype="int32"), k.layers.Embedding(50, 6),
                          k.layers.GRU(8, return_sequences=True), k.layers.SimpleRNN(5), k.layers.Dense(10)])
    table, *rest = set_random_weights(model)
    hs = loop(rnn_step, loop(gru_step, table[WORDS], rest[:3]), rest[3:6])
    assert_close(model.predict(WORDS, verbose=0), (hs[:, -1] @ rest[6] + rest[7]).astype("float32"), "path")
    assert "(None, None, 8)" in "\n".join(read_summary(model))


def test_encoder_and_decoder_with_states(k):
    encoder_input = k.Input(shape=(None,))
    embedded = k.layers.Embedding(input_dim=50, output_dim=6)(encoder_input)
    output, state_h, state_c = k.layers.LSTM(8, return_state=True, name="encoder")(embedded)
    decoder_input = k.Input(shape=(None,))
    decoded = k.layers.Embedding(input_dim=50, output_dim=5)(decoder_input)
    decoder_output = k.layers.LSTM(8, name="decoder")(decoded, initial_state=[state_h, state_c])
    model = k.Model([encoder_input, decoder_input], k.layers.Dense(10)(decoder_output))
    set_random_weights(model)
    tables = {w.shape[-1]: w for layer in model.layers for w in map(arrays, layer.get_weights()) if len(w) == 50}
    of_encoder, of_decoder, (kernel, bias) = (layer.get_weights() for layer in (
        model.get_layer("encoder"), model.get_layer("decoder"), model.layers[-1]))
    _, h, c = lstm(tables[6][WORDS], of_encoder)
    wanted = lstm(tables[5][WORDS[:, ::-1]], of_decoder, h, c)[1] @ kernel + bias
    assert_close(model.predict([WORDS, WORDS[:, ::-1]], verbose=0), wanted.astype("float32"), "path")
    assert any("encoder[0][1]" in line for line in read_summary(model)) or k is not rnnref


def test_states_across_batches(k):
    first, second, third = floats(4, 3, 5), floats(4, 2, 5), floats(4, 4, 5)
    layer = k.layers.LSTM(8, stateful=True)
    layer.build((4, None, 5))
    weights = set_random_weights(layer)
    whole = lstm(np.concatenate([first, second, third], 1), weights)
    layer(first)
    layer(second)
    assert_close(arrays(layer(third)), whole[1].astype("float32"), "path")
    assert_close([arrays(s) for s in layer.states], [a.astype("float32") for a in whole[1:]], "path")
    new = k.layers.LSTM(8)                        # the states of one layer begin another
    new.build((4, None, 5))
    of_new = set_random_weights(new, 1)
    assert_close(arrays(new(first, initial_state=layer.states)), lstm(first, of_new, *whole[1:])[1].astype("float32"),
                 "path")
    (layer.reset_states if hasattr(layer, "reset_states") else layer.reset_state)()
    assert not any(arrays(s).any() for s in layer.states)
    assert_close(arrays(layer(first)), lstm(first, weights)[1].astype("float32"), "path")


def test_bidirectional(k):
    model = k.Sequential([k.Input((5, 3)), k.layers.Bidirectional(k.layers.LSTM(6, return_sequences=True)),
                          k.layers.Bidirectional(k.layers.LSTM(4)), k.layers.Dense(10)])
    weights, x = set_random_weights(model), floats(4, 5, 3)

    def both(x, forward, backward):
        return lstm(x, forward)[0], lstm(x[:, ::-1], backward)[0]
    fw, bw = both(x, weights[:3], weights[3:6])
    fw, bw = both(np.concatenate([fw, bw[:, ::-1]], -1), weights[6:9], weights[9:12])
    wanted = np.concatenate([fw[:, -1], bw[:, -1]], -1) @ weights[12] + weights[13]
    assert_close(model.predict(x, verbose=0), wanted.astype("float32"), "path")


# rows of images, by the fused layer and by a cell in RNN

def build_model(k, fused):
    rnn = k.layers.LSTM(64) if fused else k.layers.RNN(k.layers.LSTMCell(64))
    return k.Sequential([k.Input((None, 8)), rnn, k.layers.BatchNormalization(), k.layers.Dense(10)])


def compiled(k, model):
    model.compile(loss=k.losses.SparseCategoricalCrossentropy(from_logits=True), optimizer="sgd", metrics=["accuracy"])
    return model


def digits(n):
    (x, y), _ = rnnref.data.digits()
    return x[:n].astype("float32"), y[:n]


def test_fused_and_not_fused_train_alike():
    x, y = digits(192)
    fused, cell = compiled(rnnref, build_model(rnnref, True)), compiled(rnnref, build_model(rnnref, False))
    cell.set_weights(fused.get_weights())
    options = {"validation_data": (x[128:], y[128:]), "batch_size": 64, "epochs": 2, "shuffle": False, "verbose": 0}
    histories = [model.fit(x[:128], y[:128], **options).history for model in (fused, cell)]
    assert list(histories[0]) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    for name in histories[0]:
        np.testing.assert_allclose(histories[1][name], histories[0][name], CURVE, CURVE)
    for a, b in zip(cell.get_weights(), fused.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, CURVE, CURVE)
    again = build_model(rnnref, True)                  # "on the CPU", with the weights that were trained
    again.set_weights(fused.get_weights())
    result = rnnref.ops.argmax(again.predict(rnnref.ops.expand_dims(x[0], 0), verbose=0), axis=1)
    assert int(result[0]) == int(np.argmax(arrays(fused(x[:1]))))


def test_one_step_of_sgd_on_image_rows_is_that_of_the_formulas():
    """The last two layers by hand: the mean over the batch, its variance, the logits and their gradient."""
    x, y = digits(32)
    model = compiled(rnnref, build_model(rnnref, True))
    weights = set_random_weights(model)
    *of_lstm, gamma, beta, kernel, bias = weights[:5] + weights[7:] if weights[5].ndim == 1 else weights[:7]
    h = lstm(x, of_lstm)[1]
    n = (h - h.mean(0)) / np.sqrt(h.var(0) + 1e-3)
    logits = (gamma * n + beta) @ kernel + bias
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    loss = model.train_on_batch(x, y)[0]
    np.testing.assert_allclose(loss, -np.log(p[np.arange(32), y]).mean(), CURVE)
    d = (p - np.eye(10)[y]) / 32
    after = model.layers[-1].get_weights()
    np.testing.assert_allclose(after[0], kernel - 0.01 * (gamma * n + beta).T @ d, CURVE, CURVE)
    np.testing.assert_allclose(after[1], bias - 0.01 * d.sum(0), CURVE, CURVE)
    found = model.layers[1].get_weights()
    np.testing.assert_allclose(found[2], 0.99 * weights[5] + 0.01 * h.mean(0), CURVE, CURVE)
    np.testing.assert_allclose(found[3], 0.99 * weights[6] + 0.01 * h.var(0), CURVE, CURVE)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_image_rows_train_as_in_keras(keras):
    x, y = digits(64)
    ours, theirs = compiled(rnnref, build_model(rnnref, True)), compiled(keras, build_model(keras, False))
    theirs.set_weights(ours.get_weights())
    options = {"validation_split": 0.25, "batch_size": 24, "epochs": 2, "shuffle": False, "verbose": 0}
    got, want = (model.fit(x, y, **options).history for model in (ours, theirs))
    assert list(got) == list(want)
    for name in want:
        np.testing.assert_allclose(got[name], want[name], CURVE, CURVE)


# the nested cell, which has only a call

@rnnref.saving.register_keras_serializable()
class NestedCell(rnnref.Layer):
    def __init__(self, unit_1, unit_2, unit_3, **kwargs):
        self.unit_1, self.unit_2, self.unit_3 = unit_1, unit_2, unit_3
        self.state_size = [(unit_1,), (unit_2, unit_3)]
        self.output_size = [(unit_1,), (unit_2, unit_3)]
        super().__init__(**kwargs)

    def build(self, input_shapes):
        i1, i2, i3 = input_shapes[0][1], input_shapes[1][1], input_shapes[1][2]
        self.kernel_1 = self.add_weight(shape=(i1, self.unit_1), initializer="uniform", name="kernel_1")
        self.kernel_2_3 = self.add_weight(shape=(i2, i3, self.unit_2, self.unit_3), initializer="uniform",
                                          name="kernel_2_3")

    def call(self, inputs, states):
        input_1, input_2 = inputs
        s1, s2 = states
        output_1 = rnnref.ops.matmul(input_1, self.kernel_1)
        output_2_3 = rnnref.ops.einsum("bij,ijkl->bkl", input_2, self.kernel_2_3)
        state_1, state_2_3 = s1 + output_1, s2 + output_2_3
        return (output_1, output_2_3), (state_1, state_2_3)

    def get_config(self):
        return {"unit_1": self.unit_1, "unit_2": self.unit_2, "unit_3": self.unit_3}


def nested_model(**options):
    rnn = rnnref.layers.RNN(NestedCell(3, 2, 4), **options)
    input_1, input_2 = rnnref.Input((None, 5)), rnnref.Input((None, 3, 2))
    return rnnref.Model([input_1, input_2], rnn((input_1, input_2)))


def test_the_nested_cell_is_trained_with_adam_and_mse():
    model = nested_model()
    assert [w.name for w in model.weights] == ["kernel_1", "kernel_2_3"]
    kernel_1, kernel_2_3 = set_random_weights(model)
    x = floats(12, 6, 5), floats(12, 6, 3, 2)
    y = floats(12, 3), floats(12, 2, 4)
    found = model.predict(list(x), verbose=0)
    last = x[0][:, -1] @ kernel_1, np.tensordot(x[1][:, -1], kernel_2_3, 2)
    assert_close(list(found), list(last), "path")
    model.compile(optimizer="adam", loss="mse")
    loss = model.evaluate(list(x), list(y), verbose=0)
    np.testing.assert_allclose(loss if np.ndim(loss) == 0 else loss[0],
                               sum(((a - b) ** 2).mean() for a, b in zip(last, y)), CURVE)
    d1, d2 = (2 * (a - b) / b.size for a, b in zip(last, y))
    gradients = x[0][:, -1].T @ d1, np.tensordot(x[1][:, -1], d2, (0, 0))
    history = model.fit(list(x), list(y), batch_size=12, epochs=1, verbose=0)
    assert "loss" in history.history
    for w, before, d in zip(model.get_weights(), (kernel_1, kernel_2_3), gradients):      # the first step of Adam
        np.testing.assert_allclose(w, before - 0.001 * d / (np.abs(d) + 1e-7), CURVE, CURVE)
    history = model.fit(list(x), list(y), batch_size=4, epochs=40, shuffle=False, verbose=0).history["loss"]
    assert history[-1] < 0.9 * history[0]


def test_the_nested_cell_adds_up_its_states_and_is_read_from_files(tmp_path):
    model = nested_model(return_sequences=True, return_state=True)
    kernel_1, kernel_2_3 = set_random_weights(model)
    x = floats(2, 6, 5), floats(2, 6, 3, 2)
    (a, b), s, t = model(list(x))
    steps = x[0] @ kernel_1, np.tensordot(x[1], kernel_2_3, 2)
    assert_close([a, b, s, t], [*steps, steps[0].sum(1), steps[1].sum(1)], "path")
    model.save(tmp_path / "nested.keras")
    (c, d), u, v = rnnref.models.load_model(tmp_path / "nested.keras")(list(x))
    assert_same([c, d, u, v], [a, b, s, t])


def test_one_metric_for_two_outputs_is_refused_as_in_keras():
    model = nested_model()
    with raises_with(rnnref.Error, ["metrics", "2 outputs"]):
        model.compile(optimizer="adam", loss="mse", metrics=["accuracy"])
        model.fit([floats(2, 6, 5), floats(2, 6, 3, 2)], [floats(2, 3), floats(2, 2, 4)])
