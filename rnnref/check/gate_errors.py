"""The error of every gate at every step, and of the gradients of every gate's parameters.

Gates are no results of a candidate.  They are known where a cause explains all results: then they are those of the
reference with this mistake.  Where none does, a single gate may be the only one that explains all steps.
"""
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..elementwise import clip
from ..loops.run import run
from ..tree import map_structure
from .budget import Budgets
from .candidate import GRADIENT, OUTPUT, STATE, ArrayDescription, Candidate, DirectedCell, Direction
from .causes import Cause
from .equations import Equations, read_equations
from .findings import join_names
from .gates import Gates, Steps, compute_gates, list_steps
from .row import GateErrors, Row
from .single_gate import Needed, describe_change, find_single_gates
from .verdict import Verdict, format_pair

GATES = "gates"                                   # the group of these rows
_FEW = 6                                          # rows, of which all are shown
_OBSERVED = 8                                     # steps of which the cell states are observed
_ULPS = 16                                        # of 1: the budget of a gate
_STEP = 4.0                                       # budgets of the first step: of any step, from a state that is known
_KNOWN = ("Gates are not among the results: these are the gates of the reference once {words}, which gives all results "
          "of {title}, at every step from the state before it.")
_SUSPECTED = ("Gates are not among the results: this is how far gate {gates} would have to be off to explain the "
              "outputs of every step alone, each from the state that was returned before it{rest}.")
_STEPS_ALONE = ("The error of each step by itself: the reference computes it from the state that was returned before "
                "it, so what earlier steps have done to that state is no part of it.")
_OBSERVED_WORDS = ("The error of each step by itself, from the state that was returned before it: of c, which is the "
                   "last state of a sequence that ends there, and of gate o, which is h over the tanh of this c.")


class _Found(NamedTuple):
    caption: str
    rows: list[Row]
    findings: list[str]
    steps: list[int]                              # for each row, the number of steps before the first that differs


_NONE = _Found("", [], [], [])


def measure_gates(candidate: Candidate, returned: dict[str, Array], verdicts: list[Verdict], budgets: Budgets,
                  cause: Cause | None, explained: bool) -> tuple[GateErrors, list[str]]:
    """The errors of all gates, and findings on them.

    cause      under which the reference gives all results, if there is one
    explained  True: what is wrong is known, so no gate is suspected
    """
    blocks = list(_list_blocks(candidate, returned, verdicts, budgets))
    blocks = blocks if any(row.verdict == "differs" for row in blocks) else []
    wrong = [v for v in verdicts if v.row.verdict == "differs" and v.row.group == OUTPUT and v.first_index is not None]
    if not wrong or candidate.mask is not None or explained and not _is_of_cells(cause, candidate):
        return GateErrors(gradients=blocks), []
    found = _measure_steps(candidate, returned, wrong[0], budgets, cause)
    if not any(row.verdict == "differs" for row in found.rows):
        return GateErrors(gradients=blocks), found.findings
    first = found.rows[int(numpy.argmin(found.steps))].name
    return GateErrors(found.caption, _select_cells(found.rows), blocks, first), found.findings


def _is_of_cells(cause: Cause | None, candidate: Candidate) -> bool:
    """Whether a cause changes nothing but what cells compute."""
    changed = None if cause is None or not all(m.cells for m in cause.misuses) else cause.change(candidate)
    return changed is not None and (changed.time, changed.backwards) == (candidate.time, candidate.backwards)


