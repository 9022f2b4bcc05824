"""Reports of comparisons: rows with errors and budgets, findings in plain sentences; as text, JSON or an HTML page."""
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from os import PathLike
from pathlib import Path
from textwrap import wrap
from typing import Any

from ..errors import Error
from .html import render_fragment, render_html
from .junit import Suite, Test, render_junit
from .reproduce import pack_arrays, write_lines
from .row import (VERDICTS, GateErrors, Row, format_number, format_row, format_share, group_rows, is_long, join_details,
                  measure_share, summarize)
from .svg import draw_report, list_gate_names

_MARKS = {"agrees": "ok", "differs": "XX", "refused": "--", "not comparable": "??"}
_WIDTH = 118


class VerificationError(Error, AssertionError):
    """Raised by `Report.raise_if_failed`: the candidate does not agree with the reference."""


@dataclass(repr=False)
class Report:
    """The result of a check: a title, rows (one comparison each), findings (sentences) and facts (versions, dtype ...).

    `bool(report)` is `report.ok`.  `print(report)` shows everything as text, a notebook shows the HTML page.

    >>> report = Report("my_lstm", [Row("y", "outputs", 2e-8, 1e-6), Row("h_n", "states", 0.5, 1e-6, "differs",
    ...                                                                  "row 1, unit 4")])
    >>> report
    <Report my_lstm: 1 differs, 1 agrees>
    >>> bool(report), report.counts["differs"]
    (False, 1)
    >>> print(report)
    my_lstm differs from the reference in 1 of 2 arrays.
    <BLANKLINE>
      name  error    budget   verdict     where
      y     2.0e-08  1.0e-06  ok agrees
      h_n   5.0e-01  1.0e-06  XX differs  row 1, unit 4
    """
    title: str                                    # what was checked, a noun phrase: "torch.nn.LSTM(3, 4)"
    rows: list[Row] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    findings: list = field(default_factory=list)
    strict: bool = field(default=False, kw_only=True)            # True: all entries must be comparable
    arrays: dict[str, Any] = field(default_factory=dict, kw_only=True)       # what the candidate was run on, x first
    gates: GateErrors = field(default=GateErrors(), kw_only=True)            # the error per gate, where it is known
    call: str = field(default="", kw_only=True)   # the call that makes the same report of these arrays

    @property
    def counts(self) -> dict[str, int]:
        """The number of rows for every verdict."""
        found = Counter(row.verdict for row in self.rows)
        return {verdict: found[verdict] for verdict in VERDICTS}

    @property
    def ok(self) -> bool:
        """True if at least one result agrees, and none differs or was refused; if strict, all entries were compared."""
        return self.status == 0

    @property
    def status(self) -> int:
        """0: it agrees; 1: something differs, was refused or (if strict) not compared; 2: nothing could be compared."""
        counts = self.counts
        results = [row for row in self.rows if row.group != "gradients"] or self.rows
        if counts["differs"]:
            return 1
        if not any(row.verdict == "agrees" for row in results):
            return 2
        partial = counts["not comparable"] or measure_share(self.rows) < 1
        return int(bool(counts["refused"] or self.strict and partial))

    @property
    def sections(self) -> Mapping[str, "Report"]:
        """The reports of which this one is made, by name."""
        return {}

    @property
    def summary(self) -> str:
        """The number of rows for every verdict, as text: "2 differ, 40 agree"."""
        return summarize(self.rows)

    @property
    def headline(self) -> str:
        """The verdict on the candidate in one sentence, with which the text and the page begin."""
        counts, n = self.counts, len(self.rows)
        if counts["differs"]:
            return f"{self.title} differs from the reference {_format_share(counts['differs'], n)}."
        if counts["refused"]:
            return f"{self.title} could not be compared completely: {counts['refused']} of {n} refused."
        if self.status == 2:
            return f"No verdict on {self.title}: {'nothing is comparable' if n else 'nothing was compared'}."
        n_open, share = counts["not comparable"], measure_share(self.rows)
        rest = f"; {n_open} {'is' if n_open == 1 else 'are'} not comparable" if n_open else ""
        if share < 1:
            rest += f"{' and' if n_open else '; only'} {format_share(share)} of all entries were compared"
        strict = ", which is too little for a strict check" if self.status else ""
        return f"{self.title} agrees with the reference to rounding {_format_share(counts['agrees'], n)}{rest}{strict}."

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.title}: {self.summary}>"

    def __str__(self) -> str:
        return "\n".join(_render_text(self))

    def _repr_html_(self) -> str:
        return render_fragment(self)

    def to_dict(self) -> dict[str, Any]:
        """Everything that the report holds, in types that JSON has."""
        return to_json_types({"title": self.title, "ok": self.ok, "status": self.status, "counts": self.counts,
                              "findings": list(self.findings), "facts": self.facts,
                              "rows": [row._asdict() for row in self.rows],
                              "gates": {"caption": self.gates.caption,
                                        "rows": [row._asdict() for row in self.gates.rows],
                                        "gradients": [row._asdict() for row in self.gates.gradients]}})

    def to_json(self, path: str | PathLike | None = None) -> str:
        """The report as JSON, also written to `path` if given; infinities and NaN are the strings "inf" and "nan"."""
        return _write(path, json.dumps(self.to_dict(), indent=1, allow_nan=False))

    def to_html(self, path: str | PathLike | None = None) -> str:
        """The report as one HTML page without scripts or external files, also written to `path` if given."""
        return _write(path, render_html(self))

    def to_junit(self, path: str | PathLike | None = None) -> str:
        """The report as JUnit XML for continuous integration, also written to `path` if given."""
        return _write(path, render_junit(self))

    def list_suites(self) -> list[Suite]:
        """What `to_junit` writes: a suite for every group, with a test for every row."""
        output = "\n".join([self.headline, *map(str, self.findings)])
        return [Suite(group or self.title, [Test(row.name, [row]) for row in rows], {} if k else self.facts,
                      "" if k else output) for k, (group, rows) in enumerate(group_rows(self.rows).items())]

    def save_arrays(self, path: str | PathLike) -> str:
        """Write the arrays that were checked as an .npz file; three lines of Python that check them again."""
        if not self.arrays or not self.call:
            raise Error("save_arrays", f"the report on {self.title} holds no arrays", fix="a report of rnnref.verify")
        Path(path).write_bytes(pack_arrays(self.arrays))
        return write_lines(self, str(path))

    def to_svg(self, path: str | PathLike | None = None) -> str:
        """The report as a picture of its verdict, findings and largest errors, also written to `path` if given."""
        return _write(path, draw_report(self))

    def raise_if_failed(self) -> "Report":
        """Raise `VerificationError` unless the report is ok; otherwise return the report."""
        if not self.ok:
            lines = [*self.findings, *(format_row(row) for row in _select_worst(self.rows))]
            raise VerificationError(self.title, self.summary, **{f"{n:<6}": line for n, line in enumerate(lines, 1)})
        return self


