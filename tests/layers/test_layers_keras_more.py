"""ConvLSTMs, losses of regularizers, first values and the names of weights, beside Keras's own."""
import os

import numpy as np
import pytest

import rnnref.layers as ours
from rnnref import Record, ops, utils
from rnnref.layers.config import serialize
from rnnref.testing.api import assert_close
from tests.support.keras_pairs import SEQ, STATE, B, I, Pair, T, U, array, mask_of

os.environ.setdefault("KERAS_BACKEND", "torch")   # before Keras is imported, by the fixture

pytestmark = [pytest.mark.peers,                  # the warning: Keras's variables meeting NumPy 2
              pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")]


@pytest.fixture
def theirs(monkeypatch):
    """keras.layers, computing in float64 where it is told to; see tests/test_layers_keras.py."""
    import keras
    from keras.src.backend.common import dtypes
    monkeypatch.setitem(dtypes.BIT64_TO_BIT32_DTYPE, "float64", "float64")
    return keras.layers


PLACES = {1: (6,), 2: (6, 5), 3: (4, 5, 4)}
CONVOLUTIONS = {"valid": STATE, "same": {"padding": "same"} | SEQ, "strides": {"strides": 2} | SEQ | STATE,
                "same strides": {"padding": "same", "strides": 2}, "dilation": {"dilation_rate": 2} | STATE,
                "same dilation": {"padding": "same", "dilation_rate": 2, "go_backwards": True} | SEQ,
                "channels first": {"data_format": "channels_first", "padding": "same"} | SEQ | STATE,
                "no bias": {"use_bias": False, "recurrent_activation": "hard_sigmoid"}}


def convolution(rank, **options):
    return lambda L, dtype: getattr(L, f"ConvLSTM{rank}D")(3, 2, dtype=dtype, **options)


@pytest.mark.parametrize("rank, name", [*((2, name) for name in CONVOLUTIONS), (1, "dilation"), (3, "same"),
                                        (1, "channels first"), (3, "strides")])
def test_convolutions(theirs, rank, name):
    options, places = CONVOLUTIONS[name], PLACES[rank]
    shape = (B, T, 2, *places) if name == "channels first" else (B, T, *places, 2)
    both = Pair(theirs, convolution(rank, **options), "float32" if name == "no bias" else "float64", shape)
    both.agree()
    both.agree(initial_state=both.states())
    both.agree(mask=mask_of("holes"))


def test_convolutions_in_both_directions(theirs):
    def make(L, dtype):
        return L.Bidirectional(convolution(1, padding="same", **SEQ)(L, dtype), dtype=dtype)
    Pair(theirs, make, "float64", (B, T, 6, 2)).agree()


def test_a_step_of_a_convolution(theirs):
    both = Pair(theirs, lambda L, dtype: ours.ConvLSTMCell(2, 3, 2, dtype=dtype) if L is ours else
                convolution(2)(L, dtype).cell, "float64", (B, 6, 5, 2))
    states = [both.normal((B, 5, 4, 3)) for _ in range(2)]
    y, new = both.theirs(both.x, states)
    got = both.ours(both.x, states)
    assert_close([got[0], *got[1]], [array(a) for a in (y, *new)], "output")


@pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU"])
def test_losses_and_their_gradients(theirs, name):
    import torch
    told = {"kernel_regularizer": "l2", "recurrent_regularizer": "l1", "bias_regularizer": "l1"}
    if name != "SimpleRNN":                       # where Keras takes activity_regularizer and forgets it
        told["activity_regularizer"] = "l2"
    both = Pair(theirs, lambda L, dtype: getattr(L, name)(U, dtype=dtype, **told, **SEQ), "float64")
    both.theirs(both.x)
    want = both.theirs.losses
    with Record() as record:
        both.ours(both.x)
        got = both.ours.losses
        loss = sum(got)
    assert sorted(round(float(a), 4) for a in got) == sorted(round(float(array(a)), 4) for a in want)
    grads = torch.autograd.grad(sum(want), [v.value for v in both.theirs.trainable_variables])
    found = record.backward(loss)                 # Keras's own numbers, 0.01, are float32
    for w, g in zip(both.ours.weights, grads):
        assert abs(found[w] - array(g)).max() < 1e-6


@pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU", "Bidirectional", "RNN", "ConvLSTM1D", "StackedRNNCells"])
def test_weights_have_their_names_shapes_and_order(theirs, name):
    def make(L):
        return {"Bidirectional": lambda: L.Bidirectional(L.GRU(U)), "RNN": lambda: L.RNN([L.LSTMCell(2), L.GRUCell(3)]),
                "ConvLSTM1D": lambda: L.ConvLSTM1D(2, 3),
                "StackedRNNCells": lambda: L.StackedRNNCells([L.SimpleRNNCell(2)])}.get(
                    name, lambda: getattr(L, name)(U))()
    their, our = make(theirs), make(ours)
    shape = (B, T, 6, I) if "Conv" in name else (B, I) if "Cells" in name else (B, T, I)
    for one in (their, our):
        one.build(shape)
    assert [w.shape for w in our.weights] == [tuple(w.shape) for w in their.weights]
    assert [w.path.split("/")[-1] for w in our.weights] == [w.path.split("/")[-1] for w in their.weights]
    assert [w.path.count("/") for w in our.weights] == [w.path.count("/") for w in their.weights]
    assert our.count_params() == their.count_params() and our.supports_masking == their.supports_masking


def test_a_cell_with_only_call(theirs):
    """One text for both; ours is recorded, theirs differentiated by PyTorch."""
    import keras
    import torch

    def make(L, o):
        class Cell(L.Layer):
            def __init__(self, **base):
                super().__init__(**base)
                self.state_size = [U, U]

            def build(self, input_shape):
                self.w = self.add_weight(shape=(input_shape[-1], U), name="w")
                self.r = self.add_weight(shape=(U, U), name="r")

            def call(self, inputs, states):
                h, c = states
                c = 0.5 * c + o.tanh(o.matmul(inputs, self.w) + o.matmul(h, self.r))
                return c * o.sigmoid(h), [o.sigmoid(c), c]
        return L.RNN(Cell(dtype="float64"), dtype="float64", **SEQ, **STATE)
    their, our, rng = make(theirs, keras.ops), make(ours, ops), np.random.default_rng(0)
    x = rng.normal(size=(B, T, I))
    for one in (their, our):
        one.build(x.shape)
    our.set_weights([rng.normal(size=w.shape) for w in our.weights])
    their.set_weights(our.get_weights())
    for call in ({}, {"mask": mask_of("holes")}):
        tx = torch.tensor(x, requires_grad=True)
        want, got = their(tx, **call), our(x, **call)
        d = [rng.normal(size=a.shape) for a in got]
        grads = torch.autograd.grad(sum((a * torch.tensor(b)).sum() for a, b in zip(want, d)),
                                    [tx, *(v.value for v in their.trainable_variables)])
        dx, _ = our.backward(d[0], d[1:])
        assert_close(list(got), [array(a) for a in want], "output")
        assert_close([dx, *our.get_grads()], [array(g) for g in grads], "gradient")


HOLDING = {
    "two directions": lambda L: L.Bidirectional(L.LSTM(3, return_sequences=True), merge_mode="sum", name="b"),
    "of cells": lambda L: L.Bidirectional(L.RNN([L.LSTMCell(2), L.GRUCell(3)]), name="b"),
    "both given": lambda L: L.Bidirectional(
        L.LSTM(3, name="l"), backward_layer=L.GRU(3, go_backwards=True, name="g"), name="b"),
    "every step": lambda L: L.TimeDistributed(L.Dense(3, name="d"), name="t"),
    "two directions at every step": lambda L: L.TimeDistributed(
        L.Bidirectional(L.LSTM(3, name="l"), name="b"), name="t"),
    "stacked": lambda L: L.RNN(
        L.StackedRNNCells([L.LSTMCell(2, name="a"), L.GRUCell(2, name="c")], name="s"), name="r"),
    "convolution": lambda L: L.TimeDistributed(L.ConvLSTM1D(2, 3, name="x"), name="t"),
    "embedding": lambda L: L.TimeDistributed(L.Embedding(3, 2, name="e"), name="t"),
}


@pytest.mark.parametrize("name", HOLDING)
def test_layers_that_hold_layers_are_written_as_keras_writes_them(theirs, name):
    """Classes, modules and every option, however deep; Keras has an object where we have the name of a dtype."""
    import keras

    def plain(tree):
        if isinstance(tree, dict):
            if tree.get("class_name") == "DTypePolicy":
                return tree["config"]["name"]
            return {key: plain(item) for key, item in tree.items()}
        return [plain(item) for item in tree] if isinstance(tree, (list, tuple)) else tree
    keras.utils.clear_session()                   # names are counted: both from the beginning
    utils.clear_session()
    want = plain(keras.saving.serialize_keras_object(HOLDING[name](theirs)))
    want.pop("build_config", None)
    assert plain(serialize(HOLDING[name](ours))) == want
