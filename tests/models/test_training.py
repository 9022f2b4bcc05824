"""compile, fit, evaluate and predict: values against steps written otherwise, data of all kinds, what is refused."""
import gc
import warnings
import weakref

import numpy as np
import pytest

import rnnref
from rnnref import Input, Model, Record, Sequential, layers as L, losses, metrics, ops, optimizers
from rnnref.errors import ShapeError
from rnnref.testing.api import assert_close, assert_same
from tests.support import strict
from tests.support.messages import raises_with
from tests.support.training_cases import CLASSES, LINE, Numbered, X, Y, line

D = {"dtype": "float64"}
RNG = np.random.default_rng(0)


def descend(x, y, w, b, batches, rate=0.1, weights=None):
    """Gradient descent on the mean squared error, written as the sum that it is; the losses of the batches."""
    losses = []
    for rows in batches:
        error = x[rows] @ w + b - y[rows]
        each = np.ones(len(error)) if weights is None else weights[rows]
        losses.append((each * error[:, 0] ** 2).sum() / len(error))
        d = 2 * each[:, None] * error / len(error)
        w, b = w - rate * x[rows].T @ d, b - rate * d.sum(0)
    return w, b, losses


def chunks(n, size):
    return [slice(k, min(k + size, n)) for k in range(0, n, size)]


@pytest.mark.parametrize("weights", (None, np.linspace(0, 2, 20)))
def test_fit_is_gradient_descent(weights):
    x, y = LINE
    model = line()
    w, b = model.get_weights()
    history = model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0, sample_weight=weights)
    want = []
    for _ in range(3):
        w, b, found = descend(x, y, w, b, chunks(20, 8), weights=weights)
        want.append(np.average(found, weights=[8, 8, 4]))                      # the last batch counts for what it has
    np.testing.assert_allclose(model.get_weights()[0], w, 1e-12)
    np.testing.assert_allclose(history.history["loss"], want, 1e-6)
    assert history.epoch == [0, 1, 2] and history is model.history


def test_shuffling_is_a_permutation_of_rows_by_the_seed():
    x, y = LINE
    for shuffle in (True, "batch"):
        model = line()
        model.shuffle_rng = np.random.default_rng(7)
        seen = []
        model.train_step = lambda batch: seen.append(batch) or {"loss": 0.0}
        model.fit(x, y, batch_size=8, epochs=2, shuffle=shuffle, verbose=0)
        rows = [[int(np.flatnonzero((x == row).all(1))[0]) for row in batch[0]] for batch in seen]
        for batch in seen:
            assert_same(batch[1], y[[int(np.flatnonzero((x == row).all(1))[0]) for row in batch[0]]])
        first, second = sum(rows[:3], []), sum(rows[3:], [])
        assert sorted(first) == sorted(second) == list(range(20)) and first != second != list(range(20))
        if shuffle == "batch":
            assert sorted(rows[0]) == list(range(8)) and sorted(rows[2]) == list(range(16, 20))
        else:
            rng = np.random.default_rng(7)
            assert first == rng.permutation(20).tolist() and second == rng.permutation(20).tolist()


def test_the_same_seed_gives_the_same_numbers():
    def train():
        rnnref.utils.set_random_seed(5)
        model = Sequential([Input((6, 3)), L.LSTM(4, dropout=0.3), L.Dropout(0.5), L.Dense(1)])
        model.compile("adam", "mse")
        return model.fit(X, Y, batch_size=5, epochs=2, verbose=0).history["loss"], model.get_weights()
    (first, w), (second, v) = train(), train()
    assert first == second
    assert_same(w, v)


def test_truncated_backpropagation_through_time():
    """A stateful model against states that are handed on by hand, as arrays: no gradient goes through them."""
    x, y = RNG.normal(size=(12, 5, 2)), RNG.normal(size=(12, 5, 1))
    model = Sequential([Input(batch_shape=(4, 5, 2), dtype="float64"),
                        L.LSTM(3, stateful=True, return_sequences=True, **D), L.Dense(1, **D)])
    model.compile(optimizers.SGD(0.5), "mse")
    lstm, dense = L.LSTM(3, return_sequences=True, return_state=True, **D), L.Dense(1, **D)
    lstm.build((4, 5, 2)), dense.build((4, 5, 3))
    weights = model.get_weights()
    lstm.set_weights(weights[:3]), dense.set_weights(weights[3:])
    history = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    state, means = None, []
    for epoch in range(2):
        found = []
        for rows in chunks(12, 4):
            with Record() as record:
                h, *state = lstm(x[rows], initial_state=state)
                loss = np.mean((dense(h) - y[rows]) ** 2)
            state = [np.array(a.data) for a in state]
            gradients = record.backward(loss)
            for w in lstm.weights + dense.weights:
                w.assign_sub(0.5 * gradients[w])
            found.append(float(loss.data))
        means.append(np.mean(found))
    assert_close(model.get_weights(), lstm.get_weights() + dense.get_weights(), "path")
    np.testing.assert_allclose(history.history["loss"], means, 1e-6)
    assert_close(model.layers[0].states, state, "path")
    with raises_with(ShapeError, ["expected", "4"]):
        model.fit(x[:6], y[:6], batch_size=4, shuffle=False, verbose=0)


