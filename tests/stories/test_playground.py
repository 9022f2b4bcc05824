"""Two rows, three steps, four inputs, five units: loops by hand and loop functions bit for bit; Keras by formulas."""
import numpy as np
import pytest

from rnnref import layers, tf1
from rnnref.testing.assertions import assert_close, assert_same
from tests.support.stories import arrays, gru_step, lstm_step, rnn_step, set_random_weights

B, T, I, U = 2, 3, 4, 5
X = np.random.default_rng(7).normal(size=(B, T, I)).astype("float32")

OF_TF1 = {
    "BasicRNNCell": lambda: tf1.BasicRNNCell(U), "BasicLSTMCell": lambda: tf1.BasicLSTMCell(U),
    "LSTMCell": lambda: tf1.LSTMCell(U), "peepholes": lambda: tf1.LSTMCell(U, use_peepholes=True),
    "GRUCell": lambda: tf1.GRUCell(U), "MultiRNNCell": lambda: tf1.MultiRNNCell([tf1.GRUCell(U), tf1.LSTMCell(U)]),
    "LSTMBlockCell": lambda: tf1.LSTMBlockCell(U), "GRUBlockCellV2": lambda: tf1.GRUBlockCellV2(U),
    "UGRNNCell": lambda: tf1.UGRNNCell(U), "NASCell": lambda: tf1.NASCell(U), "SRUCell": lambda: tf1.SRUCell(U),
    "MinimalRNNCell": lambda: tf1.MinimalRNNCell(U), "CFNCell": lambda: tf1.CFNCell(U),
    "IndRNNCell": lambda: tf1.IndRNNCell(U), "IndyLSTMCell": lambda: tf1.IndyLSTMCell(U),
    "LayerNormBasicLSTMCell": lambda: tf1.LayerNormBasicLSTMCell(U),
}


def last_h(state):
    """The h of a state of TF 1; of several cells that of the last."""
    if isinstance(state, tuple):
        return state.h if hasattr(state, "h") else last_h(state[-1])
    return state


@pytest.mark.parametrize("name", OF_TF1)
def test_a_loop_by_hand_is_the_loop_bit_for_bit(name):
    cell = OF_TF1[name]().build(I, seed=1)
    state, outputs = cell.zero_state(B, "float32"), []
    for t in range(T):
        y, state = cell(X[:, t], state)
        outputs.append(y)
    found, last = tf1.dynamic_rnn(cell, X)
    assert_same((found, last), (np.stack(outputs, 1), state))
    steps, last = tf1.static_rnn(cell, [X[:, t] for t in range(T)], dtype="float32")
    assert_same((steps, last), (outputs, state))
    if name != "SRUCell":                         # whose state is c
        assert_same(found[:, -1], last_h(state))


@pytest.mark.parametrize("make", (lambda: layers.SimpleRNNCell(U), lambda: layers.LSTMCell(U),
                                  lambda: layers.GRUCell(U), lambda: layers.GRUCell(U, reset_after=False),
                                  lambda: layers.StackedRNNCells([layers.GRUCell(U), layers.SimpleRNNCell(U)])))
def test_a_loop_by_hand_over_a_cell_of_keras_is_dynamic_rnn_bit_for_bit(make):
    cell = make()
    cell.build((None, I))
    state, outputs = cell.get_initial_state(batch_size=B), []
    for t in range(T):
        y, state = cell(X[:, t], state)
        outputs.append(y)
    found, last = tf1.dynamic_rnn(cell, X)
    assert_same(found, np.stack(outputs, 1))
    layer = layers.RNN(cell, return_sequences=True, return_state=True)
    y, *states = layer(X)                         # which takes the fastest path
    assert_close([y, states], [found, state], "path")
    h = states[-1] if len(states) == 1 or isinstance(cell, layers.StackedRNNCells) else states[0]
    assert_same(y[:, -1], h[0] if isinstance(h, list) else h)


def test_simple_rnn_step_by_step_from_its_weights(k):
    cell = k.layers.SimpleRNNCell(U)
    cell.build((None, I))
    set_random_weights(cell)
    kernel, recurrent_kernel, bias = (w.astype("float64") for w in map(arrays, cell.get_weights()))
    h, state = np.zeros((B, U)), [np.zeros((B, U), "float32")]
    for t in range(T):
        h = np.tanh(X[:, t] @ kernel + h @ recurrent_kernel + bias)
        y, state = cell(X[:, t], state)
        assert_close(arrays(y), h.astype("float32"))
        assert_same(arrays(state[0]), arrays(y))


@pytest.mark.parametrize("name, step", (("SimpleRNN", rnn_step), ("GRU", gru_step), ("LSTM", lstm_step)))
def test_cells_of_keras_are_their_formulas(k, name, step):
    cell = getattr(k.layers, f"{name}Cell")(U)
    cell.build((None, I))
    set_random_weights(cell)
    weights = [w.astype("float64") for w in map(arrays, cell.get_weights())]
    states, given = [np.zeros((B, U))] * (1 + (name == "LSTM")), cell.get_initial_state(batch_size=B)
    given = given if isinstance(given, list) else [given]
    for t in range(T):
        found = step(X[:, t], *states, *weights)
        states = list(found) if name == "LSTM" else [found]
        y, given = cell(X[:, t], given)
        assert_close([arrays(y), *map(arrays, given)], [a.astype("float32") for a in (states[0], *states)])
