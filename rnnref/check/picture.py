"""The picture of a report: the error at every timestep against the budget, on a logarithmic scale, as inline SVG.

(floor 10)
"""
from html import escape
from math import ceil, floor, isfinite, log10

LINES = 6                                         # as many as there are colours
WIDTH, HEIGHT = 900, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 14, 40
DEEPEST = 1e-18                                   # an error of zero is drawn on the bottom line
MARK = 6                                          # decades kept below the smallest budget, at most


def svg(rows):
    """A figure of the rows that have a trace, the worst of them if there are many; "" if none has."""
    traced = [row for row in rows if row.trace is not None and len(row.trace)]
    shown = sorted(traced, key=lambda row: -row.ratio)[:LINES]
    if not shown:
        return ""
    scale = Scale(shown)
    lines = [line for k, row in enumerate(shown) for line in drawn(scale, row, k)]
    more = f" The {LINES} worst of {len(traced)} are shown." if len(traced) > LINES else ""
    label = f"error at every timestep of {', '.join(row.name for row in shown)}"
    return (f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT + 22 * ((len(shown) + 2) // 3)}" role="img" '
            f'aria-label="{escape(label)}">\n' + "\n".join([*scale.axes(), *lines, *legend(shown)])
            + f"\n</svg><figcaption>Largest error at each timestep (logarithmic). Dashed: the budget. "
              f"Crosses: not a number.{more}</figcaption></figure>")


class Scale:
    """From timestep and error to the page."""

    def __init__(self, rows):
        self.steps = max(len(row.trace) for row in rows)
        budgets = [row.budget for row in rows if row.budget]
        seen = [e for row in rows for e in row.trace if e is not None and isfinite(e) and e > 0]
        seen = seen + budgets or [1.0]
        low = floor(log10(max(min(seen), DEEPEST)))
        if budgets:
            low = max(low, floor(log10(min(budgets))) - MARK)
        self.low, self.high = low, max(ceil(log10(max(seen))), low + 2)

    def x(self, t):
        return LEFT + (WIDTH - LEFT - RIGHT) * (t / (self.steps - 1) if self.steps > 1 else 0.5)

    def y(self, error):
        decades = min(max(log10(max(error, DEEPEST)), self.low), self.high)
        return TOP + (HEIGHT - TOP - BOTTOM) * (self.high - decades) / (self.high - self.low)

    def axes(self):
        every = max(1, ceil((self.high - self.low) / 8))
        for decade in range(self.low, self.high + 1, every):
            y = self.y(10.0 ** decade)
            yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" style="stroke: var(--line)"/>'
            yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">1e{decade}</text>'
        for t in ticks(self.steps):
            yield f'<text x="{self.x(t):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{t}</text>'
        yield f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">timestep</text>'


def ticks(steps, most=10):
    """At most so many round numbers from 0 to steps - 1."""
    every = next(n * 10 ** k for k in range(12) for n in (1, 2, 5) if (steps - 1) / (n * 10 ** k) <= most)
    return range(0, steps, every)


def drawn(scale, row, k):
    """The line of one row, its budget, and crosses where the error is no number."""
    colour = f"var(--c{k})"
    for run in unbroken(row.trace):
        points = " ".join(f"{scale.x(t):.1f},{scale.y(row.trace[t]):.1f}" for t in run)
        if len(run) > 1:
            yield f'<polyline points="{points}" style="fill: none; stroke: {colour}; stroke-width: 1.8"/>'
        else:
            x, y = points.split(",")
            yield f'<circle cx="{x}" cy="{y}" r="3" style="fill: {colour}"/>'
    if row.budget:
        y = scale.y(row.budget)
        yield (f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
               f'style="stroke: {colour}; stroke-width: 1.4; stroke-dasharray: 7 5; opacity: .8"/>')
    for t, error in enumerate(row.trace):
        if error is not None and not isfinite(error):
            yield f'<text x="{scale.x(t):.1f}" y="{TOP + 10}" text-anchor="middle" style="fill: {colour}">×</text>'


def unbroken(trace):
    """Runs of timesteps with a finite error."""
    run: list = []
    for t, error in enumerate(trace):
        if error is not None and isfinite(error):
            run.append(t)
        elif run:
            yield run
            run = []
    if run:
        yield run


def legend(rows):
    wide = (WIDTH - LEFT - RIGHT) / 3
    for k, row in enumerate(rows):
        x, y = LEFT + (k % 3) * wide, HEIGHT + 8 + 22 * (k // 3)
        name = row.name if len(row.name) <= 34 else row.name[:33] + "…"
        yield f'<line x1="{x:.0f}" x2="{x + 22:.0f}" y1="{y}" y2="{y}" style="stroke: var(--c{k}); stroke-width: 3"/>'
        yield f'<text x="{x + 30:.0f}" y="{y + 4}">{escape(name)} ({row.verdict})</text>'
