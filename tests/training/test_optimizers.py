"""Optimizers: ways to apply, clipping, frozen weights, averages, rates, state, errors."""
from copy import deepcopy
from math import cos, pi

import numpy as np
import pytest

import rnnref
from rnnref import Record, layers, losses, optimizers
from rnnref.check.tolerance import tolerance
from rnnref.errors import NotSupported, ShapeError
from rnnref.optimizers import schedules
from tests.support.optimizer_cases import SHAPES, STEPS, gradients, made

BAR = tolerance("output", "float64")


@pytest.mark.parametrize("call", [
    lambda o, ws, ds: o.apply(ds, ws), lambda o, ws, ds: o.apply_gradients(zip(ds, ws)),
    lambda o, ws, ds: o.apply(list(zip(ws, ds))), lambda o, ws, ds: (o.build(ws), o.apply(ds))])
def test_ways_to_apply(call):
    layer, optimizer = made(), optimizers.SGD(0.5)
    before, ds = [w.numpy() for w in layer.weights], gradients()[0]
    call(optimizer, layer.weights, ds)
    for w, a, d in zip(layer.weights, before, ds):
        assert np.abs(w.numpy() - (a - 0.5 * d)).max() < BAR


def test_a_loop_of_ones_own():
    rnnref.utils.set_random_seed(1)
    net = rnnref.Sequential([rnnref.Input((6, 3)), layers.LSTM(8), layers.Dense(1)])
    x = np.random.default_rng(1).normal(size=(32, 6, 3)).astype("float32")
    y = x[:, :, :1].sum(1)
    loss_fn, optimizer, found = losses.MeanSquaredError(), optimizers.Adam(0.02), []
    for _ in range(60):
        with Record(training=True) as record:
            loss = loss_fn(y, net(x))
        optimizer.apply(record.backward(loss), net.trainable_weights)
        found.append(float(loss))
    assert found[-1] < 0.1 * found[0]
    assert [v.name for v in optimizer.variables][:3] == ["iteration", "learning_rate",
                                                         "sequential_lstm_lstm_cell_kernel_momentum"]


# clipping

def test_clipping():
    ds = [d * 10 for d in gradients()[0]]
    total = np.sqrt(sum((d ** 2).sum() for d in ds))
    for options, expected in [({"clipvalue": 0.5}, [np.clip(d, -0.5, 0.5) for d in ds]),
                              ({"clipnorm": 3.0}, [d * min(1, 3 / np.sqrt((d ** 2).sum())) for d in ds]),
                              ({"global_clipnorm": 2.0}, [d * 2 / total for d in ds]),
                              ({"global_clipnorm": 2 * total}, ds)]:
        layer = made()
        before = [w.numpy() for w in layer.weights]
        optimizers.SGD(1.0, **options).apply(ds, layer.weights)
        for w, a, d in zip(layer.weights, before, expected):
            assert np.abs(a - w.numpy() - d).max() < BAR * 100


def test_gradients_of_zero_are_not_divided_by_their_norm():
    layer = made()
    before = [w.numpy() for w in layer.weights]
    for options in ({"clipnorm": 1.0}, {"global_clipnorm": 1.0}):
        optimizers.SGD(1.0, **options).apply([np.zeros(s) for s in SHAPES.values()], layer.weights)
    assert all(np.array_equal(w.numpy(), a) for w, a in zip(layer.weights, before))


def test_dtypes_share_a_norm():
    one, two = made("float64"), made("float32")
    optimizer, ds = optimizers.SGD(1.0, global_clipnorm=1.0), gradients()[0]
    before = [w.numpy() for w in (*one.weights, *two.weights)]
    optimizer.apply([*ds, *ds], [*one.weights, *two.weights])
    norm = np.sqrt(2 * sum((d ** 2).sum() for d in ds))
    for w, a, d in zip((*one.weights, *two.weights), before, [*ds, *ds]):
        assert w.dtype == a.dtype and np.abs(a - w.numpy() - d / norm).max() < 1e-6


# what is not changed

def test_frozen_weights_are_skipped():
    weights = made().weights
    weights[0].trainable = False
    before, optimizer = weights[0].numpy(), optimizers.Adam(0.1)
    optimizer.apply(gradients()[0], weights)
    assert np.array_equal(weights[0].numpy(), before) and len(optimizer.variables) == 2 + 2 * 2


