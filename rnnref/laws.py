"""What every cell is held to, each law a function of one trial that raises `Different`.  (floor 12)

A law runs the cell on arguments changed in a way whose effect on the results is known.
"""
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy

from .arrays import is_floating
from .check.tolerance import tolerance
from .compare import Different, assert_close, assert_same, pairs
from .errors import Error
from .run import run, run_back
from .scan import extra_at
from .tree import Each, at, beside, first, leaves, tmap, to
from .trial import TEXT, results
from .wrappers.stack import Bidirectional

STEPS = 1e-5, 1e-6, 1e-7                          # of differences: a shorter one may miss a kink in between


class Broken(Error, AssertionError):
    """A law that does not hold: its number and name, and what is wrong."""


def state(trial):
    case = trial.case
    ones = [(case.cell, case.p, case.s, case.extra)]
    if isinstance(case.cell, Bidirectional):      # which is no step: its directions are
        ones = zip(case.cell.cells, case.p, case.s, case.cell.each(case.extra))
    for cell, *given in ones:
        for dtype in ("float64", "float32"):
            p, s, extra, x = tmap(lambda a: in_dtype(a, dtype), (*given, at(case.xs, 0)))
            one_step(trial, cell, *to(case.device, (p, x, s, extra)))


def in_dtype(a, dtype):
    if isinstance(a, Each):
        return Each(in_dtype(a.steps, dtype))
    return a.astype(dtype) if is_floating(a.dtype) else a


def one_step(trial, cell, p, x, s, extra):
    q, e, prepared = cell.prepare(p, extra)
    y, new, kept = cell.forward(q, x, s, extra_at(e, 0, None))
    alike(new, s, "the state after a step")
    dtype, rows = first(x).dtype, len(first(x))
    for path, a in leaves(y):
        if a.dtype != dtype or len(a) != rows:
            raise Different(f"y.{path}" if path else "y", f"{a.dtype} {a.shape}, expected {dtype} and {rows} rows")
    dy, dnew = to(trial.case.device, trial.draw(to("cpu", (y, new))))
    dx, ds, dextra, dq = cell.backward(q, kept, dy, dnew)
    alike(dq, q, "dp")
    dp, _ = cell.prepare_back(p, prepared, dq, dextra)
    for name, d, like in (("dx", dx, x), ("ds", ds, s), ("dp", dp, p)):
        alike(d, like, name)


def alike(got, want, name):
    for _ in pairs(got, want, name):              # raises where structure, dtype or shape differ
        pass


def gradients(trial):
    """Law 2, for each array by itself, so that the message can say which are wrong and which are right."""
    most, right, wrong = tolerance("difference", "float64"), [], {}
    for field, grads in zip(("xs", "s", "extra", "p"), trial.text[1]):
        for path, g in leaves(grads):
            error, *both = gradient(trial, field, path, g, most)
            name = f"d{field}{'.' if path else ''}{path}"
            if error <= most:
                right.append(name)
                trial.worst = max(trial.worst, error)
            else:
                wrong[name] = error, *both
    for name, (error, says, change) in wrong.items():
        raise Different(name, f"along a random direction the gradient says {says:.8g}, a difference {change:.8g}",
                        error=f"{error:.1e} of |g| |v|, allowed {most:.0e}", wrong=", ".join(wrong),
                        right=", ".join(right))


def gradient(trial, field, path, g, most):
    """(error relative to |g| |v|, g v, what it should be) for a random v; one of the steps must miss any kink."""
    v, found = trial.draw(g, 1), []
    says, size = float((g * v).sum()), float(numpy.sqrt((g * g).sum() * (v * v).sum()))
    for step in STEPS:
        change, rounding = difference(trial, field, path, v, step)
        off = abs(change - says)
        found.append((0.0 if off <= rounding else off / max(size, abs(change)), says, change))
        if found[-1][0] <= most:
            return found[-1]
    return min(found)


def difference(trial, field, path, v, step):
    """(L(a + step v) - L(a - step v)) / 2 step, for L = sum(results d); and how much of it may be rounding of L."""
    case, d, losses = trial.case, dict(leaves(trial.d)), []
    for e in (step, -step):
        moved = replace(case, **{field: nudged(getattr(case, field), path, e * v)})
        terms = [a * d[name] for name, a in leaves(moved.run(keep=False, **TEXT)[0])]
        losses.append((sum(a.sum() for a in terms), sum(abs(a).sum() for a in terms)))
    (ahead, size), (back, _) = losses
    return float(ahead - back) / (2 * step), 4 * numpy.finfo("float64").eps * float(size) / step


