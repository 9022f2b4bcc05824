"""Reports as SVG: charts of the error over time and of errors relative to their budgets, and a picture of a report."""
import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from math import ceil, floor, isfinite, log10
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from .row import VERDICTS, GateErrors, Row, count_verdicts, format_count, format_number

if TYPE_CHECKING:
    from .report import Report

MAX_LINES = 6                                     # as many as there are colours, --c0 to --c5
_WIDTH, _HEIGHT = 720, 310
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 30, 16, 62     # margins that hold the labels at the size of a narrow page
_LABEL_GAP = 24                                   # between the numbers at the ends of two lines
_DECADES_BELOW, _LOWEST, _HIGHEST = 6, 1e-18, 1e18           # drawn below the least budget; drawn for 0 and infinity
MARKS = {"agrees": "✓", "differs": "✗", "refused": "⊘", "not comparable": "~"}
VERDICT_COLOURS = {"agrees": "good", "differs": "bad", "refused": "none", "not comparable": "open"}
COLOURS = """--ink: #1d2430; --soft: #5b6575; --line: #d9dee6; --paper: #fff; --wash: #f5f7fa; --good: #1a7f4b;
  --bad: #c02626; --none: #8a5a00; --open: #5a4fb0; --c0: #2563c9; --c1: #b85c00; --c2: #0f766e; --c3: #a23bb5;
  --c4: #5b6472; --c5: #b5304f;"""
DARK_COLOURS = """--ink: #e4e8ef; --soft: #9aa5b5; --line: #343c4a; --paper: #14181f; --wash: #1c222c; --good: #4cc98a;
  --bad: #ff7b72; --none: #e0a840; --open: #a79cf0; --c0: #6ea8ff; --c1: #ffa657; --c2: #4fd1c5; --c3: #d68ae8;
  --c4: #a0a8b4; --c5: #ff8fa6;"""
FONTS = 'system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif'


def draw_lines(rows: list[Row]) -> str:
    """A figure of the error at every timestep, for the rows with the largest errors; "" if no row has a trace."""
    shown, traced = select_traced(rows)
    if not shown:
        return ""
    more = f" The {MAX_LINES} largest of {traced} are shown." if traced > MAX_LINES else ""
    legend = [(f"{k + 1}", f"{row.name} ({row.verdict})") for k, row in enumerate(shown)]
    return _draw_figure(draw_chart(shown), f'0 0 {_WIDTH} {_HEIGHT}',
                        f"error at every timestep of {', '.join(row.name for row in shown)}",
                        "The largest error at each timestep, on a logarithmic scale. Dashed: the budget, at comparable "
                        f"steps. Crosses: not a number.{more}", _draw_legend(legend))


def draw_gates(gates: GateErrors) -> str:
    """A figure of the error of every gate at every timestep; "" where it is not known."""
    shown, traced = select_traced(gates.rows)
    if not shown:
        return ""
    more = f" The {MAX_LINES} largest of {traced} are shown." if traced > MAX_LINES else ""
    legend = [(name, describe_gate(row)) for name, row in zip(list_gate_names(shown), shown)]
    return _draw_figure(draw_chart(shown, gates), f'0 0 {_WIDTH} {_HEIGHT}', "error of every gate at every timestep",
                        f"{gates.caption} Dashed: what rounding could do.{more}", _draw_legend(legend))


def list_gate_names(rows: Iterable[Row]) -> list[str]:
    """The names at the lines of gates: "f", or "backward f"."""
    return [row.name.replace(", gate ", " ").removeprefix("gate ").removeprefix("cell state ") for row in rows]


def describe_gate(row: Row) -> str:
    """What a legend tells of a gate."""
    if row.verdict != "differs":
        return row.note or "no error"
    return f"first at {row.where}: {row.note}"


