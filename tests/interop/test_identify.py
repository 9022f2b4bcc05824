"""What objects and names stand for, and which layers are among named arrays."""
import numpy as np
import pytest

import rnnref
from rnnref import NotSupported, ShapeError
from rnnref.interop import (LAYOUTS, convert, explain_weights, family_named, find_weights, framework_named, identify,
                            layout_of, pieces, recognize)
from rnnref.testing.assertions import assert_same
from tests.support.weights import arrays_of

NAMES = {
    "torch": ["PyTorch", "TORCH", "torch.nn", "torch 2.13.0", "torch==2.1"],
    "keras": ["Keras3", "keras 3.15", "TF", "TensorFlow", "tensorflow2", "tf.keras", "Keras 2.6.0", "keras 2.3"],
    "keras2": ["Keras2", "keras 2.2.4", "keras-2.1"], "tf1": ["TF1", "tensorflow 1.15", "tf.compat.v1", "TensorFlow1"],
    "onnx": ["ORT", "onnxruntime", "ONNX"], "flax": ["linen", "flax.linen"], "nnx": ["flax.nnx", "NNX"],
    "torch cell": ["PyTorch cell", "torch_cell"],
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_frameworks(name):
    assert {framework_named(other) for other in (name, *NAMES[name])} == {name}


def test_every_table_is_found_by_its_names():
    for family, framework in LAYOUTS:
        assert layout_of(family.upper(), framework.title()) is LAYOUTS[family, framework]
    found = [family_named(n) for n in ("SimpleRNN", "LSTMCell", "ConvLSTM3D", "GRU")]
    assert found == ["rnn", "lstm", "conv lstm", "gru"]
    with pytest.raises(NotSupported, match="did you mean pytorch"):
        framework_named("pytoch")
    with pytest.raises(NotSupported, match="flax, nnx"):
        framework_named("jax")
    with pytest.raises(NotSupported, match="a kind of layers 'transformer'"):
        family_named("transformer")
    with pytest.raises(NotSupported, match="an int as a name"):
        framework_named(3)


def test_convert_takes_any_name():
    arrays = arrays_of("lstm", "tf1")
    assert_same(convert(arrays, "TensorFlow 1.15", "PyTorch", "LSTM"), convert(arrays, "tf1", "torch", "lstm"))


def test_identify_without_frameworks():
    one = np.ones((2, 3))
    kinds = {"arrays": {"a": one}, "list": [one], "array": one, "file": "model.keras", "function": len, "other": 3}
    assert {kind: identify(thing).kind for kind, thing in kinds.items()} == {kind: kind for kind in kinds}
    (w,) = pieces(arrays_of("lstm", "torch"), "lstm", "torch").values()
    assert identify(w) == ("weights", "torch", "weights of torch lstm")


UNIQUE = [(family, framework) for family, framework in LAYOUTS if framework in (
    "torch", "torch cell", "keras", "flax", "nnx", "onnx", "tf1") and (family, framework) not in (
        ("rnn", "tf1"), ("ugrnn", "flax"), ("gru before", "onnx"), ("conv lstm", "keras"), ("conv lstm", "flax"))]


@pytest.mark.parametrize("family, framework", UNIQUE)
def test_recognize(family, framework):
    """Arrays that only one table has are of that one, beside arrays of a dense layer and of another framework."""
    own = {f"part{'/' * (framework not in ('torch', 'torch cell')) or '.'}{n}": a
           for n, a in arrays_of(family, framework).items()}
    other = {"dense/kernel": np.ones((20, 8)), "dense/bias": np.ones(8), "out.weight": np.ones((16, 4))}
    (match,) = recognize(other | own)
    assert (match.family, match.framework) == (family, framework) and set(match.arrays) == set(own)


def test_nothing_found_says_what_fits():
    arrays = {f"enc.{n}": a for n, a in arrays_of("gru", "torch").items()}
    with pytest.raises(ShapeError, match=r"no torch lstm among 4 arrays(.|\n)*enc.weight_ih_l0 \(12, 3\)(.|\n)*"
                                         r"'enc._l0' is a torch gru(.|\n)*pieces\(..., \"gru\", \"torch\"\)"):
        pieces(arrays, "lstm", "torch")
    with pytest.raises(ShapeError, match='pieces.*"gru", "torch"'):
        pieces(arrays, "gru", "keras")
    with pytest.raises(ShapeError, match="their shapes fit: give them the names weight_ih weight_hh"):
        pieces({"enc_w_ih": np.ones((9, 3)), "enc_w_hh": np.ones((9, 3))}, "gru", "torch cell")
    with pytest.raises(ShapeError, match="no torch lstm among 0 arrays"):
        pieces({}, "lstm", "torch")


def test_a_dense_layer_is_no_lstm_of_tf1():
    lstm, gru = arrays_of("lstm", "tf1"), arrays_of("gru before", "tf1")
    dense = {"kernel": np.ones((20, 16)), "bias": np.zeros(16)}
    arrays = {f"{scope}/{n}": a for scope, part in {"rnn/lstm_cell": lstm, "dense": dense, "rnn/gru_cell": gru,
                                                    "decoder/output_projection": dense, "logits": dense,
                                                    "rnn/basic_rnn_cell": arrays_of("rnn", "tf1")}.items()
              for n, a in part.items()}
    assert list(pieces(arrays, "lstm", "tf1")) == ["rnn/lstm_cell/"]
    assert list(pieces(arrays, "gru before", "tf1")) == ["rnn/gru_cell/"]
    assert list(pieces(arrays, "rnn", "tf1")) == ["rnn/basic_rnn_cell/"]
    with pytest.warns(UserWarning, match="h1/ taken for tf1 lstm by the shape of one matrix"):
        found = pieces(arrays | {f"h1/{n}": a for n, a in dense.items()}, "lstm", "tf1")
    assert list(found) == ["rnn/lstm_cell/", "h1/"]


def test_lists_of_get_weights():
    one, two = arrays_of("lstm", "keras"), {n: 2 * a for n, a in arrays_of("lstm", "keras").items()}
    found = pieces([*one.values(), *two.values()], "lstm", "keras")
    assert list(found) == ["0/", "1/"]
    assert_same([w.arrays for w in found.values()], [one, two])
    without = [a for n, a in one.items() if n != "bias"]
    found = pieces(without * 2, "lstm", "keras")
    assert [sorted(w.arrays) for w in found.values()] == [["kernel", "recurrent_kernel"]] * 2
    assert_same(find_weights(list(one.values()), family="LSTM")[""].arrays, one)
    for given, number in (([*one.values(), np.ones((4, 2))], 4), (list(one.values())[::-1], 1),
                          (list(arrays_of("gru", "keras").values()), 1)):
        with pytest.raises(ShapeError, match=f"a list of {len(given)} arrays, of which number {number} does not begin"):
            pieces(given, "lstm", "keras")
    with pytest.raises(NotSupported, match="a list has no names"):
        find_weights(list(one.values()))


def test_find_weights_of_arrays_and_files(tmp_path):
    lstm, gru = arrays_of("lstm", "torch"), arrays_of("gru", "torch cell")
    state = {f"enc.{n}": a for n, a in lstm.items()} | {f"dec.cell.{n}": a for n, a in gru.items()}
    np.savez(tmp_path / "state.npz", **state)
    for source in (state, tmp_path / "state.npz", {"model": {n: a for n, a in state.items()}}):
        found = find_weights(source)
        assert [w.layout.who for w in found.values()] == ["torch lstm", "torch cell gru"]
        assert_same([w.arrays for w in found.values()], [lstm, gru])
    assert list(find_weights(state, family="GRU")) == ["dec.cell."]
    back = {f"{n}_reverse": a for n, a in lstm.items()}
    assert [w.reverse for w in find_weights(lstm | back).values()] == [False, True]


def test_npy(tmp_path):
    a = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "kernel.npy", a)
    assert_same(rnnref.interop.read(tmp_path / "kernel.npy"), {"kernel": a})
    np.save(tmp_path / "objects.npy", np.array({"a": a}, object), allow_pickle=True)
    with pytest.raises(rnnref.Error, match="holds Python objects, which are not read"):
        rnnref.interop.read(tmp_path / "objects.npy")
    (tmp_path / "half.npy").write_bytes((tmp_path / "kernel.npy").read_bytes()[:-8])
    with pytest.raises(rnnref.Error, match="half in .*half.npy has shape"):
        rnnref.interop.read(tmp_path / "half.npy")


def test_explain_weights_takes_a_list():
    arrays = arrays_of("lstm", "keras")
    assert explain_weights("LSTM", "Keras", list(arrays.values())) == explain_weights("lstm", "keras", arrays)
    assert_same(convert(list(arrays.values()), "keras", "torch", "lstm"), convert(arrays, "keras", "torch", "lstm"))
    with pytest.raises(ShapeError, match="a list of 2 layers"):
        convert(list(arrays.values()) * 2, "keras", "torch", "lstm")
