"""Any function as a candidate, with the cell of rnnref that it should equal.

    candidate(x, ...) -> y  or  y, state          x [T, B, I], y [T, B, H], as in `run`
    backward(dy, dstate) -> {"x": dx, "W": dW, "h0": dh0 ...}

The function also gets `initial_state`, `lengths` and `p` if its signature has arguments of these names.
"""
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from inspect import Parameter, signature
from typing import Any

import numpy

from ..arrays import Array
from ..cell import find_missing
from ..errors import DtypeError, NotSupported, ShapeError, check_option, describe_type
from ..loops.run import run, run_back
from ..shapes import check_names
from ..tree import Tree, leaves, map_structure, unflatten
from ..wrappers.stack import Bidirectional, Stack
from .candidate import (AXIS_WORDS, GRADIENT, OUTPUT, STATE, ArrayDescription, Axis, Candidate, Chain, DirectedCell,
                        Direction, Evaluation, check_start, describe_start, draw_normal, is_option, make_array,
                        step_order)
from .onnx_engines import RefusalError
from .reference import run_rounded

_OPTIONAL_ARGUMENTS = ("initial_state", "lengths", "p")


def wrap_callable(function: Callable, x: Any, cell: Any, p: Tree, rng: numpy.random.Generator, lengths: Any = None,
                  initial_state: Any = "both", dtype: Any = None, backward: Callable | None = None,
                  reverse: bool = False, padding: str = "zero") -> "CallableCandidate":
    """The candidate of a function that should equal `cell` with the parameters `p`."""
    if cell is None or p is None:
        raise NotSupported("verify", f"{describe_type(function)} without reference= and p=",
                           fix="verify(function, x, reference=rnnref.cells.LSTM(), p=parameters)")
    if isinstance(cell, type) or find_missing(cell, "zeros", "units", "axes"):
        makes_cells = callable(cell) and hasattr(cell, "__name__")
        raise NotSupported("verify", f"reference={cell.__name__ if makes_cells else repr(cell)}",
                           reason="it is no cell with zeros, units and axes",
                           fix=f"{cell.__name__}(), not what makes one" if makes_cells else "rnnref.cells.LSTM()")
    arguments, name = _find_arguments(function), getattr(function, "__name__", type(function).__name__)
    accepts = tuple(arguments)
    if lengths is not None and "lengths" not in accepts:
        raise NotSupported("verify", f"lengths are given, and {name} does not accept them",
                           fix="give it an argument named `lengths`")
    p = p if dtype is None else map_structure(lambda a: a.astype(dtype), p)
    own = _find_common_dtype(p)
    x = make_array(x, rng, own)
    if x.dtype != own and dtype is None:
        raise DtypeError("verify", f"x has dtype {x.dtype}, expected {own} as the parameters have",
                         fix=f'verify(..., dtype="{own}") casts both')
    _check_fit(cell, p, x)
    zero = cell.zeros(x.shape[1], cell.units(p), dtype=own)
    first = _make_initial_state(zero, initial_state, "initial_state" in accepts, rng, name)
    states = {f"{path}0": a for path, a in leaves(first)}
    initial = tuple(states) if arguments.get("initial_state") and is_option(initial_state, "both") else ()
    arrays = {"x": x.astype(own), **states, **dict(leaves(p))}
    axes = dict(leaves(cell.axes()))
    carried = "" if len(list(leaves(zero))) > 1 else f"{next(path for path, _ in leaves(zero))}0"
    biases = tuple(n for n, a in axes.items() if a == "G" and n.rpartition(".")[2] in ("b", "bR"))
    return CallableCandidate(
        title=name, arrays=arrays, lengths=lengths, biases=biases, settable="p" in accepts, backwards=reverse,
        facts={"reference": cell.name}, initial=initial, start=describe_start(states, initial_state),
        function=function, backward=backward, cell=cell, p=p, zero=zero, reverse=reverse,
        padding=check_option("verify", "padding", padding, ("zero", "repeat", "free")), accepts=accepts,
        optional_state=arguments.get("initial_state", False),
        carried=carried, zero_carried=next(a for _, a in leaves(zero)))


def _find_arguments(function: Callable) -> dict[str, bool]:
    """Those of `_OPTIONAL_ARGUMENTS` that the function accepts: {name: whether it can be left out}."""
    try:
        parameters = signature(function).parameters
    except ValueError:                            # a builtin without a signature
        return {}
    anything = any(q.kind is Parameter.VAR_KEYWORD for q in parameters.values())
    return {name: name not in parameters or parameters[name].default is not Parameter.empty
            for name in _OPTIONAL_ARGUMENTS if anything or name in parameters}


