"""The gates of a layer at every step, from the states that a candidate returned, beside those of the reference.

Each step is computed from the candidate's own state before it, and each gate from what the candidate has computed
before that gate: an error that was made at one step or in one gate is none of the next ones.
"""
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..elementwise import clip
from .candidate import Direction
from .equations import Equations

_MOST_ROWS, _MOST_STEPS, _STEPS_AFTER = 8, 200, 40               # that are computed; beyond the first that differs


class Steps(NamedTuple):
    """All steps of one direction in the order in which it reads them, in float64."""
    x: Array                                      # [T, B, I]
    h: Array                                      # [T, B, H], before each step
    y: Array                                      # [T, B, H], after it
    c: Array | None                               # [B, U], before the first; None: zero
    t: Array                                      # [T, B], the timestep that each is
    rows: Array                                   # [B], the row that each is
    live: Array                                   # [T, B], False past the end of a row
    total: int                                    # how many steps there are, of which these may be a part


class Gates(NamedTuple):
    """The values [T, B, U] of all gates by name, and of an LSTM the cell states [T + 1, B, U], with the first one."""
    values: dict[str, Array]
    c: Array | None = None


def list_steps(direction: Direction, lengths: Any, row: int, t: int) -> Steps | None:
    """The steps of a few rows, `row` among them, up to some past timestep t; None where not all outputs are known."""
    x, y, first, reverse = direction
    T, B = x.shape[:2]
    if y.ndim != 3 or y.shape[:2] != (T, B) or not T or not B:
        return None
    n = numpy.full(B, T) if lengths is None else numpy.asarray(lengths)
    last = n[row] - 1 - t if reverse else t
    steps = min(T, max(_MOST_STEPS, int(last) + _STEPS_AFTER))
    rows = numpy.unique([row, *range(min(B, _MOST_ROWS - 1))])
    k = numpy.arange(steps)[:, None]
    live = k < n[rows]
    at = numpy.where(live, n[rows] - 1 - k if reverse else k + 0 * rows, 0)
    x, y = (a[at, rows].astype("float64") for a in (x, y))
    h = first[0][rows].astype("float64") if first else numpy.zeros(y.shape[1:])
    if h.shape != y.shape[1:]:
        return None
    c = first[1][rows].astype("float64") if len(first) > 1 else None
    return Steps(x, numpy.concatenate([h[None], y[:-1]]), y, c, at, rows, live, T)


def compute_gates(e: Equations, steps: Steps, seen: Gates | None = None) -> Gates:
    """The gates of these equations; `seen`: the gates and cell states before each of them, where they are known."""
    a = {g: sum_products(e, steps, g) for g in e.gates}
    if e.family == "rnn":
        a = {"h": a["h"] + steps.h if e.options.get("residual") else a["h"]}
        return Gates({"h": e.options["activation"].forward(a["h"])[0]})
    return (_compute_gru if e.family == "gru" else _compute_lstm)(e, steps, a, seen)


def sum_products(e: Equations, steps: Steps, gate: str, names: str = "WR") -> Array:
    """The products of x and h with the blocks of a gate and its biases, before anything else is added."""
    total: Any = 0
    for name, bias, a in (("W", "b", steps.x), ("R", "bR", steps.h)):
        if name in names:
            total = total + a @ e.blocks[name][gate] + e.blocks.get(bias, {}).get(gate, 0)
    return total


def _compute_gru(e: Equations, steps: Steps, a: dict[str, Array], seen: Gates | None) -> Gates:
    r, z = (e.options["gate"].forward(a[g])[0] for g in "rz")
    used = r if seen is None else seen.values["r"]
    return Gates({"r": r, "z": z, "n": e.options["candidate"].forward(reset(e, steps, used))[0]})


def reset(e: Equations, steps: Steps, r: Array) -> Array:
    """The argument of the candidate of a GRU for these values of its reset gate."""
    xn = sum_products(e, steps, "n", "W")
    if e.options["reset"] == "after":
        return xn + r * sum_products(e, steps, "n", "R")
    return xn + (r * steps.h) @ e.blocks["R"]["n"] + e.blocks.get("bR", {}).get("n", 0)


def _compute_lstm(e: Equations, steps: Steps, a: dict[str, Array], seen: Gates | None) -> Gates:
    options, peepholes = e.options, e.blocks.get("Wp", {})
    act = {"g": options["candidate"], **dict.fromkeys("ifo", options["gate"])}

    def activate(gate: str, k: int, c: Array) -> Array:
        sum_ = a[gate][k] + (peepholes[gate] * c if gate in peepholes else 0)
        return act[gate].forward(sum_ + options["forget_bias"] if gate == "f" else sum_)[0]
    U = next(iter(a.values())).shape[-1]
    c = numpy.zeros((len(steps.rows), U)) if steps.c is None else steps.c
    states: list[Array] = [c]
    values: dict[str, list[Array]] = {g: [] for g in "ifgo"}
    for k in range(len(steps.y)):
        c = states[k] if seen is None or seen.c is None else seen.c[k]
        one = {g: activate(g, k, c) for g in a if g != "o"}
        one.setdefault("i", 1 - one["f"] if "f" in one else one.get("i"))     # of a coupled pair, one has blocks
        one.setdefault("f", 1 - one["i"])
        new = one["f"] * c + one["i"] * one["g"]
        limit = options.get("cell_clip")
        states.append(new if limit is None else clip(new, limit))
        one["o"] = activate("o", k, states[-1] if seen is None or seen.c is None else seen.c[k + 1])
        for g, v in one.items():
            values[g].append(v)
    return Gates({g: numpy.stack(v) for g, v in values.items()}, numpy.stack(states))
