"""What layers take and where they run: dtypes, 16 bits, inference, the device."""
import numpy as np
import pytest

import rnnref
from rnnref import Error
from rnnref.check.tolerance import tolerance
from rnnref.layers import GRU, LSTM, RNN, Bidirectional, GRUCell, LSTMCell
from rnnref.testing.api import assert_same
from tests.support.layer_cases import FAMILIES, RIGHT, SEQ, STATE, B, I, T, U, X, as_list, flat, make_layer
from tests.support.plain_paths import plain_paths

each_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.mark.parametrize("x", [X.astype("float32"), np.arange(60).reshape(B, T, I) % 3, X.tolist(), X > 0])
def test_inputs_are_cast(x):
    layer = make_layer("lstm", dtype="float32", **STATE)
    kept = np.array(x)
    y, *states = layer(x, [np.zeros((B, U)), np.ones((B, U))])
    dx, ds = layer.backward(np.ones((B, U)))
    assert {a.dtype.name for a in (y, *states, dx, *ds, *layer.get_grads())} == {"float32"}
    assert_same(np.array(x), kept)


@each_family
def test_half_precision(family):
    y = make_layer(family, dtype="float16", **SEQ)(X)
    assert y.dtype == "float16"
    assert abs(y - make_layer(family, **SEQ)(X)).max() < tolerance("storage", "float16")


def test_grads_are_overwritten_and_inference_keeps_nothing():
    layer = make_layer("lstm")
    layer(X)
    layer.backward(np.ones((B, U)))
    grads = layer.grads
    layer.backward(np.ones((B, U)))
    assert_same(layer.grads, grads)
    assert_same(layer(X, keep=False), layer(X))
    layer(X, keep=False)
    with pytest.raises(Error, match="keep=False"):
        layer.backward(np.ones((B, U)))


@pytest.mark.parametrize("make", [
    lambda: LSTM(U, dropout=0.3, seed=0, return_sequences=True, return_state=True),
    lambda: Bidirectional(GRU(U, seed=0, reset_after=False, recurrent_dropout=0.4, return_sequences=True)),
    lambda: RNN([LSTMCell(3, seed=0), GRUCell(2, seed=0)], go_backwards=True)])
def test_on_the_device(make, cupy):
    """The strict double of CuPy: weights, masks and states are made where x is, and nothing crosses the bus unasked."""
    home, away = make(), make()
    x, mask = X.astype("float32"), RIGHT
    with plain_paths():
        y = as_list(home(x, mask=mask, training=True))
    got = as_list(away(cupy.asarray(x), mask=cupy.asarray(mask), training=True))
    assert_same(flat(rnnref.to("cpu", tuple(flat(got)))), flat(tuple(y)))
    dx, _ = home.backward(np.ones_like(y[0]))
    dx_away, _ = away.backward(cupy.ones_like(got[0]))
    assert_same(rnnref.to("cpu", dx_away), dx)
    assert_same(away.get_grads(), home.get_grads())
    assert_same(away.to("cpu").get_weights(), home.get_weights())
    with pytest.raises(rnnref.DeviceError):
        away(cupy.asarray(x))
