"""Cells that a user writes: in every loop and wrapper, and trained where their step can be recorded."""
import numpy as np
import pytest

import rnnref
from rnnref import Model, Record, ops, tf1
from rnnref.check.tolerance import tolerance
from rnnref.testing.assertions import assert_close, assert_same
from rnnref.tf1.loops import flatten_state

RNG = np.random.default_rng(5)
T, B, D, U = 4, 3, 3, 5
LENGTHS = [4, 0, 2]


class Plus1(tf1.RNNCell):
    """output, state = input + 1, state + 1, by __call__, without variables."""
    output_size = state_size = D

    def __call__(self, inputs, state, scope=None):
        return inputs + 1, state + 1


class Elman(tf1.RNNCell):
    """tanh([x, h] kernel + bias), with variables of add_variable, like BasicRNNCell."""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = units

    state_size = property(lambda self: self.units)
    output_size = property(lambda self: self.units)

    def build(self, inputs_shape):
        self._kernel = self.add_variable("kernel", shape=[inputs_shape[-1] + self.units, self.units])
        self._bias = self.add_weight("bias", [self.units], initializer="zeros")

    def call(self, inputs, state):
        h = np.tanh(np.concatenate([inputs, state], 1) @ self._kernel + self._bias)
        return h, h


class Lstm(tf1.RNNCell):
    """An LSTM of arrays among its attributes, with a state as TF nests it, and an output of two arrays."""

    def __init__(self, inputs, units, rng):
        self.units = units                        # without super().__init__()
        self.kernel, self.bias = rng.normal(size=(inputs + units, 4 * units)), rng.normal(size=4 * units)
        self._unseen = np.ones(2)                 # no variable

    @property
    def state_size(self):
        return tf1.LSTMStateTuple(self.units, self.units)

    output_size = property(lambda self: (self.units, tf1.TensorShape([2, self.units])))

    def call(self, inputs, state):
        c, h = state
        i, j, f, o = np.split(np.concatenate([inputs, h], 1) @ self.kernel + self.bias, 4, axis=1)
        c = c * ops.sigmoid(f + 1.0) + ops.sigmoid(i) * np.tanh(j)
        h = np.tanh(c) * ops.sigmoid(o)
        return [h, np.stack([h, c], 1)], tf1.LSTMStateTuple(c, h)


class Around(tf1.RNNCell):
    """A wrapper of one's own: twice the output of the cell, and a second cell on it."""

    def __init__(self, cell, second):
        super().__init__()
        self._cell, self._more, self.scale = cell, [second], np.full(1, 2.0)

    state_size = property(lambda self: (self._cell.state_size, self._more[0].state_size))
    output_size = property(lambda self: self._more[0].output_size)

    def call(self, inputs, state):
        y, first = self._cell(inputs, state[0])
        z, second = self._more[0](y * self.scale, state[1])
        return z, (first, second)


def around():
    cell = Around(tf1.LSTMCell(4).build(D, "float64", seed=1), Elman(U))
    cell._more[0].build(4, "float64", seed=2)
    return cell


CELLS = {
    "variables": lambda: Elman(U).build(D, "float64", seed=0),
    "attributes": lambda: Lstm(D, U, np.random.default_rng(0)),
    "cells inside": around,
    "a wrapper of TF": lambda: tf1.OutputProjectionWrapper(Elman(U), 2).build(D, "float64", seed=0),
    "residual": lambda: tf1.ResidualWrapper(Elman(D)).build(D, "float64", seed=0),
    "highway": lambda: tf1.HighwayWrapper(Elman(D)).build(D, "float64", seed=0),
    "attention": lambda: tf1.AttentionCellWrapper(Elman(U), 2).build(D, "float64", seed=0),
    "projected": lambda: tf1.InputProjectionWrapper(Elman(U), 4).build(D, "float64", seed=0),
    "several": lambda: tf1.MultiRNNCell([Elman(U), tf1.LSTMCell(4), Elman(2)]).build(D, "float64", seed=0),
    "one matrix": lambda: tf1.MultiRNNCell([Elman(U), Elman(2)], False).build(D, "float64", seed=0),
    "a device": lambda: tf1.DeviceWrapper(Elman(U), "/cpu:0").build(D, "float64", seed=0),
}


def as_list(tree):
    return flatten_state(tuple(tree) if isinstance(tree, (list, tuple)) else tree)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("lengths", (None, LENGTHS), ids=("all", "lengths"))
