"""CUDA source run on the CPU, in the form of cupy.RawModule: see cuda_host_shim.h.

    module = HostModule(code=source)                  # its extern "C" kernels, compiled by g++, once for each source
    module.get_function("name")((grid,), (block,), (array, np.int32(n)))

Arrays are NumPy's, in place.  Arguments by value are NumPy scalars or arrays of size one, as for CuPy, and are seen to
have the size that the kernel takes: CuPy sends a Python int as 8 bytes.
"""
import ctypes
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np

HERE = Path(__file__).parent
BUILT = HERE.parent.parent / "build" / "shim"
ORDERS = {"fifo": 0, "lifo": 1, "random": 2}
FLAGS = "-std=c++17 -O1 -fPIC -shared -U_FORTIFY_SOURCE -ffp-contract=off -Wall -Wno-unknown-pragmas".split()
SANITIZE = "-g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer".split()


class HostKernelError(RuntimeError):
    """A fault of a kernel, or the message of g++ about its source."""


def built(text, sanitize=False, name="kernels.cpp"):
    """The library of this C++ source, from the cache or by g++."""
    flags = [*FLAGS, *(SANITIZE if sanitize else ()), "-I", str(HERE)]
    known = [text, *flags, *((HERE / f).read_text() for f in ("cuda_host_shim.h",))]
    lib = BUILT / (hashlib.sha256("\0".join(known).encode()).hexdigest()[:32] + ".so")
    if not lib.exists() and shutil.which("g++") is None:
        raise HostKernelError("g++ is not on PATH: it compiles kernels for the CPU (Debian: apt-get install g++)")
    if not lib.exists():
        BUILT.mkdir(parents=True, exist_ok=True)
        with open(lib.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)      # of several processes that test, one compiles
            if not lib.exists():
                build(text, name, flags, lib)
    return lib


def build(text, name, flags, lib):
    with tempfile.TemporaryDirectory(dir=BUILT) as folder:
        source, made = Path(folder) / name, Path(folder) / "made.so"
        source.write_text(text)
        result = subprocess.run(["g++", *flags, str(source), "-o", str(made)], capture_output=True, text=True)
        if result.returncode:
            raise HostKernelError("g++: " + result.stderr[:4000])
        os.replace(made, lib)


@lru_cache(None)
def engine(sanitize=False):
    lib = ctypes.CDLL(str(built((HERE / "engine.cpp").read_text(), sanitize, "engine.cpp")), mode=ctypes.RTLD_GLOBAL)
    lib.shim_launch.restype = ctypes.c_char_p
    lib.shim_launch.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p,
                                ctypes.c_size_t, ctypes.c_int, ctypes.c_uint64]
    return lib


class HostModule:
    order = "fifo"                                # of threads, unless a launch has another
    seed = 1
    sanitize = False

    def __init__(self, *, code, options=(), backend="nvrtc"):
        found = re.findall(r'^extern "C" __global__ void (?:__cluster_dims__\((\d+), 1, 1\) )?'
                           r'(?:__launch_bounds__\((\d+)[^)]*\) )?(\w+)\(', code, re.M)
        self.names = {name: (int(cluster or 1), int(threads or 1024)) for cluster, threads, name in found}
        exports = [f"SHIM_EXPORT({name})" for name in self.names]
        self.text = "\n".join(['#include "cuda_host_shim.h"', code, *exports, ""])

    def get_function(self, name):
        self.engine = engine(self.sanitize)
        if name not in self.names:
            raise HostKernelError(f"no kernel {name} in this source, only {', '.join(self.names)}")
        return HostKernel(self, ctypes.CDLL(str(built(self.text, self.sanitize))), name)


class HostKernel:
    def __init__(self, module, lib, name):
        self.module, self.lib, self.name, self.sizes = module, lib, name, []
        say = ctypes.CFUNCTYPE(None, ctypes.c_char, ctypes.c_size_t)(lambda *one: self.sizes.append(one))
        getattr(lib, "shim_sizes_" + name)(say)
        self.body = ctypes.cast(getattr(lib, "shim_call_" + name), ctypes.c_void_p)
        self.cluster, self.threads = module.names[name]
        self.max_dynamic_shared_size_bytes, self.attributes = 48 << 10, {}

    @property
    def kernel(self):
        """The kernel for CuPy's driver."""
        return SimpleNamespace(ptr=self)

    def asked(self, grid, block, shared_mem):
        """Raise where a card would refuse the launch."""
        threads = block[0] * (*block, 1)[1] * (*block, 1, 1)[2]
        if threads > self.threads or shared_mem > self.max_dynamic_shared_size_bytes or grid[0] % self.cluster:
            raise HostKernelError(f"{self.name}: grid {grid}, block {block}, {shared_mem} bytes, for clusters of "
                                  f"{self.cluster}, {self.threads} threads, {self.max_dynamic_shared_size_bytes} bytes")
        if self.cluster > 8 and not self.attributes.get(14):
            raise HostKernelError(f"{self.name}: clusters of {self.cluster} blocks are not portable, and not allowed")

    def __call__(self, grid, block, args, shared_mem=0, *, together=None, order=None, seed=None):
        self.asked(grid, block, shared_mem)
        together = together or self.cluster
        if len(args) != len(self.sizes):
            raise TypeError(f"{self.name} takes {len(self.sizes)} arguments, {len(args)} were given")
        held = [self.argument(i, a, *want) for i, (a, want) in enumerate(zip(args, self.sizes))]
        pointers = (ctypes.c_void_p * len(held))(*map(ctypes.addressof, held))
        grid, block = ((ctypes.c_uint * 3)(*(*axes, 1, 1)[:3]) for axes in (grid, block))
        error = self.module.engine.shim_launch(self.body, grid, block, shared_mem, pointers, together,
                                               ORDERS[order or self.module.order], seed or self.module.seed)
        if error:
            raise HostKernelError(f"{self.name}: {error.decode()}")

    def argument(self, i, a, kind, size):
        """The bytes of one argument."""
        if kind == b"v":
            if not isinstance(a, (np.generic, np.ndarray)) or a.size != 1 or a.nbytes != size:
                raise TypeError(f"{self.name}: argument {i} is {a!r}, expected a NumPy scalar of {size} bytes")
            return ctypes.create_string_buffer(a.tobytes(), size)
        if a is None:
            return ctypes.c_void_p(0)
        if a.itemsize != size or not a.flags.c_contiguous:
            raise TypeError(f"{self.name}: argument {i} is {a.dtype} {a.shape}, expected items of {size} bytes")
        return ctypes.c_void_p(a.ctypes.data)
