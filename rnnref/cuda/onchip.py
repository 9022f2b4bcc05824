"""Tier 2: a whole sequence in one launch, R held on chip by clusters of blocks.  (floor 5)

    before     x W for all steps, in one product
    ahead      one launch: every cluster runs its rows of the batch, h goes round inside of it, one barrier a step
    back       one launch: gradients of gates; each block's part of those of h goes to the block that has the unit
    after      dx, dW, dR and the biases, in one product each

Two directions with cells of one kind are one launch with twice the clusters.  The tape is that of the stepped path, so
where `choose` finds stepping back faster, that is how it goes back.  onchip.cu has the kernels, tiling.py how many
blocks and threads.  Not yet run on a device.
"""
from functools import lru_cache
from typing import Any, NamedTuple

from ..arrays import namespace
from ..errors import NotSupported
from ..tree import add
from ..wrappers.stack import Bidirectional
from . import choose, modes, pointwise, sequence, stepped, whole
from .hold import arithmetic
from .texts import text_of
from .tiling import microseconds, most_registers, registers, shared
from .trouble import explained

WHO = "cuda.onchip"


def refuses(cell, call):
    """None, or why this cell does not run here: what it is, or which sizes."""
    why = together(cell, call) if isinstance(cell, Bidirectional) else sequence.refuses(cell, call)
    if why:
        return why
    chosen = choose.choose(choose.problem_of(cell, call, None))
    if chosen.tier == 2:
        return None
    return "; ".join(dict.fromkeys(f"{choose.NAMES[tier]}: {why}" for tier, why in chosen.why_not.items()))


def together(cell, call):
    """Why two directions are not one launch, or None."""
    for one, extra in zip(cell.cells, cell.each(call.extra)):
        why = sequence.refuses(one, call._replace(extra=extra))
        if why:
            return why
    kinds = {(text_of(one.rule).cpp(one.rule, "float"), units) for one, units in zip(cell.cells, call.units or "??")}
    return "two directions with cells of two kinds or sizes are two launches" if len(kinds) > 1 else None


def says(cell, call):
    """What `explain` says of the kernels: (what, in words) for each way."""
    problem, rule = choose.problem_of(cell, call, None), getattr(cell, "cells", (cell,))[0].rule
    for way, words, t in zip(("Ahead", "Back"), ("forward", "backward"), choose.choose(problem).ways):
        if t is None:
            yield f"{words} kernel", "none: stepping back takes less time (estimates)"
        elif way == "Ahead" or call.keep:
            task = problem.task(way)
            yield f"{words} kernel", f"{whole.kernel(rule, task, t, call.dtype).name}, {described(t, task)}"


@lru_cache(1024)
def described(t, task):
    engine = "multiply-add" if t.engine == "fma" else f"tensor cores in {task.S}"
    blocks = f"{t.blocks} blocks" if t.blocks > 1 else "a block"
    return (f"{engine}; {blocks} of {t.threads} threads and {t.units} units for {t.group} of {task.rows} rows; R in "
            f"{registers(t, task)[0]} of at most {most_registers(t)} registers of a thread; "
            f"{shared(t, task) / 1024:.0f} KB of shared memory; about {microseconds(t, task):.1f} microseconds a step "
            "(estimate)")


class Tape(NamedTuple):
    """Those of one direction or of two."""
    tapes: tuple; both: bool; problem: Any

    def kept(self, t):
        kept = tuple(tape.kept(t) for tape in self.tapes)
        return kept if self.both else kept[0]


def forward(cell, p, xs, s, extra=None, live=None, reverse=False, keep=True):
    """xs [T, B, I], live [T, B] or None -> ys [T, B, H], the last state, a tape; pairs of them for two directions."""
    both = isinstance(cell, Bidirectional)
    each = list(zip(cell.cells, p, s, (reverse, not reverse))) if both else [(cell, p, s, reverse)]
    with explained(WHO):
        live = None if live is None else namespace(live).ascontiguousarray(live)
        problem = problem_of(each, xs, keep)
        tapes, directions = zip(*(begun(*one, xs, live, keep) for one in each))
        ran(directions, live, problem, "Ahead", directions[0].arrays["ax"].dtype)
        ys, new = zip(*(ended(one.arrays, state) for one, (_, _, state, _) in zip(directions, each)))
    tape = Tape(tapes, both, problem) if keep else None
    return (ys, new, tape) if both else (ys[0], new[0], tape)


