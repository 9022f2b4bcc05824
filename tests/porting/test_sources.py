"""What is read as the weights of layers: each layer, in order, or an error that says what is wrong with it."""
import json

import numpy as np
import pytest

import rnnref
from rnnref import NotSupported, ShapeError
from rnnref.errors import DtypeError, FileError, InvalidType, InvalidValue
from rnnref.files.hdf5 import write_h5
from rnnref.files.npz import write_npz
from rnnref.files.tensors import write_safetensors
from rnnref.interop import find_weights
from rnnref.porting import explain_file
from tests.support.messages import raises_with
from tests.support.weights import arrays_of, draw_weights


def named(place, family="lstm", framework="torch", factor=1.0):
    """The arrays of a layer under a place: "enc._l1" as torch has it, or a path."""
    found = {}
    for name, a in arrays_of(family, framework).items():
        stem, _, number = place.rpartition("_l")
        full = f"{stem}{name.removesuffix('_l0')}_l{number}" if framework == "torch" else f"{place}/{name}"
        found[full] = factor * a
    return found


# what is missing

def test_a_layer_that_is_not_whole_is_not_left_out():
    """The rest of the file would be converted as if the layer were not there."""
    whole = named("net._l0") | {"head.weight": np.ones((2, 4)), "head.bias": np.ones(2)}
    assert list(find_weights(whole)) == ["net._l0"]
    for family in ("lstm", "gru", "rnn"):
        for lost in ("net.weight_ih_l1", "net.weight_hh_l1", "net.bias_hh_l1", "net.bias_ih_l1"):
            rest = {name: a for name, a in named("net._l1", family).items() if name != lost}
            for source in (rest, whole | rest):
                with raises_with(ShapeError, ["missing", lost.rpartition("_l1")[0].removeprefix("net."), "net."]):
                    rnnref.convert(source, "keras", live=False)


def test_a_layer_of_other_shapes_is_not_left_out():
    whole = named("net._l0")
    for name, shape in (("weight_hh_l1", (16, 5)), ("weight_ih_l1", (15, 3)), ("bias_ih_l1", (4,)),
                        ("weight_ih_l1", (16,)), ("weight_hh_l1", (0, 0))):
        rest = named("net._l1") | {f"net.{name}": np.ones(shape)}
        for source in (rest, whole | rest):
            with raises_with(ShapeError, ["'net._l1' is no layer of torch", f"net.{name} {shape}"]):
                rnnref.convert(source, "keras", live=False)


def test_names_of_paths():
    whole = named("enc", "gru", "keras")
    lost = {name: a for name, a in named("dec", "gru", "keras").items() if name != "dec/kernel"}
    with raises_with(ShapeError, ["dec/kernel is missing", "dec/recurrent_kernel (4, 12)"]):
        rnnref.convert(whole | lost, "torch", live=False)
    dense = {"head/kernel": np.ones((4, 9)), "head/bias": np.ones(9)}
    assert list(find_weights(whole | dense)) == ["enc/"]
    with raises_with(ShapeError, ["in lower case the names fit"]):
        find_weights({name.upper(): a for name, a in whole.items()})


# the order of layers

def test_layers_are_in_the_order_of_the_source(tmp_path):
    kinds = {"a": "lstm", "b": "gru", "c": "lstm", "d": "rnn"}
    state = {name: a for place, family in kinds.items() for name, a in named(f"{place}._l0", family).items()}
    assert list(find_weights(state)) == [f"{place}._l0" for place in kinds]
    write_npz("test", tmp_path / "m.npz", state)
    assert list(find_weights(tmp_path / "m.npz")) == [f"{place}._l0" for place in kinds]


