"""The array module of arrays, NumPy or CuPy, and conversions of dtype.

The code is written for NumPy, and CuPy runs the same code.  The module is found from the arrays themselves: there is no
global back end, and nothing is copied between main memory and a GPU but by `rnnref.to`.
"""
import sys
from importlib import import_module
from typing import Any, Callable

import numpy

from .errors import DeviceError, NotSupported, import_optional

Array = Any                                       # a NumPy or CuPy array; CuPy is optional, so no type can name both


def is_cupy(a: Any) -> bool:
    """Whether `a` is an array on a GPU.  CuPy is never imported here: without it there is no such array."""
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(a, cupy.ndarray)


def namespace(*arrays: Any) -> Any:
    """The module `numpy` or `cupy` that all these arrays belong to; None, numbers and tuples are skipped.

    Errors   DeviceError: some are in main memory and some on a GPU.
    """
    home = None
    for a in arrays:
        module = numpy if isinstance(a, numpy.ndarray) else sys.modules["cupy"] if is_cupy(a) else None
        if module is None or module is home:
            continue
        if home is not None:
            raise DeviceError("rnnref", "some arrays are in main memory (numpy) and some on the GPU (cupy)",
                              fix='move them first: rnnref.to("gpu", tree) or rnnref.to("cpu", tree)')
        home = module
    return home or numpy


def is_array(a: Any) -> bool:
    """Whether `a` is an array of NumPy or CuPy."""
    return isinstance(a, numpy.ndarray) or is_cupy(a)


def asnumpy(a: Array) -> numpy.ndarray:
    """The array in main memory; copied only if it was on a GPU."""
    return a.get() if is_cupy(a) else numpy.asarray(a)


def make_transfer(where: str) -> Callable[[Array], Array]:
    """A function that moves one array to "cpu" or "gpu"."""
    if where == "cpu":
        return asnumpy
    if where == "gpu":
        cupy = import_optional("cupy", "cuda13", 'to("gpu")')
        return import_module("rnnref.cuda.errors").translate_errors('to("gpu")')(cupy.asarray)
    raise NotSupported("to", f"where={where!r}", known="'cpu', 'gpu'")


def is_floating(dtype: Any) -> bool:
    """Whether a dtype is one of floating-point numbers, bfloat16 included."""
    return dtype.kind == "f" or dtype.name == "bfloat16"         # ml_dtypes registers bfloat16 as a void kind


def upcast(a: Any) -> Any:
    """16-bit storage as float32, anything else unchanged: gates are computed in float32 at least."""
    return a.astype("float32") if hasattr(a, "dtype") and a.dtype.itemsize == 2 else a


def cast(a: Any, like: Any) -> Any:
    """`a` in the dtype of `like`: results go back to the precision of storage."""
    return a if not hasattr(a, "dtype") or a.dtype == like.dtype else a.astype(like.dtype)


def split(a: Array, n: int) -> list:
    """Views of n equal blocks of the last axis: `numpy.split`, which takes three times as long for it."""
    width, left = divmod(a.shape[-1], n)
    if left:
        raise ValueError(f"a last axis of {a.shape[-1]} has no {n} equal blocks")
    return [a[..., k * width:(k + 1) * width] for k in range(n)]


def as_matrix(a: Array) -> Array:
    """[..., N] as a matrix [rows, N]: for a weight, time, batch and space are all rows."""
    count = 1
    for n in a.shape[:-1]:
        count *= n
    return a.reshape(count, a.shape[-1])          # not -1: an empty batch has no size to infer it from
