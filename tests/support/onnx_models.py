"""Small ONNX models of every kind that a file can hold, each with an LSTM, GRU or RNN in it, or one written out."""
from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

T, B, I, H = 5, 2, 3, 4
FLOAT, INT64, BOOL, HALF, DOUBLE = (TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT16,
                                    TensorProto.DOUBLE)
node, info = helper.make_node, helper.make_tensor_value_info
MODELS: dict[str, Callable[[], Any]] = {}


def model_of(make: Callable) -> Callable:
    MODELS[make.__name__] = make
    return make


def held(seed: int = 0, **shapes: Any) -> list:
    """Initializers: random numbers for a shape, an array as it is."""
    rng = np.random.default_rng(seed)
    return [numpy_helper.from_array(0.5 * rng.standard_normal(a).astype("float32") if isinstance(a, tuple)
                                    else np.asarray(a), name) for name, a in shapes.items()]


def weights(gates: int = 4, suffix: str = "", n_in: int = I, D: int = 1) -> list:
    names = {f"W{suffix}": (D, gates * H, n_in), f"R{suffix}": (D, gates * H, H), f"B{suffix}": (D, 2 * gates * H)}
    return held(len(suffix), **names)


def finish(nodes: list, inputs: list, outputs: list, initial: list, opset: int = 17, functions: Any = (),
           **domains: int) -> Any:
    versions = {"": opset, **{name.replace("_", "."): version for name, version in domains.items()}}
    opsets = [helper.make_opsetid(name, version) for name, version in versions.items()]
    return helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, initial), opset_imports=opsets,
                             ir_version=8, functions=list(functions))


def lstm(x: str = "X", outputs: tuple = ("Y",), suffix: str = "", name: str = "lstm", **attributes: Any) -> Any:
    return node("LSTM", [x, f"W{suffix}", f"R{suffix}", f"B{suffix}"], list(outputs), name=name, hidden_size=H,
                **attributes)


X, Y = info("X", FLOAT, [T, B, I]), info("Y", FLOAT, None)


@model_of
def opset_7() -> Any:
    return finish([lstm()], [X], [Y], weights(), opset=7)


@model_of
def opset_9_gru_and_relu() -> Any:
    gru = node("GRU", ["X", "W", "R", "B"], ["y", "h"], hidden_size=H, linear_before_reset=1, direction="reverse")
    return finish([gru, node("Relu", ["y"], ["Y"])], [X], [Y, info("h", FLOAT, None)], weights(3), opset=9)


@model_of
def opset_11_two_layers() -> Any:
    nodes = [lstm("X", ("a",), direction="bidirectional", name="first"),
             node("Transpose", ["a"], ["b"], perm=[0, 2, 1, 3]), node("Reshape", ["b", "flat"], ["c"]),
             lstm("c", ("", "h", "c_n"), "2", "second")]
    ends = [info("h", FLOAT, None), info("c_n", FLOAT, None)]
    return finish(nodes, [X], ends, weights(D=2) + weights(suffix="2", n_in=2 * H)
                  + held(flat=np.array([0, 0, -1])), opset=11)


@model_of
def opset_22_with_lengths() -> Any:
    nodes = [node("Cast", ["lens"], ["l32"], to=TensorProto.INT32),
             node("LSTM", ["X", "W", "R", "B", "l32"], ["Y"], hidden_size=H)]
    return finish(nodes, [info("X", FLOAT, ["T", "B", I]), info("lens", INT64, ["B"])], [Y], weights(), opset=22)


@model_of
def token_ids() -> Any:
    nodes = [node("Gather", ["E", "ids"], ["e"]), lstm("e")]
    return finish(nodes, [info("ids", INT64, ["T", "B"])], [Y], weights() + held(E=(7, I)))


@model_of
def token_ids_of_two_tables() -> Any:
    nodes = [node("Cast", ["words"], ["w"], to=INT64), node("Gather", ["E", "w"], ["a"]),
             node("Gather", ["F", "tags"], ["b"]), node("Add", ["a", "b"], ["x"]), lstm("x")]
    return finish(nodes, [info("words", TensorProto.INT32, [T, B]), info("tags", INT64, [T, B])], [Y],
                  weights() + held(E=(300, I), F=(2, I)))


@model_of
def token_ids_of_a_quantised_table() -> Any:
    nodes = [node("DequantizeLinear", ["q", "s", "z"], ["E"]), node("Gather", ["E", "ids"], ["e"]), lstm("e")]
    table = np.random.default_rng(0).integers(-99, 99, (9, I)).astype("int8")
    return finish(nodes, [info("ids", INT64, [T, B])], [Y],
                  weights() + held(q=table, s=np.float32(0.01), z=np.int8(0)), opset=13)


@model_of
def inside_if() -> Any:
    graphs = [helper.make_graph([lstm("X", ("y",), name=n)], n, [], [info("y", FLOAT, None)]) for n in ("then", "else")]
    return finish([node("If", ["c"], ["Y"], then_branch=graphs[0], else_branch=graphs[1])], [X, info("c", BOOL, [])],
                  [Y], weights())


