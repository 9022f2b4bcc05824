"""The rows of a report and their verdicts.  (floor 10)"""
from collections import Counter
from math import inf, isfinite
from typing import Any, NamedTuple, Optional

VERDICTS = ("differs", "refused", "not comparable", "agrees")           # the gravest first
_PLURALS = {"differs": "differ", "agrees": "agree"}                      # ... of more than one
_LONG = 40                                         # above so many rows, groups are summed up


class Row(NamedTuple):
    """One thing compared: an array of a case, or a whole case."""
    name: str                                     # "y", "h_n", "dW_ih_l0", or the name of a case
    group: str = ""
    error: Optional[float] = None
    budget: Optional[float] = None
    verdict: str = "agrees"                       # one of VERDICTS
    where: str = ""                               # "t=3, row 1, unit 4": the first divergence
    note: str = ""
    trace: Any = None                             # the error at every timestep, or None
    limits: Any = None                            # the budget at every timestep, where it is not the same at all

    @property
    def ratio(self):
        """The error in budgets; infinite where it is not a number."""
        if self.error is None or not self.budget:
            return 0.0 if not self.error else inf
        return self.error / self.budget if isfinite(self.error) else inf


def format_count(verdict, n):
    """"1 differs", "2 differ", "2 refused"."""
    return f"{n} {_PLURALS.get(verdict, verdict) if n > 1 else verdict}"


def count_verdicts(rows):
    """[(verdict, how many)], the gravest first and only what occurs."""
    found = Counter(row.verdict for row in rows)
    return [(verdict, found[verdict]) for verdict in VERDICTS if found[verdict]]


def summarize(rows):
    """"2 differ, 40 agree"."""
    return ", ".join(format_count(*each) for each in count_verdicts(rows)) or "nothing was compared"


def group_rows(rows):
    """Rows by group, in the order in which groups first occur."""
    found: dict = {}
    for row in rows:
        found.setdefault(row.group, []).append(row)
    return found


def is_long(rows):
    """Whether a reader is better served by a line a group."""
    return len(rows) > _LONG and len(group_rows(rows)) > 1
