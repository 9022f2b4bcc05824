"""Layers that are no recurrent ones: values by hand, state, noise, masks, options, refusals."""
import json

import numpy as np
import pytest

from rnnref import NotSupported, Record, ShapeError, constraints, layers as L, ops, regularizers
from rnnref.nest import flatten, map_structure
from rnnref.symbols import Symbol
from rnnref.testing.api import assert_close, assert_same
from rnnref.values import masks, numbers
from tests.support.simple_layer_cases import (CASES, IDS, KEY, LIVE, OTHER, QUERY, SEEN, VALUE, X, Y, arguments, made,
                                              scaled)

D = {"dtype": "float64"}


def cubed(x):
    return x * x * x


# Dense

def test_dense():
    layer = made("Dense steps")
    kernel, bias = layer.get_weights()
    assert_close(layer(X), np.tanh(np.einsum("bti,io->bto", X, kernel) + bias), "path")


def test_an_activation_over_time_sees_time():
    layer = L.Dense(3, lambda a: ops.softmax(a, axis=1), **D)
    assert_close(layer(X).sum(1), np.ones((3, 3)), "path")
    assert_close(L.Dense(3, L.Softmax(1, **D), **D)(X).sum(1), np.ones((3, 3)), "path")


def test_an_activation_may_be_a_layer_with_weights_noise_and_averages():
    layer = L.Dense(3, L.BatchNormalization(**D), **D)
    assert layer(X, training=True).mean((0, 1)) == pytest.approx(0, abs=1e-12)
    assert [w.path for w in layer.weights[2:4]] == [f"dense/batch_normalization/{name}" for name in ("gamma", "beta")]
    assert layer.activation.moving_mean.numpy().any()
    layer = L.Dense(30, L.Dropout(0.5, seed=1, **D), bias_initializer="ones", **D)
    assert 0.3 < (layer(X, training=True) == 0).mean() < 0.7 and (layer(X) != 0).all()


def test_set_weights_builds():
    dense, embedding, norm = L.Dense(2), L.Embedding(3, 2), L.LayerNormalization()
    dense.set_weights([np.ones((4, 2)), np.zeros(2)])
    embedding.set_weights([np.ones((3, 2))])
    norm.set_weights([np.ones(4), np.zeros(4)])
    assert_same(dense(np.ones((1, 4))), np.full((1, 2), 4, "float32"))
    assert dense.built and embedding.built and norm.built


# Embedding, Masking

def test_ids_that_occur_twice_add_up():
    layer = made("Embedding")
    dy = np.random.default_rng(0).normal(size=layer(IDS).shape)
    assert layer.backward(dy) is None
    want = np.zeros((7, 3))
    for k, d in zip(IDS.ravel(), dy.reshape(-1, 3)):
        want[k] += d
    assert_close(layer.grads["embeddings"], want, "path")
    assert_same(layer(IDS), layer.get_weights()[0][IDS])
    assert_same(layer(IDS + 0.9), layer(IDS))     # floats are cut
    assert_same(layer([[1, 2]]), layer(np.array([[1, 2]], "uint8")))


def test_the_mask_of_an_embedding():
    with Record():
        assert_same(masks(L.Embedding(7, 3, mask_zero=True)(IDS)), IDS != 0)
        assert masks(L.Embedding(7, 3)(IDS)) is None


def test_an_id_that_there_is_not():
    with pytest.raises(ShapeError, match=r"ids from 0 to 7, expected from 0 to 6\n  axes   input_dim=7"):
        made("Embedding")(np.array([[0, 7]]))


def test_masking_of_a_vector():
    x = np.array([[[1.0, 2.0], [1.0, 3.0], [3.0, 2.0]]])
    layer = L.Masking(np.array([1.0, 2.0]), **D)
    assert_same(layer.compute_mask(x), np.array([[False, True, True]]))
    assert_same(layer(x)[0, 0], np.zeros(2))
    assert_same(L.Masking.from_config(json.loads(json.dumps(layer.get_config())))(x).dtype.name, "float64")


# BatchNormalization

def moments(x, live, axes=(0, 1)):
    count = live.sum(axes, keepdims=True) + 1e-7
    mean = (x * live).sum(axes, keepdims=True) / count
    return mean, ((x - mean) ** 2 * live).sum(axes, keepdims=True) / count


