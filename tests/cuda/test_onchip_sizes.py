"""Whole sequences on chip over sizes, modes and storage: such that do not fill a warp, a block or a cluster."""
import numpy as np
import pytest
from hypothesis import given as drawn, settings, strategies as st

from rnnref.cuda_loops import choice
from rnnref.loops.plan import describe_call
from rnnref.testing.assertions import assert_close
from rnnref.tree import first_leaf, to
from tests.kernels.onchip import card
from tests.kernels.sequences import both_ways, inputs
from tests.shim.double import with_kernels
from tests.support import blas
from tests.support.cases import CELLS

pytestmark = pytest.mark.kernels
PATH, STEPPED = {"paths": ("onchip",)}, {"paths": ("stepped",)}
KINDS = "SimpleRNN tanh", "GRU", "LSTM, cell clip, peepholes"


@pytest.fixture
def kernels():
    with with_kernels(), blas.install() as calls, card((2,)):
        yield calls


def near(got, want, arithmetic):
    assert_close(got[:2], want[:2], "path", arithmetic=arithmetic)
    assert_close(got[2], want[2], "gradient", arithmetic=arithmetic)


# blocks, units of the state, rows, and constants of tiling.py in the place of its own
SHAPES = (
    ((1,), 1, 1, {}), ((1,), 33, 5, {}), ((2,), 3, 7, {}), ((2,), 13, 2, {"WARPS": (1,)}),
    ((4,), 21, 9, {"ROWS": (4,)}),
    ((8,), 29, 3, {}), ((16,), 61, 2, {}), ((2,), 40, 6, {"_OTHER_REGISTERS": {"Ahead": 215, "Back": 215}}),
    ((2,), 17, 70, {"PROCESSORS": {90: 4}, "WARPS": (2,)}), ((4,), 3, 2, {}))


@pytest.mark.parametrize("blocks, n, rows, limits", SHAPES)
@pytest.mark.parametrize("name", KINDS)
def test_sizes(name, blocks, n, rows, limits, kernels):
    """Blocks without units, rows that fill no cluster, R in shared memory, several pairs of a thread."""
    cell, (given, mask, d) = CELLS[name][0], inputs(CELLS[name][0], n, rows)
    want = both_ways(cell, given, mask, d, True, **STEPPED)
    with card(blocks, **limits):
        near(both_ways(cell, given, mask, d, True, **PATH), want, "float32")


@pytest.mark.parametrize("mode, arithmetic", (("tf32", "tf32"), ("fp16", "float16"), ("bf16", "bfloat16")))
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("blocks, n, rows, limits", (
    ((1,), 9, 3, {}), ((2,), 37, 11, {}), ((8,), 50, 2, {}),
    ((2,), 40, 9, {"_OTHER_REGISTERS": {"Ahead": 200, "Back": 200}})))
def test_tensor_cores(name, mode, arithmetic, blocks, n, rows, limits, kernels):
    """Operands are rounded to the same digits as by the products of the stepped path."""
    cell, (given, mask, d) = CELLS[name][0], inputs(CELLS[name][0], n, rows)
    want = both_ways(cell, given, mask, d, **STEPPED, mode=mode)
    exact = both_ways(cell, given, mask, d, **STEPPED)
    with card(blocks, ROWS=(), **limits):
        assert chosen(cell, given, mode)[0].engine == "mma"
        got = both_ways(cell, given, mask, d, mode=mode, **PATH)
    near(got, want, arithmetic)
    # on the mean: a sum that is rounded the other way can determine the largest
    assert abs(got[0] - want[0]).mean() < 0.2 * abs(exact[0] - want[0]).mean()


@pytest.mark.parametrize("dtype", ("float64", "float16", "bfloat16"))
@pytest.mark.parametrize("name", KINDS)
def test_storage(name, dtype, kernels):
    dtype = blas.ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    cell, (given, mask, d) = CELLS[name][0], inputs(CELLS[name][0], 13, 5, dtype=dtype)
    want = both_ways(cell, given, mask, d, **STEPPED)
    got = both_ways(cell, given, mask, d, **PATH)
    assert first_leaf(got).dtype == dtype
    near(got, want, dtype)


def chosen(cell, given, mode="fp32", keep=True):
    """The tilings forward and backward."""
    p, xs, s = to("gpu", given)
    call = describe_call(xs, keep=keep, s=s)._replace(mode=mode)
    return choice.choose(choice.problem_of(cell, call, None)).tilings


@settings(max_examples=60, deadline=None)
@drawn(st.data(), st.sampled_from(KINDS), st.integers(1, 16), st.integers(1, 9), st.integers(1, 6), st.booleans(),
       st.sampled_from((1, 4, 132)))
def test_any_sizes_and_lengths(data, name, n, rows, steps, reverse, processors):
    """Lengths from 0 on; any number of rows for a cluster."""
    cell = CELLS[name][0]
    given, _, d = inputs(cell, n, rows, steps)
    lengths = data.draw(st.lists(st.integers(0, steps), min_size=rows, max_size=rows))
    mask = np.arange(steps)[:, None] < np.array(lengths)
    with with_kernels(), blas.install():
        want = both_ways(cell, given, mask, d, reverse, **STEPPED)
        with card((2,), PROCESSORS={90: processors}, WARPS=(4,), SPLITS=(8,), ROWS=(1,)):
            near(both_ways(cell, given, mask, d, reverse, **PATH), want, "float32")
