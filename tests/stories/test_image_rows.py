"""Images read row by row: a subclassed model with cells of TF 1 looped by hand, trained, evaluated, saved, restored."""
import numpy as np
import pytest

import rnnref
from rnnref import tf1
from rnnref.check.tolerance import tolerance
from rnnref.testing.assertions import assert_close, assert_same
from tests.support.stories import sigmoid

CURVE = tolerance("curve", "float32")
UNITS = 32


class RowsModel(rnnref.Model):
    """One cell, or several on each other with a list of states."""

    def __init__(self, *units):
        super().__init__()
        self.cells = [tf1.LSTMCell(n) for n in units]
        self.dense = rnnref.layers.Dense(10)

    def call(self, images):
        states = [cell.zero_state(len(images), "float32") for cell in self.cells]
        for row in rnnref.ops.unstack(images, axis=1):
            for n, cell in enumerate(self.cells):
                row, states[n] = cell(row, states[n])
        return rnnref.ops.softmax(self.dense(row))


def load(n_train=400, n_test=200):
    (x, y), (x_test, y_test) = rnnref.data.digits()
    y, y_test = (rnnref.utils.to_categorical(labels, 10) for labels in (y, y_test))
    return (x[:n_train], y[:n_train]), (x_test[:n_test], y_test[:n_test])


def compiled(model):
    model.compile(optimizer=rnnref.optimizers.Adam(0.01), loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def by_formulas(model, x):
    """Probabilities from the variables of the cells, which TF 1 has as i j f o with 1 added to f, and of the Dense."""
    rows = list(x.swapaxes(0, 1))
    for cell in model.cells:
        v = {name.rpartition("/")[2]: a for name, a in cell.dump_variables().items()}
        h = c = np.zeros((len(x), v["bias"].size // 4))
        for t, row in enumerate(rows):
            i, j, f, o = np.split(np.concatenate([row, h], 1) @ v["kernel"] + v["bias"], 4, axis=1)
            c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(j)
            rows[t] = h = sigmoid(o) * np.tanh(c)
    kernel, bias = model.dense.get_weights()
    e = np.exp(h @ kernel + bias)
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize("units", ((UNITS,), (16, 12)), ids=("one layer", "two layers"))
def test_it_trains_and_comes_back_from_a_file(units, tmp_path):
    rnnref.utils.set_random_seed(1)
    (x, y), (x_test, y_test) = load()
    model = compiled(RowsModel(*units))
    history = model.fit(x, y, batch_size=100, epochs=2, validation_data=(x_test, y_test), verbose=0).history
    assert sorted(history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    history = model.fit(x, y, batch_size=20, epochs=6 if len(units) == 1 else 2, verbose=0).history
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    p = by_formulas(model, x_test)
    np.testing.assert_allclose(loss, -np.log((p * y_test).sum(1)).mean(), CURVE)
    assert abs(accuracy - (p.argmax(1) == y_test.argmax(1)).mean()) < 1e-6
    assert accuracy > (0.75 if len(units) == 1 else 0.3) and history["loss"][-1] < history["loss"][0]
    assert_close(model.predict(x_test, verbose=0), p.astype("float32"), "path")
    model.save_weights(tmp_path / "rows.weights.h5")
    again = RowsModel(*units)
    again(x[:1])
    assert not np.array_equal(again.predict(x_test, verbose=0), model.predict(x_test, verbose=0))
    again.load_weights(tmp_path / "rows.weights.h5")
    assert_same(again.predict(x_test, verbose=0), model.predict(x_test, verbose=0))
    assert compiled(again).evaluate(x_test, y_test, verbose=0) == [loss, accuracy]


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_it_trains_as_the_same_model_of_keras(keras):
    """Keras has no cells of TF 1: its own in the same loop, with the same weights, gates i f j o and 1 added to f."""
    class Theirs(keras.Model):
        def __init__(self):
            super().__init__()
            self.cell, self.dense = keras.layers.LSTMCell(UNITS), keras.layers.Dense(10)

        def call(self, images):
            state = self.cell.get_initial_state(batch_size=len(images))
            for t in range(images.shape[1]):
                h, state = self.cell(images[:, t], state)
            return keras.ops.softmax(self.dense(h))
    (x, y), _ = load(200)
    ours, theirs = compiled(RowsModel(UNITS)), Theirs()
    ours(x[:1]), theirs(x[:1])
    v = {name.rpartition("/")[2]: np.split(a, 4, -1) for name, a in ours.cells[0].dump_variables().items()}
    kernel, bias = (np.concatenate([v[n][g] + np.float32(g == 2 and n == "bias") for g in (0, 2, 1, 3)], -1)
                    for n in ("kernel", "bias"))
    theirs.cell.set_weights([kernel[:8], kernel[8:], bias])
    theirs.dense.set_weights(ours.dense.get_weights())
    theirs.compile(optimizer=keras.optimizers.Adam(0.01), loss="categorical_crossentropy", metrics=["accuracy"])
    got, want = (m.fit(x, y, batch_size=100, epochs=2, shuffle=False, verbose=0).history for m in (ours, theirs))
    assert list(got) == list(want)
    for name in want:
        np.testing.assert_allclose(got[name], want[name], CURVE, CURVE)
