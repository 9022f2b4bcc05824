"""Masks of `rnnref.tf1`, and cells in cells."""
import numpy as np
import pytest

import rnnref
from rnnref import tf1
from rnnref.check.tolerance import tolerance
from rnnref.testing.assertions import assert_close, assert_same
from rnnref.tree import to
from tests.support import strict

RNG = np.random.default_rng(4)
T, B, D, U = 4, 2, 3, 5


# masks

def test_masks_are_drawn_from_the_seed():
    def ran(**options):
        cell = tf1.DropoutWrapper(tf1.LSTMCell(U), 0.5, 0.5, 0.5, **options).build(D, "float64", seed=0)
        return tf1.dynamic_rnn(cell, np.ones((B, T, D)))[0]
    assert_same(ran(seed=7), ran(seed=7))
    assert (ran(seed=7) != ran(seed=8)).any()


def test_masks_of_tf():
    cell = tf1.DropoutWrapper(tf1.LSTMCell(400), 0.5, 0.25, 0.75, seed=0)
    m = cell.draw_masks(np.ones((T, 300, D)), T)
    assert m.s.c is None and m.h is None and m.cell is None            # c of an LSTM is not dropped
    for mask, keep in ((m.x, 0.5), (m.y, 0.25), (m.s.h, 0.75)):
        assert set(np.unique(mask.steps)) == {0, 1 / keep}
        assert abs(mask.steps.mean() - 1) < 0.02 * (1 + 20 * (mask is m.x))
    cell = tf1.DropoutWrapper(tf1.GRUCell(9), 0.5, 0.5, 0.5, True, D, "float64", seed=0)
    same = cell.draw_masks(np.ones((T, B, D)), T)
    for mask in (same.x, same.y, same.s.h):                            # one for all steps and all rows
        assert (mask.steps == mask.steps[0, 0]).all() if hasattr(mask, "steps") else (mask == mask[0]).all()


def test_a_mask_inside_other_cells():
    drop = tf1.DropoutWrapper(tf1.GRUCell(4), 0.5, seed=3)
    stack = tf1.MultiRNNCell([tf1.LSTMCell(U), drop]).build(D, "float64", seed=0)
    plain = tf1.MultiRNNCell([tf1.LSTMCell(U), tf1.GRUCell(4)]).load_variables(stack.dump_variables())
    xs = RNG.normal(size=(B, T, D))
    assert (tf1.dynamic_rnn(stack, xs)[0] != tf1.dynamic_rnn(plain, xs)[0]).any()
    ones = (None, drop.masks(input=np.ones((T, B, U)) * 0.5))
    assert_same(tf1.dynamic_rnn(stack, xs, extra=ones)[0], tf1.dynamic_rnn(plain, xs)[0])


def test_which_arrays_of_a_state_are_dropped():
    drop = tf1.DropoutWrapper(tf1.MultiRNNCell([tf1.LSTMCell(U), tf1.GRUCell(4)]), state_keep_prob=0.5)
    assert drop.list_dropped() == [("0.c", False), ("0.h", True), ("1.h", True)]
    drop = tf1.DropoutWrapper(tf1.LSTMCell(U), state_keep_prob=0.5, dropout_state_filter_visitor=lambda state: False)
    assert [yes for _, yes in drop.list_dropped()] == [False, False]
    with pytest.raises(rnnref.NotSupported, match="it is not dropped"):
        drop.masks(state={0: np.ones((B, U))})


# cells in cells that the recorded runs do not have

def lstm(n=U):
    return tf1.LSTMCell(n)


