"""The layers of peers.py as a suite of pytest-benchmark: `make bench-suite`, which stores build/bench.json.

    make bench-suite ARGS="-k GRU --benchmark-compare"        beside the run before; see the options of pytest-benchmark
    PEERS="torch jax keras" make bench-suite

Before every round of ours each other framework is called once and timed, so that all meet the same moments of the
machine.  The ratios of medians, peer time / ours, and the bars stand in the `extra_info` of each benchmark.
"""
import os
from time import perf_counter

import pytest

from tests.bench.networks import Network
from tests.bench.peers import SIZES, row

PEERS = os.environ.get("PEERS", "torch onnxruntime").split()
SECONDS = float(os.environ.get("SECONDS", 3))     # of each benchmark, all frameworks together


@pytest.mark.parametrize("mode", ("inference", "training"))
@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("kind", ("LSTM", "GRU"))
def test_layer(benchmark, kind, size, mode):
    net = Network(kind, *size)
    steps = {name: net.steps(name) for name in ("rnnref", "products", *PEERS)}
    calls = {name: f[mode] for name, f in steps.items() if mode in f}
    times = {name: [] for name in calls}
    ours = calls.pop("rnnref")

    def call_others():
        for name, f in calls.items():
            start = perf_counter()
            f()
            times[name].append(perf_counter() - start)
    for f in (call_others, ours, call_others):    # to warm up, and to see how long a round takes
        start = perf_counter()
        f()
    rounds = max(3, min(200, int(SECONDS / (perf_counter() - start) / 2)))
    for ts in times.values():
        ts.clear()
    benchmark.pedantic(ours, setup=call_others, rounds=rounds)
    times["rnnref"] = benchmark.stats.stats.data
    benchmark.extra_info.update(row(kind, mode, size, times))
