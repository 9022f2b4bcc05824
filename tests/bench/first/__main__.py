"""One part of a first run on a card; first_gpu.sh runs them all.

    python -m tests.bench.first environment | compile | smoke | bench | note WHAT VALUE | summary

Each part of cases runs them in processes of their own (cases.py).  --toys: small sizes on CPU doubles of CuPy.
"""
import argparse
import sys
from contextlib import ExitStack

from tests.bench.first import cases, results

PARTS = "environment", "compile", "smoke", "bench", "note", "summary"


def of_part(part, toys):
    """{name: arguments}, and the function of one case."""
    sm = 90 if toys else None
    if part == "smoke":
        from tests.bench.first import smoke
        return smoke.cases(toys), lambda name, case: smoke.check(name, case, sm)
    from tests.bench.first import timing
    return timing.cases(toys), timing.measure


def doubles(stack):
    """CuPy's doubles in its place: kernels by g++, products by NumPy, graphs as lists of launches."""
    from types import SimpleNamespace

    from tests.kernels.onchip import card
    from tests.shim.double import with_kernels
    from tests.support import blas, stream_capture, strict
    for one in (with_kernels(), blas.install(), stream_capture.install(), card(sm=90)):
        stack.enter_context(one)
    from tests.bench import device
    strict.ndarray.device = SimpleNamespace(id=0, compute_capability="90")
    strict.cupy.get_default_memory_pool = lambda: SimpleNamespace(free_all_blocks=lambda: None)
    device.milliseconds = one_millisecond
    device.about = lambda: {"card": "none: CPU doubles", "sm": 90}


def one_millisecond(f, rounds, warm=2):
    """In the place of a time, which on the CPU would say nothing."""
    f()
    return 1.0


def device_lost():
    """Whether the device no longer computes."""
    try:
        import cupy
        cupy.cuda.runtime.deviceSynchronize()
        return float((cupy.zeros(1) + 1)[0]) != 1
    except Exception:                             # of whatever class: that is the answer
        return True


def run_cases(given):
    with ExitStack() as stack:
        if given.toys and given.start is not None:
            doubles(stack)
        every, run = of_part(given.part, given.toys)
        if given.start is not None:
            return cases.run_from(given.part, every, given.start, run, lambda: not given.toys and device_lost())
    command = [sys.executable, "-u", "-m", "tests.bench.first", given.part, *["--toys"] * given.toys, "--start"]
    cases.run_all(given.part, list(every), command, given.seconds, given.each)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--toys", action="store_true")
    parser.add_argument("--start", type=int, help="in a process of cases: the first to run")
    parser.add_argument("--seconds", type=float, default=100, help="for all cases")
    parser.add_argument("--each", type=float, default=40, help="of silence, after which a process is killed")
    parser.add_argument("--workers", type=int, default=14)
    given = parser.parse_args()
    if given.part == "environment":
        from tests.bench.first.environment import report
        report()
    elif given.part == "compile":
        from tests.bench.first.compilation import compile_all
        compile_all(given.workers)
    elif given.part == "note":
        results.add("note", what=given.words[0], value=" ".join(given.words[1:]))
    elif given.part == "summary":
        from tests.bench.first.summary import summary
        print(summary(results.read()))
    else:
        run_cases(given)


if __name__ == "__main__":
    main()
