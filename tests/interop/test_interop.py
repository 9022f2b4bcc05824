"""Weights of other frameworks: exact round trips, and conversions that compute the same."""
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from rnnref import NotSupported, cells
from rnnref.interop import LAYOUTS, adapt, cell_for, cell_like, convert, dump, layout_of, load
from rnnref.testing.assertions import assert_close, assert_same
from tests.support.weights import U, arrays_of, draw_parameters, outputs

OPTIONS = {"projection": 2, "peepholes": True, "coupled": "forget"}           # what changes the arrays


@st.composite
def held(draw):
    """A layout, a cell that it fits, and its parameters."""
    layout = LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))]
    options = {n: value for n, value in OPTIONS.items() if n in layout.takes and draw(st.booleans())}
    units, n_in = draw(st.integers(1, 5)), draw(st.integers(0, 4))
    cell = cell_for(layout.family, layout, **options)
    dtype = draw(st.sampled_from(["float32", "float64"]))
    return layout, cell, draw_parameters(cell, layout, draw(st.integers(0, 99)), dtype, n_in, units)


@given(held())
@settings(max_examples=300)
def test_load_of_dump_is_exact(case):
    layout, cell, p = case
    assert_same(load(layout, dump(layout, p, cell), cell), p)
    inside = layout.at("model/", "_7")
    assert_same(load(inside, dump(inside, p, cell), cell), p)


@pytest.mark.parametrize("key", sorted(LAYOUTS))
def test_without_biases(key):
    layout = layout_of(*key, bias=False)
    bare, cell = cell_for(key[0], layout), cell_for(*key)
    p = draw_parameters(bare, LAYOUTS[key])
    assert not {"b", "bR"} & p.keys()
    assert_same(load(layout, dump(layout, p, bare), bare), p)
    assert_close(outputs(cell, adapt(bare, p, cell)), outputs(bare, p))
    p = {n: np.zeros_like(a) if n in ("b", "bR") else a for n, a in draw_parameters(cell, layout).items()}
    theirs = dump(layout, p, cell)
    assert not any("bias" in name or name == "B" for name in theirs)
    assert_same(load(layout, theirs, cell), p)
    with pytest.raises(NotSupported, match="b is not zero where"):
        dump(layout, p | {"b": p["b"] + 1}, cell)


# pairs that are refused, and the words that say why; all other pairs of one family compute the same
DEFAULT, HARD, COUPLED = "the default is", "hard_sigmoid(alpha=0.2", "its gates i and f are independent"
NO_HARD = "torch,torch cell,keras,keras2 cudnn,tf1,tf1 block,tf1 cudnn,haiku,equinox,mlx,tflite".split(",")


def refusal(family, source, target):
    if target == "tf1 coupled":
        return COUPLED if source != "keras2" else HARD
    if source == "keras2" and target in NO_HARD:
        return HARD
    return "recurrent bias of n" if (family, target) in (("gru", "nnx"), ("gru", "coreml")) and source not in (
        "nnx", "coreml") else ""


PAIRS = [(f, a, b) for f in ("rnn", "lstm", "gru", "gru before")
         for a, b in permutations([k[1] for k in LAYOUTS if k[0] == f], 2)]


@pytest.mark.parametrize("family, source, target", PAIRS, ids=map("-".join, PAIRS))
def test_every_pair(family, source, target):
    theirs, other = LAYOUTS[family, source], LAYOUTS[family, target]
    cell = cell_for(family, source)
    p = draw_parameters(cell, theirs)
    arrays, wanted = dump(theirs, p, cell), {}
    why = refusal(family, source, target) if family != "rnn" else "activation=tanh" * (target == "haiku")
    if "keras2" in (source, target) and family != "rnn" or "haiku" in (source, target) and family == "rnn":
        name = "activation" if family == "rnn" else "gate"
        wanted = {name: getattr(cell.rule, name)}  # a default that differs must be given
        with pytest.raises(NotSupported, match=f"{DEFAULT}|which it does not have"):
            convert(arrays, source, target, family)
    if why:
        with pytest.raises(NotSupported) as caught:
            convert(arrays, source, target, family, wanted=wanted)
        assert why in str(caught.value)
    else:
        new = cell_like(other, cell)
        q = load(other, convert(arrays, source, target, family, wanted=wanted), new)
        assert_close(outputs(new, q), outputs(cell, p))


CHAINS = {"lstm": ("torch", "keras", "onnx", "tf1", "torch"), "rnn": ("torch", "keras", "onnx", "tf1", "torch"),
          "gru": ("torch", "keras", "onnx", "flax", "tf1 cudnn", "keras2 cudnn", "torch"),
          "gru before": ("keras", "onnx", "tf1", "tf1 block", "keras")}


@pytest.mark.parametrize("family", CHAINS)
def test_chain(family):
    first, *rest = CHAINS[family]
    cell = cell_for(family, first)
    p = draw_parameters(cell, LAYOUTS[family, first])
    arrays, at = dump(LAYOUTS[family, first], p, cell), first
    for target in rest:
        arrays, at = convert(arrays, at, target, family), target
    assert_close(outputs(cell, load(LAYOUTS[family, at], arrays, cell)), outputs(cell, p))


