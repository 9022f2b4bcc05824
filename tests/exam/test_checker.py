"""2,500 correct candidates, none of which may be said to differ, and faults of three budgets, which must be seen."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnref.check import verify
from tests.support.correct_cases import draw_case
from tests.support.planted_faults import LARGEST_RATIO, plant_faults

pytestmark = pytest.mark.exam
CASES = {"torch": range(1400), "keras": range(400), "onnxruntime": range(500)}
ON_JAX = 200
SHARP = 300                                       # cases of torch in which faults are planted


def find_alarms(kind, seeds):
    """Of these cases, those that are said to differ or are refused."""
    for seed in seeds:
        candidate, inputs, options = draw_case(kind, seed)
        report = verify(candidate, inputs, **options)
        if report.counts["differs"] or report.counts["refused"]:
            yield seed, str(report)


@pytest.mark.parametrize("kind", CASES)
def test_no_correct_candidate_is_accused(kind):
    assert list(find_alarms(kind, CASES[kind])) == []


def test_no_correct_layer_of_keras_on_jax_is_accused():
    """In a process of its own: Keras has one back end a process."""
    code = f"from tests.exam.test_checker import find_alarms; print(list(find_alarms('keras', range({ON_JAX}))))"
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", code], text=True, capture_output=True, cwd=Path.cwd(),
                         env=os.environ | {"KERAS_BACKEND": "jax"})
    assert ran.stdout.strip() == "[]", ran.stdout + ran.stderr


def test_the_checker_stays_sharp():
    seen, ratio = plant_faults(range(SHARP))
    print({group: (len(found), np.mean(found)) for group, found in seen.items()}, "median budget", ratio)
    assert all(all(found) and len(found) > SHARP for found in seen.values()) and ratio <= LARGEST_RATIO
