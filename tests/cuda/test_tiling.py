"""How a step is divided among threads, and the estimate of its time and its parts, without a device."""
import ctypes
import itertools
import math

import pytest
from hypothesis import given, settings, strategies as st

from rnnref.cuda import source
from rnnref.cuda.devices import CARDS, why_no_launch
from rnnref.cuda_loops.tiling import (_BARRIER_BYTES, SPLITS, Task, Tiling, choose_tiling, compute_share,
                                      count_shared_bytes, estimate_clocks, estimate_microseconds, estimate_parts,
                                      product_arguments)
from tests.shim.hostsim import built

TASKS = [Task(way, 4, n, rows, "float", S, 90) for way, n, rows, S in itertools.product(
    ("Ahead", "Back"), (20, 256, 512), (1, 16, 64, 600), ("float", "tf32", "bfloat16"))]


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_the_parts_sum_to_the_estimate(task):
    t = choose_tiling(task)
    one, (_, arithmetic, moved, *_) = estimate_parts(t, task), estimate_clocks(t, task)
    assert math.isclose(sum(one), estimate_microseconds(t, task), rel_tol=1e-12)
    assert (one.shared, one.arithmetic)[moved > arithmetic] == 0 < one.arithmetic + one.shared
    assert min(one) == 0 and (one.exchange > 0) == (t.blocks > 1)


def test_clusters_in_waves_take_their_time_again():
    """600 rows of 256 units are more clusters than run at once."""
    task = Task("Ahead", 4, 256, 600, "float", "float", 90)
    t = choose_tiling(task)
    alone, crowded = (estimate_parts(t, task._replace(rows=rows)) for rows in (t.group, task.rows))
    assert all(math.isclose(many, 5 * one) for many, one in zip(crowded, alone))


@settings(max_examples=200, deadline=None)
@given(st.builds(Task, st.sampled_from(("Ahead", "Back")), st.sampled_from((1, 3, 4)), st.integers(1, 1100),
                 st.integers(1, 600), st.just("float"), st.sampled_from(("float", "tf32", "half", "bfloat16")),
                 st.sampled_from(sorted(CARDS))))
def test_a_tiling_covers_the_task_and_fits_its_card(task):
    t = choose_tiling(task)
    if t is None:
        return
    one = compute_share(t, task)
    assert t.blocks * t.units >= task.n and t.pairs * t.threads >= t.group * t.units and 1 <= t.group <= task.rows
    across = 16 * t.warps if t.engine == "mma" else t.warps * (32 // t.split)
    assert across * one.C >= one.columns and 0 <= t.register_count <= one.K
    assert t.engine == "fma" or (task.S != "float" and task.sm >= 80 and t.rows_at_once % 8 == 0)
    assert t.blocks <= (1 if task.sm < 90 else 16 if task.sm in (90, 100) else 8)
    grid = -(-task.rows // t.group) * t.blocks, 2
    assert why_no_launch(CARDS[task.sm], grid, (t.threads, 1), count_shared_bytes(t, task)) is None


def tilings():
    """Tilings that differ, with their tasks."""
    for way, (blocks, units), warps, held in itertools.product(
            ("Ahead", "Back"), ((1, 12), (2, 20), (8, 4)), (4, 6), (0, 1)):
        for A, S, engine, splits in (("float", "float", "fma", SPLITS), ("double", "double", "fma", (8,)),
                                     ("float", "tf32", "mma", (1,)), ("float", "half", "mma", (1,))):
            for split in splits:
                yield (Tiling(engine, blocks, units, warps, split, held, 8, 1, 3),
                       Task(way, 3, blocks * units - 1, 9, A, S, 90))


@pytest.mark.kernels
def test_python_and_c_count_alike():
    """Shares of a product and bytes of barriers are computed in tiling.py for the plan, and in C for the kernels."""
    lines, want = [f"rnnref::Exchange<{blocks}>::BYTES" for blocks in (1, 2, 16)], [0, _BARRIER_BYTES, _BARRIER_BYTES]
    for t, task in tilings():
        A, S, numbers = source.qualify(task.A), source.qualify(task.S), ", ".join(map(str, product_arguments(t, task)))
        kind, C = (f"Fma<{A}, {S}, {numbers}>", "C") if t.engine == "fma" else (f"Mma<{S}, {numbers}>", "TILES")
        one = compute_share(t, task)
        if one.C <= 32:
            lines += [f"rnnref::{kind}::{name}" for name in (C, "K", "STRIDE", "REST")]
            want += [one.C, one.K, one.stride, one.rest]
    text = ['#include "cuda_host_shim.h"', source.inline_includes("onchip.cu", set()),
            'extern "C" {', f"int counts[] = {{{', '.join(lines)}}};", "}"]
    counts = (ctypes.c_int * len(lines)).in_dll(ctypes.CDLL(str(built("\n".join(text)))), "counts")
    assert list(counts) == want and len(want) > 300
