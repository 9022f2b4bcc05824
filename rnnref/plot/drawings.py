"""Drawings of loops."""
from typing import Any, Optional

import numpy

from ..cell import name_of
from ..errors import NotSupported, import_optional
from .figure import COLOURS, make_figure

_GRADIENT_COLOUR = COLOURS[1]


def unroll(cell: Any, steps: int = 3, backward: bool = False, name: Optional[str] = None) -> Any:
    """A drawing of the loop over a gated cell, a box for each step; with `backward` also its gradients, dashed.

    name    the label of the boxes, if not the name of the rule

    Errors  NotSupported: the cell has no one state to draw (several cells, a wrapper).

    >>> import rnnref
    >>> unroll(rnnref.cells.LSTM()).savefig("loop.png")           # doctest: +SKIP
    """
    if not hasattr(cell, "rule"):
        raise NotSupported("unroll", f"{name_of(cell)} is not one gated cell")
    fig = make_figure(2.2 * steps + 1.4, 3.2)
    ax = fig.subplots()
    ax.set(xlim=(-1.7, 2.2 * steps - 0.5), ylim=(-1.6, 1.6))
    ax.set_axis_off()
    fields = list(cell.rule.widths.items())
    lanes = numpy.linspace(0.3, -0.3, len(fields)) if len(fields) > 1 else [0.0]
    for t in range(steps + 1):
        at, shown = 2.2 * t, t == 0               # shapes are shown once
        for (field, width), y in zip(fields, lanes):
            _draw_arrow(ax, (at - 1.6, y), (at - 0.6, y), f"{field}_{t}", f" [B, {width}]" * shown, backward)
        if t < steps:
            _draw_box(ax, at, name or cell.name)
            _draw_arrow(ax, (at, -1.5), (at, -0.6), f"x_{t}", " [B, I]" * shown, backward)
            _draw_arrow(ax, (at, 0.6), (at, 1.5), f"y_{t}", " [B, H]" * shown, backward)
    return fig


def _draw_box(ax: Any, x: float, name: str) -> None:
    patches = import_optional("matplotlib.patches", "plot", "rnnref.plot")
    ax.add_patch(patches.FancyBboxPatch((x - 0.5, -0.5), 1, 1, boxstyle="round,pad=0.08", facecolor="#E8F0F7",
                                        edgecolor=COLOURS[0]))
    ax.text(x, 0, name, ha="center", va="center", fontsize=11)


def _draw_arrow(ax: Any, start: tuple, end: tuple, name: str, shape: str, backward: bool) -> None:
    """An arrow with its name and shape; with `backward` one for its gradient beside it, the other way."""
    across = start[1] == end[1]
    place = {"ha": "center", "va": "bottom"} if across else {"ha": "right", "va": "center"}
    gap = (0, 0.05) if across else (-0.08, 0)
    middle = [(a + b) / 2 for a, b in zip(start, end)]
    head = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops=head | {"color": "black"})
    ax.text(*(m + g for m, g in zip(middle, gap)), f"${name}${shape}", fontsize=10, **place)
    if backward:
        off = (0, -0.09) if across else (0.09, 0)
        place = {"ha": "center", "va": "top"} if across else {"ha": "left", "va": "center"}
        start, end = ([a + o for a, o in zip(point, off)] for point in (start, end))
        ax.annotate("", start, end, arrowprops=head | {"color": _GRADIENT_COLOUR, "linestyle": "--"})
        at = [m + o - g for m, o, g in zip(middle, off, gap)]
        ax.text(*at, f"$d{name}$", fontsize=10, color=_GRADIENT_COLOUR, **place)
