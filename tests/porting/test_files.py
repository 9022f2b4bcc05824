"""Weights from file to file, ONNX models of converted layers, and what `rnnref explain FILE` says."""
import numpy as np
import pytest

import rnnref
from rnnref import NotSupported
from rnnref.cli import main
from rnnref.errors import FileError, MissingFile
from rnnref.interop import LAYOUTS, cell_for, dump
from rnnref.porting import NotRepresentable, explain_file, write_conversion
from rnnref.testing.assertions import assert_close, assert_same
from tests.support.weights import arrays_of, draw_parameters


def torch_layers(family, ways=1, layers=2, **options):
    """{name: array} of a torch module of several layers."""
    cell, layout, found = cell_for(family, "torch", **options), LAYOUTS[family, "torch"], {}
    width = (options.get("projection") or 4) * ways
    for n in range(layers):
        for k, back in enumerate(("", "_reverse")[:ways]):
            p = draw_parameters(cell, layout, 7 * n + k, "float32", width if n else 3)
            found |= {f"{name.removesuffix('_l0')}_l{n}{back}": a for name, a in dump(layout, p, cell).items()}
    return found


def run_layers(conversion, xs):
    """The outputs of our cells, layer by layer."""
    for layer in conversion.stacks[0].layers:
        xs = np.concatenate([rnnref.run(w.cell, w.load(), xs, reverse=bool(k))[0] for k, w in enumerate(layer)], -1)
    return xs


ONNX = {"lstm": ("lstm", 1, {}), "lstm both ways": ("lstm", 2, {}), "gru": ("gru", 1, {}),
        "gru both ways": ("gru", 2, {}), "rnn relu": ("rnn", 2, {"activation": "relu"})}


