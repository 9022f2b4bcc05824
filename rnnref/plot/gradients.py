"""How far gradients reach: their norm at each step, and curves of it."""
from itertools import cycle
from typing import Any

import numpy

from ..arrays import asnumpy
from ..errors import NotSupported
from ..loops.run import Tape
from ..shapes import check_like
from ..tree import Tree, choose, leaves, zeros_like
from ..wrappers.stack import Bidirectional
from .figure import COLOURS, DASHES, make_figure


def gradient_norms(tape: Tape, dys: Tree = None, ds: Tree = None) -> dict[str, numpy.ndarray]:
    """|dL/ds_t| for the state before each step t, and for the last state: {"h": [T + 1], "c": [T + 1]}.

    dys, ds are the gradients of the outputs and of the last state, as `run_back` takes them; None is zero.  Norms are
    over the units and all rows.  Steps are numbered in the order of the loop.

    Errors  NotSupported: two directions, or outputs past the end that are not zero.  ShapeError: dys or ds do not fit.

    >>> import numpy as np, rnnref
    >>> cell = rnnref.cells.SimpleRNN(activation="linear")
    >>> p = {"W": np.ones((1, 1)), "R": np.full((1, 1), 0.5), "b": np.zeros(1)}
    >>> ys, new, tape = rnnref.run(cell, p, np.ones((3, 1, 1)))
    >>> gradient_norms(tape, ds=new._replace(h=np.ones((1, 1))))["h"]
    array([0.125, 0.25 , 0.5  , 1.   ])
    """
    cell, (ys, new), live = tape.cell, tape.like, tape.live
    if isinstance(cell, Bidirectional):
        raise NotSupported("gradient_norms", "two directions have two gradients at each step", fix="run each by itself")
    if live is not None and tape.padding != "zero":
        raise NotSupported("gradient_norms", f"padding={tape.padding!r}", fix="run with padding='zero'")
    dys, ds = [zeros_like(a) if d is None else d for d, a in zip((dys, ds), (ys, new))]
    check_like("gradient_norms", "dys", dys, ys)
    check_like("gradient_norms", "ds", ds, new)
    p, norms = cell.prepare(tape.p, tape.extra)[0], [_compute_norms(ds)]
    for t in range(len(dys)) if tape.reverse else range(len(dys))[::-1]:
        before = cell.backward(p, tape.kept(t), dys[t], ds)[1]
        ds = choose(None if live is None else live[t], before, ds)
        norms.append(_compute_norms(ds))
    return {path: numpy.array([n[path] for n in reversed(norms)]) for path in norms[0]}


def _compute_norms(ds: Tree) -> dict[str, float]:
    return {path: float(numpy.linalg.norm(asnumpy(a).astype("float64"))) for path, a in leaves(ds)}


def gradient_flow(curves: dict, of: str = "h") -> Any:
    """Curves of `gradient_norms` against t, on one logarithmic scale: {label: [T + 1]}, or {panel: {label: [T + 1]}}.

    `of` is the name of the state in the label of the axis.  Values that are exactly zero are left out.

    >>> import numpy as np
    >>> fig = gradient_flow({"R = 0.5": 0.5 ** np.arange(4.0)[::-1]})
    >>> fig.axes[0].get_lines()[0].get_ydata()
    array([0.125, 0.25 , 0.5  , 1.   ])
    """
    panels = curves if all(isinstance(c, dict) for c in curves.values()) else {"": curves}
    fig = make_figure(min(4.6 * len(panels), 10), 3.3)
    axes = fig.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for ax, (title, lines) in zip(axes, panels.items()):
        for (label, norms), colour, dash in zip(lines.items(), cycle(COLOURS), cycle(DASHES)):
            norms = numpy.where(numpy.asarray(norms) > 0, norms, numpy.nan)
            ax.semilogy(range(len(norms)), norms, color=colour, linestyle=dash, label=label)
        ax.set_title(title, fontsize=11)
        ax.set_xlabel("t: state before step t")
        ax.grid(True, color="0.9")
        ax.legend(fontsize=8)
    axes[0].set_ylabel(f"|dL/d{of}$_t$|")
    return fig