def nudged(tree, path, v):
    paths = iter([name for name, _ in leaves(tree)])
    return tmap(lambda a: a + v if next(paths) == path else a, tree)


def arguments(trial):
    case = trial.case
    names = {"p": case.p, "xs": case.xs, "s": case.s, "extra": case.extra, "lengths": case.lengths, "mask": case.mask}
    for choice in (TEXT, {}):
        given = to(case.device, tmap(copied, names))
        ys, new, tape = run(case.cell, **given, reverse=case.reverse, past=case.past, **choice)
        assert_same(to("cpu", given), names)
        d = trial.draw(to("cpu", {"dys": ys, "ds": new}))
        sent = to(case.device, tmap(copied, d))
        once = tmap(copied, to("cpu", run_back(tape, **sent)))
        assert_same(to("cpu", given), names)
        assert_same(to("cpu", sent), d)
        assert_same(to("cpu", run_back(tape, **sent)), once, "run_back for the second time")


def copied(a):
    return Each(a.steps.copy()) if isinstance(a, Each) else a.copy()


def rows_alone(trial):
    case, (out, grads) = trial.case, trial.text
    live = numpy.ones(case.size, bool) if case.live is None else case.live
    nothing_at(~live, {"ys": out[0], "dxs": grads[0]})
    nothing_at(~live.any(0), {"dextra": grads[2]})
    dp = tmap(numpy.zeros_like, grads[3])
    for b in range(case.size[1]):
        when = numpy.flatnonzero(live[:, b])
        seq, row = partial(taken, (when, slice(b, b + 1))), partial(taken, slice(b, b + 1))
        if not len(when):
            assert_same(tmap(row, (out[1], grads[1])), tmap(row, (case.s, trial.d[1])), f"row {b}, never live: s', ds")
            continue
        d = tmap(seq, trial.d[0]), tmap(row, trial.d[1])
        alone, back, _ = case.remade(seq, row, lengths=None, mask=None).both_ways(d, **TEXT)
        batch = results(out, grads, seq, row)
        named_close((alone, back[:3]), (batch[0], batch[1][:3]), f"row {b} alone: ")
        dp = tmap(numpy.add, dp, back[3])
    assert_close(dp, grads[3], "path", "the sum over rows alone: dp")


def taken(where, a):
    return a[where]


def nothing_at(dead, tree):
    for name, a in leaves(tree):
        assert_same(abs(a[dead]), numpy.zeros_like(a[dead]), f"{name} where no row is live")


def named_close(got, want, say=""):
    """Results and gradients, by their names in errors."""
    names = "ys", "s'", "dxs", "ds", "dextra", "dp"
    got, want = ({say + n: a for n, a in zip(names, (*out, *grads))} for out, grads in (got, want))
    assert_close(got, want, "path")


def padding(trial):
    case, live = trial.case, trial.case.live
    if live is None:
        return

    def poison(a):
        return numpy.where(beside(live, a), a, numpy.nan)
    d = trial.d if case.past == "repeat" else (tmap(poison, trial.d[0]), trial.d[1])
    for ran, choice in trial.choices.items():
        got, want = case.remade(poison).both_ways(d, **choice), trial.by(ran)
        assert_same(got[:2], want[:2], f"{ran}, NaN in the padding: results")


def reversal(trial):
    case, (T, B) = trial.case, trial.case.size
    order = numpy.repeat(numpy.arange(T)[:, None], B, 1)
    for b in range(B):
        when = slice(None) if case.live is None else case.live[:, b]
        order[when, b] = order[when, b][::-1]
    flip = partial(taken, (order, numpy.arange(B)))
    d = tmap(flip, trial.d[0]), trial.d[1]
    out, grads, _ = case.remade(flip, reverse=not case.reverse).both_ways(d, **TEXT)
    named_close(results(out, grads, flip), trial.text, "flipped: ")


