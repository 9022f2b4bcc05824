"""The search for the cause of a difference: single mistakes and pairs, tried on a few recorded steps, then on all."""
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy

from ..arrays import Array
from ..errors import Error
from ..tree import map_structure
from .budget import cast_arrays
from .candidate import Candidate, Direction
from .equations import Equations, read_equations
from .mistakes import Mistake, describe_constant, list_mistakes
from .misuses import Misuse, list_misuses
from .norm_mistakes import NormMistake, list_norm_mistakes
from .trace import ROWS, STEPS, Recorded, Trace

Watch = Callable[[Iterable, str], Iterable]       # (iterable, what) -> the iterable, with a progress bar perhaps
_LOOSE = 20.0                                     # on a few steps a cause may err by so many tolerances,
_FLOOR = 1e-9                                     # and by this
_NEWTON_STEPS = 10
_MISFITS = (Error, ValueError, IndexError, KeyError)
_FAR = 10.0                                       # errors of causes that are not worth a word
_SHORT = 4                                        # steps, where a few units cannot be computed without the others


class Cause(NamedTuple):
    """One or more mistakes under which the reference computes what a candidate does."""
    mistakes: tuple[Mistake, ...] = ()
    misuses: tuple[Misuse, ...] = ()
    only: tuple[int, ...] | None = None           # the directions whose weights are concerned; None: all
    where: str = ""                               # these in words: "in the backward direction "
    norms: tuple[NormMistake, ...] = ()

    @property
    def words(self) -> str:
        """What follows "once"."""
        found = [self.where + m.words for m in self.mistakes] + [n.words for n in self.norms]
        found += [m.words for m in self.misuses]
        return ", ".join(found[:-1]) + " and " * (len(found) > 1) + found[-1]

    @property
    def note(self) -> str:
        """What the candidate does, where the words do not say it."""
        return "; ".join(m.note for m in self.misuses if m.note)

    @property
    def size(self) -> int:
        """How many mistakes these are."""
        return len(self.mistakes) + len(self.norms) + len(self.misuses)

    def change(self, candidate: Candidate) -> Candidate | None:
        """The candidate beside a reference with these mistakes in its weights, options and data; None: not possible."""
        changed: Candidate | None = candidate
        if self.mistakes:
            cells = []
            for k, one in enumerate(candidate.list_cells()):
                equations = read_equations(one.cell, one.p)
                if equations is not None and (self.only is None or k in self.only):
                    equations = _change(equations, self.mistakes)
                if equations is None:
                    return None
                cell, p = equations.make_cell()
                cells.append(one._replace(cell=cell, p=p))
            changed = candidate.replace_cells(cells)
        for norm in self.norms:
            changed = changed and changed.replace_cells([norm.change(one) for one in changed.list_cells()])
        for misuse in self.misuses:
            changed = misuse.data(changed) if misuse.data and changed is not None else changed
        return changed

    def predict(self, candidate: Candidate) -> dict[str, Array]:
        """The results of a candidate with these mistakes, in float64; {} if they are not possible here."""
        try:
            changed = self.change(candidate)
            if changed is None:
                return {}
            results = run_float64(changed)
            for misuse in self.misuses:
                if misuse.results is not None:
                    results = misuse.results(changed, results, run_float64)
            return results
        except Exception:                         # of any reference: the mistake is not possible with such arrays
            return {}


def run_float64(candidate: Candidate) -> dict[str, Array]:
    """The results of the reference in float64."""
    return dict(candidate.run_reference(cast_arrays(candidate.arrays, "float64")).results)


def measure_error(returned: dict[str, Array], predicted: dict[str, Array], masks: dict[str, Array] | None = None,
                  ) -> float:
    """The largest error of all results, of 1 or of the largest entry predicted; infinite if one is missing or odd."""
    worst = 0.0
    for name, a in returned.items():
        b = predicted.get(name)
        if b is None or a.shape != b.shape:
            return numpy.inf
        with numpy.errstate(all="ignore"):
            error = abs(a.astype("float64") - b.astype("float64"))
        mask = (masks or {}).get(name)
        if mask is not None and mask.shape == error.shape:
            error = error[mask]
        scale = max(1.0, float(abs(b[numpy.isfinite(b)]).max(initial=0.0)))
        worst = max(worst, float(numpy.nan_to_num(error, nan=numpy.inf).max(initial=0.0)) / scale)
    return worst


def align(direction: Direction, lengths: Array | None) -> Recorded | None:
    """A few rows of one direction in the order in which it reads them; None if no row has a step."""
    x, y, first, reverse = direction
    T, B = x.shape[:2]
    if y.shape[:2] != (T, B) or not T or not B:
        return None
    n = numpy.full(B, T) if lengths is None else numpy.asarray(lengths)
    steps = min(STEPS, int(n.max()))
    if not steps:
        return None
    rows = numpy.flatnonzero(n >= steps)[:ROWS]
    t = numpy.arange(steps)[:, None]
    t = n[rows] - 1 - t if reverse else t + 0 * rows
    zero = numpy.zeros((len(rows), y.shape[-1]))
    h, c = (first[k][rows] if len(first) > k else None for k in (0, 1))
    return Recorded(x[t, rows], y[t, rows], zero if h is None else h, c)


