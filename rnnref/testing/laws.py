"""The laws that every cell must obey, each a function of one trial that raises `Mismatch`.

A law runs the cell on arguments changed in a way whose effect on the results is known.
"""
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy

from ..arrays import is_array, is_floating
from ..check.tolerance import tolerance
from ..errors import Error
from ..loops.run import run, run_back
from ..loops.scan import select_extra
from ..tree import PerStep, expand_mask, first_leaf, leaves, map_structure, select_step, to
from ..wrappers.stack import Bidirectional
from .assertions import Mismatch, assert_close, assert_same, pair_leaves
from .case import PLAIN, Case, Trial, map_results

_STEPS = 1e-5, 1e-6, 1e-7                          # of differences: a shorter one may miss a kink in between


class LawViolation(Error, AssertionError):
    """A law that does not hold: its number and title, and what differs."""


def _check_state(trial: Trial) -> None:
    case = trial.case
    for cell, *given in _single_cells(case):
        for dtype in ("float64", "float32"):
            p, s, extra, x = map_structure(lambda a: cast_floating(a, dtype), (*given, select_step(case.xs, 0)))
            _check_step(trial, cell, *to(case.device, (p, x, s, extra)))


def _single_cells(case: Case) -> Any:
    """(cell, p, s, extra) of what has a step: the directions of a bidirectional cell, which has none itself."""
    if not isinstance(case.cell, Bidirectional):
        return [(case.cell, case.p, case.s, case.extra)]
    parts = case.cell.parameters_per_cell(case.p), case.s, case.cell.extra_per_cell(case.extra)
    return list(zip(case.cell.cells, *parts))


def cast_floating(a: Any, dtype: str) -> Any:
    """A leaf in `dtype`, if it holds floating numbers."""
    if isinstance(a, PerStep):
        return PerStep(cast_floating(a.steps, dtype))
    return a.astype(dtype) if is_floating(a.dtype) else a


def _check_step(trial: Trial, cell: Any, p: Any, x: Any, s: Any, extra: Any) -> None:
    q, e, prepared = cell.prepare(p, extra)
    y, new, kept = cell.forward(q, x, s, select_extra(e, 0, None))
    _assert_alike(new, s, "the state after a step")
    dtype, rows = first_leaf(x).dtype, len(first_leaf(x))
    for path, a in leaves(y):
        if a.dtype != dtype or len(a) != rows:
            raise Mismatch(f"y.{path}" if path else "y", f"{a.dtype} {a.shape}, expected {dtype} and {rows} rows")
    dy, dnew = to(trial.case.device, trial.draw(to("cpu", (y, new))))
    dx, ds, dextra, dq = cell.backward(q, kept, dy, dnew)
    _assert_alike(dq, q, "dp")
    dp, _ = cell.prepare_backward(p, prepared, dq, dextra)
    for name, d, like in (("dx", dx, x), ("ds", ds, s), ("dp", dp, p)):
        _assert_alike(d, like, name)


def _assert_alike(got: Any, want: Any, name: str) -> None:
    for _ in pair_leaves(got, want, name):              # raises where structure, dtype or shape differ
        pass


def _check_gradients(trial: Trial) -> None:
    """Law 2, for each array by itself, so that the message can list which are wrong and which are right."""
    limit, right, wrong = tolerance("difference", "float64"), [], {}
    for field, grads in zip(("xs", "s", "extra", "p"), trial.plain[1]):
        for path, g in leaves(grads):
            error, *both = _compare_gradient(trial, field, path, g, limit)
            name = f"d{field}{'.' if path else ''}{path}"
            if error <= limit:
                right.append(name)
                trial.worst_gradient = max(trial.worst_gradient, error)
            else:
                wrong[name] = error, *both
    for name, (error, slope, difference) in wrong.items():
        raise Mismatch(name, f"along a random direction the gradient gives {slope:.8g}, a difference {difference:.8g}",
                       error=f"{error:.1e} of |g| |v|, allowed {limit:.0e}", wrong=", ".join(wrong),
                       right=", ".join(right))


