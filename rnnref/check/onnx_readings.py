"""The report on one recurrent node, with another reading of the ONNX specification under which it agrees."""
from dataclasses import fields, replace
from typing import Any

import numpy

from ..onnx.reading import CHOICES, ONNXRUNTIME
from .candidate import Candidate
from .measure import check_candidate, compare_results, randomize_zeros
from .of_onnx import NodeCandidate
from .report import Report


def check_node(candidate: NodeCandidate, rng: numpy.random.Generator, checks: dict[str, Any]) -> Report:
    """The report on one node; if it differs, with another reading of the specification under which it agrees."""
    report = check_candidate(candidate, rng, **checks | {"gradients": False})
    if report.counts["differs"]:
        report.findings += _try_other_readings(candidate, rng, checks)
    return report


def _try_other_readings(candidate: NodeCandidate, rng: numpy.random.Generator, checks: dict[str, Any]) -> list[str]:
    """A finding if the candidate agrees, on fresh numbers too, under another reading of the ONNX specification."""
    candidate, _ = randomize_zeros(candidate, rng, checks["perturb_biases"])
    others = [replace(candidate.reading, **{name: value}) for name, values in CHOICES.items() for value in values
              if value != getattr(candidate.reading, name)]
    draws: list[Any] = [candidate, candidate.redraw(rng, start=True), candidate.redraw(rng, start=True)]
    for reading in (*others, ONNXRUNTIME):
        if all(_agrees(replace(draw, reading=reading), rng, checks["factor"]) for draw in draws):
            changed = [f"{f.name}={getattr(reading, f.name)!r}" for f in fields(reading)
                       if getattr(reading, f.name) != getattr(candidate.reading, f.name)]
            return [f"It agrees under another reading of the ONNX specification: Reading({', '.join(changed)})."]
    return []


def _agrees(candidate: Candidate, rng: numpy.random.Generator, factor: float) -> bool:
    with numpy.errstate(all="ignore"):
        verdicts = compare_results(candidate, rng, False, factor, explained=False).verdicts
    return all(v.row.verdict == "agrees" for v in verdicts)
