"""Files of models beside Keras: what it writes is read here, and what is written here it reads, with equal outputs."""
import os

import numpy as np
import pytest

import rnnref
from rnnref.models.graph import flatten_sorted
from rnnref.nest import map_structure
from rnnref.saving import load_model
from rnnref.testing.assertions import assert_close
from tests.support import simple_layer_cases
from tests.support.model_cases import CASES, made
from tests.support.saved_models import MODELS, mixed_class

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def keras():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    return keras


def outputs(model, x):
    """The outputs in inference, as arrays of NumPy."""
    for layer in model.layers:
        if getattr(layer, "stateful", False):
            layer.reset_state()
    y = model(x, training=False) if isinstance(model, rnnref.Model) else model(
        map_structure(lambda a: _tensor(a), x), training=False)
    return [a.detach().numpy() if hasattr(a, "detach") else np.asarray(a) for a in flatten_sorted(y)]


def _tensor(a):
    import torch
    return torch.tensor(a)


def shake(model):
    """Weights that no initializer makes: zeros and ones would hide an exchange."""
    rng = np.random.default_rng(5)
    for w in model.weights:
        w.assign(np.asarray(w.numpy()) + 0.1 * rng.random(tuple(w.shape)).astype(str(w.dtype)))


CLASSES = ("subclass", "loop")                    # without a configuration: their weights alone
ALL = {**{name: (lambda k, name=name: made(name, k), CASES[name][1]) for name in CASES}, **MODELS}


@pytest.mark.parametrize("name", ALL)
def test_a_file_of_keras_is_read(name, keras, tmp_path):
    make, x = ALL[name]
    model = make(keras)
    outputs(model, x)                             # which builds it
    shake(model)
    if name not in CLASSES:
        model.save(tmp_path / "m.keras")
        assert_close(outputs(load_model(tmp_path / "m.keras"), x), outputs(model, x), "path")
    model.save_weights(tmp_path / "m.weights.h5")
    other = make(rnnref)
    outputs(other, x)
    other.load_weights(tmp_path / "m.weights.h5")
    assert_close(outputs(other, x), outputs(model, x), "path")


@pytest.mark.parametrize("name", ALL)
def test_keras_reads_a_file(name, keras, tmp_path):
    make, x = ALL[name]
    model = make(rnnref)
    outputs(model, x)
    shake(model)
    if name not in CLASSES:
        model.save(tmp_path / "m.keras")
        assert_close(outputs(model, x), outputs(keras.saving.load_model(tmp_path / "m.keras"), x), "path")
    model.save_weights(tmp_path / "m.weights.h5")
    other = make(keras)
    outputs(other, x)
    other.load_weights(tmp_path / "m.weights.h5")
    assert_close(outputs(model, x), outputs(other, x), "path")


LAYERS = {name: case for name, case in simple_layer_cases.CASES.items() if case.keras}


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_both_ways(name, keras, tmp_path):
    case = LAYERS[name]

    def make(k):
        x = map_structure(lambda a: k.Input(a.shape[1:], dtype="float32"), case.args)
        return k.Model(x, case.make(k.layers)(x))
    x = map_structure(lambda a: np.asarray(a, "float32"), case.args)
    for writer, reader in ((rnnref, keras), (keras, rnnref)):
        model = make(writer)
        outputs(model, x)                         # Keras builds layers that are activations in the first call
        shake(model)
        model.save(tmp_path / "m.keras")
        found = reader.saving.load_model(tmp_path / "m.keras")
        assert_close(outputs(found, x), outputs(model, x), "path")


def test_the_names_in_files_of_classes_are_those_of_keras(keras, tmp_path):
    h5py, found = pytest.importorskip("h5py"), []
    for k in (keras, rnnref):
        model = mixed_class(k)(4)
        outputs(model, np.ones((2, 5, 3), "float32"))
        model.save_weights(tmp_path / "m.weights.h5")
        with h5py.File(tmp_path / "m.weights.h5") as f:
            names: list = []
            f.visit(names.append)
            found.append({name: f[name].shape for name in names if hasattr(f[name], "shape")})
    assert found[0] == found[1] and len(found[0]) > 10


OPTIMIZERS = {
    "adam": lambda k: k.optimizers.Adam(0.02), "sgd": lambda k: k.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "a schedule": lambda k: k.optimizers.RMSprop(k.optimizers.schedules.ExponentialDecay(0.01, 3, 0.5), momentum=0.5),
    "adamw": lambda k: k.optimizers.AdamW(0.02, weight_decay=0.1, clipnorm=0.5, amsgrad=True),
}
NAMES = {"adam": lambda k: {"loss": "mse", "metrics": ["mae"]},
         "sgd": lambda k: {"loss": k.losses.Huber(), "metrics": [k.metrics.MeanSquaredError(name="m")]},
         "a schedule": lambda k: {"loss": k.losses.MeanSquaredError(), "weighted_metrics": ["mae"]},
         "adamw": lambda k: {"loss": {"last": "mae"}, "loss_weights": {"last": 2.0}, "metrics": {"last": ["mse"]}}}
TRAINED = {"epochs": 2, "batch_size": 4, "shuffle": False, "verbose": 0}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_in_the_other_with_equal_numbers(name, keras, tmp_path):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(16, 5, 3)).astype("float32"), rng.normal(size=(16, 2)).astype("float32")
    for writer, reader in ((rnnref, keras), (keras, rnnref)):
        i = writer.Input((5, 3))
        h = writer.layers.LSTM(4, return_sequences=True)(i)
        model = writer.Model(i, writer.layers.Dense(2, name="last")(writer.layers.GRU(3)(h)))
        model.compile(OPTIMIZERS[name](writer), **NAMES[name](writer))
        model.save(tmp_path / "new.keras")        # before the first step there are no slots
        assert reader.saving.load_model(tmp_path / "new.keras").optimizer is not None
        model.fit(x, y, **TRAINED)
        model.save(tmp_path / "m.keras")
        again = reader.saving.load_model(tmp_path / "m.keras")
        assert int(again.optimizer.iterations.numpy()) == 8
        want, found = model.fit(x, y, **TRAINED).history, again.fit(x, y, **TRAINED).history
        assert want.keys() == found.keys()
        for key in want:
            np.testing.assert_allclose(found[key], want[key], rtol=1e-5)
        for a, b in zip(model.get_weights(), again.get_weights()):
            np.testing.assert_allclose(a, b, atol=1e-5)
