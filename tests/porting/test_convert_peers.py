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


def copy_of(module):
    return [p.detach().clone() for p in module.parameters()]


def assert_kept(module, before):
    assert all((p == own).all() for p, own in zip(module.parameters(), before))


def test_a_model_is_written_whole_or_not_at_all():
    """The second of its layers cannot take the weights: the first keeps its own."""
    torch = pytest.importorskip("torch")
    source = torch.nn.ModuleList([torch.nn.LSTM(3, 4), torch.nn.LSTM(4, 5)])
    for second in (torch.nn.LSTM(4, 6), torch.nn.LSTM(4, 5, bias=False), torch.nn.GRU(4, 5)):
        module = torch.nn.ModuleList([torch.nn.LSTM(3, 4), second])
        before = copy_of(module)
        with pytest.raises((NotSupported, ShapeError)):
            port(source, module)
        assert_kept(module, before)


def test_a_module_that_fails_its_proof_keeps_its_weights():
    torch = pytest.importorskip("torch")

    class Scaled(torch.nn.LSTM):
        def forward(self, *args):
            ys, state = super().forward(*args)
            return 2 * ys, state
    for module in (Scaled(3, 4), torch.nn.ModuleList([torch.nn.LSTM(3, 4), Scaled(4, 4)])):
        source = torch.nn.ModuleList([torch.nn.LSTM(3, 4), torch.nn.LSTM(4, 4)][:len(list(module.parameters())) // 4])
        before = copy_of(module)
        with pytest.raises(rnnref.Error, match="the module does more than its weights say"):
            port(source if len(source) > 1 else source[0], module)
        assert_kept(module, before)


def test_layers_of_the_same_names_take_each_its_own(tmp_path):
    """A file of safetensors holds its arrays by the alphabet: decoder before encoder."""
    torch = pytest.importorskip("torch")
    save_file = pytest.importorskip("safetensors.torch").save_file

    def make():
        return torch.nn.ModuleDict({"encoder": torch.nn.LSTM(4, 4), "decoder": torch.nn.LSTM(4, 4)})
    source, module = make(), make()
    save_file(source.state_dict(), tmp_path / "m.safetensors")
    port(tmp_path / "m.safetensors", module)
    for name, a in source.state_dict().items():
        assert (module.state_dict()[name] == a).all(), name


def test_numbers_and_directions_that_a_module_cannot_have():
    torch = pytest.importorskip("torch")
    lstm, half = torch.nn.LSTM(3, 4), torch.nn.LSTM(3, 4).half()
    state = {name: a.detach().numpy() for name, a in lstm.state_dict().items()}
    before = copy_of(half)
    with pytest.raises(NotSupported, match="weight_ih_l0 of the module is float16(.|\n)*end at 65504"):
        port({name: a * 1e6 for name, a in state.items()}, half)
    assert_kept(half, before)
    port({name: np.where(a == a.flat[0], np.nan, a) for name, a in state.items()}, lstm)
    assert [int(p.isnan().sum()) for p in lstm.parameters()] == [1, 1, 1, 1]
    for options in ({"params": {}}, {"source_params": {}}):
        with pytest.raises(NotSupported, match="params"):
            port(torch.nn.LSTM(3, 4), torch.nn.LSTM(3, 4), **options)
    keras = pytest.importorskip("keras")
    backwards = keras.layers.LSTM(4, go_backwards=True, return_sequences=True)
    summed = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True), merge_mode="sum")
    for layer in (backwards, summed):
        layer.build((None, None, 3))
    with pytest.raises(NotSupported, match="from its start, the module from its end"):
        port(torch.nn.LSTM(3, 4), backwards)
    port(state, backwards)                        # arrays tell no direction
    with pytest.raises(NotSupported, match="merge_mode='concat' in the source, and by 'sum' in the module"):
        port(torch.nn.LSTM(3, 4, bidirectional=True), summed)
