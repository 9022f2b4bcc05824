"""verify on ONNX models of every kind: all get an answer, and the right one."""
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from rnnref import Error, cli
from rnnref.check import verify
from tests.support.onnx_models import FLOAT, MODELS, B, H, I, T, X, Y, finish, held, info, lstm, node, weights

# no RNN, GRU or LSTM: the whole model is compared
WITHOUT_NODE = {"written_out_in_scan", "written_out_in_loop_with_scanned_states"}


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_model_agrees(name, tmp_path):
    onnx.save(MODELS[name](), tmp_path / "model.onnx")
    report = verify(tmp_path / "model.onnx", {})
    assert report.ok and "model.onnx" in report.title, report
    groups = {row.group for row in report.rows}
    assert "the whole model" in groups, report
    assert (groups == {"the whole model"}) == (name in WITHOUT_NODE), report


@pytest.mark.parametrize("name", [name for name in MODELS if "half" in name])
def test_models_in_half_precision_are_compared_whole(name, monkeypatch):
    """Their rounding is larger than what is useless in float32: it is no chaos."""
    rows = [row for row in verify(MODELS[name](), {}).rows if row.group == "the whole model"]
    assert {row.verdict for row in rows} == {"agrees"}, rows
    faulty(monkeypatch, change_weight("R", 1.5))
    rows = [row for row in verify(MODELS[name](), {}).rows if row.group == "the whole model"]
    assert "operator" in name or {row.verdict for row in rows} == {"differs"}, rows


def faulty(monkeypatch, change):
    """onnxruntime whose sessions see a changed model."""
    import onnxruntime
    build = onnxruntime.InferenceSession

    def make(serialized, *rest, **options):
        model = onnx.load_from_string(serialized)
        change(model)
        return build(model.SerializeToString(), *rest, **options)
    monkeypatch.setattr(onnxruntime, "InferenceSession", make)


def change_weight(name, factor=1.01):
    def change(model):
        for t in model.graph.initializer:
            if t.name == name:
                a = numpy_helper.to_array(t)
                t.CopyFrom(numpy_helper.from_array((factor * a).astype(a.dtype), name))
    return change


@pytest.mark.parametrize("name", ["opset_7", "opset_9_gru_and_relu", "token_ids", "inside_if", "inside_loop",
                                  "inside_scan", "inside_function", "operator_of_onnxruntime", "sequence_output",
                                  "half_precision_around",
                                  "half_precision_inside", "double_input", "open_axes_of_three_names",
                                  "convolution_in_front", "quantised_lstm"])
def test_a_wrong_weight_inside_onnxruntime_is_found(name, monkeypatch):
    faulty(monkeypatch, change_weight("B" if name == "quantised_lstm" else "R"))
    report = verify(MODELS[name](), {})
    assert report.status == 1 and report.counts["differs"], report


def test_a_wrong_quantised_lstm_is_named(monkeypatch):
    """By its own rows, whatever the whole model shows: its rounding to 8 bits may make that chaotic."""
    faulty(monkeypatch, change_weight("B"))
    report = verify(MODELS["quantised_lstm"](), {})
    assert report.findings[0] == "The first node that differs: quantised."
    assert {r.name: r.verdict for r in report.rows if r.group != "the whole model"} == {
        "quantised: Y": "differs", "quantised: Y_h": "differs"}


def test_a_recurrence_in_plain_operators_that_is_wrong_differs(monkeypatch):
    faulty(monkeypatch, change_weight("V"))
    report = verify(MODELS["written_out_in_scan"](), {})
    assert report.status == 1 and report.findings[0] == "The whole model differs."
    assert any("in other operators" in finding for finding in report.findings)


def test_integer_outputs_are_compared_exactly(monkeypatch):
    def change(model):
        for n in model.graph.node:
            if n.op_type == "ArgMax":
                n.op_type = "ArgMin"
    faulty(monkeypatch, change)
    rows = {row.name: row for row in verify(MODELS["integer_outputs"](), {}).rows}
    assert rows["the whole model: best"].verdict == "differs" and rows["lstm: Y"].verdict == "agrees"
    assert rows["the whole model: size"].note == "int64, compared exactly"


