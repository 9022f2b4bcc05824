"""How far rounding alone moves the results of a cell: measured by companion runs beside one in float64.

The truth is the plain code in float64.  Companions compute the same in the arithmetic in question, in two orders of
operations and on inputs and weights that are perturbed by up to half a unit in the last place of the operands of
products.  What they lose on this very case, times a stated factor, is what a right engine may lose.  A recurrence that
makes rounding grow until it is as large as the values is chaotic: there no tolerance tells a right engine from a wrong
one, and none is given.
"""
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..errors import Error, InvalidType, NotSupported, ShapeError, describe_type
from ..init import parameters
from ..loops.run import run, run_back
from ..options import check_is_cell, check_seed
from ..tree import Tree, leaves, map_structure, unflatten
from .candidate import is_shape

FACTOR = 3.0                                      # a right engine may lose this much more than the companions do
_COMPANIONS = 6                                   # perturbed runs, beside one in each order of operations
_ORDERS = ({"paths": ("plain", "bidirectional"), "kernels": False},
           {"paths": ("hoisted", "plain", "bidirectional"), "kernels": False})
_LEAST = 4.0                                      # units in the last place of the arithmetic that sums
_SHARE = 0.1                                      # of the largest gradient: small ones are no more precise than that


class ChaosError(Error, ArithmeticError):
    """Rounding grows as large as the values: no tolerance is given.  `step` is the first step at which it does."""
    step: int


class _Arithmetic(NamedTuple):
    """How products and all else are computed."""
    dtype: str                                    # of sums, gates and states
    unit: float                                   # the unit in the last place of the operands of products
    round: Callable | None = None                 # the operands of products, rounded; None: as they are
    useful: float = 1e-3                          # companions that err by more of the largest entry: chaos


def _keep_bits(dropped: int) -> Callable[[Array], Array]:
    """A function that rounds float32 to nearest, ties to even, without its last `dropped` bits."""
    half, mask = numpy.uint32((1 << dropped - 1) - 1), numpy.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)

    def round_operand(a: Array) -> Array:
        bits = numpy.ascontiguousarray(a).view(numpy.uint32)
        return ((bits + half + (bits >> numpy.uint32(dropped) & numpy.uint32(1))) & mask).view(numpy.float32)
    return round_operand


def _to_half(a: Array) -> Array:
    with numpy.errstate(over="ignore"):
        return a.astype("float16").astype("float32")


_ARITHMETICS = {
    "float64": _Arithmetic("float64", 2.0 ** -52),
    "float32": _Arithmetic("float32", 2.0 ** -23),
    "tf32": _Arithmetic("float32", 2.0 ** -10, _keep_bits(13), 0.03),
    "float16": _Arithmetic("float32", 2.0 ** -10, _to_half, 0.03),
    "bfloat16": _Arithmetic("float32", 2.0 ** -7, _keep_bits(16), 0.2),
}
_MODES = {"fp32": "float32", "tf32": "tf32", "fp16": "float16", "bf16": "bfloat16"}         # as `run` names them


class _Operand(numpy.ndarray):
    """An array that is rounded wherever it is multiplied as a matrix, and nowhere else."""
    round: Any = None

    def __array_finalize__(self, source: Any) -> None:
        self.round = getattr(source, "round", None)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        product = ufunc is numpy.matmul
        plain = [numpy.asarray(a) if isinstance(a, _Operand) else a for a in inputs]
        if product:
            plain = [self.round(a) if isinstance(a, numpy.ndarray) and a.dtype == numpy.float32 else a for a in plain]
        if "out" in options:
            options["out"] = tuple(numpy.asarray(a) if isinstance(a, _Operand) else a for a in options["out"])
        result = getattr(ufunc, method)(*plain, **options)
        return map_structure(self._mark, result) if isinstance(result, tuple) else self._mark(result)

    def _mark(self, a: Any) -> Any:
        if not isinstance(a, numpy.ndarray):
            return a
        marked = a.view(_Operand)
        marked.round = self.round
        return marked


