"""Which array module, and which dtype.  (floor 0)

NumPy is not a back end here, it is the text; CuPy runs the same text.  The module is found from the arrays themselves:
there is no current back end, and nothing is copied between host and device unless asked by name.
"""
import sys
from typing import Any

import numpy

from .errors import DeviceError, NotSupported, import_optional

Array = Any                                       # a NumPy or CuPy array; CuPy is optional, so no type can name both

def is_cupy(a):
    """Whether `a` lives on a GPU.  CuPy is looked for, never imported: it is the caller's choice."""
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(a, cupy.ndarray)


def namespace(*arrays):
    """`numpy` or `cupy`: whichever owns every array given; None, numbers and tuples are passed over."""
    home = None
    for a in arrays:
        found = numpy if isinstance(a, numpy.ndarray) else sys.modules["cupy"] if is_cupy(a) else None
        if found is None or found is home:
            continue
        if home is not None:
            raise DeviceError("rnnref", "some arrays are in main memory (numpy) and some on the GPU (cupy)",
                              fix='move them first: rnnref.to("gpu", tree) or rnnref.to("cpu", tree)')
        home = found
    return home or numpy


def is_array(a):
    return isinstance(a, numpy.ndarray) or is_cupy(a)


def asnumpy(a):
    """The array in main memory; a copy only if it was on the GPU."""
    return a.get() if is_cupy(a) else numpy.asarray(a)


def make_transfer(where):
    """A function that takes one array to "cpu" or "gpu"."""
    if where == "cpu":
        return asnumpy
    if where == "gpu":
        return import_optional("cupy", "cuda13", 'to("gpu")').asarray
    raise NotSupported("to", f"where={where!r}", known="'cpu', 'gpu'")


def is_floating(dtype):
    return dtype.kind == "f" or dtype.name == "bfloat16"         # ml_dtypes registers bfloat16 as a void kind


def upcast(a):
    """16-bit storage as float32, anything else as it is: gates are computed in float32 at least."""
    return a.astype("float32") if hasattr(a, "dtype") and a.dtype.itemsize == 2 else a


def cast(a, like):
    """`a` in the dtype of `like`: what goes back into storage."""
    return a if not hasattr(a, "dtype") or a.dtype == like.dtype else a.astype(like.dtype)


def as_matrix(a):
    """[..., N] as a matrix: time, batch and space are all rows to a weight."""
    count = 1
    for n in a.shape[:-1]:
        count *= n
    return a.reshape(count, a.shape[-1])          # not -1: an empty batch has no size to infer it from
