"""Converted weights in the frameworks themselves, and weights ported into live modules."""
import os
from importlib.util import find_spec

import numpy as np
import pytest

import rnnref
from rnnref import NotSupported, ShapeError
from rnnref.interop import LAYOUTS, port, weights_of
from rnnref.porting import NotRepresentable
from tests.support.weights import draw_weights

os.environ.setdefault("KERAS_BACKEND", "torch")   # before they are imported
os.environ.setdefault("JAX_PLATFORMS", "cpu")
pytestmark = pytest.mark.peers
PACKAGES = {"torch": "torch", "torch cell": "torch", "keras": "keras", "flax": "flax", "nnx": "flax",
            "nnx optimized": "flax", "equinox": "equinox", "haiku": "haiku", "mlx": "mlx"}
HERE = [key for key in LAYOUTS if key[1] in PACKAGES and find_spec(PACKAGES[key[1]]) and "conv" not in key[0]]


@pytest.mark.parametrize("key", HERE, ids=map(" ".join, HERE))
def test_from_every_framework_to_every_framework(key):
    """`convert` raises where a framework does not compute what our cell does with the weights of the source."""
    for family, to in HERE:
        if family == key[0]:
            try:
                found = rnnref.convert(draw_weights(*key, dtype="float32"), to)
            except NotRepresentable as e:
                assert (family, to) in (("gru", "nnx"), ("rnn", "haiku")) and e.notes["reason"]
                continue
            assert {f"{key[1]} {family}", f"{to} {family}"} <= {proof.form for proof in found.proof}


def randomize(module):
    import torch
    rng = np.random.default_rng(3)
    with torch.no_grad():
        for a in module.parameters():
            a.copy_(torch.tensor(rng.normal(size=a.shape) / 2))
    return module


def test_torch_and_keras_both_ways():
    import keras
    import torch
    gru = randomize(torch.nn.GRU(3, 4, bidirectional=True))
    layer = keras.layers.Bidirectional(keras.layers.GRU(4, return_sequences=True))
    layer.build((None, 5, 3))
    ported = port(gru, layer)
    assert ported.module is layer and ported.proof[-1].form == "the module Bidirectional"
    x = torch.tensor(np.random.default_rng(1).normal(size=(2, 5, 3)).astype("float32"))
    want, _ = gru(x.swapaxes(0, 1))
    assert abs(keras.ops.convert_to_numpy(layer(x)) - want.swapaxes(0, 1).detach().numpy()).max() < 1e-6
    other = torch.nn.GRU(3, 4, bidirectional=True)
    port(layer, other)
    assert all(torch.equal(a, b) for a, b in zip(gru.parameters(), other.parameters()))


def test_several_layers_and_a_projection():
    import torch
    lstm = randomize(torch.nn.LSTM(3, 4, 2, proj_size=2, batch_first=True))
    other = torch.nn.LSTM(3, 4, 2, proj_size=2)
    assert len(port(lstm, other).proof) == 2 * 3 + 1
    assert all(torch.equal(a, b) for a, b in zip(lstm.parameters(), other.parameters()))
    assert "torch lstm to keras" in refuse(NotRepresentable, lambda: rnnref.convert(lstm, "keras"))


def test_into_a_model():
    import torch
    gru, lstm = randomize(torch.nn.GRU(3, 4)), randomize(torch.nn.LSTM(4, 5, bidirectional=True))
    model = torch.nn.ModuleDict({"one": torch.nn.GRU(3, 4), "head": torch.nn.Linear(5, 1),
                                 "two": torch.nn.LSTM(4, 5, bidirectional=True)})
    source = torch.nn.ModuleList([gru, torch.nn.Linear(3, 3), lstm])
    port(source, model)
    assert all(torch.equal(a, b) for part, name in ((gru, "one"), (lstm, "two"))
               for a, b in zip(part.parameters(), model[name].parameters()))