def _measure_steps(candidate: Candidate, returned: dict[str, Array], wrong: Verdict, budgets: Budgets,
                   cause: Cause | None) -> _Found:
    """The rows of all directions."""
    cells, directions = candidate.list_cells(), candidate.list_directions(returned)
    changed = None if cause is None else cause.change(candidate)
    others = cells if changed is None else changed.list_cells()
    several = len(directions) != len(cells)       # layers
    if several and changed is not None:
        directions = _run_layers(candidate, returned, others)
    if not cells or not len(cells) == len(others) == len(directions):
        return _NONE
    found = _NONE
    tolerance = _STEP * _find_step_budget(candidate.descriptions[wrong.name], budgets, wrong.name)
    for one, other, direction in zip(cells, others, directions):
        e, own = (read_equations(c.cell, map_structure(lambda a: a.astype("float64"), c.p)) for c in (one, other))
        steps = _list_steps(candidate, wrong, direction)
        if e is None or own is None or steps is None or not _can_compute(e, steps) or not _can_compute(own, steps):
            return _NONE
        label = one.label if several else one.label.rpartition(", ")[2] if len(cells) > 1 else ""
        if cause is not None:
            more = _compare_gates(e, own, steps, _KNOWN.format(words=cause.words, title=candidate.title), label,
                                  _ULPS * float(numpy.finfo(candidate.dtype).eps))
        else:
            last_c = _find_last_c(candidate, returned, steps) if len(cells) == 1 else None
            more = _suspect(e, steps, tolerance, last_c, label)
            if not more.rows and last_c is not None and e.family == "lstm" and "P" not in e.blocks:
                observed = _observe_cells(candidate, e, steps, tolerance)
                more = observed._replace(findings=more.findings + observed.findings)
        found = _Found(found.caption or more.caption, found.rows + more.rows, found.findings + more.findings,
                       found.steps + more.steps)
    return found


def _can_compute(e: Equations, steps: Steps) -> bool:
    """Whether the gates of these equations are computed here, and the outputs have their shape."""
    whole = e.family != "gru" or set(e.gates) == set("rzn")
    return e.norm is None and whole and steps.y.shape[-1] == e.sizes[1] and steps.x.shape[-1] == e.sizes[0]


def _run_layers(candidate: Candidate, returned: dict[str, Array], cells: list[DirectedCell]) -> list[Direction]:
    """What the cells of several layers are given and return: of the reference that explains all results."""
    chain, found = candidate.describe_chain(returned), list[Direction]()
    if chain is None:
        return []
    for k, one in enumerate(cells):
        below = [found[n].y for n in chain.below[k]]
        x = numpy.concatenate(below, -1) if below else chain.x.astype("float64")
        first = tuple(a.astype("float64") for a in chain.first[k])
        p = map_structure(lambda a: a.astype("float64"), one.p)
        y, _, _ = run(one.cell, p, x, one.cell.rule.State(*first) if first else None, lengths=candidate.lengths,
                      reverse=chain.reverse[k])
        found.append(Direction(x, y, first, chain.reverse[k]))
    return found


def _select_cells(rows: list[Row]) -> list[Row]:
    """All rows if they are few, else those of the cells of which one differs."""
    wrong = {row.name.rpartition(", ")[0] for row in rows if row.verdict == "differs"}
    return rows if len(rows) <= _FEW else [row for row in rows if row.name.rpartition(", ")[0] in wrong]


def _list_steps(candidate: Candidate, wrong: Verdict, direction: Direction) -> Steps | None:
    d, index = candidate.descriptions[wrong.name], wrong.first_index
    assert index is not None
    return list_steps(direction, candidate.lengths, index[d.row], 0 if d.time is None else index[d.time])


def _find_step_budget(description: ArrayDescription, budgets: Budgets, name: str) -> float:
    """The budget of the step that is computed first."""
    budget = budgets.by_name[name]
    first = numpy.broadcast_to(budget.step, budget.truth.shape)
    return float(budget.allowed[first == first.min()].max(initial=0.0))


def _find_last_c(candidate: Candidate, returned: dict[str, Array], steps: Steps) -> Array | None:
    """The last cell states of the rows, if they were returned and all steps of these rows are here."""
    T, B = candidate.size
    whole = len(steps.y) == T
    for name, a in returned.items():
        d = candidate.descriptions.get(name)
        if whole and d and d.group == STATE and name.removeprefix("Y_")[0] == "c" and a.size == B * steps.y.shape[-1]:
            return a.reshape(B, -1)[steps.rows].astype("float64")
    return None


# rows

def _compare_gates(e: Equations, own: Equations, steps: Steps, caption: str, label: str, budget: float) -> _Found:
    """The gates of a candidate, which are those of the equations `own`, beside those of the reference."""
    seen = compute_gates(own, steps)
    made = [_make_row(_name(gate, label), seen.values[gate] - value, value, numpy.asarray(budget), steps)
            for gate, value in compute_gates(e, steps, seen).values.items()]
    return _Found(caption, [row for row, _ in made], [], [k for _, k in made])


