"""coverage finds what engines ignore, one attribute or input at a time, and takes no right engine for a wrong one."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rnnref.check import coverage
from rnnref.check.onnx_engines import RefusalError
from rnnref.errors import NotSupported
from tests.support.planted_engines import ignoring, run_independent

OPTIONS = {"RNN": {"B", "sequence_lens", "initial_h", "clip", "direction", "activations", "activation_alpha",
                   "activation_beta", "layout"}}
OPTIONS["GRU"] = OPTIONS["RNN"] | {"linear_before_reset"}
OPTIONS["LSTM"] = OPTIONS["RNN"] | {"initial_c", "P", "input_forget"}


@pytest.mark.parametrize("op", OPTIONS)
def test_a_right_engine_follows_every_change(op):
    report = coverage(run_independent, op)
    assert report.ok and report.status == 0 and not report.ignored, report
    assert {row.group for row in report.rows} == OPTIONS[op]


@pytest.mark.parametrize("op, name", [(op, name) for op in OPTIONS for name in sorted(OPTIONS[op] - {"layout"})])
def test_every_ignored_option_is_found(op, name):
    if name == "activations":                     # the scales alone do nothing
        names = "activations", "activation_alpha", "activation_beta"
    else:
        names = name,
    report = coverage(ignoring(*names), op)
    assert set(report.ignored) == set(names) and not report.ok, report
    assert all(n in report.headline for n in names)


def node(**attributes):
    inputs = ["X", "W", "R", "B", "", "h", "c", "P"]
    return helper.make_node("LSTM", inputs, ["Y", "Y_h", "Y_c"], hidden_size=4, **attributes)


def test_a_node_is_changed_from_what_it_has():
    report = coverage(run_independent, node(clip=0.5, direction="bidirectional", input_forget=1))
    names = {row.name for row in report.rows}
    assert report.ok and {"clip=0.25", "without clip", "without B", "other numbers in P", "without P",
                          "with sequence_lens", "input_forget=0", "without input_forget"} <= names
    assert "direction" not in {row.group for row in report.rows}
    found = coverage(ignoring("P"), node(clip=0.5))
    assert found.ignored == ("P",)
    assert {"without P", "other numbers in P"} <= {row.name for row in found.rows if row.verdict == "differs"}


def test_the_nodes_of_a_model_keep_their_weights(tmp_path):
    rng = np.random.default_rng(0)
    weights = {n: rng.normal(size=s).astype("float32") for n, s in {"W": (1, 12, 2), "R": (1, 12, 4)}.items()}
    seen = []

    def engine(case):
        seen.append(case.inputs["W"])
        return run_independent(case)
    nodes = [helper.make_node("GRU", ["X", "W", "R"], ["Y"], hidden_size=4, name="first"),
             helper.make_node("GRU", ["X", "W", "R"], ["Z"], hidden_size=4)]
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in "XYZ"]
    held = [numpy_helper.from_array(a, n) for n, a in weights.items()]
    graph = helper.make_graph(nodes, "two", info[:1], info[1:], held)
    path = tmp_path / "two.onnx"
    onnx.save(helper.make_model(graph), path)
    report = coverage(engine, path)
    assert report.ok and all(np.array_equal(W, weights["W"]) for W in seen)
    assert {row.name.partition(":")[0] for row in report.rows} == {"first", "GRU 1"}


def test_other_changes_and_refusals():
    def engine(case):
        if case.attributes.get("layout"):
            raise RefusalError("no layout 1")
        y = run_independent(case)
        return {n: 2 * a for n, a in y.items()} if "clip" in case.attributes else y
    report = coverage(engine, "GRU")
    assert report.refused == ("layout",) and report.ignored == () and report.status == 1
    assert report.headline == "engine's GRU differs from the reference with clip=0.25 and refuses layout."
    assert any("clip=0.25: the results change otherwise" in f for f in report.findings)


def test_installed_engines():
    assert coverage("onnx.reference", "GRU").ignored == ("sequence_lens", "clip", "activations", "activation_alpha",
                                                         "activation_beta")
    report = coverage("onnxruntime", "GRU")
    assert report.ignored == () and report.refused == ("layout",) and not report.counts["differs"]


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(NotSupported, match="a model of type int"):
        coverage(run_independent, 3)
    with pytest.raises(NotSupported, match="engine='nothing'"):
        coverage("nothing", "LSTM")
    with pytest.raises(NotSupported, match="without a node RNN"):
        coverage(run_independent, helper.make_node("Relu", ["x"], ["y"]))


def test_seeds():
    with pytest.raises(NotSupported, match="coverage: seed=-1"):
        coverage(run_independent, "LSTM", seed=-1)


def test_names_of_operators():
    assert coverage(run_independent, "gru").headline == coverage(run_independent, "GRU").headline
    with pytest.raises(NotSupported, match="coverage: model='NIX'(.|\n)*'LSTM'"):
        coverage(run_independent, "nix")
