"""The exchange by bytes, which is no part of the package yet: its text on the CPU, in many orders of threads."""
import numpy as np
import pytest

from rnnref.cells import GRU, LSTM
from rnnref.check.tolerance import tolerance
from tests.bench.first.variants import VARIANTS, variant
from tests.kernels.compile_check import check
from tests.kernels.instances import wholes
from tests.kernels.onchip import card
from tests.kernels.sequences import both_ways, inputs, max_difference
from tests.shim.double import with_kernels
from tests.shim.hostsim import HostKernelError
from tests.support import blas

pytestmark = pytest.mark.kernels
ORDERS = ("fifo", 1), ("lifo", 1), ("random", 1)
PATH = {"paths": ("onchip",)}
# blocks, units, rows: units that leave some blocks none, odd numbers of 16 bits; then such that fill all blocks
SHAPES = ((4, 21, 5), (16, 33, 2), (2, 40, 3))
FAULTS = {
    "too few bytes ahead": (("exchange.cuh", "n * (int)sizeof(S));", "n * (int)sizeof(S) - 4);"),),
    "an odd unit forgotten": (("exchange.cuh", "(n + 1) / 2 * 4", "n / 2 * 4"),),
    "too many bytes back": (("onchip.cu", "expect(i, taking_part * at.rows", "expect(i, BLOCKS * at.rows"),),
    "no wait ahead": (("onchip.cu", "if (BLOCKS == 1 || more) Exchange<BLOCKS>::wait(i);", "__syncthreads();"),),
    "no wait back": (("onchip.cu", "      Exchange<BLOCKS>::wait(i);\n    }", "    }"),),
    "a block without units stays": (("onchip.cu", "if (BLOCKS > 1 && at.first_unit >= to.n) return;", ""),),
    "sent to all blocks": (("exchange.cuh", "if (b < blocks) post(i, mine, own + b < blocks ?",
                            "post(i, mine, true ? (own + b) % BLOCKS :"),),
    "one barrier for both buffers": (("exchange.cuh", "of_block[i % 2]", "of_block[0]"),),
    "one buffer": (("onchip.cu", "S* next = v + (i + 1) % 2 * buffer", "S* next = v + i % 2 * buffer"),),
    "parts of blocks that sent none": (("onchip.cu", "if (b < taking_part) sum +=", "sum +="),),
}


def run(shape, mode, order, *faults, name="async", dtype="float32"):
    blocks, n, rows = shape
    cell, at_a_time = (LSTM(peepholes=True), (1,)) if mode == "fp32" else (GRU(), ())      # (): on tensor cores
    one_cluster = card((blocks,), PROCESSORS={90: blocks}, ROWS=at_a_time)
    with with_kernels(*order), blas.install(), one_cluster, variant(name, *faults), np.errstate(all="ignore"):
        return both_ways(cell, *inputs(cell, n, rows, steps=5, dtype=dtype), mode=mode, **PATH)


@pytest.fixture(scope="module")
def right():
    return {(shape, mode): run(shape, mode, ORDERS[0], name="as it is")
            for shape in SHAPES for mode in ("fp32", "bf16")}


def seen(right, *faults):
    """What some order of threads shows, in words."""
    for (shape, mode), want in right.items():
        near = tolerance("gradient", "float32" if mode == "fp32" else "bfloat16")
        for order in ORDERS:
            try:
                off = max_difference(run(shape, mode, order, *faults), want)
            except HostKernelError as e:
                return str(e)
            if not off <= near:
                return f"{shape}, {mode}, {order}: off by {off:.1g}"
    return ""


def test_the_exchange_by_bytes_gives_what_the_barrier_gives(right):
    assert seen(right) == ""


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_it_is_seen(name, right):
    assert seen(right, *FAULTS[name])


def test_double_precision_goes_in_words_of_8_bytes():
    got, want = (run(SHAPES[0], "fp32", ORDERS[2], name=name, dtype="float64") for name in ("async", "as it is"))
    assert max_difference(got, want) <= tolerance("gradient", "float64")


def test_a_sum_in_one_chain_is_the_same_but_for_rounding(right):
    case = SHAPES[0], "bf16"
    assert max_difference(run(*case, ORDERS[0], name="one chain"), right[case]) <= tolerance("gradient", "bfloat16")


def test_a_card_would_take_it():
    with variant("async"):
        table, wrong = check([90], [], lambda sm: [one for one in wholes(sm) if "lstm_ahead_fma_16x32" in one[0].name
                                                   or "lstm_back_mma_16x32" in one[0].name])
    assert wrong == [] and len(table) == 3


def test_an_edit_that_finds_no_text_is_refused(monkeypatch):
    monkeypatch.setitem(VARIANTS, "lost", (("onchip.cu", "no such line", ""),))
    with pytest.raises(LookupError, match="onchip.cu has no longer the text\nno such line"):
        run(SHAPES[0], "fp32", ORDERS[0], name="lost")
