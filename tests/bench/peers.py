"""A layer over a sequence beside other frameworks on this CPU: `make bench`.

Every round gives each framework a short turn, so that all meet the same moments of the machine; medians of the calls
are divided: peer time / ours, above 1 where rnnref is faster.  Every cell and size has a process of its own: after
larger ones its heap may keep memory that a program of this network alone asks the system for in every call, a fifth
of torch's training step.  What is aimed at stands in `MUST` and `AIM`.

    python -m tests.bench.peers                        the sizes of the aims, torch and onnxruntime: 3 minutes
    python -m tests.bench.peers --seconds 2            quicker, less certain; --runs 3: more certain
    python -m tests.bench.peers --peers torch jax --cells GRU --sizes 64,100,256,512
    python -m tests.bench.peers --load                 how a busy loop on each core slows rnnref and torch
    python -m tests.bench.peers --steps                one step of a cell and of a stateful layer, beside torch's cell
    python -m tests.bench.peers --json FILE --picture FILE.svg
    python -m tests.bench.peers --readme               the table of rnnref/cpu/README.md, with machine and versions

Keras runs on the back end that KERAS_BACKEND names, torch if there is none.
"""
import argparse
import json
import os
import platform
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from textwrap import wrap
from time import perf_counter, sleep

import numpy as np

import rnnref
from rnnref.cpu import blas
from tests.bench.networks import Network

SIZES = ((64, 100, 256, 512), (32, 100, 128, 256), (128, 100, 64, 64), (64, 28, 28, 128), (1, 100, 64, 64))
README = Path(rnnref.__file__).with_name("cpu") / "README.md"
MARKS = "<!-- measured: python -m tests.bench.peers --readme -->\n", "<!-- /measured -->\n"
REST, BLOCK = 0.05, 0.15                          # seconds: between two functions, and of one in its turn
GRID = (*SIZES, (32, 50, 512, 1024), (16, 50, 64, 128), (1, 100, 256, 256))
# peer torch, in the order of SIZES
MUST = {("LSTM", "training"): (0.87, 0.88, 0.92, 0.62, 0.7), ("LSTM", "inference"): (0.82, 0.70, 0.67, 0.52, 0.5),
        ("GRU", "training"): (1.3, 1.4, 1.4, 1.5, 5), ("GRU", "inference"): (1.1, 1.3, 1.07, 1.06, 3)}
AIM = {("LSTM", "training"): (1.15, 1.15, 1.3, 0.9, 0.9), ("LSTM", "inference"): (1.05, 1.0, 1.0, 0.95, 0.7),
       ("GRU", "training"): (1.6,) * 5, ("GRU", "inference"): (1.8,) * 5}
PACKAGES = {"torch": "torch", "onnxruntime": "onnxruntime", "jax": "jax", "keras": "keras"}


def in_turn(calls, seconds, least=3):
    """{name: seconds of each call}, of functions in turn: each rests, is called once, and is then timed a while.

    Threads of OpenBLAS and OpenMP spin after a product, some 30 ms, and take a core from the function that follows; a
    function called again and again meets its own threads alone, as in a user's loop.
    """
    times, end = {name: [] for name in calls}, perf_counter() + seconds
    while len(times[next(iter(calls))]) < least or perf_counter() < end:
        for name, f in calls.items():
            sleep(REST)
            f()
            now = perf_counter()
            stop = now + BLOCK
            while now < stop:
                start = perf_counter()
                f()
                now = perf_counter()
                times[name].append(now - start)
    return times


def products_per_second(n=1024, calls=25):
    """GFLOP/s of one product [n, n] [n, n] in float32: how quiet the machine is."""
    a, times = np.ones((n, n), "float32"), []
    sleep(REST)
    for _ in range(calls):
        start = perf_counter()
        a @ a
        times.append(perf_counter() - start)
    return 2e-9 * n ** 3 / median(times)


def measure(kind, size, peers, seconds):
    """{mode: {framework: seconds of each call}}."""
    net, found = Network(kind, *size), {}
    steps = {name: net.steps(name) for name in ("rnnref", "products", *peers)}
    for mode in ("inference", "training"):
        found[mode] = in_turn({name: f[mode] for name, f in steps.items() if mode in f}, seconds)
    return found


