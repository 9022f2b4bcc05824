"""Weights read from live Keras layers and flax modules: outputs and every gradient are theirs."""
import os

import numpy as np
import pytest

import rnnref
from rnnref import NotSupported, ShapeError, cells
from rnnref.interop import FLAX_ACTIVATIONS, cell_for, convert, pieces, weights_of
from rnnref.interop.layouts import KERAS_ACTIVATIONS
from rnnref.testing.assertions import assert_close, assert_same
from tests.support.peer_gradients import draw_like, flax_gradients, keras_gradients
from tests.support.weights import run_layers

os.environ.setdefault("KERAS_BACKEND", "torch")   # before they are imported, by the fixtures
os.environ.setdefault("JAX_PLATFORMS", "cpu")
pytestmark = pytest.mark.peers
T, B, I, U = 6, 3, 4, 5


def drawn(width, dtype="float32"):
    """An input and the gradient of an output, time first."""
    rng = np.random.default_rng(4)
    return rng.normal(size=(T, B, I)).astype(dtype), rng.normal(size=(T, B, width)).astype(dtype)


def compare(layers, theirs, width, dtype="float32"):
    """`theirs(x, dy)`, batch first -> y, dx and gradients by name."""
    xs, dys = drawn(width, dtype)
    ys, _, dxs, found = run_layers(layers, xs, dys)
    want_y, want_dx, want = theirs(xs.swapaxes(0, 1).copy(), dys.swapaxes(0, 1).copy())
    assert_close(ys.swapaxes(0, 1), want_y)
    assert_close({"x": dxs.swapaxes(0, 1), **found}, {"x": want_dx, **want}, "gradient")


# Keras

@pytest.fixture
def keras():
    import keras
    keras.utils.set_random_seed(0)
    return keras


def built(layer):
    """With weights that are all random: a bias of zero hides mistakes."""
    layer.build((B, T, I))
    rng = np.random.default_rng(5)
    layer.set_weights([rng.normal(size=a.shape) / 2 for a in layer.get_weights()])
    return layer


KERAS_LAYERS = {
    "SimpleRNN": lambda k: k.SimpleRNN(U, return_sequences=True),
    "SimpleRNN softsign": lambda k: k.SimpleRNN(U, activation="softsign", return_sequences=True),
    "LSTM": lambda k: k.LSTM(U, return_sequences=True),
    "LSTM hard": lambda k: k.LSTM(U, recurrent_activation="hard_sigmoid", activation="elu", return_sequences=True),
    "GRU": lambda k: k.GRU(U, return_sequences=True),
    "GRU before": lambda k: k.GRU(U, reset_after=False, return_sequences=True),
    "GRU without biases": lambda k: k.GRU(U, use_bias=False, return_sequences=True),
    "LSTM without biases": lambda k: k.LSTM(U, use_bias=False, return_sequences=True),
    "both ways": lambda k: k.Bidirectional(k.LSTM(U, return_sequences=True)),
    "cells": lambda k: k.RNN([k.LSTMCell(4), k.GRUCell(U)], return_sequences=True),
}


@pytest.mark.parametrize("name", KERAS_LAYERS)
def test_keras(keras, name):
    layer = built(KERAS_LAYERS[name](keras.layers))
    compare(weights_of(layer), keras_gradients(keras, layer), 2 * U if name == "both ways" else U)


def test_keras_weights_made_by_convert(keras):
    """torch's LSTM, its two biases one, in a layer of Keras."""
    source, target = (built(keras.layers.GRU(U, reset_after=True)) for _ in range(2))
    (w,), = weights_of(source)
    for through_ in ("torch", "onnx", "flax"):
        there = convert(w.arrays, "keras", through_, "gru")
        target.set_weights(list(convert(there, through_, "keras", "gru").values()))
        x = drawn(U)[0].swapaxes(0, 1)
        assert_close(*(keras.ops.convert_to_numpy(layer(x)) for layer in (target, source)))


