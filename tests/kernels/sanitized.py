"""Every kernel under the address sanitizer: python -m tests.kernels.sanitized [fault], in a process that preloads it.

`run(fault)` starts that process; a fault is a name of `faults.FAULTS` or of `sequences.FAULTS`, "whole sequences" are
those of sequences.py without one.
"""
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
OPTIONS = "detect_leaks=0:detect_stack_use_after_return=0:halt_on_error=1:use_sigaltstack=0"


def run(fault=""):
    """-> the exit status, the output."""
    libs = [subprocess.run(["g++", f"-print-file-name={lib}"], capture_output=True, text=True).stdout.strip()
            for lib in ("libasan.so", "libstdc++.so")]
    env = os.environ | {"LD_PRELOAD": " ".join(libs), "ASAN_OPTIONS": OPTIONS, "PYTHONPATH": f"{ROOT}/tests:{ROOT}",
                        "PYTHONMALLOC": "malloc", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-m", "tests.kernels.sanitized", fault], cwd=ROOT, env=env,
                          capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def main(fault):
    from tests.kernels import sequences
    if fault in {"whole sequences", *sequences.FAULTS}:
        of_sequences(sequences, fault)
    else:
        of_steps(fault)
    print("nothing found")


def of_sequences(sequences, fault):
    from tests.kernels.faults import planted_source
    from tests.shim.double import with_kernels
    from tests.support import blas
    case, back, *edit, _ = sequences.FAULTS.get(fault, (None,) * 6)
    with with_kernels(sanitize=True), blas.install(), planted_source(*edit) if case else nullcontext():
        for one in (case,) if case else sequences.CASES:
            sequences.by_kernel(one)


def of_steps(fault):
    from rnnref.loops.run import run, run_back
    from rnnref.tree import map_structure, to
    from tests.kernels.faults import planted
    from tests.kernels.steps import RULES, by_kernel, draw_step
    from tests.shim.double import with_kernels
    from tests.support.cases import case
    with with_kernels(sanitize=True), planted(fault):
        for name in ("Elman", "GRU", "LSTM, peepholes"):
            for live in (None, 0.5):
                by_kernel(draw_step(RULES[name], (5,), 7, live=live))
        one = case("GRU before")
        args = map_structure(lambda a: a.astype("float32"), (one.p, one.xs, one.s))
        run_back(run(one.cell, *to("gpu", args))[2])


if __name__ == "__main__":
    main(*sys.argv[1:])