def measure_alone(*args):
    """`measure` in a new process."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(measure, *args).result()


def row(kind, mode, size, times):
    """What the table and the JSON hold of one measurement."""
    middle = {name: median(ts) for name, ts in times.items()}
    ours, place = middle["rnnref"], SIZES.index(size) if size in SIZES else None
    must, aim = (None if place is None or (kind, mode) not in bars else bars[kind, mode][place] for bars in (MUST, AIM))
    return {"cell": kind, "mode": mode, "B,T,I,H": size, "ms": 1e3 * ours, "best ms": 1e3 * min(times["rnnref"]),
            "ratios": {name: t / ours for name, t in middle.items() if name != "rnnref"}, "must": must, "aim": aim,
            "rounds": len(times["rnnref"])}


def middle_of(found):
    """One row of those that several runs measured: the medians."""
    ratios = {name: median(each["ratios"][name] for each in found) for name in found[0]["ratios"]}
    return found[0] | {"ms": median(each["ms"] for each in found), "best ms": min(each["best ms"] for each in found),
                       "ratios": ratios, "rounds": sum(each["rounds"] for each in found)}


def line(found, peers):
    ratios = "".join(f"{found['ratios'][name]:12.2f}" if name in found["ratios"] else f"{'':12}"
                     for name in (*peers, "products"))
    must, aim = ("" if found[name] is None else f"{found[name]:.2f}" for name in ("must", "aim"))
    mark = "" if found["must"] is None or "torch" not in found["ratios"] else (
        "below" if found["ratios"]["torch"] < found["must"] else
        "aim" if found["ratios"]["torch"] >= found["aim"] else "must")
    return (f"{found['cell']:6}{found['mode']:11}{','.join(map(str, found['B,T,I,H'])):>15}{found['ms']:10.2f}"
            f"{ratios}{must:>7}{aim:>7}  {mark}")


def describe_machine(peers):
    """Processor, cores, and versions."""
    versions = {name: _version(name) for name in ("numpy", *peers)}
    return {"processor": _processor(), "cores": os.cpu_count(),
            "core type of OpenBLAS": blas.core_type(), "BLAS threads": blas.count_threads(),
            "python": platform.python_version(), "rnnref": rnnref.__version__, **versions}


def _processor():
    """The name of the processor, where the system tells it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _flags():
    """The instructions that the processor has."""
    return _cpuinfo("flags").split()


def _cpuinfo(name):
    """What Linux tells of the first processor by that name; "" elsewhere."""
    try:
        with open("/proc/cpuinfo") as f:
            return next((text.partition(":")[2].strip() for text in f if text.startswith(name)), "")
    except OSError:
        return ""


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def slowed(seconds):
    """{framework: how many times slower a training step is while a loop runs on each core}."""
    calls = {name: Network("LSTM", 64, 28, 28, 128).steps(name)["training"] for name in ("rnnref", "torch")}
    quiet = in_turn(calls, seconds)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        loaded = in_turn(calls, seconds)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    return {name: median(loaded[name]) / median(quiet[name]) for name in calls}


def small_steps(seconds):
    """{what: microseconds} of one step at B = 1, I = H = 64: of torch's cell, of ours, of a stateful layer."""
    import torch

    from rnnref import layers
    net, x = Network("LSTM", 1, 1, 64, 64), np.ones((1, 64), "float32")
    s, theirs, tx = net.cell.zeros(1, 64), torch.nn.LSTMCell(64, 64), torch.tensor(x)
    layer = layers.LSTM(64, stateful=True, return_sequences=True)
    calls = {"torch.nn.LSTMCell": torch.no_grad()(lambda: theirs(tx)), "cell.forward": lambda: net.cell.forward(
        net.p, x, s), "layer.forward(keep=False)": lambda: layer.forward(x[:, None], keep=False),
        "layer()": lambda: layer(x[:, None])}
    return {name: 1e6 * median(ts) for name, ts in in_turn(calls, seconds).items()}


def table(rows, machine, quiet):
    """The measurements as Markdown, below the machine and the versions in words."""
    names = [name for name in PACKAGES if any(name in found["ratios"] for found in rows)]
    words = ", ".join(f"{what} {value}" for what, value in machine.items() if value)
    quiet_words = f"; a product of 1024: {min(quiet):.0f} to {max(quiet):.0f} GFLOP/s."
    lines = [*wrap(words + quiet_words, 120), "",
             f"| | B, T, I, H | ms | {' | '.join(names)} | products |", "|---|---|---|" + "---|" * (len(names) + 1)]
    for found in rows:
        ratios = (f"{found['ratios'][name]:.2f}" if name in found["ratios"] else "" for name in (*names, "products"))
        size = ", ".join(map(str, found["B,T,I,H"]))
        lines.append(f"| {found['cell']} {found['mode']} | {size} | {found['ms']:.2f} | {' | '.join(ratios)} |")
    return "\n".join(lines) + "\n"