def _compare_gradient(trial: Trial, field: Any, path: str, g: Any, limit: Any) -> Any:
    """(error relative to |g| |v|, g v, the finite difference) for a random v; one of the steps must miss any kink."""
    v, attempts = trial.draw(g, 1), []
    slope, size = float((g * v).sum()), float(numpy.sqrt((g * g).sum() * (v * v).sum()))
    for step in _STEPS:
        difference, rounding = _central_difference(trial, field, path, v, step)
        error = abs(difference - slope)
        attempts.append((0.0 if error <= rounding else error / max(size, abs(difference)), slope, difference))
        if attempts[-1][0] <= limit:
            break
    return min(attempts)


def _central_difference(trial: Trial, field: Any, path: str, v: Any, step: Any) -> tuple:
    """(L(a + step v) - L(a - step v)) / 2 step, for L = sum(results d); and a bound on the rounding error of it."""
    case, d, losses = trial.case, dict(leaves(trial.d)), []
    for e in (step, -step):
        moved = replace(case, **{field: _nudge(getattr(case, field), path, e * v)})
        terms = [a * d[name] for name, a in leaves(moved.run(keep=False, **PLAIN)[0])]
        losses.append((sum(a.sum() for a in terms), sum(abs(a).sum() for a in terms)))
    (ahead, size), (back, _) = losses
    return float(ahead - back) / (2 * step), 4 * numpy.finfo("float64").eps * float(size) / step


def _nudge(tree: Any, path: str, v: Any) -> Any:
    paths = iter([name for name, _ in leaves(tree)])
    return map_structure(lambda a: a + v if next(paths) == path else a, tree)


def _check_arguments(trial: Trial) -> None:
    _check_arguments_of_a_step(trial)
    case = trial.case
    names = {"p": case.p, "xs": case.xs, "s": case.s, "extra": case.extra, "lengths": case.lengths, "mask": case.mask}
    choices: tuple[dict[str, Any], ...] = PLAIN, {}
    for choice in choices:
        given = to(case.device, map_structure(_copy, names))
        ys, new, tape = run(case.cell, **given, reverse=case.reverse, padding=case.padding, **choice)
        assert_same(to("cpu", given), names)
        d = trial.draw(to("cpu", {"dys": ys, "ds": new}))
        sent = to(case.device, map_structure(_copy, d))
        first = run_back(tape, **sent)
        once = map_structure(_copy, to("cpu", first))
        assert_same(to("cpu", given), names)
        assert_same(to("cpu", sent), d)
        _overwrite((given, ys, new, first))
        assert_same(to("cpu", sent), d)
        assert_same(to("cpu", run_back(tape, **sent)), once, "run_back after arguments and results were written to")


def _check_arguments_of_a_step(trial: Trial) -> None:
    """Of the cell alone: `run` gives it arrays of its own, and would hide what it writes to."""
    for cell, p, s, extra in _single_cells(trial.case):
        p, s, extra, x = to(trial.case.device, (p, s, extra, select_step(trial.case.xs, 0)))
        q, e, _ = cell.prepare(p, extra)
        given = {"p": q, "xs": x, "s": s, "extra": select_extra(e, 0, None)}
        mine = map_structure(_copy, given)
        y, new, kept = cell.forward(mine["p"], mine["xs"], mine["s"], mine["extra"])
        assert_same(to("cpu", mine), to("cpu", given))
        d = trial.draw(to("cpu", {"dys": y, "ds": new}))
        sent = to(trial.case.device, map_structure(_copy, d))
        once = map_structure(_copy, to("cpu", cell.backward(mine["p"], kept, sent["dys"], sent["ds"])))
        assert_same(to("cpu", (mine, sent)), to("cpu", (given, d)))
        again = cell.backward(mine["p"], kept, sent["dys"], sent["ds"])
        assert_same(to("cpu", again), once, "backward for the second time")


def _overwrite(tree: Any) -> None:
    for _, a in leaves(tree):
        (a.steps if isinstance(a, PerStep) else a)[...] = 1


def _copy(a: Any) -> Any:
    return PerStep(a.steps.copy()) if isinstance(a, PerStep) else a.copy()


