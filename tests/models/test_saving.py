"""Models in files: what is written comes back; what is broken, or of another model, is refused and changes nothing."""
import io
import json
import os
import zipfile

import numpy as np
import pytest

import rnnref
from rnnref import cells, layers, tf1
from rnnref.errors import DtypeError, FileError, MissingFile, NotSupported, ShapeError
from rnnref.saving import load_model, register_keras_serializable, save_model
from rnnref.testing.assertions import assert_same
from tests.support.bounded import bounded
from tests.support.model_cases import CASES, made
from tests.support.saved_models import MODELS, mixed_class

ALL = {**{name: (lambda k, name=name: made(name), CASES[name][1]) for name in CASES}, **MODELS}
ENDINGS = ".weights.h5", ".npz", ".safetensors"


def built(name):
    make, x = ALL[name]
    model = make(rnnref)
    model(x)
    rng = np.random.default_rng(3)
    for w in model.weights:
        w.assign(rng.random(w.shape))
    return model, x


@pytest.mark.parametrize("name", ALL)
def test_weights_come_back(name, tmp_path):
    for ending in ENDINGS:
        model, x = built(name)
        model.save_weights(tmp_path / f"w{ending}")
        other = ALL[name][0](rnnref)
        other(x)
        other.load_weights(tmp_path / f"w{ending}")
        assert_same(other.get_weights(), model.get_weights())
    assert sorted(os.listdir(tmp_path)) == sorted(f"w{ending}" for ending in ENDINGS)


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("subclass", "loop")])
def test_a_model_comes_back(name, tmp_path):
    model, _ = built(name)
    model.save(tmp_path / "m.keras")
    again = load_model(tmp_path / "m.keras")
    assert_same(again.get_weights(), model.get_weights())
    assert json.dumps(again.get_config()) == json.dumps(model.get_config())


def chain():
    return rnnref.Sequential([rnnref.Input((4, 3)), layers.LSTM(2, seed=1), layers.Dense(2, seed=2)])


def test_one_layer_in_two_models_is_one_again(tmp_path):
    x, dense = rnnref.Input((3,)), layers.Dense(3, name="common")
    model = rnnref.Model(x, dense(rnnref.Sequential([rnnref.Input((3,)), dense], name="one")(x)))
    model.save(tmp_path / "m.keras")
    again = load_model(tmp_path / "m.keras")
    assert again.get_layer("one").layers[0] is again.get_layer("common") and len(again.weights) == 2


Mixed = register_keras_serializable("tests")(mixed_class(rnnref))


def test_a_class_of_ones_own(tmp_path):
    model = Mixed(4)
    x = np.ones((2, 5, 3), "float32")
    y = model(x)
    model.save(tmp_path / "m.keras")
    assert_same(load_model(tmp_path / "m.keras")(x), y)
    with zipfile.ZipFile(tmp_path / "m.keras") as archive, zipfile.ZipFile(tmp_path / "u.keras", "w") as other:
        text = archive.read("config.json").decode()
        other.writestr("config.json", text.replace("tests>Mixed", "tests>Unknown").replace('"Mixed', '"Unknown'))
        other.writestr("model.weights.h5", archive.read("model.weights.h5"))
    with pytest.raises(NotSupported, match="class 'Unknown'"):
        load_model(tmp_path / "u.keras")
    assert_same(load_model(tmp_path / "u.keras", {"Unknown": Mixed})(x), y)


def test_weights_of_another_model_are_refused_and_change_nothing(tmp_path):
    other = rnnref.Sequential([rnnref.Input((4, 3)), layers.LSTM(2), layers.Dense(3)])
    more = rnnref.Sequential([rnnref.Input((4, 3)), layers.LSTM(2), layers.Dense(2), layers.Dense(2)])
    for ending in ENDINGS:
        path = tmp_path / f"w{ending}"
        for wrong, says in ((other, r"kernel|vars/0.*has shape \(2, 3\), expected \(2, 2\)"), (more, "it has besides")):
            wrong.save_weights(path)
            model = chain()
            before = model.get_weights()
            with pytest.raises(ShapeError, match=says):
                model.load_weights(path)
            assert_same(model.get_weights(), before)
        with pytest.raises(ShapeError, match="it lacks .*dense_1"):
            chain().save_weights(path)
            more.load_weights(path)
        other.save_weights(path)
        with pytest.warns(UserWarning, match="left as they are: .*/kernel .*/bias"):
            model.load_weights(path, skip_mismatch=True)
        assert_same(model.get_weights(), [*other.get_weights()[:3], *before[3:]])


