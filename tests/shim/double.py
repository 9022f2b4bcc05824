"""The strict double of CuPy with a RawModule: the kernels run on the CPU, launched by rnnref's own code."""
import sys
from contextlib import contextmanager
from types import ModuleType
from unittest import mock

from rnnref.cuda import launch, source
from tests.kernels.instances import TYPES, kernels
from tests.shim.hostsim import HostModule
from tests.support import strict

# g++ takes longer to start than to compile a kernel, so all are compiled as one source, the sanitized as another
WHOLE = {False: source.assemble(list(kernels())), True: source.assemble(list(kernels(TYPES[1:2])))}


def part(code, whole):
    """True if all lines of one source are lines of another: those of a planted fault are not."""
    return set(code.splitlines()) <= set(whole.splitlines())


@contextmanager
def with_kernels(order="fifo", seed=1, sanitize=False):
    """`strict.install()` with kernels.  order, seed: of the threads."""
    class RawModule(HostModule):
        def __init__(self, *, code, options=(), backend="nvrtc"):
            super().__init__(code=WHOLE[sanitize] if part(code, WHOLE[sanitize]) else code)

    RawModule.order, RawModule.seed, RawModule.sanitize = order, seed, sanitize
    driver = ModuleType("cupy_backends.cuda.api.driver")
    driver.funcSetAttribute = lambda kernel, attribute, value: kernel.attributes.update({attribute: value})
    with strict.install() as cupy, mock.patch.dict(sys.modules, {driver.__name__: driver}):
        before = vars(cupy).get("RawModule")
        cupy.RawModule = RawModule
        launch.compile_kernel.cache_clear()
        try:
            yield cupy
        finally:
            cupy.RawModule = before
            if before is None:
                del cupy.RawModule
            launch.compile_kernel.cache_clear()