# family, source, its options, target, options of the target
OPTED = {
    "runtime forget bias": ("lstm", "tf1", {"forget_bias": 2.5}, "tf1", {"forget_bias": 0.0}),
    "to a runtime forget bias": ("lstm", "torch", {}, "tf1", {"forget_bias": -1.0}),
    "peepholes": ("lstm", "tf1", {"peepholes": True}, "onnx", {}),
    "peepholes of zero": ("lstm", "torch", {}, "tf1", {"peepholes": True}),
    "projection": ("lstm", "torch", {"projection": 2}, "tf1", {}),
    "clipped projection": ("lstm", "tf1 coupled", {"projection": 2, "projection_clip": 0.05}, "tf1", {}),
    "cell clip": ("lstm", "tf1", {"cell_clip": 0.3}, "tf1 block", {}),
    "coupled, TF 1": ("lstm", "tf1 coupled", {"forget_bias": 0.5}, "torch", {}),
    "coupled, TF 1, peepholes": ("lstm", "tf1 coupled", {"peepholes": True}, "onnx", {}),
    "coupled, TF 1 to ONNX": ("lstm", "tf1 coupled", {"peepholes": True}, "onnx", {"coupled": "forget"}),
    "coupled, ONNX": ("lstm", "onnx", {"coupled": "forget", "gate": "hard_sigmoid@keras2"}, "keras",
                      {"gate": "hard_sigmoid@keras3"}),
    "coupled, ONNX to TF 1": ("lstm", "onnx", {"coupled": "forget", "peepholes": True}, "tf1", {"peepholes": True}),
    "hard sigmoids, LSTM": ("lstm", "keras2", {}, "keras", {"gate": "hard_sigmoid@keras3"}),
    "hard sigmoids, back": ("lstm", "keras", {"gate": "hard_sigmoid@keras3"}, "onnx", {"gate": "hard_sigmoid@keras2"}),
    "hard sigmoids, GRU": ("gru", "keras2", {}, "keras", {"gate": "hard_sigmoid@keras3"}),
    "hard sigmoids, GRU before": ("gru before", "keras2", {}, "keras", {"gate": "hard_sigmoid@keras3"}),
    "activations": ("lstm", "keras", {"candidate": "relu6", "output": "relu6"}, "onnx", {}),
    "activation": ("rnn", "torch", {"activation": "relu"}, "keras", {}),
}


@pytest.mark.parametrize("name", OPTED)
def test_options(name):
    family, source, options, target, wanted = OPTED[name]
    theirs, other = LAYOUTS[family, source], LAYOUTS[family, target]
    cell = cell_for(family, source, **options)
    p = draw_parameters(cell, theirs)
    new = cell_like(other, cell, **wanted)
    q = load(other, convert(dump(theirs, p, cell), source, target, family, options, wanted), new)
    ys, dxs = outputs(cell, p)
    assert_close(outputs(new, q)[0], ys)
    if "cell_clip" not in options:                   # the block kernel has another gradient there on purpose
        assert_close(outputs(new, q)[1], dxs)


HARD_SIGMOIDS = st.sampled_from(["hard_sigmoid@keras2", "hard_sigmoid@keras3"])


@st.composite
def related(draw):
    """Two LSTMs, of which the second can compute what the first does, whatever their conventions."""
    hard, peepholes = draw(st.booleans()), draw(st.booleans())
    coupled = draw(st.sampled_from([None, "input", "forget"]))
    pair = []
    for way in (coupled, draw(st.sampled_from([None, coupled]))):
        gate = draw(HARD_SIGMOIDS) if hard else "sigmoid"
        forget_bias = draw(st.sampled_from([0.0, 1.0, -0.7])) if way != "forget" else 0.0
        pair.append(cells.LSTM(gate=gate, forget_bias=forget_bias, coupled=way, recurrent_bias=draw(st.booleans()),
                               peepholes=peepholes or draw(st.booleans()) and bool(pair)))
    return pair


@given(related())
@settings(max_examples=200)
def test_adapt_to_another_convention(pair):
    cell, other = pair
    p = draw_parameters(cell, LAYOUTS["lstm", "onnx"])
    assert_close(outputs(other, adapt(cell, p, other)), outputs(cell, p))


def test_biases_that_can_be_told_apart_stay_apart():
    cell = cell_for("gru", "torch")
    p = draw_parameters(cell, LAYOUTS["gru", "torch"])
    arrays = dump(LAYOUTS["gru", "torch"], p, cell)
    assert_same(convert(convert(arrays, "torch", "keras", "gru"), "keras", "torch", "gru"), arrays)


def test_layers_of_cudnn_in_keras_2():
    """Keras 2 itself turned a plain kernel into that of CuDNNLSTM gate by gate, as k.T.reshape(k.shape) and k.T."""
    cell = cell_for("lstm", "keras")
    plain = dump(LAYOUTS["lstm", "keras"], draw_parameters(cell, LAYOUTS["lstm", "keras"]), cell)
    flat = convert(plain, "keras", "keras2 cudnn", "lstm")
    for name, turn in (("kernel", lambda k: k.T.reshape(k.shape)), ("recurrent_kernel", lambda k: k.T)):
        assert_same(flat[name], np.hstack([turn(k) for k in np.hsplit(plain[name], 4)]))
    assert_same(flat["bias"], np.concatenate([plain["bias"], np.zeros(4 * U)]))


def test_nothing_is_changed():
    arrays = arrays_of("lstm", "keras2")
    before = {n: a.copy() for n, a in arrays.items()}
    convert(arrays, "keras2", "keras", "lstm", wanted={"gate": "hard_sigmoid@keras3"})
    assert_same(arrays, before)