def _draw_legend(entries: Iterable[tuple[str, str]]) -> str:
    items = "\n".join(f'<li style="--c: var(--c{k})"><b>{escape(name)}</b> {escape(words)}</li>'
                      for k, (name, words) in enumerate(entries))
    return f'<ul class="legend">\n{items}\n</ul>\n'


def select_traced(rows: Sequence[Row]) -> tuple[list[Row], int]:
    """The rows to draw, those with the largest errors of all that have a trace; and how many have one."""
    traced = [row for row in rows if row.trace is not None and len(row.trace) > 1]
    largest = sorted(range(len(traced)), key=lambda k: -traced[k].ratio)[:MAX_LINES]
    return [traced[k] for k in sorted(largest)], len(traced)


def draw_chart(rows: list[Row], gates: GateErrors | None = None) -> list[str]:
    """The elements of a chart of 720 x 310 units: axes, a numbered line for each row, and its budget.

    gates   of which the rows are, if they are those of gates: their lines have the names of these
    """
    scale = _Scale(rows)
    ends = _spread([_find_end(scale, row)[1] for row in rows])
    names = [f"{k + 1}" if gates is None else (row.name.split()[-1] if row.name[-2:-1] == " " else "")
             for k, row in enumerate(rows)]
    # those that differ are drawn last, above the others
    order = sorted(range(len(rows)), key=lambda k: rows[k].verdict == "differs")
    curves = (line for k in order for line in _draw_curve(scale, rows[k], k, ends[k], names[k]))
    first = [row for row in rows if gates is None or row.name == gates.first]
    return [*scale.draw_axes(), *curves, *_mark_divergence(scale, first, "" if gates is None else f"{gates.first}, ")]


def _mark_divergence(scale: "_Scale", rows: list[Row], what: str) -> Iterator[str]:
    """A line at the timestep where the first of the rows first exceeds its budget, in the order of computation."""
    found = (re.match(r"t=(\d+)", row.where) for row in rows if row.verdict == "differs")
    steps = [int(match[1]) for match in found if match and int(match[1]) < scale.steps]
    if steps:
        x, end = scale.x(steps[0]), steps[0] > 0.6 * scale.steps
        yield (f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" class="first" '
               f'style="stroke: var(--bad); stroke-width: 2; stroke-dasharray: 2 4"/>')
        side, at = ("end", x - 8) if end else ("start", x + 8)
        y = _TOP + 0.4 * (_HEIGHT - _TOP - _BOTTOM)           # where few lines are, and legible above those
        for line in ("first divergence", f"{what}t={steps[0]}"):
            yield (f'<text x="{at:.1f}" y="{y:.1f}" text-anchor="{side}" style="fill: var(--bad); paint-order: stroke; '
                   f'stroke: var(--paper); stroke-width: 5px; stroke-linejoin: round">{escape(line)}</text>')
            y += _LABEL_GAP


def _draw_figure(content: list[str], box: str, label: str, caption: str, legend: str = "") -> str:
    body = "\n".join(content)
    return (f'<figure><svg viewBox="{box}" role="img" aria-label="{escape(label)}">\n{body}\n</svg>\n'
            f"{legend}<figcaption>{escape(caption)}</figcaption></figure>")


class _Scale:
    """From a timestep and an error to coordinates."""

    def __init__(self, rows: list[Row]) -> None:
        self.steps = max(len(row.trace or ()) for row in rows)
        budgets = [a for row in rows for a in row.limits or [row.budget] if a]
        values = [e for row in rows for e in row.trace or () if e is not None and isfinite(e) and e > 0]
        values = values + budgets or [1.0]
        low = floor(log10(max(min(values), _LOWEST)))
        if budgets:
            low = max(low, floor(log10(min(budgets))) - _DECADES_BELOW)
        self.low, self.high = low, max(ceil(log10(min(max(values), _HIGHEST))), low + 2)

    def x(self, t: int) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * t / (self.steps - 1)

    def y(self, error: float) -> float:
        decades = min(max(log10(max(error, _LOWEST)), self.low), self.high)
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (self.high - decades) / (self.high - self.low)

    def draw_axes(self) -> Iterator[str]:
        every = max(1, ceil((self.high - self.low) / 6))
        for decade in range(self.low, self.high + 1, every):
            y = self.y(10.0 ** decade)
            yield f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" style="stroke: var(--line)"/>'
            yield f'<text x="{_LEFT - 8}" y="{y + 5:.1f}" text-anchor="end">1e{decade}</text>'
        for t in _choose_ticks(self.steps):
            yield f'<text x="{self.x(t):.1f}" y="{_HEIGHT - _BOTTOM + 26}" text-anchor="middle">{t}</text>'
        yield f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">timestep</text>'


