"""The strict double of CuPy with a RawModule: the kernels run on the CPU, launched by rnnref's own code."""
from contextlib import contextmanager

import strict

from rnnref.cuda import launch

from .hostsim import HostModule


@contextmanager
def with_kernels(order="fifo", seed=1, sanitize=False):
    """`strict.install()` with kernels.  order, seed: in which threads run."""
    with strict.install() as cupy:
        before = vars(cupy).get("RawModule")
        cupy.RawModule = type("RawModule", (HostModule,), {"order": order, "seed": seed, "sanitize": sanitize})
        launch.compiled.cache_clear()
        try:
            yield cupy
        finally:
            cupy.RawModule = before
            if before is None:
                del cupy.RawModule
            launch.compiled.cache_clear()
