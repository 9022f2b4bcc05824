"""Dropout of layers: masks are data, drawn from the seed or given."""
import numpy as np
import pytest

from rnnref import cells
from rnnref.layers import RNN, Bidirectional, GRUCell, LSTMCell, Masks
from rnnref.testing.api import assert_close, assert_same, check_cell
from rnnref.wrappers.gate_dropout import GateDropout
from tests.support.layer_cases import FAMILIES, SEQ, B, I, U, X, make_layer, randomize

each_family = pytest.mark.parametrize("family", FAMILIES)


@each_family
def test_dropout(family):
    layer, plain = make_layer(family, dropout=0.5, recurrent_dropout=0.3, seed=4), make_layer(family)
    assert_same(layer(X), plain(X))               # not while not training
    first = layer(X, training=True)
    assert np.any(first != plain(X)) and np.any(layer(X, training=True) != first)
    again = make_layer(family, dropout=0.5, recurrent_dropout=0.3, seed=4)
    assert_same(again(X, training=True), first)
    again = make_layer(family, dropout=0.5, recurrent_dropout=0.3, seed=4)
    masks = again.cell.draw_masks(B)
    assert_same(plain(X, masks=masks), first)     # the same masks, as data
    assert_same(plain(X, masks=Masks()), plain(X))


def test_masks():
    cell = LSTMCell(200, dropout=0.25, seed=0)
    cell.build(300)
    x = cell.draw_masks(50).x
    assert x.shape == (50, 300) and x.dtype == "float32" and set(np.unique(x)) == {0, np.float32(1 / 0.75)}
    assert abs((x > 0).mean() - 0.75) < 0.02
    each = LSTMCell(4, dropout=0.25, recurrent_dropout=0.1, seed=0)
    each.build(3)
    x, h = each.draw_masks(5)[:2]
    assert [len(x), len(h), x[0].shape, h[0].shape] == [4, 4, (5, 3), (5, 4)]
    assert LSTMCell(4).draw_masks(5) == Masks()


@each_family
def test_masks_of_the_gates_are_in_the_order_of_keras(family):
    """A gate that sees nothing of x, or of h, is one whose block of Keras's kernel is zero."""
    for which, field, n in ((0, "x", I), (1, "h", U)):
        layer = make_layer(family, **SEQ)
        count = len(layer.core.gates)
        for k in range(count):
            layer, weights = make_layer(family, **SEQ), make_layer(family).get_weights()
            masks = [np.full((B, n), float(j != k)) for j in range(count)]
            masked = layer(X, masks=Masks(**{field: masks}))
            weights[which][:, k * U:][:, :U] = 0
            layer.set_weights(weights)
            assert_close(masked, layer(X), "path")


def test_dropout_of_each_cell_and_direction():
    stack = randomize(RNN([LSTMCell(3, dropout=0.5, seed=1, dtype="float64"), GRUCell(2, dtype="float64")]))
    masks = [stack.cell.cells[0].draw_masks(B), None]
    assert np.any(stack(X, masks=masks) != stack(X))
    both = randomize(Bidirectional(make_layer("gru", dropout=0.5, recurrent_dropout=0.5)))
    masks = [layer.cell.draw_masks(B) for layer in both.both]
    assert np.any(both(X, masks=masks) != both(X)) and np.any(both(X, training=True) != both(X))


def test_the_cell_of_keras_dropout_keeps_the_laws():
    rng = np.random.default_rng(0)
    for cell in (cells.SimpleRNN(), cells.LSTM(), cells.GRU(), cells.GRU(reset="before")):
        n = len(cell.gates)
        for on, masks in {"x": (3, 0), "h": (0, 4), "xh": (3 * n, 4 * n)}.items() if n == 3 else [("xh", (3, 4 * n))]:
            drawn = Masks(*(rng.random((4, m)) if m else None for m in masks))
            why = "masks lie among the prepared parameters, and get no gradient"
            check_cell(GateDropout(cell, on=on), extra=drawn, breaks={1: why})
