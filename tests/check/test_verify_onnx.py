"""verify on ONNX nodes and models: where onnxruntime agrees, where it differs, and planted faults."""
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import rnnref.onnx
from rnnref import DtypeError, NotSupported, ShapeError
from rnnref.check import verify
from rnnref.check.onnx_engines import resolve_engine
from tests.support.planted_engines import ignoring

T, B, I, H = 6, 3, 4, 5
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
LENGTHS = np.array([6, 2, 4], np.int32)
STATES = {"RNN": ("Y_h",), "GRU": ("Y_h",), "LSTM": ("Y_h", "Y_c")}
ROUNDS = 60                                       # random nodes without a false alarm
WORST = 0.8                                       # of the budget: the largest error of onnxruntime


def weights(op, seed=0, n_in=I, D=1, units=H, scale=0.5):
    rng, G = np.random.default_rng(seed), GATES[op] * units
    shapes = {"W": (D, G, n_in), "R": (D, G, units), "B": (D, 2 * G)}
    return {n: (scale * rng.standard_normal(shape)).astype("float32") for n, shape in shapes.items()}


def node(op, given=("X", "W", "R", "B"), outputs=None, units=H, **attributes):
    order = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]
    last = max(order.index(n) for n in given)
    return helper.make_node(op, [n if n in given else "" for n in order[:last + 1]], outputs or ["Y", *STATES[op]],
                            name=op.lower(), hidden_size=units, **attributes)


def rows(report):
    return {r.name: r for r in report.rows}


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", GATES)
def test_onnxruntime_agrees(op, direction):
    D = 2 if direction == "bidirectional" else 1
    given = ["X", "W", "R", "B", "sequence_lens", "initial_h", *(["initial_c"] if op == "LSTM" else [])]
    states = {n: (D, B, H) for n in given if n.startswith("initial")}
    report = verify(node(op, given, direction=direction),
                    {"X": (T, B, I), "sequence_lens": LENGTHS, **weights(op, D=D), **states})
    assert report.ok, report
    assert list(rows(report)) == ["Y", *STATES[op]] and report.facts["onnxruntime"]
    assert report.facts["gradients"].startswith("not compared") if "gradients" in report.facts else True


def test_no_false_alarms():
    """With small weights too: near zero onnxruntime computes tanh to 1e-7 only, which is rounding of 1."""
    worst = 0.0
    for seed in range(ROUNDS):
        rng, op = np.random.default_rng(seed), list(GATES)[seed % 3]
        units, n_in = int(rng.integers(1, 12)), int(rng.integers(1, 8))
        given = weights(op, seed, n_in, units=units, scale=(0.02, 0.5, 1.0)[int(rng.integers(3))])
        report = verify(node(op, units=units), {"X": (int(rng.integers(1, 20)), 2, n_in), **given}, seed=seed)
        assert report.ok, (seed, str(report))
        worst = max([worst, *(r.ratio for r in report.rows)])
    assert worst < WORST


@pytest.mark.parametrize("name, options, reading", [
    ("clip of h", {"clip": 0.3}, "Reading(clip_output=False)"),
    ("an empty row", {"given": ("X", "W", "R", "B", "sequence_lens", "initial_h")}, "Reading(empty_row='zero')"),
    ("a scale left out", {"activations": ["Sigmoid", "Affine", "Tanh"]}, "Reading(missing_scale='zero')"),
])
def test_where_onnxruntime_differs_the_reading_is_named(name, options, reading):
    given = {"X": (T, B, I), **weights("LSTM"), "sequence_lens": np.array([6, 0, 3], np.int32), "initial_h": (1, B, H)}
    one = node("LSTM", **options)
    given = {n: a for n, a in given.items() if n in one.input}
    report = verify(one, given)
    assert not report.ok, report
    finding, = (f for f in report.findings if f.startswith("Agrees to "))
    assert f" in outputs and states once the ONNX specification is read as {reading}." in finding
    assert verify(one, given, reading=rnnref.onnx.ONNXRUNTIME).ok


def test_a_refusal_is_reported_with_its_message():
    report = verify(node("GRU", layout=1), {"X": (B, T, I), **weights("GRU")})
    assert report.counts["refused"] == 1 and "layout == 1" in report.rows[0].note and not report.ok


def faulty(change):
    """onnxruntime on a changed case."""
    run = resolve_engine("onnxruntime")[1]
    return lambda case: run(case._replace(inputs=case.inputs | change(case.inputs)))


def test_a_faulty_engine_is_named():
    def gates(inputs):                            # i o f c read as o i f c
        return {"W": np.concatenate([inputs["W"][:, n * H:(n + 1) * H] for n in (1, 0, 2, 3)], 1)}

    def lengths(inputs):
        return {"sequence_lens": np.full(B, T, np.int32)}

    def backward(inputs):
        return {n: np.concatenate([inputs[n][:1], inputs[n][:1]]) for n in "WRB"}
    report = verify(node("LSTM"), {"X": (T, B, I), **weights("LSTM")}, engine=faulty(gates))
    assert rows(report)["Y"].where.startswith("t=0, forward")
    given = ("X", "W", "R", "B", "sequence_lens")
    report = verify(node("GRU", given), {"X": (T, B, I), **weights("GRU"), "sequence_lens": LENGTHS},
                    engine=faulty(lengths))
    assert rows(report)["Y"].where.startswith("t=2, forward, row 1")
    assert "this row has length 2" in rows(report)["Y"].note
    report = verify(node("RNN", direction="bidirectional"), {"X": (T, B, I), **weights("RNN", D=2)},
                    engine=faulty(backward))
    assert rows(report)["Y"].where.startswith(f"t={T - 1}, reverse")
    assert "Only the reverse direction of Y differs." in report.findings


