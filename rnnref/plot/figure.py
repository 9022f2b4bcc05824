"""Figures, colours and heat maps that all pictures share."""
from functools import partial
from io import BytesIO
from typing import Any, Optional, Sequence

import numpy

from ..errors import import_optional

GATE_COLOURMAP, STATE_COLOURMAP = "YlGnBu", "RdBu_r"                 # both can be read with any colour vision
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")       # Okabe & Ito (2008)
DASHES = ("-", "--", "-.", ":")
_DEAD_COLOUR = "0.85"                                     # grey: steps where the row is not live


def make_figure(width: float, height: float) -> Any:
    """A Figure of this size in inches, unknown to pyplot: it is freed with the caller's last reference."""
    figure = import_optional("matplotlib.figure", "plot", "rnnref.plot")
    fig = figure.Figure((width, height), dpi=100, layout="constrained")
    fig._repr_png_ = partial(_encode_png, fig)            # called by notebooks
    return fig


def _encode_png(fig: Any) -> bytes:
    file = BytesIO()
    fig.savefig(file, format="png")
    return file.getvalue()


def make_panels(rows: int, columns: int, T: int, U: int) -> tuple[Any, numpy.ndarray]:
    """A figure with rows x columns of panels, no wider than a notebook."""
    width = min(max(2.2, 0.22 * T), 9.2 / columns)
    height = min(max(1.0, 0.16 * U), 2.6)
    fig = make_figure(width * columns + 1, (height + 0.45) * rows + 0.35)
    return fig, fig.subplots(rows, columns, squeeze=False, sharex=True)


def draw_heatmap(ax: Any, a: numpy.ndarray, title: str, around_zero: bool, limit: float) -> Any:
    """One array [T, U] as an image, units down, from -limit to limit or from 0 to 1; NaN is grey."""
    ax.set_title(title, fontsize=10)
    ax.set_facecolor(_DEAD_COLOUR)                        # shows where the image is NaN
    ax.yaxis.get_major_locator().set_params(integer=True, nbins=6)
    low, high = (-limit, limit) if around_zero else (0, 1)
    colours = STATE_COLOURMAP if around_zero else GATE_COLOURMAP
    return ax.imshow(numpy.ma.masked_invalid(a.T), cmap=colours, vmin=low, vmax=high, aspect="auto",
                     interpolation="nearest")


def label_steps(ax: Any, labels: Optional[Sequence[str]]) -> None:
    """Numbers or labels under the lowest panel of a column."""
    ax.tick_params(labelbottom=True)
    ax.set_xlabel("step")
    if labels is None:
        ax.xaxis.get_major_locator().set_params(integer=True, nbins=8)
    else:
        ax.set_xticks(range(len(labels)), labels, fontsize=8, family="monospace")
