"""What TensorFlow's own tests of cells and loops expect: numbers for constant variables, errors, configurations."""
import numpy as np
import pytest

import rnnref
from rnnref import tf1
from rnnref.testing.assertions import assert_same
from rnnref.tf1.loops import flatten_state

T, B, D, U = 4, 3, 2, 2
GLOROT = {"class_name": "GlorotUniform", "config": {"seed": None, "dtype": "float32"}}


def constant(cell, inputs, value=0.5):
    """The cell with `value` in every variable for which it has no first value of its own."""
    cell.build(inputs, "float64", seed=0)
    own = {"bias", "gates/bias", "candidate/bias"}
    return cell.load_variables({name: a if name.partition("/")[2] in own or name.endswith("/bias") else
                                np.full(a.shape, value) for name, a in cell.dump_variables().items()})


def ones(n):
    return np.ones((1, n))


def tenths(n):
    return np.full((1, n), 0.1)


@pytest.mark.parametrize("make, inputs, state, want", (
    (lambda: tf1.GRUCell(2), 2, 2, 0.175991), (lambda: tf1.GRUCell(2), 3, 2, 0.156736),
    (lambda: tf1.SRUCell(2), 2, 2, 0.509682),
    (lambda: tf1.InputProjectionWrapper(tf1.GRUCell(3), 3), 2, 3, 0.154605),
    (lambda: tf1.OutputProjectionWrapper(tf1.GRUCell(3), 2), 3, 3, 0.231907)))
def test_numbers_of_constant_variables(make, inputs, state, want):
    y, _ = constant(make(), inputs)(ones(inputs), tenths(state))
    np.testing.assert_allclose(y, np.full(y.shape, want), rtol=5e-6)


@pytest.mark.parametrize("state_is_tuple", (True, False))
def test_numbers_of_two_lstms(state_is_tuple):
    cell = constant(tf1.MultiRNNCell([tf1.BasicLSTMCell(2, state_is_tuple=False) for _ in "ab"], state_is_tuple), 2)
    y, new = cell(ones(2), (tenths(4), tenths(4)) if state_is_tuple else tenths(8))
    np.testing.assert_allclose(y, [[0.24024698, 0.24024698]], rtol=1e-6)
    want = np.repeat([0.68967271, 0.44848421, 0.39897051, 0.24024698], 2)
    np.testing.assert_allclose(np.concatenate(flatten_state(new), -1)[0], want, rtol=1e-6)


def test_an_lstm_with_a_projection_as_one_matrix():
    cell = constant(tf1.LSTMCell(8, num_proj=6, state_is_tuple=False), 2)
    y, state = cell(np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]), np.full((3, 14), 0.1))
    assert y.shape == (3, 6) and state.shape == (3, 14)
    assert all(np.linalg.norm(y[0] - y[k]) > 1e-6 and np.linalg.norm(state[0] - state[k]) > 1e-6 for k in (1, 2))
    assert list(cell.dump_variables()) == ["lstm_cell/kernel", "lstm_cell/bias", "lstm_cell/projection/kernel"]


def test_a_wrapped_cell_keeps_its_state():
    cell, x, m = tf1.GRUCell(3), np.ones((1, 3)), np.full((1, 3), 0.1)
    base = constant(cell, 3)(x, m)
    residual = constant(tf1.ResidualWrapper(tf1.GRUCell(3)), 3)(x, m)
    np.testing.assert_allclose(residual[0], base[0] + x)
    assert_same(residual[1], base[1])
    plus_one = constant(tf1.ResidualWrapper(tf1.GRUCell(3), lambda i, o: i + o + 1), 3)(x, m)
    np.testing.assert_allclose(plus_one[0], base[0] + x + 1)
    assert_same(tuple(constant(tf1.DeviceWrapper(tf1.GRUCell(3), "/cpu:0"), 3)(x, m)), tuple(base))


def test_tuples_are_taken_for_states_and_named_ones_returned():
    cell = constant(tf1.MultiRNNCell([tf1.BasicLSTMCell(2) for _ in "ab"]), 2)
    pair = (np.zeros((1, 2)),) * 2
    _, (first, second) = cell(ones(2), (pair, pair))
    assert isinstance(first, tf1.LSTMStateTuple) and isinstance(second, tf1.LSTMStateTuple)
    assert all(isinstance(size, tf1.LSTMStateTuple) for size in cell.state_size)
    assert cell.trainable_weights == [f"multi_rnn_cell/cell_{k}/basic_lstm_cell/{name}" for k in (0, 1)
                                      for name in ("kernel", "bias")]
    assert cell.non_trainable_weights == [] and [v.name for v in cell.weights] == cell.variables


