"""One entry of the second table of mistakes: what an implementation does with states, lengths, time and the batch."""
from collections.abc import Callable
from typing import NamedTuple

from ..arrays import Array
from .candidate import Candidate

Results = dict[str, Array]
Run = Callable[[Candidate], Results]              # the results of the reference


class Misuse(NamedTuple):
    """A change of the data or of the results of the reference."""
    slot: str                                     # two of one slot exclude each other
    words: str                                    # "Agrees once ..."
    note: str = ""                                # what the candidate does, if the words do not say it
    data: Callable[[Candidate], Candidate | None] | None = None
    results: Callable[[Candidate, Results, Run], Results] | None = None
    undo: Callable[[Candidate, Results], Results] | None = None              # the outputs without it
    whole: bool = False                           # True: valid outputs change, and nothing undoes it
    cells: bool = False                           # True: `data` changes the cells of the reference; comes first
    key: str = ""                                 # one for what is the same in other candidates; "": the words


def find_initial(candidate: Candidate) -> list[str]:
    """The names of the initial states among the arrays of a candidate."""
    return [n for n in candidate.arrays if n.rstrip(")").partition(" (")[0].endswith(("h0", "c0", "_0"))
            or n in ("initial_h", "initial_c")]


def names_of(candidate: Candidate, group: str) -> list[str]:
    """The names of the results of one group."""
    return [n for n, d in candidate.descriptions.items() if d.group == group]


def undo(change: Callable[[Candidate, Results, Run], Results]) -> Callable[[Candidate, Results], Results]:
    """The inverse of a change of results that is its own."""
    return lambda c, results: change(c, results, no_run)


def no_run(c: Candidate) -> Results:
    """No results: for a change of results that needs none of the reference."""
    return {}


def find_direction(c: Candidate, name: str, a: Array, backward: bool = True) -> tuple | None:
    """The index of the entries of a result that belong to a direction; None if it has none."""
    axes = c.descriptions[name].axes
    k = next((k for k, axis in enumerate(axes) if len(axis.labels) == 2 and is_backward(axis.labels[1])), None)
    if k is not None:
        return (slice(None),) * k + (slice(a.shape[k] // 2, None) if backward else slice(a.shape[k] // 2),)
    own = c.backwards or "(backward" in name or name.startswith("1.") or name.endswith(".1")
    return (...,) if own == backward else None


def is_backward(label: str) -> bool:
    """Whether a cell with this label reads backwards."""
    return label.endswith(("backward", "reverse"))


def has_two(candidate: Candidate) -> bool:
    """Whether the reference has one layer in two directions."""
    cells = candidate.list_cells()
    return len(cells) == 2 and is_backward(cells[1].label)