def test_frozen_later_keep_their_slots():
    """A weight that is frozen for a step is as if the step had not been, for it."""
    weights, (one, _, two) = made().weights, made().weights
    optimizer, alone = optimizers.Adam(0.1), optimizers.Adam(0.1)
    for k, ds in enumerate(gradients()):
        weights[1].trainable = k != 3
        optimizer.apply(ds, weights)
        alone.apply([ds[0], ds[2]], [one, two])
        if k == 2:
            kept = weights[1].numpy(), [v.numpy() for v in optimizer.variables if "bias" in v.name]
        if k == 3:
            assert np.array_equal(weights[1].numpy(), kept[0])
            assert all(np.array_equal(v.numpy(), a) for v, a in
                       zip([v for v in optimizer.variables if "bias" in v.name], kept[1]))
    for a, b in zip(weights[::2], (one, two)):
        assert np.array_equal(a.numpy(), b.numpy())


def test_weights_without_a_gradient_are_named():
    layer, optimizer = made(), optimizers.Adam(0.1)
    before = layer.weights[1].numpy()
    with pytest.warns(UserWarning, match="no gradient for layer/bias: what was differentiated"):
        optimizer.apply([gradients()[0][0], None, gradients()[0][2]], layer.weights)
    assert np.array_equal(layer.weights[1].numpy(), before)
    with pytest.raises(ShapeError, match="none of the weights has a gradient\n  weights layer/kernel layer/bias"):
        optimizer.apply([None] * 3, layer.weights)


def test_old_arrays_stay_as_they_were():
    """What a record kept of the weights is not changed by an update."""
    net = layers.Dense(3)
    x = np.random.default_rng(1).normal(size=(4, 5)).astype("float32")
    with Record() as record:
        leaf = record.leaf(x)
        loss = (net(leaf) ** 2).sum()
    once = record.backward(loss)[leaf]
    optimizers.SGD(0.5, momentum=0.5).apply(record.backward(loss), net.trainable_weights)
    assert np.array_equal(record.backward(loss)[leaf], once)


def test_weights_that_are_assigned_between_steps():
    layer, optimizer = made(), optimizers.SGD(0.5)
    ds = gradients()
    optimizer.apply(ds[0], layer.weights)
    layer.weights[1].assign(np.full(8, 7.0))
    optimizer.apply(ds[1], layer.weights)
    assert np.abs(layer.weights[1].numpy() - (7 - 0.5 * ds[1][1])).max() < BAR
    assert np.shares_memory(layer.weights[0].data, layer.weights[1].data.base)             # and joined again


def test_constraints_and_decay():
    layer = layers.Layer(name="layer", dtype="float64")
    for k in range(3):
        layer.add_weight((2,), "ones", name=f"w{k}", constraint="non_neg" if k == 0 else None)
    optimizer = optimizers.SGD(0.5, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["2"])
    optimizer.apply([np.array([4.0, 1.0])] * 3, layer.weights)
    assert [w.numpy().tolist() for w in layer.weights] == [[0, 0.25], [-1.25, 0.25], [-1.0, 0.5]]
    with pytest.raises(NotSupported, match="exclude_from_weight_decay after the first update"):
        optimizer.exclude_from_weight_decay(var_names=["1"])


def test_averages_become_the_weights():
    layer, optimizer = made(), optimizers.SGD(0.5, use_ema=True, ema_momentum=0.75)
    seen = []
    for ds in gradients():
        optimizer.apply(ds, layer.weights)
        seen.append(layer.weights[0].numpy())
    optimizer.finalize_variable_values(layer.weights)
    expected = seen[0]
    for a in seen[1:]:
        expected = 0.75 * expected + 0.25 * a
    assert np.abs(layer.weights[0].numpy() - expected).max() < BAR


def test_accumulated_gradients_are_those_of_a_larger_batch():
    layer, other = made(), made()
    parts, whole = optimizers.Adam(0.1, gradient_accumulation_steps=3), optimizers.Adam(0.1)
    ds = gradients()
    for k in range(0, STEPS, 3):
        for j in range(3):
            parts.apply(ds[k + j], layer.weights)
        whole.apply([np.mean(a, axis=0) for a in zip(*ds[k:k + 3])], other.weights)
    assert int(parts.iterations) == 2
    for a, b in zip(layer.weights, other.weights):
        assert np.abs(a.numpy() - b.numpy()).max() < BAR


# rates and state

