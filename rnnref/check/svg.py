"""The two pictures of a report, as inline SVG: the error over time, and how far from their budgets all errors are.

(floor 10)
"""
from html import escape
from math import ceil, floor, isfinite, log10

from .row import VERDICTS, format_count

_MAX_LINES = 6                                         # as many as there are colours
_WIDTH, _HEIGHT = 900, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 26, 14, 40
_DECADES_BELOW, _LOWEST, _HIGHEST = 6, 1e-18, 1e18           # decades drawn below the smallest budget; what 0 and infinity are
_COLOURS = {"agrees": "good", "differs": "bad", "refused": "none", "not comparable": "open"}


def draw_lines(rows):
    """The error at every timestep of the rows that have a trace, the worst if they are many; "" if none has."""
    traced = [row for row in rows if row.trace is not None and len(row.trace) > 1]
    shown = sorted(traced, key=lambda row: -row.ratio)[:_MAX_LINES]
    if not shown:
        return ""
    scale = _Scale(shown)
    drawn = [line for k, row in enumerate(shown) for line in _draw_curve(scale, row, k)]
    more = f" The {_MAX_LINES} worst of {len(traced)} are shown." if len(traced) > _MAX_LINES else ""
    label = f"error at every timestep of {', '.join(row.name for row in shown)}"
    return _draw_figure([*scale.axes(), *drawn, *_draw_legend(shown)], _HEIGHT + 22 * ((len(shown) + 1) // 2), label,
                  f"Largest error at each timestep, on a logarithmic scale. Dashed: the budget, where there is one. "
                  f"Crosses: not a number.{more}")


def _draw_figure(content, height, label, caption):
    body = "\n".join(content)
    return (f'<figure><svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(label)}">\n{body}\n</svg>'
            f"<figcaption>{escape(caption)}</figcaption></figure>")


class _Scale:
    """From timestep and error to the page."""

    def __init__(self, rows):
        self.steps = max(len(row.trace) for row in rows)
        budgets = [a for row in rows for a in row.limits or [row.budget] if a]
        seen = [e for row in rows for e in row.trace if e is not None and isfinite(e) and e > 0]
        seen = seen + budgets or [1.0]
        low = floor(log10(max(min(seen), _LOWEST)))
        if budgets:
            low = max(low, floor(log10(min(budgets))) - _DECADES_BELOW)
        self.low, self.high = low, max(ceil(log10(min(max(seen), _HIGHEST))), low + 2)

    def x(self, t):
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * t / (self.steps - 1)

    def y(self, error):
        decades = min(max(log10(max(error, _LOWEST)), self.low), self.high)
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (self.high - decades) / (self.high - self.low)

    def axes(self):
        every = max(1, ceil((self.high - self.low) / 8))
        for decade in range(self.low, self.high + 1, every):
            y = self.y(10.0 ** decade)
            yield f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" style="stroke: var(--line)"/>'
            yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">1e{decade}</text>'
        for t in _choose_ticks(self.steps):
            yield f'<text x="{self.x(t):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{t}</text>'
        yield f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">timestep</text>'


def _choose_ticks(steps, most=10):
    """At most so many round numbers from 0 to steps - 1."""
    every = next(n * 10 ** k for k in range(12) for n in (1, 2, 5) if (steps - 1) / (n * 10 ** k) <= most)
    return range(0, steps, every)


def _draw_curve(scale, row, k):
    """The line of one row with its number at the end, its budget, and crosses where the error is no number."""
    colour = f"var(--c{k})"
    for run in _split_finite(row.trace):
        points = " ".join(f"{scale.x(t):.1f},{scale.y(row.trace[t]):.1f}" for t in run)
        x, y = points.split()[-1].split(",")
        shape = f'polyline points="{points}"' if len(run) > 1 else f'circle cx="{x}" cy="{y}" r="1.5"'
        yield f'<{shape} style="fill: none; stroke: {colour}; stroke-width: 1.8"/>'
        yield f'<text x="{float(x) + 4:.1f}" y="{float(y) + 4:.1f}" style="fill: {colour}">{k + 1}</text>'
    limits = row.limits or ([row.budget] * scale.steps if row.budget else [])
    for run in _split_finite(limits):
        points = " ".join(f"{scale.x(t):.1f},{scale.y(limits[t]):.1f}" for t in run)
        yield (f'<polyline points="{points}" '
               f'style="fill: none; stroke: {colour}; stroke-width: 1.4; stroke-dasharray: 7 5; opacity: .8"/>')
    for t, error in enumerate(row.trace):
        if error is not None and not isfinite(error):
            yield f'<text x="{scale.x(t):.1f}" y="{_TOP + 10}" text-anchor="middle" style="fill: {colour}">×</text>'


def _split_finite(trace):
    """Runs of timesteps with a finite error."""
    run: list = []
    for t, error in enumerate([*trace, None]):
        if error is not None and isfinite(error):
            run.append(t)
        elif run:
            yield run
            run = []


def _draw_legend(rows):
    """Two columns: number, colour, name, verdict."""
    for k, row in enumerate(rows):
        x, y = _LEFT + (k % 2) * (_WIDTH - _LEFT) / 2, _HEIGHT + 10 + 22 * (k // 2)
        name = row.name if len(row.name) <= 40 else row.name[:39] + "…"
        yield f'<line x1="{x:.0f}" x2="{x + 22:.0f}" y1="{y}" y2="{y}" style="stroke: var(--c{k}); stroke-width: 3"/>'
        yield f'<text x="{x + 30:.0f}" y="{y + 4}">{k + 1}  {escape(name)} ({row.verdict})</text>'


def draw_histogram(rows):
    """How many rows err by how many budgets, a bar a decade: rounding on one side, conventions on the other."""
    bars: dict = {}
    for row in rows:
        if row.error is not None and row.budget:
            ratio = min(max(row.ratio, _LOWEST), _HIGHEST)
            bars.setdefault(max(floor(log10(ratio)), -4), []).append(row)
    if len(bars) < 2:
        return ""
    low, high, most = min(bars), max(max(bars), 0), max(map(len, bars.values()))
    wide, tall = (_WIDTH - _LEFT - _RIGHT) / (high - low + 1), 150
    content = [mark for decade, of in bars.items()
               for mark in _draw_bar(_LEFT + (decade - low) * wide, wide, tall, most, of)]
    edges = [_draw_tick(_LEFT + (decade - low) * wide, tall, decade) for decade in range(low, high + 2)]
    x = _LEFT + (0 - low) * wide
    budget = (f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{tall + 20}" '
              'style="stroke: var(--ink); stroke-dasharray: 7 5"/>')
    return _draw_figure([*content, *edges, budget], tall + 46, "how many rows err by how many budgets",
                  "How many rows err by how many budgets, a bar a decade. Dashed: the budget. "
                  "Left of it lies rounding; what lies right of it is more than that.")


def _draw_bar(x, wide, tall, most, rows):
    """One decade: the verdicts on each other, and how many above."""
    y = tall + 20.0
    for verdict in reversed(VERDICTS):
        n = sum(row.verdict == verdict for row in rows)
        if n:
            high = max(2.0, tall * n / most)
            y -= high
            yield (f'<rect x="{x + 2:.1f}" y="{y:.1f}" width="{max(wide - 4, 1):.1f}" height="{high:.1f}" '
                   f'style="fill: var(--{_COLOURS[verdict]})"><title>{format_count(verdict, n)}</title></rect>')
    yield f'<text x="{x + wide / 2:.1f}" y="{y - 5:.1f}" text-anchor="middle">{len(rows)}</text>'


def _draw_tick(x, tall, decade):
    word = "1" if decade == 0 else "≤ 1e-4" if decade == -4 else f"1e{decade}"
    return f'<text x="{x:.1f}" y="{tall + 38}" text-anchor="middle">{word}</text>'
