"""The error budget of a check: how large an error may be and still be rounding, measured on the case itself.

The truth is the reference in a wider dtype than the candidate's.  Companion runs show what rounding does to this case:
the reference in the candidate's dtype in two orders of operations, and the same with all inputs, weights and kept
intermediates perturbed by up to one unit in the last place.  The budget is the error of the companions times a stated
factor.

Every row of the batch has its own budget at every step, which grows along the order of computation: an error made at
one step may recur in all that is computed later, but in no other row and at no earlier step.  In the gradient of a
weight every unit has its own, as a saturated gate loses digits that others have.  Where the companions err
by so much that no comparison is meaningful (a chaotic recurrence), entries are not comparable; there a candidate must
only stay in the range that the truth and the companions have.
"""
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from .candidate import GRADIENT, ArrayDescription, Candidate, Evaluation

FACTOR = 8.0                                      # a candidate may err by this factor more than the companions
# The least budget is some ulps of the largest entry so far; for results, of 1 if that is larger: activations saturate
# there, and some engines compute tanh to that absolute precision only (onnxruntime: 1e-7 near 0).  For gradients, of a
# share of the largest entry of all of them: a factor s (1 - s) has no more digits than 1 - s.
_ONE, _SHARE, _SHARE_OF_WEIGHTS = 1.0, 1e-3, 1e-4
# Gradients of weights: an ulp of every input moves a short sum by twice what is rounded in it; what is rounded in a sum
# of n products grows with n, its movement with the root of n ...
_PERTURBED, _LONG_SUM = 0.45, 64
# ... and a unit has few entries: its errors in the two orders may be small by chance
_ONE_UNIT, _LEAST_OF_UNITS = 2.0, 0.25
# companions that err by more of the largest entry, and by more than so many of its ulps: not comparable
_USEFUL, _USEFUL_ULPS = 1e-3, 16.0
_SMALL = 1e-2                                     # the least budget is never more of the largest entry than this
_RANGE = 2.0                                      # of the truth's largest entry: the range where nothing is comparable
_PERTURBED_RUNS = ((1e8, 8), (2e9, 4), (numpy.inf, 2))       # (multiplications up to, companions): cheap cases get more
_MORE_RUNS = 4                                    # as many companions again, where errors are near the budget
_WORK_OF_A_WEIGHT = 60.0                          # multiplications: to draw and place a perturbed weight takes as long
_ROUNDING = 0.5                                   # ulps by which kept intermediates are perturbed
_PATHS_WITH_STEPS = ("hoisted", "plain", "bidirectional")    # paths whose tapes keep the intermediates of each step
_LONGDOUBLE_WORK = 3e8                            # the most multiplications computed in longdouble, which has no BLAS


class Budget(NamedTuple):
    """The budget of one array, entry by entry."""
    truth: Array
    allowed: Array                                # the largest error that counts as rounding
    comparable: Array                             # bool
    step: Array                                   # the number of the step that computes the entry
    scale: float                                  # divides reported errors: a gradient's largest entry, else 1
    limit: Array                                  # the largest absolute value that a right candidate could return


class Budgets(NamedTuple):
    """The budgets of a case."""
    by_name: dict[str, Budget]
    cotangents: dict[str, Array]                  # gradients of results for the backward pass; may be empty
    facts: dict[str, str]


def measure_budgets(candidate: Candidate, rng: numpy.random.Generator, gradients: tuple[str, ...] = (),
                    factor: float = FACTOR, reference: Evaluation | None = None,
                    cotangents: dict[str, Array] | None = None) -> Budgets:
    """The truth and the budget of every result of a candidate, and of every gradient if `gradients` is not empty.

    gradients   the results for which random gradients are given to the backward pass; the others get zeros
    reference   `run_truth(candidate)`, if it is known
    cotangents  the gradients of results, if they are not drawn here
    """
    wide, descriptions = _choose_reference_dtype(candidate), candidate.descriptions
    reference = reference or run_truth(candidate)
    if cotangents is None:
        cotangents = {name: (rng.standard_normal(a.shape) * (name in gradients)).astype(candidate.dtype)
                      for name, a in reference.results.items()} if gradients else {}
    truth = results_and_gradients(reference, cotangents, wide)
    errors = {name: _Errors(a) for name, a in truth.items()}
    for perturbed, run in candidate.watch(_list_companions(candidate, rng), "rounding errors"):
        for name, a in results_and_gradients(run(), cotangents, candidate.dtype).items():
            errors[name].add(a, perturbed)
    overall = max((_find_largest(a) for name, a in truth.items() if descriptions[name].group == GRADIENT), default=0.0)
    budgets = {name: _make_budget(candidate, a, errors[name], descriptions[name], factor, overall)
               for name, a in truth.items()}
    return Budgets(budgets, cotangents, _collect_facts(candidate, wide, factor))