@dataclass(frozen=True)
class Tolerance:
    """How far each result of a right engine may be from the truth, on this very case.

    arithmetic   "float32", "tf32", ...
    output       the largest error of an output at any step, absolute; also `float(tolerance)`
    by_name      {"y", "h", "c": absolute; "dx", "dW", "dh0": relative to the largest entry of the array}
    by_step      [T]: the largest error of an output up to each step, in the order of computation
    truth        {name: array}, in float64
    """
    arithmetic: str
    by_name: Mapping[str, float]
    by_step: Array = field(repr=False)
    truth: Mapping[str, Array] = field(repr=False)

    @property
    def output(self) -> float:
        return max(size for name, size in self.by_name.items() if name.partition(".")[0] == "y")

    def __float__(self) -> float:
        return self.output

    def __str__(self) -> str:
        gradients = [size for name, size in self.by_name.items() if name[0] == "d"]
        back = f", gradients {max(gradients):.1e} of their largest entry" if gradients else ""
        return f"{self.arithmetic}: outputs {self.output:.1e}{back}"

    def allows(self, name: str, got: Array) -> bool:
        """Whether an array is as near to the truth as rounding leaves it."""
        if name not in self.truth:
            raise NotSupported("is_rounding", f"an array {name!r}", known=" ".join(self.truth))
        got, want = numpy.asarray(got, "float64"), self.truth[name]
        if got.shape != want.shape:
            raise ShapeError("is_rounding", f"{name} has shape {got.shape}, expected {want.shape}")
        scale = abs(want).max(initial=0.0) if name[0] == "d" else 1.0
        return bool((abs(got - want) <= self.by_name[name] * (scale or 1.0)).all())


def tolerance(dtype: Any, cell: Any, x: Any, p: Tree = None, initial_state: Tree = None, *, mode: str | None = None,
              units: int = 0, dy: Tree = None, dstate: Tree = None, gradients: bool = True, factor: float = FACTOR,
              seed: int = 0, **options: Any) -> Tolerance:
    """How far the results of a right engine may be from the truth: a `Tolerance`, measured on this very case.

    dtype           "float32" or "float64"
    mode            "tf32", "fp16" or "bf16": float32 with operands of matrix products that are rounded so; sums, gates
                    and states are float32.  It may be given as dtype too, as "float16" and "bfloat16" may
    cell, x, p      as for `rnnref.run`: x [T, B, I], or its shape for normally distributed numbers; without p the
                    parameters are drawn for `units` units, uniform in +-1 / sqrt(units)
    dy, dstate      gradients of the outputs and the last state; random ones without them
    gradients       False: outputs and states only
    factor          how much more than the companion runs a right engine may lose
    options         lengths, mask, reverse, padding, extra: as for `rnnref.run`
    Errors          ChaosError: rounding becomes as large as the values, from its `step` on

    Measured on stock weights, in float32 between 8e-8 and 3e-7 in outputs (T from 10 to 1000, H from 32 to 512); an
    engine with a wrong convention is off by 0.025 or more.

    >>> import numpy as np, rnnref
    >>> cell = rnnref.cells.GRU()
    >>> p = rnnref.init.parameters(cell, 8, 16, np.random.default_rng(0), scheme="torch")
    >>> x = np.random.default_rng(1).normal(size=(20, 4, 8))
    >>> 1e-7 < tolerance("float32", cell, x, p).output < 2e-6
    True
    >>> 1e-4 < tolerance("float32", cell, x, p, mode="tf32").output < 5e-3
    True
    >>> wild = p | {"R": 40 * p["R"]}
    >>> tolerance("float32", cell, np.ones((100, 4, 8)), wild)
    Traceback (most recent call last):
    rnnref.check.rounding.ChaosError: tolerance: rounding grows to ... at step ... of 100, where outputs are ...
    """
    check_is_cell("tolerance", cell, "prepare")
    name, rng = _name_arithmetic(dtype, mode), numpy.random.default_rng(check_seed("tolerance", seed))
    chosen = _ARITHMETICS[name]
    x = rng.standard_normal(x) if is_shape(x) else x
    _check_inputs(x)
    if p is None:
        p = parameters(cell, cell.n_in(x), _check_units(units), rng, "float64", scheme="torch")
    if initial_state is not None:                 # a tuple or a list will do
        initial_state = unflatten(cell.zeros(1, 1), [a for _, a in leaves(_to_tuple(initial_state))])
    case = _Case(cell, chosen, options, *(map_structure(lambda a: numpy.asarray(a).astype(chosen.dtype), tree)
                                          for tree in (p, x, initial_state)))
    cotangents = _draw_cotangents(case, rng, dy, dstate) if gradients else None
    truth = case.compute(case.arrays, cotangents, "float64")
    companions = [*(case.compute(case.arrays, cotangents, chosen.dtype, order) for order in _ORDERS),
                  *(case.compute(case.perturb(rng), cotangents, chosen.dtype) for _ in range(_COMPANIONS))]
    by_name, by_step = _measure(case, truth, companions, factor)
    return Tolerance(name, by_name, by_step, truth)


