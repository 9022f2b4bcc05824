"""A sample of the correct candidates of tests/exam/test_checker.py."""
import pytest

from rnnref.check import verify
from tests.support.correct_cases import draw_case

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