@model_of
def inside_loop() -> Any:
    body = helper.make_graph(
        [node("LSTM", ["X", "W", "R", "B", "", "h"], ["", "h2"], hidden_size=H, name="inner"),
         node("Identity", ["on"], ["on2"])], "body",
        [info("k", INT64, []), info("on", BOOL, []), info("h", FLOAT, None)],
        [info("on2", BOOL, []), info("h2", FLOAT, None)])
    return finish([node("Loop", ["trips", "", "h0"], ["Y"], body=body)],
                  [X, info("h0", FLOAT, [1, B, H]), info("trips", INT64, [])], [Y], weights())


@model_of
def written_out_in_loop_with_scanned_states() -> Any:
    body = helper.make_graph(
        [node("Gather", ["X", "k"], ["x"]), node("MatMul", ["x", "U"], ["a"]), node("MatMul", ["h", "V"], ["b"]),
         node("Add", ["a", "b"], ["s"]), node("Tanh", ["s"], ["h2"]), node("Identity", ["h2"], ["out"]),
         node("Identity", ["on"], ["on2"])], "body",
        [info("k", INT64, []), info("on", BOOL, []), info("h", FLOAT, None)],
        [info("on2", BOOL, []), info("h2", FLOAT, None), info("out", FLOAT, None)])
    return finish([node("Loop", ["trips", "", "h"], ["last", "Y"], body=body)],
                  [X, info("h", FLOAT, [B, H])], [info("last", FLOAT, None), Y],
                  held(U=(I, H), V=(H, H), trips=np.array(T)))


@model_of
def inside_scan() -> Any:
    body = helper.make_graph(
        [node("Unsqueeze", ["x", "zero"], ["x1"]),
         node("GRU", ["x1", "W", "R", "B", "", "h"], ["", "h2"], hidden_size=H, name="inner"),
         node("Identity", ["h2"], ["out"])], "body",
        [info("h", FLOAT, [1, B, H]), info("x", FLOAT, [B, I])],
        [info("h2", FLOAT, [1, B, H]), info("out", FLOAT, [1, B, H])])
    return finish([node("Scan", ["h0", "X"], ["h", "Y"], body=body, num_scan_inputs=1)],
                  [X, info("h0", FLOAT, [1, B, H])], [Y], weights(3) + held(zero=np.array([0])))


@model_of
def written_out_in_scan() -> Any:
    body = helper.make_graph(
        [node("MatMul", ["x", "U"], ["a"]), node("MatMul", ["h", "V"], ["b"]), node("Add", ["a", "b"], ["s"]),
         node("Tanh", ["s"], ["h2"]), node("Identity", ["h2"], ["out"])], "body",
        [info("h", FLOAT, [B, H]), info("x", FLOAT, [B, I])], [info("h2", FLOAT, [B, H]), info("out", FLOAT, [B, H])])
    return finish([node("Scan", ["h0", "X"], ["h", "Y"], body=body, num_scan_inputs=1)],
                  [X, info("h0", FLOAT, [B, H])], [Y], held(U=(I, H), V=(H, H)))


@model_of
def inside_function() -> Any:
    function = helper.make_function("my.own", "Encoder", ["x", "w", "r", "b"], ["y"], [
        node("LSTM", ["x", "w", "r", "b"], ["y"], hidden_size=H, name="inner")], [helper.make_opsetid("", 17)])
    return finish([node("Encoder", ["X", "W", "R", "B"], ["Y"], domain="my.own")], [X], [Y], weights(),
                  functions=[function], my_own=1)


@model_of
def operator_of_onnxruntime() -> Any:
    nodes = [lstm(outputs=("y",)), node("FusedMatMul", ["y", "M"], ["Y"], domain="com.microsoft")]
    return finish(nodes, [X], [Y], weights() + held(M=(H, H)), com_microsoft=1)


@model_of
def sequence_output() -> Any:
    nodes = [lstm(), node("SequenceConstruct", ["Y", "Y"], ["pair"])]
    return finish(nodes, [X], [helper.make_tensor_sequence_value_info("pair", FLOAT, None)], weights())


@model_of
def sequence_input() -> Any:
    nodes = [node("ConcatFromSequence", ["parts"], ["x"], axis=0), lstm("x")]
    return finish(nodes, [helper.make_tensor_sequence_value_info("parts", FLOAT, [T, B, I])], [Y], weights())


@model_of
def rounded_to_8_bits_behind() -> Any:
    """What onnxruntime likes to round before the Transpose, so that the output of the node itself is rounded."""
    nodes = [node("QuantizeLinear", ["X", "s", "z"], ["qx"]), node("DequantizeLinear", ["qx", "s", "z"], ["x"]),
             lstm("x", ("y",), direction="bidirectional"), node("Transpose", ["y"], ["a"], perm=[0, 2, 1, 3]),
             node("QuantizeLinear", ["a", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "s", "z"], ["b"]),
             node("MatMul", ["b", "M"], ["Y"])]
    return finish(nodes, [X], [Y], weights(D=2) + held(M=(H, H), s=np.float32(0.02), z=np.uint8(128)))