def _check_inputs(x: Tree) -> None:
    """Raise if x holds anything but finite numbers, or none."""
    given: list[tuple[str, Any]] = [("", x)] if x is None else list(leaves(x))
    for name, a in given:
        what = f"x{f' {name}' * bool(name)}"
        if not hasattr(a, "shape") or a.dtype.kind not in "fiub":
            raise InvalidType("tolerance", f"{what} is {describe_type(a)}, expected an array of numbers or its shape")
        if not a.size or not bool(numpy.isfinite(a).all()):
            raise ShapeError("tolerance", f"{what} {'holds NaN or infinities' if a.size else f'has shape {a.shape}'}",
                             hint="rounding is measured on numbers that are there and finite")


def is_rounding(got: Any, dtype: Any, cell: Any, x: Any, p: Tree, initial_state: Tree = None, **options: Any,
                ) -> bool:
    """Whether results differ from the truth by no more than rounding does on this very case.

    got       the outputs y of an engine, or {"y": ..., "h": ..., "dW": ...} by the names of `Tolerance.by_name`;
              gradients need the `dy` and `dstate` that they were computed from
    others    as of `tolerance`
    Errors    ChaosError: there is no tolerance; ShapeError, NotSupported: an array that the cell does not have

    >>> import numpy as np, rnnref
    >>> cell = rnnref.cells.LSTM()
    >>> p = rnnref.init.parameters(cell, 3, 8, np.random.default_rng(0), scheme="torch")
    >>> x = np.random.default_rng(1).normal(size=(10, 2, 3)).astype("float32")
    >>> y, _, _ = rnnref.run(cell, p, x)
    >>> is_rounding(y, "float32", cell, x, p), is_rounding(y + np.float32(1e-4), "float32", cell, x, p)
    (True, False)
    >>> is_rounding(y + np.float32(1e-4), "float32", cell, x, p, mode="bf16")
    True
    """
    named = dict(got) if isinstance(got, Mapping) else {"y": got}
    wanted = [name for name in named if name[0] == "d"]
    if wanted and options.get("dy") is None and options.get("dstate") is None:
        raise InvalidType("is_rounding", f"{' '.join(wanted)} without dy= and dstate=",
                          fix="give the gradients that they were computed from")
    allowed = tolerance(dtype, cell, x, p, initial_state, **options | {"gradients": bool(wanted)})
    return all(allowed.allows(name, a) for name, a in named.items())


def _name_arithmetic(dtype: Any, mode: str | None) -> str:
    """The name of an arithmetic in `_ARITHMETICS`."""
    try:
        own = dtype if isinstance(dtype, str) else numpy.dtype(dtype).name
    except TypeError:
        own = repr(dtype)
    name = _MODES.get(own, own)
    if name not in _ARITHMETICS:
        raise NotSupported("tolerance", f"dtype={dtype!r}", known=", ".join(map(repr, _ARITHMETICS)))
    if mode is None:
        return name
    if mode not in (*_MODES, *_ARITHMETICS) or mode == "float64":
        raise NotSupported("tolerance", f"mode={mode!r}", known=", ".join(map(repr, _MODES)))
    if name != "float32":
        raise NotSupported("tolerance", f"mode={mode!r} with dtype={dtype!r}", reason="a mode is one of float32",
                           fix='dtype="float32"')
    return _MODES.get(mode, mode)


def _to_tuple(state: Any) -> Any:
    return tuple(state) if isinstance(state, list) else state


def _check_units(units: int) -> int:
    if not units:
        raise InvalidType("tolerance", "neither p= nor units= is given", fix="give p, or units=8")
    return units


class _Case(NamedTuple):
    """One call of `run`, with its arrays in the dtype of an arithmetic."""
    cell: Any
    arithmetic: _Arithmetic
    options: dict
    p: Tree
    x: Tree
    s: Tree

    @property
    def arrays(self) -> tuple[Tree, Tree, Tree]:
        return self.p, self.x, self.s

    def perturb(self, rng: numpy.random.Generator) -> tuple[Tree, Tree, Tree]:
        """The arrays, each number changed by up to half a unit in the last place of the operands of products."""
        half = self.arithmetic.unit / 2

        def move(a: Array) -> Array:
            return (a * (1 + half * rng.uniform(-1, 1, a.shape))).astype(a.dtype)
        return tuple(map_structure(move, tree) for tree in self.arrays)

    def compute(self, arrays: tuple[Tree, Tree, Tree], cotangents: Any, dtype: str, order: dict = _ORDERS[0],
                ) -> dict[str, Array]:
        """Outputs, states and gradients by name."""
        p, x, s = (map_structure(lambda a: self._prepare(a, dtype), tree) for tree in arrays)
        ys, new, tape = run(self.cell, p, x, s, keep=cotangents is not None, **order | self.options)
        found = _by_name("y", ys) | _by_name("", new)
        if cotangents is not None:
            dys, ds = (map_structure(lambda a: self._prepare(a, dtype), tree) for tree in cotangents)
            dx, ds0, _, dp = run_back(tape, dys, ds)
            found |= _by_name("dx", dx) | {f"d{name}": a for name, a in _by_name("", dp).items()}
            found |= {f"d{name}0": a for name, a in _by_name("", ds0).items()} if s is not None else {}
        return {name: numpy.asarray(a) for name, a in found.items()}

    def _prepare(self, a: Array, dtype: str) -> Array:
        """An array in a dtype; rounded in products if the arithmetic asks for it and this is no truth."""
        a = a.astype(dtype)
        if self.arithmetic.round is None or dtype == "float64":
            return a
        a = a.view(_Operand)
        a.round = self.arithmetic.round
        return a


