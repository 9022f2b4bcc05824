"""Kernels under NVIDIA's compute-sanitizer: accesses out of bounds (memcheck), races (racecheck), barriers (synccheck).
The smallest kernels first, by every tool; then some tests of all kernels.

    python -m tests.bench.sanitizer       # on a machine with a card: make sanitize-gpu

racecheck runs no clusters of several blocks.  It sees barriers, but not that threads wait for bytes which come by
st.async, as these do (exchange.cuh): on an H100 it said "Potential WAR hazard" of `sums` in onchip.cu, which threads
read in one step and others write in the next.  While blocks still met at a barrier in every step, it found nothing.

It says so where compute-sanitizer is not on PATH.  As a pytest plugin (-p) it makes each array of CuPy an allocation
of its own: in CuPy's pool, what lies just past the end of an array is memory that may be written.
"""
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PROGRAM, TOOLS = "compute-sanitizer", ("racecheck", "memcheck", "synccheck")
FOUND, SECONDS = 86, 120                          # its exit status if it found something; how long each tool may take
TESTS = "tests/gpu/test_gpu.py", "tests/gpu/test_gpu_onchip.py"
# odd sizes, rows that end early or are masked, forward and backward; and 16 bits, in the products and throughout
SELECTED = ("(against_the_plain_code and odd and float32 and lengths)"
            " or (against_the_plain_code and odd and float64 and mask)"
            " or (modes and odd and fp16) or (storage and float16 and not bfloat16)"
            " or (gpu_onchip and against_the_plain_code and odd and GRU)")
# for racecheck: kernels of whole sequences, which alone have shared memory, in one block; also on tensor cores
ONE_BLOCK = "gpu_onchip and (-1-odd or (tensor_cores and fp16))"


def smallest(tool):
    return ["-m", "tests.bench.smallest", *["--one-block"] * (tool == "racecheck")]


def tested(tool):
    return ["-m", "pytest", "-q", "-W", "default", "-p", "tests.bench.sanitizer", *TESTS, "-m", "gpu",
            "-k", ONE_BLOCK if tool == "racecheck" else SELECTED]


def command(tool, python, program=PROGRAM, what=smallest):
    """What to run, as a list.  Errors that libraries get from CUDA and handle are not reported: tests see the others.

    >>> command("memcheck", "python3")[:3]
    ['compute-sanitizer', '--tool', 'memcheck']
    """
    if tool not in TOOLS:
        raise ValueError(f"tool is {tool!r}, expected one of {', '.join(TOOLS)}")
    own = ["--report-api-errors", "no"] if tool == "memcheck" else []
    return [program, "--tool", tool, "--target-processes", "all", "--error-exitcode", str(FOUND), *own, python,
            *what(tool)]


def verdict(tool, code):
    """What an exit status says, in words; None if all is well.  No status: it did not end in time."""
    if code is None:
        return f"{tool}: stopped after {SECONDS} s, so nothing is known"
    if code == FOUND:
        return f"{tool}: found what it names above"
    return f"{tool}: the tests, or {PROGRAM} itself, failed (exit status {code})" if code else None


def ran(tool, program, what):
    """The exit status, or None if it did not end in time."""
    env = os.environ | {"PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT}"}
    try:
        return subprocess.run(command(tool, sys.executable, program, what), timeout=SECONDS, env=env).returncode
    except subprocess.TimeoutExpired:
        return None


def main():
    """The exit status: 0 where there is no compute-sanitizer, which is said."""
    program = shutil.which(PROGRAM)
    if program is None:
        print(f"{PROGRAM} not found: not run")
        return 0
    said = []
    for name, what in (("the smallest kernels", smallest), ("tests", tested)):
        for tool in TOOLS:
            print(f"{PROGRAM} --tool {tool}: {name}", flush=True)
            said.append(verdict(tool, ran(tool, program, what)) or f"{tool}: found nothing")
            print(said[-1], flush=True)
    return int(any(not words.endswith("found nothing") for words in said))


def pytest_configure(config):
    import cupy
    cupy.cuda.set_allocator(None)


if __name__ == "__main__":
    sys.exit(main())
