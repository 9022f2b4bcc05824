"""Any function as a subject, beside the cell of ours that it should equal.

    candidate(x, ...) -> y  or  y, state          x [T, B, I], y [T, B, H], as `run` has them
    backward(dy, dstate) -> {"x": dx, "W": dW, "h0": dh0 ...}

The function is also given those of `initial_state`, `lengths` and `p` that its signature names.  (floor 10)
"""
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

import numpy

from ..errors import DtypeError, NotSupported, ShapeError, check_option
from ..loops.run import run, run_back
from ..tree import leaves, map_structure, unflatten
from ..wrappers.stack import Bidirectional
from .candidate import (AXIS_WORDS, GRADIENT, OUTPUT, STATE, ArrayDescription, Axis, Candidate, Evaluation, draw_normal,
                        step_order)
from .onnx_engines import RefusalError

_OPTIONAL_ARGUMENTS = ("initial_state", "lengths", "p")


def wrap_callable(function, x, cell, p, rng, lengths=None, initial_state="random", dtype=None, backward=None,
                     reverse=False, padding="zero"):
    """The subject of a function; `cell` and its parameters `p` say what it should compute."""
    if cell is None or p is None:
        raise NotSupported("verify", f"a {type(function).__name__} without reference= and p=",
                           fix="verify(function, x, reference=rnnref.cells.LSTM(), p=parameters)")
    takes, name = _find_accepted_arguments(function), getattr(function, "__name__", type(function).__name__)
    if lengths is not None and "lengths" not in takes:
        raise NotSupported("verify", f"lengths are given, and {name} takes none", fix="name an argument `lengths`")
    p = p if dtype is None else map_structure(lambda a: a.astype(dtype), p)
    kind = _find_common_dtype(p)
    x = draw_normal(rng, x, kind) if isinstance(x, tuple) and all(isinstance(n, int) for n in x) else numpy.asarray(x)
    if x.dtype != kind and dtype is None:
        raise DtypeError("verify", f"x has dtype {x.dtype}, expected {kind} as the parameters have",
                         fix=f'verify(..., dtype="{kind}") casts both')
    zero = cell.zeros(x.shape[1], cell.units(p), dtype=kind)
    first = _make_initial_state(zero, initial_state, "initial_state" in takes, rng, name)
    arrays = {"x": x.astype(kind), **{f"{path}0": a for path, a in leaves(first)}, **dict(leaves(p))}
    axes = dict(leaves(cell.axes()))
    biases = tuple(n for n, a in axes.items() if a == "G" and n.rpartition(".")[2] in ("b", "bR"))
    return CallableCandidate(
        title=f"{name} against {cell.name}", arrays=arrays, lengths=lengths, biases=biases, settable="p" in takes,
        backwards=reverse, function=function, backward=backward, cell=cell, p=p, zero=zero, reverse=reverse,
        padding=check_option("verify", "padding", padding, ("zero", "repeat", "free")), takes=takes)


def _find_accepted_arguments(function):
    """Those of `GIVEN` that the function has arguments for."""
    try:
        parameters = signature(function).parameters
    except ValueError:                            # a builtin: its arguments are not known
        return ()
    anything = any(q.kind is Parameter.VAR_KEYWORD for q in parameters.values())
    return tuple(name for name in _OPTIONAL_ARGUMENTS if anything or name in parameters)


def _find_common_dtype(p):
    found = {str(a.dtype): a.dtype for _, a in leaves(p)}
    if len(found) != 1:
        raise DtypeError("verify", f"the parameters have dtypes {', '.join(sorted(found))}, expected one",
                         fix='say which: dtype="float32"')
    return next(iter(found.values()))


def _make_initial_state(zero, initial_state, takes, rng, name):
    """The first state, or None for zero."""
    if isinstance(initial_state, str):
        check_option("verify", "initial_state", initial_state, ("random", "zero"))
        return map_structure(lambda a: draw_normal(rng, a.shape, a.dtype, 0.5), zero) if takes and initial_state == "random" else None
    if not takes:
        raise NotSupported("verify", f"initial_state is given, and {name} takes none",
                           fix="name an argument `initial_state`")
    arrays = [numpy.asarray(a) for _, a in leaves(tuple(initial_state) if isinstance(initial_state, list) else initial_state)]
    if [a.shape for a in arrays] != [a.shape for _, a in leaves(zero)]:
        raise ShapeError("verify", f"initial_state has shapes {[a.shape for a in arrays]}, expected "
                                   f"{[a.shape for _, a in leaves(zero)]}")
    return unflatten(zero, [a.astype(z.dtype) for a, (_, z) in zip(arrays, leaves(zero))])


