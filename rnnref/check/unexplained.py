"""What is still right where no cause fits: with which inputs of zero one step agrees."""
from collections.abc import Iterator
from dataclasses import replace

import numpy

from ..arrays import Array
from .candidate import Candidate
from .misuse import find_initial
from .placed_mistakes import measure_error, run_float64


def describe_consistent(candidate: Candidate, tolerance: float) -> Iterator[str]:
    """Sentences on one step of a candidate that differs there; none if it does not run on one."""
    short = candidate.truncate(1)
    whole = _run(short)
    if whole is None or measure_error(whole, run_float64(short)) <= 2 * tolerance:
        return
    yield from _describe_inputs(short, tolerance)


def _run(candidate: Candidate) -> dict[str, Array] | None:
    try:
        return {n: numpy.asarray(a) for n, a in candidate.run_candidate(candidate.arrays).results.items()
                if n in candidate.descriptions}
    except Exception:                             # a candidate for one length only
        return None


def _describe_inputs(candidate: Candidate, tolerance: float) -> Iterator[str]:
    """With which of x, h and c zero the first step agrees."""
    initial, arrays = find_initial(candidate), candidate.arrays
    groups = {"x": [candidate.x], "h": [n for n in initial if "h" in n], "c": [n for n in initial if "c" in n],
              "initial state": initial}
    right = []
    for word, names in groups.items():
        if not names or not all(arrays[n].any() for n in names) or word == "initial state" and right:
            continue
        other = replace(candidate, arrays=arrays | {n: numpy.zeros_like(arrays[n]) for n in names})
        results = _run(other)
        if results is not None and measure_error(results, run_float64(other)) <= 2 * tolerance:
            right.append(word)
    checks = {"x": "R and the biases are right, check W", "h": "W and the biases are right, check R",
              "c": "the gates i, g and o are right, check the forget gate",
              "initial state": "W and the biases are right, check what acts on the state"}
    for word in right:
        yield f"With {'an ' if word == 'initial state' else ''}{word} of zero the first step agrees: {checks[word]}."