@pytest.mark.parametrize("name, axis, live", (
    ("BatchNormalization training", -1, None), ("BatchNormalization axis", 1, None),
    ("BatchNormalization masked", -1, LIVE), ("BatchNormalization axis masked", 1, LIVE)))
def test_batch_normalization(name, axis, live):
    """With the 1e-7 of Keras beside the number of live steps."""
    layer = made(name)
    shape = [n if k == axis % 3 else 1 for k, n in enumerate(X.shape)]
    gamma, beta, moving, variances = (a.reshape(shape) for a in layer.get_weights())
    axes = (0, 1) if axis == -1 else (0, 2)
    mean, variance = ((X.mean(axes, keepdims=True), X.var(axes, keepdims=True)) if live is None
                      else moments(X, np.broadcast_to(live[..., None], X.shape), axes))
    y = layer(X, training=True, mask=live)
    m = layer.momentum
    assert_close(y, gamma * (X - mean) / np.sqrt(variance + 1e-3) + beta, "path")
    assert abs(layer.moving_mean.numpy() - (m * moving + (1 - m) * mean).ravel()).max() < 1e-15
    assert abs(layer.moving_variance.numpy() - (m * variances + (1 - m) * variance).ravel()).max() < 1e-15
    gamma, beta, moving, variances = (a.reshape(shape) for a in layer.get_weights())
    assert_close(layer(X, mask=live), gamma * (X - moving) / np.sqrt(variances + 1e-3) + beta, "path")


def test_what_is_masked_changes_no_average():
    layer, other = made("BatchNormalization masked"), made("BatchNormalization masked")
    y, z = layer(X, training=True, mask=LIVE), other(np.where(LIVE[..., None], X, 1e6), training=True, mask=LIVE)
    assert_same((y[LIVE], layer.get_weights()), (z[LIVE], other.get_weights()))


def test_averages_are_written_by_leave_alone():
    layer = made("BatchNormalization training")
    before = layer.get_weights()
    p = {path: w.data for path, w in layer.named_weights().items()}
    y, kept = layer.apply(p, X, training=True)
    layer.apply_back(p, kept, np.ones_like(y))
    layer(X)
    layer.compute_output_shape((None, 5, 4))
    L.TimeDistributed(layer, **D)(Symbol((None, 5, 3, 4), "float64"))
    assert_same(layer.get_weights(), before)
    layer.leave(kept)
    assert np.any(layer.get_weights()[2] != before[2]) and np.any(layer.get_weights()[3] != before[3])
    layer.trainable = False
    before = layer.get_weights()
    assert_same(layer(X, training=True), layer(X))
    assert_same(layer.get_weights(), before)
    assert layer.trainable_weights == [] and len(layer.non_trainable_weights) == 4


def test_layer_normalization():
    layer = made("LayerNormalization axis")
    gamma, beta = (a[None, :, None] for a in layer.get_weights())
    want = gamma * (X - X.mean(1, keepdims=True)) / np.sqrt(X.var(1, keepdims=True) + 0.1) + beta
    assert_close(layer(X), want, "path")
    layer = made("RMSNormalization axis")
    want = layer.get_weights()[0] * X / np.sqrt((X * X).mean((1, 2), keepdims=True) + 1e-6)
    assert_close(layer(X), want, "path")


# noise

BIG = np.ones((40, 50, 8))


@pytest.mark.parametrize("make, share, mean, std", (
    (lambda **o: L.Dropout(0.25, **o), 0.25, 1, np.sqrt(1 / 3)),
    (lambda **o: L.SpatialDropout1D(0.25, **o), 0.25, 1, np.sqrt(1 / 3)),
    (lambda **o: L.GaussianDropout(0.2, **o), 0, 1, 0.5), (lambda **o: L.GaussianNoise(0.5, **o), 0, 1, 0.5)))