def _suspect(e: Equations, steps: Steps, tolerance: float, last_c: Array | None, label: str) -> _Found:
    """The gates that alone could explain all steps, where no cause is known."""
    found = find_single_gates(e, steps, tolerance, last_c)
    where = f"In the {label} direction: " if label else ""
    likely = {n.gate: n for n in found.likely} if found else {}
    if found and likely:
        made = [_make_row(_name(g, label), n.change, n.expected, n.unsure, steps) if (n := likely.get(g)) else
                (Row(_name(g, label), GATES, 0.0, note="taken to be right", trace=[0.0] * steps.total), len(steps.y))
                for g in e.gates]
        rows, gates = [row for row, _ in made], found.describe(steps.live)
        rest = f", which {join_names(found.excluded)} could not" if found.excluded else ""
        sentence = _describe_suspect(found.likely[0], gates, rows, steps) if len(likely) == 1 else (
            f"Gate {gates}: a mistake in one of them alone would explain all steps{rest}.")
        return _Found(_SUSPECTED.format(gates=gates, rest=rest), rows, [where + sentence], [k for _, k in made])
    findings = [] if found is None else [where + "No gate alone explains all steps, whatever its values: more than one "
                                         "differs, or the equations do."]
    if e.family == "lstm":                        # its cell states are not known
        return _Found("", [], findings, [])
    h = _run_steps(e, steps)
    row, k = _make_row(", ".join(filter(None, (label, "each step"))), steps.y - h, h, numpy.asarray(tolerance), steps)
    return _Found(_STEPS_ALONE, [row], findings, [k])


def _observe_cells(candidate: Candidate, e: Equations, steps: Steps, tolerance: float) -> _Found:
    """The errors of c and of the output gate from the first step that differs: cut sequences end with their c."""
    own, output = compute_gates(e, steps), e.options["output"]
    assert own.c is not None
    wrong = steps.live & (abs(steps.y - own.values["o"] * output.forward(own.c[1:])[0]) > tolerance).any(-1)
    if not wrong.any():
        return _NONE
    start = max(0, int(numpy.flatnonzero(wrong.any(1))[0]) - 1)
    end = min(len(steps.y), start + _OBSERVED)
    c = [own.c[0] if k == 0 else _run_to(candidate, k, steps) for k in range(start, end + 1)]
    known = [a for a in c if a is not None]
    if len(known) < len(c):
        return _NONE
    cut = Steps(steps.x[start:end], steps.h[start:end], steps.y[start:end], None, steps.t[start:end], steps.rows,
                steps.live[start:end], steps.total)
    before, after = numpy.stack(known[:-1]), numpy.stack(known[1:])
    values = compute_gates(e, cut, Gates({}, numpy.stack(known))).values
    limit, new = e.options.get("cell_clip"), values["f"] * before + values["i"] * values["g"]
    new = new if limit is None else clip(new, limit)
    tc = output.forward(after)[0]
    made = [_make_row("cell state c", after - new, new, tolerance * numpy.maximum(1, abs(new)), cut),
            _make_row("gate o", (cut.y - values["o"] * tc) / tc, values["o"], tolerance / abs(tc), cut)]
    words = [f"{name} {'differs first at ' + row.where if row.verdict == 'differs' else 'agrees'}"
             for name, (row, _) in zip(("c", "gate o"), made)]
    sentence = f"Each step computed from the state returned before it: {' and '.join(words)}."
    return _Found(_OBSERVED_WORDS, [row for row, _ in made], [sentence], [k for _, k in made])


def _run_to(candidate: Candidate, steps: int, like: Steps) -> Array | None:
    """The cell states after the first steps alone; None if the candidate does not run on them."""
    short = candidate.truncate(steps)
    try:
        results = {n: numpy.asarray(a) for n, a in short.run_candidate(short.arrays).results.items()}
    except Exception:                             # a candidate for one length only
        return None
    c = _find_last_c(short, results, like._replace(y=like.y[:steps]))
    return c if c is not None and numpy.isfinite(c).all() else None


