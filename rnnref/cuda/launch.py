"""Kernels compiled when first launched, the arguments of a launch, and the launch on CuPy's current stream.

CuPy compiles for the current device, keeps the result in memory and on disk (~/.cupy/kernel_cache, or CUPY_CACHE_DIR)
and adds -ftz=true to the options: in float32, numbers below 1.2e-38 are zero in these kernels, as in CuPy's own.
No other option changes arithmetic: without --use_fast_math division is exact, and tanh is the one of 2 ulp.
"""
import sys
from functools import lru_cache
from importlib import import_module
from typing import Any, Optional

import numpy

from ..arrays import Array, is_array, is_cupy
from ..errors import DeviceError, DtypeError, NotSupported, ShapeError, describe_type, import_optional
from .devices import LARGEST, geometry
from .errors import translate_errors
from .source import CPP_TYPES, assemble

_WHO = "CUDA kernels"
COMPILE_OPTIONS = ("-std=c++17",)
_PORTABLE_BLOCKS = 8                              # of a cluster; a kernel may have more after it sets this attribute:
_NON_PORTABLE_ATTRIBUTE = 14                      # CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED
_DEFAULT_SHARED_BYTES = 48 << 10                  # shared memory of a kernel that asks for none

# The structs of arguments, field by field as in C++: pointers, then where to start and how far to go (TO_DTYPE).
STRUCT_FIELDS = {
    "Forward": "ax ah h0 c0 y h c sent kept",
    "Backward": "kept c0 c h0 dy dh dc dax dah dh0 dc0 dp",
    "Reset": "ax ag h0 kept rh",
    "Renew": "ax an h0 kept y h sent",
    "RenewBack": "kept h0 dy dh dax",
    "ResetBack": "kept h0 dy dh drh dax dh0",
}
TO_DTYPE = numpy.dtype([("live", "P"), ("rows", "i4"), ("n", "i4"), ("span", "i4")], align=True)


def why_no_compiler() -> Optional[str]:
    """Why the CuPy of this process compiles no CUDA kernels; None if it does, or is not imported (it is not here)."""
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return None
    if not hasattr(cupy, "RawModule"):
        return "this CuPy compiles no kernels: it has no RawModule"
    return "this CuPy is for ROCm, the kernels are for CUDA" if cupy.cuda.runtime.is_hip else None


@lru_cache(None)
def struct_dtype(names: str, fields: tuple, A: Any, to_dtype: numpy.dtype = TO_DTYPE) -> numpy.dtype:
    """The dtype of a struct of arguments: options of the rule (`fields`), pointers (`names`), and the sizes."""
    parts = [(name, "P") for name in names.split()] + [("to", to_dtype)]
    if fields:
        rule = numpy.dtype([(name, A if kind == "A" else kind) for name, kind in fields], align=True)
        parts.insert(0, ("rule", rule))
    return numpy.dtype(parts, align=True)


@lru_cache(None)
def compile_kernel(kernel: Any) -> Any:
    """A Kernel or SequenceKernel as CuPy's RawKernel, which holds one binary for each device."""
    cupy = import_optional("cupy", "cuda13", _WHO)
    module = cupy.RawModule(code=assemble([kernel]), options=COMPILE_OPTIONS, backend="nvrtc")
    with translate_errors(_WHO):
        return module.get_function(kernel.name)


def permit(function: Any, blocks: int, shared_bytes: int) -> Any:
    """`function`, a RawKernel, after it is allowed clusters of so many blocks and so much shared memory."""
    if shared_bytes > _DEFAULT_SHARED_BYTES:
        function.max_dynamic_shared_size_bytes = shared_bytes
    if blocks > _PORTABLE_BLOCKS:
        import_module("cupy_backends.cuda.api.driver").funcSetAttribute(function.kernel.ptr, _NON_PORTABLE_ATTRIBUTE, 1)
    return function


def launch(kernel: Any, arrays: "LaunchArrays", fields: tuple = (), options: tuple = ()) -> None:
    """Launch `kernel` once on the current stream.  fields, options: those of its rule, and their values."""
    if arrays.rows and arrays.n:
        struct = pack_arguments(kernel, arrays, fields, options)
        with translate_errors(_WHO):
            compile_kernel(kernel)(*geometry(arrays.rows, arrays.n), (as_bytes(struct),))


def pack_arguments(kernel: Any, launch_arrays: "LaunchArrays", fields: tuple = (), options: tuple = ()) -> Array:
    """The struct of arguments of `kernel`."""
    arrays, live = launch_arrays.arrays, launch_arrays.live
    values = [arrays[name].data.ptr if name in arrays else 0 for name in STRUCT_FIELDS[kernel.args].split()]
    to = (0 if live is None else live.data.ptr, launch_arrays.rows, launch_arrays.n, launch_arrays.span)
    struct = struct_dtype(STRUCT_FIELDS[kernel.args], fields, kernel.A)
    return numpy.array(((tuple(options),) if fields else ()) + (*values, to), struct)


def as_bytes(structs: Array) -> Array:
    """Structs in the form in which they are given to CuPy, as a view without fields.

    CuPy reads the address off `__array_interface__`, for which NumPy lists all fields, in Python and at every launch:
    25 to 45 microseconds, where bytes take one.
    """
    return structs.view(f"V{structs.itemsize}")