def test_noise(make, share, mean, std):
    layer = make(seed=3, **D)
    y = layer(BIG, training=True)
    near = 0.15 if isinstance(layer, L.SpatialDropout1D) else 0.02
    assert abs((y == 0).mean() - share) < near and abs(y.mean() - mean) < near and abs(y.std() - std) < near
    again = layer(BIG, training=True)
    assert np.any(again != y)
    assert_same((make(seed=3, **D)(BIG, training=True), layer.fresh()(BIG, training=True)), (y, y))
    assert np.any(make(seed=4, **D)(BIG, training=True) != y)
    assert_same(layer(BIG), BIG)
    with Record(training=True) as record:
        x = record.leaf(BIG)
        assert np.any(layer(x).data != BIG) and layer(x, training=False).data is BIG


def test_noise_shape():
    y = L.Dropout(0.5, noise_shape=(None, 1, None), seed=1, **D)(BIG, training=True)
    assert (y == y[:, :1]).all() and np.any(y[0] != y[1])
    y = L.SpatialDropout1D(0.5, seed=1, dtype="float64")(BIG, training=True)
    assert (y == y[:, :1]).all() and np.any(y[:, :, 0] != y[:, :, 1])
    with pytest.raises(ShapeError, match="expected 3 axes, as x has"):
        L.Dropout(0.5, noise_shape=(None, 1))(BIG, training=True)


def test_the_whole_and_nothing():
    assert not L.Dropout(1.0)(BIG, training=True).any()
    assert_same(L.Dropout(0.0, **D)(BIG, training=True), BIG)


# merging

def test_masks_of_merged_inputs():
    for cls in (L.Add, L.Subtract, L.Average, L.Multiply, L.Maximum, L.Minimum):
        with Record() as record:
            y = cls(**D)([record.leaf(X, LIVE), record.leaf(Y, OTHER)])
            assert_same(masks(y), LIVE | OTHER)
            assert masks(cls(**D)([record.leaf(X, LIVE), record.leaf(Y)])) is None


def test_masked_maximum_and_product():
    a, b = LIVE[..., None], OTHER[..., None]
    low = np.where(a, X, -np.inf), np.where(b, Y, -np.inf)
    assert_same(L.Maximum(**D)([X, Y], mask=[LIVE, OTHER])[LIVE | OTHER], np.maximum(*low)[LIVE | OTHER])
    third, z = ~LIVE, QUERY + 1
    low = np.maximum(*low), np.where(third[..., None], z, -np.inf)
    assert_same(L.Maximum(**D)([X, Y, z], mask=[LIVE, OTHER, third]), np.maximum(*low))
    assert_same(L.Minimum(**D)([-X, -Y, -z], mask=[LIVE, OTHER, third]), -np.maximum(*low))
    want = np.where(a, X, 1) * np.where(b, Y, 1) * (a | b)
    assert_same(L.Multiply(**D)([X, Y], mask=[LIVE, OTHER]), want)


def test_functions():
    assert_same(L.add([X, Y], **D), X + Y)
    assert_same(L.subtract([X, Y], **D), X - Y)
    assert_same(L.average([X, Y], **D), (X + Y) / 2)
    assert_same(L.multiply([X, Y], **D), X * Y)
    assert_same(L.maximum([X, Y], **D), np.maximum(X, Y))
    assert_same(L.minimum([X, Y], **D), np.minimum(X, Y))
    assert_same(L.concatenate([X, Y], axis=1, **D), np.concatenate([X, Y], 1))
    assert_close(L.dot([X, Y], axes=(2, 2), **D), X @ Y.swapaxes(1, 2), "path")


# shapes and pooling

def test_reshaping():
    x = np.arange(24.0).reshape(2, 3, 4)
    assert_same(L.Flatten(**D)(x), x.reshape(2, 12))
    assert_same(L.Flatten("channels_first", **D)(x), x.swapaxes(1, 2).reshape(2, 12))
    assert_same(L.Reshape((2, -1), **D)(x), x.reshape(2, 2, 6))
    assert_same(L.Reshape((2, -1), **D)(x[:0]), np.zeros((0, 2, 6)))
    assert_same(L.Permute((2, 1), **D)(x), x.swapaxes(1, 2))
    assert_same(L.RepeatVector(2, **D)(x[:, 0]), np.stack([x[:, 0]] * 2, 1))


