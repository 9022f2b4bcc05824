"""The budgets of the first checker, which those of today must not exceed by much: one for all rows of a step."""
import numpy as np

from rnnref.check.budget import cast_arrays, results_and_gradients, run_truth
from rnnref.check.candidate import GRADIENT


def measure_first_budgets(candidate, rng, cotangents):
    """{name: the largest error that was allowed}, entry by entry, with these gradients of results."""
    eps, double = np.finfo(candidate.dtype).eps, np.dtype("float64")
    reference = run_truth(candidate)
    truth = results_and_gradients(reference, cotangents, next(iter(reference.results.values())).dtype)
    companions = [results_and_gradients(candidate.run_reference(candidate.arrays, **options), cotangents,
                                        candidate.dtype) for options in candidate.variants]
    for _ in range(2):
        moved = {n: a * (1 + eps * rng.uniform(-1, 1, a.shape))
                 for n, a in cast_arrays(candidate.arrays, double).items()}
        companions.append(results_and_gradients(candidate.run_reference(moved), cotangents, double))
    return {name: _allow(candidate, name, a, np.max([abs(other[name] - a) for other in companions], 0))
            for name, a in truth.items()}


def _allow(candidate, name, truth, error):
    description = candidate.descriptions[name]
    largest = abs(truth).max(initial=0.0)
    levels, level = np.unique(np.broadcast_to(description.step, truth.shape), return_inverse=True)
    most = np.zeros(len(levels))
    np.maximum.at(most, level.ravel(), error.ravel().astype("float64"))
    most = np.maximum.accumulate(most)
    least = 4 * np.finfo(candidate.dtype).eps * (largest if description.group == GRADIENT else max(largest, 1.0))
    allowed = np.maximum(8 * most, least)
    allowed[most > 1e-3 * largest] = np.nan       # was not compared
    return allowed[level.reshape(truth.shape)]
