"""How far off is still rounding?  Measured on the very case.

Truth is the reference in more digits than the candidate has.  Its companions are the reference as the candidate runs
it, in the candidate's dtype and in two orders of operations, and the reference in more digits with everything given off
by up to one unit in its last place.  What they err by, times a stated factor, is the budget; where they err by so much
that no comparison means anything, nothing is said about the candidate.  (floor 10)
"""
from typing import Any, NamedTuple

import numpy

from .candidate import GRADIENT

FACTOR = 8.0                                      # a candidate may err so many times as much as the companions
# ... or by so many units in the last place of the largest entry, of results at least by those of 1: there activations
# saturate, and some engines have tanh to that absolute precision only (onnxruntime: 1e-7 near 0).
_ULPS, _ONE = 4, 1.0
_USEFUL = 1e-3                                     # companions that err by more of the largest entry say nothing ...
_SMALL = 1e-2                                      # ... and nor does a floor that is more of it
_PERTURBED_RUNS = 2                                     # companions with everything given a little off
_LONGDOUBLE_WORK = 3e8                                  # the most multiplications done in longdouble, which has no BLAS


class Budget(NamedTuple):
    """For one array; what is relative to its largest entry (gradients) is so by `scale`, which is 1 for the others."""
    truth: Any
    allowed: Any                                  # the largest error, entry by entry
    comparable: Any                               # bool, entry by entry
    step: Any                                     # in which order entries are computed
    scale: float


class Budgets(NamedTuple):
    """What the reference says about a case."""
    by_name: dict                                 # name -> Budget
    cotangents: dict                              # result -> the gradient sent back; empty if none was
    facts: dict


def measure_budgets(candidate, rng, gradients=(), factor=FACTOR):
    """The truth of every result of a subject, and how far a candidate may be off.

    gradients   the results that gradients are sent back for; none of them: no gradients
    """
    fine, places = _choose_reference_dtype(candidate), candidate.describe_arrays()
    truth = candidate.run_reference(_cast(candidate.arrays, fine))
    d = {name: (rng.standard_normal(a.shape) * (name in gradients)).astype(candidate.dtype)
         for name, a in truth.results.items()} if gradients else {}
    want = _results_and_gradients(truth, d, fine)
    errors = {name: numpy.zeros(a.shape, fine) for name, a in want.items()}
    for other in _run_companions(candidate, rng, d, fine):
        for name, a in other.items():
            errors[name] = numpy.fmax(errors[name], absolute_error(a, want[name]))
    eps = float(numpy.finfo(candidate.dtype).eps)
    budgets = {name: _make_budget(a, errors[name], places[name], factor, eps) for name, a in want.items()}
    return Budgets(budgets, d, _collect_facts(candidate, fine, factor))


def _results_and_gradients(answer, d, dtype):
    """Results and gradients by name."""
    return dict(answer.results) | (answer.back(_cast(d, dtype)) if d else {})


def _run_companions(candidate, rng, d, fine):
    for choice in candidate.variants:
        yield _results_and_gradients(candidate.run_reference(candidate.arrays, **choice), d, candidate.dtype)
    eps, double = numpy.finfo(candidate.dtype).eps, numpy.dtype("float64")
    for _ in range(_PERTURBED_RUNS):
        given = {name: a * (1 + eps * rng.uniform(-1, 1, a.shape)) for name, a in _cast(candidate.arrays, double).items()}
        yield _results_and_gradients(candidate.run_reference(given), d, double)


def _make_budget(truth, error, place, factor, eps):
    """An error that was seen may come again in all that is computed later."""
    largest = float(numpy.max(abs(truth[numpy.isfinite(truth)]), initial=0.0))
    when = numpy.broadcast_to(place.step, truth.shape)
    levels, level = numpy.unique(when, return_inverse=True)
    level, most = level.reshape(truth.shape), numpy.zeros(len(levels))
    numpy.maximum.at(most, level, numpy.where(numpy.isfinite(truth), error, numpy.inf).astype("float64"))
    most = numpy.maximum.accumulate(most)
    floor = _ULPS * eps * (largest if place.group == GRADIENT else max(largest, _ONE))
    comparable = (most <= _USEFUL * largest) & (not largest or floor <= _SMALL * largest)
    scale = largest if place.group == GRADIENT and largest else 1.0
    return Budget(truth, numpy.maximum(factor * most, floor)[level], comparable[level], when, scale)


def absolute_error(a, b):
    """|a - b|; infinite where it is not a number."""
    with numpy.errstate(invalid="ignore", over="ignore"):
        error = abs(a.astype(b.dtype) - b)
    return numpy.where(numpy.isnan(error), numpy.inf, error)


def _cast(arrays, dtype):
    return {name: a.astype(dtype) for name, a in arrays.items()}


def _choose_reference_dtype(candidate):
    """The dtype of truth."""
    if candidate.dtype.itemsize < 8:
        return numpy.dtype("float64")
    work = 6 * numpy.prod(candidate.size) * sum(a.size for name, a in candidate.arrays.items() if name != candidate.x)
    more = numpy.finfo("longdouble").eps < numpy.finfo("float64").eps
    return numpy.dtype("longdouble" if more and work <= _LONGDOUBLE_WORK else "float64")


def _collect_facts(candidate, fine, factor):
    work = candidate.dtype.name
    return {"dtype": work, "truth": "rnnref in " + ("longdouble" if fine.char == "g" else fine.name),
            "budget": f"{factor:g} x what rnnref itself errs by on this case, in {work} and in float64 with everything "
                      f"given off by up to one unit in its last place of {work}; at least {_ULPS} such units of the "
                      "largest entry (of results: of 1, if that is more)",
            "measured": "outputs and states by their largest error, gradients by it relative to their largest entry"}
