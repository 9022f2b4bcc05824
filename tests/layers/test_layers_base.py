"""What every layer has: the pair, the record, weights as handles, names, masks, losses, configurations."""
import numpy as np
import pytest

from rnnref import Error, NotSupported, Record, ShapeError, ops
from rnnref.layers import Layer, Weight
from rnnref.symbols import Symbol
from rnnref.testing.api import assert_close, assert_same
from tests.support.threads import call_in_threads

X = np.random.default_rng(0).normal(size=(4, 5))


class Affine(Layer):
    """A layer with a pair of its own."""
    supports_masking = True

    def __init__(self, units, kernel_regularizer=None, **base):
        super().__init__(**base)
        self.units, self.kernel_regularizer = units, kernel_regularizer

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], self.units), regularizer=self.kernel_regularizer, name="kernel")
        self.bias = self.add_weight((self.units,), "zeros", name="bias")

    def apply(self, p, x, *, mask=None, training=False, noise=None, keep=True):
        return x @ p["kernel"] + p["bias"], x

    def apply_back(self, p, x, dy, wanted=None):
        dx = dy @ p["kernel"].T if wanted is None or wanted[0] else None
        return (dx,), {"kernel": x.T @ dy, "bias": dy.sum(0)}


class Tower(Layer):
    """A layer with `call`, which holds two others."""

    def __init__(self, units, **base):
        super().__init__(**base)
        self.first, self.rest = Affine(units, dtype=self.dtype), {"last": [Affine(2, "l2", dtype=self.dtype)]}

    def call(self, x, training=False):
        return self.rest["last"][0](np.tanh(self.first(x)) * (2 if training else 1))


class Around(Layer):
    def __init__(self, **base):
        super().__init__(**base)
        self.inner = Affine(2)

    def call(self, x):
        return self.inner(x)


def by_hand(layer, x, scale=1.0):
    w, b, v, c = layer.get_weights()
    return np.tanh(x @ w + b) * scale @ v + c


def test_arrays_values_and_symbols():
    layer = Tower(3, dtype="float64")
    assert layer(Symbol((None, 5))).shape == (None, 2)            # builds it
    assert_same(layer(X), by_hand(layer, X))
    with Record() as record:
        y = layer(X)
        loss = ops.sum(y * y)
    found = record.backward(loss)
    dx = layer.backward(2 * y.data)
    assert_same([found[w] for w in layer.weights], layer.get_grads())
    with Record() as record:
        x = record.leaf(X)
        loss = ops.sum(layer(x) ** 2)
    assert_close(record.backward(loss)[x], dx, "path")
    v = np.random.default_rng(1).normal(size=X.shape)
    ahead, behind = ((by_hand(layer, X + e * v) ** 2).sum() for e in (1e-6, -1e-6))
    assert abs((ahead - behind) / 2e-6 - (dx * v).sum()) < 1e-7


def test_the_pair_of_a_call_is_pure():
    layer = Tower(3, dtype="float64")
    layer(X)
    p = {path: a + 1 for path, a in layer.params.items()}
    before = layer.get_weights()
    y, kept = layer.apply(p, X)
    (dx,), dp = layer.apply_back(p, kept, np.ones_like(y))
    assert_same(layer.get_weights(), before)
    other = layer.fresh()
    other(X)
    other.params = p
    assert_same(other(X), y)
    assert_same((other.backward(np.ones_like(y)), other.grads), (dx, dp))


def test_training_is_that_of_the_record_unless_told():
    layer = Tower(3, dtype="float64")
    assert_same(layer(X, training=True), by_hand(layer, X, 2))
    for mode in (False, True):
        with Record(training=mode):
            assert_same(layer(X).data, by_hand(layer, X, 1 + mode))
            assert_same(layer(X, training=not mode).data, by_hand(layer, X, 2 - mode))


def test_inputs_are_cast_and_gradients_cast_back():
    layer = Tower(3)
    with Record() as record:
        x = record.leaf(X)
        y = layer(x)
    assert y.dtype == "float32" and record.backward(y)[x].dtype == "float64"


def test_a_frozen_layer_gets_no_gradient():
    layer = Tower(3)
    layer(X)
    layer.first.trainable = False
    assert [w.name for w in layer.trainable_weights] == ["kernel", "bias"] and len(layer.non_trainable_weights) == 2
    with Record() as record:
        loss = ops.sum(layer(X))
    found = record.backward(loss)
    assert found[layer.first.kernel] is None and found[layer.weights[2]].any()
    layer.trainable = True
    assert len(layer.trainable_weights) == 4 and layer.first.trainable
    layer.trainable, layer.first.trainable = False, True          # as in Keras: what is in a frozen layer is frozen
    assert layer.trainable_weights == [] and len(layer.non_trainable_weights) == 4
    assert len(layer.first.trainable_weights) == 2


# weights

