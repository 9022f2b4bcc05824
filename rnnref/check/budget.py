"""The error budget of a check: how large an error may be and still be rounding, measured on the case itself.

The truth is the reference in a wider dtype than the candidate's.  Companion runs show what rounding does to this case:
the reference in the candidate's dtype, in two orders of operations, and the reference in float64 with all inputs and
weights perturbed by up to one unit in the last place of the candidate's dtype.  The budget is the largest error of the
companions times a stated factor.  Where the companions err by so much that no comparison is meaningful (a chaotic
recurrence), entries are marked as not comparable.
"""
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from .candidate import GRADIENT, ArrayDescription, Candidate, Evaluation

FACTOR = 8.0                                      # a candidate may err by this factor more than the companions
# The least budget, in ulps of the largest entry; for results, of 1 if that is larger: activations saturate there, and
# some engines compute tanh to that absolute precision only (onnxruntime: 1e-7 near 0).
_ULPS, _ONE = 4, 1.0
_USEFUL = 1e-3                                    # companions that err by more of the largest entry: not comparable
_SMALL = 1e-2                                     # the same for the least budget
_PERTURBED_RUNS = 2                               # companions with perturbed inputs and weights
_LONGDOUBLE_WORK = 3e8                            # the most multiplications computed in longdouble, which has no BLAS


class Budget(NamedTuple):
    """The budget of one array, entry by entry."""
    truth: Array
    allowed: Array                                # the largest error that counts as rounding
    comparable: Array                             # bool
    step: Array                                   # the number of the step that computes the entry
    scale: float                                  # divides reported errors: a gradient's largest entry, else 1


class Budgets(NamedTuple):
    """The budgets of a case."""
    by_name: dict[str, Budget]
    cotangents: dict[str, Array]                  # gradients of results for the backward pass; may be empty
    facts: dict[str, str]


def measure_budgets(candidate: Candidate, rng: numpy.random.Generator, gradients: tuple[str, ...] = (),
                    factor: float = FACTOR) -> Budgets:
    """The truth and the budget of every result of a candidate, and of every gradient if `gradients` is not empty.

    gradients   the results for which random gradients are given to the backward pass; the others get zeros
    """
    wide, descriptions = _choose_reference_dtype(candidate), candidate.descriptions
    reference = candidate.run_reference(_cast(candidate.arrays, wide))
    cotangents = {name: (rng.standard_normal(a.shape) * (name in gradients)).astype(candidate.dtype)
                  for name, a in reference.results.items()} if gradients else {}
    truth = _results_and_gradients(reference, cotangents, wide)
    errors = {name: numpy.zeros(a.shape, wide) for name, a in truth.items()}
    for companion in _run_companions(candidate, rng, cotangents):
        for name, a in companion.items():
            errors[name] = numpy.fmax(errors[name], absolute_error(a, truth[name]))
    eps = float(numpy.finfo(candidate.dtype).eps)
    budgets = {name: _make_budget(a, errors[name], descriptions[name], factor, eps) for name, a in truth.items()}
    return Budgets(budgets, cotangents, _collect_facts(candidate, wide, factor))


def _results_and_gradients(evaluation: Evaluation, cotangents: dict, dtype: Any) -> dict[str, Array]:
    """Results and gradients by name."""
    gradients = evaluation.back(_cast(cotangents, dtype)) if cotangents and evaluation.back else {}
    return dict(evaluation.results) | gradients


def _run_companions(candidate: Candidate, rng: numpy.random.Generator, cotangents: dict) -> Iterator[dict[str, Array]]:
    for options in candidate.variants:
        yield _results_and_gradients(candidate.run_reference(candidate.arrays, **options), cotangents, candidate.dtype)
    eps, double = numpy.finfo(candidate.dtype).eps, numpy.dtype("float64")
    for _ in range(_PERTURBED_RUNS):
        perturbed = {name: a * (1 + eps * rng.uniform(-1, 1, a.shape))
                     for name, a in _cast(candidate.arrays, double).items()}
        yield _results_and_gradients(candidate.run_reference(perturbed), cotangents, double)


def _make_budget(truth: Array, error: Array, description: ArrayDescription, factor: float, eps: float) -> Budget:
    """The budget of an array from the largest errors of the companions.

    It never shrinks from step to step: an error made at one step may recur in everything computed later.
    """
    largest = float(numpy.max(abs(truth[numpy.isfinite(truth)]), initial=0.0))
    step = numpy.broadcast_to(description.step, truth.shape)
    levels, level = numpy.unique(step, return_inverse=True)
    level, most = level.reshape(truth.shape), numpy.zeros(len(levels))
    numpy.maximum.at(most, level, numpy.where(numpy.isfinite(truth), error, numpy.inf).astype("float64"))
    most = numpy.maximum.accumulate(most)
    least = _ULPS * eps * (largest if description.group == GRADIENT else max(largest, _ONE))
    comparable = (most <= _USEFUL * largest) & (not largest or least <= _SMALL * largest)
    scale = largest if description.group == GRADIENT and largest else 1.0
    return Budget(truth, numpy.maximum(factor * most, least)[level], comparable[level], step, scale)


def absolute_error(a: Array, b: Array) -> Array:
    """|a - b| in the dtype of b; infinite where it is NaN."""
    with numpy.errstate(invalid="ignore", over="ignore"):
        error = abs(a.astype(b.dtype) - b)
    return numpy.where(numpy.isnan(error), numpy.inf, error)


def _cast(arrays: dict[str, Array], dtype: Any) -> dict[str, Array]:
    return {name: a.astype(dtype) for name, a in arrays.items()}


def _choose_reference_dtype(candidate: Candidate) -> numpy.dtype:
    """The dtype of the truth: float64, and longdouble for float64 where it is wider and the work is small enough."""
    if candidate.dtype.itemsize < 8:
        return numpy.dtype("float64")
    work = 6 * numpy.prod(candidate.size) * sum(a.size for name, a in candidate.arrays.items() if name != candidate.x)
    wider = numpy.finfo("longdouble").eps < numpy.finfo("float64").eps
    return numpy.dtype("longdouble" if wider and work <= _LONGDOUBLE_WORK else "float64")


def _collect_facts(candidate: Candidate, wide: numpy.dtype, factor: float) -> dict[str, str]:
    dtype = candidate.dtype.name
    return {"dtype": dtype, "truth": "rnnref in " + ("longdouble" if wide.char == "g" else wide.name),
            "budget": f"{factor:g} times the largest error of the reference itself on this case, measured in {dtype} "
                      f"and in float64 with inputs and weights perturbed by up to one {dtype} ulp; at least {_ULPS} "
                      "ulps of the largest entry (for results: of 1, if that is larger)",
            "measured": "outputs and states: the absolute error; gradients: the error divided by the largest entry"}
