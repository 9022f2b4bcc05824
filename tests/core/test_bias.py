"""A bias is added in place only where that is what `a + b` gives, bits and dtype; nothing given is written to."""
import numpy as np
import pytest

from rnnref.arrays import cast
from rnnref.maps.conv import Conv
from rnnref.maps.dense import Dense, Grouped
from rnnref.testing.api import assert_same
from rnnref.tree import to
from tests.support import blas, strict

BF16 = blas.ml_dtypes.bfloat16
MAPS = (Dense, (3, 8), (5, 2, 3)), (Grouped, (2, 3, 4), (5, 2, 6)), (Conv, (3, 2, 8), (5, 2, 4, 2))


@pytest.mark.parametrize("store, bias", ((np.float64, np.float64), (np.float32, np.float32), (np.float16, np.float16),
                                         (BF16, BF16), (np.float16, np.float32), (BF16, np.float32),
                                         (np.float32, np.float64), (np.float32, np.float16)))
@pytest.mark.parametrize("kind, shape, x", MAPS, ids=("Dense", "Grouped", "Conv"))
@pytest.mark.parametrize("device", ("cpu", "gpu"))
def test_it_is_the_sum(kind, shape, x, store, bias, device):
    rng = np.random.default_rng(0)
    p = {"W": rng.normal(size=shape).astype(store), "b": rng.normal(size=8).astype(bias)}
    x, options = rng.normal(size=x).astype(store), {"groups": 2, "blocks": 2} if kind is Grouped else {}
    for a in (x, *p.values()):
        a.flags.writeable = False
    product = cast(kind("W", **options).forward(p, x)[0], x)
    with strict.install():
        a, kept = kind("W", "b", **options).forward(*to(device, (p, x)))
        a, kept = to("cpu", (a, kept))
    want = product + p["b"]
    assert a.dtype == want.dtype
    assert_same((a, kept), (want, x))
