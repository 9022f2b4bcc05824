"""The table of mistakes: all that one candidate may have, those of `mistakes`, `misuses` and their further parts."""
from ..tree import map_structure
from .candidate import Candidate
from .equations import read_equations
from .mistakes import list_mistakes
from .misuses import list_misuses
from .norm_mistakes import list_norm_mistakes
from .placed_mistakes import Cause


def list_causes(candidate: Candidate) -> dict[str, Cause]:
    """Every single cause that is possible with a candidate, the more likely ones first, by a key.

    The key is the same in other candidates, of another direction or length; constants that a search must find are left
    out.
    """
    cells = candidate.list_cells()
    found = [read_equations(one.cell, map_structure(lambda a: a.astype("float64"), one.p)) for one in cells]
    equations = [e for e in found if e is not None] if None not in found else []
    mistakes = [m for e in equations[:1] for m in [*list_mistakes(e, cells[0].gates), *list_norm_mistakes(e)]]
    causes = {m.key or m.words: Cause(misuses=(m,)) for m in list_misuses(candidate)}
    for m in sorted(mistakes, key=lambda m: not m.in_pairs):
        if not m.constant:
            causes.setdefault(m.words, Cause((m,)))
    return causes


def join_causes(causes: list[Cause]) -> Cause:
    """Several causes as one; without any, the reference as it is."""
    mistakes = tuple(m for cause in causes for m in cause.mistakes)
    return Cause(mistakes, tuple(m for cause in causes for m in cause.misuses))
