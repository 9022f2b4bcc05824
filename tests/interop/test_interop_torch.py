"""Weights read from live torch modules: outputs, states and every gradient are theirs."""
import numpy as np
import pytest

import rnnref
from rnnref import NotSupported, ShapeError
from rnnref.interop import explain_weights, gradients, load, pieces, weights_of
from rnnref.testing.assertions import assert_close, assert_same
from tests.support.weights import run_layers

pytestmark = pytest.mark.peers
DTYPES = "float32", "float64"
MODULES = {
    "LSTM": ("LSTM", {}), "GRU": ("GRU", {}), "RNN tanh": ("RNN", {}), "RNN relu": ("RNN", {"nonlinearity": "relu"}),
    "LSTM two layers, both ways": ("LSTM", {"num_layers": 2, "bidirectional": True}),
    "GRU two layers, both ways": ("GRU", {"num_layers": 2, "bidirectional": True}),
    "RNN two layers, both ways": ("RNN", {"num_layers": 2, "bidirectional": True}),
    "LSTM projected": ("LSTM", {"proj_size": 2}),
    "LSTM projected, all of it": ("LSTM", {"proj_size": 2, "num_layers": 2, "bidirectional": True}),
    "LSTM without biases": ("LSTM", {"bias": False}), "GRU without biases": ("GRU", {"bias": False}),
}
CELLS = {"LSTMCell": {}, "GRUCell": {}, "RNNCell": {"nonlinearity": "relu"}, "GRUCell without biases": {"bias": False}}


@pytest.fixture
def torch():
    import torch
    torch.manual_seed(0)
    return torch


def theirs(torch, module, xs, dys, lengths=None):
    """Outputs, last states [layers and directions, B, H], gradients of the input and of the parameters."""
    rnn = torch.nn.utils.rnn
    x = torch.tensor(xs, requires_grad=True)
    given = x if lengths is None else rnn.pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
    ys, last = module(given)
    ys = ys if lengths is None else rnn.pad_packed_sequence(ys, total_length=len(xs))[0]
    ys.backward(torch.tensor(dys))
    last = last if isinstance(last, tuple) else (last,)
    return (ys.detach().numpy(), [a.detach().numpy() for a in last], x.grad.numpy(),
            {name: a.grad.numpy() for name, a in module.named_parameters()})


def compare(torch, module, shape, dtype, lengths=None):
    rng = np.random.default_rng(1)
    layers = weights_of(module)
    width = sum(w.cell.width(module.hidden_size) for w in layers[-1])
    xs, dys = rng.normal(size=shape).astype(dtype), rng.normal(size=(*shape[:2], width)).astype(dtype)
    ys, last, dxs, found = run_layers(layers, xs, dys, lengths)
    want_ys, want_last, want_dxs, want = theirs(torch, module, xs, dys, lengths)
    assert_close((ys, [np.stack(parts) for parts in zip(*last)]), (want_ys, want_last))
    assert_close({"x": dxs, **found}, {"x": want_dxs, **want}, "gradient")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lengths", [None, [7, 1, 4, 5]], ids=["whole", "packed"])
@pytest.mark.parametrize("name", MODULES)
def test_module(torch, name, lengths, dtype):
    kind, options = MODULES[name]
    module = getattr(torch.nn, kind)(3, 5, dtype=getattr(torch, dtype), **options)
    compare(torch, module, (7, 4, 3), dtype, lengths)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_long_and_wide(torch, kind, dtype):
    """200 steps and 128 units, as torch initialises them."""
    compare(torch, getattr(torch.nn, kind)(32, 128, dtype=getattr(torch, dtype)), (200, 4, 32), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CELLS)
def test_cell(torch, name, dtype):
    cell = getattr(torch.nn, name.split()[0])(3, 5, dtype=getattr(torch, dtype), **CELLS[name])
    (w,), = weights_of(cell)
    rng = np.random.default_rng(2)
    x, dy, *s = (rng.normal(size=(4, n)).astype(dtype) for n in [3, 5] + [5] * len(w.cell.rule.widths))
    states = [torch.tensor(a) for a in s]
    y = cell(torch.tensor(x), tuple(states) if len(s) > 1 else states[0])
    y = y[0] if isinstance(y, tuple) else y
    y.backward(torch.tensor(dy))
    ys, _, tape = rnnref.run(w.cell, w.load(), x[None], w.cell.rule.State(*s))
    assert_close(ys[0], y.detach().numpy())
    dp = rnnref.run_back(tape, dy[None])[3]
    assert_close(w.renamed(gradients(w.layout, dp, w.cell)), {n: a.grad.numpy() for n, a in cell.named_parameters()},
                 "gradient")


def test_a_state_dict_and_its_file(torch, tmp_path):
    from safetensors.numpy import save_file
    net = torch.nn.ModuleDict({"rnn": torch.nn.LSTM(3, 5, 2, bidirectional=True), "head": torch.nn.Linear(5, 1)})
    save_file({n: a.numpy() for n, a in net.state_dict().items()}, tmp_path / "net.safetensors")
    live = [w for layer in weights_of(net["rnn"]) for w in layer]
    for source in (net.state_dict(), tmp_path / "net.safetensors"):
        found = pieces(source, "lstm", "torch")
        assert list(found) == [f"rnn._l{n}{way}" for n in range(2) for way in ("", "_reverse")]
        for one, other in zip(found.values(), live):
            assert_same(one.load(), other.load())
            assert one.cell == other.cell


def test_weights_go_back(torch):
    module = torch.nn.GRU(3, 5, 2)
    w = weights_of(module)[1][0]
    assert w.renamed(w.arrays).keys() == {n for n, _ in module.named_parameters() if n.endswith("_l1")}
    assert_same(load(w.layout, w.arrays, w.cell), w.load())
    assert "r = sigmoid" in explain_weights("gru", "torch", w.arrays)


def test_refusals(torch):
    with pytest.raises(NotSupported, match="torch: a Linear"):
        weights_of(torch.nn.Linear(3, 5))
    with pytest.raises(TypeError, match=r'weight_ih_l0 has dtype bfloat16(.|\n)*module.float\(\)'):
        weights_of(torch.nn.LSTM(3, 5, dtype=torch.bfloat16))
    with pytest.raises(ShapeError, match="weight_ih_l1 .*: not known to torch lstm"):
        state = {n: a.numpy() for n, a in torch.nn.LSTM(3, 5, 2).state_dict().items()}
        load(weights_of(torch.nn.LSTM(3, 5))[0][0].layout, state, rnnref.cells.LSTM())
