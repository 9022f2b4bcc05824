"""The ONNX backend: the node tests of the onnx package, models with other operators in them, and what is refused."""
import subprocess
import sys
import warnings

import numpy as np
import pytest
from onnx import AttributeProto, TensorProto, checker, helper, numpy_helper
from onnx.backend.test.case.node import _NodeTestCases, gru, lstm, rnn  # importing the three adds their cases
from onnx.backend.test.runner import Runner

import rnnref.onnx
from rnnref import MissingExtra, NotSupported, ShapeError
from rnnref.onnx import Reading, prepare, run_model, run_node
from rnnref.testing.assertions import assert_close, assert_same
from tests.support import onnx_reading
from tests.support.messages import raises_with

MODULES = {module.__name__ for module in (rnn, gru, lstm)}
NODES = [case for case in _NodeTestCases if case.model.graph.node[0].op_type in ("RNN", "GRU", "LSTM")]
T, B, I, H = 5, 2, 3, 4


def test_the_package_has_18_node_tests():
    assert len(MODULES) == 3 and len(NODES) == 18


@pytest.mark.parametrize("case", NODES, ids=lambda case: case.name)
def test_node_tests_of_the_onnx_package(case):
    prepared = prepare(case.model)
    for inputs, outputs in case.data_sets:
        Runner.assert_similar_outputs(outputs, prepared.run(list(inputs)), case.rtol, case.atol)
        node = run_node(case.model.graph.node[0], list(inputs))
        Runner.assert_similar_outputs(outputs, [a for a in node if a is not None], case.rtol, case.atol)
        wide = run_model(case.model, list(inputs), dtype="float64")
        Runner.assert_similar_outputs([a.astype("float64") for a in outputs], wide, case.rtol, case.atol)


def weights(gates, I=I, D=1, seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"W": (D, gates * H, I), "R": (D, gates * H, H), "B": (D, 2 * gates * H)}
    return {name: rng.normal(scale=0.5, size=shape).astype("float32") for name, shape in shapes.items()}


def ints(name, *values):
    return numpy_helper.from_array(np.array(values, "int64"), name)


def model(nodes, held, inputs, outputs, opset=22, functions=()):
    """held: name -> array;  inputs: name -> shape;  outputs: name -> number of axes."""
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * axes) for name, axes in outputs.items()]
    held = [a if isinstance(a, TensorProto) else numpy_helper.from_array(a, name) for name, a in held.items()]
    imports = [helper.make_opsetid(domain, v) for domain, v in (("", opset), *{(f.domain, 1) for f in functions})]
    return helper.make_model(helper.make_graph(nodes, "model", infos, ends, held), opset_imports=imports,
                             ir_version=10, functions=functions)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def classifier():
    """As torch exports a batch-first bidirectional LSTM, a linear layer on the last state of both, and softmax."""
    node, both = helper.make_node, weights(4, D=2)
    W1, b1 = np.random.default_rng(1).normal(size=(3, 2 * H)).astype("float32"), np.array([0.1, -0.2, 0.3], "float32")
    start, by = np.zeros((2, B, H), "float32"), np.float32(0.1)
    nodes = [
        node("Transpose", ["x"], ["xt"], perm=[1, 0, 2]),
        node("Shape", ["xt"], ["sizes"]),
        node("Gather", ["sizes", "one"], ["batch"], axis=0),
        node("Concat", ["two", "batch", "width"], ["state"], axis=0),
        node("ConstantOfShape", ["state"], ["h0"], value=helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])),
        node("LSTM", ["xt", "W", "R", "B", "", "h0", "c0"], ["Y", "Y_h", ""], direction="bidirectional", hidden_size=H),
        node("Transpose", ["Y"], ["Yt"], perm=[0, 2, 1, 3]),
        node("Reshape", ["Yt", "flat"], ["ys"]),
        node("Slice", ["Y_h", "from0", "from1", "axis0"], ["ahead"]),
        node("Slice", ["Y_h", "from1", "from2", "axis0"], ["back"]),
        node("Squeeze", ["ahead", "axis0"], ["ahead2"]),
        node("Squeeze", ["back", "axis0"], ["back2"]),
        node("Concat", ["ahead2", "back2"], ["last"], axis=1),
        node("Gemm", ["last", "W1", "b1"], ["logits"], transB=1),
        node("Constant", [], ["by"], value_float=by),
        node("Mul", ["logits", "by"], ["scaled"]),
        node("Softmax", ["scaled"], ["p"], axis=1),
        node("Identity", ["ys"], ["out"])]
    held = {**both, "W1": W1, "b1": b1, "c0": start, "one": ints("one", 1), "two": ints("two", 2),
            "width": ints("width", H), "flat": ints("flat", T, B, 2 * H), "from0": ints("from0", 0),
            "from1": ints("from1", 1), "from2": ints("from2", 2), "axis0": ints("axis0", 0)}

    def by_hand(x):
        found = onnx_reading.lstm({"X": x.swapaxes(0, 1), **both}, {"direction": "bidirectional"})
        last = np.concatenate([found["Y_h"][0], found["Y_h"][1]], 1)
        e = np.exp(by * (last @ W1.astype("float64").T + b1))
        return e / e.sum(1, keepdims=True), found["Y"].transpose(0, 2, 1, 3).reshape(T, B, 2 * H)
    return model(nodes, held, {"x": (B, T, I)}, {"p": 2, "out": 3}), by_hand


