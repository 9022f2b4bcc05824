"""Which change explains what an engine gives: single ones first, those that explain most groups, then pairs.

(floor 11)
"""
from collections import Counter
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np

from ..check.budget import FACTOR
from ..check.tolerance import absolute_tolerance
from ..errors import Error
from ..onnx import Reading, run_op
from .faults import list_faults, predict

_EPSILON = 2.0 ** -23
CHAOS_THRESHOLD = 1e-3                                      # a reference that errs by more in float32 says nothing of an engine


class Distance(NamedTuple):
    """How far apart two results are, in the output that is worst by its budget."""
    error: float
    budget: float
    largest: float                                # entry of the output, or 1
    comparable: bool = True

    @property
    def agrees(self):
        return self.error <= self.budget

    @property
    def roundings(self):
        """The error in units of float32 rounding: 2^-23 of the largest entry."""
        return self.error / (_EPSILON * self.largest)


def make_reference(dtype):
    """The operators of rnnref in one dtype: run(case, reading) -> {output: array}."""
    def run(case, reading):
        inputs = {n: a if n == "sequence_lens" else a.astype(dtype) for n, a in case.inputs.items()}
        outputs, _ = run_op(case.op, inputs, case.attributes, Reading(**reading), keep=False)
        return dict(zip(("Y", "Y_h", "Y_c"), outputs))
    return run


class Truth:
    """What the reference gives in float64, and how much float32 may be off: each worked out once."""

    def __init__(self):
        self.known: dict = {}

    def outputs(self, case, faults=(), dtype="float64"):
        """With these changes made; None where they cannot be made to this case."""
        key = (case.name, tuple(change.key for change in faults), dtype)
        if key not in self.known:
            try:
                self.known[key] = predict(case, faults, make_reference(dtype))
            except (Error, IndexError, ValueError):
                if not faults:
                    raise
                self.known[key] = None
        return self.known[key]

    def distance(self, case, got, faults=()):
        """How far `got` is from the truth with these changes; None where they cannot be made."""
        want = self.outputs(case, faults)
        if want is None:
            return None
        return max((self._measure_output(case, name, got[name], want[name], faults) for name in case.outputs),
                   key=lambda d: d.error / d.budget)

    def _measure_output(self, case, name, got, want, faults):
        error, size = max_difference(got, want), max(1, max_magnitude(want))
        budget, own = absolute_tolerance("output", "float32", size), 0.0
        if not faults or budget < error < CHAOS_THRESHOLD * size:             # else the reference's own error settles nothing
            own = max_difference(self.outputs(case, faults, "float32")[name], want)
        return Distance(error, max(budget, FACTOR * own), size, own < CHAOS_THRESHOLD * size)


def max_difference(a, b):
    """The largest difference; infinite where shapes or NaNs differ."""
    if a.shape != b.shape:
        return np.inf
    with np.errstate(invalid="ignore", over="ignore"):
        d = np.abs(a.astype("float64") - b)
    d = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, d)
    return float(np.where(np.isnan(d), np.inf, d).max(initial=0))


def max_magnitude(a):
    return float(np.nan_to_num(np.abs(a), posinf=0).max(initial=0))


class Search:
    """The changes that explain groups of results; a result has a case and what the engine gave."""

    def __init__(self, truth, ops):
        self.truth = truth
        self.tried = {op: list(list_faults(op)) for op in ops}

    def fits(self, results, faults):
        """Whether engine and reference agree on every result once these changes are made."""
        for result in results:
            distance = self.truth.distance(result.case, result.got, faults)
            if distance is None or not distance.agrees:
                return False
        return True

    def __call__(self, groups, watch):
        """{group: results, those that differ first} -> {group: changes, or () where none were found}."""
        op = {group: results[0].case.op for group, results in groups.items()}
        singles = {group: [c for c in self.tried[op[group]] if self.fits(groups[group], (c,))]
                   for group in watch(groups, "departures")}
        explains = Counter(change.key for found in singles.values() for change in found)
        chosen = {group: (max(found, key=lambda c: explains[c.key]),) for group, found in singles.items() if found}
        for group in watch([group for group in groups if group not in chosen], "departures together"):
            adopted, results = self._rank_adopted(chosen, op, op[group]), groups[group]
            chosen[group] = self.together(results, adopted) or self._find_pair(results, adopted, self.tried[op[group]])
        return {group: chosen[group] for group in groups}

    def _rank_adopted(self, chosen, op, operator):
        """What explains other groups of the same operator, what explains most first."""
        found = Counter(change for group, made in chosen.items() if op[group] == operator for change in made)
        return [change for change, _ in found.most_common()]

    def together(self, results, adopted):
        """As few of the changes that were adopted elsewhere as explain this group, or ()."""
        made = tuple(adopted)
        if len(made) < 2 or not self.fits(results, made):
            return ()
        for change in adopted:
            fewer = tuple(c for c in made if c is not change)
            if fewer and self.fits(results, fewer):
                made = fewer
        return made

    def minimize(self, result, faults):
        """As few of a group's changes as explain one of its cases."""
        for change in faults:
            fewer = tuple(c for c in faults if c is not change)
            if fewer and self.fits([result], fewer):
                faults = fewer
        return faults

    def _find_pair(self, results, adopted, tried):
        few = [change for change in tried if not change.single_only]
        for made in [*product(adopted, tried), *combinations(few, 2)]:
            if made[0] is not made[1] and self.fits(results, made):
                return made
        return ()


class Result(NamedTuple):
    """One case, and what became of it."""
    case: Any
    got: Any = None                               # the engine's outputs, or None
    refusal: str = ""                             # what it said instead
    distance: Any = None
    verdict: str = "agrees"
    made: tuple = ()                              # the changes under which it agrees, where it differs
