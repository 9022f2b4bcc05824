"""The backward of layers is what differences say, for every option and wrapper."""
import numpy as np
import pytest

from rnnref import NotSupported, cells
from rnnref.check.tolerance import tolerance
from rnnref.layers import RNN, Bidirectional, GRUCell, LSTMCell, Masks, SimpleRNNCell
from rnnref.testing.api import assert_close, assert_same
from tests.support.layer_cases import (BACK, FAMILIES, HOLES, RIGHT, SEQ, STATE, ZERO, B, Doubling, I, U, X, as_list,
                                       filled, flat, make_layer, random, randomize)

each_family = pytest.mark.parametrize("family", FAMILIES)


# gradients

def check_gradients(layer, x=X, states=True, **call):
    """Of x, first states and weights, along one direction each, against differences in float64."""
    s = filled(lambda a: random(a.shape, 5), layer.get_initial_state(len(x))) if states else None
    given = {"x": [x], "s": s, "w": layer.get_weights()}
    out = as_list(layer(x, s, **call))
    d = filled(lambda a: random(a.shape, 6), out)
    back(layer, d)                                # overwritten by the next
    dx, ds = back(layer, d)
    grads = {"x": [dx], "s": ds if states else None, "w": layer.get_grads()}

    def loss(**moved):
        now = given | moved
        layer.set_weights(now["w"])
        return sum((a * b).sum() for a, b in zip(flat(as_list(layer(now["x"][0], now["s"], **call))), flat(d)))

    for name, g in grads.items():
        for k in range(len(flat(g)) if g else 0):
            v = random(flat(g)[k].shape, 7)
            ahead, behind = (loss(**{name: replaced(given[name], k, e * v)}) for e in (1e-5, -1e-5))
            change, says = (ahead - behind) / 2e-5, (flat(g)[k] * v).sum()
            size = np.linalg.norm(flat(g)[k]) * np.linalg.norm(v)
            assert abs(change - says) <= tolerance("difference", "float64") * size, f"{name}[{k}]"


def back(layer, d):
    n = 2 if getattr(layer, "merge_mode", "") is None else 1
    return layer.backward(d[:2] if n == 2 else d[0], d[n:] or None)


def replaced(tree, k, change):
    """The tree with `change` added to its k-th leaf."""
    count = iter(range(len(flat(tree))))
    return filled(lambda a: a + change if next(count) == k else a, tree)


OPTIONS = [{}, SEQ, STATE, SEQ | STATE, BACK, BACK | SEQ | STATE, {"use_bias": False} | SEQ]


@each_family
@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_gradients(family, options):
    check_gradients(make_layer(family, **options))
    check_gradients(make_layer(family, **options), mask=HOLES)
    check_gradients(make_layer(family, **options, **ZERO), mask=RIGHT, states=False)


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("options", [{}, SEQ | STATE], ids=" ".join)
def test_gradients_of_both_directions(mode, options):
    for family in ("lstm", "gru before"):
        layer = randomize(Bidirectional(make_layer(family, **options), mode))
        layer.get_initial_state = lambda n: [s for half in layer.both for s in half.get_initial_state(n)]
        check_gradients(layer, mask=HOLES)
        check_gradients(layer)


def test_gradients_of_both_directions_turned():
    layer = Bidirectional(make_layer("gru", **SEQ, **BACK), backward_layer=make_layer("gru", **SEQ))
    check_gradients(randomize(layer), states=False, mask=HOLES)


@pytest.mark.parametrize("options", [{}, SEQ | STATE | BACK], ids=" ".join)
def test_gradients_of_stacks(options):
    three = [LSTMCell(3, dtype="float64"), GRUCell(2, dtype="float64"), SimpleRNNCell(4, dtype="float64")]
    check_gradients(randomize(RNN(three, **options)), mask=HOLES)


@each_family
@pytest.mark.parametrize("masks", ["x", "h", "x h", "x of each gate", "all of each gate"])
def test_gradients_with_dropout(family, masks):
    layer, rng = make_layer(family, **SEQ, **STATE), np.random.default_rng(0)
    n = len(layer.core.gates)
    x, h = (list(np.where(rng.random((n, B, width)) < 0.6, 1 / 0.6, 0)) for width in (I, U))
    given = {"x": Masks(x=x[0]), "h": Masks(h=h[0]), "x h": Masks(x=x[0], h=h[0]), "x of each gate": Masks(x=x),
             "all of each gate": Masks(x=x, h=h)}
    check_gradients(layer, masks=given[masks], mask=HOLES)


RAW = {"peepholes": lambda: RNN(cells.LSTM(peepholes=True), units=U, dtype="float64", **SEQ, **STATE),
       "projection": lambda: RNN(cells.LSTM(projection=2), units=U, dtype="float64", **SEQ, **STATE),
       "layer norm": lambda: RNN(cells.LayerNormSimpleRNN(), units=U, dtype="float64", **STATE),
       "Stack": lambda: RNN(cells.Stack((cells.LSTM(), cells.GRU())), units=(3, 2), dtype="float64", **SEQ, **STATE),
       "list": lambda: RNN([cells.LSTM(forget_bias=1.0), GRUCell(2, dtype="float64")], units=3, dtype="float64", **SEQ),
       "both": lambda: Bidirectional(RNN(cells.LSTM(coupled="input"), units=U, dtype="float64", **SEQ))}


@pytest.mark.parametrize("name", RAW)
def test_any_cell_of_ours(name):
    layer = randomize(RAW[name]())
    assert_same(layer.get_weights(), [random(w.shape, k) for k, w in enumerate(layer.get_weights())])
    if isinstance(layer, RNN):
        check_gradients(layer, mask=HOLES)
    check_gradients(layer, states=False)


class Trained(Doubling):
    def backward(self, p, kept, dy, dnew):
        d = dy + dnew[0]
        return 2 * d, (d,), None, {}


def test_a_cell_of_the_user():
    layer = RNN(Doubling(), units=I, dtype="float64", **SEQ)
    assert_close(layer(X), np.cumsum(2 * X, 1), "path")
    with pytest.raises(NotSupported, match="Doubling: has no backward"):
        layer.backward(X)
    check_gradients(RNN(Trained(), units=I, dtype="float64", **SEQ, **STATE), mask=HOLES)