def _find_common_dtype(p: Tree) -> numpy.dtype:
    found = {str(a.dtype): a.dtype for _, a in leaves(p)}
    if len(found) != 1:
        raise DtypeError("verify", f"the parameters have dtypes {', '.join(sorted(found))}, expected one",
                         fix='choose one: dtype="float32"')
    own = next(iter(found.values()))
    if own not in (numpy.float32, numpy.float64):
        raise DtypeError("verify", f"the parameters have dtype {own}, expected float32 or float64",
                         reason="in 16 bits rounding errors are as large as those of a wrong convention",
                         fix='dtype="float32"')
    return own


def _check_fit(cell: Any, p: Tree, x: Array) -> None:
    """Raise `ShapeError` if x is no sequence with as many inputs as the parameters have."""
    if x.ndim != 3:
        raise ShapeError("verify", f"x has shape {x.shape}, expected 3 axes", axes="time, batch, input")
    axes, known = dict(leaves(cell.axes())), dict(leaves(p))
    check_names("verify", "p", known, axes)
    name = next((n for n, words in axes.items() if "I" in words.split() and n in known), None)
    if name is None or len(axes[name].split()) != known[name].ndim:
        return
    n_in = known[name].shape[axes[name].split().index("I")]
    if x.shape[-1] != n_in:
        raise ShapeError("verify", f"x has shape {x.shape}, expected {n_in} inputs",
                         axes=f'x is "T B I" with I = {n_in} (from {name}, shape {known[name].shape})')


def _make_initial_state(zero: Tree, initial_state: Any, accepted: bool, rng: numpy.random.Generator, name: str) -> Tree:
    """The initial state in the structure of `zero`, or None for zeros."""
    if isinstance(initial_state, str):
        if check_start(initial_state) == "zero" or not accepted:
            return None
        return map_structure(lambda a: draw_normal(rng, a.shape, a.dtype, 0.5), zero)
    if not accepted:
        raise NotSupported("verify", f"initial_state is given, and {name} does not accept it",
                           fix="give it an argument named `initial_state`")
    state = tuple(initial_state) if isinstance(initial_state, list) else initial_state
    arrays = [numpy.asarray(a) for _, a in leaves(state)]
    shapes = [a.shape for _, a in leaves(zero)]
    if [a.shape for a in arrays] != shapes:
        raise ShapeError("verify", f"initial_state has shapes {[a.shape for a in arrays]}, expected {shapes}")
    return unflatten(zero, [a.astype(z.dtype) for a, (_, z) in zip(arrays, leaves(zero))])


