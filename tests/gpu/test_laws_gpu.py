"""The laws on a CUDA device: `make test-gpu`."""
from dataclasses import replace

import pytest

from rnnref.testing.case import Trial, masking_options
from rnnref.testing.laws import LAWS, check_law
from tests.kernels.onchip import card
from tests.support.cases import BREAKS, CELLS, B, T, case

pytestmark = pytest.mark.gpu
WAYS = masking_options((T, B))


@pytest.fixture(autouse=True)
def short_sequences_on_chip_too():
    with card(sm=None):
        yield


@pytest.mark.parametrize("where, reverse", (("everywhere", True), ("lengths", True), ("holes", False), ("left", False)))
@pytest.mark.parametrize("name", CELLS)
def test_laws(name, where, reverse):
    trial = Trial(replace(case(name), **WAYS[where], reverse=reverse, device="gpu"))
    for number in LAWS:
        # differences take the most time: in one setting
        if number not in BREAKS.get(name, ()) and (number != 2 or where == "holes"):
            check_law(trial, number)
