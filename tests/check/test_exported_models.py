"""verify on models as exporters, the quantiser and the optimiser write them: all get an answer, and the right one."""
from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper

from rnnref import cli, verify

FOLDER = Path(__file__).parents[1] / "golden" / "exported"
NODES = {                                         # how many recurrent nodes are checked by themselves
    "dynamic_torch_gru_dynamo": 1, "fp16_torch_tok_script_True": 2, "keras_bi": 1, "keras_gru_before": 0,
    "keras_tok": 1,
    "optimised_conv": 1, "static_QDQ_torch_conv_script": 1, "static_QOperator_torch_lstm_script": 1,
    "torch_cells_script": 0, "torch_double_script": 1, "torch_gru_script": 1, "torch_half_dynamo": 1,
    "torch_loop_script": 1, "torch_lstm_dynamo": 1, "torch_packed_script": 1, "torch_rnn_dynamo": 0,
    "torch_stateful_dynamo": 2, "torch_tok_script": 2}
INVALID = {"torch_proj_dynamo": "initial_c must have shape"}           # the exporter left out the projection
SLOW = "fp16_torch_tok_script_True", "torch_tok_script", "torch_stateful_dynamo", "optimised_conv"
IN_FLOAT64 = "torch_double_script"                # onnxruntime has no GRU of doubles: its nodes are checked in float32


def test_all_files_are_here():
    assert {*NODES, *INVALID} == {path.stem for path in FOLDER.glob("*.onnx")}


@pytest.mark.parametrize("name", NODES)
def test_it_agrees(name):
    report = verify(FOLDER / f"{name}.onnx", {})
    groups = {row.group for row in report.rows}
    assert report.ok and {row.verdict for row in report.rows} == {"agrees"}, report
    assert ("the whole model" in groups) == (name != IN_FLOAT64) and len(groups - {"the whole model"}) == NODES[name]


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.exam] * (name in SLOW))
                                  for name in NODES if NODES[name]])
def test_weights_that_onnxruntime_sees_changed_differ(name, monkeypatch):
    import onnxruntime
    build = onnxruntime.InferenceSession

    def make(serialized, *rest, **options):
        model = onnx.load_from_string(serialized)
        graphs = [model.graph, *(a.g for node in model.graph.node for a in node.attribute if a.HasField("g"))]
        for t in (t for graph in graphs for t in graph.initializer):
            a = numpy_helper.to_array(t)
            if a.ndim == 3 and a.dtype.kind == "f":
                t.CopyFrom(numpy_helper.from_array((1.2 * a).astype(a.dtype), t.name))
        return build(model.SerializeToString(), *rest, **options)
    monkeypatch.setattr(onnxruntime, "InferenceSession", make)
    assert verify(FOLDER / f"{name}.onnx", {}).status == 1


@pytest.mark.parametrize("name", INVALID)
def test_what_an_exporter_wrote_wrongly_is_said(name, capsys):
    assert cli.main(["verify", str(FOLDER / f"{name}.onnx")]) == 2
    assert INVALID[name] in capsys.readouterr().err