def widen_budgets(candidate: Candidate, rng: numpy.random.Generator, budgets: Budgets, factor: float) -> Budgets:
    """The budgets with more companions: the first ones may err little by chance."""
    for _ in range(_MORE_RUNS if count_multiplications(candidate) <= _PERTURBED_RUNS[0][0] else 1):
        again = measure_budgets(candidate, rng, factor=factor, cotangents=budgets.cotangents).by_name
        budgets = budgets._replace(by_name={name: budget._replace(
            allowed=numpy.maximum(budget.allowed, again[name].allowed),
            comparable=budget.comparable & again[name].comparable,
            limit=numpy.maximum(budget.limit, again[name].limit)) for name, budget in budgets.by_name.items()})
    return budgets


def run_truth(candidate: Candidate) -> Evaluation:
    """The reference in the dtype of the truth."""
    return candidate.run_reference(cast_arrays(candidate.arrays, _choose_reference_dtype(candidate)))


def results_and_gradients(evaluation: Evaluation, cotangents: dict, dtype: Any) -> dict[str, Array]:
    """Results and gradients by name."""
    gradients = evaluation.back(cast_arrays(cotangents, dtype)) if cotangents and evaluation.back else {}
    return dict(evaluation.results) | gradients


def _list_companions(candidate: Candidate, rng: numpy.random.Generator) -> list[tuple[bool, Callable[[], Evaluation]]]:
    """(whether its arrays are perturbed, what runs it) of every companion."""
    eps, dtype = float(numpy.finfo(candidate.dtype).eps), candidate.dtype

    def perturb(a: Array, ulps: float = 1.0) -> Array:
        return (a * (1 + ulps * eps * rng.uniform(-1, 1, a.shape))).astype(dtype)
    work = count_multiplications(candidate) + _WORK_OF_A_WEIGHT * sum(a.size for a in candidate.arrays.values())

    def run_perturbed() -> Evaluation:
        return candidate.run_reference({name: perturb(a) for name, a in candidate.arrays.items()},
                                       paths=_PATHS_WITH_STEPS, rounding=lambda a: perturb(a, _ROUNDING))
    count = next(runs for most, runs in _PERTURBED_RUNS if work <= most)
    return [*((False, partial(candidate.run_reference, candidate.arrays, **options)) for options in candidate.variants),
            *[(True, run_perturbed)] * count]


class _Errors:
    """The errors of all companions in one array, entry by entry."""

    def __init__(self, truth: Array) -> None:
        self.truth, self.largest = truth, numpy.zeros(truth.shape)
        self.magnitude = abs(truth).astype("float64")
        self._squares, self._runs = numpy.zeros(truth.shape), 0

    def add(self, companion: Array, perturbed: bool) -> None:
        """Take account of the result of one companion."""
        error = absolute_error(companion, self.truth).astype("float64")
        self.magnitude = numpy.maximum(self.magnitude, abs(companion))        # NaN stays NaN
        if perturbed:
            self._squares, self._runs = self._squares + error * error, self._runs + 1
        else:
            self.largest = numpy.maximum(self.largest, error)

    def spread(self) -> Array:
        """The root mean square of the errors of the perturbed companions."""
        return numpy.sqrt(self._squares / max(1, self._runs))

    def estimate(self, perturbed: float = 1.0) -> Array:
        """The error that a right candidate may well make; infinite where one is not finite.

        perturbed   how much errors of perturbed companions count
        """
        error = numpy.maximum(self.largest, perturbed * self.spread())
        return numpy.where(numpy.isfinite(self.truth), error, numpy.inf)


def _make_budget(candidate: Candidate, truth: Array, errors: _Errors, description: ArrayDescription, factor: float,
                 overall: float) -> Budget:
    """The budget of an array from the errors of the companions; `overall`: the largest entry of all gradients."""
    limits = numpy.finfo(candidate.dtype)
    least, tiny = candidate.ulps * float(limits.eps), float(limits.tiny)
    is_gradient, levels = description.group == GRADIENT, _Levels(description.batch, description, truth.shape)
    of_weight = is_gradient and description.batch is None
    error = errors.estimate()
    finite = numpy.isfinite(error) & numpy.isfinite(errors.magnitude)
    most = levels.find_largest(numpy.where(finite, error, 0.0))
    largest = levels.find_largest(numpy.where(finite, abs(truth), 0.0))
    scale = numpy.maximum(largest, (_SHARE_OF_WEIGHTS if of_weight else _SHARE) * overall if is_gradient else _ONE)
    floor = least * scale
    comparable = (most <= max(_USEFUL, _USEFUL_ULPS * float(limits.eps)) * largest) | (most <= tiny)
    if candidate.relative:
        floor = numpy.where(largest > 0, numpy.minimum(floor, _SMALL * largest), floor)
    comparable &= (floor <= _SMALL * largest) | (largest == 0)
    whole = levels.broadcast(levels.find_largest(numpy.where(finite, errors.magnitude, 0.0))[:, -1:] + 0 * most)
    if is_gradient:                               # along another trajectory it may be larger by any factor
        whole = numpy.full_like(whole, limits.max)
    limit = numpy.where(finite, _RANGE * whole + least * levels.broadcast(scale), numpy.inf)
    top = _find_largest(truth)
    rounding = _estimate_by_unit(errors, finite, candidate, description) if of_weight else levels.broadcast(most)
    allowed = numpy.maximum(factor * rounding, levels.broadcast(floor + tiny))
    return Budget(truth, allowed, levels.broadcast(comparable) & finite,
                  numpy.broadcast_to(description.step, truth.shape), top if is_gradient and top else 1.0, limit)


