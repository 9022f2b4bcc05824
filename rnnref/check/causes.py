"""The cause of a difference in one sentence: confirmed on fresh numbers, told apart from others, with its runner-up."""
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy

from ..arrays import Array
from .budget import cast_arrays
from .candidate import OUTPUT, STATE, Candidate
from .misuse import find_initial
from .placed_mistakes import Cause, measure_error, run_float64, run_in
from .search import Search

_MOST_CONFIRMED = 24                              # causes of one size that are run on all steps
_GRADIENT_SHIFT = 1e-5                            # of arrays, for the derivative along a direction
_GRADIENT_ERROR = 1e-4                            # of |gradient| |direction|: float32, and a difference
_SMALL, _LARGE = 0.5, 3.0                         # the size of random numbers: of large ones limits act
_SAME = 1e-9                                      # causes that predict this are one in other words
_ROUNDING = 1e-3                                  # the largest error that may be one of rounding


class Observation(NamedTuple):
    """What a candidate returned on some numbers, and how far right results may lie from it."""
    candidate: Candidate
    returned: dict[str, Array]
    masks: dict[str, Array]                       # the entries that can be compared
    tolerance: float

    def error(self, cause: Cause) -> float:
        """The largest error of the results under a cause."""
        return measure_error(self.returned, cause.predict(self.candidate), self.masks)

    def agrees(self, cause: Cause, error: float) -> bool:
        """Whether this error of the results under a cause is one of rounding, and far below that without the cause.

        Where the results of the cause grow, rounding errors do: the tolerance is that of the reference, times as much.
        """
        wide = run_float64(self.candidate)
        if 2 * error > measure_error(self.returned, wide, self.masks) or error > max(_ROUNDING, 2 * self.tolerance):
            return False
        if error <= 2 * self.tolerance:
            return True
        own, dtype = run_in(self.candidate, self.candidate.dtype), self.candidate.dtype
        more = measure_error(cause.predict(self.candidate, dtype), cause.predict(self.candidate), self.masks)
        return error <= 2 * self.tolerance * more / max(measure_error(own, wide, self.masks), 1e-16)

    def confirms(self, cause: Cause) -> bool:
        """Whether a cause of other results holds here, where it may make no difference."""
        error, without = self.error(cause), measure_error(self.returned, run_float64(self.candidate), self.masks)
        return self.agrees(cause, error) or max(error, without) <= 2 * self.tolerance


class Explanation(NamedTuple):
    """The causes that explain all that was returned, and what else was tried."""
    causes: list[Cause]                           # several cannot be told apart by these numbers
    error: float                                  # of the results under the first of them
    experiment: str                               # what tells them apart, in words
    runner_up: Cause | None
    runner_up_error: float


def find_explanation(observation: Observation, draw: Callable[[], Iterable[Observation]], rng: numpy.random.Generator,
                     ) -> Explanation | None:
    """The fewest mistakes that explain an observation, and fresh ones; None without any.

    draw   -> observations of the same candidate on fresh numbers
    """
    candidate = observation.candidate
    search = Search(candidate, observation.returned, observation.masks, observation.tolerance)
    for size, find in ((1, search.find_singles), (2, search.find_pairs)):
        errors = [(observation.error(c), c) for c in candidate.watch(_take(find()), "likely causes")]
        fitting = [c for error, c in errors if observation.agrees(c, error)]
        search.tried += [(error, c) for error, c in errors if c not in fitting]
        confirmed = [c for c in fitting if all(o.confirms(c) for o in draw())] if fitting else []
        if confirmed:
            causes, experiment = _tell_apart(candidate, confirmed, rng)
            rest = [t for t in search.tried if not set(causes[0].mistakes + causes[0].misuses)
                    & set(t[1].mistakes + t[1].misuses)] if size == 1 else search.tried
            error, runner_up = min(rest, key=lambda t: t[0], default=(numpy.inf, None))
            return Explanation(causes, observation.error(causes[0]), experiment, runner_up, error)
    return None


def _take(causes: Iterable[Cause]) -> list[Cause]:
    """The first causes, each only once."""
    found: dict[str, Cause] = {}
    for cause in causes:
        found.setdefault(cause.words, cause)
        if len(found) >= _MOST_CONFIRMED:
            break
    return list(found.values())


# causes that explain the same

def _tell_apart(candidate: Candidate, causes: list[Cause], rng: numpy.random.Generator) -> tuple[list[Cause], str]:
    """Those of several causes that differ on some numbers, and the first experiment that shows it.

    Causes that predict the same on all numbers are one cause in other words: the first stays.
    """
    if len(causes) == 1:
        return causes, ""
    draws = [_draw_other(candidate, rng, candidate.arrays, scale) for scale in (_SMALL, _LARGE)]
    kept: list[Cause] = []
    for cause in causes:
        if all(max(_predict_difference(draw, cause, other) for draw in draws) > _SAME for other in kept):
            kept.append(cause)
    if len(kept) == 1:
        return kept, ""
    for words, names, scale in _list_experiments(candidate):
        other = _draw_other(candidate, rng, names, scale)
        if names and _predict_difference(other, kept[0], kept[1]) > _SAME:
            return kept, words
    return kept, "with other weights, biases and initial states"


