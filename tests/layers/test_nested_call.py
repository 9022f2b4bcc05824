"""Cells as users write them, with `forward` or with `call`: what they may have, and what is said of what they lack."""
import numpy as np
import pytest

from rnnref import DtypeError, NotSupported, ShapeError, run, run_back
from rnnref.layers import GRU, LSTM, RNN, Bidirectional, Layer
from rnnref.testing.api import assert_close, assert_same, check_cell
from rnnref.tree import map_structure
from tests.support.layer_cases import make_layer
from tests.support.nested_cell import (BATCH, FIRST, MASK, NAMED, SEQ, STATE, STEPS, UNITS, XS, CallOnly, CallTrained,
                                       DictCell, ForwardOnly, NestedCell, P, Pair, S, X, layer)


def call_layer(cell=None, **options):
    one = RNN(CallTrained() if cell is None else cell, dtype="float64", **options)
    one.build(map_structure(np.shape, X))
    one.set_weights(list(P.values()))
    return one


def test_an_object_with_call_is_the_cell():
    one, other = layer(**SEQ, **STATE), call_layer(**SEQ, **STATE)
    want = one(X, FIRST, mask=MASK)
    assert_same(list(other(X, FIRST, mask=MASK)), list(want))
    assert_same((other.backward(want[0], list(want[1:])), other.grads),
                (one.backward(want[0], list(want[1:])), one.grads))
    assert other.weight_names == ["kernel_1", "kernel_2_3"] and other.state_size == one.state_size
    assert_same(other.cell.cell.kernel_1, other.params["kernel_1"])       # they stay in the object
    check_cell(other.core, other.params, xs=XS)


def test_what_only_runs_says_so_when_it_is_to_be_trained():
    one = RNN(ForwardOnly(), units=UNITS)
    y = one(X)
    with pytest.raises(NotSupported, match=r"ForwardOnly: has no backward.*\n.*write backward\(p, kept, dy, ds'\)"):
        one.backward(y)


def test_call_alone_is_recorded():
    """The same numbers as with a backward by hand."""
    one, other = call_layer(**SEQ, **STATE), call_layer(CallOnly(), **SEQ, **STATE)
    y, *states = one(X, FIRST, mask=MASK)
    assert_close(list(other(X, FIRST, mask=MASK)), [y, *states], "path")
    assert_close((other.backward(y, states), other.grads), (one.backward(y, states), one.grads), "path")
    check_cell(other.core, other.params, xs=XS)


class OfLayer(Layer):
    """As in Keras's own example of a cell."""

    def __init__(self, units, **base):
        super().__init__(**base)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], self.units), "uniform", name="kernel")
        self.recurrent = self.add_weight(shape=(self.units, self.units), initializer="orthogonal")

    def call(self, inputs, states, training=False):
        y = inputs @ self.kernel * (2 if training else 1) + states[0] @ self.recurrent
        return y, y

    def get_config(self):
        return super().get_config() | {"units": self.units}


def test_a_layer_as_a_cell():
    one, same, other = (RNN(OfLayer(3, dtype="float64"), seed=seed) for seed in (1, 1, 2))
    y = one(X[0])
    assert one.dtype == "float64" and abs(one.get_weights()[0]).max() <= 0.05
    assert_same(same(X[0]), y)
    assert np.any(other(X[0]) != y)
    assert np.any(one(X[0], training=True) != y)
    both = Bidirectional(RNN(OfLayer(3), seed=1, **SEQ))
    assert both(X[0]).shape == (BATCH, STEPS, 6) and np.any(both.get_weights()[0] != both.get_weights()[2])
    again = RNN.from_config(one.get_config(), custom_objects={"OfLayer": OfLayer})
    again.build(X[0].shape)
    again.set_weights(one.get_weights())
    assert_same(again(X[0]), y)


def test_configurations_go_round():
    for one, names in ((layer(), {"NestedCell": NestedCell}), (call_layer(), {"CallTrained": CallTrained})):
        again = RNN.from_config(one.get_config(), custom_objects=names)
        again.build(map_structure(np.shape, X))
        again.set_weights(one.get_weights())
        assert_same(again(X), one(X))


class Remembers:
    """A state of dicts in a list, with first values of its own; no output_size, no build."""
    state_size = [{"h": 2}]

    def __init__(self):
        self.gain = np.full(2, 0.5)

    def get_initial_state(self, batch_size=None):
        return [{"h": np.ones((batch_size, 2))}]

    def call(self, inputs, states):
        h = self.gain * states[0]["h"] + inputs[..., :2]
        return {"h": h}, [{"h": h}]


def test_what_keras_lets_a_cell_have():
    one = RNN(Remembers(), return_state=True, dtype="float64")
    y, state = one(np.zeros((1, 3, 2)))
    assert_same((y, state), ({"h": np.full((1, 2), 0.125)}, {"h": np.full((1, 2), 0.125)}))
    assert one.state_size == [{"h": 2}] and one.count_params() == 2


# errors

class ListOfStates(NestedCell):
    def forward(self, p, x, s, extra=None):
        y, new, kept = super().forward(p, x, s)
        return y, list(new), kept


class WrongShape(NestedCell):
    def backward(self, p, kept, dy, dnew):
        *rest, dp = super().backward(p, kept, dy, dnew)
        return *rest, dp | {"kernel_1": dp["kernel_1"].T}


