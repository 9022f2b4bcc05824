"""Errors of the device during a run, with the names and messages of CuPy's."""
import numpy as np
import pytest

import rnnref
from rnnref.cells import LSTM, Bidirectional
from tests.support import blas, strict

CUDARuntimeError = type("CUDARuntimeError", (RuntimeError,), {})
CUDADriverError = type("CUDADriverError", (RuntimeError,), {})
CUBLASError = type("CUBLASError", (RuntimeError,), {})
OutOfMemoryError = type("OutOfMemoryError", (MemoryError,), {})
FAULTS = (
    (OutOfMemoryError("Out of memory allocating 8,589,934,592 bytes"), rnnref.DeviceError, "recompute=True"),
    (CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access"), rnnref.DeviceError, "last checkpoint"),
    (CUDARuntimeError("cudaErrorEccUncorrectable: uncorrectable ECC error"), rnnref.DeviceError, "last checkpoint"),
    (CUBLASError("CUBLAS_STATUS_ALLOC_FAILED"), rnnref.DeviceError, "free_all_blocks"),
    (CUBLASError("CUBLAS_STATUS_NOT_INITIALIZED"), rnnref.DeviceError, "nvidia-smi"),
    (CUBLASError("CUBLAS_STATUS_ARCH_MISMATCH"), rnnref.NotSupported, 'mode="fp32"'),
    (CUDADriverError("CUDA_ERROR_INVALID_CLUSTER_SIZE: cluster misconfiguration"), rnnref.DeviceError, "stepped"),
    (CUDADriverError("CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES: too many resources requested for launch"), rnnref.DeviceError,
     "stepped"),
    (ImportError('Failure finding "libcublasLt.so.13"'), rnnref.MissingExtra, "cupy-cuda13x[ctk]"),
)


@pytest.mark.parametrize("raised, kind, fix", FAULTS)
@pytest.mark.parametrize("cell", (LSTM(), Bidirectional((LSTM(), LSTM()))))
def test_a_product_that_fails(cell, raised, kind, fix):
    p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0))
    with strict.install() as cupy, blas.install(fails=raised):
        p, x = rnnref.to("gpu", (p, np.ones((5, 2, 3), "float32")))
        with pytest.raises(kind) as caught:
            rnnref.run(cell, p, x)
        assert fix in str(caught.value) and str(raised) in str(caught.value)
        assert caught.value.__cause__ is raised and cupy


@pytest.mark.parametrize("raised, kind, fix", FAULTS[:2])
def test_an_allocation_that_fails_on_the_way_back(raised, kind, fix, cupy, monkeypatch):
    cell = LSTM()
    p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0))
    p, x = rnnref.to("gpu", (p, np.ones((5, 2, 3), "float32")))
    ys, _, tape = rnnref.run(cell, p, x)

    def fails(*args, **kwargs):
        raise raised
    monkeypatch.setattr(cupy, "concatenate", fails)
    with pytest.raises(kind, match="LSTM: ") as caught:
        rnnref.run_back(tape, ys)
    assert fix in str(caught.value)


def test_other_errors_stay_as_they_are(cupy):
    cell = LSTM()
    p = rnnref.to("gpu", rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0)))
    with pytest.raises(rnnref.ShapeError):
        rnnref.run(cell, p, cupy.ones((5, 2, 7), "float32"))