def test_dropout_and_moving_averages_in_training_only():
    model = Sequential([Input((3,)), L.Dropout(0.5, seed=1), L.BatchNormalization(momentum=0.5)])
    model.compile(optimizers.SGD(0.0), "mse")
    x = np.ones((400, 3), "float32")
    model.evaluate(x, x, verbose=0)
    assert_same(model.layers[1].get_weights()[2], np.zeros(3, "float32"))
    model.train_on_batch(x, x)
    mean, variance = model.layers[1].get_weights()[2:]
    assert (abs(mean - 0.5) < 0.1).all() and (abs(variance - 1) < 0.1).all()     # of 0 and 2, half of the way
    assert_same(model.predict(x, verbose=0), model.predict(x, verbose=0))


def test_losses_that_layers_add():
    class Small(L.Layer):
        def call(self, x):
            self.add_loss(3 * ops.mean(x))
            return x
    model = Sequential([Input((2,)), L.Dense(1, use_bias=False, kernel_regularizer="l2", activity_regularizer="l1"),
                        Small()])
    model.set_weights([np.ones((2, 1), "float32")])
    x = np.ones((4, 2), "float32")
    want = 0.01 * 2 + 0.01 * 4 * 2 / 4 + 3 * 2
    model.compile("sgd")                          # they are all there is
    assert abs(model.evaluate(x, verbose=0) - want) < 1e-6
    model.compile("sgd", "mse")
    assert abs(model.evaluate(x, np.zeros((4, 1)), verbose=0) - want - 4) < 1e-6
    with raises_with(ShapeError, ["there is no loss", "compile(loss=...)"]):
        plain = Sequential([Input((2,)), L.Dense(1)])
        plain.compile()
        plain.fit(x, verbose=0)


def test_a_constraint_holds_after_every_step():
    model = Sequential([Input((3,)), L.Dense(2, kernel_constraint="non_neg")])
    model.compile(optimizers.SGD(1.0), "mse")
    model.fit(RNG.normal(size=(9, 3)), RNG.normal(size=(9, 2)), batch_size=3, epochs=3, verbose=0)
    kernel = model.get_weights()[0]
    assert (kernel >= 0).all() and (kernel == 0).any()


def test_validation_is_of_the_last_rows():
    x, y = LINE
    whole, split = line(), line()
    first = whole.fit(x[:14], y[:14], epochs=2, shuffle=False, verbose=0, validation_data=(x[14:], y[14:]))
    second = split.fit(x, y, epochs=2, shuffle=False, verbose=0, validation_split=0.3)
    assert first.history == second.history and list(first.history) == ["loss", "val_loss"]
    assert abs(first.history["val_loss"][-1] - whole.evaluate(x[14:], y[14:], verbose=0)) < 1e-9


def test_all_kinds_of_data_give_the_same():
    x, y = LINE

    def stream():
        for k in range(8):
            yield x[5 * (k % 4):][:5], y[5 * (k % 4):][:5]

    class Again:
        def __iter__(self):
            return (Numbered(x, y)[k] for k in range(4))
    want = line().fit(x, y, batch_size=5, epochs=2, shuffle=False, verbose=0).history
    numbered = Numbered(x, y)
    four = {"steps_per_epoch": 4}
    for data, told in ((numbered, {}), (stream(), four), (Again(), {}), (iter(list(stream())), four)):
        assert line().fit(data, epochs=2, shuffle=False, verbose=0, **told).history == want
    assert numbered.told == [0, 1, 2, 3, "end"] * 2
    shuffled = Numbered(x, y)
    line().fit(shuffled, verbose=0)
    assert sorted(shuffled.told[:4]) == [0, 1, 2, 3]
    assert_close(line().predict(numbered, verbose=0), line().predict(x, verbose=0), "path")
    assert_close(line().evaluate(numbered, verbose=0), line().evaluate(x, y, batch_size=5, verbose=0), "path")