def test_state_tuple_types_of_grids():
    options = {"feature_size": 2, "frequency_skip": 1, "num_frequency_blocks": [2]}
    cell = tf1.GridLSTMCell(2, **options)
    assert cell.state_tuple_type is type(cell.state_size) is type(cell.zero_state(1, "float32"))
    assert cell.state_tuple_type._fields == ("state_f00_b00_c", "state_f00_b00_m", "state_f01_b00_c",
                                             "state_f01_b00_m")
    assert tf1.GridLSTMCell(2, state_is_tuple=False, **options).state_tuple_type is None
    both = tf1.BidirectionalGridLSTMCell(2, **options)
    assert both.state_tuple_type is type(both.state_size)


def test_first_states():
    cell = tf1.LSTMCell(U)
    x = np.ones((B, D), "float32")
    for state in (cell.get_initial_state(x), cell.get_initial_state(batch_size=B, dtype="float32"),
                  cell.get_initial_state(inputs=x, batch_size=B, dtype="float32"), cell.zero_state(B, "float32")):
        assert_same(state, tf1.LSTMStateTuple(*np.zeros((2, B, U), "float32")))
    for options in ({}, {"batch_size": B}, {"dtype": "float32"}, {"inputs": x, "batch_size": B + 1},
                    {"inputs": x, "dtype": "float64"}):
        with pytest.raises(ValueError, match="batch_size=|dtype="):
            cell.get_initial_state(**options)


X = np.ones((B, D))


@pytest.mark.parametrize("what, error", (
    (lambda: tf1.AttentionCellWrapper(tf1.GRUCell(U), 0), ValueError),
    (lambda: tf1.AttentionCellWrapper(tf1.LSTMCell(U), 3, state_is_tuple=False), ValueError),
    (lambda: tf1.AttentionCellWrapper(None, 3), TypeError),
    (lambda: tf1.MultiRNNCell([]), ValueError),
    (lambda: tf1.MultiRNNCell(tf1.GRUCell(U)), TypeError),
    (lambda: tf1.MultiRNNCell([tf1.LSTMCell(U)] + [tf1.GRUCell(U)], state_is_tuple=False), ValueError),
    (lambda: tf1.DropoutWrapper(None), TypeError),
    (lambda: tf1.DropoutWrapper(tf1.GRUCell(U), 1.5), ValueError),
    (lambda: tf1.DropoutWrapper(tf1.GRUCell(U), output_keep_prob=-0.1), ValueError),
    (lambda: tf1.DropoutWrapper(tf1.GRUCell(U), variational_recurrent=True), ValueError),
    (lambda: tf1.ResidualWrapper(None), TypeError), (lambda: tf1.EmbeddingWrapper(None, 3, 2), TypeError),
    (lambda: tf1.NTMCell(None, 6, 3, 1, 1), TypeError), (lambda: tf1.HighwayWrapper("gru"), TypeError),
    (lambda: tf1.GLSTMCell(5, number_of_groups=2), ValueError),
    (lambda: tf1.GLSTMCell(4, num_proj=3, number_of_groups=2), ValueError),
    (lambda: tf1.GLSTMCell(4, number_of_groups=2).build(3), ValueError),
    (lambda: tf1.GridLSTMCell(U, feature_size=2, frequency_skip=1), ValueError),
    (lambda: tf1.GRUBlockCell(), ValueError), (lambda: tf1.GRUBlockCellV2(2, 2), ValueError),
    (lambda: tf1.ConvLSTMCell(2, (4, 3), 2, (3, 3)), ValueError),
    (lambda: tf1.GRUCell(U, dtype="int32"), ValueError), (lambda: tf1.LSTMCell(U, foo=1), TypeError),
    (lambda: tf1.CudnnGRU(1, U, dtype="int32"), ValueError),
    (lambda: tf1.CudnnGRU(1, U).build(D)(np.ones((T, B, D), "f"), np.zeros((1, B, U), "f")), TypeError),
    (lambda: tf1.BasicLSTMCell(U, state_is_tuple=False).build(D, "float64")(X, np.ones((B, 3 * U))), ValueError),
    (lambda: tf1.BasicLSTMCell(U, state_is_tuple=False).build(D, "float64")(X, np.ones((B - 1, 2 * U))), ValueError),
    (lambda: tf1.IntersectionRNNCell(U).build(3, "float64")(np.ones((B, 3)), np.ones((B, U))), ValueError),
    (lambda: tf1.static_rnn(tf1.GRUCell(U).build(D), X), TypeError),
    (lambda: tf1.static_rnn(tf1.GRUCell(U).build(D), []), ValueError),
    (lambda: tf1.static_rnn("gru", [X]), TypeError), (lambda: tf1.raw_rnn(tf1.GRUCell(U), None), TypeError),
    (lambda: tf1.bidirectional_dynamic_rnn(tf1.GRUCell(U).build(D), None, X[None]), TypeError),
    (lambda: tf1.dynamic_rnn(tf1.GRUCell(U).build(D, "float64"), np.ones((B, T, D)), [1, 2]), ValueError),
    (lambda: tf1.dynamic_rnn(tf1.GRUCell(U).build(D, "float64"), np.ones((B, T, D)), [[1, 2, 3]]), ValueError),
    (lambda: tf1.stack_bidirectional_rnn([], [], [X]), ValueError),
    (lambda: tf1.stack_bidirectional_rnn([tf1.GRUCell(U)], [], [X]), ValueError),
))
def test_errors_are_of_the_kinds_of_tf(what, error):
    with pytest.raises(error) as caught:
        what()
    assert isinstance(caught.value, rnnref.Error)


