"""The launch of a whole sequence: which kernel, and what it is told.  (floor 5)"""
from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy

from ..arrays import namespace
from ..errors import Error
from .launch import at_hand, compiled, layout
from .limits import CARDS, refused
from .pointwise import options
from .source import TYPES, Whole
from .texts import text_of
from .tiling import product, shared

WHO = "cuda.onchip"
PORTABLE, BEYOND = 8, 14                          # blocks of a cluster; the attribute that lets a kernel have more
UNASKED = 48 << 10                                # bytes of shared memory that a kernel gets without asking
# The pointers of the structs by their names in C++
ARGS = {"Ahead": "ax R bias h0 c0 y hs cs sent kept h c", "Back": "R kept c0 c hs dy dh dc dax dah dh0 dc0 dp"}
SEQUENCE = numpy.dtype([("live", "P"), *((name, "i4") for name in "steps rows n group reverse".split())], align=True)


class Direction(NamedTuple):
    """arrays: the fields of the kernel's struct by their names in C++; None, or not there: not wanted."""
    rule: Any; p: Any; arrays: dict; reverse: bool


class Peepholes:
    """Parameters of a rule as the kernel takes them, held until it is launched."""

    def __init__(self):
        self.arrays = []

    def parameter(self, name, a, A):
        self.arrays.append(namespace(a).ascontiguousarray(a.astype(A, copy=False)))
        return self.arrays[-1].data.ptr


@lru_cache(None)
def kernel(rule, task, t, W):
    """The instance; W: the dtype of x W and of states."""
    text = text_of(rule)
    exact = "float" if task.S == "tf32" and t.engine == "fma" else task.S
    return Whole(task.way, task.A, exact, TYPES[W.name], text.cpp(rule, task.A), text.header, t,
                 product(t, task._replace(S=exact)))


@lru_cache(None)
def both(way, fields, A):
    """The dtype of the struct of two directions."""
    return numpy.dtype([("each", layout(ARGS[way], fields, A, SEQUENCE), 2)], align=True)


def launch(directions, live, shape, task, t, W):
    """One launch for one direction or for two, of T steps of B rows of n units."""
    T, B, n = shape
    if not B:
        return                                    # there is nothing to write, and no grid of no blocks
    rule, held, told = directions[0].rule, Peepholes(), []
    at_hand(WHO, directions[0].arrays["R"])
    which, text = kernel(rule, task, t, W), text_of(rule)
    A = numpy.dtype("float64" if task.A == "double" else "float32")
    for one in directions:
        values = [pointer(name, one.arrays.get(name)) for name in ARGS[task.way].split()]
        to = (0 if live is None else live.data.ptr, T, B, n, t.group, one.reverse)
        told.append((tuple(options(one.rule, text, one.p, A, held)), *values, to))
    told += told[:2 - len(told)]                  # nobody looks at the second of one
    packed = numpy.zeros((), both(task.way, text.fields, A))
    packed["each"] = told
    grid, block, bytes_ = (-(-B // t.group) * t.blocks, len(directions)), (t.threads, 1), shared(t, task)
    why = refused(CARDS[task.sm], grid, block, bytes_)
    if why:
        raise Error(WHO, why, fix="please report it: choose.py should have taken another path")
    ready(which, t.blocks, bytes_)(grid, block, (packed,), shared_mem=bytes_)


def pointer(name, a):
    if a is None:
        return 0
    if not a.flags.c_contiguous:
        raise Error(WHO, f"{name} has gaps (strides {a.strides}), expected rows end to end", fix="please report it")
    return a.data.ptr


def ready(which, blocks, bytes_):
    """The kernel, with leave for what it needs."""
    function = compiled(which)
    if bytes_ > UNASKED:
        function.max_dynamic_shared_size_bytes = bytes_
    if blocks > PORTABLE:
        import_module("cupy_backends.cuda.api.driver").funcSetAttribute(function.kernel.ptr, BEYOND, 1)
    return function