@pytest.mark.parametrize("kind", [".weights.h5", ".keras"])
def test_keras_files(keras, kind, tmp_path):
    layers = keras.layers
    model = keras.Sequential([keras.Input((T, I)), layers.Bidirectional(layers.LSTM(U, return_sequences=True)),
                              layers.GRU(U), layers.Dense(2)])
    path = tmp_path / f"model{kind}"
    model.save(path) if kind == ".keras" else model.save_weights(path)
    ways = weights_of(model.layers[0])[0]
    found = pieces(path, "lstm", "keras")
    for way, w in zip(("forward", "backward"), ways):
        assert_same(found.pop(f"layers/bidirectional/{way}_layer/cell/").arrays, w.arrays)
    assert not found
    assert_same(pieces(path, "gru", "keras")["layers/gru/cell/"].arrays, weights_of(model.layers[1])[0][0].arrays)


@pytest.mark.parametrize("name", KERAS_ACTIVATIONS)
def test_keras_activations(keras, name):
    x = np.linspace(-4, 4, 41, dtype="float32")
    theirs = keras.ops.convert_to_numpy(keras.activations.get(name)(x))
    assert_close(KERAS_ACTIVATIONS[name].forward(x)[0], theirs, "steep")


def test_keras_refusals(keras):
    with pytest.raises(NotSupported, match="recurrent_activation=gelu"):
        weights_of(built(keras.layers.LSTM(U, recurrent_activation="gelu")))
    with pytest.raises(ShapeError, match="has no weights yet"):
        weights_of(keras.layers.LSTM(U))
    with pytest.raises(NotSupported, match="keras: a Dense"):
        weights_of(keras.layers.Dense(U))


# flax

@pytest.fixture
def jax():
    import jax
    return jax


LINEN = {
    "SimpleCell": {}, "LSTMCell": {}, "OptimizedLSTMCell": {}, "GRUCell": {},
    "LSTMCell of others": {"gate_fn": "hard_sigmoid", "activation_fn": "softplus"},
    "SimpleCell with a residual": {"residual": True, "activation_fn": "softplus"},
    "MGUCell": {}, "MGUCell without a reset": {"reset_gate": False, "activation_fn": "soft_sign"},
}


@pytest.mark.parametrize("name, dtype", [*((name, "float64") for name in LINEN), ("GRUCell", "float32")])
def test_linen(jax, name, dtype):
    from flax import linen
    functions = {n: getattr(jax.nn, f) if isinstance(f, str) else f for n, f in LINEN[name].items()}
    with jax.enable_x64(dtype == "float64"):
        module = linen.RNN(getattr(linen, name.split()[0])(U, param_dtype=dtype, **functions))
        shapes = module.init(jax.random.key(0), np.zeros((B, T, I), dtype))
        params = draw_like(jax, shapes, dtype)["params"]
        compare(weights_of(module, params), flax_gradients(jax, lambda p, x: module.apply({"params": p}, x), params),
                U, dtype)


def test_linen_both_ways(jax):
    from flax import linen
    module = linen.Bidirectional(linen.RNN(linen.GRUCell(U)), linen.RNN(linen.LSTMCell(U)))
    params = draw_like(jax, module.init(jax.random.key(0), np.zeros((B, T, I), "float32")), "float32")
    layers = weights_of(module, params)
    assert [w.layout.family for w in layers[0]] == ["gru", "lstm"]
    compare(layers, flax_gradients(jax, lambda p, x: module.apply({"params": p}, x), params["params"]), 2 * U)


def test_linen_one_cell_both_ways(jax):
    """One cell, whose weights are there once: both directions read them, and SharedBidirectional sums the gradients."""
    from flax import linen
    with jax.enable_x64(True):
        cell = linen.GRUCell(U, param_dtype="float64")
        module = linen.Bidirectional(linen.RNN(cell), linen.RNN(cell))
        x = np.random.default_rng(1).normal(size=(B, T, I))
        params = draw_like(jax, module.init(jax.random.key(0), x), "float64")["params"]
        (layer,) = weights_of(module, params)
        assert len(layer) == 2
        np.testing.assert_array_equal(*(w.load()["R"] for w in layer))
        shared, p = cells.SharedBidirectional(layer[0].cell), layer[0].load()
        ys, _, tape = rnnref.run(shared, p, x.swapaxes(0, 1))
        dy = np.random.default_rng(2).normal(size=(B, T, 2 * U))
        y, back = jax.vjp(lambda p, x: module.apply({"params": p}, x), params, x)
        assert_close(np.concatenate(ys, -1).swapaxes(0, 1), np.asarray(y), "output")
        dparams, dx = back(jax.numpy.asarray(dy))
        dxs, _, _, dp = rnnref.run_back(tape, tuple(np.split(dy.swapaxes(0, 1), 2, -1)))
        assert_close(dxs.swapaxes(0, 1), np.asarray(dx), "gradient")
        ((want, *_),) = weights_of(module, jax.tree_util.tree_map(np.asarray, dparams))
        want = want.load()
        for name in ("W", "R", "b"):
            assert_close(dp[name], want[name], "gradient")


