"""Optimizers and schedules beside Keras 3 on torch, fed the same 50 gradients; variables and configurations."""
from contextlib import nullcontext

import numpy as np
import pytest

from rnnref import optimizers
from rnnref.check.tolerance import tolerance
from rnnref.layers import Layer
from rnnref.optimizers import schedules

pytestmark = pytest.mark.peers
SHAPES = {"kernel": (5, 8), "bias": (8,), "scale": (), "deep": (3, 2, 4)}
STEPS = 50
BAR = tolerance("output", "float32")


COMMON = [{"clipnorm": 0.5}, {"clipvalue": 0.3}, {"global_clipnorm": 0.7}, {"weight_decay": 0.05},
          {"use_ema": True, "ema_momentum": 0.8}, {"use_ema": True, "ema_overwrite_frequency": 7},
          {"loss_scale_factor": 8.0}, {"gradient_accumulation_steps": 3},
          {"gradient_accumulation_steps": 2, "clipnorm": 0.4, "use_ema": True}]
OWN = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}],
    "RMSprop": [{}, {"rho": 0.8, "momentum": 0.5}, {"centered": True}, {"centered": True, "momentum": 0.5}],
    "Adagrad": [{}, {"initial_accumulator_value": 0.5, "epsilon": 1e-3}],
    "Adam": [{}, {"amsgrad": True}, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}],
    "AdamW": [{}, {"weight_decay": 0.1, "amsgrad": True}],
    "Lion": [{}, {"beta_1": 0.7, "beta_2": 0.8}],
}
EVERY = [(name, options) for name, own in OWN.items() for options in own + COMMON]


def gradients(dtype="float32"):
    rng = np.random.default_rng(5)
    return [{name: (rng.normal(size=shape) * rng.choice([0.01, 1, 3])).astype(dtype) for name, shape in SHAPES.items()}
            for _ in range(STEPS)]


def first_weights():
    rng = np.random.default_rng(6)
    return {name: rng.normal(size=shape).astype("float32") for name, shape in SHAPES.items()}


def made_layer():
    layer = Layer(name="layer")
    for name, a in first_weights().items():
        layer.add_weight(a.shape, name=name).assign(a)
    return layer


def made_variables(keras):
    with keras.name_scope("layer"):
        return [keras.Variable(a, name=name) for name, a in first_weights().items()]


def same(a, b, bar=BAR):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= bar * max(1, np.abs(b).max())


def trained(keras, name, options, steps=STEPS, rate=0.01):
    """Both after the same steps: (optimizer, weights) of Keras, and ours."""
    import torch
    a, b = getattr(keras.optimizers, name)(rate, **options), getattr(optimizers, name)(rate, **options)
    theirs, ours = made_variables(keras), made_layer().weights
    for d in gradients()[:steps]:
        a.apply([torch.tensor(g) for g in d.values()], theirs)
        b.apply(list(d.values()), ours)
    return (a, theirs), (b, ours)


def check(found):
    (a, theirs), (b, ours) = found
    for v, w in zip(theirs, ours):
        same(w.numpy(), v.numpy())
    assert [v.path.split("/", 1)[1] for v in a.variables] == [v.path.split("/", 1)[1] for v in b.variables]
    for v, w in zip(a.variables, b.variables):
        same(w.numpy(), v.numpy(), 5 * BAR)
    assert int(a.iterations) == int(b.iterations)


@pytest.mark.parametrize("name, options", EVERY)
def test_fifty_gradients(keras, name, options):
    found = trained(keras, name, options)
    check(found)
    (a, theirs), (b, ours) = found
    a.finalize_variable_values(theirs)
    b.finalize_variable_values(ours)
    for v, w in zip(theirs, ours):
        same(w.numpy(), v.numpy())


@pytest.mark.parametrize("name", OWN)
def test_state_moves_both_ways(keras, name):
    """Training goes on in the other library."""
    import torch
    (a, theirs), (b, ours) = trained(keras, name, {}, 10)
    store, there, back = {}, {}, {}
    b.save_own_variables(store)
    a2, variables = getattr(keras.optimizers, name)(0.5), made_variables(keras)
    a2.build(variables)
    a2.load_own_variables(store)
    a.save_own_variables(there)
    b2, weights = getattr(optimizers, name)(0.5), made_layer().weights
    b2.build(weights)
    b2.load_own_variables(there)
    for v, w, x in zip(variables, weights, theirs):
        v.assign(x.numpy())
        w.assign(x.numpy())
    for d in gradients()[10:30]:
        a2.apply([torch.tensor(g) for g in d.values()], variables)
        b2.apply(list(d.values()), weights)
    check(((a2, variables), (b2, weights)))
    b2.save_own_variables(back)
    assert list(back) == list(there)


