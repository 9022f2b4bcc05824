"""The one function of cuBLAS that rnnref calls, on the CPU: it reads and writes addresses, by columns, as cuBLAS does.

    with strict.install(), blas.install() as calls: ...      # calls: the name of the compute type of every product
"""
import contextlib
import ctypes
import sys
import types

import ml_dtypes
import numpy as np

CODES = {"CUBLAS_COMPUTE_32F": 68, "CUBLAS_COMPUTE_64F": 70, "CUBLAS_COMPUTE_32F_FAST_TF32": 77,
         "CUBLAS_GEMM_DEFAULT": -1}
NAMES = {code: name for name, code in CODES.items()}
RUNTIME = {"CUDA_R_32F": 0, "CUDA_R_64F": 1, "CUDA_R_16F": 2, "CUDA_R_16BF": 14}
DTYPES = {0: np.float32, 1: np.float64, 2: np.float16, 14: ml_dtypes.bfloat16}
MODULES = ("cupy_backends", "cupy_backends.cuda", "cupy_backends.cuda.libs", "cupy_backends.cuda.libs.cublas",
           "cupy_backends.cuda.api", "cupy_backends.cuda.api.runtime", "cupy.cuda.device")


def columns(address, dtype, rows, count, step):
    """A matrix [rows, count] whose columns are `step` numbers apart."""
    assert step >= max(1, rows), "leading dimension"
    size = (step * (count - 1) + rows) * np.dtype(dtype).itemsize
    raw = np.frombuffer((ctypes.c_char * size).from_address(address), dtype)
    return np.lib.stride_tricks.as_strided(raw, (rows, count), (raw.itemsize, step * raw.itemsize))


def tf32(a):
    """Rounded to 10 bits of mantissa."""
    bits = a.view(np.uint32).astype(np.uint64) + 0x1000
    return (bits & 0xFFFFE000).astype(np.uint32).view(np.float32)


def number(address, dtype):
    return columns(address, dtype, 1, 1, 1)[0, 0]


def install(fails=None):
    """Modules that hold gemmEx, until the end of the block.  fails: what it raises."""
    calls = []

    def gemmEx(handle, transa, transb, m, n, k, alpha, A, Atype, lda, B, Btype, ldb, beta, C, Ctype, ldc, compute,
               algo):
        if fails is not None:
            raise fails
        calls.append(NAMES[compute].removeprefix("CUBLAS_COMPUTE_"))
        wide = np.float64 if compute == 70 else np.float32
        assert (Atype, Btype) in ((t, t) for t in DTYPES) and (Atype == 1) == (compute == 70) and algo == -1
        assert Ctype == Atype or (Ctype == 0 and Atype in (2, 14))
        a = columns(A, DTYPES[Atype], *((k, m) if transa else (m, k)), lda).astype(wide, order="C")
        b = columns(B, DTYPES[Btype], *((n, k) if transb else (k, n)), ldb).astype(wide, order="C")
        if compute == 77:
            a, b = tf32(a), tf32(b)
        c = columns(C, DTYPES[Ctype], m, n, ldc)
        with np.errstate(all="ignore"):
            ab = (a.T if transa else a) @ (b.T if transb else b) * number(alpha, wide)
            c[...] = ab + number(beta, wide) * c if number(beta, wide) else ab
    return held(calls, gemmEx)


@contextlib.contextmanager
def held(calls, gemmEx):
    from rnnref.cuda import matmul
    made = {name: types.ModuleType(name) for name in MODULES}
    vars(made["cupy_backends.cuda.libs.cublas"]).update(CODES, gemmEx=gemmEx)
    vars(made["cupy_backends.cuda.api.runtime"]).update(RUNTIME)
    made["cupy.cuda.device"].get_cublas_handle = lambda: 1
    made["cupy_backends.cuda.libs"].cublas = made["cupy_backends.cuda.libs.cublas"]
    before = {name: sys.modules.get(name) for name in MODULES}
    sys.modules.update(made)
    matmul.load_cublas.cache_clear()
    try:
        yield calls
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
        matmul.load_cublas.cache_clear()
