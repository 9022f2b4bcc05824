"""The time of a loop as a ratio to its matrix products (`make bench-loops`).

Also the host's time of GPU launches, of one small step beside torch's where torch is installed, and of the import.
Everything in a row is timed in turn within one run, and medians are compared, because machines drift.
"""
import argparse
import json
import subprocess
import sys
from functools import partial
from statistics import median
from time import perf_counter

import numpy as np

import rnnref
from rnnref import cells
from tests.bench import host

SIZES = ((1, 100, 64, 64), (64, 28, 28, 128), (32, 100, 128, 256), (64, 100, 256, 512))
CELLS = {"SimpleRNN": cells.SimpleRNN(), "LSTM": cells.LSTM(), "GRU": cells.GRU(),
         "GRU before": cells.GRU(reset="before")}


def in_turn(calls, rounds):
    """{name: median seconds} of functions called one after the other, so often."""
    for f in calls.values():
        f()
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, f in calls.items():
            start = perf_counter()
            f()
            times[name].append(perf_counter() - start)
    return {name: median(ts) for name, ts in times.items()}


def products(cell, B, T, I, H, rng):
    """The matrix products of a training step and nothing else, in the shapes in which the loop does them."""
    G = len(cell.gates) * H
    W, R, x, a = (rng.normal(size=s).astype("f4") for s in ((I, G), (H, G), (T * B, I), (T * B, G)))
    h, steps = rng.normal(size=(T * B, H)).astype("f4"), range(T)

    def forward():
        x @ W
        for t in steps:
            h[:B] @ R

    def training():
        forward()
        for t in steps:
            a[:B] @ R.T
        h.T @ a, x.T @ a, a @ W.T
    return forward, training


def loops(cell, B, T, I, H, rng):
    p = rnnref.init.parameters(cell, I, H, rng)
    xs, dys = (rng.normal(size=(T, B, n)).astype("f4") for n in (I, H))

    def forward(path):
        return rnnref.run(cell, p, xs, keep=False, paths=(path,))

    def training(path):
        return rnnref.run_back(rnnref.run(cell, p, xs, paths=(path,))[2], dys)
    return forward, training


def row(name, size, rounds):
    rng, cell = np.random.default_rng(0), CELLS[name]
    out = {"cell": name, "B,T,I,H": size}
    for what, floor, loop in zip(("forward", "training"), products(cell, *size, rng), loops(cell, *size, rng)):
        calls = {path: partial(loop, path) for path in ("hoisted", "plain")}
        times = in_turn({"products": floor} | calls, rounds)
        out[what] = times | {"ratio": times["hoisted"] / times["products"]}
    return out


def import_time(rounds):
    """Seconds that `import rnnref` takes beyond NumPy's own."""
    def run(code):
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)
    times = in_turn({"numpy": run("import numpy"), "rnnref": run("import numpy, rnnref")}, rounds)
    return times["rnnref"] - times["numpy"]


def small(rounds):
    """{what: (ratio, aim)} of one step of a small LSTM to torch's: what a call costs before and after its arithmetic.

    None where torch is not installed.
    """
    try:
        import torch
    except ImportError:
        return None
    (B, T, I, H), rng, cell = (1, 1, 4, 4), np.random.default_rng(0), cells.LSTM()
    p, net, xs = rnnref.init.parameters(cell, I, H, rng), torch.nn.LSTM(I, H), rng.normal(size=(T, B, I)).astype("f4")
    dys, x = np.ones((T, B, H), "f4"), torch.tensor(xs)
    times = in_turn({
        "torch": partial(net, x), "torch, no grad": torch.no_grad()(partial(net, x)),
        "run": partial(rnnref.run, cell, p, xs), "run, keep=False": partial(rnnref.run, cell, p, xs, keep=False),
        "run and run_back": lambda: rnnref.run_back(rnnref.run(cell, p, xs)[2], dys)}, 100 * rounds)
    return {f"{ours} / {theirs}": (times[ours] / times[theirs], aim) for ours, theirs, aim in (
        ("run", "torch", 1.5), ("run, keep=False", "torch, no grad", 1.5), ("run and run_back", "torch", 3.5))}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json")
    given = parser.parse_args()
    rows = []
    print(f"{'cell':12}{'B,T,I,H':>18}  {'':10}{'products':>11}{'hoisted':>12}{'ratio':>7}{'plain':>11}")
    for name in CELLS:
        for size in SIZES:
            rows.append(row(name, size, given.rounds))
            for what in ("forward", "training"):
                t = rows[-1][what]
                ms = {k: 1e3 * v for k, v in t.items()}
                print(f"{name:12}{str(size)[1:-1]:>18}  {what:10}{ms['products']:8.2f} ms{ms['hoisted']:9.2f} ms"
                      f"{t['ratio']:7.2f}{ms['plain']:8.2f} ms", flush=True)
    launches = host.measure(given.rounds)
    print("\nLSTM step by step on a GPU, microseconds of the host alone (a double of CuPy, kernels return at once):")
    print("  ".join(f"{what} {us:.1f} (aim: {host.AIMS[what]})" for what, us in launches.items()))
    ratios = small(given.rounds)
    if ratios:
        print("\nLSTM, B = T = 1, I = H = 4, beside torch.nn.LSTM:")
        print("  ".join(f"{what} {ratio:.2f} (aim: {aim})" for what, (ratio, aim) in ratios.items()))
    seconds = import_time(given.rounds)
    print(f"\nimport rnnref: {seconds * 1e3:.0f} ms beyond NumPy's own (aim: 100)")
    if given.json:
        with open(given.json, "w") as f:
            json.dump({"numpy": np.__version__, "import": seconds, "launches": launches, "small": ratios,
                       "rows": rows}, f, indent=1)