def test_a_node_of_a_branch_that_is_not_run_is_checked_on_random_inputs(monkeypatch):
    report = verify(MODELS["inside_if"](), {"c": np.array(False)})
    assert report.ok and {row.group for row in report.rows} == {"then", "else", "the whole model"}
    assert any(finding.startswith("then lies in a subgraph and was checked on random") for finding in report.findings)
    faulty(monkeypatch, change_weight("R"))
    report = verify(MODELS["inside_if"](), {"c": np.array(False)})
    assert {row.verdict for row in report.rows if row.group == "then"} == {"differs"}


def rejected():
    """Models with operators that onnxruntime does not have, before, behind and beside their nodes."""
    frob = node("Frob", ["X"], ["x"], domain="my.own")
    gru = node("GRU", ["X", "W3", "R3", "B3"], ["Z"], hidden_size=H, layout=1, name="gru")
    states = node("LSTM", ["x", "W", "R", "B", "l", "h0", "c0"], ["y", "h"], hidden_size=H, name="lstm")
    three = [numpy_helper.from_array(numpy_helper.to_array(t), f"{t.name}3") for t in weights(3)]
    own = node("Frob", ["x0"], ["Y"], domain="my.own")
    return {"before": (finish([frob, lstm("x")], [X], [Y], weights(), my_own=1), "Frob", 0),
            "behind": (finish([lstm(outputs=("x0",)), own], [X], [Y], weights(),
                              my_own=1), "Frob", 0),
            "states and lengths": (finish([frob, node("Frob", ["X"], ["l", "h0", "c0"], domain="my.own"), states], [X],
                                          [info("h", FLOAT, None)], weights(), my_own=1), "Frob", 0),
            "a node itself": (finish([lstm(), gru], [X], [Y, info("Z", FLOAT, None)], weights() + three), "layout", 1)}


@pytest.mark.parametrize("kind", rejected())
def test_nodes_of_a_model_that_onnxruntime_rejects_are_checked_alone(kind, monkeypatch):
    model, word, status = rejected()[kind]
    report = verify(model, {})
    assert report.status == status and "lstm" in {row.group for row in report.rows}, report
    assert {row.verdict for row in report.rows if row.group == "lstm"} == {"agrees"}
    assert any("The whole model was not compared: onnxruntime rejects it" in f and word in f for f in report.findings)
    faulty(monkeypatch, change_weight("R"))
    assert {row.verdict for row in verify(model, {}).rows if row.group == "lstm"} == {"differs"}


def test_inputs_are_drawn_by_their_meaning():
    facts = verify(MODELS["token_ids_of_two_tables"](), {}).facts
    assert facts["integers"] == "words: rows of E, 0 to 299; tags: rows of F, 0 to 1"
    assert "lens: lengths" in verify(MODELS["opset_22_with_lengths"](), {}).facts["integers"]
    assert verify(MODELS["open_axes_of_three_names"](), {"h0": (1, 7, H)}).facts["inputs"] == \
        f"X (6, 7, {I}), h0 (1, 7, {H}), c0 (1, 7, {H})"
    samples = verify(MODELS["convolution_in_front"](), {"audio": (1, 1, 400)}).facts["inputs"]
    assert samples == "audio (1, 1, 400)"


