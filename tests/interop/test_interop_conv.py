"""Weights of minimal gated units and of convolutional LSTMs: outputs and every gradient are those of live peers."""
import os

import numpy as np
import pytest

from rnnref import NotSupported, ShapeError, cells
from rnnref.interop import LAYOUTS, adapt, cell_for, cell_like, convert, dump, explain_weights, load, weights_of
from rnnref.testing.assertions import assert_close, assert_same
from tests.support.messages import raises_with
from tests.support.peer_gradients import draw_like, flax_gradients, keras_gradients
from tests.support.weights import arrays_of, draw_parameters, outputs, run_layers

os.environ.setdefault("KERAS_BACKEND", "torch")   # before they are imported, in the tests
os.environ.setdefault("JAX_PLATFORMS", "cpu")
peers = pytest.mark.peers
T, B, I, U = 4, 2, 3, 2
SPACES = {1: ((3,), (4,)), 2: ((3, 2), (3, 4)), 3: ((2, 1, 3), (3, 2, 3))}    # kernel, places


@pytest.mark.parametrize("framework", ("keras", "flax"))
@pytest.mark.parametrize("dims", SPACES)
def test_load_of_dump_is_exact(framework, dims):
    layout = LAYOUTS["conv lstm", framework]
    cell = cell_for("conv lstm", framework, kernel=SPACES[dims][0])
    p = draw_parameters(cell, layout)
    arrays = dump(layout, p, cell)
    assert arrays[layout.rows[0].theirs].shape == (*SPACES[dims][0], 3, 16)
    assert_same(load(layout, arrays, cell), p)


@pytest.mark.parametrize("dims", SPACES)
def test_flax_and_keras(dims):
    kernel = {"kernel": SPACES[dims][0]}
    cell = cell_for("conv lstm", "flax", **kernel)
    theirs, other = (LAYOUTS["conv lstm", framework] for framework in ("flax", "keras"))
    p, new = draw_parameters(cell, theirs), cell_like(other, cell)
    arrays = convert(dump(theirs, p, cell), "flax", "keras", "conv lstm", wanted={"padding": "same"})
    assert_close(outputs(new, load(other, arrays, new)), outputs(cell, p))
    back = convert(arrays, "keras", "flax", "conv lstm", given={"padding": "same"})
    assert_close(outputs(cell, load(theirs, back, cell)), outputs(cell, p))


def of_keras(**options):
    return arrays_of("conv lstm", "keras", **options)


REFUSALS = {
    "padding not given": (lambda: convert(arrays_of("conv lstm", "flax"), "flax", "keras", "conv lstm"),
                          ["padding=same as the source has it, the default is valid", "wanted={'padding': 'same'}"]),
    "valid in flax": (lambda: convert(of_keras(), "keras", "flax", "conv lstm"), ["flax conv lstm: padding=valid"]),
    "strides in flax": (lambda: cell_for("conv lstm", "flax", strides=(2,)), ["flax conv lstm: strides=(2,)"]),
    "two kernels": (lambda: cell_for("conv lstm", "keras", recurrent_kernel=(5,)), ["recurrent_kernel=(5,)"]),
    "peepholes": (lambda: cell_for("conv lstm", "keras", peepholes=True), ["peepholes=True"]),
    "strides, by cells": (lambda: adapt(cells.ConvLSTM(strides=(2,)), {}, cells.ConvLSTM()), ["strides=(2,)"]),
    "an LSTM": (lambda: adapt(cells.ConvLSTM(), {}, cells.LSTM()), ["they compute different things"]),
    "MGU of the paper": (lambda: cell_like(LAYOUTS["mgu", "flax"], cells.MGU()), ["reset='before'", "no weights"]),
    "MGU that renews": (lambda: cell_like(LAYOUTS["mgu", "flax"], cells.MGU(reset="after")),
                        ["flax mgu: keeps=False", "it is True"]),
    "MGU, by cells": (lambda: adapt(cells.MGU(), {}, cells.MGU(keeps=True)), ["keeps=False cannot become keeps=True"]),
    "MGU and GRU": (lambda: adapt(cells.MGU(), {}, cells.GRU()), ["they compute different things"]),
}


@pytest.mark.parametrize("call, pieces", REFUSALS.values(), ids=REFUSALS)
def test_refusal(call, pieces):
    with raises_with(NotSupported, pieces):
        call()


def test_a_kernel_of_another_size():
    layout, arrays = LAYOUTS["conv lstm", "keras"], of_keras(kernel=(3, 2))
    with pytest.raises(ShapeError, match=r"kernel has shape \(3, 2, 3, 16\), expected 3 axes"):
        load(layout, arrays, cell_for("conv lstm", "keras"))
    with pytest.raises(ShapeError, match=r"kernel has shape \(3, 2, 3, 16\), expected \(2, 3, 3, 16\)"):
        load(layout, arrays, cell_for("conv lstm", "keras", kernel=(2, 3)))
    arrays["recurrent_kernel"] = arrays["recurrent_kernel"][:2]
    with pytest.raises(ShapeError, match=r"recurrent_kernel has shape \(2, 2, 4, 16\), expected \(3, 2, 4, 16\)"):
        load(layout, arrays, cell_for("conv lstm", "keras", kernel=(3, 2)))


