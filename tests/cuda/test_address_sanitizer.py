"""Kernels under the address sanitizer: nothing is found without a fault, and planted ones are named with their line."""
import pytest

from tests.kernels import faults, sanitized, sequences

pytestmark = pytest.mark.kernels
PLANTED = [name for table in (faults.FAULTS, sequences.FAULTS) for name, fault in table.items()
           if fault.caught == "sanitizer"]


@pytest.mark.parametrize("kernels", ("", "whole sequences"), ids=("of steps", "of whole sequences"))
def test_nothing_is_found_without_a_fault(kernels):
    status, output = sanitized.run(kernels)
    assert status == 0 and "nothing found" in output, output[-3000:]


@pytest.mark.parametrize("name", PLANTED)
def test_the_line_of_a_fault_is_named(name):
    status, output = sanitized.run(name)
    assert status != 0, output[-3000:]
    assert "AddressSanitizer: heap-buffer-overflow" in output and "kernels.cpp:" in output, output[-3000:]