@model_of
def half_precision_around() -> Any:
    nodes = [node("Cast", ["D"], ["x"], to=FLOAT), lstm("x", ("y",)), node("Cast", ["y"], ["Y"], to=HALF)]
    return finish(nodes, [info("D", HALF, [T, B, I])], [info("Y", HALF, None)], weights())


def narrow(tensors: list) -> list:
    return [numpy_helper.from_array(numpy_helper.to_array(t).astype("float16"), t.name) for t in tensors]


@model_of
def half_precision_inside() -> Any:
    return finish([lstm()], [info("X", HALF, [T, B, I])], [info("Y", HALF, None)], narrow(weights()))


@model_of
def half_precision_throughout() -> Any:
    nodes = [node("MatMul", ["features", "M"], ["a"]), node("Tanh", ["a"], ["x"]), lstm("x", ("y",)),
             node("MatMul", ["y", "N"], ["z"]), node("Softmax", ["z"], ["Y"], axis=-1)]
    return finish(nodes, [info("features", HALF, [20, B, 9])], [info("Y", HALF, None)],
                  narrow(weights() + held(M=(9, I), N=(H, 7))))


@model_of
def half_precision_and_operator_of_onnxruntime() -> Any:
    nodes = [lstm(outputs=("h",)), node("Cast", ["h"], ["y"], to=FLOAT),
             node("FusedMatMul", ["y", "M"], ["Y"], domain="com.microsoft")]
    return finish(nodes, [info("X", HALF, [T, B, I])], [Y], narrow(weights()) + held(M=(H, H)), com_microsoft=1)


@model_of
def open_features() -> Any:
    nodes = [node("MatMul", ["features", "M"], ["x"]), lstm("x")]
    return finish(nodes, [info("features", FLOAT, ["t", "b", "f"])], [Y], weights() + held(M=(37, I)))


@model_of
def input_of_no_declared_shape() -> Any:
    return finish([lstm()], [info("X", FLOAT, None)], [Y], weights())


@model_of
def double_input() -> Any:
    return finish([node("Cast", ["D"], ["x"], to=FLOAT), lstm("x")], [info("D", DOUBLE, [T, B, I])], [Y], weights())


@model_of
def integer_outputs() -> Any:
    nodes = [lstm(outputs=("y",)), node("ArgMax", ["y"], ["best"], axis=3, keepdims=0), node("Shape", ["y"], ["size"])]
    return finish(nodes, [X], [info("best", INT64, None), info("size", INT64, [4])], weights())


@model_of
def open_axes_of_three_names() -> Any:
    nodes = [node("LSTM", ["X", "W", "R", "B", "", "h0", "c0"], ["Y"], hidden_size=H)]
    return finish(nodes, [info("X", FLOAT, ["t", "b1", I]), info("h0", FLOAT, [1, "b2", H]),
                          info("c0", FLOAT, [1, "b3", H])], [Y], weights())


@model_of
def convolution_in_front() -> Any:
    nodes = [node("Conv", ["audio", "K"], ["a"], strides=[16]), node("Transpose", ["a"], ["x"], perm=[2, 0, 1]),
             lstm("x")]
    return finish(nodes, [info("audio", FLOAT, ["n", 1, "samples"])], [Y], weights() + held(K=(I, 1, 200)))


@model_of
def weights_that_are_computed() -> Any:
    nodes = [node("DequantizeLinear", ["q", "s", "z"], ["W"]), lstm()]
    q = np.random.default_rng(0).integers(-9, 9, (1, 4 * H, I)).astype("int8")
    return finish(nodes, [X], [Y], weights()[1:] + held(q=q, s=np.float32(0.1), z=np.int8(0)), opset=21)


@model_of
def no_inputs() -> Any:
    return finish([lstm()], [], [Y], weights() + held(X=(T, B, I)))


@model_of
def weights_as_inputs_with_defaults() -> Any:
    own = [info(t.name, FLOAT, list(t.dims)) for t in weights()]
    return finish([lstm()], [X, *own], [Y], weights(), opset=8)


@model_of
def quantised_lstm() -> Any:
    rng = np.random.default_rng(0)
    small = {"qW": rng.integers(-90, 90, (1, I, 4 * H)).astype("int8"), "s": np.full(1, 0.01, "float32"),
             "qR": rng.integers(-90, 90, (1, H, 4 * H)).astype("int8"), "z": np.zeros(1, "int8")}
    nodes = [node("DynamicQuantizeLSTM", ["X", "qW", "qR", "B", "", "", "", "", "s", "z", "s", "z"], ["Y", "h"],
                  domain="com.microsoft", hidden_size=H, name="quantised")]
    return finish(nodes, [X], [Y, info("h", FLOAT, None)], held(**small) + weights()[2:], com_microsoft=1)
