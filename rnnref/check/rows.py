"""The rows of a report and their verdicts.  (floor 10)"""
from collections import Counter
from math import inf, isfinite
from typing import Any, NamedTuple, Optional

VERDICTS = ("differs", "refused", "not comparable", "agrees")           # the gravest first
SEVERAL = {"differs": "differ", "agrees": "agree"}                      # ... of more than one
LONG = 40                                         # above so many rows, groups are summed up


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


def said(verdict, n):
    """"1 differs", "2 differ", "2 refused"."""
    return f"{n} {SEVERAL.get(verdict, verdict) if n > 1 else verdict}"


def tally(rows):
    """[(verdict, how many)], the gravest first and only what occurs."""
    found = Counter(row.verdict for row in rows)
    return [(verdict, found[verdict]) for verdict in VERDICTS if found[verdict]]


def counted(rows):
    """"2 differ, 40 agree"."""
    return ", ".join(said(*each) for each in tally(rows)) or "nothing was compared"


def groups(rows):
    """Rows by group, in the order in which groups first occur."""
    found: dict = {}
    for row in rows:
        found.setdefault(row.group, []).append(row)
    return found


def many(rows):
    """Whether a reader is better served by a line a group."""
    return len(rows) > LONG and len(groups(rows)) > 1