@pytest.mark.parametrize("name", ONNX)
def test_a_model_of_onnx_computes_the_layers(name, tmp_path):
    import onnxruntime
    family, ways, options = ONNX[name]
    theirs = torch_layers(family, ways, **options)
    found = rnnref.convert(theirs, "onnx", given=options, framework="torch", family=family, live=False)
    path = tmp_path / "m.onnx"
    write_conversion(found, path)
    xs = np.random.default_rng(0).normal(size=(5, 2, 3)).astype("float32")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert_close(session.run(["y"], {"x": xs})[0], run_layers(found, xs))
    back = rnnref.convert(path, "torch", live=False)             # each node is a network of its own
    assert_same(list(back.values()), [theirs[f"{n}_l{k}{r}"] for k in (0, 1) for r in ("", "_reverse")[:ways]
                                      for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")])
    assert not back.notes and len(back.options) == 2 * ways * (family == "rnn")
    assert all(made["activation"].name == "relu" for made in back.options.values())


def test_attributes_of_onnx_are_read(tmp_path):
    from onnx import helper, numpy_helper
    arrays = {n: a.astype("float32") for n, a in arrays_of("lstm", "onnx", peepholes=True).items()}
    node = helper.make_node("LSTM", ["X", "W", "R", "B", "", "", "", "P"], ["Y"], hidden_size=4, direction="reverse",
                            activations=["HardSigmoid", "Tanh", "Relu"], activation_alpha=[0.25])
    graph = helper.make_graph([node], "g", [], [], [numpy_helper.from_array(a, n) for n, a in arrays.items()])
    there = rnnref.convert(helper.make_model(graph), "onnx", live=False)
    w = there.stacks[0].layers[0][0]
    assert w.reverse and w.cell.rule.gate.alpha == 0.25 and w.cell.rule.output.name == "relu" and w.cell.rule.peepholes
    assert_same(dict(there), {f"LSTM -> Y/{n}": a for n, a in arrays.items()})
    write_conversion(there, tmp_path / "again.onnx")
    again = rnnref.convert(tmp_path / "again.onnx", "onnx", live=False)
    assert again.stacks[0].layers[0][0].cell == w.cell and again.stacks[0].layers[0][0].reverse
    with pytest.raises(NotRepresentable, match="with gate=sigmoid, with output=tanh"):
        rnnref.convert(helper.make_model(graph), "torch", live=False)


@pytest.mark.parametrize("ending", [".npz", ".safetensors", ".h5"])
def test_from_file_to_file(ending, tmp_path):
    theirs = torch_layers("gru", 2)
    np.savez(tmp_path / "torch.npz", **theirs)
    there, again = tmp_path / f"keras{ending}", tmp_path / "again.npz"
    assert main(["convert", str(tmp_path / "torch.npz"), str(there), "--to", "keras", "--no-live"]) == 0
    assert main(["convert", str(there), str(again), "--to", "torch", "--from", "keras", "--no-live"]) == 0
    with np.load(again) as found:
        assert_same(dict(found), theirs)


def test_the_command_converts(tmp_path, capsys):
    np.savez(tmp_path / "tf1.npz", **{f"rnn/lstm_cell/{n}": a for n, a in arrays_of("lstm", "tf1").items()})
    path, out = str(tmp_path / "tf1.npz"), str(tmp_path / "out.npz")
    from_tf1 = ["--from", "tf1", "--no-live"]
    assert main(["convert", path, out, "--to", "keras", *from_tf1, "--option", "forget_bias=0.5"]) == 0
    said = capsys.readouterr().out
    for words in ("keras: 3 arrays", "rnn/lstm_cell/kernel (3, 16) float64", "0.5 is added to the bias of f: tf1 lstm",
                  "our cell with the arrays of keras lstm: within", f"written: {out}"):
        assert words in said, said
    assert main(["convert", path, out, "--to", "tf1 coupled", "--from", "tf1"]) == 1
    said = capsys.readouterr().err
    assert "its gates i and f are independent" in said and "near   a tf1 coupled lstm" in said
    for words, says in ((["--to", "keras", "--from", "nix"], "a framework 'nix'"),
                        (["--to", "onnx", "--from", "keras"], "no layer"), ([], "--to")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("COLUMNS", "200")
            status = _status(["convert", path, out, *words])
        assert status == 2 and capsys.readouterr().err
    assert main(["convert", path, str(tmp_path / "out.bin"), "--to", "keras", "--from", "tf1", "--no-live"]) == 2
    assert "known  .npz .safetensors .h5 .onnx" in capsys.readouterr().err
    assert main(["convert", path, str(tmp_path / "out.onnx"), "--to", "keras", "--from", "tf1", "--no-live"]) == 2
    assert main(["convert", str(tmp_path / "none.onnx"), out, "--to", "keras"]) == 2
    (tmp_path / "broken.onnx").write_bytes(b"\x00\x01 no model")
    assert main(["convert", str(tmp_path / "broken.onnx"), out, "--to", "keras"]) == 2


def _status(words):
    try:
        return main(words)
    except SystemExit as e:
        return e.code


def test_the_command_explains_a_file(tmp_path, capsys):
    theirs = {f"enc.{n}": a for n, a in torch_layers("lstm", 2, 2).items()} | {"head.weight": np.ones((2, 8))}
    np.savez(tmp_path / "net.npz", **theirs)
    assert main(["explain", str(tmp_path / "net.npz")]) == 0
    said = capsys.readouterr().out
    for words in ("enc, layer 0, forward: torch lstm, 3 inputs, 4 units",
                  "enc, layer 1, backward: torch lstm, 8 inputs, 4 units",
                  "enc.weight_ih_l1_reverse  (16, 8)  axes G I", "[4:8, 0:8]    W_f transposed  forget gate",
                  "enc.bias_hh_l1_reverse", "h' = o tanh(c')", "Other arrays: head.weight (2, 8)"):
        assert words in said, said
    assert all(name in said for name in theirs)
    assert main(["explain", str(tmp_path / "net.npz"), "--from", "tf1"]) == 2
    with pytest.raises(SystemExit):
        main(["explain", "lstm", "--family", "lstm"])
    assert main(["explain", str(tmp_path / "none.npz")]) == 2


def test_other_things_are_explained():
    text = explain_file({f"cell/{n}": a for n, a in arrays_of("gru before", "haiku").items()})
    assert text.startswith("cell: haiku gru before, 3 inputs, 4 units") and "W_z times -1" in text
    text = explain_file(arrays_of("lstm", "tf1", projection=2), framework="tf1", family="lstm", forget_bias=0.0)
    assert text.startswith("tf1 lstm, 3 inputs, 4 units, 2 outputs, ") and "forget_bias=0.0" in text
    assert "P_0" not in text and "[0:4, 0:2]" in text
    with pytest.raises(NotSupported, match="an array of shape"):
        explain_file(np.ones(3))


def test_a_broken_tensor_is_an_error_of_the_file():
    from onnx import helper, numpy_helper
    arrays = {n: a.astype("float32") for n, a in arrays_of("lstm", "onnx").items()}
    node = helper.make_node("LSTM", ["X", "W", "R", "B"], ["Y"], hidden_size=4)
    graph = helper.make_graph([node], "g", [], [], [numpy_helper.from_array(a, n) for n, a in arrays.items()])
    graph.initializer[0].raw_data = b"123"
    with pytest.raises(FileError, match="the tensor W cannot be read"):
        rnnref.convert(helper.make_model(graph), "torch", live=False)


def test_files_that_are_no_models(tmp_path):
    with pytest.raises(MissingFile, match="there is no file"):
        rnnref.convert(tmp_path / "none.onnx", "torch")
    (tmp_path / "broken.onnx").write_bytes(b"\xff" * 20)
    with pytest.raises(FileError, match="not a valid ONNX model"):
        rnnref.convert(tmp_path / "broken.onnx", "torch")
