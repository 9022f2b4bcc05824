"""The law of finite differences over every layer that is no recurrent one, and on the strict double of CuPy."""
import numpy as np
import pytest

from rnnref import Record, layers as L
from rnnref.nest import align, flatten, map_structure, unflatten
from rnnref.testing.api import assert_same
from rnnref.values import numbers
from tests.support import strict
from tests.support.simple_layer_cases import CASES, LIVE, arguments, made

BAR = 1e-9
# Central differences of order six: weights of f(k h) - f(-k h), and the step.
WEIGHTS, STEP = (45 / 60, -9 / 60, 1 / 60), 2e-3


def difference(f):
    return sum(w * (f(k * STEP) - f(-k * STEP)) for k, w in enumerate(WEIGHTS, 1)) / STEP


def is_floats(a):
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


def total(y, dy):
    return sum(float((a * d).sum()) for a, d in zip(flatten(y), flatten(dy)))


class Trial:
    """A layer as a pair, with random weights and random directions."""

    def __init__(self, name):
        self.layer, self.x, options = made(name), arguments(name), dict(CASES[name].options)
        self.p = {path: w.data for path, w in self.layer.named_weights().items()}
        noise = self.layer.draw(bool(options.get("training")), self.x)
        self.restart = dict(self.layer.noise_rng.bit_generator.state)
        self.options = options | {"noise": noise}
        self.rng = np.random.default_rng(2)

    def apply(self, p, x):
        for layer in self.layer._all_layers():    # of layers inside: the same noise every time
            if layer is not self.layer:
                layer._start_generators()
        return self.layer.apply(p, x, **self.options)

    def normal(self, a):
        return self.rng.normal(size=a.shape) if is_floats(a) else None

    def error(self):
        """How far apply_back is from the difference, relative to |g| |v|."""
        y, kept = self.apply(self.p, self.x)
        dy = map_structure(self.normal, y)
        (dx,), dp = self.layer.apply_back(self.p, kept, dy)
        vx, vp = map_structure(self.normal, self.x), {k: self.normal(self.p[k]) for k in dp}
        if isinstance(self.layer, L.Masking):     # beside mask_value the function is another
            vx = vx * LIVE[..., None]

        def at(e):
            x = unflatten(self.x, [a if v is None else a + e * v for a, v in zip(flatten(self.x), flatten(vx))])
            return total(self.apply(self.p | {k: self.p[k] + e * v for k, v in vp.items()}, x)[0], dy)
        pairs = [(g, v) for g, v in zip(align(self.x, dx), flatten(vx)) if v is not None and g is not None]
        pairs += [(dp[k], vp[k]) for k in dp]
        for g, v in pairs:
            assert g.shape == v.shape and g.dtype == v.dtype
        scale = np.sqrt(sum((g * g).sum() for g, _ in pairs) * sum((v * v).sum() for _, v in pairs))
        error = abs(difference(at) - sum((g * v).sum() for g, v in pairs))
        return error / scale if scale else error


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_finite_differences(name):
    trial = Trial(name)
    before = [a.copy() for a in flatten((trial.x, list(trial.p.values())))]
    assert trial.error() < BAR
    assert_same(flatten((trial.x, list(trial.p.values()))), before)
    trainable = {path for path, w in trial.layer.named_weights().items() if w.trainable}
    y, kept = trial.apply(trial.p, trial.x)
    assert set(trial.layer.apply_back(trial.p, kept, map_structure(np.ones_like, y))[1]) == trainable


@pytest.mark.parametrize("name", CASES)
def test_records_and_calls_with_arrays_give_the_same_bits(name):
    options, layer = CASES[name].options, made(name)
    x = arguments(name)

    def restart():
        for one in layer._all_layers():
            one._start_generators()
        for w, a in zip(layer.weights, weights):
            w.assign(a)                           # the moving averages too
    weights = layer.get_weights()
    restart()
    y = layer(x, **options)
    left = layer.get_weights()
    dy = map_structure(lambda a: np.random.default_rng(3).normal(size=a.shape), y)
    dx = layer.backward(dy)
    grads = layer.grads
    restart()
    with Record() as record:
        v = map_structure(record.leaf, x)
        z = layer(v, **options)
    found = record.backward(z, dy)
    assert_same((numbers(z), layer.get_weights()), (y, left))
    assert_same([found[w] for w in layer.trainable_weights], list(grads.values()))
    for a, d in zip(flatten(v), align(x, dx)):
        if is_floats(a.data) and not name.startswith("Embedding"):
            assert_same(found[a], d)
    restart()
    assert_same((layer.forward(x, keep=False, **options), layer.get_weights()), (y, left))        # keep changes nothing


