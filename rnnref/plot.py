"""Pictures of a run: what gates did, and how far gradients reach.

    gates(tape)              heat maps of every gate and state, steps x units; `traces` gives the numbers
    gradient_flow(curves)    how much gradient reaches each step; `gradient_norms` gives the numbers
    unroll(cell)             a drawing of the loop

Each function returns a matplotlib Figure.  A notebook shows it when it is the last line of a cell, and
`figure.savefig(path)` writes it.  matplotlib is imported when the first picture is made.
"""
from functools import partial
from io import BytesIO
from itertools import cycle
from typing import Any, Optional, Sequence

import numpy

from .arrays import asnumpy
from .cell import name_of
from .errors import NotSupported, ShapeError, import_optional
from .loops.run import Tape
from .shapes import check_like
from .tree import Tree, choose, first_leaf, leaves, zeros_like
from .wrappers.stack import Bidirectional, MultiCell

_TITLES = {"i": "input gate", "f": "forget gate", "o": "output gate", "g": "candidate", "c": "cell state",
           "r": "reset gate", "z": "update gate", "n": "candidate", "h": "output"}
_STATES = "gnch"                                   # drawn around zero; the rest are gates, drawn from 0 to 1
GATE_COLOURMAP, STATE_COLOURMAP = "YlGnBu", "RdBu_r"                 # both can be read with any colour vision
_DEAD_COLOUR = "0.85"                                     # grey: steps where the row is not live
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")       # Okabe & Ito (2008)
_DASHES = ("-", "--", "-.", ":")
_GRADIENT_COLOUR = COLOURS[1]


def _make_figure(width, height):
    """A Figure of this size in inches, unknown to pyplot: it is freed with the caller's last reference."""
    figure = import_optional("matplotlib.figure", "plot", "rnnref.plot")
    fig = figure.Figure((width, height), dpi=100, layout="constrained")
    fig._repr_png_ = partial(_encode_png, fig)            # called by notebooks
    return fig


def _encode_png(fig):
    file = BytesIO()
    fig.savefig(file, format="png")
    return file.getvalue()


def traces(tape: Tape, row: int = 0) -> dict[str, numpy.ndarray]:
    """The gates and states of one row of the batch, from the tape of `run`: {"i": [T, U], ..., "h": [T, H]}.

    The gates of the cell and the cell state; "h" is the output.  Of several cells, each name starts with the number of
    the cell ("0.i").  NaN where the row is not live.

    Errors  ShapeError: there is no such row.  NotSupported: the cell keeps nothing under the name of a gate.

    >>> import numpy as np, rnnref
    >>> cell = rnnref.cells.GRU()
    >>> p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0))
    >>> ys, new, tape = rnnref.run(cell, p, np.ones((5, 2, 3), "float32"))
    >>> {name: a.shape for name, a in traces(tape).items()}
    {'r': (5, 4), 'z': (5, 4), 'n': (5, 4), 'h': (5, 4)}
    """
    ys = tape.like[0]
    T, B = first_leaf(ys).shape[:2]
    if not 0 <= row < B:
        raise ShapeError("plot", f"row={row}, expected a number from 0 to {B - 1}",
                         axes=f"B = {B}, the rows of the batch")
    steps = [_find_gates(tape.cell, tape.kept(t)) for t in range(T)]
    found = {name: numpy.stack([asnumpy(step[name])[row] for step in steps]) for name in steps[0]}
    for path, y in leaves(ys):
        found[f"{path}.h" if path else _output_prefix(tape.cell) + "h"] = asnumpy(y)[:, row]
    alive = slice(None) if tape.live is None else asnumpy(tape.live)[:, row]
    return {name: _blank_dead_steps(a, alive) for name, a in found.items()}


def _blank_dead_steps(a, alive):
    """`a` with NaN at the steps that are not alive."""
    out = numpy.full(a.shape, numpy.nan)
    out[alive] = a[alive]
    return out


def _output_prefix(cell):
    """What the name of the output starts with: in a stack it is that of the last cell."""
    return f"{len(cell.cells) - 1}." if isinstance(cell, MultiCell) else ""


def _find_gates(cell, kept):
    """The gates and the cell state in what one step kept."""
    if isinstance(cell, MultiCell):
        each = [_find_gates(one, k) for one, k in zip(cell.cells, kept)]
        return {f"{n}.{name}": a for n, one in enumerate(each) for name, a in one.items()}
    while not hasattr(cell, "gates") and hasattr(cell, "cell"):   # a wrapper: its tape contains that of its cell
        cell = cell.cell
    wanted = dict.fromkeys(["i", "f", *getattr(cell, "gates", ""), "c"])          # both i and f where one is the other
    paths = sorted(leaves(kept), key=lambda leaf: leaf[0].count("."))             # arguments lie deeper than gates
    for path, a in paths:
        name = path.rpartition(".")[2]
        if name in wanted and wanted[name] is None and getattr(a, "ndim", 0) == 2:
            wanted[name] = a
    if all(a is None for a in wanted.values()):
        raise NotSupported("plot", f"{name_of(cell)} keeps nothing under the name of a gate",
                           kept=" ".join(dict(paths)))
    return {name: a for name, a in wanted.items() if a is not None}