def _check_rows_alone(trial: Trial) -> None:
    case, (out, grads) = trial.case, trial.plain
    live = numpy.ones(case.size, bool) if case.live is None else case.live
    _assert_zero_at(~live, {"ys": out[0], "dxs": grads[0]})
    _assert_zero_at(~live.any(0), {"dextra": grads[2]})
    dp = map_structure(numpy.zeros_like, grads[3])
    for b in range(case.size[1]):
        when = numpy.flatnonzero(live[:, b])
        seq, row = partial(_take, (when, slice(b, b + 1))), partial(_take, slice(b, b + 1))
        if not len(when):
            assert_same(map_structure(row, (out[1], grads[1])), map_structure(row, (case.s, trial.d[1])),
                        f"row {b}, never live: s', ds")
            continue
        d = map_structure(seq, trial.d[0]), map_structure(row, trial.d[1])
        alone, back, _ = case.map_arrays(seq, row, lengths=None, mask=None).run_both_ways(d, **PLAIN)
        batch = map_results(out, grads, seq, row)
        _assert_results_close((alone, back[:3]), (batch[0], batch[1][:3]), f"row {b} alone: ")
        dp = map_structure(numpy.add, dp, back[3])
    assert_close(dp, grads[3], "path", "the sum over rows alone: dp")


def _take(where: Any, a: Any) -> Any:
    return a[where]


def _assert_zero_at(dead: Any, tree: Any) -> None:
    for name, a in leaves(tree):
        assert_same(abs(a[dead]), numpy.zeros_like(a[dead]), f"{name} where no row is live")


def _assert_results_close(got: Any, want: Any, prefix: str = "") -> None:
    """Compare results and gradients; errors name them, after `prefix`."""
    names = "ys", "s'", "dxs", "ds", "dextra", "dp"
    got, want = ({prefix + n: a for n, a in zip(names, (*out, *grads))} for out, grads in (got, want))
    assert_close(got, want, "path")


def _check_padding(trial: Trial) -> None:
    case, live = trial.case, trial.case.live
    if live is None:
        return

    def poison(a: Any) -> Any:
        return numpy.where(expand_mask(live, a), a, numpy.nan)
    d = trial.d if case.padding == "repeat" else (map_structure(poison, trial.d[0]), trial.d[1])
    for path, choice in trial.choices.items():
        got, want = case.map_arrays(poison).run_both_ways(d, **choice), trial.outcome(path)
        assert_same(got[:2], want[:2], f"{path}, NaN in the padding: results")


def _check_reversal(trial: Trial) -> None:
    case, (T, B) = trial.case, trial.case.size
    order = numpy.repeat(numpy.arange(T)[:, None], B, 1)
    for b in range(B):
        when = slice(None) if case.live is None else case.live[:, b]
        order[when, b] = order[when, b][::-1]
    flip = partial(_take, (order, numpy.arange(B)))
    d = map_structure(flip, trial.d[0]), trial.d[1]
    out, grads, _ = case.map_arrays(flip, reverse=not case.reverse).run_both_ways(d, **PLAIN)
    _assert_results_close(map_results(out, grads, flip), trial.plain, "flipped: ")


def _check_cut(trial: Trial) -> None:
    case, T = trial.case, trial.case.size[0]
    if isinstance(case.cell, Bidirectional) or T < 2:
        return                                    # one direction ends where the other begins
    n, done, backs, s, ds = (T + 1) // 2, [], [], case.s, trial.d[1]
    for when in (slice(n, T), slice(n)) if case.reverse else (slice(n), slice(n, T)):
        part = replace(_slice_case(case, when), s=s)
        (ys, s), tape = part.run(**PLAIN)
        done.append((ys, part, tape, map_structure(partial(_take, when), trial.d[0])))
    for _, part, tape, dys in reversed(done):
        backs.append(part.run_back(tape, (dys, ds)))
        ds = backs[-1][1]
    (late, _, *later), (early, _, *earlier) = backs

    def joined(a: Any, b: Any) -> Any:
        return numpy.concatenate([b, a] if case.reverse else [a, b])
    dextra, dp = map_structure(numpy.add, tuple(earlier), tuple(later))
    got = (map_structure(joined, done[0][0], done[1][0]), s), (map_structure(joined, early, late), ds, dextra, dp)
    _assert_results_close(got, trial.plain, f"cut after {n} of {T} steps: ")


