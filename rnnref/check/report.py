"""What a check found: rows of errors and budgets, and findings in plain sentences; as text, JSON or one HTML page.

Nothing here knows what was compared.  (floor 10)
"""
import json
from collections import Counter
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from textwrap import wrap

from ..errors import Error
from .html import render_html
from .row import VERDICTS, Row, group_rows, is_long, summarize  # noqa: F401 (Row is offered here)

_MARKS = {"agrees": "ok", "differs": "XX", "refused": "--", "not comparable": "??"}


class VerificationError(Error, AssertionError):
    """A candidate that does not agree with the reference."""


@dataclass
class Report:
    """A title, findings (sentences), rows and facts (versions, sizes, dtype, seed ...).

    >>> report = Report("a demonstration", [Row("y", "outputs", 2e-8, 1e-6), Row("h_n", "states", 0.5, 1e-6, "differs",
    ...                                                                          "row 1, unit 4")])
    >>> report.ok, report.counts["differs"]
    (False, 1)
    >>> print(report)
    a demonstration: 1 differs, 1 agrees
    <BLANKLINE>
      name  error    budget   verdict     where
      y     2.0e-08  1.0e-06  ok agrees
      h_n   5.0e-01  1.0e-06  XX differs  row 1, unit 4
    """
    title: str
    rows: list = field(default_factory=list)
    facts: dict = field(default_factory=dict)
    findings: list = field(default_factory=list)

    @property
    def counts(self):
        """How many rows have each verdict."""
        found = Counter(row.verdict for row in self.rows)
        return {verdict: found[verdict] for verdict in VERDICTS}

    @property
    def ok(self):
        """Whether something was compared and agreed, and nothing differed or was refused."""
        counts = self.counts
        return bool(counts["agrees"]) and not counts["differs"] and not counts["refused"]

    @property
    def summary(self):
        """"2 differ, 40 agree"."""
        return summarize(self.rows)

    def __str__(self):
        return "\n".join(_render_text(self))

    def to_dict(self):
        return to_json_types({"title": self.title, "ok": self.ok, "counts": self.counts, "findings": list(self.findings),
                      "facts": self.facts, "rows": [row._asdict() for row in self.rows]})

    def to_json(self, path=None):
        """The report as JSON text, written to `path` if one is given; infinities and NaN are the strings inf, nan."""
        return _write(path, json.dumps(self.to_dict(), indent=1, allow_nan=False))

    def to_html(self, path=None):
        """The report as one page that needs nothing else, written to `path` if one is given."""
        return _write(path, render_html(self))

    def raise_if_failed(self):
        """Raise `VerificationError` unless the report is `ok`; returns the report."""
        if not self.ok:
            lines = [*self.findings, *(_format_row(row) for row in _select_worst(self.rows))]
            raise VerificationError(self.title, self.summary, **{f"{n:<6}": line for n, line in enumerate(lines, 1)})
        return self


def _select_worst(rows, most=8):
    """The rows that did not agree, the gravest verdicts first and then as they came."""
    bad = [row for row in rows if row.verdict in ("differs", "refused")]
    return sorted(bad, key=lambda row: VERDICTS.index(row.verdict))[:most]


def _format_row(row):
    error = f": error {_format_number(row.error)}, budget {_format_number(row.budget)}" if row.error is not None else ""
    said = "; ".join(filter(None, (row.where, row.note)))
    return f"{row.name} {row.verdict}{error}{f' ({said})' if said else ''}"


def _format_number(a):
    return "" if a is None else f"{a:.1e}"


def _render_text(report):
    yield f"{report.title}: {report.summary}"
    for finding in report.findings:
        yield f"  * {finding}"
    yield ""
    if is_long(report.rows):
        yield from _render_groups(report.rows)
    else:
        yield from format_table(["name", "error", "budget", "verdict", "where"], map(_format_cells, report.rows))
    if report.facts:
        yield ""
        yield from format_facts(report.facts)


def format_facts(facts, width=118):
    """How it was done: a line a fact, or more where it is long."""
    wide = max(map(len, facts), default=0)
    for name, value in facts.items():
        yield from wrap(str(value), width, initial_indent=f"  {name:<{wide}}  ", subsequent_indent=" " * (wide + 4))


def _render_groups(rows):
    """A line a group, then every row that does not agree."""
    yield from format_table(["group", "rows", "worst error/budget", "verdicts"],
                     ([name, str(len(of)), f"{max(row.ratio for row in of):.2g}", summarize(of)]
                      for name, of in group_rows(rows).items()))
    bad = [row for row in rows if row.verdict != "agrees"]
    if bad:
        yield ""
        yield from format_table(["name", "error", "budget", "verdict", "where"], map(_format_cells, bad))


def _format_cells(row):
    return [row.name, _format_number(row.error), _format_number(row.budget), f"{_MARKS[row.verdict]} {row.verdict}",
            "; ".join(filter(None, (row.where, row.note)))]


def format_table(head, rows):
    """Lines with their columns aligned."""
    lines = [*([head] if head else []), *rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        yield "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths)).rstrip()


def to_json_types(a):
    """Trees of what JSON knows: floats that it does not know, and anything else, become strings."""
    if isinstance(a, dict):
        return {str(k): to_json_types(v) for k, v in a.items()}
    if isinstance(a, (list, tuple)):
        return [to_json_types(v) for v in a]
    if a is None or isinstance(a, (str, bool, int)):
        return a
    if hasattr(a, "tolist"):                      # NumPy's own numbers and arrays
        return to_json_types(a.tolist())
    if isinstance(a, float):
        return a if isfinite(a) else str(a)
    return str(a)


def _write(path, content):
    if path is not None:
        Path(path).write_text(content, encoding="utf-8")
    return content