def test_into_flax():
    import jax
    import torch
    from flax import linen, nnx
    lstm, x, h = randomize(torch.nn.LSTM(3, 4)), np.ones((2, 3), "float32"), np.full((2, 4), 0.3, "float32")
    want = lstm(torch.tensor(x[None]), (torch.tensor(h[None]), torch.tensor(h[None])))[0][0].detach().numpy()
    cell = nnx.LSTMCell(3, 4, rngs=nnx.Rngs(0))
    assert port(lstm, cell).module is cell
    assert abs(np.asarray(cell((h, h), x)[1]) - want).max() < 1e-6
    cell = linen.LSTMCell(4)
    params = port(lstm, cell, params=cell.init(jax.random.PRNGKey(0), (h, h), x)).params
    assert abs(np.asarray(cell.apply(params, (h, h), x)[1]) - want).max() < 1e-6
    back = torch.nn.LSTM(3, 4)
    port(cell, back, source_params=params)
    with torch.no_grad():                         # one bias came back for two
        assert torch.equal(back.weight_hh_l0, lstm.weight_hh_l0)
        assert torch.equal(back.bias_ih_l0, lstm.bias_ih_l0 + lstm.bias_hh_l0)


if find_spec("equinox"):
    @pytest.mark.parametrize("family", ["lstm", "gru"])
    def test_into_equinox(family):
        import equinox
        import jax
        kind = {"lstm": "LSTMCell", "gru": "GRUCell"}[family]
        cell = getattr(equinox.nn, kind)(3, 4, key=jax.random.PRNGKey(0))
        ported = port(draw_weights(family, "mlx", dtype="float32"), cell)
        assert ported.module is not cell and f"equinox {family}" in {proof.form for proof in ported.proof}
        read = weights_of(ported.module)[0][0].arrays["weight_ih"]
        assert np.array_equal(read, draw_weights(family, "mlx", "float32").arrays["Wx"])


if find_spec("haiku"):
    @pytest.mark.parametrize("family", ["lstm", "gru before"])
    def test_into_haiku(family):
        import haiku
        import jax
        kind = {"lstm": haiku.LSTM, "gru before": haiku.GRU}[family]
        pure = haiku.without_apply_rng(haiku.transform(lambda x, s: kind(4)(x, s)))
        w, x = draw_weights(family, "keras", dtype="float32"), np.ones((2, 3), "float32")
        h = np.full((2, 4), 0.3, "float32")
        state = haiku.LSTMState(h, h) if family == "lstm" else h
        params = port(w, pure, params=pure.init(jax.random.PRNGKey(0), x, state)).params
        want = rnnref.run(w.cell, w.load(), x[None], w.cell.rule.State(*[h] * len(w.cell.rule.widths)))
        assert abs(np.asarray(pure.apply(params, x, state)[0]) - want[0][0]).max() < 1e-6


def refuse(error, call):
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def test_what_a_module_cannot_take_is_refused_and_leaves_it_alone():
    import torch
    from flax import nnx
    gru, tanh = randomize(torch.nn.GRU(3, 4)), randomize(torch.nn.RNN(3, 4))
    relu = randomize(torch.nn.RNN(3, 4, nonlinearity="relu"))
    before = [a.clone() for a in relu.parameters()]
    cases = {
        "make the module with activation=tanh": (NotSupported, tanh, relu),
        "the recurrent bias of n is not zero": (NotRepresentable, gru, nnx.GRUCell(3, 4, rngs=nnx.Rngs(0))),
        "weight_ih_l0 of the module has shape (15, 3), the source has (12, 3)": (ShapeError, gru, torch.nn.GRU(3, 5)),
        "1 layers and directions, the module 2": (ShapeError, gru, torch.nn.GRU(3, 4, bidirectional=True)),
        "a torch gru cannot become a torch lstm": (NotSupported, gru, torch.nn.LSTM(3, 4)),
        "the model 0": (ShapeError, gru, torch.nn.Linear(3, 4)),
    }
    for words, (error, source, module) in cases.items():
        assert words in refuse(error, lambda: port(source, module))
    assert all(torch.equal(a, b) for a, b in zip(before, relu.parameters()))