def test_weights_are_handles():
    layer = Tower(3, name="tower")
    layer(X)
    w = layer.first.kernel
    assert isinstance(w, Weight) and (w.path, w.shape, w.dtype) == ("tower/affine/kernel", (5, 3), "float32")
    assert [v.path for v in layer.weights[2:]] == ["tower/affine_1/kernel", "tower/affine_1/bias"]
    before = w.numpy()
    w.assign(before + 1)
    w.assign_sub(np.ones((5, 3)))
    assert_close(w.numpy(), before, "path")
    assert_close(w @ np.ones((3, 1), "float32"), before.sum(1, keepdims=True), "path")        # computes as an array
    with pytest.raises(ShapeError, match=r"tower/affine/kernel: assigned an array of shape \(3,\), expected \(5, 3\)"):
        w.assign(np.ones(3))
    with pytest.raises(ShapeError, match="1 weights, expected 4"):
        layer.set_weights([before])


def test_a_shared_layer_counts_once_and_a_copy_is_another():
    layer = Tower(5, dtype="float64")
    layer.rest = {"last": [layer.first]}
    layer(X)
    assert len(layer.weights) == 2 and layer.count_params() == 30
    with Record() as record:
        loss = ops.sum(layer(X) ** 2)
    found, (w, b) = record.backward(loss), layer.get_weights()
    v = np.random.default_rng(2).normal(size=w.shape)

    def at(e):
        return ((np.tanh(X @ (w + e * v) + b) @ (w + e * v) + b) ** 2).sum()
    assert abs((at(1e-6) - at(-1e-6)) / 2e-6 - (found[layer.first.kernel] * v).sum()) < 1e-6
    from copy import deepcopy
    other = deepcopy(layer)
    assert other.first is other.rest["last"][0] and found[other.weights[0]] is None


def test_names_are_counted():
    assert [Affine(2).name, Tower(2).name, Affine(2).name, Affine(2, name="mine").name] == [
        "affine", "tower", "affine_3", "mine"]                    # the tower made two


def test_seeds():
    one, two, other = (Affine(3, seed=seed) for seed in (1, 1, 2))
    for layer in (one, two, other):
        layer.build((None, 5))
    assert_same(one.get_weights(), two.get_weights())
    assert np.any(one.get_weights()[0] != other.get_weights()[0])


# masks

def test_masks_travel_or_are_dropped_with_a_warning():
    mask = np.array([True, False, True, True])
    with Record() as record:
        x = record.constant(X, mask)
        assert Affine(2)(x).mask is mask
        assert Affine(2)(X, mask=mask).mask is mask
        with pytest.warns(UserWarning, match="'around' .Around. was given a mask"):
            assert Around(name="around")(x).mask is mask          # set by the layer inside
        with pytest.warns(UserWarning, match="'tower'"):
            assert Tower(2, name="tower")(x).mask is None         # operations drop it


# losses

def test_losses():
    layer = Tower(3, dtype="float64", activity_regularizer=lambda y: ops.sum(y))
    y = layer(X)
    kernel = layer.weights[2].numpy()
    assert_close([float(a) for a in layer.losses], [float(0.01 * (kernel ** 2).sum()), float(y.sum() / 4)], "path")
    with Record() as record:
        layer(X)
        loss = sum(layer.losses)
        assert len(record.losses) == 1
    found = record.backward(loss)
    layer.backward(np.full_like(y, 1 / 4))
    assert_close(found[layer.weights[2]], layer.grads["rest.0.kernel"] + 0.02 * kernel, "path")


# the rest

def test_configurations_without_a_method():
    config = Affine(3, kernel_regularizer="l2", name="mine").get_config()
    assert config == {"name": "mine", "trainable": True, "dtype": "float32", "units": 3, "kernel_regularizer": "l2"}
    assert Affine.from_config(config).get_config() == config


def test_compute_output_shape():
    assert Tower(3).compute_output_shape((None, 7, 5)) == (None, 7, 2)
    assert Affine(3).compute_output_shape((4, 5)) == (4, 3)


def test_one_layer_in_eight_threads_gives_the_same_bits():
    layer = Tower(64, dtype="float64")

    def work():
        with Record() as record:
            loss = ops.sum(layer(X) ** 2)
        g = record.backward(loss)
        return [g[w] for w in layer.weights]
    found = call_in_threads(work)
    assert_same(found[1:], [found[0]] * 7)


def test_messages():
    with pytest.raises(NotImplementedError, match="neither call nor apply"):
        Layer()(X)
    with pytest.raises(Error, match="backward before forward"):
        Affine(2).backward(X)
    with pytest.raises(NotSupported, match="dtype='int32', expected a floating"):
        Affine(2, dtype="int32")
    with pytest.raises(ShapeError, match="the initializer gave shape"):
        Layer().add_weight((2,), lambda rng, shape: np.zeros(3))


def test_a_class_derived_from_one_with_a_pair_may_have_a_call():
    class Doubled(Affine):
        def call(self, x):
            return 2 * super().call(x)
    layer = Doubled(3, dtype="float64")
    y = layer(X)
    w, b = layer.get_weights()
    assert_close(y, 2 * (X @ w + b), "path")
    assert_close(layer.backward(np.ones_like(y)), 2 * np.ones_like(y) @ w.T, "path")
    assert_same(Affine.call(layer, X), X @ w + b)