def _change(equations: Equations, mistakes: Iterable[Mistake]) -> Equations | None:
    """The equations with mistakes, one after the other; None if one is not possible."""
    found: Equations | None = equations
    for m in mistakes:
        found = None if found is None else m.weights(found)
    return found


class Search:
    """The search for the causes of what a candidate returned."""

    def __init__(self, candidate: Candidate, returned: dict[str, Array], masks: dict[str, Array], tolerance: float,
                 progress: Watch | None = None) -> None:
        self.candidate, self.returned, self._masks = candidate, returned, masks
        self._limit = max(_LOOSE * tolerance, _FLOOR)
        self._watch = progress or (lambda items, words: items)
        cells = candidate.list_cells()
        found = [read_equations(c.cell, map_structure(lambda a: a.astype("float64"), c.p)) for c in cells]
        self._equations = [e for e in found if e is not None] if None not in found else []
        self._labels = [c.label for c in cells]
        self._mistakes = list_mistakes(self._equations[0], cells[0].gates) if self._equations else []
        self._norms = list(list_norm_mistakes(cells[0])) if cells else []
        self._misuses = list_misuses(candidate)
        self.tried: list[tuple[float, Cause]] = []               # errors on a few steps, of what does not explain all

    def find(self, size: int) -> Iterator[Cause]:
        """The causes of this size that explain a few steps, the more likely ones first."""
        directions = self.candidate.list_directions(self.returned)
        if not directions or len(directions) != len(self._equations):
            yield from self._find_slowly(size)
            return
        traces = self._make_traces(())            # none, where the outputs have other shapes
        bad = self._find_bad(traces)
        yield from self._find_singles(traces, bad) if size == 1 else self._find_pairs(traces, bad)

    def _find_bad(self, traces: list[Trace]) -> tuple[int, ...]:
        """The directions that differ as they are."""
        return tuple(k for k, (t, e) in enumerate(zip(traces, self._equations)) if not t.error(e) <= self._limit)

    def _make_traces(self, misuses: Sequence[Misuse]) -> list[Trace]:
        """The traces of all directions, for data and results without these misuses; [] where there are none."""
        changed = Cause(misuses=tuple(misuses)).change(self.candidate)
        returned = dict(self.returned)
        try:
            for misuse in reversed(misuses):
                returned = misuse.undo(changed, returned) if misuse.undo and changed is not None else returned
            recorded = [] if changed is None else [align(d, changed.lengths) for d in changed.list_directions(returned)]
            fits = all(a.shape[-1:] == self._masks[n].shape[-1:] for n, a in returned.items() if n in self._masks)
            return [Trace(r) for r in recorded if r is not None] if fits and None not in recorded else []
        except _MISFITS:                          # what it returned does not have the shapes for this
            return []

    def _make_cause(self, mistakes: tuple[Mistake, ...], bad: tuple[int, ...], misuses: tuple[Misuse, ...] = (),
                    ) -> Cause:
        """The cause with these mistakes in the directions that differ."""
        if len(bad) == len(self._equations) or not mistakes:
            return Cause(mistakes, misuses)
        return Cause(mistakes, misuses, bad, f"in the {self._labels[bad[0]].rpartition(', ')[2]} direction ")

    def _try(self, traces: list[Trace], mistakes: tuple[Mistake, ...], equations: Sequence[Equations | None],
             bad: tuple[int, ...], misuses: tuple[Misuse, ...] = ()) -> Iterator[Cause]:
        """The cause if it explains the traces; else its error is remembered."""
        error = max((traces[k].quick.error(equations[k]) for k in bad), default=0.0)
        if error <= self._limit:                  # the first step may lack what the next ones show
            error = max((traces[k].error(equations[k]) for k in bad), default=0.0)
        cause = self._make_cause(mistakes, bad, misuses)
        if error <= self._limit:
            yield cause
        elif error < _FAR:
            self.tried.append((error, cause))

    # single mistakes

    def _find_singles(self, traces: list[Trace], bad: tuple[int, ...]) -> Iterator[Cause]:
        if bad:
            fixed = [m for m in self._mistakes if not m.constant]
            found = False
            for m in fixed:
                for cause in self._try(traces, (m,), [m.weights(e) for e in self._equations], bad):
                    found |= m.slot == "constant"     # a number need not be sought then
                    yield cause
            for m in self._mistakes if not found else ():
                yield from self._find_constant(traces, m, bad) if m.constant else ()
        for misuse in self._misuses:
            if self._is_visible(misuse):
                own = self._make_traces((misuse,))
                if len(own) == len(self._equations):
                    yield from self._try(own, (), self._equations, tuple(range(len(own))), (misuse,))
            elif misuse.whole or traces and not bad:
                yield Cause(misuses=(misuse,))

    def _is_visible(self, misuse: Misuse) -> bool:
        """Whether a misuse changes what a trace holds."""
        return bool(misuse.data or misuse.undo)

    def _find_constant(self, traces: list[Trace], mistake: Mistake, bad: tuple[int, ...],
                       before: tuple[Mistake, ...] = (), after: tuple[Mistake, ...] = ()) -> Iterator[Cause]:
        """The constant of a mistake with which it explains the traces, by Newton's method on all numbers together."""
        own = [_change(self._equations[k], before) for k in bad]

        def change(e: Equations | None, value: float) -> Equations | None:
            with_constant = None if e is None or mistake.constant is None else mistake.constant(e, value)
            return None if with_constant is None else _change(with_constant, after)

        def predict(value: float) -> Array:
            return numpy.concatenate([quick[k].predict(change(e, value)).ravel() for k, e in zip(bad, own)])
        if any(change(e, 1.0) is None for e in own):
            return
        quick = [t.quick for t in traces]
        y = numpy.concatenate([quick[k].y.ravel() for k in bad])
        value, shift = 0.5, 1e-5
        try:
            with numpy.errstate(all="ignore"):
                for n in range(_NEWTON_STEPS):
                    at = predict(value)
                    slope = (predict(value + shift) - at) / shift
                    step = float(slope @ (y - at) / (slope @ slope))
                    value += min(2.0, max(-2.0, step))
                    if abs(step) < 1e-10 or not abs(value) < 20 or n > 5 and abs(y - at).max() > 0.1:
                        break
                if not abs(y - predict(value)).max() <= self._limit or abs(value) < 1e-3:
                    return
                value = next((r for r in (round(value, n) for n in range(1, 8))
                              if abs(y - predict(r)).max() <= self._limit / 4), value)
        except ValueError:                        # shapes that do not fit
            return
        if all(traces[k].error(change(e, value)) <= self._limit for k, e in zip(bad, own)):
            found = describe_constant(self._equations[0], mistake, value)
            yield self._make_cause((*before, found, *after), bad)

    # pairs

    def _find_pairs(self, traces: list[Trace], bad: tuple[int, ...]) -> Iterator[Cause]:
        pairs = [m for m in self._mistakes if m.in_pairs]
        changed = [[m.weights(e) for e in self._equations] for m in pairs]
        if bad and not any(traces[k].has_right_unit(self._equations[k], self._limit) for k in bad):
            for k, first in self._watch(list(enumerate(pairs)), "pairs of causes"):
                for second in pairs[k + 1:]:
                    if second.slot == first.slot:
                        continue
                    if first.constant or second.constant:
                        yield from (self._find_constant(traces, second, bad, (first,)) if second.constant
                                    else self._find_constant(traces, first, bad, (), (second,)))
                        continue
                    both = [None if e is None else second.weights(e) for e in changed[k]]
                    yield from self._try(traces, (first, second), both, bad)
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

    def _find_beside(self, traces: list[Trace], misuse: Misuse, hidden: Sequence[Misuse]) -> Iterator[Cause]:
        """Causes of a misuse and one more."""
        bad = self._find_bad(traces)
        if bad:
            for m in self._mistakes:
                if m.constant:
                    yield from (c._replace(misuses=(misuse,)) for c in self._find_constant(traces, m, bad))
                else:
                    yield from self._try(traces, (m,), [m.weights(e) for e in self._equations], bad, (misuse,))
        else:
            yield from (Cause(misuses=(misuse, other)) for other in hidden if other.slot != misuse.slot)

    def _find_fitting(self, traces: list[Trace], bad: tuple[int, ...]) -> Iterator[Cause]:
        """The single mistakes of weights and options that explain the traces."""
        for m in self._mistakes:
            if m.constant:
                yield from self._find_constant(traces, m, bad)
            else:
                yield from self._try(traces, (m,), [m.weights(e) for e in self._equations], bad)

    # without traces

    def _find_slowly(self, size: int) -> Iterator[Cause]:
        """Single causes on the first steps, where not all outputs are known or the reference is no single layer."""
        if size > 1:
            return
        short = self.candidate.truncate(min(_SHORT, self.candidate.size[0]))
        try:
            returned = {n: numpy.asarray(a) for n, a in short.run_candidate(short.arrays).results.items()
                        if n in self.returned}
        except Exception:                         # a candidate for one length only
            short, returned = self.candidate, self.returned
        causes = [*(Cause((m,)) for m in self._mistakes if not m.constant and m.in_pairs),
                  *(Cause(norms=(m,)) for m in self._norms), *(Cause(misuses=(m,)) for m in self._misuses)]
        for cause in self._watch(causes, "causes"):
            error = measure_error(returned, cause.predict(short))
            if error <= self._limit:
                yield cause
            else:
                self.tried.append((error, cause))
