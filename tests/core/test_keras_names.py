"""Every public name of Keras is there, or refused with the reason and what to use instead."""
import importlib
import os
from pathlib import Path

import numpy as np
import pytest

import rnnref
from rnnref import Record
from rnnref.absent import Absent
from rnnref.errors import NotSupported

# {module: names} of Keras 3.15.1; "" is keras itself.
SNAPSHOT = Path(__file__).parents[1] / "snapshots" / "keras_names.txt"
NAMES = {module: names.split() for module, _, names in (
    line.partition(":") for line in SNAPSHOT.read_text().splitlines())}
EVERY = [(module, name) for module, names in NAMES.items() for name in names]


@pytest.mark.parametrize("module, name", EVERY)
def test_a_name_is_there_or_refused(module, name):
    found = importlib.import_module(".".join(filter(None, ("rnnref", module))))
    try:
        assert getattr(found, name) is not None
    except NotSupported as error:
        assert str(error).startswith(".".join(filter(None, (module, name))) + ": ")
        assert "\n  fix    " in str(error) or module == "initializers"


@pytest.mark.parametrize("module", [module for module in NAMES if module])
def test_each_is_a_module(module):
    assert importlib.import_module(f"rnnref.{module}") is getattr(rnnref, module)
    with pytest.raises(AttributeError, match=f"'rnnref.{module}' has no attribute 'nothing'"):
        getattr(rnnref, module).nothing


@pytest.mark.parametrize("module", list(NAMES))
def test_nothing_else_is_refused(module):
    found = importlib.import_module(".".join(filter(None, ("rnnref", module))))
    absent = found._absent if not module else vars(found).get("__getattr__")
    if isinstance(absent, Absent):
        assert set(absent.reasons) <= set(NAMES[module])
        assert not set(absent.reasons) & set(vars(found))


def test_what_an_import_says():
    with pytest.raises(NotSupported, match=r"losses\.Dice: it is for images"):
        from rnnref.losses import Dice  # noqa: F401
    with pytest.raises(NotSupported, match="utils.plot_model: models are not drawn\n  fix    model.summary()"):
        rnnref.utils.plot_model
    with pytest.raises(AttributeError, match="'rnnref' has no attribute 'nothing'"):
        rnnref.nothing


def test_code_for_keras_runs():
    import rnnref as keras
    from rnnref import layers, ops
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4, 3)), layers.LSTM(5, return_sequences=True),
                              layers.Dense(2, kernel_regularizer=keras.regularizers.L2(0.1))])
    x, target = keras.random.normal((6, 4, 3)), keras.random.normal((6, 4, 2))
    losses = []
    for _ in range(20):
        with Record(training=True) as record:
            loss = ops.mean(ops.square(model(x) - target)) + sum(model.losses)
        gradients = record.backward(loss)
        for w in model.trainable_weights:
            w.assign_sub(0.3 * gradients[w])
        losses.append(float(loss))
    assert losses[-1] < 0.8 * losses[0]


@pytest.fixture
def keras():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras")


@pytest.mark.peers
def test_the_names_are_those_of_keras(keras):
    for module, names in NAMES.items():
        theirs = getattr(keras, module) if module else keras
        assert names == [name for name in dir(theirs) if not name.startswith("_")], module


# utils and random

def test_pad_sequences():
    pad = rnnref.utils.pad_sequences
    rows = [[1, 2, 3], [4], []]
    assert pad(rows).tolist() == [[1, 2, 3], [0, 0, 4], [0, 0, 0]]
    assert pad(rows, 2, padding="post", value=9).tolist() == [[2, 3], [4, 9], [9, 9]]
    assert pad(rows, 2, truncating="post", dtype="float64").tolist() == [[1, 2], [0, 4], [0, 0]]
    assert pad([np.ones((2, 3)), np.zeros((1, 3))], 4).shape == (2, 4, 3) and pad(rows, 0).shape == (3, 0)
    with pytest.raises(ValueError, match="sequence 1 has steps of shape"):
        pad([np.ones((2, 3)), np.ones((2, 2))])
    with pytest.raises(NotSupported, match="padding='middle'"):
        pad(rows, padding="middle")