def check_on_device(who: str, a: Any) -> Any:
    """Raise unless `a` is on the current GPU; return the module cupy.

    A kernel that reads an array of another device stops the GPU for the rest of the process.
    """
    if not is_cupy(a):
        raise DeviceError(who, f"a kernel was given {describe_type(a)}, expected an array on the GPU",
                          fix='rnnref.to("gpu", tree), or the plain rule for arrays in main memory')
    cupy = sys.modules["cupy"]
    current = cupy.cuda.runtime.getDevice()
    if a.device.id != current:
        raise DeviceError(who, f"the arrays are on GPU {a.device.id}, the current one is {current}",
                          fix=f"with cupy.cuda.Device({a.device.id}): ...")
    return cupy


def arithmetic_dtype(who: str, dtype: numpy.dtype) -> numpy.dtype:
    """The dtype of arithmetic for arrays of `dtype`: float64 for float64, float32 for all others."""
    if dtype.name not in CPP_TYPES:
        raise DtypeError(who, f"the kernels have no {dtype}", known=", ".join(CPP_TYPES))
    return numpy.dtype("float64" if dtype.name == "float64" else "float32")


class LaunchArrays:
    """The arrays of one launch: checked, allocated where they are missing, and held until the launch is on the stream.

    who     for errors
    like    an array on the device
    out     {name: array}: results to write to, in the place of new arrays
    live    bool, [*lead] or its first axes: rows that are computed; None: all
    lead    the leading axes, whose product is the number of rows
    n       units

    `arrays` has the fields of the kernel's struct, by their names in C++.
    """

    def __init__(self, who: str, like: Array, out: Optional[dict], live: Optional[Array], lead: tuple, n: int) -> None:
        self.who, self.xp, self.out, self.arrays, self.n = who, check_on_device(who, like), out or {}, {}, n
        self.lead, self.rows, self.span, self.live = lead, 1, 1, None
        for size in lead:
            self.rows *= size
        if max(self.rows, n) > LARGEST:
            raise ShapeError(who, f"{self.rows} rows of {n} units, the kernels take {LARGEST} of each")
        if live is not None:
            if live.dtype != bool or live.shape != lead[:live.ndim]:
                raise ShapeError(who, f"live is {live.dtype} {live.shape}, expected bool {lead} or its first axes")
            self.live, self.span = self._make_contiguous(live), self.rows // max(1, live.size)

    def _make_contiguous(self, a: Array) -> Array:
        return a if a.flags.c_contiguous else self.xp.ascontiguousarray(a)

    def _check(self, name: str, a: Array, shape: tuple, dtype: Any) -> None:
        if a.shape != shape:
            raise ShapeError(self.who, f"{name} has shape {a.shape}, expected {shape}")
        if a.dtype != dtype:
            raise DtypeError(self.who, f"{name} has dtype {a.dtype}, expected {dtype}")

    def add_input(self, name: str, a: Optional[Array], shape: tuple, dtype: Any) -> None:
        """An array that the kernel reads, copied if it is not contiguous; None: it is not there."""
        if a is not None:
            self._check(name, a, shape, dtype)
            self.arrays[name] = self._make_contiguous(a)

    def add_output(self, name: str, shape: tuple, dtype: Any, field: Optional[str] = None) -> Array:
        """An array that the kernel writes: that of `out`, or a new one.  field: its name in C++, if not `name`."""
        a = self.out.get(name)
        if a is None:
            a = self.xp.empty(shape, dtype)
        else:
            self._check(f"out[{name!r}]", a, shape, dtype)
            if not a.flags.c_contiguous:
                raise ShapeError(self.who, f"out[{name!r}] is not contiguous (strides {a.strides})")
        self.arrays[field or name] = a
        return a

    def add_in_out(self, name: str, a: Array, shape: tuple, dtype: Any) -> Array:
        """An array that the kernel reads and writes."""
        self.out = {**self.out, name: a}
        return self.add_output(name, shape, dtype)

    def operand_dtype(self, name: str, W: numpy.dtype) -> numpy.dtype:
        """The dtype of an operand of the next product: that of out[name] if it is given, else W."""
        S = self.out[name].dtype if self.out.get(name) is not None else W
        if S != W and not (W.name == "float32" and S.name in ("float16", "bfloat16")):
            raise DtypeError(self.who, f"out[{name!r}] has dtype {S}, expected {W}, or 16 bits beside float32")
        return S

    def add_parameter(self, name: str, a: Array, A: numpy.dtype) -> int:
        """The address of a parameter of the rule, cast to A."""
        if a.shape != (self.n,):
            raise NotSupported(self.who, f"{name} has shape {a.shape}, the kernels have one number a unit: {(self.n,)}")
        self.arrays[f"p.{name}"] = a = self._make_contiguous(a if a.dtype == A else a.astype(A))
        return a.data.ptr

    def add_kept(self, names: str, kept: Any, A: numpy.dtype) -> None:
        """The intermediates as one array: the one that these are views of, or a copy if there is no such array."""
        if is_array(kept):
            return self.add_input("kept", kept, (*self.lead, len(names.split()), self.n), A)
        blocks = kept[:len(names.split())]
        for name, a in zip(names.split(), blocks):
            self._check(f"kept.{name}", a, blocks[0].shape, A)
        if not self._is_one_array(blocks):
            blocks = [self.xp.stack(blocks, -2)]
        self.arrays["kept"] = blocks[0]

    def _is_one_array(self, blocks: Any) -> bool:
        """True if these are the views [..., j, :] of one contiguous array, in order."""
        first, row = blocks[0], self.n * blocks[0].itemsize
        strides, size = [first.itemsize], row * len(blocks)
        for extent in first.shape[-2::-1]:
            strides.insert(0, size)
            size *= extent
        return all(a.strides == tuple(strides) and a.data.ptr == first.data.ptr + j * row for j, a in enumerate(blocks))