def test_numbers_in_names_are_sorted_as_numbers(tmp_path):
    """Files of HDF5 and of safetensors have the order of the alphabet: lstm_10 stands before lstm_2."""
    places = ["lstm", *(f"lstm_{k}" for k in range(1, 13))]
    state = {name: a for k, place in enumerate(places) for name, a in named(place, "lstm", "keras", k + 1.0).items()}
    for write, suffix in ((write_h5, "h5"), (write_safetensors, "safetensors")):
        write("test", tmp_path / f"m.{suffix}", dict(sorted(state.items())))
        found = find_weights(tmp_path / f"m.{suffix}")
        assert [w.arrays["bias"][0] / state["lstm/bias"][0] for w in found.values()] == pytest.approx(range(1, 14))


def test_the_order_of_a_model_of_keras_is_that_of_its_configuration(tmp_path):
    h5py = pytest.importorskip("h5py")
    order = {"zz": 1.0, "mm": 2.0, "aa": 3.0}
    common = {"units": 4, "activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True,
              "go_backwards": False}
    layers = [{"class_name": "LSTM", "config": {"name": name, **common}} for name in order]
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["keras_version"] = "3.5.0"
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": layers}})
        for place, factor in order.items():
            for name, a in named(f"model_weights/{place}", "lstm", "keras", factor).items():
                file[name] = a
    found = find_weights(tmp_path / "m.h5")
    first = arrays_of("lstm", "keras")["bias"][0]
    assert [w.arrays["bias"][0] / first for w in found.values()] == pytest.approx([1, 2, 3])


def test_halves_of_bidirectional_layers_read_from_the_end(tmp_path):
    """Also in files that hold weights and tell nothing of layers."""
    for place in ("bi/backward_lstm", "bi/backward_layer/cell", "layer_0/backward", "bi/bw"):
        write_npz("test", tmp_path / "m.npz", named(place, "lstm", "keras"))
        (w,) = find_weights(tmp_path / "m.npz").values()
        assert w.reverse, place
    for place in ("bi/forward_lstm", "backwards_model/lstm", "bwd2/lstm"):
        (w,) = find_weights(named(place, "lstm", "keras")).values()
        assert not w.reverse, place


# what is told beside a source, and arrays that are none

def test_what_is_told_of_a_source_that_says_it_itself():
    w = draw_weights("lstm", "torch")
    for options, words in (({"given": {"forget_bias": 1.0}}, "forget_bias=1.0 for weights of torch lstm"),
                           ({"params": {"a": 1}}, "params={'a': 1}"), ({"family": "gru"}, "no gru in "),
                           ({"framework": "keras"}, "framework='keras' for weights")):
        for source in (w, [(w,)]):
            with raises_with(rnnref.Error, [words.partition(" for ")[0]]):
                rnnref.convert(source, "onnx", live=False, **options)
    assert rnnref.convert(w, "onnx", live=False, family="LSTM", framework="PyTorch").framework == "onnx"
    with raises_with(NotSupported, ["params=3", "only modules of flax linen"]):
        rnnref.convert(arrays_of("lstm", "torch"), "onnx", live=False, params=3)


@pytest.mark.parametrize("name, value, error", [
    ("given", 3, InvalidType), ("given", ["a"], InvalidType), ("wanted", "x", InvalidType),
    ("wanted", {3: 1}, InvalidType), ("seed", -1, InvalidValue), ("seed", "a", InvalidType),
    ("seed", 1.5, InvalidType), ("live", "x", InvalidType)])
def test_arguments(name, value, error):
    with raises_with(error, [f"convert: {name}={value!r}"]):
        rnnref.convert(draw_weights("lstm", "torch"), "keras", **{"live": False, name: value})


def test_arrays_that_are_none():
    state = arrays_of("lstm", "torch")
    with raises_with(DtypeError, ["extra is a list that is no array of numbers"]):
        find_weights(state | {"extra": [[1], [1, 2]]})
    for dtype in (int, bool, object, "c8", "U8"):
        with raises_with(DtypeError, ["weight_ih_l0 has dtype", "expected a floating dtype"]):
            find_weights({name: a.astype(dtype) for name, a in state.items()})
            rnnref.convert({name: a.astype(dtype) for name, a in state.items()}, "keras", live=False)
    for change in (np.asfortranarray, lambda a: a.astype(">f8"), lambda a: a.astype("longdouble"), lambda a: a[::1],
                   lambda a: np.repeat(a, 2, 0)[::2], lambda a: a.tolist()):
        found = rnnref.convert({name: change(a) for name, a in state.items()}, "keras", live=False)
        np.testing.assert_array_equal(found["kernel"].astype("f8"), state["weight_ih_l0"].T)


