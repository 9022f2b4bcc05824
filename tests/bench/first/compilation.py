"""All kernels of a first run compiled side by side into CuPy's cache on disk, so that nothing later waits for NVRTC."""
import multiprocessing
import time

from rnnref.cuda import launch
from rnnref.cuda_loops import choice, onchip
from tests.bench.first import results, smoke, timing
from tests.kernels.instances import dtype, kernels
from tests.kernels.onchip import card


def of_sequence(cell, size, dtype_, mode, sm):
    """The kernels of a whole sequence, as the plan chooses them."""
    one, directions = (cell.cells[0], 2) if hasattr(cell, "cells") else (cell, 1)
    problem = choice.Problem(*size, len(getattr(one, "gates", "")), dtype_, mode, sm, directions=directions)
    for way, t in zip(("Ahead", "Back"), choice.choose(problem).tilings):
        if t is not None:
            yield onchip.make_kernel(one.rule, problem.task(way), t, dtype(dtype_))


def wanted(sm):
    """Those that are timed, those of the smoke test, and every kernel of one step; each once."""
    found = []
    for cell, size, mode in timing.sequences():
        found += of_sequence(cell, size, "float32", mode, sm)
    for (case,) in smoke.cases().values():
        if case.choice == smoke.CHIP:
            with card(*([(case.blocks,)] if case.blocks else []), sm=sm):
                found += of_sequence(case.cell, case.size, case.dtype, case.mode, sm)
    return list({kernel.name: kernel for kernel in (*found, *kernels())}.values())


def compile_one(kernel):
    """(name, seconds, attributes or None, why not or None)"""
    began = time.time()
    try:
        return kernel.name, time.time() - began, dict(launch.compile_kernel(kernel).attributes), None
    except Exception as e:                        # the others may still be compiled
        return kernel.name, time.time() - began, None, results.short(e)


def compile_all(workers):
    from tests.bench.device import about
    began, every, failed = time.time(), wanted(about()["sm"]), 0
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for name, seconds, attributes, why in pool.imap_unordered(compile_one, every):
            failed += bool(why)
            if why or attributes["local_size_bytes"]:
                results.add("compile", kernel=name, failed=why, attributes=attributes)
                print(name, why or attributes, flush=True)
    results.add("compile", kernels=len(every), failed=failed, seconds=round(time.time() - began, 1))
    print(f"{len(every)} kernels, {failed} failed, {time.time() - began:.1f} s by {workers} processes", flush=True)