def _slice_case(case: Case, when: Any) -> Any:
    """Some steps of a case."""
    start, stop, _ = when.indices(case.size[0])
    lengths = None if case.lengths is None else numpy.clip(case.lengths, start, stop) - start
    seq = partial(_take, when)
    return case.map_arrays(seq, lengths=lengths, mask=map_structure(seq, case.mask))


def _check_permutation(trial: Trial) -> None:
    case, B = trial.case, trial.case.size[1]
    rows = numpy.random.default_rng(trial.seed).permutation(B)
    rows = numpy.roll(rows, 1) if (rows == numpy.arange(B)).all() else rows
    seq, row = partial(_take, (slice(None), rows)), partial(_take, rows)
    other = case.map_arrays(seq, row, lengths=map_structure(row, case.lengths), mask=map_structure(seq, case.mask))
    out, grads, _ = other.run_both_ways((map_structure(seq, trial.d[0]), map_structure(row, trial.d[1])), **PLAIN)
    want = map_results(trial.plain[0], trial.plain[1], seq, row)
    _assert_results_close((out, grads), want, "rows in another order: ")


def _check_paths(trial: Trial) -> None:
    case, tape = trial.case, trial.forward[1]
    _check_loop_by_hand(trial)
    for path, choice in trial.choices.items():
        out, grads, other = trial.outcome(path)
        _assert_results_close((out, grads), trial.plain, f"{path}: ")
        for t in range(case.size[0]):
            assert_close(_fetch(other.kept(t)), _fetch(tape.kept(t)), "path", f"{path}: kept({t})")
        assert_same(case.run(keep=False, **choice)[0], out, f"{path}, keep=False: results")
    assert_same(case.run_both_ways(trial.d, recompute=True, **PLAIN)[:2], trial.plain, "recompute: results")
    _assert_results_close(case.run_both_ways(trial.d, recompute=True)[:2], trial.plain, "recompute: ")


def _fetch(kept: Any) -> Any:
    """The arrays of what a step kept in main memory; a record and its values stay what they are."""
    return map_structure(lambda a: to("cpu", a) if is_array(a) else a, kept)


def _check_loop_by_hand(trial: Trial) -> None:
    """The plain loop gives bit for bit what a loop written by hand gives."""
    case = trial.case
    if isinstance(case.cell, Bidirectional) or case.live is not None:
        return
    p, xs, s, extra = to(case.device, (case.p, case.xs, case.s, case.extra))
    q, e, _ = case.cell.prepare(p, extra)
    for t in range(case.size[0])[::-1 if case.reverse else 1]:
        y, s, _ = case.cell.forward(q, select_step(xs, t), s, select_extra(e, t, None))
        assert_same(to("cpu", y), map_structure(lambda a: a[t], trial.plain[0][0]), f"a loop by hand: y of step {t}")
    assert_same(to("cpu", s), trial.plain[0][1], "a loop by hand: s'")


class Law(NamedTuple):
    title: str
    check: Any
    padding: tuple = ("zero", "repeat", "free")      # the policies under which it must hold


LAWS = {
    1: Law("the state keeps structure, shapes and dtype", _check_state),
    2: Law("gradients equal differences", _check_gradients),
    3: Law("arguments are not changed, and results may be", _check_arguments),
    4: Law("a padded batch equals each sequence alone", _check_rows_alone, ("zero",)),
    5: Law("NaN in the padding changes no bit", _check_padding, ("zero", "repeat")),
    6: Law("reverse equals flipping the live part", _check_reversal, ("zero",)),
    7: Law("a sequence cut in two equals the whole", _check_cut, ("zero",)),
    8: Law("permuting the batch permutes the results", _check_permutation),
    9: Law("every path equals the plain loop", _check_paths),
}


def check_law(trial: Trial, number: int) -> None:
    """Raise `LawViolation` unless the law of that number holds, or does not apply to the padding of the case."""
    law, who = LAWS[number], trial.case.name
    if trial.case.padding not in law.padding:
        return
    title = f"law {number} ({law.title})"
    try:
        law.check(trial)
    except Mismatch as e:
        raise LawViolation(who, f"{title}: {': '.join(e.args)}", **e.notes, where=str(trial.case)) from None
    except Exception as e:                        # a law is broken too where the cell raises
        raise LawViolation(who, f"{title}: {type(e).__name__}: {e}", where=str(trial.case)) from e
