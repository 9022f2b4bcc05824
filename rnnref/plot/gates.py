"""Gates and states over time: the numbers, and heat maps of them."""
from typing import Any, Optional, Sequence

import numpy

from ..arrays import asnumpy
from ..cell import name_of
from ..errors import NotSupported, ShapeError, describe_type
from ..loops.run import Tape
from ..tree import first_leaf, leaves
from ..wrappers.stack import MultiCell
from .figure import draw_heatmap, label_steps, make_panels

_TITLES = {"i": "input gate", "f": "forget gate", "o": "output gate", "g": "candidate", "c": "cell state",
           "r": "reset gate", "z": "update gate", "n": "candidate", "h": "output"}
_STATES = "gnch"                                   # drawn around zero; the rest are gates, drawn from 0 to 1


def traces(tape: Any, row: int = 0) -> dict[str, numpy.ndarray]:
    """The gates and states of one row of the batch: {"i": [T, U], ..., "h": [T, H]}.

    tape  what `run` returned, or a layer whose `forward` was called

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
    tape = _find_tape(tape)
    ys = tape.like[0]
    T, B = first_leaf(ys).shape[:2]
    _check_row(row, B)
    steps = [_find_gates(tape.cell, tape.kept(t)) for t in range(T)]
    found = {name: numpy.stack([asnumpy(step[name])[row] for step in steps]) for name in steps[0]}
    for path, y in leaves(ys):
        found[f"{path}.h" if path else _output_prefix(tape.cell) + "h"] = asnumpy(y)[:, row]
    alive = slice(None) if tape.live is None else asnumpy(tape.live)[:, row]
    return {name: _blank_dead_steps(a, alive) for name, a in found.items()}


def _blank_dead_steps(a: numpy.ndarray, alive: Any) -> numpy.ndarray:
    """`a` with NaN at the steps that are not alive."""
    out = numpy.full(a.shape, numpy.nan)
    out[alive] = a[alive]
    return out


def _output_prefix(cell: Any) -> str:
    """What the name of the output starts with: in a stack it is that of the last cell."""
    return f"{len(cell.cells) - 1}." if isinstance(cell, MultiCell) else ""


def _find_gates(cell: Any, kept: Any) -> dict[str, Any]:
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


def gates(tape: Any, row: int = 0, labels: Optional[Sequence[str]] = None) -> Any:
    """Heat maps of `traces`, steps across and units down: gates from 0 (shut) to 1 (open), states around 0.

    tape is that of `run`, or a layer whose `forward` was called.  All gates share one scale, and all states another.
    `labels` names the steps: a character or a word each.

    >>> import numpy as np, rnnref
    >>> cell = rnnref.cells.LSTM()
    >>> p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0))
    >>> ys, new, tape = rnnref.run(cell, p, np.ones((5, 2, 3), "float32"))
    >>> gates(tape).savefig("gates.png")                          # doctest: +SKIP
    """
    found = traces(tape, row)
    T = len(first_leaf(found))
    _check_labels(labels, T)
    signed = {name: name[-1] in _STATES or bool((a < 0).any()) for name, a in found.items()}
    limit = max((numpy.nanmax(abs(a), initial=1) for name, a in found.items() if signed[name]), default=1)
    lines: dict = {}                              # cell by cell, the gates of each above its states
    for name in sorted(found, key=lambda name: (name.rpartition(".")[0], signed[name])):
        lines.setdefault((name.rpartition(".")[0], signed[name]), []).append(name)
    fig, panels = make_panels(len(lines), max(map(len, lines.values())), T, max(a.shape[1] for a in found.values()))
    for ((_, around_zero), names), axes in zip(lines.items(), panels):
        drawn = [draw_heatmap(ax, found[name], _title_of(name), around_zero, limit) for ax, name in zip(axes, names)]
        fig.colorbar(drawn[0], ax=list(axes), pad=0.01, aspect=12, label="value" if around_zero else "0 shut, 1 open")
        axes[0].set_ylabel("unit")
        for ax in axes[len(names):]:
            ax.set_axis_off()
    for column in zip(*panels):
        label_steps([ax for ax in column if ax.axison][-1], labels)
    return fig


def hidden_states(ys: Any, row: int = 0, labels: Optional[Sequence[str]] = None) -> Any:
    """A heat map of the outputs of one row over time: steps across, units down, colours around 0.

    ys      [T, B, H] as `run` returns them, a tape, a layer whose `forward` was called, or [T, H]: one sequence
    row     which sequence of the batch
    labels  the names of the steps: a character or a word each

    Errors  ShapeError: ys has other axes, there is no such row, or the labels are not one for each step.

    >>> import numpy as np
    >>> fig = hidden_states(np.tanh(np.arange(6.0).reshape(3, 1, 2)), labels="abc")
    >>> fig.axes[0].get_images()[0].get_array().shape             # units x steps
    (2, 3)
    """
    a = asnumpy(ys if hasattr(ys, "shape") else first_leaf(_find_tape(ys).like[0]))
    if a.ndim not in (2, 3):
        raise ShapeError("plot", f"ys has shape {a.shape}, expected [T, B, H] or [T, H]")
    if a.ndim == 3:
        _check_row(row, a.shape[1])
        a = a[:, row]
    _check_labels(labels, len(a))
    fig, panels = make_panels(1, 1, *a.shape)
    ax = panels[0, 0]
    drawn = draw_heatmap(ax, a, "outputs", True, max(numpy.nanmax(abs(a), initial=0), 1e-12))
    fig.colorbar(drawn, ax=ax, pad=0.01, aspect=12, label="value")
    ax.set_ylabel("unit")
    label_steps(ax, labels)
    return fig


def _find_tape(source: Any) -> Tape:
    """The tape of `run`: itself, or that of the last call of a layer."""
    if isinstance(source, Tape):
        return source
    if not hasattr(source, "forward"):
        raise NotSupported("plot", f"{describe_type(source)}, expected a tape of rnnref.run, or a layer")
    if source.tape is None:
        raise NotSupported("plot", f"{type(source).__name__} has kept nothing", fix="layer.forward(x), and then this")
    found = getattr(source.tape[1], "tape", None)
    if not isinstance(found, Tape):
        raise NotSupported("plot", f"{type(source).__name__} keeps no steps of one recurrent layer",
                           fix="one of the layers inside of it")
    return found


def _title_of(name: str) -> str:
    return " ".join(filter(None, [name, _TITLES.get(name[-1])]))


def _check_row(row: int, B: int) -> None:
    if not 0 <= row < B:
        raise ShapeError("plot", f"row={row}, expected a number from 0 to {B - 1}",
                         axes=f"B = {B}, the rows of the batch")


def _check_labels(labels: Optional[Sequence[str]], T: int) -> None:
    if labels is not None and len(labels) != T:
        raise ShapeError("plot", f"{len(labels)} labels, expected {T}", axes=f"T = {T}, the steps of the tape")
