"""Charts of a report as SVG: the error over time, and a histogram of all errors relative to their budgets."""
from collections.abc import Iterator
from html import escape
from math import ceil, floor, isfinite, log10
from typing import Any

from .row import VERDICTS, Row, format_count

MAX_LINES = 6                                     # as many as there are colours, --c0 to --c5
_WIDTH, _HEIGHT = 720, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 30, 16, 62     # margins that hold the labels at the size of a narrow page
_LABEL_GAP = 24                                   # between the numbers at the ends of two lines
_DECADES_BELOW, _LOWEST, _HIGHEST = 6, 1e-18, 1e18           # drawn below the least budget; drawn for 0 and infinity
VERDICT_COLOURS = {"agrees": "good", "differs": "bad", "refused": "none", "not comparable": "open"}


def draw_lines(rows: list[Row]) -> str:
    """A figure of the error at every timestep, for the rows with the largest errors; "" if no row has a trace."""
    shown, traced = select_traced(rows)
    if not shown:
        return ""
    more = f" The {MAX_LINES} largest of {traced} are shown." if traced > MAX_LINES else ""
    legend = "\n".join(f'<li style="--c: var(--c{k})"><b>{k + 1}</b> {escape(row.name)} ({row.verdict})</li>'
                       for k, row in enumerate(shown))
    return _draw_figure(draw_chart(shown), f'0 0 {_WIDTH} {_HEIGHT}',
                        f"error at every timestep of {', '.join(row.name for row in shown)}",
                        "The largest error at each timestep, on a logarithmic scale. Dashed: the budget, at comparable "
                        f"steps. Crosses: not a number.{more}", f'<ul class="legend">\n{legend}\n</ul>\n')


def select_traced(rows: list[Row]) -> tuple[list[Row], int]:
    """The rows with a trace that `draw_chart` draws, the largest errors first; and how many rows have one."""
    traced = [row for row in rows if row.trace is not None and len(row.trace) > 1]
    return sorted(traced, key=lambda row: -row.ratio)[:MAX_LINES], len(traced)


def draw_chart(rows: list[Row]) -> list[str]:
    """The elements of a chart of 720 x 280 units: axes, a numbered line for each row, and its budget."""
    scale = _Scale(rows)
    ends = _spread([_find_end(scale, row)[1] for row in rows])
    return [*scale.draw_axes(), *(line for k, row in enumerate(rows) for line in _draw_curve(scale, row, k, ends[k]))]


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


def _draw_curve(scale: _Scale, row: Row, k: int, label: float) -> Iterator[str]:
    """The line of one row with its number at the end, its budget, and crosses where the error is not a number."""
    colour, trace = f"var(--c{k})", row.trace or []
    for run in _split_finite(trace):
        points = " ".join(f"{scale.x(t):.1f},{scale.y(trace[t]):.1f}" for t in run)
        x, y = points.split()[-1].split(",")
        shape = f'polyline points="{points}"' if len(run) > 1 else f'circle cx="{x}" cy="{y}" r="1.5"'
        yield f'<{shape} style="fill: none; stroke: {colour}; stroke-width: 2"/>'
    yield f'<text x="{_find_end(scale, row)[0] + 6:.1f}" y="{label + 5:.1f}" style="fill: {colour}">{k + 1}</text>'
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
