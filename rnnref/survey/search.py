"""The search for the mistakes that explain an engine's results, in the table of `check`.

Single mistakes are tried first, and those that explain most groups are preferred; then pairs.
"""
from collections import Counter
from itertools import combinations, product
from typing import Any, Callable, Iterable, NamedTuple, Optional, Sequence

import numpy as np

from ..arrays import Array
from ..check import of_onnx
from ..check.budget import FACTOR
from ..check.onnx_mistakes import SEVERAL
from ..check.placed_mistakes import Cause
from ..check.table import join_causes, list_causes
from ..check.tolerance import absolute_tolerance
from ..onnx import run_op
from .cases import Case, Outputs

_EPSILON = 2.0 ** -23
CHAOS_THRESHOLD = 1e-3                            # where the reference errs by more in float32, nothing is comparable
_RARE = ("order", "peepholes")                    # one of many permutations: not tried in pairs
Keys = Sequence[str]                              # of causes in the table
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
    causes: tuple[str, ...] = ()                  # under which engine and reference agree, where they differ


def run_reference(case: Case, dtype: str = "float64") -> Outputs:
    """The outputs of the operators of rnnref in one dtype, by name."""
    inputs = {n: a if n == "sequence_lens" else a.astype(dtype) for n, a in case.inputs.items()}
    outputs, _ = run_op(case.op, inputs, case.attributes, keep=False)
    return dict(zip(("Y", "Y_h", "Y_c"), outputs))


class Truth:
    """The reference in float64 and the error that float32 may have; every result is computed once."""

    def __init__(self) -> None:
        self._outputs: dict = {}
        self._tables: dict[str, tuple[Any, dict[str, Cause]]] = {}

    def outputs(self, case: Case, keys: Keys = (), dtype: str = "float64") -> Any:
        """The outputs with these mistakes, those that the case can have; None where they are not possible."""
        key = (case.name, tuple(keys), dtype)
        if key not in self._outputs:
            self._outputs[key] = self._predict(case, keys, dtype) if keys else run_reference(case, dtype)
        return self._outputs[key]

    def list_causes(self, case: Case) -> dict[str, Cause]:
        """The table of mistakes for a case."""
        return {key: cause for key, cause in self._read_table(case)[1].items()
                if not any(m.slot == SEVERAL for m in cause.misuses)}

    def _read_table(self, case: Case) -> tuple[Any, dict[str, Cause]]:
        if case.name not in self._tables:
            node = of_onnx.Case(case.op, case.inputs, case.attributes, case.outputs)
            candidate = of_onnx.make_node(node, ("Y", "Y_h", "Y_c")[:3 if case.op == "LSTM" else 2])
            self._tables[case.name] = candidate, list_causes(candidate)
        return self._tables[case.name]

    def _predict(self, case: Case, keys: Keys, dtype: str) -> Outputs | None:
        candidate, table = self._read_table(case)
        own = [table[key] for key in keys if key in table]
        return (join_causes(own).predict(candidate, dtype) or None) if own else self.outputs(case, (), dtype)

    def distance(self, case: Case, got: Outputs, keys: Keys = ()) -> Optional[Distance]:
        """The distance of `got` from the truth with these mistakes; None where they are not possible."""
        expected = self.outputs(case, keys)
        if expected is None:
            return None
        return max((self._measure_output(case, name, got[name], expected[name], keys) for name in case.outputs),
                   key=lambda d: d.error / d.budget)

    def _measure_output(self, case: Case, name: str, got: Array, expected: Array, keys: Keys) -> Distance:
        error, largest = max_difference(got, expected), max(1, max_magnitude(expected))
        budget, own_error = absolute_tolerance("output", "float32", largest), 0.0
        # With mistakes, the reference's own error is only computed where it can decide.
        if not keys or budget < error < CHAOS_THRESHOLD * largest:
            own_error = max_difference(self.outputs(case, keys, "float32")[name], expected)
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
    """The mistakes that explain groups of results; the results of a group have the same operator and options."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth

    def __call__(self, groups: dict[str, list[Result]], watch: Watch) -> dict[str, tuple[str, ...]]:
        """{group: results, those that differ first} -> {group: the keys of its causes, or () where none were found}."""
        op = {group: results[0].case.op for group, results in groups.items()}
        singles = {group: [key for key in self._list_keys(groups[group]) if self._explains(groups[group], (key,))]
                   for group in watch(groups, "departures")}
        counts = Counter(key for fitting in singles.values() for key in fitting)
        chosen: dict[str, Any] = {group: (max(fitting, key=lambda key: counts[key]),)
                                  for group, fitting in singles.items() if fitting}
        for group in watch([group for group in groups if group not in chosen], "pairs of departures"):
            adopted, results = self._rank_adopted(chosen, op, op[group]), groups[group]
            chosen[group] = (self._combine_adopted(results, adopted)
                             or self._find_pair(results, adopted))
        return {group: chosen[group] for group in groups}

    def minimize(self, result: Result, keys: tuple[str, ...]) -> tuple[str, ...]:
        """The fewest causes of a group that explain one of its cases."""
        return self._drop_unneeded([result], keys)

    def _list_keys(self, results: Sequence[Result]) -> list[str]:
        """The mistakes that the first case which differs can have, or one that differs in another way."""
        differ = {tuple(r.case.traits.items())[:1]: r for r in results if r.verdict == "differs"}
        return list(dict.fromkeys(key for r in differ.values() for key in self.truth.list_causes(r.case)))

    def _explains(self, results: Sequence[Result], keys: Keys) -> bool:
        """True if engine and reference with these mistakes agree on every result."""
        for result in results:
            distance = self.truth.distance(result.case, result.got, keys)
            if distance is None or not distance.agrees:
                return False
        return True

    def _rank_adopted(self, chosen: dict, op: dict, operator: str) -> list[str]:
        """The causes that explain other groups of the same operator, the most frequent first."""
        found = Counter(key for group, keys in chosen.items() if op[group] == operator for key in keys)
        return [key for key, _ in found.most_common()]

    def _combine_adopted(self, results: Sequence[Result], adopted: Keys) -> tuple[str, ...]:
        """The fewest of the causes adopted elsewhere that explain this group together, or ()."""
        keys = tuple(adopted)
        if len(keys) < 2 or not self._explains(results, keys):
            return ()
        return self._drop_unneeded(results, keys)

    def _drop_unneeded(self, results: Sequence[Result], keys: tuple[str, ...]) -> tuple[str, ...]:
        for key in keys:
            fewer = tuple(other for other in keys if other is not key)
            if fewer and self._explains(results, fewer):
                keys = fewer
        return keys

    def _find_pair(self, results: Sequence[Result], adopted: Keys) -> tuple[str, ...]:
        table = self.truth.list_causes(results[0].case)
        few = [key for key, cause in table.items() if all(m.slot not in _RARE for m in cause.mistakes)]
        for pair in [*product(adopted, self._list_keys(results)), *combinations(few, 2)]:
            if pair[0] is not pair[1] and self._explains(results, pair):
                return pair
        return ()
