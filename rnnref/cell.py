"""Cells: one timestep, as a pair of pure functions.  The equations are in maps and rules.

A cell is a frozen dataclass of options.  It holds no arrays and no sizes: parameters are a dict, the state is a named
tuple, and the sizes are read off them.
"""
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache
from inspect import signature
from typing import Any, Callable, Collection, Iterator, NamedTuple, Optional, Protocol

import numpy

from .arrays import Array, cast, namespace, upcast
from .cache import memoize, memoize_check
from .elementwise import clip, dclip
from .errors import NotSupported, ShapeError, check_limit
from .maps.dense import Dense, Map
from .options import check_is_cell, keyword_options
from .shapes import (ArraySpec, Size, check_count, check_floating, check_input_fits, check_names, check_state, expect,
                     infer_sizes, resolve_shape)
from .tree import Tree, add, copy, first_leaf, leaves, map_structure

State = Tree                                      # of a cell: a named tuple of arrays [B, ...], or a tree of such
ALL = "x", "s", "extra", "p"                      # `wanted` of a way back that gives every gradient


class CellContract(Protocol):
    """What `run` and `vjp` need of a cell: `Cell` has all of it but forward and backward."""
    def forward(self, p: Tree, x: Tree, s: State, extra: Tree = None) -> tuple: ...
    def backward(self, p: Tree, kept: Any, dy: Tree, dnew: State) -> tuple: ...
    def prepare(self, p: Tree, extra: Tree = None) -> tuple: ...
    def prepare_backward(self, p: Tree, kept: Any, dp: Tree, dextra: Tree) -> tuple: ...
    def check(self, p: Tree, x: Tree, s: State, extra: Tree = None, lead: str = "B") -> Any: ...


class SizedCell(CellContract, Protocol):
    """A cell that declares its sizes: for first states and parameters that are not given, and for layers."""
    def axes(self) -> Any: ...
    def shapes(self, n_in: Any, units: Any) -> Any: ...
    def zeros(self, batch: Any, units: Any, xp: Any = numpy, dtype: Any = "float32") -> State: ...
    def units(self, p: Tree) -> Any: ...
    def width(self, units: Any) -> int: ...
    def lead(self, rows: tuple) -> Any: ...


def find_missing(cell: Any, *methods: str) -> list[str]:
    """Those of the methods of `SizedCell` that a cell does not have."""
    return [name for name in methods if not hasattr(cell, name)]


def name_of(cell: Any) -> str:
    """The name of a cell in errors and reports."""
    return getattr(cell, "name", type(cell).__name__)


