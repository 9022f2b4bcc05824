"""Weights out of files and nodes, and the table that says which array is which."""
import sys

import numpy as np
import pytest

from rnnref import MissingExtra, NotSupported, interop
from rnnref.interop import cell_for, explain_weights, pieces, read_onnx_node
from rnnref.testing.assertions import assert_same
from tests.support.weights import arrays_of

EXPLAINED = {                                     # cases of questions on the web: which array is which
    "keras#3088": ("lstm", "keras", ["[0:3, 4:8]    W_f  forget gate", "f = sigmoid(x W_f + h R_f + b_f)"]),
    "tensorflow#14223": ("lstm", "tf1", ["[0:3, 8:12]   W_f  forget gate", "[3:7, 8:12]   R_f", "h R_f + b_f + 1)"]),
    "onnx": ("lstm", "onnx", ["[0, 4:8, 0:3]    W_o transposed  output gate", "[0, 24:28]       bR_f"]),
    "torch GRU": ("gru", "torch", ["n = tanh(x W_n + b_n + r (h R_n + bR_n))", "[4:8, 0:3]   W_z transposed"]),
    "flax GRU": ("gru", "flax", ["r = sigmoid(x W_r + h R_r + b_r)", "n = tanh(x W_n + b_n + r (h R_n + bR_n))"]),
    "nnx GRU": ("gru", "nnx", ["n = tanh(x W_n + b_n + r (h R_n))"]),
    "Keras 2": ("lstm", "keras2", ["hard_sigmoid(alpha=0.2, beta=0.5)(x W_i"]),
    "GRU before": ("gru before", "tf1", ["n = tanh(x W_n + (r h) R_n + b_n)"]),
}


@pytest.mark.parametrize("name", EXPLAINED)
def test_explain_weights(name):
    family, framework, pieces_ = EXPLAINED[name]
    text = explain_weights(family, framework, arrays_of(family, framework))
    for piece in pieces_:
        assert piece in text, text


def test_explain_options():
    arrays = arrays_of("lstm", "tf1", peepholes=True, projection=2, projection_clip=0.5)
    text = explain_weights("lstm", "tf1", arrays, projection_clip=0.5, cell_clip=3.0)
    for piece in ("sigmoid(x W_o + h R_o + b_o + Wpo c')", "(o tanh(c')) P, limited to +-0.5", "+-3", "Wpf c + 1"):
        assert piece in text, text
    text = explain_weights("lstm", "onnx", arrays_of("lstm", "onnx"), coupled="forget")
    assert "f = 1 - i" in text and "W_f transposed  forget gate, not used: it is coupled" in text


def save(kind, path, arrays):
    if kind == ".npz":
        np.savez(path, **arrays)
    elif kind == ".safetensors":
        from safetensors.numpy import save_file
        save_file(arrays, path)
    else:
        import h5py
        with h5py.File(path, "w") as file:
            for name, a in arrays.items():
                file[name] = a


@pytest.mark.parametrize("kind", [".npz", ".safetensors", ".h5"])
def test_files(kind, tmp_path):
    arrays = arrays_of("lstm", "torch")
    save(kind, tmp_path / f"w{kind}", {f"net.rnn.{n[:-1]}1_reverse": a for n, a in arrays.items()}
         | {"net.head.weight": np.ones((2, 4))})
    found = pieces(tmp_path / f"w{kind}", "lstm", "torch")
    assert list(found) == ["net.rnn._l1_reverse"]
    assert_same(found["net.rnn._l1_reverse"].arrays, arrays)
    assert set(found["net.rnn._l1_reverse"].renamed(arrays)) == {f"net.rnn.{n[:-1]}1_reverse" for n in arrays}


