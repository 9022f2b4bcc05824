"""Optimizers: every rule by a formula written otherwise, schedules, and one launch on the strict double."""
from math import cos, pi

import numpy as np
import pytest

import rnnref
from rnnref import Record, layers, losses, optimizers
from rnnref.check.tolerance import tolerance
from rnnref.optimizers import schedules
from tests.support import strict
from tests.support.optimizer_cases import RULES, STEPS, gradients, made

BAR = tolerance("output", "float64")


@pytest.mark.parametrize("name, rule, options", RULES)
def test_rules(name, rule, options):
    layer, optimizer = made(), getattr(optimizers, name)(0.05, **options)
    before = [w.numpy() for w in layer.weights]
    for ds in gradients():
        optimizer.apply(ds, layer.weights)
    for w, first, ds in zip(layer.weights, before, zip(*gradients())):
        for place in np.ndindex(w.shape):
            expected = rule([d[place] for d in ds], first[place], 0.05, **options)
            assert abs(w.numpy()[place] - expected) < BAR * 10
    assert int(optimizer.iterations) == STEPS


def test_schedules():
    t = np.arange(0, 50)
    half = [0.5 ** (k / 7) for k in t]
    assert np.allclose(schedules.ExponentialDecay(1.0, 7, 0.5)(t), half, rtol=1e-6)
    assert np.allclose(schedules.ExponentialDecay(1.0, 7, 0.5, staircase=True)(t), [0.5 ** (k // 7) for k in t])
    assert np.allclose(schedules.InverseTimeDecay(1.0, 7, 2.0)(t), [7 / (7 + 2 * k) for k in t], rtol=1e-6)
    assert np.allclose(schedules.PolynomialDecay(1.0, 20, 0.1, 2.0)(t), [
        0.1 + 0.9 * max(0, 20 - k) ** 2 / 400 for k in t], rtol=1e-6)
    cosine = schedules.CosineDecay(0.5, 20, alpha=0.1, warmup_target=2.0, warmup_steps=10)(t)
    assert np.allclose(cosine[:10], [0.5 + 0.15 * k for k in range(10)], rtol=1e-6)
    assert np.allclose(cosine[10:30], [0.2 + 0.9 * (1 + cos(pi * k / 20)) for k in range(20)], rtol=1e-6)
    assert np.allclose(cosine[30:], 0.2)
    restarts = schedules.CosineDecayRestarts(1.0, 5, t_mul=2.0, m_mul=0.5)(t)
    lengths = [5, 10, 20]                         # and then 15 of the 40 steps of the fourth
    expected = [0.5 ** k * 0.5 * (1 + cos(pi * j / n)) for k, n in enumerate(lengths) for j in range(n)]
    assert np.allclose(restarts[:35], expected, atol=1e-7)


# the strict double

@pytest.mark.parametrize("name, rule, options", RULES)
@pytest.mark.parametrize("more", [{}, {"weight_decay": 0.1}])
def test_a_step_is_one_launch(name, rule, options, more):
    layer, expected = made("float32"), made("float32")
    on_host = getattr(optimizers, name)(0.05, **options | more)
    for ds in gradients("float32"):
        on_host.apply(ds, expected.weights)
    with strict.install() as cupy:
        layer.to("gpu")
        optimizer = getattr(optimizers, name)(0.05, **options | more)
        given = [[cupy.asarray(d) for d in ds] for ds in gradients("float32")]
        optimizer.apply(given[0], layer.weights)
        for ds in given[1:]:
            strict.counts.clear(), strict.launches.clear()
            optimizer.apply(ds, layer.weights)
            assert not strict.counts
            assert {k: n for k, n in strict.launches.items() if k != "reshape"} == {
                "concatenate": 1, f"rnnref_{name}": 1}
        for a, b in zip(layer.weights, expected.weights):
            assert np.abs(a.numpy() - b.numpy()).max() < tolerance("output", "float32")


@pytest.mark.parametrize("options", [{"clipnorm": 0.5}, {"clipvalue": 0.3}, {"global_clipnorm": 0.7},
                                     {"use_ema": True, "ema_overwrite_frequency": 2}, {"loss_scale_factor": 8.0},
                                     {"gradient_accumulation_steps": 2}])
def test_options_cross_no_bus(options):
    layer, expected = made("float32"), made("float32")
    on_host = optimizers.AdamW(0.05, **options)
    on_host.exclude_from_weight_decay(var_names=["bias"])
    for ds in gradients("float32"):
        on_host.apply(ds, expected.weights)
    with strict.install() as cupy:
        layer.to("gpu")
        optimizer = optimizers.AdamW(0.05, **options)
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        given = [[cupy.asarray(d) for d in ds] for ds in gradients("float32")]
        strict.counts.clear()
        for ds in given:
            optimizer.apply(ds, layer.weights)
        assert not strict.counts
        for a, b in zip(layer.weights, expected.weights):
            assert np.abs(a.numpy() - b.numpy()).max() < tolerance("output", "float32")


def test_a_whole_step_on_the_strict_double():
    """The model, the loss, the walk back and the update: nothing crosses the bus."""
    x = np.random.default_rng(1).normal(size=(4, 3, 2)).astype("float32")
    y = np.random.default_rng(2).integers(0, 3, 4)

    def step(net, optimizer, x, y):
        with Record(training=True) as record:
            loss = losses.SparseCategoricalCrossentropy(from_logits=True)(y, net(x))
        optimizer.apply(record.backward(loss), net.trainable_weights)
        return loss

    def net():
        rnnref.utils.set_random_seed(3)
        return rnnref.Sequential([rnnref.Input((3, 2)), layers.SimpleRNN(4), layers.Dense(3)])
    host, optimizer = net(), optimizers.Adam(0.01)
    expected = [float(step(host, optimizer, x, y)) for _ in range(3)]
    with strict.install() as cupy:
        device, optimizer = net().to("gpu"), optimizers.Adam(0.01)
        x, y = cupy.asarray(x), cupy.asarray(y)
        step(device, optimizer, x, y)
        strict.counts.clear()
        found = [step(device, optimizer, x, y) for _ in range(2)]
        assert not strict.counts
        assert np.allclose([float(a.data) for a in found], expected[1:], rtol=1e-5)


def test_slots_follow_weights_to_another_device():
    layer, expected = made("float32"), made("float32")
    one, two = optimizers.Adam(0.05), optimizers.Adam(0.05)
    for ds in gradients("float32"):
        two.apply(ds, expected.weights)
    with strict.install() as cupy:
        for k, ds in enumerate(gradients("float32")):
            if k == 3:
                layer.to("gpu")
            one.apply([cupy.asarray(d) for d in ds] if k >= 3 else ds, layer.weights)
        for a, b in zip(layer.weights, expected.weights):
            assert np.abs(a.numpy() - b.numpy()).max() < tolerance("output", "float32")
