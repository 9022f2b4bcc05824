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
from ..cuda import occupancy, pointwise, precision
from ..cuda.errors import translate_errors
from ..cuda.hold import arithmetic_dtype
from ..cuda.kernel_table import kernel_row_of
from ..errors import NotSupported
from ..tree import add
from ..wrappers.stack import Bidirectional
from . import choice, stepped, tapes, whole
from .tiling import count_registers, count_shared_bytes, estimate_microseconds, max_registers

_WHO = "onchip"


def refuses(cell, call):
    """None, or why this cell does not run here: what it is, or which sizes."""
    why = _refuses_together(cell, call) if isinstance(cell, Bidirectional) else tapes.refuses(cell, call)
    if why:
        return why
    chosen = choice.choose(choice.problem_of(cell, call, None))
    if chosen.tier == 2:
        return None
    return "; ".join(dict.fromkeys(f"{choice.TIER_NAMES[tier]}: {why}" for tier, why in chosen.why_not.items()))


def _refuses_together(cell, call):
    """Why two directions are not one launch, or None."""
    for one, extra in zip(cell.cells, cell.extra_per_cell(call.extra)):
        why = tapes.refuses(one, call._replace(extra=extra))
        if why:
            return why
    kinds = {(kernel_row_of(one.rule).cpp(one.rule, "float"), units) for one, units in zip(cell.cells, call.units or "??")}
    return "two directions with cells of two kinds or sizes are two launches" if len(kinds) > 1 else None


def describe_kernels(cell, call):
    """What `explain` says of the kernels: (what, in words) for each way."""
    problem, rule = choice.problem_of(cell, call, None), getattr(cell, "cells", (cell,))[0].rule
    for way, words, t in zip(("Ahead", "Back"), ("forward", "backward"), choice.choose(problem).ways):
        if t is None:
            yield f"{words} kernel", "none: stepping back takes less time (estimates)"
        elif way == "Ahead" or call.keep:
            task = problem.task(way)
            yield f"{words} kernel", f"{whole.make_kernel(rule, task, t, call.dtype).name}, {_describe_tiling(t, task)}"
    if call.clusters:
        counts = ", ".join(f"{count} of {blocks} block{'s' * (blocks > 1)}" for blocks, count in call.clusters)
        yield "clusters at once", f"{counts}, as the card's driver says"


