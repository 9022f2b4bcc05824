"""Every pair of frameworks: the converted arrays compute what the source does, or are refused with the reason."""
import numpy as np
import pytest

import rnnref
from rnnref import NotSupported, interop
from rnnref.interop import LAYOUTS, cell_for, convert, cudnn, framework_named
from rnnref.porting import NotRepresentable
from rnnref.porting.conversion import FRAMEWORKS
from rnnref.testing.assertions import assert_close, assert_same
from tests.support.messages import raises_with
from tests.support.weights import arrays_of, draw_weights
from tests.support.written_cells import CELLS, run_written

FAMILIES = ("rnn", "lstm", "gru", "gru before", "mgu", "ugrnn")
KEYS = [key for key in LAYOUTS if key[0] in FAMILIES]


def converted(source, to, **options):
    """By our own cells alone: the frameworks themselves are run by test_convert_peers."""
    return rnnref.convert(source, to, live=False, **options)


@pytest.mark.parametrize("key", KEYS, ids=map(" ".join, KEYS))
def test_every_target_is_exact_or_refused_with_a_reason(key):
    w = draw_weights(*key)
    for to in FRAMEWORKS:
        try:
            found = converted(w, to)
        except NotRepresentable as e:
            assert e.notes["reason"] and key[1] in e.notes["exact"], e
            continue
        if to == "cudnn":
            back = converted((found.network, found["weights"]), key[1])
        else:
            back = converted(found.stacks[0].layers, key[1])
        again = back.stacks[0].layers[0][0]
        if not found.notes and not back.notes:
            assert_same(dict(again.arrays), w.arrays)            # to the last bit
        assert_close(run(again), run(w))


def run(w):
    rng = np.random.default_rng(1)
    start = tuple(rng.normal(size=a.shape) for a in w.cell.zeros(2, 4, dtype="float64"))
    return rnnref.run(w.cell, w.load(), rng.normal(size=(5, 2, 3)), w.cell.rule.State(*start))[0]


PAIRS = [(a, b) for a in CELLS for b in CELLS if a[0] == b[0] and a != b]


@pytest.mark.parametrize("source, target", PAIRS, ids=[f"{a[0]}: {a[1]} to {b[1]}" for a, b in PAIRS])
def test_the_formula_of_the_target_computes_what_that_of_the_source_does(source, target):
    w, rng = draw_weights(*source), np.random.default_rng(3)
    xs = rng.normal(size=(5, 2, 3))
    start = tuple(rng.normal(size=(2, 4)) for _ in w.cell.rule.widths)
    try:
        found = converted(w, target[1])
    except NotRepresentable:
        assert "keras2" in (source[1], target[1]) or target[1] in ("nnx", "coreml", "haiku"), (source, target)
        return
    options = next(iter(found.options.values()), {})
    if options:                                   # the formulas are those of default layers
        assert "keras2" in (source[1], target[1]) or "haiku" in (source[1], target[1]), options
        return
    assert_close(run_written(*target, dict(found), xs, start)[0], run_written(*source, w.arrays, xs, start)[0])


