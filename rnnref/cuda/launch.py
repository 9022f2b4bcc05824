"""Kernels compiled when they are first launched, and launched on CuPy's current stream.  (floor 5)

CuPy compiles for the card at hand, keeps the result in memory and on disk (~/.cupy/kernel_cache, or CUPY_CACHE_DIR) and
appends -ftz=true to our options: in float32, numbers below 1.2e-38 are zero in kernels, as they are in CuPy's own.
Nothing else bends arithmetic: no --use_fast_math, so division is exact and tanh the one of 2 ulp.
"""
import sys
from functools import lru_cache

import numpy

from ..arrays import is_cupy
from ..errors import DeviceError, import_optional
from .devices import geometry
from .errors import translate_errors
from .source import assemble

_WHO = "CUDA kernels"
COMPILE_OPTIONS = ("-std=c++17",)

# The structs of arguments, field by field as C++ has them: pointers, and in the end where to go.
STRUCT_FIELDS = {
    "Forward": "ax ah h0 c0 y h c sent kept",
    "Backward": "kept c0 c h0 dy dh dc dax dah dh0 dc0 dp",
    "Reset": "ax ag h0 kept rh",
    "Renew": "ax an h0 kept y h sent",
    "RenewBack": "kept h0 dy dh dax",
    "ResetBack": "kept h0 dy dh drh dax dh0",
}
TO_DTYPE = numpy.dtype([("live", "P"), ("rows", "i4"), ("n", "i4"), ("span", "i4")], align=True)


def why_no_compiler():
    """Why this CuPy compiles no CUDA kernels, in words, or None.  CuPy is looked for, not imported."""
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return None
    if not hasattr(cupy, "RawModule"):
        return "this CuPy compiles no kernels: it has no RawModule"
    return "this CuPy is for ROCm, the kernels are for CUDA" if cupy.cuda.runtime.is_hip else None


@lru_cache(None)
def struct_dtype(names, fields, A, to_dtype=TO_DTYPE):
    """The dtype of a struct: the options of its rule, pointers, and where to go."""
    parts = [(name, "P") for name in names.split()] + [("to", to_dtype)]
    if fields:
        rule = numpy.dtype([(name, A if kind == "A" else kind) for name, kind in fields], align=True)
        parts.insert(0, ("rule", rule))
    return numpy.dtype(parts, align=True)


@lru_cache(None)
def compile_kernel(kernel):
    """The kernel as CuPy's RawKernel, which holds one binary for each card."""
    cupy = import_optional("cupy", "cuda13", _WHO)
    module = cupy.RawModule(code=assemble([kernel]), options=COMPILE_OPTIONS, backend="nvrtc")
    with translate_errors(_WHO):
        return module.get_function(kernel.name)


def launch(kernel, arrays, fields=(), options=()):
    """One launch of `kernel` on the arrays that `hold` has, on the current stream; fields and options: of its rule."""
    if arrays.rows and arrays.n:
        with translate_errors(_WHO):
            compile_kernel(kernel)(*geometry(arrays.rows, arrays.n), (as_bytes(pack_arguments(kernel, arrays, fields, options)),))


def pack_arguments(kernel, hold, fields=(), options=()):
    """The struct that the kernel takes."""
    arrays = hold.arrays
    values = [arrays[name].data.ptr if name in arrays else 0 for name in STRUCT_FIELDS[kernel.args].split()]
    to = (0 if hold.live is None else hold.live.data.ptr, hold.rows, hold.n, hold.span)
    struct = struct_dtype(STRUCT_FIELDS[kernel.args], fields, kernel.A)
    return numpy.array(((tuple(options),) if fields else ()) + (*values, to), struct)


def as_bytes(structs):
    """Structs in the form in which they are given to CuPy, as a view without fields.

    CuPy reads the address off `__array_interface__`, for which NumPy lists all fields, in Python and at every launch:
    25 to 45 microseconds, where bytes take one.
    """
    return structs.view(f"V{structs.itemsize}")


def check_on_device(who, a):
    """Raise unless `a` is on the current GPU: a kernel that reads from elsewhere ends the process's use of its card."""
    if not is_cupy(a):
        raise DeviceError(who, f"a kernel was given a {type(a).__name__}, expected an array on the GPU",
                          fix='rnnref.to("gpu", tree), or the plain rule for arrays in main memory')
    cupy = sys.modules["cupy"]
    here = cupy.cuda.runtime.getDevice()
    if a.device.id != here:
        raise DeviceError(who, f"the arrays are on GPU {a.device.id}, the current one is {here}",
                          fix=f"with cupy.cuda.Device({a.device.id}): ...")
    return cupy