def write_readme(text, path=README):
    """Put the table between its marks."""
    before, _, rest = path.read_text().partition(MARKS[0])
    path.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{rest.partition(MARKS[1])[2]}")


def draw(rows, path):
    """The ratios as bars, one group for each measurement."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    peers = sorted({name for found in rows for name in found["ratios"]} - {"products"})
    figure, axes = pyplot.subplots(figsize=(10, 0.42 * len(rows) + 1.2), layout="constrained")
    for k, peer in enumerate(peers):
        at = [n + 0.8 * k / len(peers) for n, found in enumerate(rows) if peer in found["ratios"]]
        ratios = [found["ratios"][peer] for found in rows if peer in found["ratios"]]
        axes.barh(at, [ratio - 1 for ratio in ratios], 0.8 / len(peers), left=1, label=peer)
    axes.set_yticks([n + 0.4 * (1 - 1 / len(peers)) for n in range(len(rows))],
                    [f"{r['cell']} {r['mode']} {','.join(map(str, r['B,T,I,H']))}" for r in rows])
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set(xscale="log", xlabel="time of the other / time of rnnref: right of 1, rnnref is faster")
    axes.invert_yaxis()
    figure.legend(loc="outside upper center", ncols=len(peers))
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement")
    parser.add_argument("--runs", type=int, default=1, help="what is told is the median of so many")
    parser.add_argument("--peers", nargs="*", default=["torch", "onnxruntime"], choices=list(PACKAGES))
    parser.add_argument("--cells", nargs="*", default=["LSTM", "GRU"])
    parser.add_argument("--sizes", nargs="*", help="B,T,I,H; grid: all sizes")
    parser.add_argument("--load", action="store_true")
    parser.add_argument("--steps", action="store_true")
    parser.add_argument("--readme", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("--picture")
    given = parser.parse_args()
    peers = [name for name in given.peers if _version(PACKAGES[name])]
    print(json.dumps(describe_machine(peers)))
    if blas.core_type() in ("Haswell", "Zen") and "avx512f" in _flags():
        print("OpenBLAS runs AVX2 kernels on a processor with AVX-512: OPENBLAS_CORETYPE in the environment decides it")
    if given.load:
        print("slower with a busy loop on each core:", json.dumps(slowed(given.seconds)))
        return
    if given.steps:
        found = small_steps(given.seconds)
        for name, us in found.items():
            print(f"{name:26}{us:8.1f} us{us / found['torch.nn.LSTMCell']:7.2f} of torch's"
                  f"{us / found['cell.forward']:7.2f} of the cell's")
        return
    sizes = GRID if given.sizes == ["grid"] else [tuple(map(int, s.split(","))) for s in given.sizes or ()] or SIZES
    runs, quiet = [], [products_per_second()]
    print(f"{'cell':6}{'mode':11}{'B,T,I,H':>15}{'ours, ms':>10}"
          + "".join(f"{name:>12}" for name in (*peers, "products")) + f"{'must':>7}{'aim':>7}   (peer time / ours)")
    for _ in range(given.runs):
        runs.append([])
        for kind, size in product(given.cells, sizes):
            for mode, times in measure_alone(kind, size, peers, given.seconds).items():
                runs[-1].append(row(kind, mode, size, times))
                print(line(runs[-1][-1], peers), flush=True)
            quiet.append(products_per_second())
    rows = [middle_of(found) for found in zip(*runs)]
    if given.runs > 1:
        print(f"medians of {given.runs} runs", *(line(found, peers) for found in rows), sep="\n")
    print(f"a product of 1024: {min(quiet):.0f} to {max(quiet):.0f} GFLOP/s; quiet if these differ by less than 5 %")
    if given.json:
        with open(given.json, "w") as f:
            json.dump({"machine": describe_machine(peers), "rows": rows, "GFLOP/s": quiet}, f, indent=1)
    if given.picture:
        draw(rows, given.picture)
    if given.readme:
        write_readme(table(rows, describe_machine(peers), quiet))


if __name__ == "__main__":
    main()