def test_data_that_end():
    x, y = LINE

    def stream(n):
        return ((x[:5], y[:5]) for _ in range(n))
    with pytest.warns(UserWarning, match="ended after 1 batches of an epoch of 2"):
        history = line().fit(stream(3), epochs=2, steps_per_epoch=2, verbose=0)
    assert len(history.epoch) == 2
    with pytest.warns(UserWarning, match="ended after 0 batches"):
        assert line().fit(stream(2), epochs=3, steps_per_epoch=2, verbose=0).epoch == [0]
    with pytest.warns(UserWarning, match="ended after 0 batches"):
        assert line().fit(stream(2), epochs=2, verbose=0).epoch == [0]
    with raises_with(ShapeError, ["no batch"]):
        line().fit(stream(0), verbose=0)
    with pytest.warns(UserWarning, match="ended after 3 batches of an epoch of 5"):
        line().fit(x, y, batch_size=8, steps_per_epoch=5, verbose=0)


def test_several_inputs_and_outputs_in_all_nests():
    a, b = Input((3,), name="a"), Input((3,), name="b")
    model = Model({"a": a, "b": b}, {"sum": L.Add(name="sum")([a, b]), "all": [L.Subtract(name="d")([a, b]), a]})
    model.compile("sgd", {"sum": "mse", "all": ["mae", None]}, loss_weights={"sum": 2.0, "all": [3.0, 0.0]},
                  metrics={"sum": "mae", "all": [["mse"], None]})
    x = {"a": np.ones((4, 3)), "b": np.full((4, 3), 3.0)}
    y = {"sum": np.zeros((4, 3)), "all": [np.zeros((4, 3)), np.zeros((4, 3))]}
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    assert found == {"loss": 2 * 16 + 3 * 2, "all/d_loss": 2.0, "sum_loss": 16.0, "all/d_mse": 4.0, "sum_mae": 4.0} or (
        sorted(found.values()) == sorted([38.0, 2.0, 16.0, 4.0, 4.0]))
    out = model.predict(x, batch_size=3, verbose=0)
    assert set(out) == {"sum", "all"} and isinstance(out["all"], list)
    assert_same(out["all"][0], np.full((4, 3), -2.0, "float32"))


