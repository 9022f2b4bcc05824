"""Cells of TensorFlow 1 as layers of models, looped by hand: what dynamic_rnn gives, and variables that are trained."""
import numpy as np
import pytest

from rnnref import Model, Record, layers as L, tf1
from rnnref.errors import NotSupported
from rnnref.nest import flatten, map_structure
from rnnref.testing.api import assert_close

X = np.random.default_rng(0).normal(size=(3, 5, 2))
D = {"dtype": "float64"}


def tf1_loop(cell):
    class Loop(Model):
        def __init__(self):
            super().__init__(**D)
            self.cells, self.dense = [cell], L.Dense(2, **D)

        def call(self, x):
            state = cell.zero_state(len(x), "float64")
            for t in range(x.shape[1]):
                y, state = cell(x[:, t], state)
            return self.dense(y), state
    return Loop()


@pytest.mark.parametrize("make", (
    lambda: tf1.LSTMCell(4), lambda: tf1.GRUCell(4), lambda: tf1.LSTMCell(4, num_proj=3, use_peepholes=True),
    lambda: tf1.MultiRNNCell([tf1.BasicLSTMCell(3), tf1.GRUCell(4)])), ids="lstm gru projected stacked".split())
def test_a_cell_of_tf1_looped_by_hand_is_dynamic_rnn(make):
    cell = make()
    cell.build(2, "float64", seed=3)
    model, before = tf1_loop(cell), cell.dump_variables()
    y, state = model(X)
    outputs, last = result = tf1.dynamic_rnn(cell, X)
    assert type(state) is type(last)
    assert_close(flatten(state), flatten(last), "path")
    with Record() as record:
        v = record.leaf(X)
        y, state = model(v)
        loss = np.sum(y) + sum(np.sum(np.square(a)) for a in flatten(state))
    found = record.backward(loss)
    dy = np.zeros_like(outputs)
    dy[:, -1] = model.dense.get_weights()[0].sum(1)
    wanted = result.backward(dy, map_structure(lambda a: 2 * a, last))
    assert_close(found[v], wanted.inputs, "path")
    layer = model.layers[0]
    p = {path: found[w] for path, w in layer.named_weights().items()}
    got = cell.gradients(layer._tree(p))
    assert got.keys() == wanted.variables.keys()
    assert_close([got[name] for name in got], [wanted.variables[name] for name in got], "path")
    for w in layer.weights:                       # what is trained is in the variables of the cell
        w.assign_sub(found[w])
    after = cell.dump_variables()
    assert all(not np.array_equal(before[name], after[name]) for name in before)
    assert_close(flatten(model(X)[1]), flatten(tf1.dynamic_rnn(cell, X)[1]), "path")


def test_a_cell_of_tf1_is_built_by_the_first_call():
    model = tf1_loop(tf1.LSTMCell(4))
    with pytest.raises(NotSupported, match="its variables have no values"):
        tf1.LSTMCell(4)(X[:, 0], None)
    cell = model.cells[0]
    model(X)
    assert {w.name for w in model.weights} == {*cell.p, "kernel", "bias"}
    assert model.count_params() == (2 + 4 + 1) * 16 + 4 * 2 + 2


def test_a_cell_of_tf1_that_no_layer_holds_is_refused_in_a_record():
    cell = tf1.GRUCell(4).build(2)
    with Record(), pytest.raises(NotSupported, match="no layer holds its variables(.|\n)*attribute of the Model"):
        cell(X[:, 0], cell.zero_state(3, "float32"))