@pytest.mark.parametrize("B, D, units", [(5, 1, 4), (3, 2, 40), (1, 1, 300)])
def test_a_quantised_lstm_is_checked_in_its_own_arithmetic(B, D, units):
    """Scales of each unit, unsigned weights, first states, two directions; its Y is no output of the node."""
    rng = np.random.default_rng(B)
    given = {name: rng.integers(30, 220, (D, size, 4 * units)).astype("uint8")
             for name, size in (("qW", I), ("qR", units))}
    given |= {f"s{n}": rng.uniform(1e-3, 4e-3, (D, 4 * units)).astype("float32") for n in "WR"}
    given |= {f"z{n}": np.full((D, 4 * units), 125, "uint8") for n in "WR"}
    read = ["X", "qW", "qR", "", "", "h0", "c0", "", "sW", "zW", "sR", "zR"]
    nodes = [node("DynamicQuantizeLSTM", read, ["", "h", "c"],
                  domain="com.microsoft", hidden_size=units, direction="bidirectional" if D == 2 else "reverse")]
    start = [info(n, FLOAT, [D, B, units]) for n in ("h0", "c0")]
    model = finish(nodes, [info("X", FLOAT, [7, B, I]), *start], [info("h", FLOAT, None), info("c", FLOAT, None)],
                   held(**given), com_microsoft=1)
    report = verify(model, {})
    assert report.ok and report.rows[0].name == "DynamicQuantizeLSTM -> h: Y", report
    assert model.graph.node[0].output[0] == ""


def test_external_data_is_read(tmp_path):
    onnx.save(MODELS["opset_7"](), tmp_path / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=0)
    assert verify(tmp_path / "m.onnx", {}).ok
    (tmp_path / "m.bin").unlink()
    with pytest.raises(Error, match="m.onnx"):
        verify(tmp_path / "m.onnx", {})


def test_at_most_three_sessions(monkeypatch):
    made = []
    faulty(monkeypatch, made.append)
    assert verify(MODELS["opset_11_two_layers"](), {}).ok and len(made) == 1
    assert verify(MODELS["operator_of_onnxruntime"](), {}).ok and len(made) == 3


def test_names_that_are_no_text_are_an_error(tmp_path, capsys):
    whole = MODELS["opset_7"]().SerializeToString()
    for name in (b"Y", b"lstm", b"W"):
        at = whole.index(name)
        (tmp_path / "m.onnx").write_bytes(whole[:at] + b"\x87" + whole[at + 1:])
        assert cli.main(["verify", str(tmp_path / "m.onnx")]) == 2
        assert "Traceback" not in capsys.readouterr().err


def broken():
    """Models that nothing can run, or that hold nothing to compare."""
    frob = node("Frob", ["X"], ["W"], domain="my.own")
    strings = node("Identity", ["s"], ["t"])
    text = onnx.TensorProto.STRING
    return {
        "weights of an unknown operator": (finish([frob, lstm()], [X], [Y], weights()[1:], my_own=1), "Frob"),
        "no recurrence, and large": (finish([node("MatMul", ["X", "M"], ["Y"])], [X], [Y], held(M=(I, 10 ** 6))),
                                     "too large"),
        "strings": (finish([strings, lstm()], [X, info("s", text, [1])], [Y, info("t", text, None)], weights()),
                    "random numbers for the inputs s"),
        "sizes that clash": (finish([lstm()], [info("X", FLOAT, [T, B, I + 1])], [Y], weights()),
                             "the model cannot be run"),
        "a cycle": (finish([node("Add", ["X", "b"], ["a"]), node("Add", ["a", "X"], ["b"])], [X],
                           [info("b", FLOAT, None)], []), "onnxruntime"),
        "a huge shape": (finish([lstm()], [info("X", FLOAT, [2 ** 40, B, I])], [Y], weights()), "steps"),
        "no nodes": (finish([], [X], [X], []), "it has no nodes"),
        "opset 1": (helper.make_model(helper.make_graph([lstm()], "g", [X], [Y], weights()),
                                      opset_imports=[helper.make_opsetid("", 1)], ir_version=3), "")}


@pytest.mark.parametrize("kind", broken())
def test_a_model_that_cannot_be_compared_has_status_2(kind, tmp_path, capsys):
    model, words = broken()[kind]
    onnx.save(model, tmp_path / "m.onnx")
    assert cli.main(["verify", str(tmp_path / "m.onnx")]) == 2
    said = capsys.readouterr()
    assert words in said.out + said.err