def model(**middle):
    """Three recurrent nodes in a row; the options are those of the one in the middle."""
    given = [weights("LSTM"), weights("GRU", 1, H), weights("RNN", 2, H)]
    held = [numpy_helper.from_array(a, f"{n}{k}") for k, w in enumerate(given) for n, a in w.items()]
    held.append(numpy_helper.from_array(np.array([1]), "axis"))
    nodes = [helper.make_node("LSTM", ["x", "W0", "R0", "B0"], ["y0"], name="encoder", hidden_size=H),
             helper.make_node("Squeeze", ["y0", "axis"], ["s0"]),
             helper.make_node("GRU", ["s0", "W1", "R1", "B1"], ["y1"], name="middle", hidden_size=H, **middle),
             helper.make_node("Squeeze", ["y1", "axis"], ["s1"]),
             helper.make_node("RNN", ["s1", "W2", "R2", "B2"], ["y2", "h2"], name="decoder", hidden_size=H),
             helper.make_node("Relu", ["y2"], ["out"])]
    x, *ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
                for name, shape in (("x", [T, B, I]), ("out", [T, 1, B, H]), ("h2", [1, B, H]))]
    graph = helper.make_graph(nodes, "chain", [x], ends, held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)


def x_of_model():
    return {"x": np.random.default_rng(3).standard_normal((T, B, I)).astype("float32")}


def test_a_model_that_is_right(tmp_path):
    onnx.save(model(), tmp_path / "model.onnx")
    seen = []

    def watch(steps, what):
        seen.append(what)
        return steps
    report = verify(tmp_path / "model.onnx", x_of_model(), progress=watch)
    assert report.ok and seen[0] == "nodes" and set(seen) == {"nodes", "rounding errors"}, report
    assert list(rows(report)) == ["encoder: Y", "middle: Y", "decoder: Y", "decoder: Y_h", "the whole model: out",
                                  "the whole model: h2"]


def test_the_first_wrong_node_of_a_model_is_named():
    report = verify(model(activations=["Sigmoid", "Affine"]), x_of_model())
    assert {r.name for r in report.rows if r.verdict == "agrees"} == {"encoder: Y", "decoder: Y", "decoder: Y_h"}
    assert report.findings[0] == "The first node that differs: middle."
    finding, = (f for f in report.findings if f.startswith("middle: Agrees to "))
    assert " in outputs once the ONNX specification is read as Reading(missing_scale='zero')." in finding


@pytest.mark.parametrize("ignored, once", [
    (("clip",), "clip is ignored"), (("input_forget",), "input_forget is ignored"),
    (("activation_beta",), "activation_beta is ignored"), (("P",), "the peepholes are left out"),
    (("sequence_lens",), "every row has the full length"), (("direction",), "direction is ignored"),
    (("clip", "input_forget"), "clip is ignored and input_forget is ignored"),
    (("clip", "P"), "the peepholes are left out and clip is ignored")])
def test_what_an_engine_ignores_is_named(ignored, once):
    """Of a node with every option, in an engine that shares no code with the reference."""
    one = node("LSTM", ("X", "W", "R", "B", "sequence_lens", "P"), clip=0.25, input_forget=1, direction="reverse",
               activations=["HardSigmoid", "Tanh", "ScaledTanh"], activation_alpha=[0.375, 1.25],
               activation_beta=[0.25, 0.75])
    given = {"X": (T, B, I), **weights("LSTM"), "P": np.random.default_rng(1).standard_normal((1, 3 * H), np.float32),
             "sequence_lens": np.array([6, 2, 3], np.int32)}
    given = {n: a for n, a in given.items() if n in one.input}
    report = verify(one, given, engine=ignoring(*ignored))
    assert any(f"once {once}" in finding for finding in report.findings), report


def test_bad_calls():
    given = {"X": (T, B, I), **weights("RNN")}
    with pytest.raises(ShapeError, match="B .*missing"):
        verify(node("RNN"), {n: a for n, a in given.items() if n != "B"})
    with pytest.raises(DtypeError, match="W has dtype float64"):
        verify(node("RNN"), given | {"W": given["W"].astype("float64")})
    with pytest.raises(NotSupported, match="a node Relu"):
        verify(helper.make_node("Relu", ["x"], ["y"]), {"x": (1,)})
    with pytest.raises(NotSupported, match="lengths= with onnx"):
        verify(node("RNN"), given, lengths=[1, 2, 3])
    with pytest.raises(NotSupported, match="inputs of an ONNX candidate as a tuple"):
        verify(node("RNN"), (T, B, I))