@dataclass
class CallableCandidate(Candidate):
    """A function and the cell that it should equal."""
    function: Any = None
    backward: Any = None
    cell: Any = None
    p: Any = None
    zero: Any = None                              # the state of the cell, all zero
    reverse: bool = False
    padding: str = "zero"
    accepts: tuple = ()                           # the optional arguments of the function
    optional_state: bool = False                  # True if the function can be called without its initial state

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs: one for each direction."""
        return ("y.0", "y.1") if isinstance(self.cell, Bidirectional) else ("y",)

    @property
    def states(self) -> list[str]:
        """The names of the states."""
        return [path for path, _ in leaves(self.zero)]

    def _unflatten_arrays(self, arrays: dict[str, Array]) -> tuple[Tree, Tree]:
        """The initial state (or None) and the parameters, as trees."""
        states = [arrays.get(f"{path}0") for path in self.states]
        first = None if states[0] is None else unflatten(self.zero, states)
        return first, unflatten(self.p, [arrays[path] for path, _ in leaves(self.p)])

    def run_reference(self, arrays: dict[str, Array], **options: Any) -> Evaluation:
        first, p = self._unflatten_arrays(arrays)
        tape: Any                                 # never None: run keeps it
        ys, last, tape = run_rounded(self.cell, p, arrays["x"], first, lengths=self.lengths, reverse=self.reverse,
                                     padding=self.padding, **options)

        def back(d: dict[str, Array]) -> dict[str, Array]:
            dys = tuple(d[name] for name in self.outputs)
            dx, ds, _, dp = run_back(tape, dys if len(dys) > 1 else dys[0],
                                     unflatten(last, [d[path] for path in self.states]))
            found = {"dx": dx, **{f"d{path}": a for path, a in leaves(dp)}}
            return found | ({} if first is None else {f"d{path}0": a for path, a in leaves(ds)})
        return Evaluation(self._by_name(ys, last), back)

    def gate_values(self, arrays: dict[str, Array]) -> dict[str, Array]:
        first, p = self._unflatten_arrays(arrays)
        tape: Any
        _, _, tape = run(self.cell, p, arrays["x"][:1], first, paths=("plain", "bidirectional"), kernels=False)
        kept = getattr(getattr(tape.kept(0), "step", None), "rule", None)
        return {gate: getattr(kept, gate) for gate in getattr(self.cell, "gates", "") if hasattr(kept, gate)}

    def list_cells(self) -> list[DirectedCell]:
        found = list(_walk_cells(self.cell, self._unflatten_arrays(self.arrays)[1]))
        kinds = {(type(one.cell), type(getattr(one.cell, "rule", None))) for one in found}
        return found if len(kinds) == 1 and not any(hasattr(one.cell, "cells") for one in found) else []

    def replace_cells(self, cells: list[DirectedCell]) -> "CallableCandidate":
        cell, p = _rebuild_cell(self.cell, iter(cells))
        kept = {n: a for n, a in self.arrays.items() if n == self.x or n in {f"{path}0" for path in self.states}}
        return replace(self, cell=cell, p=p, arrays=kept | dict(leaves(p)))

    def list_directions(self, results: dict[str, Array]) -> list[Direction]:
        if not results.keys() >= set(self.outputs) or hasattr(self.cell, "cells") and len(self.outputs) < 2:
            return []
        first = self._unflatten_arrays(self.arrays)[0]
        states = ((),) * len(self.outputs) if first is None else first if len(self.outputs) > 1 else (first,)
        return [Direction(self.arrays["x"], results[name], tuple(s), self.reverse != bool(k))
                for k, (name, s) in enumerate(zip(self.outputs, states))]

    def describe_chain(self, results: dict[str, Array]) -> Chain | None:
        cells, paths = list(_walk_paths(self.cell)), self.states
        own = [[n for n in paths if n.rpartition(".")[0] == path] for path, _, _ in cells]
        if any(not names or names[0] not in results for names in own):
            return None
        first = [tuple(self.arrays[f"{n}0"] for n in names if f"{n}0" in self.arrays) for names in own]
        number = {path: k for k, (path, _, _) in enumerate(cells)}
        return Chain(self.arrays["x"], tuple((number[b],) if b is not None else () for _, b, _ in cells), first,
                     [results[names[0]] for names in own], [self.reverse != back for _, _, back in cells])

    def run_candidate(self, arrays: dict[str, Array]) -> Evaluation:
        first, p = self._unflatten_arrays(arrays)
        lengths = None if self.lengths is None else numpy.array(self.lengths)
        values = {"initial_state": first, "lengths": lengths, "p": p}
        omitted = ("initial_state",) if first is None and self.optional_state else ()
        x = arrays["x"]

        def given() -> dict[str, Array]:
            states = {} if first is None else {f"{path}0": a for path, a in leaves(first)}
            return {"x": x, **states, **dict(leaves(p)), **({} if lengths is None else {"lengths": lengths})}
        expected = tuple(given())
        returned = self.function(x, **{name: values[name] for name in self.accepts if name not in omitted})
        ys, last = self._split_results(returned)
        return Evaluation(self._by_name(ys, last), None if self.backward is None else self._run_backward, given,
                          expected)

    def _run_backward(self, d: dict[str, Array]) -> dict[str, Array]:
        """The candidate's gradients, by "d" + name."""
        dys = tuple(d[name] for name in self.outputs)
        dstate = unflatten(self.zero, [d[path] for path in self.states])
        gradients = self.backward(dys if len(dys) > 1 else dys[0], dstate)
        if not isinstance(gradients, dict) or not gradients:
            raise RefusalError(f"backward returned {'no gradients' if gradients == {} else describe_type(gradients)}, "
                               "expected a dict of gradients by name")
        known, found = self.descriptions, {}
        for name, a in gradients.items():
            own = next((n for n in (f"d{name}", name) if n in known), None)
            if own is None:
                raise RefusalError(f"backward returned a gradient of {name!r}, expected some of "
                                   f"{' '.join(n[1:] for n in known if n[0] == 'd')}")
            found[own] = numpy.asarray(a)
        return found

    def _split_results(self, returned: Any) -> tuple[Any, Any]:
        """(y, state) of what the function returned: y, (y, state), or (y, h, c)."""
        if not isinstance(returned, (tuple, list)):
            return returned, None
        if len(self.outputs) > 1 and len(returned) == 2 and _is_pair(returned):
            return returned, None
        return returned[0], tuple(returned[1:]) if len(returned) != 2 else returned[1]

    def _by_name(self, ys: Any, last: Any) -> dict[str, Array]:
        """Results by name; one array of both directions is split."""
        if len(self.outputs) > 1 and not isinstance(ys, (tuple, list)):
            ys = numpy.split(numpy.asarray(ys), 2, -1)
        found = {name: numpy.asarray(a) for name, a in zip(self.outputs, ys if len(self.outputs) > 1 else (ys,))}
        arrays = [a for _, a in leaves(tuple(last) if isinstance(last, list) else last)]
        if arrays and len(arrays) != len(self.states):
            raise RefusalError(f"the function returned a state of {len(arrays)} arrays, expected {len(self.states)}: "
                               f"{' '.join(self.states)}")
        return found | {path: numpy.asarray(a) for path, a in zip(self.states, arrays)}

    def describe_arrays(self) -> dict[str, ArrayDescription]:
        T, axes = self.size[0], (Axis("t"), Axis("row"))
        two, steps = len(self.outputs) > 1, {back: step_order(T, back)[:, None, None] for back in (False, True)}
        found = {name: ArrayDescription(OUTPUT, (*axes, Axis("unit")), steps[self.reverse != bool(k)])
                 for k, name in enumerate(self.outputs)}
        found["dx"] = ArrayDescription(GRADIENT, (*axes, Axis("input")), 0 if two else steps[not self.reverse])
        for path in self.states:
            ends = axes[1], Axis("unit")
            found |= {path: ArrayDescription(STATE, ends), f"d{path}0": ArrayDescription(GRADIENT, ends)}
        gates = {path: self._gates_of(path) for path, _ in leaves(self.p)}
        for path, words in leaves(self.cell.axes()):
            found[f"d{path}"] = ArrayDescription(GRADIENT, tuple(
                Axis("unit", gates[path], "gate") if w == "G" else Axis(AXIS_WORDS.get(w, w)) for w in words.split()))
        return found

    def _gates_of(self, path: str) -> tuple[str, ...]:
        """The gates of the cell that a parameter belongs to, if it has several."""
        cell, rest = self.cell, path
        while hasattr(cell, "cells"):
            n, _, rest = rest.partition(".")
            cell = cell.cells[int(n)]
        gates = tuple(getattr(cell, "gates", ""))
        return gates if len(gates) > 1 else ()


