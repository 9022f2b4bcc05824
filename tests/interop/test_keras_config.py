"""What files of Keras say of their layers is honoured: activations, form of the reset, direction, version."""
import io
import json

import numpy as np
import pytest

import rnnref
from rnnref import NotSupported, ShapeError
from rnnref.errors import FileError
from rnnref.interop import cell_for, find_weights, pieces
from tests.support.hostile_files import zipped
from tests.support.weights import U, arrays_of

h5py = pytest.importorskip("h5py")


def write(path, layers, arrays, version="2.6.0", **attributes):
    """A file .h5 as Keras 2 writes one."""
    with h5py.File(path, "w") as file:
        if version:
            file.attrs["keras_version"] = version
        if layers is not None:
            file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": layers}})
        for name, a in arrays.items():
            file[f"model_weights/{name}:0"] = a
    return path


def layer(kind, name, **config):
    """A layer, as Keras writes what computes of it."""
    if kind not in ("LSTM", "GRU", "SimpleRNN") and not kind.startswith("CuDNN"):
        return {"class_name": kind, "config": {"name": name, "merge_mode": "concat", **config}}
    cuda, family = kind.startswith("CuDNN"), kind.removesuffix("Cell")
    whole = {"units": U} | ({} if kind.endswith("Cell") else {"go_backwards": False})
    whole |= {} if cuda else {"activation": "tanh", "use_bias": True}
    whole |= {} if cuda or family == "SimpleRNN" else {"recurrent_activation": "sigmoid"}
    whole |= {"reset_after": True} if family == "GRU" else {}
    return {"class_name": kind, "config": {"name": name, **whole, **config}}


def under(place, family, table="keras2"):
    return {f"{place}/{n}": a for n, a in arrays_of(family, table).items()}


def test_activations_direction_and_reset(tmp_path):
    layers = [layer("LSTM", "one", recurrent_activation="sigmoid", activation="relu", go_backwards=True),
              layer("GRU", "two", recurrent_activation="hard_sigmoid", reset_after=False),
              layer("SimpleRNN", "three", activation={"class_name": "function", "config": "elu"})]
    path = write(tmp_path / "m.h5", layers, under("one/one/lstm_cell", "lstm") | under("two/two/gru_cell", "gru before")
                 | under("three/three/c", "rnn"))
    found = find_weights(path)
    cells = {"one": ("lstm", {"gate": "sigmoid", "candidate": "relu", "output": "relu"}, True),
             "two": ("gru before", {}, False), "three": ("rnn", {"activation": "elu"}, False)}
    assert [place.split("/")[1] for place in found] == list(cells)
    for w, (family, options, reverse) in zip(found.values(), cells.values()):
        assert w.cell == cell_for(family, "keras2", **options) and w.reverse == reverse
    with pytest.raises(NotSupported, match=r'gate=hard_sigmoid(.|\n)*pieces\(..., "gru before", "keras2"\)'):
        pieces(path, "gru before", "keras")
    with pytest.raises(NotSupported, match="its file says of LSTM 'one': candidate=relu"):
        pieces(path, "lstm", "keras", candidate="tanh")
    assert pieces(path, "lstm", "keras", candidate="relu", output="relu")["model_weights/one/one/lstm_cell/"].reverse
    with pytest.raises(ShapeError, match="its file says: LSTM 'one', GRU 'two', SimpleRNN 'three'"):
        pieces(path, "gru", "keras2")


def test_without_biases_the_file_tells_the_form_of_the_reset(tmp_path):
    arrays = {n: a for n, a in under("g/g", "gru").items() if not n.endswith("bias")}
    for after, family in ((True, "gru"), (False, "gru before")):
        path = write(tmp_path / "g.h5", [layer("GRU", "g", reset_after=after, use_bias=False)], arrays)
        (w,) = find_weights(path).values()
        assert w.layout.family == family
        with pytest.raises(ShapeError, match="its file says: GRU 'g'"):
            pieces(path, "gru before" if after else "gru", "keras2")


@pytest.mark.parametrize("backward", [False, True])
def test_bidirectional(tmp_path, backward):
    config = {"layer": layer("LSTM", "lstm", activation="relu")}
    if backward:
        config["backward_layer"] = layer("LSTM", "other", activation="tanh", go_backwards=True)
    arrays = under("bi/forward_lstm/c", "lstm") | under(f"bi/backward_{'other' if backward else 'lstm'}/c", "lstm")
    path = write(tmp_path / "b.h5", [layer("Bidirectional", "bi", **config)], arrays)
    found = {w.reverse: str(w.cell.rule.candidate) for w in find_weights(path).values()}
    assert found == {False: "relu", True: "tanh" if backward else "relu"}


