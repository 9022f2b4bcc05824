"""Math modes of layers: of one call or of every call of a layer, and of no other layer."""
import numpy as np
import pytest

import rnnref
from rnnref import layers
from tests.shim.double import with_kernels
from tests.support import blas

X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")


@pytest.mark.kernels
@pytest.mark.parametrize("make", (lambda: layers.LSTM(4, seed=0), lambda: layers.Bidirectional(layers.GRU(4, seed=0))))
def test_a_mode_is_that_of_a_call_or_of_a_layer(make):
    with with_kernels(), blas.install() as calls:
        layer, other = (make().to("gpu") for _ in range(2))
        x = rnnref.to("gpu", X)
        for mode, given, kinds in (("fp32", None, {"32F"}), ("fp32", "tf32", {"32F_FAST_TF32"}),
                                   ("tf32", None, {"32F_FAST_TF32"}), ("tf32", "fp32", {"32F"})):
            layer.mode = mode
            calls.clear()
            y = layer(x, mode=given)
            layer.backward(y)
            assert set(calls) == kinds
        calls.clear()
        other(x)
        assert set(calls) == {"32F"}


def test_a_mode_is_refused_in_main_memory():
    layer = layers.LSTM(4, seed=0)
    with pytest.raises(rnnref.NotSupported, match="mode='tf32': the arrays are in main memory"):
        layer(X, mode="tf32")
