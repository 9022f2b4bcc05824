"""The cause of a difference in one sentence: confirmed on fresh numbers, told apart from others, with its runner-up."""
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy

from ..arrays import Array
from .budget import cast_arrays
from .candidate import OUTPUT, STATE, Candidate
from .misuses import find_initial
from .search import Cause, Search, Watch, measure_error

_MOST_CONFIRMED = 24                              # causes of one size that are run on all steps
_GRADIENT_SHIFT = 1e-5                            # of arrays, for the derivative along a direction
_GRADIENT_ERROR = 1e-4                            # of |gradient| |direction|: float32, and a difference
_SAME = 1e-9                                      # causes that predict this are one in other words


class Observation(NamedTuple):
    """What a candidate returned on some numbers, and how far right results may lie from it."""
    candidate: Candidate
    returned: dict[str, Array]
    masks: dict[str, Array]                       # the entries that can be compared
    tolerance: float

    def error(self, cause: Cause) -> float:
        """The largest error of the results under a cause."""
        return measure_error(self.returned, cause.predict(self.candidate), self.masks)


class Explanation(NamedTuple):
    """The causes that explain all that was returned, and what else was tried."""
    causes: list[Cause]                           # several cannot be told apart by these numbers
    error: float                                  # of the results under the first of them
    experiment: str                               # what tells them apart, in words
    runner_up: Cause | None
    runner_up_error: float


def find_explanation(observation: Observation, draw: Callable[[], Iterable[Observation]], rng: numpy.random.Generator,
                     progress: Watch | None = None) -> Explanation | None:
    """The fewest mistakes that explain an observation, and fresh ones; None without any.

    draw   -> observations of the same candidate on fresh numbers
    """
    candidate = observation.candidate
    search = Search(candidate, observation.returned, observation.masks, observation.tolerance, progress)
    for size in (1, 2):
        errors = [(observation.error(c), c) for c in _take(search.find(size))]
        fitting = [c for error, c in errors if error <= 2 * observation.tolerance]
        search.tried += [(error, c) for error, c in errors if error > 2 * observation.tolerance]
        confirmed = [c for c in fitting if all(o.error(c) <= 2 * o.tolerance for o in draw())] if fitting else []
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
    everything = _draw_other(candidate, rng, candidate.arrays)
    kept: list[Cause] = []
    for cause in causes:
        if all(_predict_difference(everything, cause, other) > _SAME for other in kept):
            kept.append(cause)
    if len(kept) == 1:
        return kept, ""
    for words, names in _list_experiments(candidate):
        other = _draw_other(candidate, rng, names)
        if names and _predict_difference(other, kept[0], kept[1]) > _SAME:
            return kept, words
    return kept, "with other weights, biases and initial states"


def _predict_difference(candidate: Candidate, a: Cause, b: Cause) -> float:
    first, second = a.predict(candidate), b.predict(candidate)
    return measure_error(first, second) if first or second else 0.0


def _list_experiments(candidate: Candidate) -> Iterator[tuple[str, list[str]]]:
    """(words, the arrays that are drawn anew)."""
    biases, initial = list(candidate.biases), find_initial(candidate)
    yield "with random numbers for all biases", biases
    yield "from a random initial state", initial
    yield "with another x", [candidate.x]
    yield "with random weights", [n for n in candidate.arrays if n not in (*biases, *initial, candidate.x)]


def _draw_other(candidate: Candidate, rng: numpy.random.Generator, names: Iterable[str]) -> Candidate:
    """The same candidate with random numbers in some of its arrays."""
    drawn = {n: 0.5 * rng.standard_normal(candidate.arrays[n].shape) for n in names}
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