@pytest.mark.parametrize("name", CASES)
def test_what_is_not_wanted_changes_nothing_else(name):
    options, layer = {k: a for k, a in CASES[name].options.items()}, made(name)
    if not layer.trainable_weights or "training" in options and "BatchNormalization" not in name:
        return
    with Record() as record:
        x = map_structure(record.leaf, arguments(name))
        y = layer(x, **options)
    dy = map_structure(lambda a: np.ones_like(numbers(a)), y)
    full, part = record.backward(y, dy), record.backward(y, dy, wanted=layer.trainable_weights)
    assert_same([part[w] for w in layer.trainable_weights], [full[w] for w in layer.trainable_weights])


@pytest.mark.parametrize("name, method, fault", (
    ("Dense", "apply_back", lambda g: ((g[0][0] * 1.000001,), g[1])),
    ("BatchNormalization masked", "apply_back", lambda g: ((g[0][0] * 1.000001,), g[1])),
    ("LayerNormalization", "apply_back", lambda g: (g[0], g[1] | {"gamma": g[1]["gamma"] * 1.000001})),
    ("Attention scale", "apply_back", lambda g: (g[0], {"scale": g[1]["scale"] * 1.000001})),
))
def test_the_law_sees_a_planted_fault(name, method, fault, monkeypatch):
    trial = Trial(name)
    assert trial.error() < BAR
    cls = type(trial.layer)
    right = getattr(cls, method)
    monkeypatch.setattr(cls, method, lambda *args: fault(right(*args)), raising=False)
    assert trial.error() > BAR


def test_every_layer_is_a_case():
    """Layers with more than one option are there more than once."""
    from rnnref.layers import (activation, attention, dense, dropout, embedding, masking, merging, normalization,
                               pooling, reshaping)
    modules = (activation, attention, dense, dropout, embedding, masking, merging, normalization, pooling, reshaping)
    classes = {a for m in modules for a in vars(m).values() if isinstance(a, type) and issubclass(a, L.Layer)
               and a.__module__ == m.__name__ and not a.__name__.startswith("_")} - {merging.Merge}
    assert classes == {type(made(name)) for name in CASES}
    assert not {c.__name__ for c in classes if not hasattr(L, c.__name__)}


# on the strict double

def up(cupy, a):
    return map_structure(lambda a: cupy.asarray(a) if isinstance(a, np.ndarray) else a, a)


def down(a):
    return map_structure(lambda a: a.get() if hasattr(a, "get") else a, a)


@pytest.mark.parametrize("name", CASES)
def test_on_the_double_nothing_crosses_the_bus(cupy, name):
    trial = Trial(name)
    y, kept = trial.apply(trial.p, trial.x)
    dy = map_structure(trial.normal, y)
    want = trial.layer.apply_back(trial.p, kept, dy)
    x, p, dz, options = up(cupy, (trial.x, trial.p, dy, trial.options))
    if "Attention dropout training" == name:      # which draws its noise on the way, on the host
        return
    trial.options = options
    strict.counts.clear()
    z, kept = trial.apply(p, x)
    got = trial.layer.apply_back(p, kept, dz)
    found = trial.layer.compute_mask(x, options.get("mask"))
    assert not {k: n for k, n in strict.counts.items() if k in ("get", "item", "asarray", "mask")}
    for a, b in zip(flatten(down((z, got))), flatten((y, want)), strict=True):
        assert (a is None) == (b is None)
        if b is not None:
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    mask = trial.layer.compute_mask(trial.x, CASES[name].options.get("mask"))
    assert (found is None) == (mask is None) and (mask is None or np.array_equal(found.get(), mask))


def test_moving_averages_on_the_double(cupy):
    layer = made("BatchNormalization masked")
    other = made("BatchNormalization masked").to("gpu")
    x, options = arguments("BatchNormalization masked"), CASES["BatchNormalization masked"].options
    layer(x, **options)
    x, options = up(cupy, (x, options))
    strict.counts.clear()
    other(x, **options)
    assert not strict.counts
    for a, b in zip(layer.get_weights(), other.get_weights()):
        np.testing.assert_allclose(b, a, rtol=1e-12)
