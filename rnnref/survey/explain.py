"""Why a framework differs in a case of its grid: `verify` on the same numbers, with its table of mistakes."""
from collections.abc import Callable
from typing import Any

import numpy

from ..arrays import Array
from ..check.report import Report
from ..check.verify import verify
from ..errors import Error

_OTHERS = ("First divergence", "On the first", "On the last", "Only ", "All zero", "The padding of x")     # not on why
_MOST = 2


def explain_cell(cell: Any, p: dict, x: Array, start: Any, run: Callable, settable: bool = True, **options: Any,
                 ) -> list[str]:
    """Sentences on a cell that a framework ran.

    run        (p, x, start, dy, dstate) -> outputs, states and gradients, by the names of `Tolerance`
    settable   False: it has weights of its own, and takes no p
    options    of `verify`; `run` knows lengths that are among them
    """
    given: list[Any] = []

    def compute(x: Array, initial_state: Any, lengths: Any = None, p: dict = p) -> tuple[Array, tuple]:
        given[:] = p, x, initial_state
        found = run(p, x, initial_state, numpy.zeros((*x.shape[:2], *start[0].shape[1:]), x.dtype),
                    type(start)(*map(numpy.zeros_like, start)))
        return found["y"], tuple(found[name] for name in start._fields)

    def compute_with_own_weights(x: Array, initial_state: Any, lengths: Any = None) -> tuple[Array, tuple]:
        return compute(x, initial_state)

    def backward(dy: Array, dstate: Any) -> dict[str, Array]:
        found = run(*given, dy, dstate)
        return {name: a for name, a in found.items() if name[0] == "d"}
    try:
        candidate = compute if settable else compute_with_own_weights
        return list_causes(verify(candidate, x, initial_state=start, reference=cell, p=p, backward=backward, **options))
    except Error:                                 # what the framework returned cannot be a layer's results
        return []


def list_causes(report: Report) -> list[str]:
    """The findings of a report on why something differs."""
    if not report.counts["differs"]:
        return []
    return [f for f in report.findings if not f.startswith(_OTHERS) and not f.startswith(tuple("0123456789"))][:_MOST]
