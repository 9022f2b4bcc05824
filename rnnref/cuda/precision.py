"""How precisely products are computed on the GPU, by name: a choice of one call of `run`, no global switch.  (floor 5)

Modes are about products only.  Gates, c, gradients of c and all sums are float32 at least in every mode, and arrays
keep their dtype.  CuPy's CUPY_TF32 and torch's flags change nothing here: every product of a map names its arithmetic
to cuBLAS.  A product outside of maps is CuPy's own, which asks CUPY_TF32: `explain` says so of "fp32", and any other
mode is refused (own.py).
"""
import sys
from typing import NamedTuple, Optional

MATMUL_DTYPES = "float32 float64 float16 bfloat16".split()


class Mode(NamedTuple):
    compute: str                                  # CUBLAS_COMPUTE_<compute> for products of float32 or 16 bits
    operands: Optional[str]                       # the dtype that factors are rounded to; None: as they are
    sm: int                                       # the compute capability that has it, times ten
    dtypes: tuple                                 # arrays for which it means something
    words: str


MODES = {
    "fp32": Mode("32F", None, 0, tuple(MATMUL_DTYPES), "products as precise as the arrays are, 16 bits summed in float32"),
    "tf32": Mode("32F_FAST_TF32", None, 80, ("float32",), "factors rounded to 10 bits of mantissa, summed in float32"),
    "bf16": Mode("32F", "bfloat16", 80, ("float32", "bfloat16"), "factors rounded to bfloat16, summed in float32"),
    "fp16": Mode("32F", "float16", 70, ("float32", "float16"), "factors rounded to float16, summed in float32"),
}


def refuses(call, kernels=True):
    """None, or why this call cannot have its mode, in words."""
    mode = MODES.get(call.mode)
    if mode is None:
        return f"known are {', '.join(MODES)}"
    if call.mode == "fp32":
        return None
    if call.home != "cupy":
        return "the arrays are in main memory, where NumPy knows one arithmetic for a dtype"
    if call.dtype.name not in mode.dtypes:
        return f"the arrays are {call.dtype}, it is for {' and '.join(mode.dtypes)}"
    if call.sm is not None and call.sm < mode.sm:
        return f"it needs compute capability {_format_capability(mode.sm)}, this card has {_format_capability(call.sm)}"
    return why_no_cublas() if kernels else "kernels=False is the text as it is written, and its products are CuPy's own"


def why_no_cublas():
    """Why no product can name its arithmetic, in words, or None.  CuPy is looked for, not imported."""
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return None
    if "cupy_backends" not in sys.modules:
        return "this CuPy has no cuBLAS"
    return "this CuPy is for ROCm, the products for CUDA" if cupy.cuda.runtime.is_hip else None


def _format_capability(sm):
    """90 -> "9.0"."""
    return f"{sm // 10}.{sm % 10}"


def architecture(a):
    """The compute capability of the card that holds `a`, times ten; None if there is none."""
    found = getattr(getattr(a, "device", None), "compute_capability", None)      # a string, remembered by CuPy
    return None if found is None else int(found)