class Gives:
    """An object whose call or backward gives something odd."""
    state_size = 3

    def __init__(self, out=None, back=None):
        self._out, self._back, self.w = out, back, np.ones(3)

    def call(self, inputs, states):
        return (inputs, states) if self._out is None else self._out

    def backward(self, inputs, states, doutputs, dstates):
        return self._back


def both_ways(cell, **options):
    def action():
        one = RNN(cell, dtype="float64", **options)
        one(X[0])
        one.backward()
    return action


def runs(xs=XS, s=None, cell=None, **options):
    return lambda: run(cell or NestedCell(), P, xs, s, **options)


NO_WEIGHT = [np.zeros((BATCH, 3)), [np.zeros((BATCH, 3))], {}]
ERRORS = {
    "steps": (runs((XS[0], XS[1][:-1])), ShapeError,
              r"x\.1 has shape \(4, 4, 2, 4\), expected \(5, 4\) on the first.*\n.*from x\.0.*one sequence"),
    "rows": (runs({"audio": XS[0], "video": XS[1][:, :2]}, cell=DictCell()), ShapeError, r"x\.video has shape"),
    "no arrays": (runs(()), ShapeError, r"x is \(\): it holds no array"),
    "a list": (runs(list(XS)), DtypeError, "x is a list"),
    "a list inside": (runs((XS[0], [XS[1]])), DtypeError, r"x\.1 is a list"),
    "rows of the state": (runs(s=Pair(S.audio, S.video[:2])), ShapeError,
                          r"state\.video has shape \(2, 3, 2\), expected 4 rows.*\n.*B = 4 \(from x"),
    "a list for a state": (runs(s=list(S)), DtypeError, "state is a list"),
    "a list of states": (runs(cell=ListOfStates()), ShapeError, "forward gave a list as the state, expected the Pair "
                         r"audio video(.*\n)*.*tuples, named tuples or dicts"),
    "dys": (lambda: run_back(run(NestedCell(), P, XS)[2], (XS[0],)), ShapeError, r"dys holds \['0'\], expected"),
    "dys of a name": (lambda: run_back(run(NestedCell(), P, XS)[2], {"a": XS[0]}), ShapeError, r"dys holds \['a'\]"),
    "dp": (lambda: run_back(run(WrongShape(), P, XS)[2]), ShapeError,
           r"a gradient of kernel_1 with shape \(2, 3\), expected \(3, 2\)"),
    "axes of one": (lambda: layer()((X[0], X[1][0])), ShapeError,
                    r"x has inputs \(3, \(5, 4\)\), expected \(3, \(2, 4\)\)"),
    "two axes": (lambda: layer()((X[0][0], X[1])), ShapeError,
                 r"x\.0 has shape \(5, 3\), expected 3 axes(.*\n)*.*tuple"),
    "other inputs": (lambda: layer()((X[0][..., :2], X[1])), ShapeError,
                     r"x has inputs \(2, \(2, 4\)\), expected \(3, \(2, 4\)\)"),
    "a pair for one": (lambda: make_layer("lstm")((X[0], X[0])), ShapeError, r"x has inputs \(3, 3\), expected 4"),
    "a pair for a new one": (lambda: LSTM(2)((X[0], X[0])), ShapeError, "x is a tuple of several arrays, expected one"),
    "a dict for a GRU": (lambda: GRU(2)({"a": X[0]}), ShapeError, "x is a dict of several arrays, expected one"),
    "a state without a name": (lambda: layer(DictCell())(NAMED, {"sum": {"audio": FIRST[0]}}), ShapeError,
                               "initial_state.sum is a dict of audio, expected a dict of audio video"),
    "a state for a dict": (lambda: layer(DictCell())(NAMED, FIRST), ShapeError,
                           "initial_state is a list of 2, expected a dict"),
    "units of call": (lambda: RNN(CallTrained(), units=3), NotSupported, "CallTrained has its own state_size"),
    "masks of call": (lambda: call_layer()(X, masks=X), NotSupported, "masks=tuple"),
    "no state_size": (lambda: RNN(type("Half", (), {"call": print})()), NotSupported,
                      "Half has call, but no state_size"),
    "call gives one": (both_ways(Gives(np.ones(3))), ShapeError, "call gave an ndarray, expected outputs, states"),
    "call gives no arrays": (both_ways(Gives(("abc", [np.ones((4, 3))]))), DtypeError, "call gave outputs as a str"),
    "call gives two states": (both_ways(Gives((np.ones((4, 3)), [np.ones((4, 3))] * 2))), ShapeError,
                              "the state that call gave is a list of 2, expected a list of 1"),
    "call gives a narrow state": (both_ways(Gives((np.ones((4, 3)), [np.ones((4, 2))]))), ShapeError,
                                  r"the state that call gave\.0 has shape \(4, 2\), expected \(4, 3\)"),
    "backward gives nothing": (both_ways(Gives()), ShapeError, r"backward gave None\n.*backward\(inputs, states"),
    "backward forgets": (both_ways(Gives(back=NO_WEIGHT)), ShapeError, "gradients of nothing, expected those of w"),
    "backward of a shape": (both_ways(Gives(back=[np.zeros((4, 2)), *NO_WEIGHT[1:]])), ShapeError,
                            r"dinputs of backward has shape \(4, 2\), expected \(4, 3\)"),
    "config of call": (lambda: RNN(Gives()).get_config(), NotSupported, "get_config"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_message(name):
    action, kind, says = ERRORS[name]
    with pytest.raises(kind, match=says):
        action()
