"""A sample of the correct candidates and of the planted faults of tests/exam/test_checker.py."""
import pytest

from rnnref.check import verify
from tests.support.correct_cases import draw_case
from tests.support.planted_faults import LARGEST_RATIO, plant_faults

SAMPLE = 20


def check(kind):
    for seed in range(SAMPLE):
        candidate, inputs, options = draw_case(kind, seed)
        report = verify(candidate, inputs, **options)
        assert report.ok or report.status == 2, (seed, report)


def test_correct_nodes_of_onnxruntime_are_not_accused():
    check("onnxruntime")


@pytest.mark.peers
@pytest.mark.parametrize("kind", ["torch", "keras"])
def test_correct_modules_and_layers_are_not_accused(kind):
    check(kind)


@pytest.mark.peers
@pytest.mark.parametrize("seed", [505, 1235])
def test_a_correct_module_near_its_budgets_is_not_accused(seed):
    """Units whose companions err little by chance: of 116 inputs, and of many rows and steps."""
    candidate, inputs, options = draw_case("torch", seed)
    assert verify(candidate, inputs, **options).ok


@pytest.mark.peers
def test_faults_of_three_budgets_are_seen():
    seen, ratio = plant_faults(range(8, 8 + SAMPLE))
    assert all(all(found) and len(found) > SAMPLE for found in seen.values()) and ratio <= LARGEST_RATIO
