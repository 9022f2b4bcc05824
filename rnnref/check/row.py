"""The rows of a report: one compared array or case each, with its error, budget and verdict."""
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from math import inf, isfinite
from typing import NamedTuple

VERDICTS = ("differs", "refused", "not comparable", "agrees")            # the most serious first
_PLURALS = {"differs": "differ", "agrees": "agree"}
_LONG = 40                                        # reports with more rows than this are summarized by group


class Row(NamedTuple):
    """One comparison: an array of a check, or a case of a survey.

    >>> Row("h_n", "states", 0.5, 1e-6, "differs", "row 1, unit 4")
    <Row h_n differs: error 5.0e-01, budget 1.0e-06 (row 1, unit 4)>
    """
    name: str                                     # "y", "h_n", "dW_ih_l0", or the name of a case
    group: str = ""                               # "outputs", "states", "gradients", or the group of a case
    error: float | None = None                    # the largest relative to its budget, if numbers were compared
    budget: float | None = None                   # the largest error that counts as rounding, at the same entry
    verdict: str = "agrees"                       # one of VERDICTS
    where: str = ""                               # the first entry that differs: "t=3, row 1, unit 4"
    note: str = ""
    trace: list | None = None                     # the error at every timestep
    limits: list | None = None                    # the budget at every timestep, unless it is the same at all
    entries: int = 0                              # of the array, and how many of them could be compared
    compared: int = 0

    @property
    def ratio(self) -> float:
        """The error divided by the budget; infinite if the error is infinite or NaN."""
        if self.error is None or not self.budget:
            return 0.0 if not self.error else inf
        return self.error / self.budget if isfinite(self.error) else inf

    def __repr__(self) -> str:
        return f"<Row {format_row(self)}>"


class GateErrors(NamedTuple):
    """The errors of the gates of a layer: over time, and in the gradients of their parameters."""
    caption: str = ""                             # what the rows are
    rows: Sequence[Row] = ()                      # a row for each gate, with the error at every timestep
    gradients: Sequence[Row] = ()                 # by array (the group) and gate (the name)
    first: str = ""                               # the name of the row that differs first, in the order of computation

    def prefix(self, name: str) -> "GateErrors":
        """The same for one layer of several."""
        return self._replace(caption=f"{name}: {self.caption}" if self.caption else "",
                             gradients=[row._replace(group=f"{name}: {row.group}") for row in self.gradients])


def format_row(row: Row) -> str:
    """One line: "h_n differs: error 5.0e-01, budget 1.0e-06 (row 1, unit 4)"."""
    error = f": error {format_number(row.error)}, budget {format_number(row.budget)}" if row.error is not None else ""
    details = join_details(row)
    return f"{row.name} {row.verdict}{error}{f' ({details})' if details else ''}"


def join_details(row: Row) -> str:
    """Where the row first differs, and its notes."""
    return "; ".join(filter(None, (row.where, row.note)))


def format_number(a: float | None) -> str:
    """"5.0e-01"; an empty string for None."""
    return "" if a is None else f"{a:.1e}"


def format_short(a: float | None) -> str:
    """"5e-1", "0"; an empty string for None."""
    return "" if a is None else "0" if not a else re.sub(r"e([+-])0", r"e\1", f"{a:.0e}")


def format_count(verdict: str, n: int) -> str:
    """"1 differs", "2 differ", "2 refused"."""
    return f"{n} {_PLURALS.get(verdict, verdict) if n > 1 else verdict}"


def count_verdicts(rows: Iterable[Row]) -> list[tuple[str, int]]:
    """(verdict, number of rows) for the verdicts that occur, the most serious first."""
    found = Counter(row.verdict for row in rows)
    return [(verdict, found[verdict]) for verdict in VERDICTS if found[verdict]]


def summarize(rows: Iterable[Row]) -> str:
    """"2 differ, 40 agree", and the share of entries that was compared if it was not all."""
    rows = list(rows)
    counts = ", ".join(format_count(*counted) for counted in count_verdicts(rows)) or "nothing was compared"
    share = measure_share(rows)
    return counts if share == 1 else f"{counts}; {format_share(share)} of all entries compared"


def format_share(share: float) -> str:
    """"62 %"; "less than 1 %" and "more than 99 %" where rounding would say none or all."""
    percent = round(100 * share)
    if 0 < share < 1 and percent in (0, 100):
        return "less than 1 %" if not percent else "more than 99 %"
    return f"{percent} %"


def measure_share(rows: Iterable[Row]) -> float:
    """The share of all entries that could be compared; 1 if they were not counted."""
    rows = list(rows)
    entries = sum(row.entries for row in rows)
    return sum(row.compared for row in rows) / entries if entries else 1.0


def group_rows(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by group, in the order in which groups first occur."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.group, []).append(row)
    return found


def is_long(rows: list[Row]) -> bool:
    """True if a report prints a line per group instead of a line per row."""
    return len(rows) > _LONG and len(group_rows(rows)) > 1