def test_what_cannot_be_saved_is_refused(tmp_path):
    model = chain()
    for call, error, says in (
            (lambda: model.save(tmp_path / "m.h5"), NotSupported, "known +names that end in .keras"),
            (lambda: model.save(tmp_path / "m", zipped=False), NotSupported, "zipped=False"),
            (lambda: model.save_weights(tmp_path / "w.h5"), NotSupported, ".weights.h5 .npz .safetensors"),
            (lambda: model.save_weights(tmp_path / "w.npz", max_shard_size=1), NotSupported, "max_shard_size"),
            (lambda: rnnref.Sequential([layers.Dense(2)]).save(tmp_path / "m.keras"), ShapeError, "no weights yet"),
            (lambda: save_model({"W": 1}, tmp_path / "m.keras"), NotSupported, "a dict, expected a model"),
            (lambda: model.save(tmp_path / "no" / "m.keras"), MissingFile, "no folder"),
            (lambda: rnnref.Sequential([rnnref.Input((2,)), layers.Lambda(lambda x: x)]).save(tmp_path / "m.keras"),
             NotSupported, "lambda")):
        with pytest.raises(error, match=says):
            call()
        assert os.listdir(tmp_path) == []
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "w.npz")
    for call in (lambda: model.save(tmp_path / "m.keras", overwrite=False),
                 lambda: model.save_weights(tmp_path / "w.npz", overwrite=False)):
        with pytest.raises(FileError, match="there already"):
            call()


def test_half_precision_comes_back(tmp_path):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    model = rnnref.Sequential([rnnref.Input((3,), dtype="bfloat16"), layers.Dense(2, dtype="bfloat16")])
    for ending in ENDINGS:
        model.save_weights(tmp_path / f"w{ending}")
        again = rnnref.Sequential([rnnref.Input((3,), dtype="bfloat16"), layers.Dense(2, dtype="bfloat16")])
        again.load_weights(tmp_path / f"w{ending}")
        assert again.weights[0].dtype == bfloat16 and (again.get_weights()[0] == model.get_weights()[0]).all()


def test_training_goes_on_as_without_a_break(tmp_path):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(16, 4, 3)).astype("float32"), rng.normal(size=(16, 2)).astype("float32")
    trained = {"epochs": 2, "batch_size": 4, "shuffle": False, "verbose": 0}
    schedule = rnnref.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)
    for optimizer in (rnnref.optimizers.Adam(0.02, use_ema=True), rnnref.optimizers.SGD(schedule, momentum=0.9)):
        model = chain()
        model.compile(optimizer, "mse", metrics=["mae"])
        model.fit(x, y, **trained)
        model.save(tmp_path / "m.keras")
        again = load_model(tmp_path / "m.keras")
        model.save_weights(tmp_path / "m.weights.h5")
        other = chain()
        other.compile(type(optimizer).from_config(optimizer.get_config()), "mse", metrics=["mae"])
        other.optimizer.build(other.trainable_weights)
        other.load_weights(tmp_path / "m.weights.h5")
        whole = model.fit(x, y, **trained).history
        for one in (again, other):
            assert one.fit(x, y, **trained).history == whole
            assert_same(one.get_weights(), model.get_weights())
        plain = load_model(tmp_path / "m.keras", compile=False)
        assert plain.optimizer is None and not plain.compiled
        model.compile("rmsprop", "mse")
        model.optimizer.build(model.trainable_weights)
        with pytest.warns(UserWarning, match="its .* variables are not the .* in the file"):
            model.load_weights(tmp_path / "m.weights.h5")


def test_what_is_not_there_can_be_left_out(tmp_path):
    model = chain()
    model.compile("sgd", "mse")
    model.save(tmp_path / "m.keras")
    path = tmp_path / "other.keras"
    with zipfile.ZipFile(tmp_path / "m.keras") as archive, zipfile.ZipFile(path, "w") as other:
        other.writestr("config.json", archive.read("config.json").replace(b'"SGD"', b'"Nadam"'))
        other.writestr("model.weights.h5", archive.read("model.weights.h5"))
    with pytest.raises(NotSupported, match="Nadam(.|\n)*compile=False"):
        load_model(path)
    assert_same(load_model(path, compile=False).get_weights(), model.get_weights())


def of_our_cells():
    stack = layers.RNN([cells.LSTM(peepholes=True, projection=2), cells.GRU(reset="before")], units=3, seed=1,
                       return_sequences=True)
    return rnnref.Sequential([rnnref.Input((4, 3)), stack, layers.RNN(tf1.GRUCell(2)), layers.Dense(2)])