def test_versions_without_a_configuration(tmp_path):
    """Gates have hard_sigmoid by default up to 2.2, sigmoid from 2.3 on, and either in tf.keras 2.2.4."""
    tables = {"2.6.0": ("keras", "keras2"), "2.2.4": ("keras2", "keras"), "3.1.0": ("keras", "keras2")}
    for version, (right, wrong) in tables.items():
        path = write(tmp_path / "w.h5", None, under("lstm/lstm", "lstm"), version)
        assert [w.layout.framework for w in find_weights(path).values()] == [right]
        assert len(pieces(path, "lstm", right)) == 1 == len(pieces(path, "lstm", wrong, gate="sigmoid"))
        with pytest.raises(NotSupported, match=f'in a file of Keras {version}(.|\n)*"{right}"'):
            pieces(path, "lstm", wrong)
        rnn = write(tmp_path / "r.h5", None, under("rnn/rnn", "rnn"), version)
        assert len(pieces(rnn, "rnn", "keras")) == 1 == len(pieces(rnn, "rnn", "keras2"))      # it has no gates
    path = write(tmp_path / "w.h5", None, under("lstm/lstm", "lstm"), "2.2.4-tf")
    assert len(pieces(path, "lstm", "keras")) == 1 == len(pieces(path, "lstm", "keras2"))


def test_what_cannot_be_honoured_is_refused(tmp_path):
    path = write(tmp_path / "m.h5", [layer("LSTM", "a", activation="gelu")], under("a/a", "lstm"))
    with pytest.raises(NotSupported, match="Keras LSTM 'a': activation=gelu, as its file says"):
        pieces(path, "lstm", "keras")
    two = [layer("LSTM", "a", activation="relu"), {"class_name": "Model", "config": {"name": "m", "layers": [
        layer("LSTM", "a", activation="tanh")]}}]
    with pytest.raises(FileError, match="layers of one name that are not alike"):
        pieces(write(tmp_path / "m.h5", two, under("a/a", "lstm")), "lstm", "keras")
    deep = layer("LSTM", "a")
    for n in range(150):
        deep = {"class_name": "Model", "config": {"name": "m", "layers": [deep]}}
    with pytest.raises(FileError, match="layers within layers"):
        pieces(write(tmp_path / "m.h5", [deep], under("a/a", "lstm")), "lstm", "keras")
    for text in ("{", "[" * 100_000, "3"):
        with h5py.File(tmp_path / "j.h5", "w") as file:
            file.attrs.create("model_config", text) if len(text) < 9 else file.create_group("g")
            file["lstm/kernel"] = np.ones((3, 16))
            if len(text) > 9:                     # too long for an attribute in one place
                file.attrs["model_config"] = h5py.Empty("f4")
        with pytest.raises(rnnref.Error):
            pieces(tmp_path / "j.h5", "lstm", "keras")


def test_a_wrong_direction_is_not_lost_in_lists_and_reprs(tmp_path):
    path = write(tmp_path / "m.h5", [layer("GRU", "g", go_backwards=True, reset_after=True)], under("g/g", "gru"))
    (w,) = pieces(path, "gru", "keras2", ).values()
    assert w.reverse and repr(w).startswith("Weights(keras2 gru, reverse: ")


# what no Keras writes, and the words of its refusal

