"""Layers by themselves: they compute what `run` does, with weights and states as Keras has them."""
import numpy as np
import pytest

from rnnref import cells, run
from rnnref.elementwise import get_activation
from rnnref.interop import cell_for, layout_of, load
from rnnref.layers import GRU, LSTM, RNN, Bidirectional, GRUCell, LSTMCell, SimpleRNN
from rnnref.testing.api import assert_close, assert_same
from tests.support.layer_cases import (BACK, FAMILIES, HOLES, RIGHT, SEQ, STATE, ZERO, B, I, U, X, make_layer, random,
                                       randomize)

each_family = pytest.mark.parametrize("family", FAMILIES)


# values

@each_family
def test_is_run_with_the_weights_of_keras(family):
    """Weights of every layer are those of Keras's tables, and a layer is `run` between two transpositions."""
    layer = make_layer(family, **SEQ, **STATE)
    names = "kernel recurrent_kernel bias".split()
    p = load(layout_of(family, "keras"), dict(zip(names, layer.get_weights())), cell_for(family, "keras"))
    ys, new, _ = run(cell_for(family, "keras"), p, X.swapaxes(0, 1), mask=HOLES.T, padding="repeat")
    assert_same(list(layer(X, mask=HOLES)), [ys.swapaxes(0, 1), *new])
    assert_same(layer.params, p)


@each_family
def test_go_backwards_is_the_sequence_turned_round(family):
    ahead, back = (make_layer(family, **SEQ, **STATE, **way) for way in ({}, BACK))
    assert_close(list(back(X)), list(ahead(X[:, ::-1])), "path")
    assert_close(list(back(X, mask=HOLES)), list(ahead(X[:, ::-1], mask=HOLES[:, ::-1])), "path")


@each_family
def test_the_last_output(family):
    whole, last = make_layer(family, **SEQ), make_layer(family)
    assert_same(last(X), whole(X)[:, -1])
    assert_same(make_layer(family, **BACK)(X), make_layer(family, **BACK, **SEQ)(X)[:, -1])


@each_family
def test_dead_steps(family):
    """They repeat the output before, zero before the first; or all say zero."""
    y, zero = make_layer(family, **SEQ)(X, mask=HOLES), make_layer(family, **SEQ, **ZERO)(X, mask=HOLES)
    assert not zero[~HOLES].any()
    assert_same(zero[HOLES], y[HOLES])
    assert not y[1, 0].any() and not y[2].any()
    assert_same([y[0, 1], y[0, 4], y[1, 2], y[1, 3]], [y[0, 0], y[0, 3], y[1, 1], y[1, 1]])
    assert not make_layer(family, **ZERO)(X, mask=RIGHT)[1].any()


@each_family
def test_lengths_are_a_mask_and_padding_says_nothing(family):
    layer, poisoned = make_layer(family, **SEQ, **STATE), np.where(RIGHT[..., None], X, np.nan)
    want = list(layer(X, mask=RIGHT))
    back = layer.backward(want[0])
    assert_same(list(layer(poisoned, lengths=[5, 2, 0])), want)
    assert_same(layer.backward(want[0]), back)


@each_family
def test_time_major(family):
    batch, time = make_layer(family, **SEQ, **STATE), make_layer(family, **SEQ, **STATE, time_major=True)
    y, *states = batch(X, mask=HOLES)
    assert_same(list(time(X.swapaxes(0, 1), mask=HOLES.T)), [y.swapaxes(0, 1), *states])
    dy = random(y.shape)
    (dx, ds), (dt, dst) = batch.backward(dy), time.backward(dy.swapaxes(0, 1))
    assert_same([dt.swapaxes(0, 1), dst, time.grads], [dx, ds, batch.grads])


@each_family
def test_unroll_implementation_and_cudnn_change_nothing(family):
    more = {} if family == "rnn" else {"use_cudnn": False, "implementation": 1}
    assert_same(make_layer(family, unroll=True, **more)(X), make_layer(family)(X))


@each_family
def test_the_layer_is_rnn_of_the_cell(family):
    layer = make_layer(family, **SEQ)
    cell = type(layer.cell)(U, dtype="float64", **FAMILIES[family][1])
    rnn = RNN(cell, **SEQ)
    rnn.set_weights(layer.get_weights())
    assert_same(rnn(X), layer(X))
    assert_same(rnn.params, cell.params)


