"""The launch of a whole sequence: which kernel, and what it is told.  (floor 5)"""
from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy

from ..arrays import namespace
from ..cuda.devices import CARDS, why_no_launch
from ..cuda.kernel_table import kernel_row_of
from ..cuda.launch import as_bytes, check_on_device, compile_kernel, struct_dtype
from ..cuda.pointwise import pack_options
from ..cuda.source import CPP_TYPES, SequenceKernel
from ..errors import Error
from .tiling import count_shared_bytes, product_arguments

_WHO = "onchip"
_PORTABLE_BLOCKS, _NON_PORTABLE_ATTRIBUTE = 8, 14                          # blocks of a cluster; the attribute that lets a kernel have more
_DEFAULT_SHARED_BYTES = 48 << 10                                # bytes of shared memory that a kernel gets without asking
# The pointers of the structs by their names in C++
_STRUCT_FIELDS = {"Ahead": "ax R bias h0 c0 y hs cs sent kept h c", "Back": "R kept c0 c hs dy dh dc dax dah dh0 dc0 dp"}
_SEQUENCE_DTYPE = numpy.dtype([("live", "P"), *((name, "i4") for name in "steps rows n group reverse".split())], align=True)


class Direction(NamedTuple):
    """arrays: the fields of the kernel's struct by their names in C++; None, or not there: not wanted."""
    rule: Any; p: Any; arrays: dict; reverse: bool


class _RuleParameters:
    """Parameters of a rule as the kernel takes them, held until it is launched."""

    def __init__(self):
        self.arrays = []

    def parameter(self, name, a, A):
        self.arrays.append(namespace(a).ascontiguousarray(a.astype(A, copy=False)))
        return self.arrays[-1].data.ptr


@lru_cache(None)
def make_kernel(rule, task, t, W):
    """The instance; W: the dtype of x W and of states."""
    text = kernel_row_of(rule)
    exact = "float" if task.S == "tf32" and t.engine == "fma" else task.S
    return SequenceKernel(task.way, task.A, exact, CPP_TYPES[W.name], text.cpp(rule, task.A), text.header, t,
                 product_arguments(t, task._replace(S=exact)))


@lru_cache(None)
def _pair_dtype(way, fields, A):
    """The dtype of the struct of two directions."""
    return numpy.dtype([("each", struct_dtype(_STRUCT_FIELDS[way], fields, A, _SEQUENCE_DTYPE), 2)], align=True)


def launch_sequence(directions, live, shape, task, t, W):
    """One launch for one direction or for two, of T steps of B rows of n units."""
    T, B, n = shape
    if not B:
        return                                    # there is nothing to write, and no grid of no blocks
    rule, held, told = directions[0].rule, _RuleParameters(), []
    check_on_device(_WHO, directions[0].arrays["R"])
    which, text = make_kernel(rule, task, t, W), kernel_row_of(rule)
    A = numpy.dtype("float64" if task.A == "double" else "float32")
    for one in directions:
        values = [_pointer_to(name, one.arrays.get(name)) for name in _STRUCT_FIELDS[task.way].split()]
        to = (0 if live is None else live.data.ptr, T, B, n, t.group, one.reverse)
        told.append((tuple(pack_options(one.rule, text, one.p, A, held)), *values, to))
    told += told[:2 - len(told)]                  # nobody looks at the second of one
    packed = numpy.zeros((), _pair_dtype(task.way, text.fields, A))
    packed["each"] = told
    grid, block, bytes_ = (-(-B // t.group) * t.blocks, len(directions)), (t.threads, 1), count_shared_bytes(t, task)
    why = why_no_launch(CARDS[task.sm], grid, block, bytes_)
    if why:
        raise Error(_WHO, why, fix="please report it: choose.py should have taken another path")
    _configure(which, t.blocks, bytes_)(grid, block, (as_bytes(packed),), shared_mem=bytes_)


def _pointer_to(name, a):
    if a is None:
        return 0
    if not a.flags.c_contiguous:
        raise Error(_WHO, f"{name} has gaps (strides {a.strides}), expected rows end to end", fix="please report it")
    return a.data.ptr


def _configure(which, blocks, bytes_):
    """The kernel, with leave for what it needs."""
    return permit(compile_kernel(which), blocks, bytes_)


def permit(function, blocks, bytes_):
    """Let a kernel have clusters of so many blocks and so many bytes of shared memory."""
    if bytes_ > _DEFAULT_SHARED_BYTES:
        function.max_dynamic_shared_size_bytes = bytes_
    if blocks > _PORTABLE_BLOCKS:
        import_module("cupy_backends.cuda.api.driver").funcSetAttribute(function.kernel.ptr, _NON_PORTABLE_ATTRIBUTE, 1)
    return function
