"""On a CUDA device: whole sequences in one launch, every way in which R may lie in a cluster.  `make test-gpu`."""
import pytest

import rnnref
from rnnref.cells import Bidirectional
from rnnref.cuda import precision
from rnnref.cuda_loops import tiling
from rnnref.loops.plan import describe_call, plan
from rnnref.testing.assertions import assert_same
from rnnref.tree import to
from tests.kernels.onchip import card
from tests.support.device_cases import ARITHMETIC, BENCH, CELLS, assert_near, case, run_in_float64, run_on_device

pytestmark = pytest.mark.gpu
PATH = {"paths": ("onchip",)}
KINDS = "LSTM, peepholes", "GRU", "SimpleRNN"      # no clip: its gradient jumps where digits are few


def clusters(blocks):
    """Clusters of so many blocks, on cards that have them."""
    import cupy
    sm = precision.architecture(cupy.zeros(1))
    if blocks > (1 if sm < 90 else tiling.MAX_CLUSTER.get(sm, 8)):
        pytest.skip(f"compute capability {sm / 10} has no clusters of {blocks} blocks")
    return card((blocks,), sm=None)


# Every kernel takes the card's compiler a second: each size, mode and cluster occurs, not each with all others.
SETTINGS = (("odd", "lengths", True, "fp32"), ("wide", "mask", False, "bf16"), ("one row", "everywhere", False, "fp32"),
            ("odd", "mask", False, "fp16"), ("wide", "lengths", True, "tf32"))
MET = [(blocks, *setting) for k, blocks in enumerate(tiling.BLOCKS) for j, setting in enumerate(SETTINGS)
       if j < 2 or (j + k) % 3 == 0]


@pytest.mark.parametrize("blocks, size, where, reverse, mode", MET)
@pytest.mark.parametrize("name", KINDS)
def test_against_the_plain_code(name, blocks, size, where, reverse, mode):
    one = case(name, size, where=where)
    with clusters(blocks):
        got = run_on_device(one, mode=mode, reverse=reverse, **PATH)
        assert_same(run_on_device(one, mode=mode, reverse=reverse, **PATH), got)
    assert_near(got, run_in_float64(one, reverse=reverse), ARITHMETIC[mode])


@pytest.mark.parametrize("mode", ARITHMETIC)
@pytest.mark.parametrize("size", BENCH)
@pytest.mark.parametrize("name", ("LSTM", "GRU"))
def test_the_tilings_that_are_measured(name, size, mode):
    """Sizes of `make bench-gpu`, whose tilings do not depend on the number of steps; those that fit on the chip."""
    one = case(name, size)
    cell, _, xs, s = one[:4]
    if plan(cell, describe_call(to("gpu", xs), s=s), mode=mode).path != "onchip":
        pytest.skip("this card runs it step by step")
    got = run_on_device(one, mode=mode, **PATH)
    assert_near(got, run_in_float64(one), ARITHMETIC[mode])


@pytest.mark.parametrize("mode", ("tf32", "bf16", "fp16"))
@pytest.mark.parametrize("name", KINDS)
def test_tensor_cores(name, mode):
    one = case(name, "wide", where="lengths")
    with clusters(1), card(sm=None, ROWS=()):
        assert_near(run_on_device(one, mode=mode, **PATH), run_in_float64(one), ARITHMETIC[mode])


@pytest.mark.parametrize("name", CELLS)
def test_it_runs_and_explain_shows_it(name):
    _, _, xs, s = to("gpu", (None, *case(name, "one row")[1:4]))
    notes = rnnref.explain(CELLS[name], describe_call(xs, s=s)).splitlines()
    assert ("onchip: runs" in notes) == (name not in ("GRU before", "LSTM, projection"))


@pytest.mark.parametrize("name", KINDS)
def test_two_directions_are_the_same_as_one_and_one(name):
    cell, p, xs, s, options, (dys, dnew) = case(name, "wide", where="lengths")
    one = Bidirectional((cell, cell)), (p, p), xs, (s, s), options, ((dys, dys), (dnew, dnew))
    assert_near(run_on_device(one, **PATH), run_in_float64(one), "float32")
