"""ONNX files that are broken, or made to do harm: {name: model or bytes}."""
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.support.onnx_models import BOOL, FLOAT, INT64, B, H, I, T, X, Y, finish, held, info, lstm, node, weights

SHAPE = (1, 4 * H, I)                             # of W
BYTES = 4 * 4 * H * I
SECRET = "do not tell " * 100


def lay_traps(folder: Path) -> None:
    """What the external data of the models lead to."""
    (folder.parent / "secret").write_text(SECRET)
    (folder / "short").write_bytes(bytes(10))
    (folder / "inner").mkdir()
    os.symlink(folder.parent / "secret", folder / "link")
    os.symlink(folder.parent, folder / "folder_link")
    os.mkfifo(folder / "pipe")


def with_W(t: Any) -> Any:
    return finish([lstm()], [X], [Y], [t, *weights()[1:]])


def tensor(dims: tuple, data: bytes = b"", kind: int = FLOAT, **fields: Any) -> Any:
    fields = fields or {"raw_data": data}
    return TensorProto(name="W", data_type=kind, dims=dims, **fields)


def external(dims: tuple = SHAPE, **entries: Any) -> Any:
    t = TensorProto(name="W", data_type=FLOAT, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        t.external_data.add(key=key, value=str(value))
    return t


def external_models() -> dict[str, Any]:
    """Data that lie where they must not, or not at all."""
    places = {"above": "../secret", "absolute": os.path.abspath(__file__), "a link": "link", "device": "/dev/zero",
              "a linked folder": "folder_link/secret", "above in the middle": "inner/../../secret", "pipe": "pipe",
              "folder": "inner", "short": "short", "missing": "none", "a zero in the name": "sh\0rt", "nowhere": ""}
    sizes: dict[str, dict] = {"before the file": {"offset": -5}, "too long": {"length": 1 << 62},
                              "no number": {"offset": "zz"}, "behind the file": {"offset": 1 << 40}}
    constant = node("Constant", [], ["c"], value=external((4,), location="../secret"))
    function = helper.make_function("my.own", "F", ["x"], ["y"], [constant, node("Add", ["x", "c"], ["y"])],
                                    [helper.make_opsetid("", 17)])
    branch = helper.make_graph([constant, node("Add", ["y", "c"], ["z"])], "branch", [], [info("z", FLOAT, None)])
    chosen = node("If", ["yes"], ["Y"], then_branch=branch, else_branch=branch)
    return {
        **{f"data {name}": with_W(external(location=place)) for name, place in places.items()},
        **{f"data {name}": with_W(external(location="short", **entries)) for name, entries in sizes.items()},
        "data of a function": finish([lstm(outputs=("y",)), node("F", ["y"], ["Y"], domain="my.own")], [X], [Y],
                                     weights(), functions=[function], my_own=1),
        "data of a branch": finish([lstm(outputs=("y",)), chosen], [X], [Y], weights() + held(yes=np.array(True))),
        "data of a sparse tensor": sparse(external((2,), location="../secret"), 16)}


def sparse(values: Any, size: int) -> Any:
    model = finish([lstm(outputs=("y",)), node("Add", ["y", "W"], ["Y"])], [X], [Y], weights()[1:])
    indices = numpy_helper.from_array(np.array([0, 1]), "indices")
    model.graph.sparse_initializer.append(onnx.SparseTensorProto(values=values, indices=indices, dims=[size]))
    return model


def tensor_models() -> dict[str, Any]:
    """Weights that are not what they are said to be."""
    texts = TensorProto(name="W", data_type=TensorProto.STRING, dims=[2], string_data=[b"a", b"b"])
    return {name: with_W(t) for name, t in {
        "weights of terabytes": tensor((1 << 40, 1 << 40), b"abcd"),
        "weights of negative shape": tensor((-1, 3), b"abcd"), "weights cut short": tensor(SHAPE, b"abcd"),
        "weights of no bytes": tensor(SHAPE),
        "weights of three numbers": tensor(SHAPE, float_data=[1.0] * 3), "weights of texts": texts,
        "weights of type 99": tensor(SHAPE, bytes(BYTES), 99), "weights of type 0": tensor(SHAPE, bytes(BYTES), 0),
        "weights of two axes": numpy_helper.from_array(np.ones((4, 3), "float32"), "W"),
        "weights of no axis": numpy_helper.from_array(np.ones((), "float32"), "W"),
        "weights not finite": tensor(SHAPE, np.full(SHAPE, np.nan, "float32").tobytes())}.items()} | {
        "a huge sparse tensor": sparse(numpy_helper.from_array(np.ones(2, "float32"), "W"), 1 << 32)}


def shape_models() -> dict[str, Any]:
    """Inputs, values and attributes of sizes that nothing can hold, or that cannot be."""
    inputs = {"an input of terabytes": [1 << 40, B, I], "too many steps": [1 << 22, 1, I], "negative steps": [-5, B, I],
              "too many rows": [6, 1 << 22, I], "no steps": [0, B, I], "two axes": [5, 5]}
    made = {"terabytes": [1 << 40, 2, I], "gigabytes": [1 << 28, 1, I], "many steps": [1 << 23, 1, I],
            "negative": [-3, 1, I]}
    ones = numpy_helper.from_array(np.ones(1, "float32"))
    grown = {"Expand": [1 << 32, B, I], "Tile": [1 << 28, 1, 1], "Pad": [1 << 30, 0, 0, 0, 0, 0]}
    lengths = node("LSTM", ["X", "W", "R", "B", "l"], ["Y"], hidden_size=H)
    one_step = info("X", FLOAT, [1, B, I])
    flat = held(V=np.ones((4 * H, I), "float32")) + weights()[1:]
    return {
        **{name: finish([lstm()], [info("X", FLOAT, shape)], [Y], weights()) for name, shape in inputs.items()},
        "computed weights of two axes": finish([node("Neg", ["V"], ["W"]), lstm()], [X], [Y], flat),
        **{f"a value of {name}": finish([node("ConstantOfShape", ["s"], ["x"], value=ones), lstm("x")], [], [Y],
                                        weights() + held(s=np.array(shape))) for name, shape in made.items()},
        **{f"a huge {op}": finish([node(op, ["X", "s"], ["x"]), lstm("x")], [one_step], [Y],
                                  weights() + held(s=np.array(sizes))) for op, sizes in grown.items()},
        "a huge Range": finish([node("Range", ["a", "b", "c"], ["r"]), node("ReduceSum", ["r"], ["s"]),
                                node("Add", ["X", "s"], ["x"]), lstm("x")], [X], [Y], weights() + held(
                                    a=np.float32(0), b=np.float32(1e12), c=np.float32(1))),
        **{f"hidden_size {n}": finish([node("LSTM", ["X", "W", "R", "B"], ["Y"], hidden_size=n)], [X], [Y], weights())
           for n in (1 << 40, -4)},
        **{f"lengths {n}": finish([lengths], [X], [Y], weights() + held(l=np.array([n] * B, "int32")))
           for n in (1 << 30, -1)}}


def body(nodes: list, inputs: list, outputs: list) -> Any:
    return helper.make_graph([node("Identity", ["on"], ["on2"]), *nodes], "body",
                             [info("k", INT64, []), info("on", BOOL, []), *inputs], [info("on2", BOOL, []), *outputs])


def loop_models() -> dict[str, Any]:
    """Loops that do not end, or that take more memory at each turn."""
    h, h2 = info("h", FLOAT, None), info("h2", FLOAT, None)
    tanh = node("Tanh", ["h"], ["h2"])

    def loop(inner: Any, trips: str = "n", on: str = "") -> Any:
        return finish([node("Loop", [trips, on, "X"], ["x"], body=inner), lstm("x")], [X], [Y],
                      weights() + held(n=np.array(1 << 62), yes=np.array(True)))
    collected = body([tanh, node("Identity", ["h2"], ["o"])], [h], [h2, info("o", FLOAT, None)])
    pieces = [helper.make_tensor_sequence_value_info(name, FLOAT, None) for name in ("q", "q2")]
    sequence = [node("SequenceEmpty", [], ["q0"]), node("Loop", ["n", "", "q0"], ["all"], body=body(
        [node("SequenceInsert", ["q", "X"], ["q2"])], pieces[:1], pieces[1:])),
        node("ConcatFromSequence", ["all"], ["x"], axis=0), lstm("x")]
    step = helper.make_graph([node("Tanh", ["h"], ["h2"]), node("Identity", ["x"], ["o"])], "step",
                             [info("h", FLOAT, [1]), info("x", FLOAT, [])],
                             [info("h2", FLOAT, [1]), info("o", FLOAT, [])])
    return {
        "a loop of 2^62 turns": loop(body([tanh], [h], [h2])),
        "a loop without end": loop(body([tanh], [h], [h2]), "", "yes"),
        "a loop that doubles": loop(body([node("Concat", ["h", "h"], ["h2"], axis=1)], [h], [h2])),
        "a loop that collects": finish([node("Loop", ["n", "", "X"], ["x", "o"], body=collected), lstm("x")], [X],
                                       [Y, info("o", FLOAT, None)], weights() + held(n=np.array(1 << 62))),
        "a loop that lengthens a sequence": finish(sequence, [X], [Y], weights() + held(n=np.array(1 << 62))),
        "a scan of many steps": finish(
            [node("Scan", ["h", "v"], ["h9", "o"], body=step, num_scan_inputs=1), node("Add", ["X", "h9"], ["x"]),
             lstm("x")], [X, info("h", FLOAT, [1]), info("v", FLOAT, [1 << 24])], [Y], weights())}


def function_models() -> dict[str, Any]:
    """Functions that call each other without end, or multiply."""
    def calling(callers: dict[str, list[str]], first: str) -> Any:
        opsets = [helper.make_opsetid("my.own", 1), helper.make_opsetid("", 17)]
        functions = []
        for name, called in callers.items():
            names = ["x", *(f"v{k}" for k in range(len(called) - 1)), "y"]
            functions.append(helper.make_function("my.own", name, ["x"], ["y"], [
                node(op, [names[k]], [names[k + 1]], domain="" if op == "Tanh" else "my.own")
                for k, op in enumerate(called)], opsets))
        return finish([node(first, ["X"], ["x"], domain="my.own"), lstm("x")], [X], [Y], weights(), functions=functions,
                      my_own=1)
    chain = {f"F{k}": [f"F{k - 1}"] if k else ["Tanh"] for k in range(300)}
    doubling = {f"F{k}": [f"F{k - 1}"] * 2 if k else ["Tanh"] for k in range(40)}
    return {"a function that calls itself": calling({"F": ["F"]}, "F"),
            "functions that call each other": calling({"F": ["G"], "G": ["F"]}, "F"),
            "functions that multiply": calling(doubling, "F39"),
            "functions in functions": calling(chain, "F299")}


def graph_models() -> dict[str, Any]:
    """Graphs and types that do not fit together."""
    def changed(change: Any) -> Any:
        model = finish([lstm()], [X], [Y], weights())
        change(model)
        return model

    def with_lstm(inputs: list, outputs: list, **attributes: Any) -> Any:
        return finish([node("LSTM", inputs, outputs, **attributes)], [X], [Y], weights())
    all_names = ["X", "W", "R", "B"]
    return {
        "two nodes of one name": finish([lstm(), lstm()], [X], [Y], weights()),
        "a cycle": finish([node("Add", ["X", "b"], ["a"]), node("Add", ["a", "X"], ["b"]), lstm("b")], [X], [Y],
                          weights()),
        "a value that nothing makes": finish([lstm("none")], [X], [Y], weights()),
        "ir 99": changed(lambda m: setattr(m, "ir_version", 99)),
        "opset 999": finish([lstm()], [X], [Y], weights(), opset=999),
        "opset -1": finish([lstm()], [X], [Y], weights(), opset=-1),
        "no opset": changed(lambda m: m.ClearField("opset_import")),
        "no type": changed(lambda m: m.graph.input[0].type.Clear()),
        "a map": changed(lambda m: setattr(m.graph.input[0].type.map_type, "key_type", 7)),
        "elements of type 77": changed(lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 77)),
        "attribute of no type": changed(lambda m: m.graph.node[0].attribute[0].ClearField("type")),
        "integers as X": finish([lstm()], [info("X", INT64, [T, B, I])], [Y], weights()),
        "a size that is a text": with_lstm(all_names, ["Y"], hidden_size="four"),
        "an unknown activation": with_lstm(all_names, ["Y"], hidden_size=H, activations=["Evil", "Tanh", "Tanh"]),
        "an unknown direction": with_lstm(all_names, ["Y"], hidden_size=H, direction="sideways"),
        "no weights": with_lstm(["X"], ["Y"], hidden_size=H), "no inputs": with_lstm([], ["Y"], hidden_size=H),
        "five outputs": with_lstm(all_names, ["Y", "a", "b", "c", "d"], hidden_size=H)}


def byte_files() -> dict[str, bytes]:
    """Bytes that are no model."""
    whole = finish([lstm()], [X], [Y], weights()).SerializeToString()
    return {"empty": b"", "text": b"hello\n" * 9, "zeros": bytes(4096), "half": whole[:len(whole) // 2],
            "one byte less": whole[:-1], "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(900), "zip": b"PK\x05\x06" + bytes(18),
            "a graph longer than the file": b"\x3a\xff\xff\xff\xff\x07" + whole, "graphs in graphs": nested(3000)}


def nested(levels: int) -> bytes:
    data = b""
    for _ in range(levels):
        n = len(data)
        data = b"\x3a" + bytes([n & 127 | 128, n >> 7 & 127 | 128, n >> 14]) + data
    return data


FILES = external_models() | tensor_models() | shape_models() | loop_models() | function_models() | graph_models() \
    | byte_files()
HEAVY = ("a loop that collects", "a loop that doubles", "a scan of many steps", "a value of many steps",
         "too many rows", "a value of gigabytes", "a huge sparse tensor", "weights of terabytes")


def write(folder: Path, name: str) -> Path:
    """The file of one of them."""
    path, model = folder / "bad.onnx", FILES[name]
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return path