@each_family
def test_a_single_step_is_a_sequence_of_one(family):
    layer = make_layer(family, **STATE)
    cell, s = layer.cell, [random((B, U), k) for k in range(len(layer.core.rule.widths))]
    y, *new = layer(X[:, :1], s)
    got = cell(X[:, 0], s)
    assert_close([got[0], *got[1]], [y, *new], "path")
    dx, ds = layer.backward(y, new)
    grads = layer.grads
    dx1, ds1 = cell.backward(y, new)
    assert_close([dx1, ds1, cell.grads], [dx[:, 0], ds, grads], "path")


MERGE = {"concat": lambda a, b: np.concatenate([a, b], -1), "sum": np.add, "mul": np.multiply,
         "ave": lambda a, b: (a + b) / 2}


@pytest.mark.parametrize("mode", MERGE)
@pytest.mark.parametrize("family", ["lstm", "gru"])
def test_bidirectional_is_two_layers(family, mode):
    pattern = make_layer(family, **SEQ, **STATE, **ZERO)
    both = randomize(Bidirectional(pattern, mode, dtype="float64"))
    one, two = make_layer(family, **SEQ, **STATE, **ZERO), make_layer(family, **SEQ, **STATE, **BACK, **ZERO)
    weights = both.get_weights()
    one.set_weights(weights[:3])
    two.set_weights(weights[3:])
    y, *states = one(X, mask=HOLES)
    back, *more = two(X, mask=HOLES)
    assert_same(list(both(X, mask=HOLES)), [MERGE[mode](y, back[:, ::-1]), *states, *more])
    apart = Bidirectional(pattern, None, weights=weights)
    assert_same(list(apart(X, mask=HOLES)), [y, back[:, ::-1], *states, *more])


def test_the_last_outputs_of_both_directions_repeat():
    both = randomize(Bidirectional(GRU(U, dtype="float64", **ZERO, **STATE)))
    y, h, back = both(X, mask=RIGHT)
    assert_same(y, np.concatenate([h, back], -1))


def test_what_the_options_of_keras_mean():
    hard, leaky = get_activation("hard_sigmoid", 1 / 6, 0.5), get_activation("leaky_relu", 0.2)
    lstm = LSTM(U, "leaky_relu", "hard_sigmoid")
    assert lstm.core == cells.LSTM(gate=hard, candidate=leaky, output=leaky)
    assert GRU(U, None, "silu").core == cells.GRU(gate="swish", candidate="linear")
    assert GRU(U, reset_after=False, use_bias=False).core == cells.GRU(reset="before", bias=False)
    assert SimpleRNN(U, "gelu_tanh").core == cells.SimpleRNN(activation="gelu_tanh")


def test_bidirectional_takes_a_pattern_but_the_backward_layer_itself():
    pattern, back = make_layer("gru", **SEQ), make_layer("lstm", **SEQ, **BACK)
    both = Bidirectional(pattern, backward_layer=back)
    assert not both.built and both.backward_layer is back and back.built
    assert both.forward_layer is not pattern and both.forward_layer.name == "forward_gru"
    both(X)
    assert_same(both.backward_layer.get_weights(), make_layer("lstm").get_weights())


def test_a_stack_is_layers_on_layers():
    stack = randomize(RNN([LSTMCell(3, dtype="float64"), GRUCell(2, dtype="float64")], **SEQ, **STATE))
    w = stack.get_weights()
    lower, upper = LSTM(3, dtype="float64", **SEQ, **STATE), GRU(2, dtype="float64", **SEQ, **STATE)
    lower.set_weights(w[:3])
    upper.set_weights(w[3:])
    y, *states = lower(X, mask=HOLES)
    y, *more = upper(np.where(HOLES[..., None], y, 0), mask=HOLES)
    assert_close(list(stack(X, mask=HOLES)), [y, states, more], "path")
    assert stack.state_size == [[3, 3], 2] and stack.cell.output_size == 2


# states between calls

