"""Limits of time and memory for a block."""
import time
import tracemalloc
from contextlib import contextmanager


@contextmanager
def bounded(seconds=5.0, memory=2e7):
    tracemalloc.start()
    start = time.perf_counter()
    yield
    took, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert took < seconds and peak < memory, (took, peak)
