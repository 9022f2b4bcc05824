"""The three lines of a report run in a fresh directory, as they are printed, beside the file that the page holds."""
import base64
import html
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rnnref
from rnnref import cells
from rnnref.check import verify
from tests.support.gate_faults import Faulty, add_from

T, B, I, U = 6, 2, 3, 5


def draw(cell):
    return rnnref.init.parameters(cell, I, U, np.random.default_rng(0))


def check_lines(report, directory, monkeypatch, **names):
    """Run what the page shows on what it holds; the results of both reports are the same."""
    page = report.to_html()
    data = re.search(r'download="case.npz" href="data:[^,]*,([^"]*)"', page)[1]
    (directory / "fresh").mkdir()
    monkeypatch.chdir(directory / "fresh")
    (directory / "fresh" / "case.npz").write_bytes(base64.b64decode(data))
    lines = html.unescape(re.search(r"<pre>(.*?)</pre>", page, re.S)[1])
    assert len(lines.splitlines()) == 3
    exec(lines, names)                            # nothing else is defined
    again = names["report"]
    own, theirs = ({r.name: (r.verdict, r.where, r.note) for r in one.rows if r.name.split(": ")[-1][0] != "d"}
                   for one in (report, again))    # not gradients: others are drawn for the backward pass
    assert own and own.items() >= {n: row for n, row in theirs.items() if " (second call" not in n}.items()
    assert again.status == report.status
    return lines


def of_p(cell, **how):
    return lambda x, p, initial_state=None, lengths=None: rnnref.run(
        cell, p, x, initial_state, lengths=lengths, **how)[:2]


TWO = cells.Bidirectional((cells.GRU(), cells.GRU()))
FUNCTIONS = {
    "faulty": (Faulty("lstm", add_from(2, "o")), cells.LSTM(), {}),
    "lengths": (of_p(cells.LSTM(forget_bias=1.0)), cells.LSTM(), {"lengths": [6, 2]}),
    "options": (of_p(cells.GRU(), reverse=True), cells.GRU(), {"reverse": True, "gradients": False, "factor": 4.0}),
    "double": (of_p(cells.SimpleRNN()), cells.SimpleRNN(), {"dtype": "float64", "initial_state": "random"}),
    "zero": (of_p(cells.SimpleRNN()), cells.SimpleRNN(activation="relu"), {"initial_state": "zero"}),
    "nested": (of_p(TWO), TWO, {}),
    "seed": (of_p(cells.LSTM()), cells.LSTM(), {"seed": 3}),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function(name, tmp_path, monkeypatch, capsys):
    function, cell, options = FUNCTIONS[name]
    report = verify(function, (T, B, I), reference=cell, p=draw(cell), **options)
    lines = check_lines(report, tmp_path, monkeypatch, candidate=function)        # neither cell nor p
    assert report.headline in capsys.readouterr().out and "rnnref.cells." in lines
    assert "candidate: as they were given" in report.to_html()


def test_what_only_the_caller_has_is_named(tmp_path, monkeypatch):
    cell = cells.GRU(reset="before")              # its repr is no call of the catalog
    p, seen = draw(cell), {}

    def forward(x, p):
        ys, _, seen["tape"] = rnnref.run(cell, p, x)
        return ys

    def backward(dy, dstate):
        dx, _, _, dp = rnnref.run_back(seen["tape"], dy)
        return {"x": dx, **dp}
    report = verify(forward, (T, B, I), reference=cell, p=p, backward=backward)
    lines = check_lines(report, tmp_path, monkeypatch, candidate=forward, cell=cell, backward=backward)
    assert "reference=cell" in lines and "backward=backward" in lines
    assert "candidate, cell, backward: as they were given to verify" in report.to_html()


def model(path):
    rng = np.random.default_rng(0)
    weights = [numpy_helper.from_array(rng.standard_normal(shape).astype("float32"), name)
               for name, shape in (("W", (1, 3 * U, I)), ("R", (1, 3 * U, U)))]
    node = helper.make_node("GRU", ["x/in", "W", "R", "", "lens"], ["Y"], hidden_size=U)
    inputs = [helper.make_tensor_value_info("x/in", TensorProto.FLOAT, ["T", "B", I]),
              helper.make_tensor_value_info("lens", TensorProto.INT32, ["B"])]
    graph = helper.make_graph([node], "g", inputs, [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [*"TDBH"])],
                              weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10), path)


def test_a_model_of_onnx_needs_nothing_else(tmp_path, monkeypatch):
    model(tmp_path / "model.onnx")
    report = verify(tmp_path / "model.onnx", {}, seed=2, strict=True)
    lines = check_lines(report, tmp_path, monkeypatch)
    assert 'rnnref.verify(\'' in lines and '{"x/in": case["x_in"], "lens": case["lens"]}' in lines
    assert "as they were given" not in report.to_html()


def test_a_node_of_onnx(tmp_path, monkeypatch):
    node = helper.make_node("RNN", ["X", "W", "R", "", "sequence_lens"], ["Y", "Y_h"], hidden_size=U)
    rng = np.random.default_rng(0)
    shapes = {"X": (T, B, I), "W": (1, U, I), "R": (1, U, U)}
    arrays = {n: rng.standard_normal(s).astype("float32") for n, s in shapes.items()}
    report = verify(node, arrays | {"sequence_lens": np.array([T, 2], "int32")})
    check_lines(report, tmp_path, monkeypatch, candidate=node)


@pytest.mark.peers
@pytest.mark.parametrize("kind", ["layer", "packed", "batch first", "model", "two inputs"])
def test_modules_of_torch(kind, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)

    class Both(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = torch.nn.GRU(I, U)

        def forward(self, x, start):
            return self.rnn(x, start)
    module, inputs, options = {
        "layer": (torch.nn.LSTM(I, U, 2, bidirectional=True), (T, B, I), {"lengths": [6, 2]}),
        "packed": (torch.nn.GRU(I, U), torch.nn.utils.rnn.pack_padded_sequence(torch.randn(T, B, I), [6, 4]), {}),
        "batch first": (torch.nn.GRU(I, U, batch_first=True), (B, T, I), {"dtype": "float64"}),
        "model": (torch.nn.Sequential(torch.nn.GRU(I, U)), (T, B, I), {}),
        "two inputs": (Both(), {"x": (T, B, I), "start": (1, B, U)}, {"seed": 1})}[kind]
    report = verify(module, inputs, **options)
    assert report.ok
    check_lines(report, tmp_path, monkeypatch, candidate=module)


@pytest.mark.peers
@pytest.mark.parametrize("several", [False, True])
def test_models_of_keras(several, tmp_path, monkeypatch):
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    layer = keras.layers.LSTM(U)
    if several:
        model = keras.Sequential([keras.layers.Embedding(9, I), layer, keras.layers.Dense(2)])
        report = verify(model, (B, T))
    else:
        model, report = layer, verify(layer, (B, T, I))
    assert report.ok
    check_lines(report, tmp_path, monkeypatch, candidate=model)