def test_weights_of_classes_multiply_the_loss():
    model = Sequential([Input((6, 3)), L.LSTM(4), L.Dense(4, activation="softmax")])
    model.compile(optimizers.SGD(0.0), "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    w = {0: 0.25, 3: 2.0}
    each = np.array([w.get(int(k), 1.0) for k in CLASSES], "float32")
    one = model.train_on_batch(X, CLASSES, class_weight=w, return_dict=True)
    assert one == model.train_on_batch(X, CLASSES, sample_weight=each, return_dict=True)
    hot = np.eye(4, dtype="float32")[CLASSES]
    model.compile(optimizers.SGD(0.0), "categorical_crossentropy")
    assert abs(model.train_on_batch(X, hot, class_weight=w) - one["loss"]) < 1e-6
    history = model.fit(X, hot, class_weight=w, verbose=0, validation_data=(X, hot))
    assert abs(history.history["loss"][0] - one["loss"]) < 1e-6
    assert abs(history.history["val_loss"][0] - one["loss"]) > 1e-3


def test_hooks_of_a_model():
    class Own(Model):
        def __init__(self):
            super().__init__()
            self.dense, self.held = L.Dense(1), [metrics.Mean(name="seen")]

        def call(self, x):
            return self.dense(x)

        def compute_loss(self, x, y, y_pred, sample_weight):
            return super().compute_loss(x, y, y_pred, sample_weight) + 1.0

        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            self.held[0].update_state(x)
            return super().compute_metrics(x, y, y_pred, sample_weight) | {"more": 2.0}
    model = Own()
    model.compile("sgd", losses.MeanSquaredError(), metrics=["mae"])
    x = np.ones((4, 2), "float32")
    found = model.evaluate(x, x[:, :1], verbose=0, return_dict=True)
    assert set(found) == {"loss", "mae", "seen", "more"} and found["seen"] == 1 and found["more"] == 2
    assert abs(found["loss"] - found["mae"] ** 2 - 1) < 1e-5

    class Step(Sequential):
        def train_step(self, data):
            x, y, _ = rnnref.utils.unpack_x_y_sample_weight(data)
            with Record(training=True) as record:
                loss = np.mean(self(x, training=True) - y)
            gradients = record.backward(loss)
            self.optimizer.apply([gradients[w] for w in self.trainable_weights], self.trainable_weights)
            return {"own": loss.data}
    model = Step([Input((2,)), L.Dense(1)])
    model.compile(optimizers.SGD(1.0))
    first, second = model.fit(x, x[:, :1], epochs=2, verbose=0).history["own"]
    assert abs(second - (first - 3)) < 1e-5       # the slopes are 1, 1 and 1


def test_how_it_was_compiled_as_plain_data():
    import json
    model = line(metrics=["mae", metrics.RootMeanSquaredError(name="r")], weighted_metrics=["mse"])
    model.compile(optimizers.Adam(optimizers.schedules.ExponentialDecay(0.1, 5, 0.5), clipnorm=1.0),
                  losses.Huber(0.5), metrics=["mae", metrics.RootMeanSquaredError(name="r")], weighted_metrics=["mse"])
    config = json.loads(json.dumps(model.get_compile_config()))
    other = line()
    other.compile_from_config(config)
    assert other.optimizer.built and other.get_compile_config() == config
    assert model.fit(*LINE, epochs=2, shuffle=False, verbose=0).history == other.fit(
        *LINE, epochs=2, shuffle=False, verbose=0).history
    assert Sequential([L.Dense(1)]).get_compile_config() == {}


def test_the_record_of_a_step_does_not_outlive_it(monkeypatch):
    model, alive = line(), []
    made = Record.__init__

    def counted(self, *args, **options):
        made(self, *args, **options)
        alive.append(weakref.ref(self))
    monkeypatch.setattr(Record, "__init__", counted)
    gc.collect()
    gc.disable()
    try:
        model.fit(*LINE, epochs=2, verbose=0)
    finally:
        gc.enable()
    assert len(alive) >= 2 and all(ref() is None for ref in alive)


def test_on_the_strict_double_only_indices_and_shown_numbers_cross(cupy):
    def make():
        model = Sequential([Input((6, 3)), L.LSTM(4, seed=1), L.Dense(4, activation="softmax", seed=2)])
        model.shuffle_rng = np.random.default_rng(3)
        model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model
    model, plain = make(), make()
    model.to("gpu")
    x, y = cupy.asarray(X), cupy.asarray(CLASSES)
    model.train_on_batch(x[:8], y[:8])            # slots are made
    plain.train_on_batch(X[:8], CLASSES[:8])
    strict.counts.clear()
    got = model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    crossed = {k: n for k, n in strict.counts.items() if k in ("get", "item", "asarray", "mask")}
    assert crossed == {"asarray": 2, "get": 4}    # in each epoch the order of rows; loss and accuracy
    want = plain.fit(X, CLASSES, batch_size=8, epochs=2, verbose=0)
    for name in want.history:
        np.testing.assert_allclose(got.history[name], want.history[name], 1e-5)
    assert_close(model.predict(x, verbose=0), plain.predict(X, verbose=0), "path")


def test_a_model_without_weights_to_train_warns():
    model = line()
    model.trainable = False
    before = model.get_weights()
    with pytest.warns(UserWarning, match="no weights that are trained"):
        model.fit(*LINE, verbose=0)
    assert_same(model.get_weights(), before)


def test_what_is_printed(capsys, monkeypatch):
    line().fit(*LINE, epochs=2, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Epoch 1/2" and lines[1].startswith("1/1 - 0s - ") and "s/step - loss: " in lines[1]
    line().fit(*LINE, batch_size=5)
    bar = capsys.readouterr().out
    assert "4/4" in bar and "loss: " in bar
    import builtins
    real = builtins.__import__

    def without(name, *args):
        if name == "tqdm":
            raise ImportError(name="tqdm")
        return real(name, *args)
    monkeypatch.setattr("rnnref.callbacks.loggers.import_optional", lambda *a: (_ for _ in ()).throw(
        rnnref.MissingExtra("tqdm", "not there")))
    line().fit(*LINE, batch_size=5)
    assert capsys.readouterr().out.startswith("4/4 - 0s - ")
    with warnings.catch_warnings():
        line().predict(LINE[0], verbose=2)
    assert capsys.readouterr().out.startswith("1/1 - 0s")