@dataclass
class CallableCandidate(Candidate):
    function: Any = None
    backward: Any = None
    cell: Any = None
    p: Any = None
    zero: Any = None
    reverse: bool = False
    padding: str = "zero"
    takes: tuple = ()

    @property
    def outputs(self):
        return ("y.0", "y.1") if isinstance(self.cell, Bidirectional) else ("y",)

    @property
    def states(self):
        return [path for path, _ in leaves(self.zero)]

    def _unflatten_arrays(self, arrays):
        """The first state (or None) and the parameters, as trees."""
        starts = [arrays.get(f"{path}0") for path in self.states]
        first = None if starts[0] is None else unflatten(self.zero, starts)
        return first, unflatten(self.p, [arrays[path] for path, _ in leaves(self.p)])

    def run_reference(self, arrays, **choice):
        first, p = self._unflatten_arrays(arrays)
        ys, last, tape = run(self.cell, p, arrays["x"], first, lengths=self.lengths, reverse=self.reverse,
                             padding=self.padding, **choice)

        def back(d):
            dys = tuple(d[name] for name in self.outputs)
            dx, ds, _, dp = run_back(tape, dys if len(dys) > 1 else dys[0],
                                     unflatten(last, [d[path] for path in self.states]))
            found = {"dx": dx, **{f"d{path}": a for path, a in leaves(dp)}}
            return found | ({} if first is None else {f"d{path}0": a for path, a in leaves(ds)})
        return Evaluation(self._by_name(ys, last), back)

    def run_candidate(self, arrays):
        first, p = self._unflatten_arrays(arrays)
        values = {"initial_state": first, "lengths": self.lengths, "p": p}
        got = self.function(arrays["x"], **{name: values[name] for name in self.takes})
        ys, last = self._split_results(got)
        back = None if self.backward is None else self._run_backward
        return Evaluation(self._by_name(ys, last), back)

    def _run_backward(self, d):
        """The candidate's gradients, under our names."""
        dys = tuple(d[name] for name in self.outputs)
        got = self.backward(dys if len(dys) > 1 else dys[0], unflatten(self.zero, [d[path] for path in self.states]))
        places, found = self.describe_arrays(), {}
        for name, a in got.items():
            known = next((n for n in (f"d{name}", name) if n in places), None)
            if known is None:
                raise RefusalError(f"backward gives {name!r}; known are {' '.join(n[1:] for n in places if n[0] == 'd')}")
            found[known] = numpy.asarray(a)
        return found

    def _split_results(self, got):
        """y and the state, whatever was returned: y, (y, state), or (y, h, c)."""
        if not isinstance(got, (tuple, list)) or len(self.outputs) > 1 and len(got) == 2 and _is_pair(got):
            return got, None
        return got[0], tuple(got[1:]) if len(got) != 2 else got[1]

    def _by_name(self, ys, last):
        """Results by name; arrays of both directions in one are cut."""
        if len(self.outputs) > 1 and not isinstance(ys, (tuple, list)):
            ys = numpy.split(numpy.asarray(ys), 2, -1)
        each = ys if len(self.outputs) > 1 else (ys,)
        found = {name: numpy.asarray(a) for name, a in zip(self.outputs, each)}
        arrays = [a for _, a in leaves(tuple(last) if isinstance(last, list) else last)]
        if arrays and len(arrays) != len(self.states):
            raise RefusalError(f"a state of {len(arrays)} arrays came back, expected {len(self.states)}: "
                          f"{' '.join(self.states)}")
        return found | {path: numpy.asarray(a) for path, a in zip(self.states, arrays)}

    def describe_arrays(self):
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

    def _gates_of(self, path):
        """The gates of the cell that a parameter belongs to."""
        cell, rest = self.cell, path
        while hasattr(cell, "cells"):
            n, _, rest = rest.partition(".")
            cell = cell.cells[int(n)]
        gates = tuple(getattr(cell, "gates", ""))
        return gates if len(gates) > 1 else ()


def _is_pair(got):
    return all(hasattr(a, "ndim") and a.ndim == 3 for a in got)