# what newcomers give

def test_what_is_near_is_told():
    layer = rnnref.layers.LSTM(4)
    layer(np.ones((1, 2, 3), "float32"))
    with raises_with(NotSupported, ["model.save(", 'layer.get_weights() with family="lstm"']):
        rnnref.convert(layer, "torch", live=False)
    assert rnnref.convert(layer.get_weights(), "torch", family="lstm", live=False)["weight_ih_l0"].shape == (16, 3)
    cell = rnnref.cells.LSTM()
    p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0))
    with raises_with(ShapeError, ["parameters of a cell of rnnref", "interop.dump("]):
        rnnref.convert(p, "torch", live=False)
    with raises_with(InvalidType, ["'m.keras', which is a file", "explain_file"]):
        rnnref.explain("m.keras")


def test_the_description_of_a_buffer_is_told():
    found = rnnref.convert(draw_weights("gru", "torch"), "cudnn", live=False)
    assert str(found.network) in found.describe() and "units=4, inputs=3" in found.describe()


# graphs of ONNX

onnx = pytest.importorskip("onnx")


def make_model(*nodes, **arrays):
    helper, tensors = onnx.helper, [onnx.numpy_helper.from_array(a, name) for name, a in arrays.items()]
    ends = [helper.make_tensor_value_info("X", 1, ["T", "B", 3]), helper.make_tensor_value_info("Y0", 1, None)]
    graph = helper.make_graph([helper.make_node(op, inputs, outputs, **attributes)
                               for op, inputs, outputs, attributes in nodes], "g", ends[:1], ends[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def test_nodes_of_one_name_are_all_there():
    own = draw_weights("lstm", "onnx", "float32").arrays
    two = {f"{name}{k}": (k + 1) * a for k in range(2) for name, a in own.items()}
    nodes = [("LSTM", ["X", f"W{k}", f"R{k}", f"B{k}"], [f"Y{k}"], {"hidden_size": 4, "name": "same"})
             for k in range(2)]
    found = rnnref.convert(make_model(*nodes, **two), "torch", live=False)
    assert [stack.name for stack in found.stacks] == ["same", "same -> Y1"]
    np.testing.assert_array_equal(found["same -> Y1.weight_ih_l0"], 2 * found["same.weight_ih_l0"])
    with raises_with(FileError, ["two nodes that both make 'same -> Y0'"]):
        rnnref.convert(make_model(*nodes[:1] * 3, **two), "torch", live=False)


def test_nodes_of_other_domains_and_without_weights(tmp_path):
    own = draw_weights("lstm", "onnx", "float32").arrays
    other = make_model(("LSTM", ["X", "W", "R", "B"], ["Y0"], {"hidden_size": 4, "domain": "my.own"}), **own)
    with raises_with(NotSupported, ["a model without a node RNN, GRU or LSTM", "my.own.LSTM"]):
        rnnref.convert(other, "torch", live=False)
    for inputs, words in (([], "its input W and R"), (["X"], "its input W and R"), (["X", "W"], "its input R"),
                          (["X", "W", "R", "none"], "none: no initialiser")):
        model = make_model(("LSTM", inputs, ["Y0"], {"hidden_size": 4, "name": "n"}), **own)
        path = tmp_path / "m.onnx"
        path.write_bytes(model.SerializeToString())
        for read in (lambda: rnnref.convert(path, "torch", live=False), lambda: explain_file(path)):
            with raises_with(NotSupported, [words, "m.onnx"]):
                read()
