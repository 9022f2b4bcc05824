"""Layers and their weights in live models of torch, Keras and flax, and in the files that Keras makes of them."""
import os

import numpy as np
import pytest

import rnnref
from rnnref import NotSupported, ShapeError
from rnnref.interop import find_layers, find_weights, identify, weights_of
from rnnref.testing.assertions import assert_close, assert_same

torch = pytest.importorskip("torch")
os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

pytestmark = pytest.mark.peers
T, B, I, U = 5, 2, 3, 4


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(7, I)
        self.encoder = torch.nn.LSTM(I, U, 2, bidirectional=True)
        self.decoder = torch.nn.ModuleList([torch.nn.GRUCell(2 * U, U), torch.nn.GRUCell(U, U)])
        self.tied = self.decoder[1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")         # of torch.compile's own imports
def test_torch_model():
    net = Net()
    assert list(find_layers(net)) == ["encoder", "decoder.0", "decoder.1"]
    assert list(find_layers(net.encoder)) == [""] == list(find_layers(torch.compile(net.encoder)))
    found, of_state = find_weights(net), find_weights(net.state_dict())
    assert list(found) == ["encoder._l0", "encoder._l0_reverse", "encoder._l1", "encoder._l1_reverse", "decoder.0",
                           "decoder.1"]
    assert_same([w.arrays for w in found.values()], [w.arrays for w in list(of_state.values())[:6]])
    assert [w.reverse for w in found.values()] == [False, True, False, True, False, False]
    with pytest.raises(ShapeError, match="a torch Linear contains no recurrent layer"):
        find_weights(torch.nn.Linear(2, 3))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:torch.quantize:UserWarning")
def test_scripted_and_quantised():
    scripted = torch.jit.script(torch.nn.Sequential(torch.nn.Linear(2, I), torch.nn.GRU(I, U)))
    assert list(find_layers(scripted)) == ["1"] and identify(scripted[1]).kind == "layer"
    quantised = torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(torch.nn.LSTM(I, U)), {torch.nn.LSTM})
    assert identify(quantised[0]).kind == "quantized layer"


def make_model():
    layers = keras.layers
    gru = layers.GRU(5, reset_after=False, go_backwards=True, return_sequences=True, name="g")
    inner = keras.Sequential([keras.Input((T, 2 * U)), gru], name="inner")
    x = keras.Input((T, I))
    y = layers.Bidirectional(layers.LSTM(U, return_sequences=True, activation="relu",
                                         recurrent_activation="hard_sigmoid"), name="both")(x)
    y = layers.RNN([layers.LSTMCell(3, name="a"), layers.GRUCell(2, name="b")], name="stack")(inner(y))
    model = keras.Model(x, layers.Dense(2)(y))
    rng = np.random.default_rng(0)
    for v in model.weights:
        v.assign(rng.normal(size=v.shape) * 0.5)
    return model


@pytest.mark.parametrize("kind", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_files_of_keras_say_what_the_layers_are(kind, tmp_path):
    """The same cells, directions and weights from the file as from the live model; and the outputs of its layers."""
    model = make_model()
    model.save(tmp_path / f"m{kind}")
    live, found = find_weights(model), find_weights(tmp_path / f"m{kind}")
    assert len(live) == len(found) == 5
    for w in live.values():
        (own,) = [f for f in found.values() if f.arrays["kernel"].shape == w.arrays["kernel"].shape
                  and (f.arrays["kernel"] == w.arrays["kernel"]).all()]
        assert own.cell == w.cell and own.reverse == w.reverse and own.layout.family == w.layout.family
        assert_same(own.arrays, w.arrays)
    x = np.random.default_rng(1).normal(size=(B, T, I)).astype("float32")
    theirs = keras.ops.convert_to_numpy(model.get_layer("both")(x))
    ours = [rnnref.run(w.cell, w.load(), x.swapaxes(0, 1), reverse=w.reverse)[0] for w in list(live.values())[:2]]
    assert_close(np.concatenate(ours, -1).swapaxes(0, 1), theirs)


def test_places_of_a_live_keras_model():
    assert list(find_layers(make_model())) == ["both", "inner/g", "stack"]
    keras.utils.clear_session()
    assert list(find_weights(make_model())) == ["both/forward_lstm/lstm_cell", "both/backward_lstm/lstm_cell",
                                                "inner/g/gru_cell", "stack/stacked_rnn_cells/a",
                                                "stack/stacked_rnn_cells/b"]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_saved_convlstm(tmp_path):
    model = keras.Sequential([keras.Input((2, 6, 6, 3)), keras.layers.ConvLSTM2D(
        4, 3, strides=2, recurrent_activation="hard_sigmoid", activation="relu", return_sequences=True)])
    model.save(tmp_path / "m.keras")
    (w,), ((live,),) = find_weights(tmp_path / "m.keras").values(), weights_of(model.layers[0])
    assert w.cell == live.cell and w.layout.family == "conv lstm"
    assert_same(w.arrays, live.arrays)


def test_directions_of_single_layers():
    layer = keras.layers.LSTM(U, go_backwards=True)
    layer.build((B, T, I))
    assert weights_of(layer)[0][0].reverse
    jax, nn, nnx = (pytest.importorskip(name) for name in ("jax", "flax.linen", "flax.nnx"))
    for reverse in (False, True):
        module = nn.RNN(nn.LSTMCell(U), reverse=reverse)
        params = module.init(jax.random.PRNGKey(0), np.ones((B, T, I), "float32"))
        assert weights_of(module, params)[0][0].reverse is reverse
        module = nnx.RNN(nnx.GRUCell(I, U, rngs=nnx.Rngs(0)), reverse=reverse)
        assert weights_of(module)[0][0].reverse is reverse
    both = nnx.Bidirectional(*(nnx.RNN(nnx.GRUCell(I, U, rngs=nnx.Rngs(n))) for n in range(2)))
    assert [w.reverse for w in weights_of(both)[0]] == [False, True]


def test_nnx_model():
    nnx = pytest.importorskip("flax.nnx")

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.rnn = nnx.RNN(nnx.LSTMCell(I, U, rngs=rngs))
            self.head = nnx.Linear(U, 2, rngs=rngs)

    model = Model(nnx.Rngs(0))
    assert identify(model).kind == "model" and list(find_layers(model)) == ["rnn"]
    assert list(find_weights(model)) == ["rnn/cell"]
    with pytest.raises(NotSupported, match="function"):
        find_weights(len)