OF_TF = {
    "BasicRNNCell": {"num_units": 3, "activation": "tanh", "reuse": None},
    "GRUCell": {"num_units": 3, "kernel_initializer": GLOROT, "bias_initializer": None, "activation": "relu",
                "reuse": None},
    "BasicLSTMCell": {"num_units": 3, "forget_bias": 0.5, "state_is_tuple": True, "activation": "hard_sigmoid",
                      "reuse": None},
    "LSTMCell": {"num_units": 3, "use_peepholes": True, "cell_clip": None, "initializer": {
        "class_name": "RandomUniform", "config": {"minval": -0.05, "maxval": 0.05, "seed": None, "dtype": "float32"}},
        "num_proj": 2, "proj_clip": None, "num_unit_shards": None, "num_proj_shards": None, "forget_bias": 1.0,
        "state_is_tuple": True, "activation": "tanh", "reuse": None},
}


@pytest.mark.parametrize("name", OF_TF)
def test_configurations_of_tf(name):
    config = {"name": "mine", "trainable": False, "dtype": "float64"} | OF_TF[name]
    cell = getattr(tf1, name).from_config(config)
    assert (cell.name, cell.trainable, cell.dtype) == ("mine", False, "float64")
    cell.build(D, seed=0)
    assert cell.trainable_variables == [] and all(v.startswith("mine/") for v in cell.variables)
    assert cell.core.rule.forget_bias == config["forget_bias"] if "forget_bias" in config else True
    if name == "LSTMCell":
        assert abs(cell.variables[0].numpy()).max() <= 0.05
    again = getattr(tf1, name).from_config(cell.get_config())
    assert again.core == cell.core and again.get_config() == cell.get_config()
    wrapped = {"name": None, "trainable": True, "dtype": None, "cell": {"class_name": name, "config": config}}
    assert tf1.DeviceWrapper.from_config(wrapped | {"device": "/cpu:0"}).spec.children[0].core == cell.core
    assert tf1.ResidualWrapper.from_config(wrapped).spec.children[0].name == "mine"
    assert tf1.ResidualWrapper.from_config(wrapped | {"cell": cell}).spec.children[0] is cell
    dropped = tf1.DropoutWrapper.from_config(wrapped | {
        "input_keep_prob": 0.5, "output_keep_prob": 1.0, "state_keep_prob": 1.0, "variational_recurrent": False,
        "input_size": None, "seed": 3})
    assert dropped.arguments["input_keep_prob"] == 0.5 and dropped.arguments["seed"] == 3
    with pytest.raises(rnnref.NotSupported, match="the code of a function(.|\n)*residual_fn="):
        tf1.ResidualWrapper.from_config(wrapped | {"residual_fn": ["4wIA", None, None], "residual_fn_type": "lambda",
                                                   "residual_fn_module": "__main__"})


def test_classes_of_users_in_a_configuration():
    class Mine(tf1.RNNCell):
        state_size = output_size = D

        def call(self, inputs, state):
            return inputs, state
    config = {"cell": {"class_name": "Mine", "config": {"name": "a"}}}
    cell = tf1.ResidualWrapper.from_config(config, {"Mine": Mine})
    assert isinstance(cell.spec.children[0], Mine) and cell.spec.children[0].name == "a"
    assert_same(cell(X, X)[0], 2 * X)
    with pytest.raises(rnnref.NotSupported, match="a cell of the class Mine"):
        tf1.ResidualWrapper.from_config(config)


def test_the_first_initial_state_of_a_stack_of_loops_and_a_saved_layer():
    """name, dtype and trainable of cells that have no argument for them in TF."""
    cell = tf1.UGRNNCell(U, name="mine", dtype="float64", trainable=False).build(D, seed=0)
    assert [v.name for v in cell.non_trainable_variables] == ["mine/kernel", "mine/bias"] and cell.dtype == "float64"
    assert cell.get_config() == tf1.UGRNNCell.from_config(cell.get_config()).get_config()
    assert tf1.GRUCell(U, bias_initializer=0.0).build(D).variables[1].numpy().tolist() == [0.0] * 2 * U
