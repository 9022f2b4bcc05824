"""Errors of CuPy and CUDA translated to those of rnnref, with their cause and a remedy.

CuPy is not imported: its errors are recognised by the names of their classes and by their messages.
"""
from contextlib import contextmanager
from typing import Iterator, Optional

from ..errors import DeviceError, Error, MissingExtra, NotSupported

_PLAIN_HINT = "kernels=False and paths=(\"plain\", \"bidirectional\") run the plain code, without kernels"
_CTK_HINT = 'pip install "cupy-cuda13x[ctk]" (cupy-cuda12x[ctk] for CUDA 12), or set CUDA_PATH to a toolkit'
_STEPPED_HINT = 'paths=("stepped", "bidirectional") runs it step by step'
_MEMORY_HINT = "a smaller batch, shorter sequences, recompute=True, or keep=False if no gradients are needed"

# Two parts of the message, in small letters and without underscores -> the class of the error, the cause, the remedy.
# The first row that fits counts.
_KNOWN_ERRORS = (
    ("failed to load", "nvrtc", MissingExtra, "CuPy finds no NVRTC, the compiler of kernels", _CTK_HINT),
    ("failure finding", "cublas", MissingExtra, "CuPy finds no cuBLAS, which does the matrix products", _CTK_HINT),
    ("failure finding", "nvrtc", MissingExtra, "CuPy finds no NVRTC, the compiler of kernels", _CTK_HINT),
    ("cuda headers", "", MissingExtra, "CuPy finds no headers of CUDA", _CTK_HINT),
    ("gpu-architecture", "", NotSupported, "this NVRTC does not know the architecture of the card",
     "install the CuPy for a CUDA that does: CUDA 13 supports compute capability 7.5 and up, CUDA 12 older ones too"),
    ("no kernel image", "", NotSupported, "the kernels were not compiled for the architecture of this card",
     "install the CuPy for its CUDA: CUDA 13 supports compute capability 7.5 and up, CUDA 12 older ones too"),
    ("insufficientdriver", "", DeviceError, "there is no driver, or it is older than CuPy's CUDA",
     "install or update the NVIDIA driver (nvidia-smi shows its CUDA), or install the CuPy for an older CUDA"),
    ("nodevice", "", DeviceError, "there is no GPU here", 'rnnref.to("cpu", tree) takes arrays to main memory'),
    ("cluster", "", DeviceError, "this card cannot run clusters of so many blocks (a partition of a card runs fewer)",
     _STEPPED_HINT),
    ("outofresources", "", DeviceError, "a multiprocessor of this card cannot hold a block of the kernel",
     _STEPPED_HINT),
    ("cublasstatusarchmismatch", "", NotSupported, "cuBLAS has no such product for the architecture of this card",
     'mode="fp32" is what every card has'),
    ("cublasstatusnotsupported", "", NotSupported, "cuBLAS has no such product for this card and these dtypes",
     'mode="fp32" is what every card has'),
    ("cublasstatusallocfailed", "", DeviceError, "the GPU has not enough memory for cuBLAS",
     "a smaller batch, shorter sequences, or cupy.get_default_memory_pool().free_all_blocks()"),
    ("cublasstatusnotinitialized", "", DeviceError, "cuBLAS could not start, mostly because memory is short",
     "end other processes on the GPU (nvidia-smi), or cupy.get_default_memory_pool().free_all_blocks()"),
    ("memoryallocation", "", DeviceError, "the GPU has not enough memory", _MEMORY_HINT),
    ("outofmemory", "", DeviceError, "the GPU has not enough memory", _MEMORY_HINT),
)
_FATAL_ERRORS = """illegaladdress launchfailure launchfailed eccuncorrectable hardwarestackerror deviceunavailable
    deviceuninit contextisdestroyed misalignedaddress illegalinstruction""".split()

_ERROR_CLASSES = ("CompileException", "CUDARuntimeError", "CUDADriverError", "NVRTCError", "CUBLASError",
                  "RuntimeError", "ImportError", "DynamicLibNotFoundError")


@contextmanager
def translate_errors(who: str) -> Iterator[None]:
    """Raise errors of CuPy and CUDA from inside the block as errors of rnnref; all others pass as they are."""
    try:
        yield
    except Error:
        raise
    except Exception as e:
        translated = translate_error(who, e)
        if translated is None:
            raise
        raise translated from e


def translate_error(who: str, e: BaseException) -> Optional[Exception]:
    """The error to raise in the place of `e`; None if `e` is not an error of the device or its libraries."""
    kind, message = type(e).__name__, str(e)
    low = message.lower().replace("_", "")        # the driver has OUT_OF_MEMORY where the runtime has OutOfMemory
    if kind == "OutOfMemoryError":
        low += " memoryallocation"
    elif kind not in _ERROR_CLASSES:
        return None
    for first, second, error, cause, fix in _KNOWN_ERRORS:
        if first in low and second in low:
            runs_without_kernels = error is not DeviceError and "cublas" not in first + second
            hint = {"or": _PLAIN_HINT if runs_without_kernels else ""}
            return error(who, cause, fix=fix, **hint, error=_first_lines(message))
    if any(word in low for word in _FATAL_ERRORS):
        return DeviceError(who, "the GPU has stopped: nothing more can be computed on it in this process",
                           fix="start a new process, from the last checkpoint if there is one",
                           error=_first_lines(message))
    if kind in ("CompileException", "NVRTCError"):
        return Error(who, "NVRTC rejects the source of the kernel: a fault of rnnref, please report it",
                     fix=_PLAIN_HINT, error=_first_lines(message))
    return None


def _first_lines(message: str, lines: int = 6) -> str:
    return "\n         ".join(message.strip().splitlines()[:lines])
