"""The path `onchip`: a whole sequence in one launch, R held on chip by clusters of blocks.

    before     x W for all steps, in one product
    forward    one launch: each cluster computes its rows of the batch; its blocks send each other h in every step
    backward   one launch: gradients of gates; each block sends its part of those of h to the block that has the unit
    after      dx, dW, dR and the biases, in one product each

Two directions with cells of one kind are one launch with twice the clusters.  The tape is that of the stepped path, so
where `choose` estimates stepping back to be faster, that is done.  onchip.cu has the kernels, tiling.py the numbers of
blocks and threads.
"""
from functools import lru_cache
from typing import Any, Collection, Iterator, NamedTuple, Optional

import numpy

from ..arrays import Array, namespace
from ..cell import ALL
from ..cuda import pointwise, precision
from ..cuda.devices import CARDS, why_no_launch
from ..cuda.errors import translate_errors
from ..cuda.kernel_table import kernel_row_of
from ..cuda.launch import arithmetic_dtype, as_bytes, check_on_device, compile_kernel, permit, struct_dtype
from ..cuda.pointwise import pack_options
from ..cuda.source import CPP_TYPES, SequenceKernel
from ..errors import Error, NotSupported
from ..tree import Tree, add
from ..wrappers.stack import Bidirectional
from . import choice, occupancy, stepped, tapes
from .tiling import (Task, Tiling, count_registers, count_shared_bytes, estimate_microseconds, max_registers,
                     product_arguments)

_WHO = "onchip"
# The pointers of the structs by their names in C++
_STRUCT_FIELDS = {"Ahead": "ax R bias h0 c0 y hs cs sent kept h c",
                  "Back": "R kept c0 c hs dy dh dc dax dah dh0 dc0 dp"}
_SEQUENCE_DTYPE = numpy.dtype([("live", "P"), *((name, "i4") for name in "steps rows n group reverse".split())],
                              align=True)


def refuses(cell: Any, call: Any) -> Optional[str]:
    """None, or why this path does not run this cell or these sizes."""
    why = _refuses_together(cell, call) if isinstance(cell, Bidirectional) else tapes.refuses(cell, call)
    if why:
        return why
    chosen = choice.choose(choice.problem_of(cell, call, None))
    if chosen.method == "clusters":
        return None
    return "; ".join(dict.fromkeys(f"{choice.METHODS[method]}: {why}" for method, why in chosen.why_not.items()))


def _refuses_together(cell: Any, call: Any) -> Optional[str]:
    """None, or why two directions cannot be one launch."""
    for one, extra in zip(cell.cells, cell.extra_per_cell(call.extra)):
        why = tapes.refuses(one, call._replace(extra=extra))
        if why:
            return why
    units = call.units or "??"
    kinds = {(kernel_row_of(one.rule).cpp(one.rule, "float"), n) for one, n in zip(cell.cells, units)}
    return "two directions with cells of two kinds or sizes need two launches" if len(kinds) > 1 else None


def describe_kernels(cell: Any, call: Any) -> Iterator[tuple[str, str]]:
    """The notes of `explain` about the kernels: (what, in words), forward and backward."""
    problem, rule = choice.problem_of(cell, call, None), getattr(cell, "cells", (cell,))[0].rule
    for way, word, t in zip(("Ahead", "Back"), ("forward", "backward"), choice.choose(problem).tilings):
        if t is None:
            yield f"{word} kernel", "none: stepping back takes less time (estimates)"
        elif way == "Ahead" or call.keep:
            task = problem.task(way)
            yield f"{word} kernel", f"{make_kernel(rule, task, t, call.dtype).name}, {_describe_tiling(t, task)}"
    if call.clusters:
        counts = ", ".join(f"{count} of {blocks} block{'s' * (blocks > 1)}" for blocks, count in call.clusters)
        yield "clusters at once", f"{counts}, as the driver reports"


@lru_cache(1024)
def _describe_tiling(t: Tiling, task: Task) -> str:
    engine = "multiply-add" if t.engine == "fma" else f"tensor cores in {task.S}"
    blocks = f"{t.blocks} blocks" if t.blocks > 1 else "a block"
    shared, time = count_shared_bytes(t, task) / 1024, estimate_microseconds(t, task)
    return (f"{engine}; {blocks} of {t.threads} threads and {t.units} units for {t.group} of {task.rows} rows; R in "
            f"{count_registers(t, task)[0]} of at most {max_registers(t)} registers of a thread; {shared:.0f} KB of "
            f"shared memory; about {time:.1f} microseconds a step (estimate)")


class Tape(NamedTuple):
    """The tapes of one direction or of two."""
    tapes: tuple; bidirectional: bool; problem: Any

    def kept(self, t: int) -> Any:
        """The intermediates of step t; a pair for two directions."""
        kept = tuple(tape.kept(t) for tape in self.tapes)
        return kept if self.bidirectional else kept[0]


