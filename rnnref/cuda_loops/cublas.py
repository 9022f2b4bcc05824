"""A handle of cuBLAS beside CuPy's, for matrix products that are captured as part of a CUDA graph.

CuPy's cublas sets the stream of its handle before every call, and that raises while the stream is being captured (CuPy
13.6 and 14.2).  So the same library, which CuPy has loaded, is called by ctypes.  During capture it may not allocate:
the handle is given a workspace, which is memory of CuPy's pool.

A workspace belongs to a stream: all that uses it runs there, one after the other.
"""
import os
import sys
from ctypes import CDLL, byref, c_char_p, c_int, c_size_t, c_void_p
from functools import lru_cache
from typing import Any, Optional
from weakref import WeakValueDictionary, finalize

from ..cuda import matmul
from ..cuda.errors import translate_error
from ..errors import Error, MissingExtra, import_optional

_WHO = "cuBLAS for CUDA graphs"
_P, _I = c_void_p, c_int
_MATRIX = _P, _I, _I                              # address, type, distance between columns
_SIGNATURES = {
    "cublasCreate_v2": (_P,), "cublasDestroy_v2": (_P,), "cublasSetStream_v2": (_P, _P),
    "cublasSetWorkspace_v2": (_P, _P, c_size_t),
    "cublasGemmEx": (_P, _I, _I, _I, _I, _I, _P, *_MATRIX, *_MATRIX, _P, *_MATRIX, _I, _I),
}
WORKSPACES: WeakValueDictionary = WeakValueDictionary()           # (device, stream) -> Workspace

# Has the name of CuPy's error, by which cuda/errors.py recognises it.
CUBLASError = type("CUBLASError", (RuntimeError,), {})


def why_no_capture() -> Optional[str]:
    """Why no product can be captured in this process; None if it can, or CuPy is not imported."""
    cupy = sys.modules.get("cupy")
    if cupy is not None and not hasattr(getattr(cupy.cuda, "Stream", None), "begin_capture"):
        return "this CuPy captures no streams"
    return None if sys.platform == "linux" else f"cuBLAS is loaded by its name on Linux, this is {sys.platform}"


@lru_cache(None)
def load_library() -> Any:
    """cuBLAS of the CUDA that CuPy is built for; the process may have loaded another version too."""
    matmul.load_cublas()                          # makes CuPy load its own
    name = f"libcublas.so.{import_optional('cupy', 'cuda13', _WHO).cuda.runtime.runtimeGetVersion() // 1000}"
    try:
        try:
            lib = CDLL(name, mode=os.RTLD_NOLOAD)
        except OSError:                           # not loaded, or under another name
            lib = CDLL(name)
    except OSError as e:
        raise MissingExtra(_WHO, f"{name} is not found", error=str(e), fix='pip install "cupy-cuda13x[ctk]" '
                           '(cupy-cuda12x[ctk] for CUDA 12), or paths=("stepped", "bidirectional")') from e
    for function, types in _SIGNATURES.items():
        getattr(lib, function).argtypes = types
    lib.cublasGetStatusName.restype = c_char_p
    return lib


def _check_status(lib: Any, status: int) -> None:
    """Raise the error of a status that is not 0."""
    if status:
        e = CUBLASError(lib.cublasGetStatusName(status).decode())
        fix = 'paths=("stepped", "bidirectional") uses CuPy\'s own'
        raise translate_error(_WHO, e) or Error(_WHO, f"a call failed: {e}", fix=fix) from e


class Workspace:
    """Device memory for one stream, as much as cuBLAS's documentation recommends for the card."""

    def __init__(self, sm: Optional[int]) -> None:
        self.array = import_optional("cupy", "cuda13", _WHO).empty(_workspace_bytes(sm), "uint8")


def _workspace_bytes(sm: Optional[int]) -> int:
    """The size of a workspace for a compute capability times ten; None: not known.

    >>> [_workspace_bytes(sm) >> 20 for sm in (None, 80, 90, 100, 120)]
    [4, 4, 32, 32, 12]
    """
    return (4 if sm is None or sm < 90 else 32 if sm < 120 else 12) << 20


def get_workspace(device: int, stream: Any, sm: Optional[int]) -> Workspace:
    """The workspace of `stream`, which must be the current one.  It is freed with the last reference to it."""
    workspace = WORKSPACES.get((device, stream.ptr))
    if workspace is None:
        workspace = WORKSPACES[device, stream.ptr] = Workspace(sm)
    return workspace


class Handle:
    """A handle of cuBLAS for the current device."""

    def __init__(self, lib: Any) -> None:
        self.lib, handle = lib, c_void_p()
        _check_status(lib, lib.cublasCreate_v2(byref(handle)))
        self.address = handle.value
        finalize(self, lib.cublasDestroy_v2, self.address)

    def set_stream(self, stream: Any, workspace: Workspace) -> None:
        """Set the stream, then the workspace: cuBLAS drops its workspace when the stream changes."""
        _check_status(self.lib, self.lib.cublasSetStream_v2(self.address, stream.ptr))
        _check_status(self.lib, self.lib.cublasSetWorkspace_v2(
            self.address, workspace.array.data.ptr, workspace.array.nbytes))

    def gemmEx(self, *args: Any) -> None:
        """cublasGemmEx, with the arguments of cuBLAS."""
        _check_status(self.lib, self.lib.cublasGemmEx(*args))


@lru_cache(None)
def get_handle(device: int) -> Handle:
    """The handle of `device`, which must be the current one.  Making one takes long, so it is kept."""
    return Handle(load_library())