@pytest.mark.parametrize("name, options", EVERY)
def test_configurations(keras, name, options):
    a, b = getattr(keras.optimizers, name)(0.25, **options), getattr(optimizers, name)(0.25, **options)
    a.name = b.name = "same"
    assert a.get_config() == b.get_config()
    there, here = keras.optimizers.serialize(a), optimizers.serialize(b)
    assert there["class_name"] == here["class_name"] and there["config"] == here["config"]
    assert optimizers.deserialize(keras.optimizers.serialize(a)).get_config() == a.get_config()
    assert keras.optimizers.deserialize(optimizers.serialize(b)).get_config() == b.get_config()


def test_excluded_from_decay(keras):
    import torch
    a, b = keras.optimizers.AdamW(0.1, weight_decay=0.5), optimizers.AdamW(0.1, weight_decay=0.5)
    theirs, ours = made_variables(keras), made_layer().weights
    for optimizer, weights in ((a, theirs), (b, ours)):
        optimizer.exclude_from_weight_decay(var_list=[weights[0]], var_names=["bia"])
    for d in gradients()[:20]:
        a.apply([torch.tensor(g) for g in d.values()], theirs)
        b.apply(list(d.values()), ours)
    check(((a, theirs), (b, ours)))


@pytest.mark.parametrize("name", OWN)
def test_a_weight_without_a_gradient(keras, name):
    import torch
    a, b = getattr(keras.optimizers, name)(0.1), getattr(optimizers, name)(0.1)
    theirs, ours = made_variables(keras), made_layer().weights
    for k, d in enumerate(gradients()[:12]):
        given = list(d.values())
        if k % 3 == 1:
            given[k % 4] = None
        missing = any(g is None for g in given)
        with pytest.warns(UserWarning, match="Gradients do not exist") if missing else nullcontext():
            a.apply([g if g is None else torch.tensor(g) for g in given], theirs)
        with pytest.warns(UserWarning, match=f"no gradient for layer/{ours[k % 4].name}") if missing else nullcontext():
            b.apply(given, ours)
    check(((a, theirs), (b, ours)))


@pytest.mark.parametrize("name", "adam Adam ADAM sgd SGD rmsprop RMSprop adagrad adamw AdamW lion".split())
def test_names(keras, name):
    assert keras.optimizers.get(name).__class__.__name__ == optimizers.get(name).__class__.__name__


SCHEDULES = [
    ("ExponentialDecay", (0.1, 30, 0.5)), ("ExponentialDecay", (0.1, 30, 0.5, True)),
    ("InverseTimeDecay", (0.1, 30, 0.5)), ("InverseTimeDecay", (0.1, 30, 0.5, True)),
    ("PiecewiseConstantDecay", ([10, 50, 51], [0.1, 0.2, 0.3, 0.4])), ("PolynomialDecay", (0.1, 60)),
    ("PolynomialDecay", (0.1, 60, 0.01, 2.0)), ("PolynomialDecay", (0.1, 40, 0.01, 0.5, True)),
    ("CosineDecay", (0.1, 60)), ("CosineDecay", (0.1, 60, 0.2)), ("CosineDecay", (0.0, 60, 0.1, "c", 0.2, 30)),
    ("CosineDecay", (0.1, 60, 0.1, "c", 0.2, 0)),
    ("CosineDecayRestarts", (0.1, 10)), ("CosineDecayRestarts", (0.1, 10, 1.0, 0.9, 0.1)),
    ("CosineDecayRestarts", (0.1, 7, 1.5, 0.8)), ("CosineDecayRestarts", (0.1, 10, 3.0, 0.5, 0.01))]


@pytest.mark.parametrize("name, args", SCHEDULES)
def test_schedules(keras, name, args):
    a, b = getattr(keras.optimizers.schedules, name)(*args), getattr(schedules, name)(*args)
    steps = np.arange(300)
    theirs = np.array([float(a(int(t))) for t in steps])
    assert np.abs(b(steps) - theirs).max() < BAR * np.abs(theirs).max()
    assert [float(b(t)) for t in (0, 17, 299)] == b(steps)[[0, 17, 299]].tolist()
    assert keras.optimizers.schedules.serialize(a) == schedules.serialize(b)
    back = keras.optimizers.schedules.deserialize(schedules.serialize(b))
    assert float(back(17)) == float(a(17))
    there = schedules.deserialize(keras.optimizers.schedules.serialize(a))
    assert there.get_config() == b.get_config()


@pytest.mark.parametrize("name, args", SCHEDULES[::3])
def test_an_optimizer_with_a_schedule(keras, name, args):
    import torch
    a = keras.optimizers.Adam(getattr(keras.optimizers.schedules, name)(*args))
    b = optimizers.Adam(getattr(schedules, name)(*args))
    theirs, ours = made_variables(keras), made_layer().weights
    for d in gradients():
        a.apply([torch.tensor(g) for g in d.values()], theirs)
        b.apply(list(d.values()), ours)
        assert float(a.learning_rate) == pytest.approx(float(b.learning_rate), rel=1e-5, abs=1e-8)
    check(((a, theirs), (b, ours)))
    b.name = a.name
    assert optimizers.deserialize(keras.optimizers.serialize(a)).get_config() == b.get_config()