def _describe_suspect(needed: Needed, gate: str, rows: list[Row], steps: Steps) -> str:
    row = next(row for row in rows if row.verdict == "differs")
    what = describe_change(needed, steps.live)
    return (f"A mistake in gate {gate} alone would explain all steps{f': {what}' if what else ''}; first at "
            f"{row.where}, where it would be {row.note.replace(', expected', ' in place of')}.")


def _run_steps(e: Equations, steps: Steps) -> Array:
    """The state after each step, from the state before it."""
    values = compute_gates(e, steps).values
    return values["h"] if e.family == "rnn" else (1 - values["z"]) * values["n"] + values["z"] * steps.h


def _name(gate: str, label: str) -> str:
    return ", ".join(filter(None, (label, f"gate {gate}")))


def _make_row(name: str, change: Array, expected: Array, budget: Array, steps: Steps) -> tuple[Row, int]:
    """The row of a gate, at each step the error that is largest relative to its budget; and how many steps agree."""
    error = numpy.nan_to_num(abs(change), nan=numpy.inf, posinf=numpy.inf)
    budget = numpy.broadcast_to(budget, change.shape)
    live = numpy.broadcast_to(steps.live[..., None], change.shape)
    ratio = numpy.where(live, numpy.where(error == 0, 0.0, error / budget), -1.0)
    exceeds = live & (error > budget)
    T = steps.total
    trace: list[float | None] = [None] * T
    limits: list[float | None] = [None] * T
    best = numpy.full(T, -1.0)
    for k, b in numpy.argwhere(steps.live):
        t, u = steps.t[k, b], int(ratio[k, b].argmax())
        if ratio[k, b, u] > best[t]:
            best[t], trace[t] = ratio[k, b, u], float(error[k, b, u])
            limits[t] = float(budget[k, b, u]) if budget[k, b, u] else None
    where, note, k = "", "", len(change)
    if exceeds.any():
        k = int(numpy.flatnonzero(exceeds.any((1, 2)))[0])
        b, u = numpy.unravel_index(int(numpy.where(exceeds[k], ratio[k], -1.0).argmax()), change.shape[1:])
        where = f"t={steps.t[k, b]}, row {steps.rows[b]}, unit {u}"
        note = "{}, expected {}".format(*format_pair(expected[k, b, u] + change[k, b, u], expected[k, b, u]))
    worst = max(range(T), key=lambda t: best[t])
    return Row(name, GATES, trace[worst], limits[worst], "differs" if exceeds.any() else "agrees", where, note, trace,
               limits), k


# gradients

def _list_blocks(candidate: Candidate, returned: dict[str, Array], verdicts: list[Verdict], budgets: Budgets,
                 ) -> Iterator[Row]:
    """A row for every gate of the gradient of every array of parameters that has blocks of several gates."""
    for v in verdicts:
        d = candidate.descriptions.get(v.name)
        if d is None or d.group != GRADIENT or v.exceeds is None or v.name not in budgets.by_name:
            continue
        budget, a = budgets.by_name[v.name], returned[v.name]
        error = abs(a.astype("float64") - budget.truth.astype("float64"))
        for k, axis in enumerate(d.axes):
            if len(axis.labels) < 2 or not {label.rpartition(", ")[2] for label in axis.labels} <= set("ifgorzn"):
                continue
            cuts = axis.find_ends(a.shape[k])[:-1]
            parts = zip(*(numpy.split(b, cuts, k) for b in (
                error, budget.allowed.astype("float64"), budget.comparable, v.exceeds)))
            for label, part in zip(axis.labels, parts):
                yield _make_block(v.name, label, part, budget.scale)


def _make_block(name: str, label: str, part: Any, scale: float) -> Row:
    error, allowed, comparable, exceeds = part
    side, _, gate = label.rpartition(", ")
    group = f"{name}, {side}" if side else name
    if not comparable.any():
        return Row(gate, group, verdict="not comparable")
    with numpy.errstate(all="ignore"):
        ratio = numpy.where(comparable, numpy.where(error == 0, 0.0, error / allowed), -1.0)
    worst = numpy.unravel_index(int(numpy.nan_to_num(ratio, nan=numpy.inf).argmax()), ratio.shape)
    return Row(gate, group, float(error[worst]) / scale, float(allowed[worst]) / scale,
               "differs" if exceeds.any() else "agrees")