@pytest.mark.peers
def test_utils_beside_keras(keras):
    rng = np.random.default_rng(0)
    rows = [rng.integers(1, 9, n).tolist() for n in (3, 0, 7, 5)]
    for maxlen in (None, 4, 9):
        for padding in ("pre", "post"):
            for truncating in ("pre", "post"):
                a, b = (k.utils.pad_sequences(rows, maxlen, "float32", padding, truncating, -1.0)
                        for k in (rnnref, keras))
                assert a.dtype == b.dtype and np.array_equal(a, b)
    for x in ([0, 2, 1], [[0], [3]], [[1, 0], [2, 2]]):
        a, b = (k.utils.to_categorical(x) for k in (rnnref, keras))
        assert a.dtype == b.dtype and np.array_equal(a, b)
    x = rng.normal(size=(3, 4))
    for order in (1, 2):
        ours = rnnref.utils.normalize(x, 1, order)
        assert np.allclose(ours, keras.utils.normalize(x, 1, order), rtol=1e-14, atol=0)
        assert np.allclose(rnnref.utils.normalize(x.T, 0, order), ours.T, rtol=1e-14, atol=0)        # Keras takes -1


def test_set_random_seed_makes_weights_and_noise_the_same():
    def numbers():
        rnnref.utils.set_random_seed(5)
        model = rnnref.Sequential([rnnref.layers.Dense(4, input_shape=(3,)), rnnref.layers.Dropout(0.5)])
        return model(np.ones((6, 3)), training=True), rnnref.random.uniform((3,)), np.random.random()
    for a, b in zip(numbers(), numbers()):
        assert np.array_equal(a, b)
    assert not np.array_equal(rnnref.random.uniform((3,)), rnnref.random.uniform((3,)))


@pytest.mark.parametrize("name, args, mean, deviation", (
    ("normal", (1.0, 2.0), 1.0, 2.0), ("uniform", (-1.0, 3.0), 1.0, 4 / 12 ** 0.5), ("gamma", (4.0,), 4.0, 2.0),
    ("beta", (2.0, 2.0), 0.5, 0.05 ** 0.5), ("binomial", (10, 0.3), 3.0, 2.1 ** 0.5),
    ("randint", (0, 4), 1.5, 1.25 ** 0.5), ("truncated_normal", (1.0, 2.0), 1.0, 2.0 * 0.8796)))
def test_distributions(name, args, mean, deviation):
    draw = getattr(rnnref.random, name)
    a = draw((40000,), *args, seed=3)
    assert np.array_equal(a, draw((40000,), *args, seed=3)) and a.dtype == ("int32" if name == "randint" else "float32")
    assert abs(a.mean() - mean) < 0.03 * deviation and abs(a.std() - deviation) < 0.02 * deviation


def test_categorical_shuffle_dropout():
    r = rnnref.random
    found = r.categorical(np.log([[0.2, 0.8]]), 20000, seed=1)
    assert found.dtype == "int32" and abs(found.mean() - 0.8) < 0.01
    x = np.arange(12.0).reshape(3, 4)
    assert sorted(r.shuffle(x, seed=4)[:, 0]) == [0, 4, 8] and sorted(r.shuffle(x, 1, seed=4)[0]) == [0, 1, 2, 3]
    with Record() as record:
        v = record.leaf(np.ones(1000))
        y = r.dropout(v, 0.25, seed=2)
    assert np.array_equal(record.backward(y)[v], y.numpy()) and set(y.numpy()) == {0.0, 4 / 3}
    assert r.dropout(np.ones((4, 3)), 0.5, (4, 1), seed=1).std(1).max() == 0
    seeds = [r.SeedGenerator(7).next().tolist() for _ in range(2)]
    assert seeds[0] == seeds[1]
    with pytest.raises(NotSupported, match="seed='a'"):
        r.normal((2,), seed="a")


def test_registered_classes_are_read_without_custom_objects():
    from rnnref.layers import Dense
    from rnnref.utils import deserialize_keras_object, register_keras_serializable, serialize_keras_object

    @register_keras_serializable("tests")
    class Wide(Dense):
        pass
    config = serialize_keras_object(rnnref.Sequential([Wide(3, input_shape=(2,))]))
    assert config["config"]["layers"][1]["registered_name"] == "tests>Wide"
    assert type(deserialize_keras_object(config).layers[0]) is Wide
    with pytest.raises(NotSupported, match="class 'Wide'"):
        config["config"]["layers"][1] |= {"registered_name": "Wide", "module": "elsewhere"}
        deserialize_keras_object(config)
    with rnnref.utils.custom_object_scope({"Wide": Wide}):
        assert type(deserialize_keras_object(config).layers[0]) is Wide