NESTED = {
    "attention of several": lambda: tf1.AttentionCellWrapper(tf1.MultiRNNCell([lstm(), tf1.GRUCell(4)]), 2),
    "attention in several": lambda: tf1.MultiRNNCell([tf1.AttentionCellWrapper(lstm(), 2), tf1.NASCell(4)]),
    "residual of several": lambda: tf1.ResidualWrapper(tf1.MultiRNNCell([lstm(), tf1.GRUCell(D)])),
    "projections": lambda: tf1.OutputProjectionWrapper(tf1.InputProjectionWrapper(lstm(), 4, "tanh"), 2, "relu"),
    "projection three times": lambda: tf1.OutputProjectionWrapper(
        tf1.OutputProjectionWrapper(tf1.OutputProjectionWrapper(lstm(), 4), 3), 2),
    "attention, projected": lambda: tf1.OutputProjectionWrapper(tf1.AttentionCellWrapper(tf1.MultiRNNCell(
        [lstm(), lstm()]), 2), 2),
    "highway around dropout": lambda: tf1.HighwayWrapper(tf1.DropoutWrapper(tf1.GRUCell(D), 0.5, 0.5, 0.5, seed=1)),
    "a state as one matrix": lambda: tf1.MultiRNNCell([tf1.LSTMCell(U, state_is_tuple=False), tf1.GRUCell(4)], False),
    "dropout of several": lambda: tf1.DropoutWrapper(tf1.MultiRNNCell([lstm(), tf1.GRUCell(4)]), 0.9, 0.5, 0.5, seed=1),
    "a controller of several": lambda: tf1.NTMCell(tf1.MultiRNNCell([lstm(), tf1.GRUCell(4)]), 6, 4, 2, 2),
    "grids of one matrix": lambda: tf1.GridLSTMCell(
        4, state_is_tuple=False, feature_size=2, frequency_skip=1, num_frequency_blocks=[2, 1],
        start_freqindex_list=[0, 1], end_freqindex_list=[3, 3]),
    "a device": lambda: tf1.DeviceWrapper(tf1.ResidualWrapper(tf1.GRUCell(D)), "/cpu:0"),
}


@pytest.mark.parametrize("name", NESTED)
@pytest.mark.parametrize("lengths", (None, [2, 0, 4]), ids=("all", "lengths"))
def test_gradients_of_cells_in_cells_are_differences(name, lengths):
    cell = NESTED[name]().build(D, "float64", seed=0)
    v = {n: RNG.normal(size=a.shape) * 0.5 for n, a in cell.dump_variables().items()}
    cell.load_variables(v)
    x, start = RNG.normal(size=(3, T, D)), cell.zero_state(3, "float64")
    extra = cell.draw_masks(x.swapaxes(0, 1), T)

    def ran(x, v):
        return tf1.dynamic_rnn(cell.load_variables(v), x, lengths, start, extra=extra)
    result = ran(x, v)
    dy = RNG.normal(size=result[0].shape)
    d, dx = result.backward(dy), RNG.normal(size=x.shape)
    dv = {n: RNG.normal(size=a.shape) for n, a in v.items()}

    def change(dx, dv):
        ahead, back = (ran(x + e * dx, {n: a + e * dv[n] for n, a in v.items()})[0] for e in (1e-6, -1e-6))
        return ((ahead - back) * dy).sum() / 2e-6
    none = {n: 0 * a for n, a in v.items()}
    for got, grads, ways in ((change(dx, none), [d.inputs], [dx]),
                             (change(0 * dx, dv), [d.variables[n] for n in v], [dv[n] for n in v])):
        predicted = sum((g * w).sum() for g, w in zip(grads, ways))
        size = np.sqrt(sum((g * g).sum() for g in grads) * sum((w * w).sum() for w in ways))
        assert abs(got - predicted) <= tolerance("difference", "float64") * size


DEVICE = {
    "LSTM": lambda: tf1.LSTMCell(U, use_peepholes=True, num_proj=2), "dropout": lambda: tf1.DropoutWrapper(
        tf1.MultiRNNCell([tf1.GRUCell(4), lstm()]), 0.5, 0.5, 0.5, seed=1), "recurrent dropout": lambda:
    tf1.LayerNormBasicLSTMCell(U, dropout_keep_prob=0.5, dropout_prob_seed=1), "grid": lambda: tf1.GridLSTMCell(
        4, feature_size=2, frequency_skip=1, num_frequency_blocks=[2]),
}


@pytest.mark.parametrize("name", DEVICE)
def test_on_a_device(name):
    """On a strict double of CuPy: nothing is copied implicitly, and the numbers are the same."""
    x, here = RNG.normal(size=(B, T, D)), DEVICE[name]().build(D, "float64", seed=0)
    want = tf1.dynamic_rnn(here, x, [T, 2])
    dy = RNG.normal(size=want[0].shape)
    with strict.install():
        cell = DEVICE[name]().build(D, "float64", seed=0).to("gpu")
        got = tf1.dynamic_rnn(cell, to("gpu", x), [T, 2], cell.zero_state(B, "float64"))
        d = got.backward(to("gpu", dy))
        assert_close(to("cpu", (got[0], got[1], d)), (want[0], want[1], want.backward(dy)), "path")
        assert_same(cell.dump_variables(), here.dump_variables())
        with pytest.raises(rnnref.DeviceError):
            tf1.dynamic_rnn(cell, x)