def join_gates(reports: Iterable[tuple[str, Report]]) -> GateErrors:
    """The errors of the gates of the first layer that has some."""
    return next((report.gates.prefix(name) for name, report in reports
                 if report.gates.rows or report.gates.gradients), GateErrors())


def _format_share(n: int, total: int) -> str:
    if total == 1:
        return "in the one array that was compared"
    return f"in all {total} arrays" if n == total else f"in {n} of {total} arrays"


def _select_worst(rows: list[Row], most: int = 8) -> list[Row]:
    """The first rows that differ or were refused, those that differ first."""
    bad = [row for row in rows if row.verdict in ("differs", "refused")]
    return sorted(bad, key=lambda row: VERDICTS.index(row.verdict))[:most]


def _render_text(report: Report) -> Iterator[str]:
    yield from wrap(report.headline, _WIDTH)
    for finding in report.findings:
        yield from wrap(str(finding), _WIDTH, initial_indent="  * ", subsequent_indent="    ")
    yield ""
    if is_long(report.rows):
        yield from _render_groups(report.rows)
    elif report.rows:
        yield from _render_rows(report.rows)
    yield from _render_gates(report.gates)
    if all(row.verdict != "differs" or row.group == "gradients" for row in report.rows):          # else all blocks do
        yield from _render_blocks(report.gates.gradients)
    if report.facts:
        yield ""
        yield from format_facts(report.facts)


def format_facts(facts: dict[str, Any], width: int = _WIDTH) -> Iterator[str]:
    """Lines "name  value", with long values wrapped and aligned."""
    widest = max(map(len, facts), default=0)
    for name, value in facts.items():
        yield from wrap(str(value), width, initial_indent=f"  {name:<{widest}}  ", subsequent_indent=" " * (widest + 4))


def _render_groups(rows: list[Row]) -> Iterator[str]:
    """A line per group, then a line per row that does not agree."""
    yield from format_table(["group", "rows", "largest error/budget", "verdicts"],
                            ([name, str(len(group)), f"{max(row.ratio for row in group):.2g}", summarize(group)]
                             for name, group in group_rows(rows).items()))
    bad = [row for row in rows if row.verdict != "agrees"]
    if bad:
        yield ""
        yield from _render_rows(bad)


def _render_gates(gates: GateErrors) -> Iterator[str]:
    """A line for each gate."""
    if gates.rows:
        yield ""
        yield from wrap(gates.caption, _WIDTH, initial_indent="  ", subsequent_indent="  ")
        yield from format_table(["gate", "error", "where"], ([name, format_number(row.error), join_details(row)] for
                                                             name, row in zip(list_gate_names(gates.rows), gates.rows)))


def _render_blocks(blocks: Sequence[Row]) -> Iterator[str]:
    """A line for each gradient, with a column for each gate."""
    if blocks:
        columns = list(dict.fromkeys(row.name for row in blocks))
        yield ""
        yield from format_table(["gradient", *columns], ([group, *_list_cells(rows, columns)] for group, rows in
                                                         group_rows(blocks).items()))


def _list_cells(rows: list[Row], columns: list[str]) -> list[str]:
    """The error and the mark of each gate."""
    own = {row.name: f"{_MARKS[row.verdict]} {format_number(row.error)}" for row in rows}
    return [own.get(gate, "") for gate in columns]


def _render_rows(rows: list[Row]) -> Iterator[str]:
    yield from format_table(["name", "error", "budget", "verdict", "where"],
                            ([row.name, format_number(row.error), format_number(row.budget),
                              f"{_MARKS[row.verdict]} {row.verdict}", join_details(row)] for row in rows))


def format_table(head: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    """Lines of cells with their columns aligned."""
    lines = [*([head] if head else []), *rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        yield "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths)).rstrip()


def to_json_types(a: Any) -> Any:
    """A tree of dicts, lists, strings and numbers; what JSON cannot hold becomes a string."""
    if isinstance(a, dict):
        return {str(k): to_json_types(v) for k, v in a.items()}
    if isinstance(a, (list, tuple)):
        return [to_json_types(v) for v in a]
    if a is None or isinstance(a, (str, bool, int)):
        return a
    if hasattr(a, "tolist"):                      # NumPy scalars and arrays
        return to_json_types(a.tolist())
    if isinstance(a, float):
        return a if isfinite(a) else str(a)
    return str(a)


def _write(path: str | PathLike | None, content: str) -> str:
    if path is not None:
        Path(path).write_text(content, encoding="utf-8")
    return content
