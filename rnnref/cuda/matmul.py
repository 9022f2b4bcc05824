"""Matrix products on the GPU in the arithmetic of a math mode, and the dense maps made of them.

CuPy's own `@` reads its arithmetic from an environment variable when it first runs.  Here cuBLAS is called directly,
gemmEx with the compute type of the mode, on CuPy's handle and its current stream.
"""
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, Callable, ClassVar, Optional

import numpy

from ..arrays import Array, as_matrix, is_cupy, namespace
from ..errors import DeviceError, DtypeError, ShapeError, import_optional
from ..maps.dense import Dense, Reservoir, add_bias
from ..maps.normed import WeightNorm
from . import precision
from .errors import translate_errors
from .precision import MODES
from .step_launches import step_addresses

_WHO = "product"
# Zero and one (beta and alpha) where cuBLAS reads them: in main memory, in the type of the sum.
_SCALARS = {name: numpy.array([0, 1], name) for name in ("float32", "float64")}
_CUDA_TYPES = {"float32": "CUDA_R_32F", "float64": "CUDA_R_64F", "float16": "CUDA_R_16F", "bfloat16": "CUDA_R_16BF"}


def matmul(a: Array, b: Array, mode: str = "fp32", out: Any = None, dtype: Any = None,
           add: bool = False) -> Array:
    """The matrix product a b, written to `out` if that is given, or added to it.

    dtype   of a new result; None: that of b

    Transposed views and blocks of columns are read in place, without a copy; `out` may be a block of columns.
    Where one operand has 16 bits and the other float32 or another 16 bits, both become float32, as in NumPy.

    Errors  DeviceError: operands in main memory.  ShapeError, DtypeError: operands or `out` that do not fit.
    """
    namespace(a, b, out)
    if not (is_cupy(a) and is_cupy(b)):
        raise DeviceError(_WHO, "the operands are in main memory, this is a product on the GPU", fix="a @ b")
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ShapeError(_WHO, f"the operands have shapes {a.shape} and {b.shape}")
    shape, is_new = (a.shape[0], b.shape[1]), out is None
    dtype = numpy.dtype(dtype or b.dtype)
    a, b = _match_dtypes(cast_operand(a, mode), cast_operand(b, mode))
    if is_new:
        direct = a.dtype == dtype or (a.dtype.itemsize, dtype.name) == (2, "float32")
        out, add = namespace(a).empty(shape, dtype if direct else a.dtype), False
    elif out.shape != shape or _as_gemm_operand(out)[0] is not out or _as_gemm_operand(out)[1]:
        raise ShapeError(_WHO, f"out has shape {out.shape}, strides {out.strides}; expected {shape}, the "
                               "numbers of a row adjacent")
    _check_dtypes(a, b, out)
    if a.size and b.size:
        a = _as_gemm_operand(a)[0]
        with translate_errors(_WHO):
            _prepare_gemm(a, b, out, mode, add)(a.data.ptr, out.data.ptr)
    elif not add:
        out.fill(0)
    return out.astype(dtype, copy=False) if is_new else out


def _match_dtypes(a: Array, b: Array) -> tuple[Array, Array]:
    """Both in float32, if their dtypes differ and one has 16 bits."""
    if a.dtype == b.dtype or max(a.dtype.itemsize, b.dtype.itemsize) > 4:
        return a, b
    return a.astype("float32", copy=False), b.astype("float32", copy=False)


def prepare_matmuls(a: Array, b: Array, out: Array, mode: str, add: bool, steps: int, shift: int,
                    cublas_handle: Any = None) -> Callable[[int], None]:
    """A function of t that computes out[t] = a[t + shift] b, or adds that to out[t]; all arguments are checked once.

    Indices are taken modulo the lengths of a and out.  cublas_handle: a `cublas.Handle`; None: that of CuPy.
    """
    _check_dtypes(a, b, out)
    if not a[0].size or not b.size:
        return lambda t: None
    step = _prepare_gemm(a[0], b, out[0], mode, add, cublas_handle)
    sources, targets = step_addresses(a, steps, shift), step_addresses(out, steps)
    return lambda t: step(sources[t], targets[t])


def _check_dtypes(a: Array, b: Array, out: Array) -> None:
    if a.dtype != b.dtype or (out.dtype != a.dtype and (out.dtype.name, a.dtype.itemsize) != ("float32", 2)):
        raise DtypeError(_WHO, f"{a.dtype} times {b.dtype} to {out.dtype}, expected one dtype, or 16 bits to float32")


def cast_operand(a: Array, mode: str) -> Array:
    """`a` in the dtype of operands in this mode; call it before a loop, so that no step casts."""
    operands = MODES[mode].operands
    return a if operands is None or a.dtype.name == operands else a.astype(dtype_by_name(operands))


@lru_cache(None)
def dtype_by_name(name: str) -> numpy.dtype:
    """The dtype of that name, with bfloat16 from the package ml_dtypes."""
    return numpy.dtype(import_optional("ml_dtypes", "cuda13", 'mode="bf16"').bfloat16 if name == "bfloat16" else name)