def _predict_difference(candidate: Candidate, a: Cause, b: Cause) -> float:
    first, second = a.predict(candidate), b.predict(candidate)
    return measure_error(first, second) if first or second else 0.0


def _list_experiments(candidate: Candidate) -> Iterator[tuple[str, list[str], float]]:
    """(words, the arrays that are drawn anew, the size of their numbers)."""
    biases, initial = list(candidate.biases), find_initial(candidate)
    yield "with random numbers for all biases", biases, _SMALL
    yield "from a random initial state", initial, _SMALL
    yield "with another x", [candidate.x], _SMALL
    yield "with random weights", [n for n in candidate.arrays if n not in (*biases, *initial, candidate.x)], _SMALL
    yield "from an initial state of larger numbers", initial, _LARGE
    yield "with larger numbers in x", [candidate.x], _LARGE


def _draw_other(candidate: Candidate, rng: numpy.random.Generator, names: Iterable[str], scale: float) -> Candidate:
    """The same candidate with random numbers in some of its arrays."""
    drawn = {n: scale * rng.standard_normal(candidate.arrays[n].shape) for n in names}
    return replace(candidate, arrays=candidate.arrays | drawn)


# the sentences

def describe_explanation(found: Explanation, groups: str) -> Iterator[str]:
    """Sentences on the causes of a difference; `groups`: what agrees under them, "outputs and states"."""
    first, *others = found.causes
    if others:
        words = "; or once ".join(c.words for c in found.causes)
        yield (f"Agrees to {format_error(found.error)} in {groups} once {words}. These numbers do not tell which: "
               f"check again {found.experiment}.")
        return
    note = f": {first.note}" if first.note else ""
    yield f"Agrees to {format_error(found.error)} in {groups} once {first.words}{note}.{_describe_runner_up(found)}"


def _describe_runner_up(found: Explanation) -> str:
    if found.runner_up is None or not 0 < found.runner_up_error < numpy.inf:
        return ""
    times = found.runner_up_error / max(found.error, 1e-16)
    more = f", {_format_times(times)} times as much" if times > 2 else ""
    error = format_error(found.runner_up_error)
    return f" The next best, that {found.runner_up.words}, is off by {error}{more}."


def format_error(error: float) -> str:
    """"3e-7": one digit."""
    return re.sub("e-0", "e-", f"{error:.1g}")


def _format_times(times: float) -> str:
    digits = 10 ** int(numpy.log10(times))
    return f"{int(times / digits) * digits:,}"


def describe_groups(candidate: Candidate, returned: Iterable[str], gradients: str) -> str:
    """"outputs, states and gradients": the groups of results that were returned."""
    found = {candidate.descriptions[n].group for n in returned if n in candidate.descriptions}
    words = [g for g in (OUTPUT, STATE) if g in found] + ([gradients] if gradients else [])
    return ", ".join(words[:-1]) + " and " * (len(words) > 1) + words[-1]


# gradients

def find_wrong_gradients(cause: Cause, candidate: Candidate, returned: dict[str, Array], cotangents: dict[str, Array],
                         rng: numpy.random.Generator) -> list[str] | None:
    """The gradients that are not those of the results under a cause, each along one random direction; None without any.

    The derivative is a central difference of the results in float64.
    """
    names = [n for n in candidate.arrays if f"d{n}" in returned]
    if not cotangents or not names:
        return None
    wide, wrong = replace(candidate, arrays=cast_arrays(candidate.arrays, "float64")), []
    for name in names:
        d = returned[f"d{name}"].astype("float64")
        along = rng.standard_normal(wide.arrays[name].shape)
        shift = _GRADIENT_SHIFT * along
        ends = [_project(cause.predict(replace(wide, arrays=wide.arrays | {name: wide.arrays[name] + s})), cotangents)
                for s in (shift, -shift)]
        slope = (ends[0] - ends[1]) / (2 * _GRADIENT_SHIFT)
        size = max(float(numpy.linalg.norm(d)), abs(slope) / max(1.0, float(numpy.linalg.norm(along))), 1e-3)
        if d.shape != along.shape or not abs((d * along).sum() - slope) <= \
                _GRADIENT_ERROR * size * max(1.0, float(numpy.linalg.norm(along))):
            wrong.append(f"d{name}")
    return wrong


def _project(results: dict[str, Array], cotangents: dict[str, Array]) -> float:
    return float(sum((a * cotangents[n]).sum() for n, a in results.items()
                     if n in cotangents and cotangents[n].shape == a.shape))