def gates(tape: Tape, row: int = 0, labels: Optional[Sequence[str]] = None) -> Any:
    """Heat maps of `traces`, steps across and units down: gates from 0 (shut) to 1 (open), states around 0.

    All gates share one scale, and all states another.  `labels` names the steps: a character or a word each.

    >>> import numpy as np, rnnref
    >>> cell = rnnref.cells.LSTM()
    >>> p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0))
    >>> ys, new, tape = rnnref.run(cell, p, np.ones((5, 2, 3), "float32"))
    >>> gates(tape).savefig("gates.png")                          # doctest: +SKIP
    """
    found = traces(tape, row)
    T = len(first_leaf(found))
    if labels is not None and len(labels) != T:
        raise ShapeError("plot", f"{len(labels)} labels, expected {T}", axes=f"T = {T}, the steps of the tape")
    signed = {name: name[-1] in _STATES or bool((a < 0).any()) for name, a in found.items()}
    limit = max((numpy.nanmax(abs(a), initial=1) for name, a in found.items() if signed[name]), default=1)
    lines: dict = {}                              # cell by cell, the gates of each above its states
    for name in sorted(found, key=lambda name: (name.rpartition(".")[0], signed[name])):
        lines.setdefault((name.rpartition(".")[0], signed[name]), []).append(name)
    fig, panels = _make_panels(len(lines), max(map(len, lines.values())), T, max(a.shape[1] for a in found.values()))
    for ((_, around_zero), names), axes in zip(lines.items(), panels):
        drawn = [_draw_heatmap(ax, found[name], name, around_zero, limit) for ax, name in zip(axes, names)]
        fig.colorbar(drawn[0], ax=list(axes), pad=0.01, aspect=12, label="value" if around_zero else "0 shut, 1 open")
        axes[0].set_ylabel("unit")
        for ax in axes[len(names):]:
            ax.set_axis_off()
    for column in zip(*panels):
        _label_steps([ax for ax in column if ax.axison][-1], labels)
    return fig


def _make_panels(rows, columns, T, U):
    """A figure with rows x columns of panels, no wider than a notebook."""
    width = min(max(2.2, 0.22 * T), 9.2 / columns)
    height = min(max(1.0, 0.16 * U), 2.6)
    fig = _make_figure(width * columns + 1, (height + 0.45) * rows + 0.35)
    return fig, fig.subplots(rows, columns, squeeze=False, sharex=True)


def _draw_heatmap(ax, a, name, signed, limit):
    """One array [T, U] as an image, units down."""
    ax.set_title(" ".join(filter(None, [name, _TITLES.get(name[-1])])), fontsize=10)
    ax.set_facecolor(_DEAD_COLOUR)                        # shows where the image is NaN
    ax.yaxis.get_major_locator().set_params(integer=True, nbins=6)
    low, high = (-limit, limit) if signed else (0, 1)
    colours = STATE_COLOURMAP if signed else GATE_COLOURMAP
    return ax.imshow(numpy.ma.masked_invalid(a.T), cmap=colours, vmin=low, vmax=high, aspect="auto",
                     interpolation="nearest")


def _label_steps(ax, labels):
    """Numbers or labels under the lowest panel of a column."""
    ax.tick_params(labelbottom=True)
    ax.set_xlabel("step")
    if labels is None:
        ax.xaxis.get_major_locator().set_params(integer=True, nbins=8)
    else:
        ax.set_xticks(range(len(labels)), labels, fontsize=8, family="monospace")


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


def _compute_norms(ds):
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
    fig = _make_figure(min(4.6 * len(panels), 10), 3.3)
    axes = fig.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for ax, (title, lines) in zip(axes, panels.items()):
        for (label, norms), colour, dash in zip(lines.items(), cycle(COLOURS), cycle(_DASHES)):
            norms = numpy.where(numpy.asarray(norms) > 0, norms, numpy.nan)
            ax.semilogy(range(len(norms)), norms, color=colour, linestyle=dash, label=label)
        ax.set_title(title, fontsize=11)
        ax.set_xlabel("t: state before step t")
        ax.grid(True, color="0.9")
        ax.legend(fontsize=8)
    axes[0].set_ylabel(f"|dL/d{of}$_t$|")
    return fig


def unroll(cell: Any, steps: int = 3, backward: bool = False, name: Optional[str] = None) -> Any:
    """A drawing of the loop over a gated cell, a box for each step; with `backward` also its gradients, dashed.

    name    the label of the boxes, if not the name of the rule

    Errors  NotSupported: the cell has no one state to draw (several cells, a wrapper).

    >>> import rnnref
    >>> unroll(rnnref.cells.LSTM()).savefig("loop.png")           # doctest: +SKIP
    """
    if not hasattr(cell, "rule"):
        raise NotSupported("unroll", f"{name_of(cell)} is not one gated cell")
    fig = _make_figure(2.2 * steps + 1.4, 3.2)
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


def _draw_box(ax, x, name):
    patches = import_optional("matplotlib.patches", "plot", "rnnref.plot")
    ax.add_patch(patches.FancyBboxPatch((x - 0.5, -0.5), 1, 1, boxstyle="round,pad=0.08", facecolor="#E8F0F7",
                                        edgecolor=COLOURS[0]))
    ax.text(x, 0, name, ha="center", va="center", fontsize=11)


def _draw_arrow(ax, start, end, name, shape, backward):
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
