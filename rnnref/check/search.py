"""The search for the cause of a difference: single mistakes and pairs, tried on a few recorded steps, then on all."""
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy

from ..arrays import Array
from ..errors import Error
from ..tree import map_structure
from .candidate import Candidate
from .equations import Equations, read_equations
from .mistakes import Mistake, describe_constant, list_mistakes
from .misuse import Misuse
from .misuses import list_misuses
from .norm_mistakes import list_norm_mistakes
from .placed_mistakes import Cause, Place, change_equations, describe_place, measure_error
from .recordings import align, record_cells, run_short
from .trace import Trace

_LOOSE = 20.0                                     # on a few steps a cause may err by so many tolerances of all steps,
_EPS, _FLOOR = 512, 1e-9                          # by so many units in the last place at most, and by this at least
_NEWTON_STEPS, _STARTS = 10, (0.5, 4.0, -3.0)
_MISFITS = (Error, ValueError, IndexError, KeyError)
_FAR = 10.0                                       # errors of causes that are not worth a word
_SHORT = 4                                        # steps, where a few units cannot be computed without the others
_UNORDERED = ("fused", "W transposed", "R transposed", "order")                # two of these are tried in both orders


class Search:
    """The search for the causes of what a candidate returned."""

    def __init__(self, candidate: Candidate, returned: dict[str, Array], masks: dict[str, Array], tolerance: float,
                 ) -> None:
        self.candidate, self.returned, self._masks = candidate, returned, masks
        largest = max((float(abs(a[numpy.isfinite(a)]).max(initial=1.0)) for a in returned.values()), default=1.0)
        step = _EPS * float(numpy.finfo(candidate.dtype).eps) * max(1.0, largest)
        self._tolerance, self._limit = tolerance, max(min(_LOOSE * tolerance, step), _FLOOR)
        self._tight = min(self._limit, max(tolerance, _FLOOR))
        cells = candidate.list_cells()
        found = [read_equations(c.cell, map_structure(lambda a: a.astype("float64"), c.p)) for c in cells]
        self._equations = [e for e in found if e is not None] if None not in found else []
        self._labels = [c.label for c in cells]
        by_words: dict[str, Mistake] = {}         # of all cells: what fits none but the second layer too
        for e in self._equations:
            for m in [*list_mistakes(e, cells[0].gates), *list_norm_mistakes(e)]:
                by_words.setdefault(m.words, m)
        self._mistakes = list(by_words.values())
        self._misuses = list_misuses(candidate)
        self.tried: list[tuple[float, Cause]] = []               # errors on a few steps, of what does not explain all
        directions = candidate.list_directions(returned)
        known = len(directions) == len(self._equations)
        self._shorts = run_short(candidate, returned) if self._equations and not known else []     # of several layers
        self._is_traced = bool(directions) and known or bool(self._shorts)
        self._nearest = numpy.inf                 # the error of what was tried
        traces = self._make_traces(()) if self._is_traced else []
        if traces and not self._find_bad(traces):             # a difference that is small: no cause may err more
            self._limit = self._tight

    def find_singles(self) -> Iterator[Cause]:
        """The single mistakes that explain a few steps, the more likely ones first."""
        if not self._is_traced:
            yield from self._find_slowly()
            return
        traces = self._make_traces(())            # none, where the outputs have other shapes
        bad = self._find_bad(traces)
        if bad:
            yield from self._find_fitting(traces, bad)
        for misuse in self._misuses:
            if self._is_visible(misuse):
                own = self._make_traces((misuse,))
                if len(own) == len(self._equations):
                    yield from self._try(own, (), self._equations, tuple(range(len(own))), (misuse,))
            elif misuse.whole or self._shorts or traces and not bad:
                yield Cause(misuses=(misuse,))

    def find_pairs(self) -> Iterator[Cause]:
        """The pairs that explain a few steps, the more likely ones first."""
        if not self._is_traced:
            return
        traces = self._make_traces(())
        bad = self._find_bad(traces)
        if bad and not any(traces[k].has_right_unit(self._equations[k], self._limit) for k in bad):
            yield from self._find_two_mistakes(traces, bad)
        if len(bad) > 1:
            yield from self._find_apart(traces, bad)
        hidden = [m for m in self._misuses if not self._is_visible(m)]
        for misuse in self._misuses:
            if self._is_visible(misuse):
                own = self._make_traces((misuse,))
                if len(own) == len(self._equations):
                    yield from self._find_beside(own, misuse, hidden)
        for two in combinations([m for m in self._misuses if self._is_visible(m)], 2):
            own = self._make_traces(two) if two[0].slot != two[1].slot else []
            if own and len(own) == len(self._equations):
                yield from self._try(own, (), self._equations, tuple(range(len(own))), two)
        if bad:
            for cause in list(self._find_fitting(traces, bad)):
                yield from (cause._replace(misuses=(misuse,)) for misuse in hidden)
        elif traces:
            yield from (Cause(misuses=two) for two in combinations(hidden, 2) if two[0].slot != two[1].slot)
        yield from self._find_in_changed_cells()

    # traces

    def _find_bad(self, traces: list[Trace]) -> tuple[int, ...]:
        """The cells that differ as they are."""
        return tuple(k for k, (t, e) in enumerate(zip(traces, self._equations)) if not t.error(e) <= self._limit)

    def _make_traces(self, misuses: Sequence[Misuse]) -> list[Trace]:
        """The traces of all cells, for data and results without these misuses; [] where there are none."""
        misuses = tuple(misuses)
        try:
            if self._shorts:
                return [Trace(r) for r in record_cells(self._shorts, misuses, Cause(misuses=misuses).change)]
            changed, returned = Cause(misuses=misuses).change(self.candidate), dict(self.returned)
            for misuse in reversed(misuses):
                returned = misuse.undo(changed, returned) if misuse.undo and changed is not None else returned
            recorded = [] if changed is None else [align(d, changed.lengths) for d in changed.list_directions(returned)]
            fits = all(a.shape[-1:] == self._masks[n].shape[-1:] for n, a in returned.items() if n in self._masks)
            return [Trace(r) for r in recorded if r is not None] if fits and None not in recorded else []
        except _MISFITS:                          # what it returned does not have the shapes for this
            return []

    def _is_visible(self, misuse: Misuse) -> bool:
        """Whether a misuse changes what a trace holds: of several layers initial and last states, else outputs too."""
        if misuse.cells:
            return False
        if self._shorts:
            return misuse.slot in ("initial states", "last states") and bool(misuse.data or misuse.undo)
        return bool(misuse.data or misuse.undo and misuse.slot != "last states")

    def _make_cause(self, mistakes: tuple[Mistake, ...], bad: tuple[int, ...], misuses: tuple[Misuse, ...] = (),
                    ) -> Cause:
        """The cause with these mistakes in the cells that differ."""
        if len(bad) == len(self._equations) or not mistakes:
            return Cause(mistakes, misuses)
        return Cause(mistakes, misuses, (describe_place(bad, self._labels),) * len(mistakes))

    def _try(self, traces: list[Trace], mistakes: tuple[Mistake, ...], equations: Sequence[Equations | None],
             bad: tuple[int, ...], misuses: tuple[Misuse, ...] = ()) -> Iterator[Cause]:
        """The cause if it explains the traces; else its error is remembered."""
        error = 0.0
        for k in bad:                             # one that is further off than another one needs no second cell
            error = max(error, traces[k].quick.error(equations[k]))
            if error > self._limit and error >= self._nearest:
                return
        if error <= self._limit:                  # the first step may lack what the next ones show
            error = max((traces[k].error(equations[k]) for k in bad), default=0.0)
        if error <= self._limit:
            yield self._make_cause(mistakes, bad, misuses)
        elif error < min(_FAR, self._nearest):
            self._nearest = error
            self.tried.append((error, self._make_cause(mistakes, bad, misuses)))

    # single mistakes

    def _find_fitting(self, traces: list[Trace], bad: tuple[int, ...], misuses: tuple[Misuse, ...] = (),
                      ) -> Iterator[Cause]:
        """The single mistakes of weights and options that explain the traces."""
        found = False
        for m in self._mistakes:
            if not m.constant:
                for cause in self._try(traces, (m,), [m.weights(e) for e in self._equations], bad, misuses):
                    found |= m.slot == "constant"     # a number need not be sought then
                    yield cause
        for m in self._mistakes if not found else ():
            if m.constant:
                yield from (c._replace(misuses=misuses) for c in self._find_constant(traces, m, bad, starts=_STARTS))

    def _find_constant(self, traces: list[Trace], mistake: Mistake, bad: tuple[int, ...],
                       before: tuple[Mistake, ...] = (), after: tuple[Mistake, ...] = (),
                       starts: tuple[float, ...] = (0.5,)) -> Iterator[Cause]:
        """The constant of a mistake with which it explains the traces, by Newton's method on all numbers together."""
        own = [change_equations(self._equations[k], before) for k in bad]

        def change(e: Equations | None, value: float) -> Equations | None:
            with_constant = None if e is None or mistake.constant is None else mistake.constant(e, value)
            return None if with_constant is None else change_equations(with_constant, after)

        def predict(value: float) -> Array:
            return numpy.concatenate([quick[k].predict(change(e, value)).ravel() for k, e in zip(bad, own)])
        if any(change(e, 1.0) is None for e in own):
            return
        quick = [t.quick for t in traces]
        y = numpy.concatenate([quick[k].y.ravel() for k in bad])
        try:
            value = next((v for v in (_solve(predict, y, start) for start in starts)
                          if 1e-3 <= abs(v) < 20 and abs(y - predict(v)).max() <= self._limit), None)
            if value is None:
                return
            value = next((r for r in (round(value, n) for n in range(1, 8))
                          if abs(y - predict(r)).max() <= self._limit / 4), value)
        except ValueError:                        # shapes that do not fit
            return
        if all(traces[k].error(change(e, value)) <= self._limit for k, e in zip(bad, own)):
            found = describe_constant(self._equations[0], mistake, value)
            yield self._make_cause((*before, found, *after), bad)

    # pairs

    def _find_two_mistakes(self, traces: list[Trace], bad: tuple[int, ...]) -> Iterator[Cause]:
        """Two mistakes in the same cells: common ones, then the others."""
        changed = [[m.weights(e) for e in self._equations] for m in self._mistakes]
        numbered = list(enumerate(self._mistakes))
        pairs = [(a, b) for a, b in combinations(numbered, 2) if a[1].slot != b[1].slot]
        for rare in (False, True):
            own = [(a, b) for a, b in pairs if (a[1].in_pairs and b[1].in_pairs) != rare]
            for (k, first), (n, second) in self.candidate.watch(own, "pairs of causes"):
                if first.constant or second.constant:
                    yield from (self._find_constant(traces, second, bad, (first,)) if second.constant
                                else self._find_constant(traces, first, bad, (), (second,)))
                    continue
                orders = [(k, first, second)]
                if first.slot in _UNORDERED and second.slot in _UNORDERED:
                    orders.append((n, second, first))
                for number, one, other in orders:
                    both = [None if e is None else other.weights(e) for e in changed[number]]
                    yield from self._try(traces, (one, other), both, bad)

    def _find_apart(self, traces: list[Trace], bad: tuple[int, ...]) -> Iterator[Cause]:
        """Two mistakes that are not in the same cells: each in some, or one in all and one in some of these."""
        fixed = [m for m in self._mistakes if not m.constant]
        single = {k: [c.mistakes[0] for c in self._find_fitting(traces, (k,))] for k in bad}
        firsts = {m.words: m for found in single.values() for m in found}
        for words, first in firsts.items():
            here = tuple(k for k in bad if any(m.words == words for m in single[k]))
            rest = tuple(k for k in bad if k not in here)
            seconds = {m.words: m for k in rest for m in single[k]}
            for m in seconds.values():
                if all(any(m.words == other.words for other in single[k]) for k in rest):
                    yield self._place((first, here), (m, rest))
            for m in fixed if rest else ():
                both = [change_equations(e, (first, m)) for e in self._equations]
                if m.slot != first.slot and all(traces[k].error(both[k]) <= self._limit for k in rest):
                    yield self._place((first, bad), (m, rest))

    def _place(self, *placed: tuple[Mistake, tuple[int, ...]]) -> Cause:
        mistakes, cells = zip(*placed)
        places: tuple[Place, ...] = tuple(describe_place(own, self._labels) for own in cells)
        return Cause(mistakes, (), places)

    def _find_in_changed_cells(self) -> Iterator[Cause]:
        """Causes of a misuse that changes the cells of the reference, and one more beside these."""
        for misuse in self._misuses:
            changed = Cause(misuses=(misuse,)).change(self.candidate) if misuse.cells else None
            if changed is None:
                continue
            try:
                search = Search(changed, self.returned, self._masks, self._tolerance)
            except _MISFITS:                      # no node has such attributes and arrays
                continue
            for cause in search.find_singles():
                both = cause._replace(misuses=(misuse, *cause.misuses))
                if measure_error(self.returned, both.predict(self.candidate), self._masks) <= self._limit:
                    yield both

    def _find_beside(self, traces: list[Trace], misuse: Misuse, hidden: Sequence[Misuse]) -> Iterator[Cause]:
        """Causes of a misuse and one more."""
        bad = self._find_bad(traces)
        if bad:
            yield from self._find_fitting(traces, bad, (misuse,))
            return
        yield from (Cause(misuses=(misuse, other)) for other in hidden if other.slot != misuse.slot)
        loose, self._limit = self._limit, self._tight        # another epsilon, say, changes little
        try:
            small = self._find_bad(traces)
            yield from list(self._find_fitting(traces, small, (misuse,))) if small else ()
        finally:
            self._limit = loose

    # without traces

    def _find_slowly(self) -> Iterator[Cause]:
        """Single causes on the first steps, where not all outputs are known or the reference is no chain of cells."""
        short = self.candidate.truncate(min(_SHORT, self.candidate.size[0]))
        try:
            returned = {n: numpy.asarray(a) for n, a in short.run_candidate(short.arrays).results.items()
                        if n in self.returned}
        except Exception:                         # a candidate for one length only
            short, returned = self.candidate, self.returned
        places = [describe_place([k], self._labels) for k in range(len(self._labels))] if len(self._labels) > 1 else []
        mistakes = [m for m in self._mistakes if not m.constant and m.in_pairs]
        causes = [*(Cause((m,)) for m in mistakes), *(Cause(misuses=(m,)) for m in self._misuses),
                  *(Cause((m,), (), (place,)) for place in places for m in mistakes)]
        for cause in self.candidate.watch(causes, "causes"):
            error = measure_error(returned, cause.predict(short))
            if error <= self._limit:
                yield cause
            else:
                self.tried.append((error, cause))


def _solve(predict: Callable[[float], Array], y: Array, value: float) -> float:
    """The number for which a prediction is nearest to y, by Newton's method from `value`."""
    shift = 1e-5
    with numpy.errstate(all="ignore"):
        for n in range(_NEWTON_STEPS):
            at = predict(value)
            slope = (predict(value + shift) - at) / shift
            step = float(slope @ (y - at) / (slope @ slope))
            value += min(2.0, max(-2.0, step))
            if abs(step) < 1e-10 or not abs(value) < 20 or n > 5 and abs(y - at).max() > 0.1:
                break
    return value
