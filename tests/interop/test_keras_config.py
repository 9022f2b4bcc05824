"""What files of Keras say of their layers is honoured: activations, form of the reset, direction, version."""
import json

import numpy as np
import pytest

import rnnref
from rnnref import NotSupported, ShapeError
from rnnref.errors import FileError
from rnnref.interop import cell_for, find_weights, pieces
from tests.support.weights import arrays_of

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
    return {"class_name": kind, "config": {"name": name, **config}}


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
             "three": ("rnn", {"activation": "elu"}, False), "two": ("gru before", {}, False)}
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
