"""Arguments of layers, by name and by position: a wrong one gets an error that names the class that the user wrote."""
import copy

import numpy as np
import pytest

import rnnref
from rnnref import DtypeError, ShapeError, layers as L, tf1
from rnnref.errors import InvalidType, NotSupported
from rnnref.testing.api import assert_same
from tests.support.layer_cases import HOLES, B, I, T, U, X
from tests.support.messages import raises_with

A = np.ones((2, 3), "float32")


class Own(L.Layer):
    def __init__(self, rate, **base):
        super().__init__(**base)
        self.rate = rate

    def call(self, x, *others, scale=1.0):
        return x * scale


CONSTRUCTORS = {
    "LSTM": (lambda: L.LSTM(3, return_sequence=True), "return_sequence", "return_sequences"),
    "GRU": (lambda: L.GRU(3, actvation="tanh"), "actvation", "activation"),
    "SimpleRNN": (lambda: L.SimpleRNN(3, time_mayor=True), "time_mayor", "time_major"),
    "LSTMCell": (lambda: L.LSTMCell(3, dropuot=0.1), "dropuot", "dropout"),
    "GRUCell": (lambda: L.GRUCell(3, implementatoin=1), "implementatoin", "implementation"),
    "ConvLSTM2D": (lambda: L.ConvLSTM2D(3, 3, stride=2), "stride", "strides"),
    "RNN": (lambda: L.RNN(L.LSTMCell(3), go_backward=True), "go_backward", "go_backwards"),
    "Bidirectional": (lambda: L.Bidirectional(L.LSTM(3), merge_mod="sum"), "merge_mod", "merge_mode"),
    "TimeDistributed": (lambda: L.TimeDistributed(L.Dense(3), nam="x"), "nam", "name"),
    "StackedRNNCells": (lambda: L.StackedRNNCells([L.LSTMCell(2)], dtpye="float64"), "dtpye", "dtype"),
    "Dense": (lambda: L.Dense(3, kernel_init="zeros"), "kernel_init", "kernel_initializer"),
    "Embedding": (lambda: L.Embedding(3, 4, maskzero=True), "maskzero", "mask_zero"),
    "BatchNormalization": (lambda: L.BatchNormalization(momentun=0.9), "momentun", "momentum"),
    "Own": (lambda: Own(3, nmae="x"), "nmae", "name"),
    "Sequential": (lambda: rnnref.Sequential([L.Dense(2)], nam="a"), "nam", "name"),
    "Model": (lambda: rnnref.Model(nam="a"), "nam", "name"),
}


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_a_misspelt_argument_of_a_constructor(name):
    make, wrong, right = CONSTRUCTORS[name]
    pieces = [f"layers.{name}: no argument is called {wrong}\n", f"did you mean {right}?"]
    with raises_with(InvalidType, pieces) as caught:
        make()
    assert str(caught.value).count("did you mean") == 1


def test_an_argument_like_no_other_has_no_suggestion():
    with raises_with(InvalidType, ["layers.LSTM: no argument is called qqq"]) as caught:
        L.LSTM(3, qqq=1)
    assert "did you mean" not in str(caught.value)
    with raises_with(InvalidType, ["inputs without outputs", "outputs= in the place of output="]):
        rnnref.Model(inputs=rnnref.Input((3,)), output=None)


