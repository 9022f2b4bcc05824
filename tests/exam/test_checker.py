"""2,000 correct candidates, none of which may be said to differ, and faults of three budgets, which must be seen."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnref.check import verify
from rnnref.check.budget import measure_budgets
from rnnref.check.candidate import GRADIENT, OUTPUT
from rnnref.check.of_torch import wrap_torch
from tests.support.correct_cases import draw_case
from tests.support.first_budget import measure_first_budgets

pytestmark = pytest.mark.exam
CASES = {"torch": range(1200), "keras": range(250), "onnxruntime": range(450)}
ON_JAX = 100
SHARP = 300                                       # cases of torch in which faults are planted
SEEN = 0.96                                       # of faults in a gradient of weights; of those in a time step: all
OWN_ERROR = 0.2                                   # of a budget: what a correct candidate may err already


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
    """A gradient of weights, or one time step, that is wrong by three budgets of the first checker."""
    seen, ratios = {GRADIENT: [], OUTPUT: []}, []
    for seed in range(SHARP):
        module, x, options = draw_case("torch", seed)
        rng = np.random.default_rng(seed)
        candidate = wrap_torch(module, x, rng, lengths=options.get("lengths"))
        with np.errstate(all="ignore"):
            names = tuple(candidate.run_reference(candidate.arrays).results)
            budgets = measure_budgets(candidate, rng, names)
            first = measure_first_budgets(candidate, rng, budgets.cotangents)
        for name, budget in budgets.by_name.items():
            before, description = first[name], candidate.descriptions[name]
            both = budget.comparable & (before > 0)
            ratios += [np.median(budget.allowed[both] / before[both])] if both.any() else []
            fault = both & (3 * before > budget.allowed + OWN_ERROR * before)
            if description.group == OUTPUT:
                steps = [np.moveaxis(a, description.time, 0) for a in (both, fault)]
                seen[OUTPUT] += [bool(f.any()) for b, f in zip(*steps) if b.any()]
            elif name[1:] in candidate.arrays and name[1:].startswith(("weight", "bias")) and both.any():
                seen[GRADIENT].append(bool(fault.any()))
    print({group: (len(found), np.mean(found)) for group, found in seen.items()}, "median budget", np.median(ratios))
    assert np.median(ratios) <= 1.5
    assert all(seen[OUTPUT]) and len(seen[OUTPUT]) > SHARP
    assert np.mean(seen[GRADIENT]) >= SEEN and len(seen[GRADIENT]) > SHARP