def forward(cell: Any, p: Tree, xs: Array, s: Any, extra: Tree = None, live: Optional[Array] = None,
            reverse: bool = False, keep: Any = True) -> tuple[Any, Any, Optional[Tape]]:
    """xs [T, B, I], live [T, B] or None -> ys [T, B, H], the last state, a tape; pairs of them for two directions."""
    bidirectional = isinstance(cell, Bidirectional)
    runs = list(zip(cell.cells, p, s, (reverse, not reverse))) if bidirectional else [(cell, p, s, reverse)]
    with translate_errors(_WHO):
        live = None if live is None else namespace(live).ascontiguousarray(live)
        problem = _problem_of_arrays(runs, xs, keep)
        tapes, directions = zip(*(prepare_forward(*one, xs, live, keep) for one in runs))
        _launch_tiling(directions, live, problem, "Ahead", directions[0].arrays["ax"].dtype)
        ys, new = zip(*(collect_outputs(one.arrays, state) for one, (_, _, state, _) in zip(directions, runs)))
    tape = Tape(tapes, bidirectional, problem) if keep else None
    return (ys, new, tape) if bidirectional else (ys[0], new[0], tape)


def _problem_of_arrays(runs: list, xs: Array, keep: Any) -> choice.Problem:
    """The problem of `choose` for arrays; raise NotSupported if clusters cannot run it."""
    (cell, _, s, _), (T, B, I) = runs[0], xs.shape
    problem = choice.Problem(T, B, I, s[0].shape[-1], len(cell.gates), xs.dtype.name, tapes.mode_of(cell),
                             precision.architecture(xs), bool(keep), None, len(runs), occupancy.clusters(xs))
    why = choice.choose(problem).why_not.get("clusters")
    if why:
        raise NotSupported(_WHO, why, fix="leave the choice of a path to `run`")
    return problem


def _launch_tiling(directions: Any, live: Optional[Array], problem: choice.Problem, way: str, W: numpy.dtype) -> None:
    """Launch the kernel with the tiling that `choose` returns."""
    t = choice.choose(problem).tilings[("Ahead", "Back").index(way)]
    launch_sequence(directions, live, (problem.T, problem.B, problem.H), problem.task(way), t, W)


def prepare_forward(cell: Any, p: Tree, s: Any, reverse: bool, xs: Array, live: Optional[Array], keep: Any
                    ) -> tuple[Any, "Direction"]:
    """The tape of one direction, and the arguments of its kernel."""
    ax, kx = tapes.project_inputs(cell, p, xs, live)                       # one product for all steps
    xp, m, W = namespace(ax), cell.recurrent, ax.dtype
    A, contiguous = arithmetic_dtype(_WHO, W), xp.ascontiguousarray
    arrays = {"ax": ax, "R": contiguous(p[m.W]), "h0": contiguous(s[0]),
              "bias": p[m.b] if m.b and not cell.rule.is_additive else None,
              "y": xp.empty((*ax.shape[:-1], s[0].shape[-1]), W), "h": xp.empty(s[0].shape, W)}
    if len(s) > 1:
        arrays |= {"c0": contiguous(s[1]).astype(A, copy=False), "c": xp.empty(s[1].shape, A)}
    tape = None
    if keep:
        tape = tapes.allocate_tape(cell, p, kx, s, live, range(len(xs))[::-1 if reverse else 1], True, ax)
        arrays |= {"kept": tape.kept_buffer} | {name: tape.select_states(a, 1) for name, a in (
            ("hs", tape.hs), ("cs", tape.cs), ("sent", tape.sent)) if a is not None}
    return tape, Direction(cell.rule, p, arrays, reverse)


def collect_outputs(arrays: dict, s: Any) -> tuple[Array, Any]:
    """ys and the last state, in the dtypes of the first."""
    last = (arrays[name].astype(a.dtype, copy=False) for name, a in zip(("h", "c"), s))
    return arrays["y"], type(s)(*last)


def backward(tape: Tape, dys: Any, ds: Any, wanted: Collection[str] = ALL) -> tuple[Any, Any, None, Any]:
    """Gradients of the inputs, of the first state, None, and of the parameters; pairs for two directions."""
    runs = list(zip(tape.tapes, dys, ds)) if tape.bidirectional else [(tape.tapes[0], dys, ds)]
    with translate_errors(_WHO):
        if choice.choose(tape.problem).tilings[1] is None:
            gradients = [stepped.run_backward(*one, wanted) for one in runs]
        else:
            directions = [prepare_backward(*one) for one in runs]
            _launch_tiling(directions, tape.tapes[0].live, tape.problem, "Back", tape.tapes[0].hs.dtype)
            gradients = [_collect_gradients(one, d.arrays, wanted) for one, d in zip(tape.tapes, directions)]
    if not tape.bidirectional:
        return gradients[0]
    (dxs, more), ds, _, dp = zip(*gradients)
    return add(dxs, more), ds, None, dp