# what is refused, and the words of the reason, of the nearest model, and of the frameworks that can
REFUSED = {
    "GRU to CoreML": ("gru", "torch", {}, "coreml", ["r multiplies it", "bR_n added to b_n", "exact  torch"]),
    "GRU to nnx": ("gru", "keras", {}, "nnx", ["r multiplies it", "a nnx gru with these weights, with bR_n added"]),
    "GRU to TF 1": ("gru", "torch", {}, "tf1", [
        "no weights make them equal", "a tf1 gru before with these weights, with the reset", "exact  tf1 cudnn"]),
    "GRU before to torch": ("gru before", "keras", {}, "torch", [
        "the reset acts before", "a torch gru with these weights", "exact  keras"]),
    "GRU to TFLite": ("gru", "keras", {}, "tflite", ["no operator for a GRU", "exact  torch"]),
    "GRU to cuDNN": ("gru before", "onnx", {}, "cudnn", ["no weights make them equal", "exact  keras"]),
    "peepholes to torch": ("lstm", "onnx", {"peepholes": True}, "torch", [
        "peepholes=True", "without peepholes", "exact  onnx, tf1"]),
    "projection to Keras": ("lstm", "torch", {"projection": 2}, "keras", ["projection=2", "exact  torch, tf1"]),
    "cell clip to flax": ("lstm", "tf1", {"cell_clip": 0.3}, "flax", [
        "cell_clip=0.3", "with cell_clip=None", "exact  tf1, tf1 block"]),
    "hard sigmoid to torch": ("lstm", "keras2", {}, "torch", ["hard_sigmoid", "with gate=sigmoid", "exact  keras"]),
    "relu to MLX": ("lstm", "keras", {"candidate": "relu", "output": "relu"}, "mlx", [
        "candidate=relu", "with candidate=tanh"]),
    "tanh to haiku": ("rnn", "torch", {}, "haiku", ["activation=tanh", "with activation=relu"]),
    "RNN to equinox": ("rnn", "torch", {}, "equinox", ["cells for LSTM and GRU only"]),
    "free gates to coupled": ("lstm", "torch", {}, "tf1 coupled", ["are independent", "the gates i and f coupled"]),
    "MGU to torch": ("mgu", "flax", {}, "torch", ["no layout of 'torch' for 'mgu'", "exact  flax"]),
    "residual to Keras": ("rnn", "flax", {"residual": True}, "keras", ["residual=True", "exact  flax, nnx"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    family, source, options, to, pieces = REFUSED[name]
    with raises_with(NotRepresentable, pieces):
        converted(draw_weights(family, source, **options), to)


# source, its options, target: what its layers must be made with, and what was computed
NOTED = {
    "forget bias": ("lstm", "tf1", {"forget_bias": 2.5}, "torch", {}, ["2.5 is added to the bias of f"]),
    "two biases": ("lstm", "torch", {}, "keras", {}, ["the two biases of i f g o are added: keras lstm has one"]),
    "two biases of a GRU": ("gru", "torch", {}, "equinox", {}, ["the two biases of r z are added"]),
    "hard sigmoids": ("lstm", "keras2", {}, "keras", {"gate": "hard_sigmoid@keras3"}, ["multiplied by 1.2"]),
    "coupled": ("lstm", "tf1 coupled", {"forget_bias": 0.0}, "keras", {}, ["gets blocks of its own"]),
    "negated": ("gru before", "keras", {}, "haiku", {}, ["the signs of z are changed"]),
    "activation": ("rnn", "torch", {"activation": "relu"}, "keras", {"activation": "relu"}, ["biases of h are added"]),
    "kept apart": ("gru", "torch", {}, "keras", {}, []),
    "peepholes": ("lstm", "tf1", {"peepholes": True, "forget_bias": 0.0}, "onnx", {}, []),
    "peepholes, as an option": ("lstm", "onnx", {"peepholes": True}, "coreml", {"peepholes": True}, ["two biases"]),
}


@pytest.mark.parametrize("name", NOTED)
def test_options_and_notes(name):
    family, source, options, to, made, notes = NOTED[name]
    w = draw_weights(family, source, **options)
    found = converted(w, to)
    theirs = cell_for(family, to, **made).rule
    assert found.options == ({"": {name: getattr(theirs, name) for name in made}} if made else {})
    assert len(found.notes) == len(notes) and all(words in note for words, note in zip(notes, found.notes)), found.notes
    assert_close(run(found.stacks[0].layers[0][0]), run(w))
    assert found.proof[0].holds and "our cell" in found.proof[0].form


def test_front_door_and_interop_convert_the_same():
    for family, source, to in (("lstm", "torch", "keras"), ("gru", "onnx", "flax"), ("lstm", "tf1", "onnx")):
        arrays = arrays_of(family, source)
        found = converted(arrays, to, framework=source, family=family)
        assert_same(dict(found), convert(arrays, source, to, family))


def test_layers_and_directions():
    parts = {f"net.rnn.{name.removesuffix('_l0')}_l{n}{back}": a for n in (0, 1) for back in ("", "_reverse")
             for name, a in arrays_of("gru", "torch").items()}
    parts = {name: (np.concatenate([a, 2 * a, a[:, :2]], 1) if "weight_ih_l1" in name else a)
             * (1 + 0.5 * ("rev" in name)) for name, a in parts.items()}
    there = converted(parts, "keras")
    assert "net.rnn/layer_1/backward/kernel" in there and there["net.rnn/layer_1/backward/kernel"].shape == (8, 12)
    assert_same(dict(converted(dict(there), "torch", framework="keras")), parts)
    assert [len(layer) for layer in there.stacks[0].layers] == [2, 2]
    onnx = converted(parts, "onnx")
    assert onnx["net.rnn/layer_1/W"].shape == (2, 12, 8)
    buffer = converted(parts, "cudnn")
    assert isinstance(buffer.network, cudnn.Network) and buffer["weights"].shape == (buffer.network.size,)
    back = converted((buffer.network, buffer["weights"]), "torch")
    assert_same(dict(back), {name.removeprefix("net.rnn."): a for name, a in parts.items()})


def test_two_networks_in_one_dict():
    both = {f"{name}.{n}": a for name in ("encoder", "decoder") for n, a in arrays_of("lstm", "torch").items()}
    assert len(converted(both, "flax").stacks) == 2
    with pytest.raises(NotSupported, match="2 networks as one buffer"):
        converted(both, "cudnn")


def test_names_of_frameworks():
    w = draw_weights("lstm", "torch")
    assert converted(w, "PyTorch").framework == "torch" and converted(w, "cuDNN").framework == "cudnn"
    assert [framework_named(name) for name in ("dm-haiku", "LiteRT", "Core ML", "eqx")] == [
        "haiku", "tflite", "coreml", "equinox"]
    with raises_with(NotSupported, ["pytroch", "did you mean"]):
        converted(w, "pytroch")
    with raises_with(NotSupported, ["port", "an array of shape (3,)"]):
        interop.port(w, np.zeros(3))


def test_numbers_that_are_not_finite_and_16_bits():
    w = draw_weights("lstm", "torch", "float32")
    broken = w._replace(arrays={n: np.where(a == a.flat[3], np.nan, a) for n, a in w.arrays.items()})
    found = converted(broken, "onnx")
    assert np.isnan(found["W"]).sum() == 1 and found.proof[0].holds
    half = w._replace(arrays={n: a.astype("float16") for n, a in w.arrays.items()})
    found = rnnref.convert(half, "tf1 cudnn")     # no framework computes in 16 bits here: none is imported
    assert found["kernel"].dtype == np.float16 and [proof.form for proof in found.proof] == [
        "our cell with the arrays of tf1 cudnn lstm"]


def test_an_option_that_is_not_known_is_no_matter_of_the_framework():
    with raises_with(NotSupported, ["no option is called nix"]) as caught:
        converted(draw_weights("lstm", "torch"), "tf1", wanted={"nix": 1})
    assert not isinstance(caught.value, NotRepresentable)
    assert converted(draw_weights("lstm", "torch"), "tf1", wanted={"forget_bias": 0.0}).options == {
        "": {"forget_bias": 0.0}}


def test_layers_without_biases():
    for family, to in (("lstm", "keras"), ("gru", "mlx"), ("rnn", "onnx"), ("gru", "nnx")):
        bare = {n: a for n, a in draw_weights(family, "torch").arrays.items() if "bias" not in n}
        there = converted(bare, to)
        assert not there.notes and ("bias=False" in there.describe()) == (to != "nnx")
        assert_same({n: a for n, a in converted(there.stacks[0].layers, "torch").items() if "bias" not in n}, bare)
