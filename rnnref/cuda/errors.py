"""What CuPy raises when a card cannot go on, in the form of rnnref's errors, with what to do.  (floor 5)

CuPy is not imported: its errors are known by the names of their classes and by their words.
"""
from contextlib import contextmanager

from ..errors import DeviceError, Error, MissingExtra, NotSupported

_PLAIN_HINT = "kernels=False and paths=(\"plain\", \"bidirectional\") run the plain text, without kernels"

# Words in the error -> class of rnnref's, what it is, what to do.  The first that fits.
_KNOWN_ERRORS = (
    ("failed to load", "nvrtc", MissingExtra, "CuPy finds no NVRTC, the compiler of kernels",
     'pip install "cupy-cuda13x[ctk]" (cupy-cuda12x[ctk] for CUDA 12), or set CUDA_PATH to a toolkit'),
    ("failure finding", "cublas", MissingExtra, "CuPy finds no cuBLAS, which does the matrix products",
     'pip install "cupy-cuda13x[ctk]" (cupy-cuda12x[ctk] for CUDA 12), or set CUDA_PATH to a toolkit'),
    ("failure finding", "nvrtc", MissingExtra, "CuPy finds no NVRTC, the compiler of kernels",
     'pip install "cupy-cuda13x[ctk]" (cupy-cuda12x[ctk] for CUDA 12), or set CUDA_PATH to a toolkit'),
    ("cuda headers", "", MissingExtra, "CuPy finds no headers of CUDA",
     'pip install "cupy-cuda13x[ctk]" (cupy-cuda12x[ctk] for CUDA 12), or set CUDA_PATH to a toolkit'),
    ("gpu-architecture", "", NotSupported, "this NVRTC does not know the architecture of the card",
     "install the CuPy for a CUDA that does: CUDA 13 has compute capability 7.5 and up, CUDA 12 older ones too"),
    ("no kernel image", "", NotSupported, "the kernels were not compiled for the architecture of this card",
     "install the CuPy for its CUDA: CUDA 13 has compute capability 7.5 and up, CUDA 12 older ones too"),
    ("insufficientdriver", "", DeviceError, "there is no driver, or it is older than CuPy's CUDA",
     "install or update the NVIDIA driver (nvidia-smi shows its CUDA), or install the CuPy for an older CUDA"),
    ("nodevice", "", DeviceError, "there is no GPU here", 'rnnref.to("cpu", tree) takes arrays to main memory'),
    ("cluster", "", DeviceError, "this card has no room for a cluster of so many blocks (a part of a card has less)",
     'paths=("stepped", "bidirectional") runs it step by step'),
    ("outofresources", "", DeviceError, "a processor of this card has no room for a block of the kernel",
     'paths=("stepped", "bidirectional") runs it step by step'),
    ("out_of_resources", "", DeviceError, "a processor of this card has no room for a block of the kernel",
     'paths=("stepped", "bidirectional") runs it step by step'),
    ("cublas_status_arch_mismatch", "", NotSupported, "cuBLAS has no such product for the architecture of this card",
     'mode="fp32" is what every card has'),
    ("cublas_status_not_supported", "", NotSupported, "cuBLAS has no such product for this card and these dtypes",
     'mode="fp32" is what every card has'),
    ("cublas_status_alloc_failed", "", DeviceError, "the GPU has not enough memory for cuBLAS",
     "a smaller batch, shorter sequences, or cupy.get_default_memory_pool().free_all_blocks()"),
    ("cublas_status_not_initialized", "", DeviceError, "cuBLAS could not start: mostly for want of memory",
     "end what else runs on it (nvidia-smi), or cupy.get_default_memory_pool().free_all_blocks()"),
    ("memoryallocation", "", DeviceError, "the GPU has not enough memory",
     "a smaller batch, shorter sequences, recompute=True, or keep=False if there is no way back"),
    ("out_of_memory", "", DeviceError, "the GPU has not enough memory",
     "a smaller batch, shorter sequences, recompute=True, or keep=False if there is no way back"),
)
_FATAL_ERRORS = """illegaladdress illegal_address launchfailure launch_failed eccuncorrectable ecc_uncorrectable
    hardwarestackerror hardware_stack_error deviceunavailable device_unavailable deviceuninit contextisdestroyed
    context_is_destroyed misalignedaddress misaligned_address illegalinstruction illegal_instruction""".split()

_ERROR_CLASSES = ("CompileException", "CUDARuntimeError", "CUDADriverError", "NVRTCError", "CUBLASError", "RuntimeError",
         "ImportError", "DynamicLibNotFoundError")


@contextmanager
def translate_errors(who):
    """Errors of CuPy and of the card that are raised inside, in the form of rnnref's; all others as they are."""
    try:
        yield
    except Error:
        raise
    except Exception as e:
        told = translate_error(who, e)
        if told is None:
            raise
        raise told from e


def translate_error(who, e):
    """The error to raise in the place of `e`, or None if it is not about the card."""
    kind, words = type(e).__name__, str(e)
    low = words.lower()
    if kind == "OutOfMemoryError":
        low += " memoryallocation"
    elif kind not in _ERROR_CLASSES:
        return None
    for first, second, raised, what, fix in _KNOWN_ERRORS:
        if first in low and second in low:
            spared = raised is not DeviceError and "cublas" not in first + second        # by the text, without kernels
            return raised(who, what, fix=fix, **{"or": _PLAIN_HINT if spared else ""}, said=_first_lines(words))
    if any(word in low for word in _FATAL_ERRORS):
        return DeviceError(who, "the GPU has stopped: nothing more can be computed on it in this process",
                           fix="start a new process, from the last checkpoint if there is one", said=_first_lines(words))
    if kind in ("CompileException", "NVRTCError"):
        return Error(who, "NVRTC does not take the text of the kernel: a fault of rnnref's, please report it",
                     fix=_PLAIN_HINT, said=_first_lines(words))
    return None


def _first_lines(words, lines=6):
    """The first lines."""
    return "\n         ".join(words.strip().splitlines()[:lines])
