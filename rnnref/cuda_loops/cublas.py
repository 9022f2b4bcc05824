"""A handle of cuBLAS that is ours, for products that are recorded as part of a CUDA graph.  (floor 5)

CuPy's cublas tells its handle the current stream before every call, and that raises while the stream is being captured
(CuPy 13.6 and 14.2).  So the same library, the one that CuPy has loaded, is called by ctypes.  While it is captured it
may not allocate: the handle is given a workspace, which is memory of CuPy's pool.

A workspace belongs to a stream: all that uses it runs there, one after the other.
"""
import os
import sys
from ctypes import CDLL, byref, c_char_p, c_int, c_size_t, c_void_p
from functools import lru_cache
from weakref import WeakValueDictionary, finalize

from ..cuda import matmul
from ..cuda.errors import translate_error
from ..errors import Error, MissingExtra, import_optional

_WHO = "cuBLAS for CUDA graphs"
_P, _I = c_void_p, c_int
_MATRIX = _P, _I, _I                                  # where, of which type, how far from one column to the next
_SIGNATURES = {
    "cublasCreate_v2": (_P,), "cublasDestroy_v2": (_P,), "cublasSetStream_v2": (_P, _P),
    "cublasSetWorkspace_v2": (_P, _P, c_size_t),
    "cublasGemmEx": (_P, _I, _I, _I, _I, _I, _P, *_MATRIX, *_MATRIX, _P, *_MATRIX, _I, _I),
}
WORKSPACES: WeakValueDictionary = WeakValueDictionary()               # (device, stream) -> Workspace

# Named as CuPy's, by which trouble.py knows it.
CUBLASError = type("CUBLASError", (RuntimeError,), {})


def why_no_capture():
    """Why no product can be recorded here, in words, or None.  CuPy is looked for, not imported."""
    cupy = sys.modules.get("cupy")
    if cupy is not None and not hasattr(getattr(cupy.cuda, "Stream", None), "begin_capture"):
        return "this CuPy captures no streams"
    return None if sys.platform == "linux" else f"cuBLAS is looked for by its name on Linux, this is {sys.platform}"


@lru_cache(None)
def load_library():
    """cuBLAS of the CUDA that CuPy is for; another one may have been loaded beside it."""
    matmul.load_cublas()                            # by this CuPy loads its own
    name = f"libcublas.so.{import_optional('cupy', 'cuda13', _WHO).cuda.runtime.runtimeGetVersion() // 1000}"
    try:
        try:
            lib = CDLL(name, mode=os.RTLD_NOLOAD)
        except OSError:                           # not loaded, or under another name
            lib = CDLL(name)
    except OSError as e:
        raise MissingExtra(_WHO, f"{name} is not found", said=str(e), fix='pip install "cupy-cuda13x[ctk]" '
                           '(cupy-cuda12x[ctk] for CUDA 12), or paths=("stepped", "bidirectional")') from e
    for function, types in _SIGNATURES.items():
        getattr(lib, function).argtypes = types
    lib.cublasGetStatusName.restype = c_char_p
    return lib


def _check_status(lib, status):
    """Raise what a status says unless it is 0."""
    if status:
        e = CUBLASError(lib.cublasGetStatusName(status).decode())
        raise translate_error(_WHO, e) or Error(_WHO, f"a call failed: {e}",
                                          fix='paths=("stepped", "bidirectional") takes CuPy\'s own') from e


class Workspace:
    """Device memory for one stream, as much as cuBLAS's documentation recommends for the card."""

    def __init__(self, sm):
        self.array = import_optional("cupy", "cuda13", _WHO).empty(_workspace_bytes(sm), "uint8")


def _workspace_bytes(sm):
    """Bytes, for a compute capability times ten; None: not known.

    >>> [_workspace_bytes(sm) >> 20 for sm in (None, 80, 90, 100, 120)]
    [4, 4, 32, 32, 12]
    """
    return (4 if sm is None or sm < 90 else 32 if sm < 120 else 12) << 20


def get_workspace(device, stream, sm):
    """That of the current stream, which is to be `stream`.  It lives as long as somebody holds it."""
    found = WORKSPACES.get((device, stream.ptr))
    if found is None:
        found = WORKSPACES[device, stream.ptr] = Workspace(sm)
    return found


class Handle:
    """Of the current card."""

    def __init__(self, lib):
        self.lib, made = lib, c_void_p()
        _check_status(lib, lib.cublasCreate_v2(byref(made)))
        self.address = made.value
        finalize(self, lib.cublasDestroy_v2, self.address)

    def set_stream(self, stream, room):
        """The stream first: cuBLAS forgets its workspace when it gets another."""
        _check_status(self.lib, self.lib.cublasSetStream_v2(self.address, stream.ptr))
        _check_status(self.lib, self.lib.cublasSetWorkspace_v2(self.address, room.array.data.ptr, room.array.nbytes))

    def gemmEx(self, *args):
        """As CuPy's, which has cuBLAS's own arguments."""
        _check_status(self.lib, self.lib.cublasGemmEx(*args))


@lru_cache(None)
def get_handle(device):
    """That of the current card, which is to be `device`: it takes long to make one."""
    return Handle(load_library())