CALLS = {
    "two": (lambda: L.Dense(3)(A, A), "layers.Dense: called with 2 arguments by position, expected at most 1: x"),
    "noise": (lambda: L.Dropout(0.5)(A, A), "layers.Dropout: called with 2 arguments"),
    "none": (lambda: L.Dense(3)(), "layers.Dense: called without x"),
    "five": (lambda: L.LSTM(3)(X, None, None, False, 5), "expected at most 4: x, initial_state, mask, training"),
    "no x": (lambda: L.LSTM(3)(initial_state=None), "layers.LSTM: called without x"),
    "a keyword": (lambda: L.LSTM(3)(X, initial_states=None), "did you mean initial_state?"),
    "training": (lambda: L.Dense(3)(A, trainin=True), "did you mean training?"),
    "of call": (lambda: Own(3)(A, sclae=2), "layers.Own: no argument of a call is called sclae"),
    "symbols": (lambda: L.Dense(3)(rnnref.Input((3,)), rnnref.Input((3,))), "layers.Dense: called with 2 arguments"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_does_not_fit(name):
    make, message = CALLS[name]
    with raises_with(InvalidType, [message]):
        make()
    with rnnref.Record(), raises_with(InvalidType, [message]):
        make()


def test_calls_that_do():
    assert_same(Own(3)(A, A, A, scale=2.0), 2 * A)
    lstm = L.LSTM(U, dtype="float64", seed=1)
    assert_same(lstm(x=X), lstm(X))
    assert_same(lstm(X, None, HOLES, False), lstm(X, mask=HOLES))


def test_shapes_in_errors_are_those_of_the_user():
    lstm, major = L.LSTM(U), L.LSTM(U, time_major=True)
    lstm(X), major(X.swapaxes(0, 1))
    first = L.ConvLSTM1D(2, 2, data_format="channels_first")
    first(np.ones((B, T, 3, 6)))
    cell = L.LSTMCell(U)
    cell(X[:, 0])
    wide = np.ones((B, T, I + 1))
    for f, pieces in (
            (lambda: lstm(wide), [f"x has shape {(B, T, I + 1)}, expected {I} on the last axis"]),
            (lambda: major(wide.swapaxes(0, 1)), [f"x has shape {(T, B, I + 1)}, expected {I}"]),
            (lambda: first(np.ones((B, T, 2, 6))), [f"x has shape {(B, T, 2, 6)}, expected 3 on axis 2"]),
            (lambda: cell(wide[:, 0]), [f"x has shape {(B, I + 1)}, expected {I}"]),
            (lambda: lstm(X[:, :0]), [f"layers.LSTM: x has shape {(B, 0, I)}: without steps"]),
            (lambda: lstm(X, lengths=[1, 2, T + 1]), [f"lengths are {[1, 2, T + 1]}, expected each from 0 to {T}"]),
            (lambda: lstm(X, lengths=[1, 2]), ["lengths has shape (2,), expected (3,)"])):
        with raises_with(ShapeError, pieces) as caught:
            f()
        assert str((T, B, I)) not in str(caught.value)
    with raises_with(DtypeError, ["lengths"]):
        lstm(X, lengths=[1.0, 2.0, 3.0])


def test_cells_from_a_generator():
    def make():
        return L.StackedRNNCells(L.LSTMCell(2, seed=k) for k in range(2))
    assert len(copy.deepcopy(make()).cells) == 2
    assert L.Bidirectional(L.RNN(make()))(X).shape == (B, 4)
    again = L.StackedRNNCells.from_config(make().get_config())
    assert again.state_size == make().state_size == [[2, 2], [2, 2]]
    with raises_with(InvalidType, ["cells is an LSTMCell", "a list of cells"]):
        L.StackedRNNCells(L.LSTMCell(2))


class Counts:
    """A cell whose state is a dict."""
    state_size = {"sum": U, "count": 1}

    def call(self, x, states):
        s = states[0]
        y = s["sum"] + x[:, :U]
        return y, [{"sum": y, "count": s["count"] + 1}]


def test_a_state_that_is_a_dict():
    y, state = L.RNN(Counts(), return_state=True, dtype="float64")(X)
    assert_same(state["count"], np.full((B, 1), float(T)))
    assert np.allclose(y, X[..., :U].sum(1))
    with raises_with(NotSupported, ["outputs of Counts is not known", "state_size is a dict", "output_size"]):
        L.RNN([Counts(), L.GRUCell(2)])(X)
    told = Counts()
    told.output_size = U
    assert L.RNN([told, L.GRUCell(2)])(X).shape == (B, 2)


@pytest.mark.parametrize("kind", [tf1.LSTMCell, tf1.GRUCell, tf1.BasicRNNCell])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_first_states_of_a_cell_of_tf1_have_the_dtype_of_the_layer(kind, dtype):
    cell = kind(U)
    cell.build(I, "float32", 0)
    layer, found = L.RNN(cell, dtype=dtype), []
    for of_state in ("float32", "float64"):
        s = cell.zero_state(B, of_state)
        for form in [list(s), tuple(s), s] if isinstance(s, tuple) else [s, [s]]:
            found.append(layer(X, initial_state=form))
    assert found[0].dtype == dtype
    assert_same(found[1:], [found[0]] * (len(found) - 1))