def _choose_ticks(steps: int, most: int = 8) -> range:
    """At most this many round numbers from 0 to steps - 1."""
    every = next(n * 10 ** k for k in range(12) for n in (1, 2, 5) if (steps - 1) / (n * 10 ** k) <= most)
    return range(0, steps, every)


def _find_end(scale: _Scale, row: Row) -> tuple[float, float]:
    """Where the line of a row ends: its last finite error."""
    runs = list(_split_finite(row.trace))
    t = runs[-1][-1] if runs else 0
    return scale.x(t), scale.y(row.trace[t]) if runs and row.trace else _TOP


def _spread(heights: list[float]) -> list[float]:
    """Heights near the given ones that are at least `_LABEL_GAP` apart, so that labels do not overlap."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    placed, lowest = list(heights), float(_TOP)
    for k in order:
        placed[k] = lowest = max(heights[k], lowest)
        lowest += _LABEL_GAP
    highest = float(_HEIGHT - _BOTTOM)
    for k in reversed(order):
        placed[k] = highest = min(placed[k], highest)
        highest -= _LABEL_GAP
    return placed


def _draw_curve(scale: _Scale, row: Row, k: int, label: float, name: str) -> Iterator[str]:
    """The line of one row with its name at the end, its budget, and crosses where the error is not a number."""
    colour, trace = f"var(--c{k})", row.trace or []
    for run in _split_finite(trace):
        points = " ".join(f"{scale.x(t):.1f},{scale.y(trace[t]):.1f}" for t in run)
        x, y = points.split()[-1].split(",")
        shape = f'polyline points="{points}"' if len(run) > 1 else f'circle cx="{x}" cy="{y}" r="1.5"'
        yield f'<{shape} style="fill: none; stroke: {colour}; stroke-width: 2"/>'
    yield f'<text x="{_find_end(scale, row)[0] + 6:.1f}" y="{label + 5:.1f}" style="fill: {colour}">{name}</text>'
    limits = row.limits or ([row.budget] * scale.steps if row.budget else [])
    for run in _split_finite(limits):
        points = " ".join(f"{scale.x(t):.1f},{scale.y(limits[t]):.1f}" for t in run)
        yield (f'<polyline points="{points}" '
               f'style="fill: none; stroke: {colour}; stroke-width: 1.5; stroke-dasharray: 7 5; opacity: .8"/>')
    for t, error in enumerate(trace):
        if error is not None and not isfinite(error):
            yield f'<text x="{scale.x(t):.1f}" y="{_TOP + 10}" text-anchor="middle" style="fill: {colour}">×</text>'


def _split_finite(trace: Any) -> Iterator[list[int]]:
    """The runs of consecutive timesteps with a finite error."""
    run: list[int] = []
    for t, error in enumerate([*trace, None]):
        if error is not None and isfinite(error):
            run.append(t)
        elif run:
            yield run
            run = []


def draw_histogram(rows: list[Row]) -> str:
    """A figure of how many rows have which error/budget, one bar per decade; "" if all are in one decade."""
    bars: dict[int, list[Row]] = {}
    for row in rows:
        if row.error is not None and row.budget:
            ratio = min(max(row.ratio, _LOWEST), _HIGHEST)
            bars.setdefault(max(floor(log10(ratio)), -4), []).append(row)
    if len(bars) < 2:
        return ""
    low, high, most = min(bars), max(max(bars), 0), max(map(len, bars.values()))
    width, height = (_WIDTH - _LEFT - _RIGHT) / (high - low + 1), 150
    content = [mark for decade, of in bars.items()
               for mark in _draw_bar(_LEFT + (decade - low) * width, width, height, most, of)]
    every = ceil((high - low + 2) / 8)
    ticks = [_draw_tick(_LEFT + (decade - low) * width, height, decade, low) for decade in range(low, high + 2)
             if decade % every == 0]
    x = _LEFT + (0 - low) * width
    budget = (f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height + 28}" '
              'style="stroke: var(--ink); stroke-dasharray: 7 5"/>')
    return _draw_figure([*content, *ticks, budget], f"0 0 {_WIDTH} {height + 66}", "errors relative to their budgets",
                        "How many rows have which error/budget, one bar per decade. Dashed: the budget. "
                        "Errors left of it are rounding, errors right of it are larger.")


def _draw_bar(x: float, width: float, height: int, most: int, rows: list[Row]) -> Iterator[str]:
    """The bar of one decade, stacked by verdict, with the number of rows above it."""
    y = height + 28.0
    for verdict in reversed(VERDICTS):
        n = sum(row.verdict == verdict for row in rows)
        if n:
            part = max(2.0, height * n / most)
            y -= part
            yield (f'<rect x="{x + 2:.1f}" y="{y:.1f}" width="{max(width - 4, 1):.1f}" height="{part:.1f}" '
                   f'style="fill: var(--{VERDICT_COLOURS[verdict]})"><title>{format_count(verdict, n)}</title></rect>')
    yield f'<text x="{x + width / 2:.1f}" y="{y - 5:.1f}" text-anchor="middle">{len(rows)}</text>'


def _draw_tick(x: float, height: int, decade: int, low: int) -> str:
    word = "1" if decade == 0 else "≤ 1e-4" if decade == low == -4 else f"1e{decade}"
    return f'<text x="{x:.1f}" y="{height + 54}" text-anchor="middle">{word}</text>'


_PICTURE_WIDTH, _MARGIN, _SIZE = 640, 24, 17      # of `draw_report`; the size of its text
_LINE_CHARACTERS, _HEADLINE_CHARACTERS = 60, 44   # that fit on a line in every common font
_MAX_FINDINGS, _MAX_ROWS = 4, 5


def draw_report(report: "Report") -> str:
    """A picture of a report: the verdict, findings, the error over time and the rows with the most serious verdicts.

    Its text stays legible at half its width of 640 pixels.
    """
    page = _Picture()
    colour = VERDICT_COLOURS[find_verdict(report)]
    page.write(MARKS[find_verdict(report)], page.y + 12, fill=colour, weight=700, size=24)
    for line in wrap(report.headline, _HEADLINE_CHARACTERS):
        page.write_line(line, x=_MARGIN + 30, weight=700, size=22)
    page.y += 10
    for finding in report.findings[:_MAX_FINDINGS]:
        page.write("•", page.y + 8, fill="soft")
        for line in wrap(str(finding), _LINE_CHARACTERS):
            page.write_line(line, x=_MARGIN + 18)
        page.y += 4
    gates = report.gates if report.gates.rows else None
    shown, _ = select_traced(report.rows if gates is None else gates.rows)
    if shown:
        page.draw_chart(shown, gates)
    page.write_rows(sorted(report.rows, key=lambda row: VERDICTS.index(row.verdict)))
    return page.render(report.headline)


class _Picture:
    """Lines of text and a chart, placed from the top to the bottom."""

    def __init__(self) -> None:
        self.y = float(_MARGIN)
        self.elements: list[str] = []

    def write(self, text: str, y: float, x: float = _MARGIN, fill: str = "ink", weight: int = 400, size: int = _SIZE,
              anchor: str = "start") -> None:
        self.elements.append(f'<text x="{x:.0f}" y="{y + 6:.0f}" text-anchor="{anchor}" style="fill: var(--{fill}); '
                             f'font-weight: {weight}; font-size: {size}px">{escape(text)}</text>')

    def write_line(self, text: str, x: float = _MARGIN, weight: int = 400, size: int = _SIZE) -> None:
        self.write(text, self.y + size / 2, x, weight=weight, size=size)
        self.y += 1.4 * size

    def draw_chart(self, rows: list[Row], gates: GateErrors | None) -> None:
        """The error over time, of gates where they are known, with a legend."""
        width = _PICTURE_WIDTH - 2 * _MARGIN
        height = width * _HEIGHT / _WIDTH
        self.elements += [f'<svg x="{_MARGIN}" y="{self.y + 10:.0f}" width="{width}" height="{height:.0f}" '
                          f'viewBox="0 0 {_WIDTH} {_HEIGHT}" class="chart">', *draw_chart(rows, gates), "</svg>"]
        self.y += height + 24
        names = [f"{k + 1}" for k in range(len(rows))] if gates is None else list_gate_names(rows)
        x = _MARGIN + 20 + 9 * (max(map(len, names)) - 1)
        if gates is not None:
            self.write("error of every gate at every step; dashed: rounding", self.y + 8, fill="soft")
            self.y += 1.4 * _SIZE
        for k, (name, row) in enumerate(zip(names, rows)):
            self.write(name, self.y + 8, fill=f"c{k}", weight=700)
            words = f"error of {row.name} ({row.verdict}); dashed: its budget" if gates is None else describe_gate(row)
            self.write_line(words, x=x)
        self.y += 10

    def write_rows(self, rows: list[Row]) -> None:
        """A table of the first rows, and how many more there are of each verdict."""
        columns = ((_MARGIN, "start"), (330, "end"), (450, "end"), (_PICTURE_WIDTH - _MARGIN, "end"))
        for (x, anchor), word in zip(columns, ("array", "error", "budget", "verdict")):
            self.write(word, self.y + 8, x, "soft", anchor=anchor)
        for row in rows[:_MAX_ROWS]:
            self.y += 1.5 * _SIZE
            cells = (row.name, format_number(row.error), format_number(row.budget))
            for (x, anchor), word in zip(columns, cells):
                self.write(word, self.y + 8, x, anchor=anchor)
            self.write(f"{MARKS[row.verdict]} {row.verdict}", self.y + 8, columns[-1][0],
                       VERDICT_COLOURS[row.verdict], 700, anchor="end")
        self.y += 1.5 * _SIZE
        more = [format_count(verdict, n).replace(" ", " more ", 1) for verdict, n in count_verdicts(rows[_MAX_ROWS:])]
        if more:
            self.write_line(", ".join(more))

    def render(self, label: str) -> str:
        height = self.y + _MARGIN
        body = "\n".join(self.elements)
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_PICTURE_WIDTH} {height:.0f}" '
                f'width="{_PICTURE_WIDTH}" height="{height:.0f}" role="img" aria-label="{escape(label)}">\n<style>\n'
                f":root {{ {COLOURS} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {DARK_COLOURS} }} }}\n"
                f"text {{ font-family: {FONTS}; }} .chart text {{ fill: var(--soft); font-size: 20px; }}\n</style>\n"
                f'<rect x="1" y="1" width="{_PICTURE_WIDTH - 2}" height="{height - 2:.0f}" rx="10" '
                f'style="fill: var(--paper); stroke: var(--line); stroke-width: 2"/>\n{body}\n</svg>\n')


def find_verdict(report: "Report") -> str:
    """The verdict on a report as a whole: one of VERDICTS."""
    return "agrees" if report.ok else next((v for v, _ in count_verdicts(report.rows)), "not comparable")