def test_gradients_are_differences(name, lengths):
    cell, x = CELLS[name](), RNG.normal(size=(B, T, D))
    v = {n: RNG.normal(size=a.shape) * 0.5 for n, a in cell.dump_variables().items()}
    assert v and [n for n in cell.trainable_variables] == list(v)

    def ran(x, v):
        return tf1.dynamic_rnn(cell.load_variables(v), x, lengths)
    result = ran(x, v)
    dy = rnnref.tree.map_structure(lambda a: RNG.normal(size=a.shape), result[0])
    d, ways = result.backward(dy), {"x": RNG.normal(size=x.shape)} | {n: RNG.normal(size=a.shape) for n, a in v.items()}
    assert d.variables.keys() == v.keys()

    def moved(e, which):
        w = {n: a + e * ways[n] if n in which else a for n, a in v.items()}
        y = ran(x + e * ways["x"] if "x" in which else x, w)
        return sum((a * b).sum() for a, b in zip(as_list(y[0]), as_list(dy)))
    for which, grads in (("x",), {"x": d.inputs}), (tuple(v), d.variables):
        change = (moved(1e-6, which) - moved(-1e-6, which)) / 2e-6
        predicted = sum((grads[n] * ways[n]).sum() for n in which)
        size = np.sqrt(sum((grads[n] ** 2).sum() for n in which) * sum((ways[n] ** 2).sum() for n in which))
        assert abs(change - predicted) <= tolerance("difference", "float64") * size


def test_it_is_the_cell_of_tf_that_has_the_same_equations():
    mine, theirs = Elman(U).build(D, "float64", seed=3), tf1.BasicRNNCell(U)
    theirs.load_variables({name.replace("elman", "basic_rnn_cell"): a for name, a in mine.dump_variables().items()})
    x, dy = RNG.normal(size=(B, T, D)), RNG.normal(size=(B, T, U))
    got, want = (tf1.dynamic_rnn(cell, x, LENGTHS) for cell in (mine, theirs))
    assert_close(tuple(got), tuple(want), "path")
    got, want = got.backward(dy), want.backward(dy)
    assert_close((got.inputs, *got.variables.values()), (want.inputs, *want.variables.values()), "path")


def test_every_loop():
    x = RNG.normal(size=(T, B, D))
    want, state = tf1.dynamic_rnn(Plus1(), x, LENGTHS, time_major=True)
    live = np.arange(T)[:, None] < np.array(LENGTHS)
    assert_same(want, np.where(live[..., None], x + 1, 0))
    assert_same(state, np.broadcast_to(np.array(LENGTHS, float)[:, None], (B, D)).copy())
    steps, last = tf1.static_rnn(Plus1(), list(x), dtype="float64", sequence_length=LENGTHS)
    assert_same((np.stack(steps), last), (want, state))
    both, _, back = tf1.static_bidirectional_rnn(Plus1(), Plus1(), list(x), dtype="float64", sequence_length=LENGTHS)
    assert_same((np.stack(both), back), (np.concatenate([want, want], -1), state))
    (fw, bw), _ = tf1.bidirectional_dynamic_rnn(Plus1(), Plus1(), x, LENGTHS, time_major=True)
    assert_same((fw, bw), (want, want))
    stacked = tf1.stack_bidirectional_dynamic_rnn([Plus1()], [Plus1()], x, sequence_length=LENGTHS, time_major=True)
    assert_same(stacked[0], np.concatenate([want, want], -1))

    def loop(time, output, state, loop_state):
        emit = np.zeros(D) if output is None else output
        state = np.zeros((B, D)) if output is None else state
        return time >= np.array(LENGTHS), x[min(time, T - 1)], state, emit, None
    emitted, last, _ = tf1.raw_rnn(Plus1(), loop)
    assert_same((emitted, last), (want, state))
    fused = tf1.FusedRNNCellAdaptor(Plus1())
    assert_same(fused(x, dtype="float64", sequence_length=LENGTHS)[0], want)
    assert_same(tf1.TimeReversedFusedRNN(fused)(x, dtype="float64")[0], x + 1)

    class Saver:
        saved = {name: np.full((B, D), 2.0) for name in "ab"}
        state = saved.get

        def save_state(self, name, a):
            self.saved[name] = a
    saver, pair = Saver(), tf1.MultiRNNCell([Plus1(), Plus1()])
    tf1.static_state_saving_rnn(pair, list(x), saver, ("a", "b"))
    assert_same(saver.saved, {"a": np.full((B, D), 2.0 + T), "b": np.full((B, D), 2.0 + T)})