@each_family
def test_stateful_is_a_sequence_cut_in_two(family):
    whole, cut = make_layer(family, **SEQ, **STATE), make_layer(family, stateful=True, **SEQ, **STATE)
    y, *states = whole(X)
    assert cut.states is None
    one, *middle = cut(X[:, :2])
    assert_same(cut.states, middle)
    two, *end = cut(X[:, 2:])
    assert_close([np.concatenate([one, two], 1), *end], [y, *states], "path")
    dy = random(y.shape)
    dx, ds = whole.backward(dy)
    _, dmiddle = cut.backward(dy[:, 2:])          # the gradient stops there, and can be carried on
    second = cut.grads
    fresh = make_layer(family, **SEQ, **STATE)
    fresh(X[:, :2])
    assert_close(fresh.backward(dy[:, :2], dmiddle)[1], ds, "gradient")
    assert_close({n: fresh.grads[n] + g for n, g in second.items()}, whole.grads, "gradient")


def test_reset_and_reuse_of_states():
    layer, other = make_layer("lstm", stateful=True), make_layer("lstm", seed=1)
    first = layer(X)
    assert np.any(layer(X) != first)
    assert_same(other(X, layer.states), other(X, initial_state=layer.states))
    layer.reset_states()
    assert not any(s.any() for s in layer.states)
    assert_same(layer(X), first)
    layer(X, [random((B, U)), random((B, U))])
    both = Bidirectional(make_layer("gru", stateful=True))
    assert both.states is None
    both(X)
    assert len(both.states) == 2 and np.any(both(X) != (both.reset_state(), both(X))[1])


def test_states_in_every_form():
    layer = make_layer("lstm")
    h, c = random((B, U)), random((B, U), 1)
    want = layer(X, [h, c])
    for form in ((h, c), layer.core.rule.State(h, c), [h.tolist(), c]):
        assert_same(layer(X, form), want)
    gru = make_layer("gru")
    assert_same(gru(X, h), gru(X, [h]))           # as Keras: a state alone needs no list


# weights

@each_family
@pytest.mark.parametrize("use_bias", [True, False])
def test_weights_go_round(family, use_bias):
    layer, other = (make_layer(family, seed, use_bias=use_bias) for seed in (0, 1))
    other.set_weights(layer.get_weights())
    assert_same(other.get_weights(), layer.get_weights())
    assert_same(other.params, layer.params)
    assert layer.count_params() == sum(w.size for w in layer.get_weights())
    layer.get_weights()[0][:] = 9                 # copies
    assert_same(other.get_weights(), layer.get_weights())


def test_shapes_are_those_of_keras():
    assert [w.shape for w in make_layer("lstm").get_weights()] == [(I, 4 * U), (U, 4 * U), (4 * U,)]
    assert [w.shape for w in make_layer("gru").get_weights()] == [(I, 3 * U), (U, 3 * U), (2, 3 * U)]
    assert [w.shape for w in make_layer("gru before").get_weights()] == [(I, 3 * U), (U, 3 * U), (3 * U,)]
    assert make_layer("gru").weight_names == ["kernel", "recurrent_kernel", "bias"] and not GRU(2).get_weights()


def test_set_weights_builds():
    layer = LSTM(U, dtype="float64")
    layer.set_weights(make_layer("lstm").get_weights())
    assert_same(layer(X), make_layer("lstm")(X))


def test_first_weights():
    layer = LSTM(8, seed=0)
    layer.build((None, None, 5))
    kernel, recurrent, bias = layer.get_weights()
    assert_close(recurrent @ recurrent.T, np.eye(8, dtype="float32"), "path")
    assert abs(kernel).max() <= np.sqrt(6 / (5 + 32)) and kernel.std() > 0.1
    assert_same(bias, np.repeat([0, 1, 0, 0], 8).astype("float32"))
    plain = LSTM(2, unit_forget_bias=False, kernel_initializer=lambda rng, shape: np.full(shape, 7.0),
                 bias_initializer="ones")
    plain.build(3)
    assert (plain.get_weights()[0] == 7).all() and (plain.get_weights()[2] == 1).all()
    filled = GRU(2, bias_initializer="ones")
    filled.build(3)
    assert_same(filled.get_weights()[2], np.ones((2, 6), "float32"))


def test_seeds():
    one, two, other = (LSTM(U, seed=seed) for seed in (1, 1, 2))
    for layer in (one, two, other):
        layer.build(I)
    assert_same(one.get_weights(), two.get_weights())
    assert np.any(one.get_weights()[0] != other.get_weights()[0])
    both = Bidirectional(LSTM(U, seed=1))
    both.build(I)
    assert np.any(both.get_weights()[0] != both.get_weights()[3])
    assert_same(both.get_weights()[:3], one.get_weights())