@pytest.mark.parametrize("name, dtype", [("SimpleCell", "float64"), ("SimpleCell with a residual", "float64"),
                                         ("LSTMCell", "float64"),
                                         ("OptimizedLSTMCell", "float64"), ("GRUCell", "float64"),
                                         ("GRUCell", "float32")])
def test_nnx(jax, name, dtype):
    from flax import nnx
    with jax.enable_x64(dtype == "float64"):
        options = {"residual": True} if "residual" in name else {}
        cell = getattr(nnx, name.split()[0])(I, U, dtype=dtype, param_dtype=dtype, rngs=nnx.Rngs(0), **options)
        graph, state = nnx.split(nnx.RNN(cell))
        state, start = draw_like(jax, state, dtype), cell.initialize_carry((B, I), nnx.Rngs(0))

        def f(state, x):
            return nnx.merge(graph, state)(x, initial_carry=start)

        def plain(state):                         # without the state of its random numbers
            return {"cell": nnx.to_pure_dict(state)["cell"]}
        compare(weights_of(nnx.merge(graph, state)), flax_gradients(jax, f, state, plain), U, dtype)


def test_nnx_both_ways(jax):
    from flax import nnx
    rngs = nnx.Rngs(0)
    ways = [nnx.RNN(cell(I, U, rngs=rngs), rngs=rngs) for cell in (nnx.GRUCell, nnx.LSTMCell)]
    module = nnx.Bidirectional(*ways, rngs=rngs)
    xs, dys = drawn(2 * U)
    assert_close(run_layers(weights_of(module), xs, dys)[0], np.asarray(module(xs.swapaxes(0, 1))).swapaxes(0, 1))


def test_the_recurrent_bias_that_nnx_lacks(jax):
    """flax#5594: the docstring of nnx.GRUCell has b_hn, the cell has not; that of linen has."""
    from flax import nnx
    (w,), = weights_of(nnx.GRUCell(I, U, rngs=nnx.Rngs(0)))
    assert w.names.keys() == {"dense_i/kernel", "dense_h/kernel", "dense_i/bias"} and "bR" not in w.cell.axes()
    assert "bR" in cell_for("gru", "flax").axes()
    bias = {n: np.ones((3 * U,), "float32") for n in ("bias_ih_l0", "bias_hh_l0")}
    theirs = {"weight_ih_l0": np.ones((3 * U, I), "float32"), "weight_hh_l0": np.ones((3 * U, U), "float32"), **bias}
    with pytest.raises(NotSupported, match="the recurrent bias of n is not zero"):
        convert(theirs, "torch", "nnx", "gru")
    theirs["bias_hh_l0"][2 * U:] = 0
    assert convert(theirs, "torch", "nnx", "gru")["dense_i/bias"].tolist() == [2] * 2 * U + [1] * U


@pytest.mark.parametrize("name", [n for n in FLAX_ACTIVATIONS if n != "tanh"])
def test_jax_activations(jax, name):
    x = np.linspace(-4, 4, 41, dtype="float32")
    assert_close(FLAX_ACTIVATIONS[name].forward(x)[0], np.asarray(getattr(jax.nn, name)(x)), "steep")


def test_flax_refusals(jax):
    from flax import linen
    with pytest.raises(NotSupported, match="a linen module without params"):
        weights_of(linen.GRUCell(U))
    with pytest.raises(NotSupported, match="flax: a Dense"):
        weights_of(linen.Dense(U), {})
    with pytest.raises(NotSupported, match="GRUCell: gate_fn=gelu"):
        weights_of(linen.GRUCell(U, gate_fn=jax.nn.gelu), {})
    with pytest.raises(ShapeError, match="the top level holds no weights of GRUCell"):
        weights_of(linen.GRUCell(U), {"i": {"kernel": np.ones(3)}})