def _prepare_gemm(a: Array, b: Array, out: Array, mode: str, add: bool, cublas_handle: Any = None) -> Callable:
    """A function of two addresses that multiplies the matrix at the first, laid out as `a`, by b into the second.

    cuBLAS stores matrices by columns, so it computes out' = b' a'.  A loop prepares the call once and repeats it: where
    a step takes microseconds on the card, it must not take more on the host.
    """
    cublas, types, handle = load_cublas()
    gemm, handle = (cublas.gemmEx, handle()) if cublas_handle is None else (cublas_handle.gemmEx, cublas_handle.address)
    (m, k), n, wide = a.shape, b.shape[1], a.dtype.name == "float64"
    (a, turn_a, step_a), (b, turn_b, step_b) = _as_gemm_operand(a), _as_gemm_operand(b)
    step_out = _as_gemm_operand(out)[2]
    zero = _SCALARS["float64" if wide else "float32"].ctypes.data
    one = zero + (8 if wide else 4)
    compute = getattr(cublas, "CUBLAS_COMPUTE_" + ("64F" if wide else MODES[mode].compute)), cublas.CUBLAS_GEMM_DEFAULT
    before = handle, turn_b, turn_a, n, m, k, one, b.data.ptr, types[b.dtype.name], step_b
    kind_a, kind_out, beta = types[a.dtype.name], types[out.dtype.name], one if add else zero

    def step(address_a: int, address_out: int, held: Any = b) -> None:       # b must live as long as its address
        gemm(*before, address_a, kind_a, step_a, beta, address_out, kind_out, step_out, *compute)
    return step


@lru_cache(None)
def load_cublas() -> tuple[Any, dict, Callable]:
    """CuPy's cuBLAS, its codes of dtypes, and the function that returns the handle of the current device."""
    with translate_errors(_WHO):
        cublas = import_module("cupy_backends.cuda.libs").cublas      # an attribute: reading it loads the library
        runtime = import_module("cupy_backends.cuda.api.runtime")
    types = {name: getattr(runtime, code) for name, code in _CUDA_TYPES.items()}
    return cublas, types, import_module("cupy.cuda.device").get_cublas_handle


def _as_gemm_operand(a: Array) -> tuple[Array, int, int]:
    """A matrix whose rows or columns are contiguous; 0 if its rows, 1 if its columns; the distance of the next one."""
    (m, n), (down, along), size = a.shape, a.strides, a.itemsize
    if a.flags.c_contiguous:
        return a, 0, n
    if a.flags.f_contiguous:
        return a, 1, m
    if along == size and down >= n * size and not down % size:
        return a, 0, down // size
    if down == size and along >= m * size and not along % size:
        return a, 1, along // size
    return namespace(a).ascontiguousarray(a), 0, n


def sum_rows(da: Array, dtype: Any) -> Array:
    """The sum over rows, in float32 at least.  Numbers of 16 bits are summed so by a product with ones."""
    if da.dtype.itemsize > 2:
        return da.sum(0)
    return matmul(namespace(da).ones((1, len(da)), da.dtype), da, dtype=dtype)[0]


class CudaMap:
    """A map whose products have the arithmetic of a math mode."""
    mode: str

    @staticmethod
    def refuses(m: Any) -> Optional[str]:
        """None, or why the map cannot be replaced by this one."""
        return precision.why_no_cublas()


class CudaMatrixMap(CudaMap):
    """A dense map on the GPU.  Results have the dtype of the input."""
    W: str
    b: Optional[str]

    def forward(self, p: dict, x: Array, out: Optional[Array] = None) -> tuple[Array, Array]:
        """x W + b, in `out` if that is given; and what backward needs."""
        W = p[self.W]
        a = matmul(as_matrix(x), W, self.mode, None if out is None else as_matrix(out), x.dtype)
        a = add_bias(a, p[self.b]) if self.b else a
        return a.reshape(*x.shape[:-1], W.shape[1]), x

    def backward_x(self, p: dict, x: Optional[Array], da: Array) -> Array:
        """The gradient of x."""
        W = p[self.W]
        dtype = da.dtype if x is None else x.dtype
        return matmul(as_matrix(da), W.T, self.mode, dtype=dtype).reshape(*da.shape[:-1], W.shape[0])

    def backward_p(self, p: dict, x: Array, da: Array) -> dict:
        """The gradients of W and b."""
        da, dtype = as_matrix(da), p[self.W].dtype
        dp = {self.W: matmul(as_matrix(x).T, da, self.mode, dtype=dtype)}
        return dp | ({self.b: sum_rows(da, dtype)} if self.b else {})


@dataclass(frozen=True)
class CudaDense(CudaMatrixMap, Dense):
    mode: str = "fp32"
    plain: ClassVar[Any] = Dense


@dataclass(frozen=True)
class CudaReservoir(CudaMatrixMap, Reservoir):
    mode: str = "fp32"
    plain: ClassVar[Any] = Reservoir


@dataclass(frozen=True)
class CudaWeightNorm(CudaMatrixMap, WeightNorm):
    mode: str = "fp32"
    plain: ClassVar[Any] = WeightNorm