def test_every_wrapper_runs_a_cell_without_variables():
    x, zero = RNG.normal(size=(B, D)), np.zeros((B, D))
    for cell, want in ((tf1.ResidualWrapper(Plus1()), 2 * x + 1), (tf1.DeviceWrapper(Plus1(), "/cpu:0"), x + 1),
                       (tf1.ResidualWrapper(Plus1(), lambda i, o: i * o), x * (x + 1)),
                       (tf1.DropoutWrapper(Plus1(), 1.0, 1.0), x + 1)):
        y, new = cell(x, zero)
        assert_same((y, new), (want, zero + 1))
        assert cell.state_size == D and cell.output_size == D and cell.trainable_variables == []
    y, new = tf1.MultiRNNCell([Plus1(), Plus1()])(x, (zero, zero + 4))
    assert_same((y, new), (x + 1 + 1, (zero + 1, zero + 5)))
    dropped = tf1.DropoutWrapper(Plus1(), 0.5, 0.5, 0.5, seed=1)
    y, new = dropped(np.ones((100, D)), np.zeros((100, D)))
    assert set(np.unique(y)) == {0, 2, 6} and set(np.unique(new)) == {0, 2}
    embedded = tf1.EmbeddingWrapper(Plus1(), 7, D).build(1, "float64", seed=0)
    (table,) = embedded.dump_variables().values()
    assert_same(embedded(np.array([[3], [0], [3]]), zero)[0], table[[3, 0, 3]] + 1)


def test_outputs_and_states_of_several_arrays():
    cell, x = Lstm(D, U, RNG), RNG.normal(size=(B, T, D))
    (h, both), state = result = tf1.dynamic_rnn(cell, x, LENGTHS)
    assert both.shape == (B, T, 2, U) and isinstance(state, tf1.LSTMStateTuple)
    assert_same(both[:, :, 0], h)
    assert_same(state.c, np.stack([both[0, 3, 1], np.zeros(U), both[2, 1, 1]]))
    assert cell.zero_state(2, "float32").h.dtype == np.float32 and cell.state_size == (U, U)
    d = result.backward((None, np.ones_like(both)))
    assert set(d.variables) == {"lstm/kernel", "lstm/bias"} and d.inputs[1].any() == 0


def test_nested_inputs():
    class Sum(tf1.RNNCell):
        state_size = output_size = {"a": 2, "b": 3}

        def call(self, inputs, state):
            new = {name: state[name] + inputs[name] for name in state}
            return new, new
    x = {"a": RNG.normal(size=(B, T, 2)), "b": RNG.normal(size=(B, T, 3))}
    outputs, state = result = tf1.dynamic_rnn(Sum(), x)
    assert_close(outputs, {n: np.cumsum(a, 1) for n, a in x.items()}, "path")
    d = result.backward(outputs)
    assert_close(d.inputs["a"], np.cumsum(outputs["a"][:, ::-1], 1)[:, ::-1], "path")


def test_a_step_that_cannot_be_recorded_runs_and_has_no_backward_pass():
    class Stepwise(tf1.RNNCell):
        state_size = output_size = D

        def call(self, inputs, state):
            y = np.empty_like(np.asarray(state))
            y[:] = inputs
            return y, state
    x = RNG.normal(size=(B, T, D))
    result = tf1.dynamic_rnn(Stepwise(), x)
    assert_same(result[0], x)
    with pytest.raises(rnnref.NotSupported, match="could not be recorded(.|\n)*gradient would be lost"):
        result.backward(np.ones_like(x))


def test_a_single_step_and_its_backward_pass():
    cell, x, h = Elman(U).build(D, "float64", seed=0), RNG.normal(size=(B, D)), RNG.normal(size=(B, U))
    y, new = result = cell(x, h)
    kernel, bias = cell.dump_variables().values()
    assert_close(y, np.tanh(np.concatenate([x, h], 1) @ kernel + bias), "path")
    assert_same(y, new)
    d, da = result.backward(np.ones_like(y)), 1 - y ** 2
    assert_close((d.inputs, d.state), (da @ kernel[:D].T, da @ kernel[D:].T), "path")
    assert_close(d.variables["elman/bias"], da.sum(0), "path")