def test_the_rate_may_be_set():
    layer, optimizer = made(), optimizers.SGD(0.5)
    optimizer.learning_rate = 0.25
    before, ds = layer.weights[1].numpy(), gradients()[0]
    optimizer.apply(ds, layer.weights)
    assert np.abs(layer.weights[1].numpy() - (before - 0.25 * ds[1])).max() < BAR
    assert float(optimizer.learning_rate) == 0.25 == optimizer.get_config()["learning_rate"]
    optimizer.learning_rate.assign(0.125)
    assert float(optimizer.learning_rate) == 0.125
    scheduled = optimizers.SGD(schedules.CosineDecay(0.5, 10))
    with pytest.raises(NotSupported, match="learning_rate=0.1 in place of a schedule"):
        scheduled.learning_rate = 0.1
    for _ in range(3):
        scheduled.apply(ds, layer.weights)
    assert float(scheduled.learning_rate) == pytest.approx(0.25 * (1 + cos(pi * 0.3)), rel=1e-6)
    rates = iter([1.0, 0.5])
    called = optimizers.SGD(lambda: next(rates))
    assert [called.learning_rate, called.learning_rate] == [1.0, 0.5]


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adagrad", "Adam", "AdamW", "Lion"])
def test_training_goes_on_with_saved_variables(name):
    options = {"momentum": 0.9} if name == "SGD" else {}
    layer, optimizer = made(), getattr(optimizers, name)(0.1, **options)
    ds = gradients()
    for d in ds[:3]:
        optimizer.apply(d, layer.weights)
    store: dict = {}
    optimizer.save_own_variables(store)
    other, again = made(seed=7), optimizers.deserialize(optimizers.serialize(optimizer))
    for a, b in zip(other.weights, layer.weights):
        a.assign(b.numpy())
    again.build(other.weights)
    again.load_own_variables(store)
    for d in ds[3:]:
        optimizer.apply(d, layer.weights)
        again.apply(d, other.weights)
    assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(layer.weights, other.weights))
    with pytest.raises(ShapeError, match=r"3 arrays of shapes .*\n  fix    build\(weights\) first"):
        again.load_own_variables({str(k): np.zeros(2) for k in range(3)})


def test_a_copy_goes_its_own_way():
    layer, optimizer = made(), optimizers.RMSprop(0.1, momentum=0.5)
    ds = gradients()
    optimizer.apply(ds[0], layer.weights)
    other, again = deepcopy((layer, optimizer))
    before = [v.numpy() for v in (*layer.weights, *optimizer.variables)]
    again.apply(ds[1], other.weights)
    assert all(np.array_equal(v.numpy(), a) for v, a in zip((*layer.weights, *optimizer.variables), before))
    optimizer.apply(ds[1], layer.weights)
    assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(layer.weights, other.weights))
    again.momentum = 0.25
    optimizer.apply(ds[2], layer.weights)
    again.apply(ds[2], other.weights)
    assert not any(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(layer.weights, other.weights))


@pytest.mark.parametrize("call, error, match", [
    (lambda: optimizers.Adam("fast"), NotSupported, "learning_rate='fast'"),
    (lambda: optimizers.Adam(lr=0.1), NotSupported, "Adam: lr=0.1\n.*beta_2.*clipnorm.*\n  fix    learning_rate="),
    (lambda: optimizers.SGD().apply([(np.ones(2), w) for w in made().weights]), NotSupported,
     r"an ndarray in the place of a weight\n  fix.*apply_gradients"),
    (lambda: optimizers.Adam(clipnorm=1.0, clipvalue=1.0), NotSupported, "clipnorm and clipvalue together"),
    (lambda: optimizers.Adam(clipnorm=-1.0), NotSupported, "clipnorm=-1.0"),
    (lambda: optimizers.SGD(momentum=2.0), NotSupported, "momentum=2.0"),
    (lambda: optimizers.Lion(beta_1=0.0), NotSupported, "beta_1=0.0"),
    (lambda: optimizers.AdamW(weight_decay=None), NotSupported, "fix    optimizers.Adam"),
    (lambda: optimizers.Adam(gradient_accumulation_steps=1), NotSupported, "an integer of at least 2"),
    (lambda: optimizers.get("nadam"), NotSupported, "nadam: it is not implemented"),
    (lambda: optimizers.get("adan"), NotSupported, "'adan'.*\n.*adagrad"),
    (lambda: optimizers.get(losses.MeanSquaredError()), NotSupported, "a MeanSquaredError"),
    (lambda: optimizers.SGD().apply([np.ones(2)]), NotSupported, "gradients without weights before build"),
    (lambda: optimizers.SGD().apply([np.ones(2)], made().weights), ShapeError, "1 gradients for 3 weights"),
    (lambda: optimizers.SGD().apply([np.ones(2)] * 3, made().weights), ShapeError,
     r"the gradient of layer/kernel has shape \(2,\), expected \(5, 8\)"),
    (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), NotSupported, "decay_steps=0"),
    (lambda: schedules.PiecewiseConstantDecay([1, 2], [0.1]), ShapeError, "one value more than boundaries"),
])
def test_errors(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_another_list_of_weights_is_refused():
    optimizer = optimizers.SGD()
    optimizer.apply(gradients()[0], made().weights)
    with pytest.raises(NotSupported, match="layer/kernel is not among the weights of the first update"):
        optimizer.apply(gradients()[0], made().weights)