def test_cells_of_ours_and_of_tf1_come_back(tmp_path):
    model, x = of_our_cells(), np.random.default_rng(1).normal(size=(2, 4, 3)).astype("float32")
    model.save(tmp_path / "m.keras")
    assert_same(load_model(tmp_path / "m.keras")(x), model(x))


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_an_error_leaves_the_last_file(tmp_path, monkeypatch, where):
    model = chain()
    saved = {"m.keras": model.save, **{f"w{ending}": model.save_weights for ending in ENDINGS}}
    for name, save in saved.items():
        save(tmp_path / name)
    before = {name: (tmp_path / name).read_bytes() for name in saved}
    model.set_weights([a + 1 for a in model.get_weights()])

    def fail(*args):
        raise KeyboardInterrupt
    monkeypatch.setattr(os, where, fail)
    for name, save in saved.items():
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path / name)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


# Files that do harm

def whole(tmp_path):
    chain().save(tmp_path / "whole.keras")
    with zipfile.ZipFile(tmp_path / "whole.keras") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def changed(tmp_path, config=None, **members):
    """A file with other members, or with a configuration that a function has changed."""
    found = whole(tmp_path) | {name.replace("__", "."): data for name, data in members.items()}
    if config is not None:
        tree = json.loads(found["config.json"])
        found["config.json"] = json.dumps(config(tree) or tree).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in found.items():
            if data is not None:
                archive.writestr(name, data)
    return out.getvalue()


def first_layer(**row):
    return lambda tree: tree["config"]["layers"][1].update(row)


def option(**options):
    return lambda tree: tree["config"]["layers"][1]["config"].update(options)


HARM = {
    "no configuration": {"config__json": None}, "no weights": {"model__weights__h5": None},
    "text": {"config__json": b"hello"}, "a list": {"config__json": b"[]"}, "deep": {"config__json": b"[" * 100000},
    "not Unicode": {"config__json": b"\xff\xfe{"}, "junk for weights": {"model__weights__h5": b"junk"},
    "weights that are too large": {"config": option(units=1_000_000_000)},
    "another size": {"config": option(units=3)},
    "an option that is not there": {"config": option(colour="red")}, "a number as text": {"config": option(units="2")},
    "a class of the library": {"config": first_layer(module="rnnref.files.zips", class_name="ZipFile",
                                                     config={"file": "victim", "mode": "w"}, registered_name=None)},
    "a module that runs": {"config": first_layer(module="rnnref.__main__", class_name="main", config={})},
    "a module of Python": {"config": first_layer(module="os", class_name="system", config={"command": "touch victim"})},
    "a class imported by a room": {"config": first_layer(module="rnnref.layers.config", class_name="ContextVar",
                                                         config={"name": "x"}, registered_name=None)},
    "a function": {"config": option(activation={"module": "builtins", "class_name": "function", "config": "eval",
                                                "registered_name": "eval"})},
    "a lambda": {"config": first_layer(class_name="Lambda", registered_name=None, config={"function": {
        "class_name": "__lambda__", "config": {"code": "4wAAAA==", "defaults": None, "closure": None}}})},
    "a cell of ours that is too large": {"config": first_layer(
        class_name="RNN", registered_name=None, config=json.loads(json.dumps(
            layers.RNN([cells.LSTM(), cells.GRU()], units=10 ** 9).get_config())))},
    "no name": {"config": lambda tree: tree["config"]["layers"][1].pop("class_name") and None},
}


@pytest.mark.parametrize("name", HARM)
def test_a_file_that_does_harm(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.keras").write_bytes(changed(tmp_path, **HARM[name]))
    with bounded(memory=1e8), pytest.raises((FileError, NotSupported, ShapeError, DtypeError)) as error:
        load_model(tmp_path / "bad.keras")
    assert "bad.keras" in str(error.value) or not isinstance(error.value, FileError)
    assert not (tmp_path / "victim").exists()


def test_what_is_no_model_file(tmp_path):
    with pytest.raises(NotSupported, match="a model of Keras 2(.|\n)*save\\("):
        load_model(tmp_path / "m.h5")
    with pytest.raises(NotSupported, match="names that end in|files that end in .keras"):
        load_model(tmp_path / "m")
    with pytest.raises(MissingFile, match="m.keras"):
        load_model(tmp_path / "m.keras")
    for ending in (*ENDINGS, ".keras"):
        path = tmp_path / f"junk{ending}"
        path.write_bytes(b"junk" * 9)
        with pytest.raises(FileError, match="junk"):
            chain().load_weights(path)
    with pytest.raises(NotSupported, match=".h5 files are of Keras 2"):
        chain().load_weights(tmp_path / "old.h5")