def test_pooling():
    mean = (X * LIVE[..., None]).sum(1) / LIVE.sum(1)[:, None]
    assert_close(L.GlobalAveragePooling1D(**D)(X, mask=LIVE), mean, "path")
    turned = L.GlobalAveragePooling1D("channels_first", True, **D)(X.swapaxes(1, 2), mask=LIVE.astype("float32"))
    assert_close(turned, mean[..., None], "path")
    assert_close(L.GlobalAveragePooling1D(**D)(X), X.mean(1), "path")
    assert_same(L.GlobalMaxPooling1D(**D)(X), X.max(1))


def test_softmax_of_what_is_masked():
    x, live = X[..., 0], np.array([LIVE[0], LIVE[1], [0, 0, 0, 0, 0]], bool)
    e = np.exp(x) * live
    assert_close(L.Softmax(**D)(x, mask=live)[:2], (e / e.sum(1, keepdims=True).clip(1e-9))[:2], "path")
    assert not L.Softmax(**D)(x, mask=live)[2].any()


# attention

def test_attention():
    scores = QUERY @ KEY.swapaxes(1, 2) * 1.5
    seen = np.broadcast_to(SEEN[:, None] & (np.arange(5)[:, None] >= np.arange(6)), scores.shape)
    weights = np.where(seen, np.exp(scores), 0)
    weights /= weights.sum(-1, keepdims=True)
    layer = L.Attention(use_scale=True, **D)
    layer.build([QUERY.shape, VALUE.shape, KEY.shape])
    layer.set_weights([np.array(1.5)])
    y, got = layer([QUERY, VALUE, KEY], mask=[LIVE, SEEN], use_causal_mask=True, return_attention_scores=True)
    assert_close((y, got), ((weights @ VALUE) * LIVE[..., None], weights), "path")
    with Record() as record:
        y = layer([record.leaf(QUERY, LIVE), record.leaf(VALUE, SEEN)])
        assert masks(y) is LIVE


def test_dropout_of_attention():
    layer = L.Attention(dropout=0.5, seed=1, **D)
    _, weights = layer([QUERY, VALUE], training=True, return_attention_scores=True)
    _, whole = layer([QUERY, VALUE], return_attention_scores=True)
    assert_close(np.where(weights == 0, 0, 2 * whole), weights, "path")
    assert 0.2 < (weights == 0).mean() < 0.8
    assert_same(layer.fresh()([QUERY, VALUE], training=True, return_attention_scores=True)[1], weights)
    assert layer.weights == [] and L.Dropout(0.1).name == "dropout"


# Lambda, Activation

def test_lambda():
    assert_same(L.Lambda(np.square, **D)(X), X * X)
    layer = L.Lambda(lambda x, mask=None, training=False: x if mask is None else x * mask[..., None] * (1 + training),
                     mask=lambda x, mask: mask, **D)
    assert_same(layer(X, mask=LIVE, training=True), X * LIVE[..., None] * 2)
    with Record() as record:
        assert masks(layer(record.leaf(X, LIVE))) is LIVE
    assert L.Lambda(lambda x: x[:, 0], output_shape=(4,))(X).shape == (3, 4)
    assert L.Lambda(lambda x: x[:, 0], output_shape=lambda shape: (shape[0], 4))(X).shape == (3, 4)
    for shape in ((5,), (4, 1), lambda shape: shape):
        with pytest.raises(ShapeError, match="gave an array of shape"):
            L.Lambda(lambda x: x[:, 0], output_shape=shape)(X)


def test_functions_in_configurations():
    for layer in (L.Lambda(cubed, arguments={}), L.Activation(cubed), L.Dense(3, cubed)):
        config = json.loads(json.dumps(layer.get_config()))
        with pytest.raises(NotSupported, match="'cubed' of builtins"):
            type(layer).from_config(config)
        again = type(layer).from_config(config, {"cubed": cubed})
        assert again.get_config() == layer.get_config()
        assert getattr(again, "function", None) is cubed or again.activation is cubed
    assert_same(L.Lambda.from_config({"function": "tanh", **D})(X), np.tanh(X))
    for layer in (L.Lambda(lambda x: x), L.Activation(lambda x: x)):
        with pytest.raises(NotSupported, match="a lambda has no name"):
            layer.get_config()
    with pytest.raises(NotSupported, match="code in files is not run"):
        L.Lambda.from_config({"function": {"class_name": "__lambda__", "config": {"code": ""}}})


