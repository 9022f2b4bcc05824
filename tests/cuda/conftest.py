"""Doubles of a GPU: with cuBLAS, with kernels in the host shim, and with stream capture."""
import pytest

from tests.support import strict


@pytest.fixture
def cublas():
    """The strict double with cuBLAS; the compute type of every product, in order."""
    from tests.support import blas  # needs ml_dtypes, which other tests here do without
    with strict.install(), blas.install() as calls:
        yield calls


@pytest.fixture
def kernels():
    """The same with kernels."""
    from tests.shim.double import with_kernels
    from tests.support import blas
    with with_kernels(), blas.install() as calls:
        yield calls


@pytest.fixture
def seen():
    """The same with stream capture: its log of launches, and its cuBLAS."""
    from tests.shim.double import with_kernels
    from tests.support import blas, stream_capture
    with with_kernels(), blas.install(), stream_capture.install() as seen:
        yield seen