def prepare_backward(tape: Any, dys: Array, d: Any) -> "Direction":
    """The arguments of the backward kernel of one direction."""
    xp, rule, (_, B, n), A = namespace(dys), tape.cell.rule, dys.shape, tape.kept_buffer.dtype
    contiguous, (dax, dah, dp) = xp.ascontiguousarray, tapes.allocate_gradients(tape, sum_steps=True)
    arrays = {"R": contiguous(tape.p[tape.cell.recurrent.W]), "kept": tape.kept_buffer,
              "hs": tape.select_states(tape.hs, 0), "dy": contiguous(dys), "dh": contiguous(d[0]), "dax": dax,
              "dah": None if rule.is_additive else dah, "dp": dp, "dh0": xp.empty((B, n), tape.hs.dtype)}
    if tape.cs is not None:
        arrays |= {"c0": tape.select_states(tape.cs, 0), "dc": contiguous(d[1]).astype(A, copy=False),
                   "dc0": xp.empty((B, n), A)}
        arrays |= {"c": tape.select_states(tape.cs, 1)} if pointwise.reads_new_c(rule) else {}
    return Direction(rule, tape.p, arrays, tape.order.step < 0)


def _collect_gradients(tape: Any, arrays: dict, wanted: Collection[str]) -> tuple:
    d = [arrays[name] for name in ("dh0", "dc0")[:len(tape.like)]]
    dah = arrays["dax"] if arrays["dah"] is None else arrays["dah"]
    return tapes.collect_gradients(tape, arrays["dax"], dah, arrays["dp"], d, wanted)


class Direction(NamedTuple):
    """The arguments of the kernel for one direction.

    arrays: the fields of the kernel's struct by their names in C++; None, or missing: a null pointer.
    """
    rule: Any; p: Any; arrays: dict; reverse: bool


class _RuleParameters:
    """Parameters of a rule in the dtype of the kernel, held until it is launched."""

    def __init__(self) -> None:
        self.arrays: list = []

    def add_parameter(self, name: str, a: Array, A: numpy.dtype) -> int:
        self.arrays.append(namespace(a).ascontiguousarray(a.astype(A, copy=False)))
        return self.arrays[-1].data.ptr


@lru_cache(None)
def make_kernel(rule: Any, task: Task, t: Tiling, W: numpy.dtype) -> SequenceKernel:
    """The kernel of this rule and tiling; W: the dtype of x W and of states."""
    row = kernel_row_of(rule)
    S = "float" if task.S == "tf32" and t.engine == "fma" else task.S
    return SequenceKernel(task.way, task.A, S, CPP_TYPES[W.name], row.cpp(rule, task.A), row.header, t,
                          product_arguments(t, task._replace(S=S)))


@lru_cache(None)
def _pair_dtype(way: str, fields: tuple, A: numpy.dtype) -> numpy.dtype:
    """The dtype of the struct of two directions."""
    return numpy.dtype([("each", struct_dtype(_STRUCT_FIELDS[way], fields, A, _SEQUENCE_DTYPE), 2)], align=True)


def launch_sequence(directions: Any, live: Optional[Array], shape: tuple, task: Task, t: Any, W: numpy.dtype) -> None:
    """Launch one or two directions together, with shape = T steps, B rows, n units."""
    T, B, n = shape
    if not B:
        return                                    # no result has a number, and a grid needs a block
    rule, parameters, structs = directions[0].rule, _RuleParameters(), []
    check_on_device(_WHO, directions[0].arrays["R"])
    kernel, row = make_kernel(rule, task, t, W), kernel_row_of(rule)
    A = numpy.dtype("float64" if task.A == "double" else "float32")
    for one in directions:
        values = [_pointer_to(name, one.arrays.get(name)) for name in _STRUCT_FIELDS[task.way].split()]
        to = (0 if live is None else live.data.ptr, T, B, n, t.group, one.reverse)
        structs.append((tuple(pack_options(one.rule, row, one.p, A, parameters)), *values, to))
    structs += structs[:2 - len(structs)]         # with one direction the kernel never reads the second
    packed = numpy.zeros((), _pair_dtype(task.way, row.fields, A))
    packed["each"] = structs
    grid, block, shared = (-(-B // t.group) * t.blocks, len(directions)), (t.threads, 1), count_shared_bytes(t, task)
    why = why_no_launch(CARDS[task.sm], grid, block, shared)
    if why:
        raise Error(_WHO, why, fix="please report it: choice.py should have chosen another path")
    _configure(kernel, t.blocks, shared)(grid, block, (as_bytes(packed),), shared_mem=shared)


def _configure(kernel: SequenceKernel, blocks: int, shared_bytes: int) -> Any:
    """The compiled kernel, permitted clusters of so many blocks and so much shared memory."""
    return permit(compile_kernel(kernel), blocks, shared_bytes)


def _pointer_to(name: str, a: Optional[Array]) -> int:
    if a is None:
        return 0
    if not a.flags.c_contiguous:
        raise Error(_WHO, f"{name} is not contiguous (strides {a.strides})", fix="please report it")
    return a.data.ptr
