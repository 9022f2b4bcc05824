"""Programs as one writes them for Keras on the first day: words, translation, a series, a step of one's own."""
import numpy as np

import rnnref
from rnnref.check.tolerance import tolerance
from rnnref.testing.assertions import assert_close, assert_same
from tests.support.messages import raises_with
from tests.support.stories import lstm_step, set_random_weights

CURVE = tolerance("curve", "float32")


def words(n, rng):
    texts = [rng.integers(1, 12, rng.integers(3, 9)).tolist() for _ in range(n)]
    return texts, np.array([int(t.count(3) > t.count(5)) for t in texts])


def test_a_text_classifier_with_masks_that_stops_early(k, tmp_path):
    """The padding counts for nothing, and the best epoch is the one in the file."""
    keras, layers, callbacks = k, k.layers, k.callbacks
    n, epochs = (96, 8) if k is rnnref else (16, 2)                          # masks make Keras slow on torch
    x, y = words(n, np.random.default_rng(0))
    held = slice(n * 3 // 4, n)
    x = keras.utils.pad_sequences(x, maxlen=10, padding="post")
    inputs = keras.Input(shape=(None,), dtype="int32")
    h = layers.Embedding(12, 6, mask_zero=True)(inputs)
    h = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(h)
    h = layers.Bidirectional(layers.LSTM(4))(h)
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(h))
    set_random_weights(model, 3)
    model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    path = str(tmp_path / "best.keras")
    watch = [callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True),
             callbacks.ModelCheckpoint(path, monitor="val_loss", save_best_only=True)]
    history = model.fit(x, y, epochs=epochs, validation_split=0.25, shuffle=False, verbose=0,
                        callbacks=watch).history
    assert list(history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    best = keras.models.load_model(path)
    assert_close(best.predict(x, verbose=0), model.predict(x, verbose=0), "path")
    np.testing.assert_allclose(best.evaluate(x[held], y[held], verbose=0)[0], min(history["val_loss"]), CURVE)
    p = model.predict(x[held], verbose=0)[:, 0].astype("float64")
    np.testing.assert_allclose(-np.log(np.where(y[held], p, 1 - p)).mean(), min(history["val_loss"]), CURVE)
    short = x[:1, :6] * (np.arange(6) < 4)        # more padding, the same text
    wide = np.pad(short, ((0, 0), (0, 4)))
    assert_close(model.predict(wide, verbose=0), model.predict(short, verbose=0), "path")


def test_translation_with_teacher_forcing_taken_apart_for_inference(tmp_path):
    keras, layers = rnnref, rnnref.layers
    keras.utils.set_random_seed(1)
    rng, tokens, latent = np.random.default_rng(0), 8, 12
    source = rng.integers(1, 6, (64, 4))
    before = np.concatenate([np.full((64, 1), 6), source[:, ::-1]], 1)       # 6 begins, 7 ends
    after = np.concatenate([source[:, ::-1], np.full((64, 1), 7)], 1)
    encoder_in, decoder_in, target = (keras.utils.to_categorical(a, tokens) for a in (source, before, after))

    encoder_inputs = keras.Input(shape=(None, tokens))
    _, state_h, state_c = layers.LSTM(latent, return_state=True)(encoder_inputs)
    decoder_inputs = keras.Input(shape=(None, tokens))
    decoded, _, _ = layers.LSTM(latent, return_sequences=True, return_state=True)(
        decoder_inputs, initial_state=[state_h, state_c])
    model = keras.Model([encoder_inputs, decoder_inputs], layers.Dense(tokens, activation="softmax")(decoded))
    model.compile(optimizer=keras.optimizers.RMSprop(learning_rate=0.01), loss="categorical_crossentropy",
                  metrics=["accuracy"])
    history = model.fit([encoder_in, decoder_in], target, batch_size=16, epochs=3, validation_split=0.25, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    model.save(tmp_path / "translation.keras")

    model = keras.models.load_model(tmp_path / "translation.keras")
    encoder = keras.Model(model.input[0], list(model.layers[2].output[1:]))
    states = [keras.Input(shape=(latent,)), keras.Input(shape=(latent,))]
    y, h, c = model.layers[3](model.input[1], initial_state=states)
    decoder = keras.Model([model.input[1], *states], [model.layers[4](y), h, c])

    probabilities = model.predict([encoder_in[:1], decoder_in[:1]], verbose=0)
    kernel, bias = model.layers[4].get_weights()
    state = encoder.predict(encoder_in[:1], verbose=0)
    h, c = state
    for t in range(5):                            # step by step, and by formulas
        p, *state = decoder.predict([decoder_in[:1, t:t + 1], *state], verbose=0)
        assert_close(p[:, 0], probabilities[:, t], "path")
        h, c = lstm_step(decoder_in[:1, t], h, c, *model.layers[3].get_weights())
        e = np.exp(h @ kernel + bias)
        assert_close(p[:, 0], (e / e.sum()).astype("float32"), "path")


def test_a_series_ahead_with_a_rate_that_decays(k, tmp_path):
    keras, layers = k, k.layers
    series = np.sin(np.arange(140) / 6) + 0.05 * np.random.default_rng(1).normal(size=140)
    x = np.lib.stride_tricks.sliding_window_view(series[:-1], 12)[..., None]
    y = series[12:]
    model = keras.Sequential([
        layers.Input(shape=(12, 1)),
        layers.GRU(6, return_sequences=True, kernel_regularizer=keras.regularizers.l2(1e-4)),
        layers.GRU(4),
        layers.Dense(1)])
    set_random_weights(model, 5)
    rate = keras.optimizers.schedules.ExponentialDecay(0.02, decay_steps=3, decay_rate=0.5)
    model.compile(keras.optimizers.Adam(rate, clipnorm=1.0), keras.losses.Huber(),
                  metrics=[keras.metrics.MeanAbsoluteError()])
    options = {"validation_data": (x[96:], y[96:]), "batch_size": 32, "epochs": 2, "shuffle": False, "verbose": 0}
    name = str(tmp_path / "at-{epoch:02d}.weights.h5")
    watch = [keras.callbacks.ModelCheckpoint(name, save_weights_only=True), keras.callbacks.TerminateOnNaN()]
    history = model.fit(x[:96], y[:96], callbacks=watch, **options).history
    assert list(history) == ["loss", "mean_absolute_error", "val_loss", "val_mean_absolute_error"]
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["at-01.weights.h5", "at-02.weights.h5"]
    found = model.predict(x[96:], verbose=0)[:, 0].astype("float64")
    np.testing.assert_allclose(history["val_mean_absolute_error"][-1], np.abs(found - y[96:]).mean(), CURVE)
    error = np.abs(found - y[96:])
    huber = np.where(error <= 1, error ** 2 / 2, error - 0.5).mean()
    penalty = 1e-4 * (model.layers[0].get_weights()[0].astype("float64") ** 2).sum()
    np.testing.assert_allclose(history["val_loss"][-1], huber + penalty, CURVE)
    model.load_weights(str(tmp_path / "at-01.weights.h5"))
    np.testing.assert_allclose(model.evaluate(x[96:], y[96:], verbose=0), [
        history["val_loss"][0], history["val_mean_absolute_error"][0]], CURVE)


def test_a_step_of_ones_own_is_given_what_fit_was():
    seen = []

    class Watched(rnnref.Sequential):
        def train_step(self, data):
            seen.append(data)
            return {"loss": 0.0}

        def test_step(self, data):
            seen.append(data)
            return {"loss": 0.0}

        def predict_step(self, data):
            seen.append(data)
            return super().predict_step(data)
    model = Watched([rnnref.Input((2,)), rnnref.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y, w = np.ones((3, 2), "float32"), np.ones((3, 1), "float32"), np.ones(3, "float32")
    for call in (lambda *data: model.fit(*data[:2], sample_weight=(*data, None, None)[2], shuffle=False, verbose=0),
                 lambda *data: model.evaluate(*data[:2], sample_weight=(*data, None, None)[2], verbose=0),
                 model.train_on_batch, model.test_on_batch):
        for data in ((x, y), (x, y, w)):
            seen.clear()
            call(*data)
            assert_same(seen, [data])
    seen.clear()
    model.fit(x, verbose=0, shuffle=False)
    model.predict(x, verbose=0)
    model.predict_on_batch(x)
    assert_same(seen, [x, x, x])


def test_first_mistakes_are_answered():
    layers = rnnref.layers
    with raises_with(rnnref.ShapeError, ["expected 3 axes", "return_sequences=True, if it comes from a recurrent"]):
        rnnref.Sequential([rnnref.Input((6, 3)), layers.LSTM(5), layers.LSTM(4)])
    model = rnnref.Sequential([rnnref.Input((6, 3)), layers.LSTM(5)])
    with raises_with(rnnref.NotSupported, ["Model.export", "model.save(path)"]):
        model.export("folder")
    with raises_with(TypeError, ["return_sequence", "did you mean return_sequences?"]):
        layers.GRU(4, return_sequence=True)
    assert layers.LSTM(3, dtype="float64").compute_dtype == layers.LSTM(3, dtype="float64").variable_dtype == "float64"


def test_what_a_checkpoint_prints(tmp_path, capsys):
    x, y = np.ones((4, 3), "float32"), np.ones((4, 1), "float32")
    model = rnnref.Sequential([rnnref.Input((3,)), rnnref.layers.Dense(1)])
    model.compile("sgd", "mse")
    values = iter((1 / 3, 1 / 7, 1 / 2))
    scripted = rnnref.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(val_loss=next(values)))
    path = str(tmp_path / "best.keras")
    model.fit(x, y, epochs=3, verbose=0, callbacks=[scripted, rnnref.callbacks.ModelCheckpoint(
        path, monitor="val_loss", save_best_only=True, verbose=1)])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["Epoch 1: val_loss improved from None to 0.33333", f"Epoch 1: saving to {path}",
                     "Epoch 2: val_loss improved from 0.33333 to 0.14286", f"Epoch 2: saving to {path}",
                     "Epoch 3: val_loss did not improve from 0.14286: 0.50000"]