def test_files_of_keras(tmp_path):
    lstm, gru = arrays_of("lstm", "keras2"), arrays_of("gru before", "keras2")
    save(".h5", tmp_path / "two.h5", {f"lstm_1/lstm_1/{n}:0": a for n, a in lstm.items()}
         | {f"gru_1/gru_1/{n}:0": a for n, a in gru.items()} | {"dense/kernel:0": np.ones((2, 2))})
    found = pieces(tmp_path / "two.h5", "lstm", "keras2")
    assert list(found) == ["lstm_1/lstm_1/"] and found["lstm_1/lstm_1/"].cell == cell_for("lstm", "keras2")
    assert_same(found["lstm_1/lstm_1/"].arrays, lstm)
    save(".h5", tmp_path / "three.weights.h5", {f"layers/lstm/cell/vars/{n}": a for n, a in enumerate(lstm.values())}
         | {"layers/dense/vars/0": np.ones((2, 2)), "layers/dense/vars/1": np.ones(2)})
    assert_same(pieces(tmp_path / "three.weights.h5", "lstm", "keras")["layers/lstm/cell/"].arrays, lstm)


def test_pieces_of_get_weights_and_of_layers_without_biases():
    arrays = arrays_of("lstm", "keras")
    assert_same(pieces(list(arrays.values()), "lstm", "keras")[""].arrays, arrays)
    del arrays["bias"]
    found = pieces(arrays, "lstm", "keras")[""]
    assert found.load().keys() == {"W", "R"}
    nested = {"params": {"cell": {"i": {"kernel": np.ones((3, 4))}, "h": {"kernel": np.ones((4, 4))}}}}
    found = pieces(nested, "rnn", "flax")
    assert list(found) == ["params/cell/"]


def test_a_projection_is_not_another_layer():
    arrays = {f"rnn/lstm_cell/{n}": a for n, a in arrays_of("lstm", "tf1", projection=2, peepholes=True).items()}
    found = pieces(arrays, "lstm", "tf1")
    assert list(found) == ["rnn/lstm_cell/"]
    assert found["rnn/lstm_cell/"].cell == cell_for("lstm", "tf1", projection=2, peepholes=True)


def test_missing_packages_and_files(tmp_path, monkeypatch):
    for name in ("safetensors", "safetensors.numpy", "h5py"):
        monkeypatch.setitem(sys.modules, name, None)
    for kind, package in ((".safetensors", "safetensors"), (".h5", "h5py")):
        with pytest.raises(MissingExtra, match=rf'needs the package {package}(.|\n)*pip install {package}; or in'):
            interop.read(tmp_path / f"w{kind}")
    with pytest.raises(NotSupported, match="a file '.bin'"):
        interop.read("model.bin")
    with pytest.raises(NotSupported, match="a list"):
        interop.weights_of([])


def test_onnx_node():
    from onnx import helper, numpy_helper
    arrays = arrays_of("gru", "onnx")
    both = {n: np.concatenate([a, 2 * a]) for n, a in arrays.items()}
    node = helper.make_node("GRU", ["x", "w", "r", "b"], ["y"], hidden_size=4, linear_before_reset=1,
                            direction="bidirectional")
    graph = helper.make_graph([node], "g", [], [], [numpy_helper.from_array(a, n.lower()) for n, a in both.items()])
    (ahead, back), = read_onnx_node(node, helper.make_model(graph))
    assert_same((ahead.arrays, back.arrays), (arrays, {n: 2 * a for n, a in arrays.items()}))
    assert ahead.layout.family == "gru" and ahead.cell == cell_for("gru", "onnx")
    with pytest.raises(NotSupported, match="w: no initialiser"):
        read_onnx_node(node, {n: a for n, a in both.items()} | {"r": 1, "b": 1})
    node = helper.make_node("LSTM", ["x", "W", "R"], ["y"], input_forget=1)
    part = read_onnx_node(node, {n: a for n, a in arrays_of("lstm", "onnx").items() if n != "B"})[0][0]
    assert part.cell.rule.coupled == "forget" and part.load().keys() == {"W", "R"}
    node = helper.make_node("LSTM", ["x", "W", "R"], ["y"], clip=3.0)
    with pytest.raises(NotSupported, match="clip=3.0"):
        read_onnx_node(node, arrays_of("lstm", "onnx"))