class Cell:
    """forward(p, x, s, extra=None) -> y, s', kept;   backward(p, kept, dy, ds') -> dx, ds, dextra, dp.

    Both are pure.  `x` [B, I], `s` a named tuple of arrays [B, ...], `p` a dict of arrays, `extra` data of the rows of
    the batch that is no sequence of inputs (masks, a memory to attend to).  x, y and s may be any tree of arrays
    [B, ...]: tuples, named tuples and dicts, as deep as need be.

    own_products: matrix products in its own code, in words; "" where all are those of maps and cells that it holds.
    A math mode reaches maps alone, so a class that has products of its own, or is not of rnnref and does not declare
    it, is refused any mode but "fp32".

    A `backward` with the keyword `wanted`, a set of names of `ALL`, is told which gradients are asked for: it may
    return None for another one, and leave out the products that only that one needs.
    """
    own_products: Optional[str] = None            # not inherited: a class declares it for its own code

    @property
    def name(self) -> str:
        """The name of the cell in errors and reports."""
        return type(self).__name__

    def forward(self, p: Tree, x: Tree, s: State, extra: Tree = None) -> tuple[Tree, State, Any]:
        """One step: the output, the next state, and the intermediates that backward needs."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, p: Tree, kept: Any, dy: Tree, dnew: State) -> tuple[Tree, State, Tree, Tree]:
        """Back through one step: the gradients of x, s, extra and p."""
        raise NotSupported(type(self).__name__, "has no backward: it runs, but it cannot be trained",
                           fix="write backward(p, kept, dy, ds') -> dx, ds, dextra, dp")

    def prepare(self, p: Tree, extra: Tree = None) -> tuple[Tree, Tree, Any]:
        """Work done once before the loop: the parameters and the `extra` that forward takes, and what is kept of it."""
        return p, extra, None

    def prepare_backward(self, p: Tree, kept: Any, dp: Tree, dextra: Tree) -> tuple[Tree, Tree]:
        """Back through `prepare`: the gradients of its p and extra."""
        return dp, dextra

    def n_in(self, x: Tree) -> Any:
        """The argument `n_in` of `shapes` for inputs like x: the width of every array, in the structure of x."""
        return map_structure(lambda a: a.shape[-1], x)

    def lead(self, rows: tuple) -> Any:
        """The leading axes of the state, for an x whose axes but the last are `rows`: B, and those of space."""
        return rows[0]

    def check(self, p: Tree, x: Tree, s: State, extra: Tree = None, lead: str = "B") -> Optional[ArraySpec]:
        """Raise a readable error if the arguments do not fit each other; returns shape and dtype of the output."""
        if not isinstance(s, tuple) or not s or not hasattr(s[0], "shape"):
            return None
        while isinstance(x, (tuple, dict)) and not isinstance(x, ArraySpec):
            x = next(iter(x.values() if isinstance(x, dict) else x))           # all arrays of x have the same rows
        return ArraySpec((*x.shape[:len(lead.split())], *s[0].shape[1:]), s[0].dtype, f"the output of {self.name}")


class Kept(NamedTuple):
    """The intermediates of one step: those of the input map, and those of `step`."""
    inputs: Any; step: Any


class TwoStage(Cell):
    """A cell whose map `inputs` does not wait for the state, so that a loop may compute it for all steps at once.

    step(p, ax, s) -> y, s', kept
    step_backward(p, kept, dy, ds') -> dax, ds, deferred
    step_backward_p(p, deferred) -> dp
    `deferred` holds all that the parameter gradients need; `step_backward_p` takes that of one step, or of all stacked.
    """
    inputs: Any
    rule: Any                                     # names the gates and the state
    projection: Optional[int] = None              # units of h where it is not as wide as c

    def forward(self, p: Tree, x: Tree, s: State, extra: Tree = None) -> tuple[Tree, State, Any]:
        try:
            ax, kx = self.inputs.forward(p, x)
            y, new, kept = self.step(p, ax, s)
        except (ValueError, TypeError, KeyError, AttributeError):
            self.check(p, x, s, extra)            # explains arguments that do not fit, if that was the reason
            raise
        return y, new, Kept(kx, kept)

    def backward(self, p: Tree, k: Any, dy: Tree, dnew: State, wanted: Collection[str] = ALL
                 ) -> tuple[Tree, State, Tree, Tree]:
        dax, ds, deferred = self.step_backward(p, k.step, dy, dnew)
        dp = self.all_backward_p(p, k.inputs, dax, deferred, wanted)
        return self.input_backward_x(p, k.inputs, dax, wanted), ds, None, dp

    def input_backward_x(self, p: Tree, kx: Any, dax: Tree, wanted: Collection[str] = ALL) -> Tree:
        """The gradient of x, of one step or of all stacked; None unless "x" is wanted."""
        return self.inputs.backward_x(p, kx, dax) if "x" in wanted else None

    def all_backward_p(self, p: Tree, kx: Any, dax: Tree, deferred: Any, wanted: Collection[str] = ALL) -> Tree:
        """The gradients of all parameters, of one step or of all stacked; None unless "p" is wanted."""
        return self.step_backward_p(p, deferred) | self.inputs.backward_p(p, kx, dax) if "p" in wanted else None

    def step(self, p: Tree, ax: Tree, s: State) -> tuple[Array, State, Any]:
        """One step after the input map: ax = inputs.forward(p, x)."""
        raise NotImplementedError

    def step_backward(self, p: Tree, kept: Any, dy: Array, dnew: State) -> tuple[Tree, State, Any]:
        """Back through `step`, without the gradients of parameters."""
        raise NotImplementedError

    def step_backward_p(self, p: Tree, deferred: Any) -> Tree:
        """The gradients of the parameters that `step` reads."""
        raise NotImplementedError

    def axes(self) -> dict[str, str]:
        """The parameters and their axes: {"W": "I G", "R": "H G", "b": "G"}."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        return self.rule.name

    @property
    def gates(self) -> Any:
        """The letters of the gates, in the order of their blocks."""
        return self.rule.gates

    def maps(self) -> list:
        """The maps that the cell holds."""
        return [m for m in vars(self).values() if isinstance(m, Map)]

    def prepare(self, p: Tree, extra: Tree = None) -> tuple[Tree, Tree, Any]:
        kept = []
        for m in (m for m in self.maps() if type(m).prepare is not Map.prepare):        # Map's own does nothing
            p, k = m.prepare(p)
            kept.append((m, k))
        return p, extra, kept

    def prepare_backward(self, p: Tree, kept: Any, dp: Tree, dextra: Tree) -> tuple[Tree, Tree]:
        for m, k in kept:
            dp = m.prepare_backward(p, k, dp)
        return dp, dextra

    @memoize(1024)
    def sizes(self, n_in: Any, units: int) -> dict[str, Size]:
        """The length of every axis letter, for `n_in` inputs, or a tuple of such, and these units.  Only to be read."""
        G = len(self.gates)
        origin = f"{G} gates {' '.join(self.gates)} x U" if G > 1 else ""
        inputs = {f"I{k}": Size(n) for k, n in enumerate(n_in)} if isinstance(n_in, tuple) else {"I": Size(n_in)}
        return inputs | {"H": Size(self.projection or units), "U": Size(units), "G": Size(G * units, origin)}

    def shapes(self, n_in: Any, units: int) -> dict[str, tuple]:
        """The shape of every parameter, for `n_in` inputs (a tuple where x is one) and this number of units."""
        sizes = self.sizes(n_in, units)
        return {name: resolve_shape(axes, sizes) for name, axes in self.axes().items()}

    def width(self, units: int) -> int:
        """The width of the output."""
        return self.projection or units

    def lead(self, rows: tuple) -> Any:
        if not rows:
            raise ShapeError(self.name, "x has no axis for the batch", axes='x is "T B I": time comes first',
                             fix="x[:, None] for a batch of one")
        return (rows[0], *self.inputs.output_extent(rows[1:])) if self.inputs.space else rows[0]

    def zeros(self, batch: Any, units: int, xp: Any = numpy, dtype: Any = "float32") -> State:
        """The zero state.  `batch`: B, or (B, X, Y, ...) for states that have axes of space."""
        check_count(self.name, "units", units, 1)
        dtype, axes, size = numpy.dtype(dtype), self.rule.widths.items(), self.sizes(0, units)
        batch = batch if isinstance(batch, tuple) else (batch,)
        for n in batch:
            check_count(self.name, "batch", n)
        wide = self.rule.float32_fields if dtype.itemsize == 2 else ()
        return self.rule.State(**{n: xp.zeros((*batch, size[a].n), "float32" if n in wide else dtype) for n, a in axes})

    def units(self, p: Tree) -> int:
        """The number of units of the parameters `p`, read off their gate blocks."""
        for name, axes in self.axes().items():
            if axes.split()[-1] == "G":
                return p[name].shape[-1] // len(self.gates)
        raise ShapeError(self.name, "no parameter tells the number of units: give a state")

    def input_axes(self) -> Iterator[tuple[Any, str]]:
        """Each map, and the axis letter of its input."""
        yield self.inputs, "I"

    @memoize_check(4096)
    def check(self, p: Tree, x: Tree, s: State, extra: Tree = None, lead: str = "B") -> ArraySpec:
        seen, rows, places, n_in = infer_sizes(self.name, x, lead, self.inputs)
        dtype = x.dtype if hasattr(x, "dtype") else first_leaf(x).dtype
        check_input_fits(self, p, x, seen, dtype)
        U = check_state(self, s, dtype, places)
        known = self.sizes(n_in, U.n)
        sizes = seen | {"U": U, "G": known["G"], "H": Size(self.projection, "the projection") if self.projection else U}
        who, axes = f"{self.name}(units={U.n})", self.axes()
        for (field, width), a in zip(self.rule.widths.items(), s):
            expect(who, f"state.{field}", a, " ".join(["B", *places, width]), sizes)
        for m, axis in self.input_axes():
            m.check_sizes(who, axis, sizes)
        check_names(who, "parameters", p, axes)
        for n, a in p.items():
            check_floating(who, n, a, dtype)
            expect(who, n, a, axes[n], sizes)
        namespace(*(() if isinstance(x, ArraySpec) else (a for _, a in leaves(x))), *s, *p.values())    # on one device
        if extra is not None:
            raise NotSupported(who, f"extra={type(extra).__name__}(…): this cell takes none")
        return ArraySpec((*rows, *(sizes[n].n for n in places), sizes["H"].n), dtype, f"the output of {who}")


class KeptStep(NamedTuple):
    """The intermediates of `GatedCell.step`: those of the recurrent map, and those of the rule."""
    recurrent: Any; rule: Any


@dataclass(frozen=True)
class GatedCell(TwoStage):
    """y, s' = rule(inputs(x), recurrent(s[0]), s).  Maps compute in storage precision, rules in float32 at least."""
    inputs: Any
    recurrent: Any
    rule: Any

    def __repr__(self) -> str:                    # what differs from the defaults: "LSTM(peepholes=True)"
        o = {n: m for n, m in vars(self).items() if m not in (Dense("W", "b"), Dense("R"), Dense("R", "bR"), self.rule)}
        return self.rule.describe(o)

    def axes(self) -> dict[str, str]:
        return self.inputs.axes("I") | self.recurrent.axes("H", self.rule.recurrent_axis) | self.rule.axes()

    def input_axes(self) -> Iterator[tuple[Any, str]]:
        yield self.inputs, "I"
        yield self.recurrent, "H"

    def step(self, p: Tree, ax: Tree, s: State) -> tuple[Array, State, Any]:
        ah, kh = self.recurrent.forward(p, s[0])
        y, new, kr = self.rule.forward(p, upcast(ax), upcast(ah), type(s)(*map(upcast, s)))
        return cast(y, ax), type(s)(*map(cast, new, s)), KeptStep(kh, kr)

    def step_backward(self, p: Tree, k: Any, dy: Array, dnew: State) -> tuple[Tree, State, Any]:
        dax, dah, (dh, *rest), dr = self.rule.backward(p, k.rule, upcast(dy), map_structure(upcast, dnew))
        dax, dah = cast(dax, dy), cast(dah, dy)
        dh = add(upcast(self.recurrent.backward_x(p, k.recurrent, dah)), dh)
        return dax, map_structure(cast, type(dnew)(dh, *rest), dnew), (k.recurrent, dah, dr)

    def step_backward_p(self, p: Tree, deferred: Any) -> Tree:
        kh, dah, dr = deferred
        return self.recurrent.backward_p(p, kh, dah) | sum_to_parameters(p, dr)


def sum_to_parameters(p: Tree, dr: dict) -> dict:
    """Sum the parameter gradients of a rule, which it gives for every unit, row and step, to the shapes of p."""
    return {name: cast(d.sum(tuple(range(d.ndim - p[name].ndim))), p[name]) for name, d in dr.items()}


@keyword_options()
@dataclass(frozen=True)
class ProjectedCell(TwoStage):
    """A cell whose output is projected to fewer units, and recurs as h (Sak et al. 2014)."""
    cell: Any
    _: KW_ONLY
    projection: int
    map: Any = Dense("P")
    clip: Optional[float] = None                  # limits the projected h; no gradient where it was clipped

    def __post_init__(self) -> None:
        check_limit(name_of(self.cell), "projection_clip", self.clip)

    @property
    def inputs(self) -> Any:
        return self.cell.inputs

    @property
    def rule(self) -> Any:
        return self.cell.rule

    def axes(self) -> dict[str, str]:
        return self.cell.axes() | self.map.axes("U", "H")

    def maps(self) -> list:
        return [*self.cell.maps(), self.map]

    def input_axes(self) -> Iterator[tuple[Any, str]]:
        return self.cell.input_axes()

    def step(self, p: Tree, ax: Tree, s: State) -> tuple[Array, State, Any]:
        full, new, k = self.cell.step(p, ax, s)
        y, km = self.map.forward(p, full)
        if self.clip is None:
            return y, type(s)(y, *new[1:]), (k, km, None)
        y = cast(clip(y, self.clip), y)           # NumPy gives float32 for bfloat16
        return y, type(s)(y, *new[1:]), (k, km, y)

    def step_backward(self, p: Tree, kept: Any, dy: Array, dnew: State) -> tuple[Tree, State, Any]:
        k, km, clipped = kept
        dh = dy + dnew[0]
        dh = dh if self.clip is None else dclip(clipped, self.clip, dh)
        dfull = self.map.backward_x(p, km, dh)
        inner = type(dnew)(namespace(dh).zeros_like(dfull), *dnew[1:])
        dax, ds, deferred = self.cell.step_backward(p, k, dfull, inner)
        return dax, ds, (deferred, km, dh)

    def step_backward_p(self, p: Tree, deferred: Any) -> Tree:
        inner, km, dh = deferred
        return self.cell.step_backward_p(p, inner) | self.map.backward_p(p, km, dh)


def vjp(cell: CellContract, p: Tree, x: Tree, s: State, extra: Tree = None) -> tuple[tuple[Tree, State], Callable]:
    """One step with its arguments checked, and the function that takes gradients back through it.

    >>> import numpy as np, rnnref
    >>> cell = rnnref.cells.SimpleRNN()
    >>> p = {"W": np.ones((2, 1)), "R": np.ones((1, 1)), "b": np.zeros(1)}
    >>> (y, new), back = vjp(cell, p, np.array([[0.1, 0.2]]), cell.zeros(1, 1, dtype="float64"))
    >>> dx, ds, dextra, dp = back(np.ones((1, 1)), cell.zeros(1, 1, dtype="float64"))
    >>> bool(np.allclose(dx, 1 - np.tanh(0.3) ** 2))
    True
    """
    check_is_cell("vjp", cell)
    cell.check(p, x, s, extra)
    p, x, s, extra = map(copy, (p, x, s, extra))
    q, e, prepared = cell.prepare(p, extra)
    y, new, kept = cell.forward(q, x, s, e)

    def back(dy: Tree, dnew: State, wanted: Collection[str] = ALL) -> tuple[Tree, State, Tree, Tree]:
        inner = needed_inside(wanted, extra)
        dx, ds, de, dq = step_back(cell, q, kept, dy, dnew, inner)
        dp, de = cell.prepare_backward(p, prepared, dq, de) if "p" in inner else (None, None)
        return leave_out((dx, ds, de, dp), wanted)
    return (copy(y), copy(new)), back


def step_back(cell: CellContract, p: Tree, kept: Any, dy: Tree, dnew: State, wanted: Collection[str] = ALL) -> tuple:
    """`cell.backward`, with `wanted` if it takes that; gradients that are not wanted may be None."""
    if len(wanted) < len(ALL) and _takes_wanted(type(cell)):
        return cell.backward(p, kept, dy, dnew, wanted=wanted)                 # type: ignore[call-arg]
    return cell.backward(p, kept, dy, dnew)


@lru_cache(None)
def _takes_wanted(cls: Any) -> bool:
    return "wanted" in signature(cls.backward).parameters


def needed_inside(wanted: Collection[str], extra: Tree) -> Collection[str]:
    """What a loop must compute for these gradients: `prepare_backward` makes those of p and `extra` of one another."""
    both = {"p", "extra"}
    return wanted if extra is None or both.isdisjoint(wanted) else both.union(wanted)


def leave_out(gradients: tuple, wanted: Collection[str]) -> tuple:
    """(dx, ds, dextra, dp) with None for each that is not wanted."""
    return tuple(d if name in wanted else None for name, d in zip(ALL, gradients))
