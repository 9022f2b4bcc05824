"""Host time of GPU launches, on a double of CuPy whose kernels and products return at once.

Measured is the time in Python: reading a kernel's arguments as CuPy does, and the loop over the steps.
"""
import contextlib
import sys
from pathlib import Path
from statistics import median
from time import perf_counter
from types import SimpleNamespace
from unittest import mock

import numpy as np

from rnnref import cells, init, to
from rnnref.cuda import launch, matmul
from rnnref.cuda_loops import step_gated, stepped

sys.path.append(str(Path(__file__).parents[1]))
from tests.support import strict  # noqa: E402

B, T, I, H = 1, 500, 16, 16
AIMS = {"launch": 2, "step": 9, "step back": 9}   # microseconds


class Kernel:
    """A kernel that reads its arguments as CuPy does, and does nothing."""

    def __call__(self, grid, block, args, shared_mem=0):
        return [a.__array_interface__["data"] for a in args]


@contextlib.contextmanager
def idle_card():
    """The double of CuPy, with kernels and products that do nothing."""
    module = SimpleNamespace(get_function=lambda name: Kernel())
    names = ("CUBLAS_COMPUTE_32F", "CUBLAS_GEMM_DEFAULT")
    cublas = SimpleNamespace(gemmEx=lambda *args: None, **dict.fromkeys(names, 0))
    backend = cublas, dict.fromkeys(matmul._CUDA_TYPES, 0), lambda: 1
    with strict.install() as cupy, mock.patch.object(cupy, "RawModule", lambda **given: module, create=True), \
            mock.patch.object(matmul, "load_cublas", lambda: backend):
        launch.compile_kernel.cache_clear()
        yield cupy
    launch.compile_kernel.cache_clear()


def microseconds(f, steps, rounds):
    """The median of a call, divided by its steps."""
    times = []
    for _ in range(rounds + 1):
        start = perf_counter()
        f()
        times.append((perf_counter() - start) / steps * 1e6)
    return median(times[1:])


def measure(rounds):
    """Microseconds of the host: of one launch of a prepared loop, and of one step of an LSTM, arguments and all."""
    with idle_card():
        cell, rng = cells.LSTM(), np.random.default_rng(0)
        p, xs = to("gpu", (init.parameters(cell, I, H, rng), rng.normal(size=(T, B, I)).astype("f4")))
        s = to("gpu", cell.zeros(B, H))
        tape, ax = stepped._start(cell, p, xs, s, None, range(T), True)
        weights, dys = stepped._cast_weights(cell, p), to("gpu", np.ones((T, B, H), "f4"))
        d = to("gpu", cell.zeros(B, H))
        grads = step_gated.allocate_gradients(tape)
        one = step_gated.prepare_forward(tape, weights, ax, None)[-1]
        return {"launch": microseconds(stepped._repeat(tape.order, [one]), T, rounds),
                "step": microseconds(lambda: stepped.prepare_forward_steps(tape, weights, ax, None)(), T, rounds),
                "step back": microseconds(
                    lambda: stepped.prepare_backward_steps(tape, weights, dys, d, grads)(), T, rounds)}


if __name__ == "__main__":
    print(*(f"{what:10} {us:6.2f} us" for what, us in measure(9).items()), sep="\n")
