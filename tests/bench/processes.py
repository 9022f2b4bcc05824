"""The time of training against the number of processes that share each batch, over MPI (`make bench`).

An LSTM(128) over 28 steps of 28, batches of 256 and 64: digits of MNIST's size.  A line for each number of processes up
to that of the cores: samples a second, and how many times those of one process; of the time of a step what adding the
gradients takes.

    python -m tests.bench.processes [--most 8]
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from rnnref import Input, Sequential, layers
from rnnref.errors import MissingExtra
from rnnref.models.distribution import Distribution, count_launched, make_distribution

STEPS, BATCHES = 12, (256, 64)


class Timed(Distribution):
    """Processes whose sums are timed."""
    seconds = 0.0

    def add_up(self, a):
        start = perf_counter()
        found = super().add_up(a)
        self.seconds += perf_counter() - start
        return found


def measure(batch_size):
    """Samples a second, and the part of the time that sums take, the wait for other processes in it."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(batch_size * STEPS, 28, 28)).astype("float32"), rng.integers(0, 10, batch_size * STEPS)
    model = Sequential([Input((28, 28)), layers.LSTM(128), layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.distribution = several = Timed(make_distribution().comm if count_launched() > 1 else None)
    seconds, sums = [], []
    for _ in range(4):
        before, start = several.seconds, perf_counter()
        model.fit(x, y, batch_size=batch_size, verbose=0)
        seconds.append(perf_counter() - start)
        sums.append((several.seconds - before) / seconds[-1])
    return len(x) / median(seconds[1:]), median(sums[1:]), several.rank


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        found = [measure(batch_size) for batch_size in BATCHES]
        if found[0][-1] == 0:
            print(json.dumps([each[:2] for each in found]))
        return
    mpiexec = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if mpiexec is None:
        raise MissingExtra("tests.bench.processes", "needs mpiexec", fix='pip install ".[mpi]"')
    print(f"{'processes':10}" + "".join(f"{f'batch_size {n}':>24}{'faster':>8}{'sums':>6}" for n in BATCHES))
    first, n = None, 1
    while n <= given.most:
        out = subprocess.run([mpiexec, "-n", str(n), sys.executable, "-m", "tests.bench.processes", "--one"],
                             stdout=subprocess.PIPE, check=True, text=True).stdout
        rows = json.loads(out)
        first = first or rows
        print(f"{n:<10}" + "".join(f"{speed:14,.0f} samples/s{speed / one:8.2f}{part:6.0%}"
                                   for (speed, part), (one, _) in zip(rows, first)), flush=True)
        n *= 2


if __name__ == "__main__":
    main()