def _estimate_by_unit(errors: _Errors, finite: Array, candidate: Candidate, description: ArrayDescription) -> Array:
    """The error that a right candidate may well make in the gradient of a weight, for every unit."""
    perturbed = min(1.0, max(_PERTURBED, (candidate.longest_sum / _LONG_SUM) ** 0.5))
    most = float(numpy.max(errors.estimate(perturbed), where=finite, initial=0.0))
    units = _Levels(description.unit, description, finite.shape)
    own = numpy.maximum(_ONE_UNIT * errors.largest, perturbed * errors.spread())
    found = units.broadcast(units.find_largest(numpy.where(finite, own, 0.0)))
    return numpy.clip(found, _LEAST_OF_UNITS * most, most)


class _Levels:
    """The rows (or units) of an array and the steps that compute it: numbers [rows, steps] in order of computation."""

    def __init__(self, axis: int | None, description: ArrayDescription, shape: tuple[int, ...]) -> None:
        steps, step = numpy.unique(numpy.asarray(description.step), return_inverse=True)
        step = step.reshape(numpy.shape(description.step))
        axis = axis if len(description.axes) == len(shape) else None
        rows = 1 if axis is None else shape[axis]
        row = 0 if axis is None else numpy.arange(rows).reshape([-1] + [1] * (len(shape) - axis - 1))
        self._size, self._index = (max(rows, 1), len(steps)), numpy.broadcast_to(row * len(steps) + step, shape)

    def find_largest(self, values: Array) -> Array:
        """[rows, steps]: the largest value up to each step."""
        found = numpy.zeros(self._size[0] * self._size[1])
        numpy.maximum.at(found, self._index.ravel(), values.ravel().astype("float64"))
        return numpy.maximum.accumulate(found.reshape(self._size), axis=1)

    def broadcast(self, a: Array) -> Array:
        """Numbers [rows, steps] for every entry of the array."""
        return a.ravel()[self._index]


def _find_largest(a: Array) -> float:
    """The largest absolute value that is finite; 0 without one."""
    return float(numpy.max(abs(a[numpy.isfinite(a)]), initial=0.0))


def absolute_error(a: Array, b: Array) -> Array:
    """|a - b| in the dtype of b; infinite where it is NaN."""
    with numpy.errstate(invalid="ignore", over="ignore"):
        error = abs(a.astype(b.dtype) - b)
    return numpy.where(numpy.isnan(error), numpy.inf, error)


def cast_arrays(arrays: dict[str, Array], dtype: Any) -> dict[str, Array]:
    """The arrays in another dtype."""
    return {name: a.astype(dtype) for name, a in arrays.items()}


def find_nonfinite(arrays: dict[str, Array]) -> list[str]:
    """The names of arrays that hold NaN or infinities."""
    return [name for name, a in arrays.items() if not numpy.isfinite(a).all()]


def count_multiplications(candidate: Candidate) -> float:
    """About how many a forward and a backward pass take."""
    return float(6 * numpy.prod(candidate.size) * sum(a.size for n, a in candidate.arrays.items() if n != candidate.x))


def _choose_reference_dtype(candidate: Candidate) -> numpy.dtype:
    """The dtype of the truth: float64, and longdouble for float64 where it is wider and the work is small enough."""
    if candidate.dtype.itemsize < 8:
        return numpy.dtype("float64")
    wider = numpy.finfo("longdouble").eps < numpy.finfo("float64").eps
    small = count_multiplications(candidate) <= _LONGDOUBLE_WORK
    return numpy.dtype("longdouble" if wider and small else "float64")


def _collect_facts(candidate: Candidate, wide: numpy.dtype, factor: float) -> dict[str, str]:
    dtype = candidate.dtype.name
    return {"dtype": dtype, "truth": "rnnref in " + ("longdouble" if wide.char == "g" else wide.name),
            "budget": f"of each row and step (gradients of weights: of each unit): {factor:g} times the error of the "
                      f"reference itself up to there, measured in {dtype} and with inputs and weights perturbed by "
                      f"up to one {dtype} ulp; at least {candidate.ulps:g} ulps of the largest entry (for results: of "
                      "1, if that is larger)",
            "measured": "outputs and states: the absolute error; gradients: the error divided by the largest entry"}