def _by_name(name: str, tree: Tree) -> dict[str, Array]:
    return {".".join(filter(None, (name, path))): a for path, a in leaves(tree)}


def _draw_cotangents(case: _Case, rng: numpy.random.Generator, dy: Tree, dstate: Tree) -> tuple[Tree, Tree]:
    """Gradients of outputs and last states: as given, zeros for one that is missing; random if both are."""
    ys, new, _ = run(case.cell, *case.arrays, keep=False, **_ORDERS[0] | case.options)
    if dy is None and dstate is None:
        dy, dstate = (map_structure(lambda a: rng.standard_normal(a.shape), tree) for tree in (ys, new))
    dys, ds = (map_structure(numpy.zeros_like, like) if d is None else
               unflatten(like, [numpy.asarray(a) for _, a in leaves(d)]) for d, like in ((dy, ys), (dstate, new)))
    return map_structure(lambda a: a.astype(case.arithmetic.dtype), (dys, ds))


def _measure(case: _Case, truth: dict[str, Array], companions: list[dict[str, Array]], factor: float,
             ) -> tuple[dict[str, float], Array]:
    """(by_name, by_step) of a `Tolerance`; raise `ChaosError` where companions err as much as the values are large."""
    eps = float(numpy.finfo(case.arithmetic.dtype).eps)
    errors = {name: numpy.max([_error(one[name], a) for one in companions], axis=0) for name, a in truth.items()}
    outputs = [name for name in truth if name.partition(".")[0] == "y"]
    steps = numpy.max([_by_step(case, name, errors[name]) for name in outputs], axis=0)
    largest = max(1e-30, *(float(abs(truth[name]).max(initial=0.0)) for name in outputs))
    _refuse_chaos(case, steps, largest)
    overall = max((float(abs(a).max(initial=0.0)) for name, a in truth.items() if name[0] == "d"), default=0.0)
    by_name = {}
    for name, a in truth.items():
        size, gradient = float(abs(a).max(initial=0.0)), name[0] == "d"
        least = _LEAST * eps * (max(size, _SHARE * overall) if gradient else max(1.0, size))
        allowed = max(factor * float(errors[name].max(initial=0.0)), least)
        by_name[name] = allowed / (size or 1.0) if gradient else allowed
    return by_name, numpy.maximum(factor * steps, _LEAST * eps * max(1.0, largest))


def _error(a: Array, truth: Array) -> Array:
    with numpy.errstate(invalid="ignore", over="ignore"):
        error = abs(a.astype("float64") - truth)
    return numpy.where(numpy.isnan(error), numpy.inf, error)


def _by_step(case: _Case, name: str, error: Array) -> Array:
    """[T]: the largest error up to each step, in the order in which this direction computes them."""
    largest = error.reshape(len(error), -1).max(1, initial=0.0)
    backwards = bool(case.options.get("reverse")) != (name == "y.1")
    return numpy.maximum.accumulate(largest[::-1] if backwards else largest)


def _refuse_chaos(case: _Case, steps: Array, largest: float) -> None:
    beyond = numpy.flatnonzero(~(steps <= case.arithmetic.useful * largest))
    if not len(beyond):
        return
    error = ChaosError(
        "tolerance", f"rounding grows to {steps[beyond[0]]:.1e} at step {beyond[0]} of {len(steps)}, where outputs are "
        f"at most {largest:.2g}: past that no tolerance tells a right engine from a wrong one",
        reason="the recurrence is chaotic, or its weights are too large for this arithmetic",
        fix=f"compare the first {beyond[0]} steps, or compute in a wider arithmetic" if beyond[0] else
        "compute in a wider arithmetic")
    error.step = int(beyond[0])
    raise error