def tower(opset):
    """A GRU on an RNN, and on that what the other operators of such models do, in a model of this opset."""
    node, below, above = helper.make_node, weights(1), weights(3, I=H, seed=2)
    M = np.random.default_rng(3).normal(size=(H, H)).astype("float32")
    nodes = [
        node("RNN", ["x", "W", "R", "B"], ["Y", ""], activations=["Relu"], hidden_size=H, clip=1.0),
        node("Squeeze", ["Y", "axis1"], ["h"]),
        node("GRU", ["h", "W2", "R2", "B2", "lens"], ["", "Y_h2"], hidden_size=H, linear_before_reset=1),
        node("Reshape", ["Y_h2", "flat"], ["g"]),
        node("MatMul", ["g", "M"], ["gM"]),
        node("Add", ["gM", "g"], ["sum"]),
        node("Sigmoid", ["sum"], ["gate"]),
        node("Tanh", ["sum"], ["new"]),
        node("Mul", ["gate", "new"], ["gated"]),
        node("Relu", ["gated"], ["positive"]),
        node("Cast", ["positive"], ["cast"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["cast", "axis1"], ["out"])]
    held = {**below, **{name + "2": a for name, a in above.items()}, "M": M, "axis1": ints("axis1", 1),
            "lens": np.array([5, 3], "int32"), "flat": ints("flat", B, H)}

    def by_hand(x):
        h = onnx_reading.rnn({"X": x, **below}, {"activations": ["Relu"], "clip": 1.0})["Y"][:, 0]
        found = onnx_reading.gru({"X": h, **above, "sequence_lens": [5, 3]}, {"linear_before_reset": 1})
        g = found["Y_h"][0]
        a = g @ M + g
        return np.maximum(sigmoid(a) * np.tanh(a), 0)[:, None],
    return model(nodes, held, {"x": (T, B, I)}, {"out": 3}, opset), by_hand


@pytest.mark.parametrize("made, shape", [(classifier(), (B, T, I)), (tower(14), (T, B, I)), (tower(22), (T, B, I))],
                         ids=["classifier", "tower, opset 14", "tower, opset 22"])
def test_models_with_other_operators(made, shape):
    proto, by_hand = made
    x = np.random.default_rng(4).normal(size=shape).astype("float32")
    want = by_hand(x.astype("float64"))
    assert_close(prepare(proto, dtype="float64").run([x]), want)
    assert_close(prepare(proto).run({"x": x}), tuple(a.astype("float32") for a in want))
    assert_same(run_model(proto, x), prepare(proto).run([x]))


def one_rnn(opset=22, **attributes):
    node = helper.make_node("RNN", ["x", "W", "R"], ["Y"], hidden_size=H, **attributes)
    held = {name: a for name, a in weights(1).items() if name != "B"}
    return model([node], held, {"x": (T, B, I)}, {"Y": 4}, opset)


X = np.random.default_rng(5).normal(size=(T, B, I)).astype("float32")


def test_a_model_of_opset_7_runs():
    assert_same(run_model(one_rnn(7), [X]), run_model(one_rnn(22), [X]))


def test_the_reading_reaches_the_nodes():
    lens, h0 = np.array([0, 2], "int32"), np.ones((1, B, H), "float32")
    node = helper.make_node("RNN", ["x", "W", "R", "", "lens", "h0"], ["", "Y_h"], hidden_size=H)
    given = [X, *list(weights(1).values())[:2], lens, h0]
    kept, gone = [run_node(node, given, reading=Reading(empty_row=row))[-1] for row in ("initial", "zero")]
    assert (kept[0, 0] == 1).all() and not gone[0, 0].any() and (kept[0, 1] == gone[0, 1]).all()


def test_an_unnamed_output_is_not_the_absent_input_of_another_node():
    """onnx.reference holds the last unnamed output under the name of what is absent."""
    below, above, node = weights(1), weights(1, I=H, seed=2), helper.make_node
    nodes = [node("RNN", ["x", "W", "R", "B"], ["Y", ""], hidden_size=H),
             node("Squeeze", ["Y", "axis1"], ["h"]),
             node("Dropout", ["h"], ["h2", ""]),
             node("RNN", ["h2", "W2", "R2", "", "", ""], ["", "Y_h"], hidden_size=H),
             node("Clip", ["Y_h", "", "most"], ["out"])]
    held = {**below, "W2": above["W"], "R2": above["R"], "axis1": ints("axis1", 1), "most": np.array(9, "float32")}
    found, = run_model(model(nodes, held, {"x": (T, B, I)}, {"out": 3}), [X], dtype="float64")
    h = onnx_reading.rnn({"X": X, **below}, {})["Y"][:, 0]
    assert_close(found, onnx_reading.rnn({"X": h, "W": above["W"], "R": above["R"]}, {})["Y_h"])


def test_nodes_in_subgraphs_and_functions_are_ours():
    """onnx.reference ignores clip; it must not get at a node through the back door."""
    held = weights(1)
    node = helper.make_node("RNN", ["x", "W", "R", "B"], ["Y"], clip=0.25)
    node.attribute.add(name="hidden_size", ref_attr_name="size", type=AttributeProto.INT)
    function = helper.make_function("local", "Clipped", ["x", "W", "R", "B"], ["Y"], [node],
                                    [helper.make_opsetid("", 22)], ["size"])
    call = helper.make_node("Clipped", ["x", "W", "R", "B"], ["Y"], domain="local", size=H)
    inside = helper.make_node("RNN", ["x", "W", "R", "B"], ["out"], clip=0.25, hidden_size=H)
    end = helper.make_tensor_value_info("out", TensorProto.FLOAT, [None] * 4)
    branch = helper.make_graph([inside], "branch", [], [end])
    choice = helper.make_node("If", ["yes"], ["Y"], then_branch=branch, else_branch=branch)
    want = onnx_reading.rnn({"X": X, **held}, {"clip": 0.25})["Y"]
    for nodes, more, functions in (([call], {}, [function]), ([choice], {"yes": np.array(True)}, [])):
        proto = model(nodes, held | more, {"x": (T, B, I)}, {"Y": 4}, functions=functions)
        found, = run_model(proto, [X], dtype="float64")
        assert_close(found, want)


def test_float64_reaches_constants_of_every_kind_and_leaves_the_model_alone():
    node = helper.make_node
    nodes = [node("Constant", [], ["a"], value_floats=[0.1, 0.2]), node("Constant", [], ["b"], value_float=0.3),
             node("Constant", [], ["c"], value=numpy_helper.from_array(np.array([1, 2], "float16"))),
             node("Cast", ["c"], ["d"], to=TensorProto.FLOAT), node("Constant", [], ["i"], value_int=2),
             node("Cast", ["i"], ["e"], to=TensorProto.FLOAT), node("Sum", ["x", "a", "b", "d", "e"], ["out"])]
    proto = model(nodes, {}, {"x": (2,)}, {"out": 1})
    before = proto.SerializeToString()
    found, = run_model(proto, [np.array([1, 2], "float32")], dtype="float64")
    f = np.float32
    assert_close(found, np.array([1, 2]) + np.array([f(0.1), f(0.2)], "float64") + f(0.3).astype("float64")
                 + np.array([1.0, 2.0]) + 2)
    assert proto.SerializeToString() == before


def test_run_node_runs_any_operator_of_the_opset_asked_for():
    a = np.array([[1.0, 2.0]], "float32")
    assert run_node(helper.make_node("Add", ["a", "a"], ["b"]), [a, a])[0].tolist() == [[2, 4]]
    assert run_node(helper.make_node("Squeeze", ["a"], ["b"], axes=[0]), a, opset_version=11)[0].shape == (2,)
    node = helper.make_node("RNN", ["x", "W", "R", "", "", "h0"], ["", "Y_h"], hidden_size=H)
    W, R = list(weights(1).values())[:2]
    h0 = np.ones((1, B, H), "float32")
    assert_same(run_node(node, [X, W, R, None, None, h0]), run_node(node, {"x": X, "W": W, "R": R, "h0": h0}))


def test_devices():
    assert rnnref.onnx.supports_device("CPU") and rnnref.onnx.supports_device("CPU:0")
    assert not rnnref.onnx.supports_device("CUDA")
    assert rnnref.onnx.is_compatible(one_rnn())


REFUSED = {
    "another device": (lambda: prepare(one_rnn(), "CUDA"), NotSupported, "device='CUDA'"),
    "an old operator": (lambda: prepare(one_rnn(6)), NotSupported, "ONNX RNN: version 1 (opset 6)", "opset 7 and later",
                        "output_sequence"),
    "layout before opset 14": (lambda: prepare(one_rnn(13, layout=1)), checker.ValidationError, "layout"),
    "a wrong attribute": (lambda: run_model(one_rnn(clip=-1.0), [X]), NotSupported, "ONNX RNN: clip=-1.0"),
    "a wrong shape": (lambda: run_model(one_rnn(), [X[..., :2]]), ShapeError, "ONNX RNN: W has shape (1, 4, 3)"),
    "another dtype": (lambda: run_model(one_rnn(), [X.astype("float64")]), rnnref.DtypeError, "ONNX RNN: W has dtype"),
    "too many inputs": (lambda: run_model(one_rnn(), [X, X]), ShapeError, "2 inputs, expected 1: x"),
    "an unknown input": (lambda: run_model(one_rnn(), {"x": X, "y": X}), ShapeError, "y: not an input"),
    "a missing input": (lambda: run_model(one_rnn(), {}), ShapeError, "x: missing"),
    "an option of run": (lambda: prepare(one_rnn()).run([X], threads=2), NotSupported, "threads: not an option"),
    "float16": (lambda: prepare(one_rnn(), dtype="float16"), NotSupported, "dtype='float16'", "'float64'"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_by_name(what):
    call, error, *pieces = REFUSED[what]
    with raises_with(error, pieces):
        call()


def test_rnnref_onnx_needs_no_onnx_until_asked():
    code = "import sys, rnnref; rnnref.onnx.lstm; sys.exit('onnx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_without_onnx_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r"rnnref.onnx.prepare: needs the package onnx(.|\n)*pip install onnx"):
        rnnref.onnx.prepare
    with pytest.raises(AttributeError, match="no attribute 'compile'"):
        rnnref.onnx.compile


@pytest.mark.peers
@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_what_torch_exports_is_what_torch_computes(kind, tmp_path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layer = getattr(torch.nn, kind)(I, H, num_layers=2, bidirectional=True, batch_first=True)
    x = torch.randn(B, T, I)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")           # of tracing, and that this exporter is the old one
        torch.onnx.export(layer, (x,), str(tmp_path / "layer.onnx"), dynamo=False)
    found = prepare(tmp_path / "layer.onnx", dtype="float64").run([x.numpy()])
    y, state = layer.double()(x.double())
    assert_close(found, tuple(a.detach().numpy() for a in (y, *(state if kind == "LSTM" else (state,)))))
