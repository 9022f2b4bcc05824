"""How the time of a layer grows with T, B and H, and the peak memory of training with T, with and without recompute.

    python -m tests.bench.curves                       prints both as JSON
    python -m tests.bench.curves --picture FILE.svg    and draws them, logarithmic
    python -m tests.bench.curves --peak LSTM 64,100,256,512       the peak of one training step in this process, MiB
"""
import argparse
import json
import resource
import subprocess
import sys
from statistics import median

import rnnref
from tests.bench.networks import Network
from tests.bench.peers import in_turn

START = {"T": 50, "B": 16, "H": 128}
VALUES = {"T": (10, 20, 50, 100, 200, 400), "B": (1, 2, 4, 8, 16, 32, 64, 128), "H": (16, 32, 64, 128, 256, 512)}


def times(kind, seconds):
    """{"T": {value: {mode: milliseconds}}, "B": ..., "H": ...}"""
    found: dict = {}
    for axis, values in VALUES.items():
        for value in values:
            size = START | {axis: value}
            steps = Network(kind, size["B"], size["T"], size["H"], size["H"]).steps("rnnref")
            found.setdefault(axis, {})[value] = {
                mode: 1e3 * median(ts) for mode, ts in in_turn(steps, seconds).items()}
    return found


def peak(kind, size, recompute=False):
    """MiB of this process at its largest, after one small training step and after one of this size."""
    peaks = []
    for each in ((2, 3, 4, 8), size):
        net = Network(kind, *each)
        rnnref.run_back(rnnref.run(net.cell, net.p, net.xs, recompute=recompute)[2], net.dys)
        peaks.append(_largest())
    return peaks


def _largest():
    """The largest memory of this process so far, in MiB; `ru_maxrss` has that of the process which started it in it."""
    try:
        with open("/proc/self/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peaks_of_processes(kind):
    """{T: {"tape": [base, peak], "recompute": ...}}, each of a process of its own."""
    found: dict = {}
    for T in (25, 50, 100, 200):
        for name, options in (("tape", []), ("recompute", ["--recompute"])):
            command = [sys.executable, "-m", "tests.bench.curves", "--peak", kind, f"64,{T},256,512", *options]
            found.setdefault(T, {})[name] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def draw(time, memory, path):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(1, 4, figsize=(16, 4), layout="constrained")
    for ax, (axis, values) in zip(axes, time.items()):
        for mode in ("inference", "training"):
            ax.plot([*values], [ms[mode] for ms in values.values()], marker="o", label=mode)
        others = ", ".join(f"{name} = {n}" for name, n in START.items() if name != axis)
        ax.set(xscale="log", yscale="log", xlabel=axis, ylabel="ms", title=f"LSTM, {others}, I = H")
        ax.set_xticks([*values], [*values])
        ax.set_xticks([], minor=True)
        ax.legend()
    for name in ("tape", "recompute"):
        axes[3].plot([*memory], [found[name][1] for found in memory.values()], marker="o", label=name)
    axes[3].set(ylim=(0, None), xlabel="T", ylabel="peak of the process, MiB", title="LSTM training, 64,T,256,512")
    axes[3].legend()
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--peak", nargs=2, metavar=("CELL", "SIZE"))
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--picture")
    given = parser.parse_args()
    if given.peak:
        print(json.dumps(peak(given.peak[0], tuple(map(int, given.peak[1].split(","))), given.recompute)))
        return
    time, memory = times("LSTM", given.seconds), peaks_of_processes("LSTM")
    print(json.dumps({"ms": time, "MiB": memory}, indent=1))
    if given.picture:
        draw(time, memory, given.picture)


if __name__ == "__main__":
    main()
