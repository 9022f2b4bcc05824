"""Memory that loops use again: buffers lent to one call or tape, and taken back when it is gone.

New memory costs a page fault for every page that is touched first, as much as a tenth of a training step.
"""
from math import prod
from threading import RLock
from typing import Any

import numpy

from ..arrays import Array

LIMIT = 256 << 20                                 # bytes that wait to be used again; the oldest beyond it are freed
_SMALL = 64 << 10                                 # smaller buffers are made anew
_ALIGNMENT = 64


def make_aligned(shape: tuple, dtype: Any) -> Array:
    """A new array that begins with a line of the cache, its contents unknown.

    OpenBLAS takes a tenth less time for such a matrix and a single column.
    """
    size = numpy.dtype(dtype).itemsize * prod(shape)
    buffer = numpy.empty(size + _ALIGNMENT, numpy.uint8)
    return numpy.ndarray(shape, dtype, buffer, -buffer.ctypes.data % _ALIGNMENT)


class _Pool:
    """Free buffers, the latest last.  An RLock: the garbage collector may take buffers back at any time."""

    def __init__(self) -> None:
        self.lock, self.free = RLock(), []

    def take(self, size: int) -> Array:
        with self.lock:
            for k in range(len(self.free))[::-1]:
                if size <= self.free[k].nbytes <= 2 * size:
                    return self.free.pop(k)
        return make_aligned((size,), numpy.uint8)

    def give_back(self, buffers: list) -> None:
        with self.lock:
            self.free += buffers
            total = sum(buffer.nbytes for buffer in self.free)
            while total > LIMIT:
                total -= self.free.pop(0).nbytes


_pool = _Pool()


def release_workspaces() -> int:
    """Free the memory that loops keep to use it again, and return how many bytes that were.

    Tapes keep theirs until they are gone.
    """
    with _pool.lock:
        size = sum(buffer.nbytes for buffer in _pool.free)
        _pool.free.clear()
    return size


class Workspace:
    """Buffers of one call or tape, which go back to the pool with it.  No array of them may leave their owner."""

    def __init__(self) -> None:
        self._buffers: list = []
        self._scratch: dict = {}

    def empty(self, shape: tuple, dtype: Any) -> Array:
        """An array with unknown contents."""
        size = numpy.dtype(dtype).itemsize * prod(shape)
        if size < _SMALL:
            return numpy.empty(shape, dtype)
        buffer = _pool.take(size)
        self._buffers.append(buffer)
        return numpy.ndarray(shape, dtype, buffer)

    def scratch(self, name: str, shape: tuple, dtype: Any) -> Array:
        """The array of that name: its contents last until the next call with this name and shape."""
        key = name, shape, dtype
        if key not in self._scratch:
            self._scratch[key] = self.empty(shape, dtype)
        return self._scratch[key]

    def __del__(self) -> None:
        if self._buffers:
            _pool.give_back(self._buffers)
