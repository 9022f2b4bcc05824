"""What is still right where no cause fits: which inputs of one step, and which single gate could differ."""
from collections.abc import Iterator
from dataclasses import replace

import numpy

from ..arrays import Array
from .candidate import STATE, Candidate
from .equations import Equations, read_equations
from .misuses import find_initial, names_of
from .search import measure_error, run_float64

_MARGIN = 1e-6                                    # by which a gate may lie outside of its range


def describe_consistent(candidate: Candidate, tolerance: float) -> Iterator[str]:
    """Sentences on one step of a candidate that differs there; none if it does not run on one."""
    short = candidate.truncate(1)
    whole = _run(short)
    if whole is None or measure_error(whole, run_float64(short)) <= 2 * tolerance:
        return
    yield from _describe_inputs(short, tolerance)
    yield from _describe_gates(short, whole, tolerance)


def _run(candidate: Candidate) -> dict[str, Array] | None:
    try:
        return {n: numpy.asarray(a) for n, a in candidate.run_candidate(candidate.arrays).results.items()
                if n in candidate.descriptions}
    except Exception:                             # a candidate for one length only
        return None


def _describe_inputs(candidate: Candidate, tolerance: float) -> Iterator[str]:
    """With which of x, h and c zero the first step agrees."""
    initial, arrays = find_initial(candidate), candidate.arrays
    groups = {"x": [candidate.x], "h": [n for n in initial if "h" in n], "c": [n for n in initial if "c" in n],
              "initial state": initial}
    right = []
    for word, names in groups.items():
        if not names or not all(arrays[n].any() for n in names) or word == "initial state" and right:
            continue
        other = replace(candidate, arrays=arrays | {n: numpy.zeros_like(arrays[n]) for n in names})
        results = _run(other)
        if results is not None and measure_error(results, run_float64(other)) <= 2 * tolerance:
            right.append(word)
    checks = {"x": "R and the biases are right, check W", "h": "W and the biases are right, check R",
              "c": "the gates i, g and o are right, check the forget gate",
              "initial state": "W and the biases are right, check what acts on the state"}
    for word in right:
        yield f"With {'an ' if word == 'initial state' else ''}{word} of zero the first step agrees: {checks[word]}."


def _describe_gates(candidate: Candidate, results: dict[str, Array], tolerance: float) -> Iterator[str]:
    """The single gates whose values could be others: those that explain the new state and stay in their range."""
    cells, directions = candidate.list_cells(), candidate.list_directions(results)
    equations = read_equations(cells[0].cell, cells[0].p) if len(cells) == 1 == len(directions) else None
    if equations is None or not directions[0].first or equations.family == "rnn" or "P" in equations.blocks:
        return
    if equations.options["gate"].name != "sigmoid" or equations.options["candidate"].name != "tanh":
        return
    one = directions[0]
    c = next((results[n] for n in names_of(candidate, STATE) if n.removeprefix("Y_")[0] == "c" and n in results), None)
    with numpy.errstate(all="ignore"):
        found = _list_gates(equations, one.x[0], one.first, one.y[0], c, tolerance)
    if len(found) == 1:
        (gate, values), = found.items()
        yield (f"Of single gates, only {gate} could explain the first step: with values from {values.min():.3g} to "
               f"{values.max():.3g}.")
    elif not found and (equations.family == "gru" or c is not None):
        yield "No single gate explains the first step, whatever its values: more than one differs, or the equations do."


def _list_gates(e: Equations, x: Array, first: tuple[Array, ...], y: Array, c_new: Array | None, tolerance: float,
                ) -> dict[str, Array]:
    """{gate: the values with which it alone would explain the step}, of gates that stay in their range."""
    x, h, y = (a.astype("float64") for a in (x, first[0], y))
    a = {g: x @ e.blocks["W"][g] + h @ e.blocks["R"][g] for g in e.gates}
    for name in ("b", "bR"):
        if name in e.blocks and not (e.family == "gru" and name == "bR"):
            a = {g: v + e.blocks[name][g] for g, v in a.items()}
    if e.family == "gru":
        return _list_gates_of_gru(e, a, x, h, y)
    if set(e.gates) != set("ifgo") or c_new is None or "Wp" in e.blocks or e.options["output"].name != "tanh":
        return {}
    c, c_new = first[1].astype("float64"), c_new.reshape(y.shape).astype("float64")
    i, f, o = (_sigmoid(a[g] + (e.options["forget_bias"] if g == "f" else 0)) for g in "ifo")
    g = numpy.tanh(a["g"])
    if abs(c_new - (f * c + i * g)).max() <= 2 * tolerance:
        needed = {"o": y / numpy.tanh(c_new)}
    elif abs(y - o * numpy.tanh(c_new)).max() <= 2 * tolerance:
        needed = {"f": (c_new - i * g) / c, "i": (c_new - f * c) / g, "g": (c_new - f * c) / i}
    else:
        return {}
    return {n: v for n, v in needed.items() if _is_inside(v, -1.0 if n == "g" else 0.0)}


def _list_gates_of_gru(e: Equations, a: dict[str, Array], x: Array, h: Array, y: Array) -> dict[str, Array]:
    bR = e.blocks.get("bR", {})
    r, z = (_sigmoid(a[g] + bR.get(g, 0)) for g in "rz")
    xn, Rn = a["n"] - h @ e.blocks["R"]["n"], e.blocks["R"]["n"]
    hn = h @ Rn + bR.get("n", 0)
    n = numpy.tanh(xn + (r * hn if e.options["reset"] == "after" else (r * h) @ Rn + bR.get("n", 0)))
    wanted = (y - z * h) / (1 - z)                # of n
    needed = {"z": ((y - n) / (h - n), 0.0), "n": (wanted, -1.0)}
    if e.options["reset"] == "after":
        needed["r"] = ((numpy.arctanh(wanted) - xn) / hn, 0.0)
    inside = {name: v for name, (v, low) in needed.items() if _is_inside(v, low)}
    return {name: v for name, v in inside.items() if name != "n" or "r" not in inside}


def _is_inside(values: Array, low: float) -> bool:
    return bool(numpy.isfinite(values).all() and values.min() >= low - _MARGIN and values.max() <= 1 + _MARGIN)


def _sigmoid(a: Array) -> Array:
    return 1 / (1 + numpy.exp(-a))
