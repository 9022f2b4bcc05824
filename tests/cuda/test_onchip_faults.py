"""Faults between threads and blocks of a whole sequence, planted: some order of threads shows each."""
import numpy as np
import pytest

from rnnref.check.tolerance import tolerance
from rnnref.cuda_loops import onchip
from rnnref.testing.case import PLAIN
from tests.kernels.faults import planted_source
from tests.kernels.sequences import CASES, FAULTS, ORDERS, by_kernel, max_difference
from tests.shim.double import with_kernels
from tests.shim.hostsim import HostKernelError
from tests.support import blas

pytestmark = pytest.mark.kernels
EXACT = [case for case, (_, mode, _) in CASES.items() if mode == "fp32"]


@pytest.fixture(scope="module")
def right():
    with with_kernels(), blas.install():
        return {case: by_kernel(case, **(PLAIN if case in EXACT else {"paths": ("stepped",)})) for case in CASES}


def seen(case, back, right):
    """The first fault that an order of threads shows, in words."""
    want = right[case] if back else right[case][:2]
    near = tolerance("gradient", "float32" if case in EXACT else "bfloat16")
    for order in ORDERS:
        try:
            with with_kernels(*order), blas.install(), np.errstate(all="ignore"):
                got = by_kernel(case, keep=back)
        except HostKernelError as e:
            return str(e)
        if not max_difference(got[:len(want)], want) <= near:
            return f"{order}: off by {max_difference(got[:len(want)], want):.1g}"
    return ""


@pytest.mark.parametrize("case", CASES)
def test_without_a_fault_nothing_is_seen(case, right):
    assert seen(case, True, right) == ""


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.caught == "run"])
def test_a_fault_is_seen(name, right):
    case, back, *edit, _ = FAULTS[name]
    with planted_source(*edit):
        assert seen(case, back, right)


@pytest.mark.parametrize("back", (False, True))
def test_too_little_shared_memory_is_seen(back, right, monkeypatch):
    shared = onchip.count_shared_bytes
    monkeypatch.setattr(onchip, "count_shared_bytes", lambda t, task: shared(t, task) - 4)
    assert "shared memory was written past its end" in seen("fma", back, right)
