"""Cells beyond the common three against the frameworks that have them."""
import numpy as np
import pytest

import rnnref
from rnnref import cells
from rnnref.testing.api import assert_close

pytestmark = pytest.mark.peers
T, B, I, U = 5, 2, 3, 4


@pytest.mark.parametrize("dims, kernel, padding, strides, extent", (
    (1, (3,), "same", (1,), (6,)), (1, (2,), "same", (2,), (5,)), (2, (3, 2), "valid", (2, 1), (7, 5)),
    (2, (4, 2), "same", (2, 1), (7, 5)), (3, (2, 2, 3), "same", (1, 1, 1), (3, 4, 3))))
def test_conv_lstm_is_that_of_keras(dims, kernel, padding, strides, extent):
    keras, rng = pytest.importorskip("keras"), np.random.default_rng(0)
    layer = getattr(keras.layers, f"ConvLSTM{dims}D")(U, kernel, strides, padding, return_sequences=True)
    x = rng.normal(size=(T, B, *extent, I)).astype("f4")
    layer.build(x.swapaxes(0, 1).shape)
    drawn = [(rng.normal(size=tuple(a.shape)) * 0.3).astype("f4") for a in layer.weights]
    layer.set_weights(drawn)
    p = dict(zip(("W", "R", "b"), drawn))
    ys = rnnref.run(cells.ConvLSTM(kernel=kernel, strides=strides, padding=padding), p, x)[0]
    assert_close(ys.swapaxes(0, 1), keras.ops.convert_to_numpy(layer(x.swapaxes(0, 1))), "output")


def test_mgu_is_that_of_flax():
    jax, flax = pytest.importorskip("jax"), pytest.importorskip("flax.linen")
    rng = np.random.default_rng(0)
    x, h = (rng.normal(size=(B, n)).astype("f4") for n in (I, U))
    theirs = flax.MGUCell(U)
    shapes = theirs.init(jax.random.PRNGKey(0), h, x)
    given = jax.tree_util.tree_map(lambda a: rng.normal(size=a.shape).astype("f4"), shapes)
    q = given["params"]
    p = {"W": np.concatenate([q["if"]["kernel"], q["in"]["kernel"]], 1),
         "b": np.concatenate([q["if"]["bias"], q["in"]["bias"]]),
         "R": np.concatenate([q["hf"]["kernel"], q["hn"]["kernel"]], 1),
         "bR": np.concatenate([np.zeros(U, "f4"), q["hn"]["bias"]])}
    cell = cells.MGU(reset="after", keeps=True)
    assert_close(cell.forward(p, x, cell.rule.State(h))[0], np.asarray(theirs.apply(given, h, x)[1]), "output")