def test_variables_are_made_by_the_first_step_and_named():
    cell = Elman(U, name="mine", dtype="float64")
    assert cell.dtype == "float64" and cell.weights == [] and cell.name == "mine"
    tf1.dynamic_rnn(cell, RNG.normal(size=(B, T, D)))
    assert cell.trainable_variables == ["mine/kernel", "mine/bias"]
    assert cell.trainable_variables[0].shape == (D + U, U) and cell.non_trainable_weights == []
    fixed = Elman(U, trainable=False).build(D)
    assert fixed.trainable_weights == [] and [v.name for v in fixed.non_trainable_variables] == [
        "elman/kernel", "elman/bias"]
    again = Elman(U).build(D, "float64").load_variables({f"a/elman/{n}": cell.made[n] for n in ("kernel", "bias")})
    assert again.scope == "a"
    assert_same(again.p, cell.p)


def test_a_wrapper_starts_with_the_values_of_a_cell_that_a_user_wrote():
    """What its initializers gave, and what the cells inside of it have."""
    inner = around()
    want = inner.dump_variables()
    got = tf1.OutputProjectionWrapper(inner, 2).build(D, "float64", seed=5).dump_variables()
    assert_same({n.removeprefix("output_projection_wrapper/"): a for n, a in got.items()
                 if n.removeprefix("output_projection_wrapper/") in want}, want)

    class Ones(Elman):
        def build(self, inputs_shape):
            self._kernel = self.add_variable("kernel", (inputs_shape[-1] + U, U), initializer="ones")
            self._bias = np.zeros(U)
    stack = tf1.MultiRNNCell([Ones(U), Ones(U)]).build(D, "float64", seed=0)
    assert all((a == 1).all() for n, a in stack.dump_variables().items() if n.endswith("kernel"))
    assert tf1.MultiRNNCell([Elman(U)]).build(D, seed=0).dump_variables()["multi_rnn_cell/cell_0/elman/bias"].any() == 0


@pytest.mark.parametrize("make", (lambda: Elman(U), lambda: Lstm(D, U, np.random.default_rng(1)), around))
def test_in_a_model_its_variables_are_trained(make):
    class Loop(Model):
        def __init__(self):
            super().__init__(dtype="float64")
            self.cell = make()

        def call(self, x):
            state, total = self.cell.zero_state(len(x), "float64"), 0
            for t in range(T):
                y, state = self.cell(x[:, t], state)
                total = total + (y[1] if isinstance(y, (list, tuple)) else y).sum()
            return total
    model, x = Loop(), RNG.normal(size=(B, T, D))
    model(x)
    with Record() as record:
        v = record.leaf(x)
        loss = model(v)
    found = record.backward(loss)
    cell = model.cell
    outputs, _ = result = tf1.dynamic_rnn(cell, x)
    dy = (None, np.ones_like(outputs[1])) if isinstance(outputs, tuple) else np.ones_like(outputs)
    want = result.backward(dy)
    assert_close(found[v], want.inputs, "path")
    (layer,) = model.layers
    got = cell.gradients(layer._tree({path: found[w] for path, w in layer.named_weights().items()}))
    assert_close(got, want.variables, "path")


class NoStep(tf1.RNNCell):
    state_size = output_size = 2


class Bad(Plus1):
    def __call__(self, inputs, state, scope=None):
        return inputs


X = np.ones((B, T, D))


@pytest.mark.parametrize("what, error, message", (
    (lambda: tf1.dynamic_rnn(NoStep(), X), NotImplementedError, "no call"),
    (lambda: tf1.RNNCell().state_size, NotImplementedError, "no state_size"),
    (lambda: tf1.dynamic_rnn(Bad(), X), rnnref.ShapeError, "expected output, new_state"),
    (lambda: tf1.dynamic_rnn(None, X), TypeError, "the cell is None"),
    (lambda: tf1.dynamic_rnn(tf1.GRUCell, X), TypeError, "expected a cell"),
    (lambda: tf1.MultiRNNCell([None]), TypeError, "the cell is None"),
    (lambda: tf1.OutputProjectionWrapper(Elman(U), 2).load_variables({
        "output_projection_wrapper/kernel": np.ones((U, 2)), "output_projection_wrapper/bias": np.ones(2)}),
     rnnref.NotSupported, "before they are made"),
    (lambda: type("Mine", (tf1.LSTMCell,), {"call": lambda self, x, s: (x, s)}), rnnref.NotSupported,
     "call in a subclass of LSTMCell"),
    (lambda: Elman(U, activity_regularizer="l2"), rnnref.NotSupported, "activity_regularizer='l2'"),
    (lambda: Elman(U, foo=1), TypeError, "no argument is called foo"),
))
def test_refusals(what, error, message):
    with pytest.raises(error, match=message):
        what()
