"""The search for the faults that explain an engine's results.

Single faults are tried first, and those that explain most groups are preferred; then pairs.
"""
from collections import Counter
from itertools import combinations, product
from typing import Any, Callable, Iterable, NamedTuple, Optional, Sequence

import numpy as np

from ..arrays import Array
from ..check.budget import FACTOR
from ..check.tolerance import absolute_tolerance
from ..errors import Error
from ..onnx import Reading, run_op
from .cases import Case, Outputs
from .faults import Fault, list_faults, predict

_EPSILON = 2.0 ** -23
CHAOS_THRESHOLD = 1e-3                            # where the reference errs by more in float32, nothing is comparable
Faults = Sequence[Fault]
Watch = Callable[[Iterable, str], Iterable]       # (iterable, what) -> the iterable, with a progress bar perhaps


class Distance(NamedTuple):
    """The difference of two results, in the output that is worst relative to its budget."""
    error: float
    budget: float
    largest: float                                # the largest entry of the output, at least 1
    comparable: bool = True

    @property
    def agrees(self) -> bool:
        """True if the error is within the budget."""
        return self.error <= self.budget

    @property
    def roundings(self) -> float:
        """The error in units of float32 rounding: 2^-23 of the largest entry."""
        return self.error / (_EPSILON * self.largest)


class Result(NamedTuple):
    """One case and what the engine returned for it."""
    case: Case
    got: Any = None                               # the outputs; None where the engine refused the case
    refusal: str = ""                             # its error message
    distance: Any = None                          # a Distance; None where the engine refused the case
    verdict: str = "agrees"
    faults: tuple[Fault, ...] = ()                # under which engine and reference agree, where they differ


def make_reference(dtype: str) -> Callable[[Case, dict], Outputs]:
    """The operators of rnnref in one dtype: run(case, reading) -> {output name: array}."""
    def run(case: Case, reading: dict) -> Outputs:
        inputs = {n: a if n == "sequence_lens" else a.astype(dtype) for n, a in case.inputs.items()}
        outputs, _ = run_op(case.op, inputs, case.attributes, Reading(**reading), keep=False)
        return dict(zip(("Y", "Y_h", "Y_c"), outputs))
    return run


class Truth:
    """The reference in float64 and the error that float32 may have; every result is computed once."""

    def __init__(self) -> None:
        self._cache: dict = {}

    def outputs(self, case: Case, faults: Faults = (), dtype: str = "float64") -> Any:
        """The outputs with these faults; None where a fault does not apply to the case."""
        key = (case.name, tuple(fault.key for fault in faults), dtype)
        if key not in self._cache:
            try:
                self._cache[key] = predict(case, faults, make_reference(dtype))
            except (Error, IndexError, ValueError):
                if not faults:
                    raise
                self._cache[key] = None
        return self._cache[key]

    def distance(self, case: Case, got: Outputs, faults: Faults = ()) -> Optional[Distance]:
        """The distance of `got` from the truth with these faults; None where a fault does not apply."""
        expected = self.outputs(case, faults)
        if expected is None:
            return None
        return max((self._measure_output(case, name, got[name], expected[name], faults) for name in case.outputs),
                   key=lambda d: d.error / d.budget)

    def _measure_output(self, case: Case, name: str, got: Array, expected: Array, faults: Faults) -> Distance:
        error, largest = max_difference(got, expected), max(1, max_magnitude(expected))
        budget, own_error = absolute_tolerance("output", "float32", largest), 0.0
        # With faults, the reference's own error is only computed where it can decide.
        if not faults or budget < error < CHAOS_THRESHOLD * largest:
            own_error = max_difference(self.outputs(case, faults, "float32")[name], expected)
        return Distance(error, max(budget, FACTOR * own_error), largest, own_error < CHAOS_THRESHOLD * largest)


def max_difference(a: Array, b: Array) -> float:
    """The largest absolute difference; infinite where shapes differ or only one entry is NaN."""
    if a.shape != b.shape:
        return np.inf
    with np.errstate(invalid="ignore", over="ignore"):
        d = np.abs(a.astype("float64") - b)
    d = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, d)
    return float(np.where(np.isnan(d), np.inf, d).max(initial=0))


def max_magnitude(a: Array) -> float:
    """The largest absolute value that is finite; 0 if there is none."""
    return float(np.nan_to_num(np.abs(a), posinf=0).max(initial=0))


class Search:
    """The faults that explain groups of results; the results of a group have the same operator and options."""

    def __init__(self, truth: Truth, ops: Iterable[str]) -> None:
        self.truth = truth
        self._faults = {op: list(list_faults(op)) for op in ops}

    def __call__(self, groups: dict[str, list[Result]], watch: Watch) -> dict[str, tuple[Fault, ...]]:
        """{group: results, those that differ first} -> {group: its faults, or () where none were found}."""
        op = {group: results[0].case.op for group, results in groups.items()}
        singles = {group: [fault for fault in self._faults[op[group]] if self._explains(groups[group], (fault,))]
                   for group in watch(groups, "departures")}
        counts = Counter(fault.key for fitting in singles.values() for fault in fitting)
        chosen: dict[str, Any] = {group: (max(fitting, key=lambda fault: counts[fault.key]),)
                                  for group, fitting in singles.items() if fitting}
        for group in watch([group for group in groups if group not in chosen], "pairs of departures"):
            adopted, results = self._rank_adopted(chosen, op, op[group]), groups[group]
            chosen[group] = (self._combine_adopted(results, adopted)
                             or self._find_pair(results, adopted, self._faults[op[group]]))
        return {group: chosen[group] for group in groups}

    def minimize(self, result: Result, faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
        """The fewest faults of a group that explain one of its cases."""
        return self._drop_unneeded([result], faults)

    def _explains(self, results: Sequence[Result], faults: Faults) -> bool:
        """True if engine and reference with these faults agree on every result."""
        for result in results:
            distance = self.truth.distance(result.case, result.got, faults)
            if distance is None or not distance.agrees:
                return False
        return True

    def _rank_adopted(self, chosen: dict, op: dict, operator: str) -> list[Fault]:
        """The faults that explain other groups of the same operator, the most frequent first."""
        found = Counter(fault for group, faults in chosen.items() if op[group] == operator for fault in faults)
        return [fault for fault, _ in found.most_common()]

    def _combine_adopted(self, results: Sequence[Result], adopted: Faults) -> tuple[Fault, ...]:
        """The fewest of the faults adopted elsewhere that explain this group together, or ()."""
        faults = tuple(adopted)
        if len(faults) < 2 or not self._explains(results, faults):
            return ()
        return self._drop_unneeded(results, faults)

    def _drop_unneeded(self, results: Sequence[Result], faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
        for fault in faults:
            fewer = tuple(other for other in faults if other is not fault)
            if fewer and self._explains(results, fewer):
                faults = fewer
        return faults

    def _find_pair(self, results: Sequence[Result], adopted: Faults, candidates: Faults) -> tuple[Fault, ...]:
        few = [fault for fault in candidates if not fault.single_only]
        for pair in [*product(adopted, candidates), *combinations(few, 2)]:
            if pair[0] is not pair[1] and self._explains(results, pair):
                return pair
        return ()
