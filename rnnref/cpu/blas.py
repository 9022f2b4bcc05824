"""The threads of NumPy's BLAS: how many there are, and their limit while a loop over timesteps runs.

A product of one timestep is too small for several threads: each waits for the other, and on a busy machine that wait is
longer than the product.  So every loop in NumPy runs with one BLAS thread; in kernels of whole sequences rows of the
batch share the cores (lanes.py).
"""
import ctypes
from contextlib import nullcontext
from functools import lru_cache
from threading import Lock
from typing import Any, ContextManager, NamedTuple, Optional

import numpy

from ..errors import NotSupported

# OpenBLAS as NumPy's wheels bring it, and as distributions build it
_NAMES = "scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}64_", "openblas_{}"


class _OpenBLAS(NamedTuple):
    get_num_threads: Any
    set_num_threads: Any
    get_corename: Any


@lru_cache(None)
def _load() -> Optional[_OpenBLAS]:
    """The functions of the OpenBLAS that NumPy is linked with; None: another BLAS."""
    core = getattr(numpy, "_core", None) or numpy.core
    try:
        library = ctypes.CDLL(core._multiarray_umath.__file__)
    except OSError:
        return None
    for name in _NAMES:
        found = [getattr(library, name.format(what), None) for what in _OpenBLAS._fields]
        if all(found):
            blas = _OpenBLAS(*found)
            blas.get_corename.restype = ctypes.c_char_p
            return blas
    return None


@lru_cache(None)
def core_type() -> str:
    """The name of the processor for which OpenBLAS chose its kernels, such as "SkylakeX"; "" for another BLAS.

    The environment variable OPENBLAS_CORETYPE sets it, if it is there before NumPy is imported.
    """
    blas = _load()
    return blas.get_corename().decode() if blas else ""


class _Limit:
    """The limit, and how many loops run under it: the count of threads is the process's, not a thread's."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.limit: Optional[int] = 1
        self.running = 0                          # loops at present, nested or in parallel
        self.before: Optional[int] = None         # the count to restore when the last of them ends

    def __enter__(self) -> None:
        blas = _load()
        with self.lock:
            self.running += 1
            if self.running == 1 and blas and self.limit is not None:
                count = blas.get_num_threads()
                if count > self.limit:
                    self.before = count
                    blas.set_num_threads(self.limit)

    def __exit__(self, *_: Any) -> None:
        with self.lock:
            self.running -= 1
            if self.running == 0 and self.before is not None:
                _load().set_num_threads(self.before)          # type: ignore[union-attr]
                self.before = None


_limit, _NO_LIMIT = _Limit(), nullcontext()


def limit_threads(steps: Optional[int] = None) -> ContextManager:
    """A context in which NumPy's products use as many threads as `blas_threads` allows a loop of so many steps.

    One step alone is no loop: its products are as they are outside.
    """
    return _NO_LIMIT if steps == 1 else _limit


def count_threads() -> int:
    """The number of BLAS threads outside of any loop; 1 for a BLAS that cannot be asked."""
    blas = _load()
    with _limit.lock:
        return _limit.before or (blas.get_num_threads() if blas else 1)


def blas_threads(limit: Optional[int]) -> Optional[int]:
    """Set the number of BLAS threads inside of loops over timesteps; returns the limit that was set before.

    It is 1 at first; None: loops leave the count as it is.  The count belongs to the process: while a loop runs,
    products in other threads of the process have the limit too.  It is restored when the last of the loops ends, also
    by an error.  Only OpenBLAS has such a count; with another BLAS nothing is limited.

    Errors   NotSupported: not a positive number or None.

    >>> before = blas_threads(None)
    >>> blas_threads(before) is None
    True
    """
    if limit is not None and not (isinstance(limit, int) and limit > 0):
        raise NotSupported("blas_threads", f"limit={limit!r}, expected a positive number or None")
    with _limit.lock:
        before, _limit.limit = _limit.limit, limit
    return before
