"""Boxes, signs and lines of a drawing, in one unit of length."""
from typing import Any, Sequence

from ..errors import import_optional
from .figure import COLOURS, make_figure

INK = "#333333"
X_COLOUR, H_COLOUR, C_COLOUR, PEEPHOLE_COLOUR = COLOURS[2], COLOURS[0], COLOURS[3], COLOURS[1]
MAP_FACE, GATE_FACE, OTHER_FACE = "#E9F5F0", "#E8F0F7", "#F2F2F2"
RADIUS = 0.24                                     # of a sign
HALF = 0.36                                       # half the height of a box
_WIDEST = 9.2                                     # inches: the width of a notebook


class Canvas:
    """A figure without axes whose corners are given, and what is drawn on it."""

    def __init__(self, left: float, right: float, bottom: float, top: float) -> None:
        self.scale = min(0.64, _WIDEST / (right - left))               # inches of one unit
        self.figure = make_figure(self.scale * (right - left), self.scale * (top - bottom))
        self.figure.set_layout_engine("none")
        self.ax = self.figure.add_axes((0, 0, 1, 1))
        self.ax.set(xlim=(left, right), ylim=(bottom, top))
        self.ax.set_axis_off()

    def box(self, x: float, y: float, text: str, width: float = 0.84, face: str = GATE_FACE) -> None:
        """A box with its middle at (x, y)."""
        self.area(x - width / 2, x + width / 2, y - HALF, y + HALF, text, face)

    def area(self, left: float, right: float, bottom: float, top: float, text: str,
             face: str = GATE_FACE) -> None:
        """A box between these borders."""
        patches = import_optional("matplotlib.patches", "plot", "rnnref.plot")
        self.ax.add_patch(patches.FancyBboxPatch((left, bottom), right - left, top - bottom, linewidth=1.1, zorder=3,
                                                 boxstyle="round,pad=0,rounding_size=0.12", facecolor=face,
                                                 edgecolor=INK))
        drawn = self.text((left + right) / 2, (bottom + top) / 2, text, zorder=4, va="center")
        self._fit(drawn, right - left, top - bottom)

    def _fit(self, text: Any, width: float, height: float) -> None:
        """Make a text smaller until it has room in a box of this size."""
        has = text.get_window_extent()
        room = [0.92 * side * self.scale * self.figure.dpi for side in (width, height)]
        text.set_fontsize(text.get_fontsize() * min(1, room[0] / has.width, room[1] / has.height))

    def sign(self, x: float, y: float, text: str) -> None:
        """What is done entry by entry: + or × in a circle."""
        patches = import_optional("matplotlib.patches", "plot", "rnnref.plot")
        self.ax.add_patch(patches.Circle((x, y), RADIUS, facecolor="white", edgecolor=INK, linewidth=1.1, zorder=3))
        self.text(x, y, f"${text}$", zorder=4, va="center")

    def line(self, *points: Sequence[float], colour: str = INK, dashes: str = "-", head: bool = True) -> None:
        """A line through the points, over those drawn before it; with a head where it ends."""
        xs, ys = zip(*points)
        self.ax.plot(xs, ys, color="white", linewidth=5, zorder=1, solid_capstyle="butt")
        self.ax.plot(xs, ys, color=colour, linewidth=1.4, linestyle=dashes, zorder=1)
        if head:
            self.ax.annotate("", points[-1], points[-2], zorder=2, arrowprops={
                "arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "color": colour, "lw": 0, "mutation_scale": 14})

    def dot(self, x: float, y: float, colour: str = INK) -> None:
        """Where a line branches."""
        self.ax.plot([x], [y], marker="o", markersize=4, color=colour, zorder=2)

    def text(self, x: float, y: float, text: str, size: float = 10.5, **options: Any) -> Any:
        """A text above (x, y), smaller where the drawing is."""
        size *= min(1, self.scale / 0.54)
        return self.ax.text(x, y, text, fontsize=size, **{"ha": "center", "va": "bottom", "color": INK} | options)