def test_the_hard_sigmoid_of_keras_2():
    old = {"class_name": "Zeros", "config": {}}                   # no module: a configuration of Keras 2
    layer = L.Dense.from_config({"units": 3, "activation": "hard_sigmoid", "bias_initializer": old} | D)
    for again in (layer, L.Dense.from_config(layer.get_config())):
        again(X)
        kernel = again.get_weights()[0]
        assert_close(again(X), np.clip(0.2 * (X @ kernel) + 0.5, 0, 1), "path")
    assert L.Activation("hard_sigmoid").activation is ops.hard_sigmoid


# all of them

@pytest.mark.parametrize("name", CASES)
def test_sixteen_bits(name):
    """In and out in float16, gradients too, near what float64 gives."""
    case, layer, other = CASES[name], made(name, "float16"), made(name)
    other.set_weights(layer.get_weights())
    for one in (*layer._all_layers(), *other._all_layers()):
        one._start_generators()
    x = arguments(name, "float16")
    wide = map_structure(lambda a: a.astype("float64") if a.dtype.kind == "f" else a, x)
    y, z = layer(x, **case.options), other(wide, **case.options)
    dy = map_structure(np.ones_like, y)
    dx, dz = layer.backward(dy), other.backward(map_structure(np.ones_like, z))
    for a, b in zip(flatten((y, dx, layer.get_grads())), flatten((z, dz, other.get_grads()))):
        if a is not None:
            assert a.dtype == "float16" and np.abs(a - b).max() <= 0.02 * max(1, np.abs(b).max())


@pytest.mark.parametrize("name", CASES)
def test_symbols_have_the_shapes_of_arrays(name):
    case, layer = CASES[name], made(name)
    x = arguments(name)
    options = {k: v for k, v in case.options.items() if k != "mask"}
    y = layer(map_structure(lambda a: Symbol((None, *a.shape[1:]), a.dtype), x), **options)
    got, want = flatten(y), flatten(layer(x, **options))
    assert [s.shape for s in got] == [(None, *a.shape[1:]) for a in want] and [s.dtype for s in got] == [
        a.dtype for a in want]


@pytest.mark.parametrize("name", sorted({*CASES} - {"Lambda told"}))    # which holds a lambda
def test_configurations_make_the_same_layer(name):
    case, layer = CASES[name], made(name)
    config = layer.get_config()
    again = type(layer).from_config(json.loads(json.dumps(config)), {"scaled": scaled})
    assert json.loads(json.dumps(again.get_config())) == json.loads(json.dumps(config))
    again(arguments(name), **case.options)
    again.set_weights(layer.get_weights())
    options = case.options | {"training": False}
    assert_same(again(arguments(name), **options), layer(arguments(name), **options))


def test_regularizers_constraints_and_frozen_layers():
    layer = L.Dense(3, kernel_regularizer=regularizers.L2(0.5), bias_regularizer="l1", kernel_constraint="unit_norm",
                    bias_constraint=constraints.NonNeg(), bias_initializer="ones", **D)
    layer(X)
    kernel, bias = layer.weights
    assert_close([float(a) for a in layer.losses], [0.5 * float((kernel.numpy() ** 2).sum()), 0.03], "path")
    assert isinstance(kernel.constraint, constraints.UnitNorm) and isinstance(bias.constraint, constraints.NonNeg)
    with Record() as record:
        loss = sum(layer.losses)
    assert_close(record.backward(loss)[kernel], kernel.numpy(), "path")
    layer.trainable = False
    assert layer.losses == [] and layer.trainable_weights == []
    layer = L.ActivityRegularization(0.5, 0.25, **D)
    layer(X)
    assert_close(float(layer.losses[0]), float(0.5 * abs(X).sum() + 0.25 * (X * X).sum()) / 3, "path")


def test_a_pair_is_one_entry_of_a_record():
    with Record() as record:
        y = L.LayerNormalization(**D)(L.Dense(3, "tanh", **D)(record.leaf(X)))
    assert len(record) == 2 and numbers(y).shape == (3, 5, 3)
