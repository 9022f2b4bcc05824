"""Where the time of a layer goes, step by step: each function of NumPy that its kernel calls, and how often.

    python -m tests.bench.parts LSTM 1,100,64,64       inference and training; shows why an aim of peers.py is missed

One thread of BLAS and no lanes, so that the parts add up.  What is left over are calls of Python and copies of arrays
by assignment; a timer around every call takes about 0.1 microseconds, which small sizes feel.
"""
import argparse
from time import perf_counter
from unittest import mock

import numpy as np

from rnnref.cpu import blas, elman, gru, kernel, lstm, matmul, sequence
from tests.bench.networks import Network

UFUNCS = "add", "subtract", "multiply", "tanh", "clip", "copyto", "maximum"


class Parts:
    """{part: [calls, seconds]} of what ran inside of the block."""

    def __init__(self):
        self.found: dict = {}

    def timed(self, name, f):
        entry = self.found.setdefault(name, [0, 0.0])

        def call(*args, **options):
            start = perf_counter()
            y = f(*args, **options)
            entry[0] += 1
            entry[1] += perf_counter() - start
            return y
        return call

    def numpy(self):
        """NumPy, with the functions that kernels call timed."""
        parts = self

        class Timed:
            def __getattr__(self, name):
                part = "large products" if name == "matmul" else name
                f = getattr(np, name)
                return parts.timed(part, f) if part != name or name in UFUNCS else f
        return Timed()


def measure(net, mode, repeats):
    """{part: (calls, seconds)} of a step of inference or training, and the seconds of the whole; the least of some."""
    best = None
    for _ in range(repeats):
        parts, timed = Parts(), {}
        product = matmul.Product.__init__

        def init(self, w, columns, parts=parts, product=product):
            product(self, w, columns)
            self.call = parts.timed("products of steps", self.call)
        one_thread = mock.patch.object(sequence, "count_threads", lambda: 1)
        with mock.patch.object(matmul.Product, "__init__", init), one_thread:
            steps = net.steps("rnnref")
            steps[mode]()
            for entry in parts.found.values():    # of weights that are laid out once
                entry[:] = 0, 0.0
            with mock.patch.object(lstm, "numpy", parts.numpy()), mock.patch.object(gru, "numpy", parts.numpy()), \
                    mock.patch.object(elman, "numpy", parts.numpy()), mock.patch.object(kernel, "numpy", parts.numpy()):
                for name in ("copy_columns", "copy_scaled", "as_columns"):
                    timed[name] = parts.timed("copies", getattr(kernel, name))
                with mock.patch.multiple(kernel, **timed):
                    start = perf_counter()
                    steps[mode]()
                    whole = perf_counter() - start
        if best is None or whole < best[1]:
            best = {name: tuple(entry) for name, entry in parts.found.items()}, whole
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cell")
    parser.add_argument("sizes", nargs="+", help="B,T,I,H")
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    for size in given.sizes:
        net = Network(given.cell, *map(int, size.split(",")))
        for mode in ("inference", "training"):
            with blas.limit_threads():
                parts, whole = measure(net, mode, given.repeats)
            print(f"{given.cell} {mode} {size}: {1e3 * whole:.2f} ms")
            for name, (calls, seconds) in sorted(parts.items(), key=lambda part: -part[1][1]):
                if not calls:
                    continue
                a_step = calls / net.size[1]
                print(f"  {name:20}{seconds / whole:6.0%}{1e3 * seconds:10.3f} ms{a_step:8.1f} calls a step")
            rest = whole - sum(seconds for _, seconds in parts.values())
            print(f"  {'everything else':20}{rest / whole:6.0%}{1e3 * rest:10.3f} ms")


if __name__ == "__main__":
    main()