@lru_cache(1024)
def _describe_tiling(t, task):
    engine = "multiply-add" if t.engine == "fma" else f"tensor cores in {task.S}"
    blocks = f"{t.blocks} blocks" if t.blocks > 1 else "a block"
    return (f"{engine}; {blocks} of {t.threads} threads and {t.units} units for {t.group} of {task.rows} rows; R in "
            f"{count_registers(t, task)[0]} of at most {max_registers(t)} registers of a thread; "
            f"{count_shared_bytes(t, task) / 1024:.0f} KB of shared memory; about {estimate_microseconds(t, task):.1f} microseconds a step "
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
    with translate_errors(_WHO):
        live = None if live is None else namespace(live).ascontiguousarray(live)
        problem = _problem_of_arrays(each, xs, keep)
        tapes, directions = zip(*(prepare_forward(*one, xs, live, keep) for one in each))
        _launch_tiling(directions, live, problem, "Ahead", directions[0].arrays["ax"].dtype)
        ys, new = zip(*(collect_outputs(one.arrays, state) for one, (_, _, state, _) in zip(directions, each)))
    tape = Tape(tapes, both, problem) if keep else None
    return (ys, new, tape) if both else (ys[0], new[0], tape)


def _problem_of_arrays(each, xs, keep):
    """The numbers that `choose` looks at, of arrays."""
    (cell, _, s, _), (T, B, I) = each[0], xs.shape
    problem = choice.Problem(T, B, I, s[0].shape[-1], len(cell.gates), xs.dtype.name, tapes.mode_of(cell),
                             precision.architecture(xs), bool(keep), None, len(each), occupancy.clusters(xs))
    why = choice.choose(problem).why_not.get(2)
    if why:
        raise NotSupported(_WHO, why, fix="leave the choice of a path to `run`")
    return problem


def _launch_tiling(directions, live, problem, way, W):
    """The launch, with the tiling that `choose` says."""
    t = choice.choose(problem).ways[("Ahead", "Back").index(way)]
    whole.launch_sequence(directions, live, (problem.T, problem.B, problem.H), problem.task(way), t, W)


def prepare_forward(cell, p, s, reverse, xs, live, keep):
    """What one direction keeps, and what its kernel is given."""
    ax, kx = tapes.project_inputs(cell, p, xs, live)                       # one product for all steps
    xp, m, W = namespace(ax), cell.recurrent, ax.dtype
    A, end = arithmetic_dtype(_WHO, W), xp.ascontiguousarray
    arrays = {"ax": ax, "R": end(p[m.W]), "bias": p[m.b] if m.b and not cell.rule.is_additive else None, "h0": end(s[0]),
              "y": xp.empty((*ax.shape[:-1], s[0].shape[-1]), W), "h": xp.empty(s[0].shape, W)}
    if len(s) > 1:
        arrays |= {"c0": end(s[1]).astype(A, copy=False), "c": xp.empty(s[1].shape, A)}
    tape = None
    if keep:
        tape = tapes.allocate_tape(cell, p, kx, s, live, range(len(xs))[::-1 if reverse else 1], True, ax)
        arrays |= {"kept": tape.kept_buffer} | {name: tape.beside(a, 1) for name, a in (
            ("hs", tape.hs), ("cs", tape.cs), ("sent", tape.sent)) if a is not None}
    return tape, whole.Direction(cell.rule, p, arrays, reverse)


def collect_outputs(arrays, s):
    """ys and the last state."""
    last = (arrays[name].astype(a.dtype, copy=False) for name, a in zip(("h", "c"), s))
    return arrays["y"], type(s)(*last)


def backward(tape, dys, ds):
    """Gradients of the inputs, of the first state, None, and of the parameters; pairs for two directions."""
    each = list(zip(tape.tapes, dys, ds)) if tape.both else [(tape.tapes[0], dys, ds)]
    with translate_errors(_WHO):
        if choice.choose(tape.problem).ways[1] is None:
            found = [stepped.run_backward(*one) for one in each]
        else:
            directions = [prepare_backward(*one) for one in each]
            _launch_tiling(directions, tape.tapes[0].live, tape.problem, "Back", tape.tapes[0].hs.dtype)
            found = [_collect_gradients(one, d.arrays) for one, d in zip(tape.tapes, directions)]
    if not tape.both:
        return found[0]
    (ahead, back_), ds, _, dp = zip(*found)
    return add(ahead, back_), ds, None, dp


def prepare_backward(tape, dys, d):
    """What the kernel of one direction is given on the way back."""
    xp, rule, (_, B, n), A = namespace(dys), tape.cell.rule, dys.shape, tape.kept_buffer.dtype
    end, (dax, dah, dp) = xp.ascontiguousarray, tapes.allocate_gradients(tape, sum_steps=True)
    arrays = {"R": end(tape.p[tape.cell.recurrent.W]), "kept": tape.kept_buffer, "hs": tape.beside(tape.hs, 0),
              "dy": end(dys), "dh": end(d[0]), "dax": dax, "dah": None if rule.is_additive else dah, "dp": dp,
              "dh0": xp.empty((B, n), tape.hs.dtype)}
    if tape.cs is not None:
        arrays |= {"c0": tape.beside(tape.cs, 0), "dc": end(d[1]).astype(A, copy=False), "dc0": xp.empty((B, n), A)}
        arrays |= {"c": tape.beside(tape.cs, 1)} if pointwise.reads_new_c(rule) else {}
    return whole.Direction(rule, tape.p, arrays, tape.order.step < 0)


def _collect_gradients(tape, arrays):
    d = [arrays[name] for name in ("dh0", "dc0")[:len(tape.like)]]
    dah = arrays["dax"] if arrays["dah"] is None else arrays["dah"]
    return tapes.collect_gradients(tape, arrays["dax"], dah, arrays["dp"], d)