def problem_of(each, xs, keep):
    """The numbers that `choose` looks at, of arrays."""
    (cell, _, s, _), (T, B, I) = each[0], xs.shape
    problem = choose.Problem(T, B, I, s[0].shape[-1], len(cell.gates), xs.dtype.name, sequence.mode_of(cell),
                             modes.architecture(xs), bool(keep), None, len(each))
    why = choose.choose(problem).why_not.get(2)
    if why:
        raise NotSupported(WHO, why, fix="leave the choice of a path to `run`")
    return problem


def ran(directions, live, problem, way, W):
    """The launch, with the tiling that `choose` says."""
    t = choose.choose(problem).ways[("Ahead", "Back").index(way)]
    whole.launch(directions, live, (problem.T, problem.B, problem.H), problem.task(way), t, W)


def begun(cell, p, s, reverse, xs, live, keep):
    """What one direction keeps, and what its kernel is given."""
    ax, kx = sequence.inputs(cell, p, xs, live)                       # one product for all steps
    xp, m, W = namespace(ax), cell.recurrent, ax.dtype
    A, end = arithmetic(WHO, W), xp.ascontiguousarray
    arrays = {"ax": ax, "R": end(p[m.W]), "bias": p[m.b] if m.b and not cell.rule.is_additive else None, "h0": end(s[0]),
              "y": xp.empty((*ax.shape[:-1], s[0].shape[-1]), W), "h": xp.empty(s[0].shape, W)}
    if len(s) > 1:
        arrays |= {"c0": end(s[1]).astype(A, copy=False), "c": xp.empty(s[1].shape, A)}
    tape = None
    if keep:
        tape = sequence.opened(cell, p, kx, s, live, range(len(xs))[::-1 if reverse else 1], True, ax)
        arrays |= {"kept": tape.kept_all} | {name: tape.beside(a, 1) for name, a in (
            ("hs", tape.hs), ("cs", tape.cs), ("sent", tape.sent)) if a is not None}
    return tape, whole.Direction(cell.rule, p, arrays, reverse)


def ended(arrays, s):
    """ys and the last state."""
    last = (arrays[name].astype(a.dtype, copy=False) for name, a in zip(("h", "c"), s))
    return arrays["y"], type(s)(*last)


def backward(tape, dys, ds):
    """Gradients of the inputs, of the first state, None, and of the parameters; pairs for two directions."""
    each = list(zip(tape.tapes, dys, ds)) if tape.both else [(tape.tapes[0], dys, ds)]
    with explained(WHO):
        if choose.choose(tape.problem).ways[1] is None:
            found = [stepped.back(*one) for one in each]
        else:
            directions = [back(*one) for one in each]
            ran(directions, tape.tapes[0].live, tape.problem, "Back", tape.tapes[0].hs.dtype)
            found = [after(one, d.arrays) for one, d in zip(tape.tapes, directions)]
    if not tape.both:
        return found[0]
    (ahead, back_), ds, _, dp = zip(*found)
    return add(ahead, back_), ds, None, dp


def back(tape, dys, d):
    """What the kernel of one direction is given on the way back."""
    xp, rule, (_, B, n), A = namespace(dys), tape.cell.rule, dys.shape, tape.kept_all.dtype
    end, (dax, dah, dp) = xp.ascontiguousarray, sequence.gradients(tape, summed=True)
    arrays = {"R": end(tape.p[tape.cell.recurrent.W]), "kept": tape.kept_all, "hs": tape.beside(tape.hs, 0),
              "dy": end(dys), "dh": end(d[0]), "dax": dax, "dah": None if rule.is_additive else dah, "dp": dp,
              "dh0": xp.empty((B, n), tape.hs.dtype)}
    if tape.cs is not None:
        arrays |= {"c0": tape.beside(tape.cs, 0), "dc": end(d[1]).astype(A, copy=False), "dc0": xp.empty((B, n), A)}
        arrays |= {"c": tape.beside(tape.cs, 1)} if pointwise.sees_c(rule) else {}
    return whole.Direction(rule, tape.p, arrays, tape.order.step < 0)


def after(tape, arrays):
    d = [arrays[name] for name in ("dh0", "dc0")[:len(tape.like)]]
    dah = arrays["dax"] if arrays["dah"] is None else arrays["dah"]
    return sequence.finished(tape, arrays["dax"], dah, arrays["dp"], d)