def keras_file(path, family, item, version="3.5.0"):
    """A file .keras of one layer, with its arrays under layers/own."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        for k, a in enumerate(arrays_of(family, "keras").values()):
            file[f"layers/own/cell/vars/{k}"] = a
    model = item if isinstance(item, str) else json.dumps({"class_name": "Sequential", "config": {"layers": [item]}})
    path.write_bytes(zipped(("model.weights.h5", out.getvalue()), ("config.json", model.encode()),
                            ("metadata.json", json.dumps({"keras_version": version}).encode())))
    return path


KINDS = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn"}


def refuse_item(tmp_path, family, item, *words, **options):
    """From either kind of file."""
    files = [keras_file(tmp_path / "m.keras", family, item, **options)]
    if not isinstance(item, str):
        arrays = {name.replace("own/", "own/own/"): a for name, a in under("own", family, "keras").items()}
        files.append(write(tmp_path / "m.h5", [item], arrays))
    for path in files:
        with pytest.raises((FileError, NotSupported)) as caught:
            find_weights(path)
        assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_what_keras_writes_is_read(tmp_path, kind):
    for item in (layer(kind, "own"), {**layer(kind, "own"), "module": "keras.layers", "registered_name": None},
                 layer(kind, "own", dropout=0.2, seed=None, time_major=False, go_backwards=0, trainable=True)):
        for path in (keras_file(tmp_path / "m.keras", KINDS[kind], item), write(
                tmp_path / "m.h5", [item], under("own/own", KINDS[kind], "keras"))):
            (w,) = find_weights(path).values()
            assert w.cell == cell_for(KINDS[kind], "keras") and not w.reverse


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", ("3.15.0", "2.6.0", "2.2.4", ""))
def test_a_key_that_is_missing_is_the_default_of_the_version_or_refused(tmp_path, kind, version):
    """Gates have sigmoid from 2.3 on; GRU resets after the product in Keras 3; else either has been a default."""
    item = layer(kind, "own")
    assert len(item["config"]) == {"LSTM": 6, "GRU": 7, "SimpleRNN": 5}[kind]
    refused = {"name"} | ({"recurrent_activation"} if version in ("2.2.4", "") else set()) | (
        {"reset_after"} if version != "3.15.0" else set())
    table = "keras" if version[:1] == "3" else "keras2"
    for name in item["config"]:
        config = {n: value for n, value in item["config"].items() if n != name}
        path = write(tmp_path / "m.h5", [{**item, "config": config}], under("own/own", KINDS[kind], table), version)
        if name in refused:
            with pytest.raises(FileError, match=f"has no {name} in the configuration of its"):
                pieces(path, KINDS[kind], table)
        else:
            (w,) = pieces(path, KINDS[kind], table).values()
            options = {} if kind == "SimpleRNN" else {"gate": "sigmoid"}
            assert w.cell == cell_for(KINDS[kind], table, **options) and not w.reverse


def test_a_model_without_the_name_of_its_class(tmp_path):
    path = write(tmp_path / "m.h5", [layer("LSTM", "own", activation="relu")], under("own/own", "lstm", "keras"))
    with h5py.File(path, "a") as file:
        model = json.loads(file.attrs["model_config"])
        file.attrs["model_config"] = json.dumps({"config": model["config"]})
    (w,) = find_weights(path).values()
    assert str(w.cell.rule.candidate) == "relu"


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_keras_does_not_have(tmp_path, kind):
    for name in ("peepholes", "inner_activation", "layer_norm", "forget_bias", "Activation", "filters"):
        item = layer(kind, "own", **{name: 1})
        refuse_item(tmp_path, KINDS[kind], item, f"{kind} 'own' has {name} in")
    others = {"LSTM": ["reset_after"], "GRU": ["unit_forget_bias"],
              "SimpleRNN": ["recurrent_activation", "reset_after", "unit_forget_bias"]}
    for name in others[kind]:
        refuse_item(tmp_path, KINDS[kind], layer(kind, "own", **{name: True}), f"{kind} 'own' has {name} in")


@pytest.mark.parametrize("kind", KINDS)
def test_values_of_other_kinds(tmp_path, kind):
    flags = ["go_backwards", "use_bias", "unroll", "stateful", "trainable"]
    flags += {"GRU": ["reset_after"], "LSTM": ["unit_forget_bias"]}.get(kind, [])
    for name in flags:
        for value in ("no", "False", None, 2, 0.0, [], {}):
            item = layer(kind, "own", **{name: value})
            refuse_item(tmp_path, KINDS[kind], item, f"{name}=", "expected true or false")
    for value in ("4", None, 4.0, True, 0, -4, [4], float("inf"), {}):
        refuse_item(tmp_path, KINDS[kind], layer(kind, "own", units=value), "units=", "an integer, 1 or more")
    for name in ("activation", "recurrent_activation")[:1 + (kind != "SimpleRNN")]:
        for value in (3, True, [], ["tanh"], {}, "", "TANH", {"class_name": "tanh", "config": {"a": 1}},
                      {"class_name": "function", "config": "tanh", "module": "my.own"},
                      {"class_name": "function", "config": "tanh", "registered_name": "my>tanh"},
                      {"class_name": "function", "config": {"name": "tanh"}},
                      {"class_name": "LeakyReLU", "config": {"negative_slope": 0.1}}, float("inf")):
            refuse_item(tmp_path, KINDS[kind], layer(kind, "own", **{name: value}), f"{kind} 'own': {name}=", "known")
    refuse_item(tmp_path, KINDS[kind], layer(kind, 3), "name=3", "expected a name")


@pytest.mark.parametrize("kind", KINDS)
def test_a_configuration_of_other_arrays(tmp_path, kind):
    refuse_item(tmp_path, KINDS[kind], layer(kind, "own", units=U + 1), f"have {U} units", f"{kind} 'own': {U + 1}")
    refuse_item(tmp_path, KINDS[kind], layer(kind, "own", use_bias=False), "has a bias", "use_bias=False")
    refuse_item(tmp_path, KINDS[kind], layer(kind, "another"), "does not tell the options of the layer", "'another'")


@pytest.mark.parametrize("kind", KINDS)
def test_layers_that_are_not_those_of_keras(tmp_path, kind):
    """Of the name of one, or with one of them inside."""
    own = layer(kind, "own")
    for item in ({**own, "module": "my.layers"}, {**own, "registered_name": f"Custom>{kind}"},
                 layer(f"My{kind}", "own"),
                 {**own, "class_name": kind.lower()}, {"class_name": "Encoder", "config": {"name": "own", "units": U}}):
        refuse_item(tmp_path, KINDS[kind], item, "does not tell the options of the layer", item["class_name"])


def test_structures_that_keras_does_not_have(tmp_path):
    own = layer("LSTM", "own")
    for item, words in ((None, "is null"), (3, "is an int"), ([], "is a list"), ({}, "class_name=None"),
                        ({**own, "class_name": 3}, "class_name=3"), ({**own, "config": []}, "is a list"),
                        ({**own, "config": None}, "is null"), ({"class_name": "LSTM"}, "is null"),
                        ({"class_name": "Bidirectional", "config": {"name": "own", "merge_mode": "sum"}},
                         "layer of the Bidirectional"),
                        ({"class_name": "Bidirectional", "config": {
                            "name": "own", "layer": own, "backward_layer": 3, "merge_mode": None}},
                         "backward_layer of 'own' is an int"),
                        ({"class_name": "RNN", "config": {"name": "own", "cell": [own]}}, "cell of the RNN 'own'"),
                        ({"class_name": "RNN", "config": {"name": "own", "cell": {
                            "class_name": "StackedRNNCells", "config": {"name": "s", "cells": own}}}}, "cells of the"),
                        ({"class_name": "Sequential", "config": {"name": "own"}}, "layers of the Sequential 'own'")):
        refuse_item(tmp_path, "lstm", item, words, "expected")
    twice = '{"class_name": "LSTM", "class_name": "GRU"}'
    for text, words in (("[]", "is a list"), ("null", "is null"), ("3", "is an int"), ('"x"', "is a str"),
                        ("{}", "class_name=None"), (twice, "'class_name' twice")):
        refuse_item(tmp_path, "lstm", text, words)
    for version in ("x", "", "-1", None, 3, []):
        refuse_item(tmp_path, "lstm", json.dumps(own), f"keras_version={version!r}", version=version)


def test_convolutions(tmp_path):
    def item(**changed):
        config = layer("LSTM", "own")["config"] | {"filters": U, "kernel_size": [3, 3], "strides": [1, 1],
                                                   "padding": "same", "dilation_rate": [1, 1]}
        del config["units"]
        return {"class_name": "ConvLSTM2D", "config": {**config, **changed}}
    arrays = under("own/own", "conv lstm", "keras")
    size = list(arrays["own/own/kernel"].shape[:-2])
    name = f"ConvLSTM{len(size)}D"
    (w,) = find_weights(write(tmp_path / "c.h5", [{**item(kernel_size=size), "class_name": name}], arrays)).values()
    assert w.layout.family == "conv lstm"
    for changed in ({"strides": "2"}, {"strides": [0]}, {"dilation_rate": [1.5]}, {"kernel_size": None},
                    {"padding": "causal"}, {"padding": 3}, {"filters": None}, {"units": U}):
        with pytest.raises(FileError, match=next(iter(changed))):
            find_weights(write(tmp_path / "c.h5", [item(**changed)], arrays))


def test_the_merge_mode_is_told(tmp_path):
    arrays = under("bi/forward_lstm/c", "lstm", "keras") | under("bi/backward_lstm/c", "lstm", "keras")
    for merge in ("sum", "concat", "mul", "ave", None):
        item = layer("Bidirectional", "bi", layer=layer("LSTM", "lstm"), merge_mode=merge)
        path = write(tmp_path / "b.h5", [item], arrays)
        assert [w.merge for w in find_weights(path).values()] == [str(merge)] * 2
        found = rnnref.convert(path, "torch", live=False)
        assert any(f"merge_mode='{merge}'" in note for note in found.notes) == (merge != "concat"), found.notes
        assert rnnref.convert(path, "keras", live=False).options.get("model_weights/bi/c, forward", {}) == (
            {"merge_mode": str(merge)} if merge != "concat" else {})
        assert rnnref.compare(path, found.stacks[0].layers, gradients=False).ok
        torch = found.stacks[0].layers[0]
        other = [tuple(w._replace(merge="concat") for w in torch)]
        assert rnnref.compare(path, other, gradients=False).ok == (merge == "concat")
    for merge in ("nix", "", 3, []):
        item = layer("Bidirectional", "bi", layer=layer("LSTM", "lstm"), merge_mode=merge)
        with pytest.raises(FileError, match="merge_mode="):
            find_weights(write(tmp_path / "b.h5", [item], arrays))
