"""Live layers beside each other, and exported models beside the modules that they come from."""
import os
import warnings

import numpy as np
import pytest

import rnnref
from rnnref import NotSupported
from rnnref.interop import port

os.environ.setdefault("KERAS_BACKEND", "torch")   # before it is imported
pytestmark = pytest.mark.peers


def make_pair():
    import keras
    import torch
    torch.manual_seed(0)
    gru = torch.nn.GRU(3, 4, bidirectional=True)
    layer = keras.layers.Bidirectional(keras.layers.GRU(4, return_sequences=True))
    layer.build((None, 5, 3))
    port(gru, layer)
    return gru, layer


def test_a_layer_of_keras_beside_one_of_torch():
    gru, layer = make_pair()
    report = rnnref.compare(gru, layer, (5, 2, 3))
    assert report.ok and {row.name for row in report.rows} >= {"a and its equations", "b and its equations"}
    kernel, *rest = layer.get_weights()
    layer.set_weights([np.concatenate([kernel[:, 4:8], kernel[:, :4], kernel[:, 8:]], 1), *rest])
    assert rnnref.compare(gru, layer).findings == ["forward: the blocks r and z of W alone are exchanged."]


def test_the_one_that_departs_is_named():
    import torch

    class Scaled(torch.nn.LSTM):
        def forward(self, x, state=None):
            y, last = super().forward(x, state)
            return 1.01 * y, last
    one, other = torch.nn.LSTM(3, 4), Scaled(3, 4)
    other.load_state_dict(one.state_dict())
    report = rnnref.compare(one, other)
    assert report.status == 1 and report.findings[1].startswith("b departs from the equations with its own weights")
    assert [row.verdict for row in report.rows if "equations" in row.name] == ["agrees", "differs"]


def export(module, path, *shape):
    import torch
    with warnings.catch_warnings():               # of the exporter, on itself
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.randn(*shape),), path, dynamo=False, input_names=["x"])
    return path


def damage(path, change):
    import onnx
    model = onnx.load(path)
    for t in model.graph.initializer:
        a = onnx.numpy_helper.to_array(t).copy()
        t.CopyFrom(onnx.numpy_helper.from_array(change(a), t.name))
    onnx.save(model, path)


def exchange_o_and_f(a):
    if a.ndim == 3 and a.shape[1] == 16:
        return a.reshape(2, 4, 4, -1)[:, [0, 2, 1, 3]].reshape(a.shape)
    return a.reshape(2, 2, 4, 4)[:, :, [0, 2, 1, 3]].reshape(a.shape) if a.shape == (2, 32) else a


def test_an_export_beside_its_module(tmp_path):
    import torch
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(3, 4, 2, bidirectional=True)
    path = export(lstm, str(tmp_path / "lstm.onnx"), 5, 2, 3)
    report = rnnref.verify(path, {}, like=lstm)
    assert report.ok and len([row for row in report.rows if row.name.startswith("export: ")]) == 4 * 13 + 3
    damage(path, exchange_o_and_f)
    assert rnnref.verify(path, {}).ok             # by itself it is right
    report = rnnref.verify(path, {}, like=lstm)
    assert not report.ok and "Layer 1, backward: the blocks f and o are exchanged." in report.findings
    assert "The outputs of the file are not those of the module on the same inputs." in report.findings
    assert not rnnref.verify(path, {}, like=torch.nn.LSTM(3, 4, 2)).ok
    with pytest.raises(NotSupported, match="like=a dict of 0 entries"):
        rnnref.verify(path, {}, like={})


def test_what_follows_the_layer_is_compared_too(tmp_path):
    import torch

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.out = torch.nn.GRU(3, 4, batch_first=True), torch.nn.Linear(4, 2)

        def forward(self, x):
            return self.out(self.rnn(x)[0])
    net = Net()
    path = export(net, str(tmp_path / "net.onnx"), 2, 5, 3)
    assert rnnref.verify(path, {}, like=net).ok
    with torch.no_grad():
        net.out.weight += 0.1
    report = rnnref.verify(path, {}, like=net)
    assert [row.group for row in report.rows if row.verdict == "differs"] == ["outputs"]


def test_a_linen_module_is_held_to_its_equations():
    """It runs with the parameters that were given beside it."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    nn, jax = pytest.importorskip("flax.linen"), pytest.importorskip("jax")
    module = nn.RNN(nn.LSTMCell(4))
    params = module.init(jax.random.PRNGKey(0), np.ones((2, 5, 3)))
    report = rnnref.compare(module, rnnref.convert(module, "torch", params=params), params=(params, None))
    assert report.ok and "a and its equations" in {row.name for row in report.rows}, report


def test_joined_directions_are_an_option():
    import keras
    layers = [keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True), merge_mode=merge)
              for merge in ("concat", "sum")]
    for layer in layers:
        layer.build((None, None, 3))
    layers[1].set_weights(layers[0].get_weights())
    report = rnnref.compare(*layers, gradients=False)
    assert report.status == 1 and report.findings == ["a joins both directions by merge_mode=concat, b by sum."]