def test_equations():
    table = explain_weights("conv lstm", "keras", of_keras(kernel=(3, 2))).splitlines()
    assert "kernel            (3, 2, 3, 16)  axes S I G" in table
    assert table[-6:-4] == ["i = sigmoid(x * W_i + h * R_i + b_i)", "f = sigmoid(x * W_f + h * R_f + b_f)"]
    assert explain_weights("mgu", "flax", arrays_of("mgu", "flax")).splitlines()[-3:] == [
        "f = sigmoid(x W_f + h R_f + b_f)", "n = tanh(x W_n + b_n + f (h R_n + bR_n))", "h' = f h + (1 - f) n"]


# live

def compare(layers, theirs, x_shape, y_shape):
    """`theirs(x, dy)`, batch first -> y, dx and gradients by name."""
    rng = np.random.default_rng(4)
    xs, dys = (rng.normal(size=(T, B, *shape)).astype("f4") for shape in (x_shape, y_shape))
    ys, _, dxs, found = run_layers(layers, xs, dys)
    want_y, want_dx, want = theirs(xs.swapaxes(0, 1).copy(), dys.swapaxes(0, 1).copy())
    assert_close(ys.swapaxes(0, 1), want_y, "output")
    assert_close({"x": dxs.swapaxes(0, 1), **found}, {"x": want_dx, **want}, "gradient")


KERAS_OPTIONS = {
    "valid": {}, "same": {"padding": "same"}, "bare": {"use_bias": False},
    "strides": {"padding": "same", "strides": 2},
    "dilation": {"padding": "same", "dilation_rate": 2},
    "functions": {"activation": "softsign", "recurrent_activation": "hard_sigmoid"},
}


def built(layer, x_shape):
    layer.build((B, T, *x_shape))
    rng = np.random.default_rng(5)
    layer.set_weights([rng.normal(size=a.shape) / 2 for a in layer.get_weights()])
    return layer


@peers
@pytest.mark.parametrize("dims, name", [(1, "strides"), *((2, name) for name in KERAS_OPTIONS), (3, "valid")])
def test_keras(dims, name):
    keras = pytest.importorskip("keras")
    (kernel, extent), make = SPACES[dims], getattr(keras.layers, f"ConvLSTM{dims}D")
    layer = built(make(U, kernel, return_sequences=True, **KERAS_OPTIONS[name]), (*extent, I))

    compare(weights_of(layer), keras_gradients(keras, layer), (*extent, I),
            layer.compute_output_shape((B, T, *extent, I))[2:])


@peers
def test_keras_refusals():
    layers = pytest.importorskip("keras").layers
    with pytest.raises(NotSupported, match="data_format="):
        weights_of(built(layers.ConvLSTM1D(U, 2, data_format="channels_first"), (4, 4)))


LINEN = {
    "MGUCell": ((U,), {}, ()),
    "MGUCell of others": ((U,), {"gate_fn": "hard_sigmoid", "activation_fn": "softplus"}, ()),
    **{f"ConvLSTMCell, {dims}": ((U, kernel), {}, extent) for dims, (kernel, extent) in SPACES.items()},
    "ConvLSTMCell, bare": ((U, (2,)), {"use_bias": False}, (4,)),
}


@peers
@pytest.mark.parametrize("name", LINEN)
def test_linen(name):
    jax, linen = pytest.importorskip("jax"), pytest.importorskip("flax.linen")
    sizes, options, extent = LINEN[name]
    options = {n: getattr(jax.nn, f) if isinstance(f, str) else f for n, f in options.items()}
    module = linen.RNN(getattr(linen, name.replace(",", " ").split()[0])(*sizes, **options))
    shapes = module.init(jax.random.key(0), np.zeros((B, T, *extent, I), "f4"))
    params = draw_like(jax, shapes, "float32")["params"]
    compare(weights_of(module, params),
            flax_gradients(jax, lambda p, x: module.apply({"params": p}, x), params), (*extent, I), (*extent, U))


@peers
def test_linen_refusals():
    linen = pytest.importorskip("flax.linen")
    for options, message in (({"strides": (2,)}, r"strides=\(2,\)"), ({"padding": "VALID"}, "padding=valid"),
                             ({"padding": ((1, 1),)}, "padding=")):
        with pytest.raises(NotSupported, match=message):
            weights_of(linen.ConvLSTMCell(U, (3,), **options), arrays_of("conv lstm", "flax"))
