"""The time of a kernel of a whole sequence alone: between two events right around its launch."""
import statistics
from contextlib import contextmanager
from unittest import mock

import numpy as np

import rnnref
from rnnref.cuda_loops import onchip

SPIN = """extern "C" __global__ void spin(long long clocks) {
  const long long start = clock64();
  while (clock64() - start < clocks) {}
}"""
BUSY = np.int64(600000)                           # clocks, about 0.3 ms: longer than the host takes for the launch
LENGTHS = 64, 256


@contextmanager
def timed(times):
    """Launches inside append (way, start, end).  The card is kept busy until both events and the kernel are on the
    stream, so nothing of the host is between them."""
    import cupy
    spin, configure = cupy.RawModule(code=SPIN, options=("-std=c++17",)).get_function("spin"), onchip._configure

    def timing(which, *args):
        kernel = configure(which, *args)

        def launch(*how, **more):
            start, end = cupy.cuda.Event(), cupy.cuda.Event()
            spin((1,), (1,), (BUSY,))
            start.record()
            kernel(*how, **more)
            end.record()
            times.append((which.way, start, end))
        return launch
    with mock.patch.object(onchip, "_configure", timing):
        yield


def milliseconds(cell, B, T, I, H, mode, rounds=4):
    """{way: the median}; {} where the plan does not take this path."""
    import cupy
    rng, times = np.random.default_rng(0), []
    p, xs, dys = rnnref.to("gpu", (rnnref.init.parameters(cell, I, H, rng, scheme="torch"),
                                   *(rng.standard_normal((T, B, n), "f4") for n in (I, H))))
    for k in range(rounds + 1):
        if k == 1:
            times.clear()                         # the first loads what it runs
        with timed(times):
            rnnref.run_back(rnnref.run(cell, p, xs, mode=mode)[2], dys)
    cupy.cuda.runtime.deviceSynchronize()
    of = {}
    for way, start, end in times:
        of.setdefault(way, []).append(cupy.cuda.get_elapsed_time(start, end))
    return {way: statistics.median(ms) for way, ms in of.items()}


def a_step(cell, B, H, mode):
    """{way: (microseconds of a step, microseconds before the first)}, from two lengths."""
    short, long = (milliseconds(cell, B, T, 32, H, mode) for T in LENGTHS)
    steps = LENGTHS[1] - LENGTHS[0]
    us = {way: (long[way] - short[way]) * 1e3 / steps for way in short if way in long}
    return {way: (round(each, 3), round(short[way] * 1e3 - LENGTHS[0] * each, 1)) for way, each in us.items()}