def cut(trial):
    case, T = trial.case, trial.case.size[0]
    if isinstance(case.cell, Bidirectional) or T < 2:
        return                                    # one direction ends where the other begins
    n, done, backs, s, ds = (T + 1) // 2, [], [], case.s, trial.d[1]
    for when in (slice(n, T), slice(n)) if case.reverse else (slice(n), slice(n, T)):
        part = replace(piece(case, when), s=s)
        (ys, s), tape = part.run(**TEXT)
        done.append((ys, part, tape, tmap(partial(taken, when), trial.d[0])))
    for _, part, tape, dys in reversed(done):
        backs.append(part.back(tape, (dys, ds)))
        ds = backs[-1][1]
    (late, _, *later), (early, _, *earlier) = backs

    def joined(a, b):
        return numpy.concatenate([b, a] if case.reverse else [a, b])
    dextra, dp = tmap(numpy.add, tuple(earlier), tuple(later))
    got = (tmap(joined, done[0][0], done[1][0]), s), (tmap(joined, early, late), ds, dextra, dp)
    named_close(got, trial.text, f"cut after {n} of {T} steps: ")


def piece(case, when):
    """Some steps of a case."""
    start, stop, _ = when.indices(case.size[0])
    lengths = None if case.lengths is None else numpy.clip(case.lengths, start, stop) - start
    seq = partial(taken, when)
    return case.remade(seq, lengths=lengths, mask=tmap(seq, case.mask))


def permuted(trial):
    case, B = trial.case, trial.case.size[1]
    rows = numpy.random.default_rng(trial.seed).permutation(B)
    rows = numpy.roll(rows, 1) if (rows == numpy.arange(B)).all() else rows
    seq, row = partial(taken, (slice(None), rows)), partial(taken, rows)
    other = case.remade(seq, row, lengths=tmap(row, case.lengths), mask=tmap(seq, case.mask))
    out, grads, _ = other.both_ways((tmap(seq, trial.d[0]), tmap(row, trial.d[1])), **TEXT)
    named_close((out, grads), results(trial.text[0], trial.text[1], seq, row), "rows in another order: ")


def paths(trial):
    case, tape = trial.case, trial.ahead[1]
    by_hand(trial)
    for ran, choice in trial.choices.items():
        out, grads, other = trial.by(ran)
        named_close((out, grads), trial.text, f"{ran}: ")
        for t in range(case.size[0]):
            assert_close(to("cpu", other.kept(t)), to("cpu", tape.kept(t)), "path", f"{ran}: kept({t})")
        assert_same(case.run(keep=False, **choice)[0], out, f"{ran}, keep=False: results")
    assert_same(case.both_ways(trial.d, recompute=True, **TEXT)[:2], trial.text, "recompute: results")
    named_close(case.both_ways(trial.d, recompute=True)[:2], trial.text, "recompute: ")


def by_hand(trial):
    """The text is bit for bit a loop written by hand."""
    case = trial.case
    if isinstance(case.cell, Bidirectional) or case.live is not None:
        return
    p, xs, s, extra = to(case.device, (case.p, case.xs, case.s, case.extra))
    q, e, _ = case.cell.prepare(p, extra)
    for t in range(case.size[0])[::-1 if case.reverse else 1]:
        y, s, _ = case.cell.forward(q, at(xs, t), s, extra_at(e, t, None))
        assert_same(to("cpu", y), tmap(lambda a: a[t], trial.text[0][0]), f"a loop by hand: y of step {t}")
    assert_same(to("cpu", s), trial.text[0][1], "a loop by hand: s'")


class Law(NamedTuple):
    title: str
    holds: Any
    past: tuple = ("zero", "repeat", "free")      # the policies under which it is one


LAWS = {
    1: Law("the state keeps structure, shapes and dtype", state),
    2: Law("gradients equal differences", gradients),
    3: Law("arguments are not changed", arguments),
    4: Law("a padded batch equals each sequence alone", rows_alone, ("zero",)),
    5: Law("NaN in the padding changes no bit", padding, ("zero", "repeat")),
    6: Law("reverse equals flipping the live part", reversal, ("zero",)),
    7: Law("a sequence cut in two equals the whole", cut, ("zero",)),
    8: Law("permuting the batch permutes the results", permuted),
    9: Law("every path equals the text", paths),
}


def hold(trial, number):
    """Raise `Broken` unless the law of that number holds, where it is one."""
    law, who = LAWS[number], trial.case.name
    if trial.case.past not in law.past:
        return
    title = f"law {number} ({law.title})"
    try:
        law.holds(trial)
    except Different as e:
        raise Broken(who, f"{title}: {': '.join(e.args)}", **e.notes, where=str(trial.case)) from None
    except Exception as e:                        # whatever a cell may raise, it is this law that does not hold
        raise Broken(who, f"{title}: {type(e).__name__}: {e}", where=str(trial.case)) from e
