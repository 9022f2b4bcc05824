"""Math modes: the arithmetic of matrix products on a GPU, an option of one call of `run` and no global switch.

Modes concern matrix products alone.  Gates, c, gradients of c and all sums have float32 at least in every mode, and
arrays keep their dtype.  CuPy's CUPY_TF32 and torch's flags have no effect: every product of a map passes its
arithmetic to cuBLAS.  A product outside of maps is CuPy's own, which depends on CUPY_TF32: `explain` notes it for
"fp32", and any other mode is refused (rnnref/products.py).
"""
import sys
from typing import Any, NamedTuple, Optional

from ..arrays import Array

MATMUL_DTYPES = "float32 float64 float16 bfloat16".split()


class Mode(NamedTuple):
    """The arithmetic of matrix products."""
    compute: str                                  # CUBLAS_COMPUTE_<compute> for products of float32 or 16 bits
    operands: Optional[str]                       # the dtype that operands are rounded to; None: as they are
    sm: int                                       # the lowest compute capability that has it, times ten
    dtypes: tuple[str, ...]                       # of arrays that it applies to
    words: str


MODES = {
    "fp32": Mode("32F", None, 0, tuple(MATMUL_DTYPES),
                 "products in the precision of the arrays, those of 16 bits summed in float32"),
    "tf32": Mode("32F_FAST_TF32", None, 80, ("float32",), "operands rounded to 10 bits of mantissa, summed in float32"),
    "bf16": Mode("32F", "bfloat16", 80, ("float32", "bfloat16"), "operands rounded to bfloat16, summed in float32"),
    "fp16": Mode("32F", "float16", 70, ("float32", "float16"), "operands rounded to float16, summed in float32"),
}


def refuses(call: Any, kernels: bool = True) -> Optional[str]:
    """None, or why a `Call` cannot have its mode."""
    mode = MODES.get(call.mode)
    if mode is None:
        return f"known are {', '.join(MODES)}"
    if call.mode == "fp32":
        return None
    if call.home != "cupy":
        return "the arrays are in main memory, where NumPy has one arithmetic for each dtype"
    if call.dtype.name not in mode.dtypes:
        return f"the arrays are {call.dtype}, it is for {' and '.join(mode.dtypes)}"
    if call.sm is not None and call.sm < mode.sm:
        return f"it needs compute capability {_format_capability(mode.sm)}, this card has {_format_capability(call.sm)}"
    return why_no_cublas() if kernels else "with kernels=False the products are CuPy's own, which have no modes"


def why_no_cublas() -> Optional[str]:
    """Why cuBLAS cannot be called through the CuPy of this process; None if it can, or CuPy is not imported."""
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return None
    if "cupy_backends" not in sys.modules:
        return "this CuPy has no cuBLAS"
    return "this CuPy is for ROCm, the products for CUDA" if cupy.cuda.runtime.is_hip else None


def _format_capability(sm: int) -> str:
    return f"{sm // 10}.{sm % 10}"


def architecture(a: Array) -> Optional[int]:
    """The compute capability, times ten, of the device that holds `a`; None for arrays in main memory."""
    capability = getattr(getattr(a, "device", None), "compute_capability", None)      # a string, which CuPy caches
    return None if capability is None else int(capability)