def _walk_cells(cell: Any, p: Tree, label: str = "") -> Iterator[DirectedCell]:
    """The cells in stacks and in two directions."""
    if type(cell) not in (Stack, Bidirectional):
        yield DirectedCell(cell, p, "", label)
        return
    names = ("forward", "backward") if type(cell) is Bidirectional else [f"layer {n}" for n in range(len(cell.cells))]
    for one, q, name in zip(cell.cells, p, names):
        yield from _walk_cells(one, q, f"{label}, {name}".removeprefix(", "))


def _walk_paths(cell: Any, path: str = "", below: str | None = None, backward: bool = False,
                ) -> Iterator[tuple[str, str | None, bool]]:
    """(path, the path of the cell below it, whether it reads backwards) of every cell; all are as in `_walk_cells`."""
    if type(cell) not in (Stack, Bidirectional):
        yield path, below, backward
        return
    for n, one in enumerate(cell.cells):
        found = list(_walk_paths(one, f"{path}.{n}".removeprefix("."), below,
                                 backward or type(cell) is Bidirectional and n == 1))
        yield from found
        below = found[-1][0] if type(cell) is Stack else below


def _rebuild_cell(cell: Any, rest: Iterator[DirectedCell]) -> tuple[Any, Tree]:
    """The same stacks and directions of other cells, and their parameters."""
    if type(cell) not in (Stack, Bidirectional):
        one = next(rest)
        return one.cell, one.p
    cells, p = zip(*(_rebuild_cell(one, rest) for one in cell.cells))
    return replace(cell, cells=cells), p


def _is_pair(returned: Any) -> bool:
    """True if both items are outputs [T, B, H] of one direction."""
    return all(hasattr(a, "ndim") and a.ndim == 3 for a in returned)
