"""Rows of the batch in several threads: each lane runs the whole loop for its own rows.

How rows are split depends on sizes and on the number of BLAS threads alone, never on what else runs, so the same call
gives the same bits.  A lane that no helper thread has begun is run by the caller itself.
"""
import os
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import lru_cache
from typing import Any, Callable

# With less, lanes wait for each other longer than they gain; measured with two threads on two cores
MIN_WORK = 550_000                                # numbers of R, but those of 16 units, times rows: of two lanes
MIN_STATE = 3000                                  # units times rows: of each lane, if there are more than two
MIN_PRODUCT = 200_000_000                         # multiplications of each lane of one product
MAX_LANES = 8


def split_rows(batch: int, units: int, gates: int, threads: int) -> list[slice]:
    """The rows of each lane, for R of [units, gates units]."""
    if batch == 1:                                # where the microsecond of the rest is a hundredth of inference
        return [slice(0, 1)]
    work = batch * units * gates * max(0, units - 16)
    return _split(batch, max(2, batch * units // MIN_STATE) if work >= MIN_WORK else 1, threads)


def split_product(rows: int, work: int, threads: int) -> list[slice]:
    """The rows of each lane of one product, with so many multiplications for each row."""
    return _split(rows, rows * work // MIN_PRODUCT, threads)


def _split(rows: int, most: int, threads: int) -> list[slice]:
    """As many lanes as there are threads, but no more than `most`."""
    n = max(1, min(threads, MAX_LANES, rows, most))
    ends = [rows * k // n for k in range(n + 1)]
    return [slice(a, b) for a, b in zip(ends, ends[1:])]


@lru_cache(None)
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MAX_LANES - 1, "rnnref-lane")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.cache_clear)      # threads do not survive a fork


def run_lanes(f: Callable, lanes: list) -> list[Any]:
    """[f(lane) for lane in lanes], in parallel."""
    if len(lanes) == 1:
        return [f(lanes[0])]
    begun = [_helpers().submit(copy_context().run, f, lane) for lane in lanes[1:]]       # with the caller's errstate
    results: list = []
    try:
        results.append(f(lanes[0]))
        for lane, future in zip(lanes[1:], begun):
            results.append(f(lane) if future.cancel() else future.result())
    finally:
        for future in begun:                      # after an error too, no lane may go on to write
            if not future.cancel():
                future.exception()
    return results
