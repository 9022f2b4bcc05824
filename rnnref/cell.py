"""Cells: one timestep.  None of the equations are here.

A cell is a frozen dataclass of options.  It holds no arrays and no sizes: parameters come in a dict, the state in a
named tuple, and the sizes are read off them.
"""
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional, Protocol

import numpy

from .arrays import cast, namespace, upcast
from .elementwise import clip, dclip
from .errors import NotSupported, ShapeError
from .maps.dense import Dense, Map
from .shapes import ArraySpec, Size, check_floating, check_names, check_state, expect, infer_sizes, resolve_shape
from .tree import Tree, add, first_leaf, leaves, map_structure

State = Tree                                      # the state of a cell: a named tuple of arrays [B, ...], or a tree of them

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

    Both are pure.  `x` [B, I], `s` a named tuple of arrays [B, ...], `p` a dict of arrays, `extra` what belongs to the
    rows of the batch and is no sequence of inputs (masks, a memory to attend to).  x, y and s may be any tree of
    arrays [B, ...]: tuples, named tuples and dicts, as deep as need be.

    own_products: the matrix products in its own code, in words; "" where all are those of maps and cells that it holds.
    A math mode reaches maps alone, so a class that has products of its own, or is not of rnnref and does not declare
    it, is refused any mode but "fp32".
    """
    own_products: Optional[str] = None            # not inherited: a class declares it for its own code

    @property
    def name(self):
        return type(self).__name__

    def forward(self, p, x, s, extra=None):
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, p, kept, dy, dnew):
        raise NotSupported(type(self).__name__, "has no backward: it runs, but it cannot be trained",
                           fix="write backward(p, kept, dy, ds') -> dx, ds, dextra, dp")

    def prepare(self, p, extra=None):
        """What is done once before the loop: the parameters and the `extra` that forward takes, and what is kept."""
        return p, extra, None

    def prepare_backward(self, p, kept, dp, dextra):
        return dp, dextra

    def n_in(self, x):
        """What `shapes` takes for inputs like x: the width of every array in it, in its structure."""
        return map_structure(lambda a: a.shape[-1], x)

    def lead(self, rows):
        """The leading axes of the state, for an x whose axes but the last are `rows` (B, and those of space)."""
        return rows[0]

    def check(self, p, x, s, extra=None, lead="B"):
        """Raise a readable error if the arguments do not fit each other; returns the outline of the output."""
        if not isinstance(s, tuple) or not s or not hasattr(s[0], "shape"):
            return None
        while isinstance(x, (tuple, dict)) and not isinstance(x, ArraySpec):
            x = next(iter(x.values() if isinstance(x, dict) else x))           # the rows of all are those of the first
        rows = x.shape[:len(lead.split())]
        return ArraySpec((*rows, *s[0].shape[1:]), s[0].dtype, f"the output of {self.name}")


class Kept(NamedTuple):
    inputs: Any; step: Any


class TwoStage(Cell):
    """A cell whose map `inputs` does not wait for the state; a loop may do it for all steps at once.

    step(p, ax, s) -> y, s', kept;   step_back(p, kept, dy, ds') -> dax, ds, due;   step_p(p, due) -> dp.
    `due` is all that the parameter gradients wait for; `step_p` takes that of one step, or of all stacked.
    """
    inputs: Any
    rule: Any                                     # what names the gates and the state
    projection: Optional[int] = None              # units of h where it is not as wide as c

    def forward(self, p, x, s, extra=None):
        try:
            ax, kx = self.inputs.forward(p, x)
            y, new, kept = self.step(p, ax, s)
        except (ValueError, TypeError, KeyError, AttributeError):
            self.check(p, x, s, extra)            # says what does not fit, if that was the reason
            raise
        return y, new, Kept(kx, kept)

    def backward(self, p, k, dy, dnew):
        dax, ds, due = self.step_backward(p, k.step, dy, dnew)
        dp = self.step_backward_p(p, due) | self.inputs.backward_p(p, k.inputs, dax)
        return self.inputs.backward_x(p, k.inputs, dax), ds, None, dp

    def step(self, p, ax, s):
        raise NotImplementedError

    def step_backward(self, p, kept, dy, dnew):
        raise NotImplementedError

    def step_backward_p(self, p, deferred):
        raise NotImplementedError

    def axes(self):
        """The parameters and their axes: {"W": "I G", "R": "H G", "b": "G"}."""
        raise NotImplementedError

    @property
    def name(self):
        return self.rule.name

    @property
    def gates(self):
        return self.rule.gates

    def maps(self):
        return [m for m in vars(self).values() if isinstance(m, Map)]

    def prepare(self, p, extra=None):
        kept = []
        for m in self.maps():
            p, k = m.prepare(p)
            kept.append(k)
        return p, extra, kept

    def prepare_backward(self, p, kept, dp, dextra):
        for m, k in zip(self.maps(), kept):
            dp = m.prepare_backward(p, k, dp)
        return dp, dextra

    def sizes(self, n_in, units):
        G = len(self.gates)
        said = f"{G} gates {' '.join(self.gates)} x U" if G > 1 else ""
        inputs = {f"I{k}": Size(n) for k, n in enumerate(n_in)} if isinstance(n_in, tuple) else {"I": Size(n_in)}
        return inputs | {"H": Size(self.projection or units), "U": Size(units), "G": Size(G * units, said)}

    def shapes(self, n_in, units):
        """The shape of every parameter, for `n_in` inputs (a tuple where x is one) and so many units."""
        sizes = self.sizes(n_in, units)
        return {name: resolve_shape(axes, sizes) for name, axes in self.axes().items()}

    def width(self, units):
        """How wide the output is."""
        return self.projection or units

    def lead(self, rows):
        return (rows[0], *self.inputs.output_extent(rows[1:])) if self.inputs.space else rows[0]

    def zeros(self, batch, units, xp=numpy, dtype="float32"):
        """The state to start from.  `batch`: B, or (B, X, Y, ...) for states that have places in space."""
        dtype, width = numpy.dtype(dtype), self.sizes(0, units)
        batch = batch if isinstance(batch, tuple) else (batch,)
        held = {n: "float32" if n in self.rule.float32_fields and dtype.itemsize == 2 else dtype for n in self.rule.widths}
        return self.rule.State(**{n: xp.zeros((*batch, width[w].n), held[n]) for n, w in self.rule.widths.items()})

    def units(self, p):
        """The number of units that the parameters `p` are for, read off their gate blocks."""
        for name, axes in self.axes().items():
            if axes.split()[-1] == "G":
                return p[name].shape[-1] // len(self.gates)
        raise ShapeError(self.name, "no parameter tells the number of units: give a state")

    def input_axes(self):
        """Each map beside the axis that it takes."""
        yield self.inputs, "I"

    def check(self, p, x, s, extra=None, lead="B"):
        seen, rows, places, n_in = infer_sizes(self.name, x, lead, self.inputs)
        dtype = x.dtype if hasattr(x, "dtype") else first_leaf(x).dtype
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
        namespace(*(() if isinstance(x, ArraySpec) else (a for _, a in leaves(x))), *s, *p.values())    # on one side
        if extra is not None:
            raise NotSupported(who, f"extra={type(extra).__name__}(…): this cell takes none")
        return ArraySpec((*rows, *(sizes[n].n for n in places), sizes["H"].n), dtype, f"the output of {who}")


class KeptStep(NamedTuple):
    recurrent: Any; rule: Any


@dataclass(frozen=True)
class GatedCell(TwoStage):
    """y, s' = rule(inputs(x), recurrent(s[0]), s).  Maps compute in storage precision, rules in float32 at least."""
    inputs: Any
    recurrent: Any
    rule: Any

    def axes(self):
        return self.inputs.axes("I") | self.recurrent.axes("H", self.rule.recurrent_axis) | self.rule.axes()

    def input_axes(self):
        yield self.inputs, "I"
        yield self.recurrent, "H"

    def step(self, p, ax, s):
        ah, kh = self.recurrent.forward(p, s[0])
        y, new, kr = self.rule.forward(p, upcast(ax), upcast(ah), map_structure(upcast, s))
        return cast(y, ax), map_structure(cast, new, s), KeptStep(kh, kr)

    def step_backward(self, p, k, dy, dnew):
        dax, dah, (dh, *rest), dr = self.rule.backward(p, k.rule, upcast(dy), map_structure(upcast, dnew))
        dax, dah = cast(dax, dy), cast(dah, dy)
        dh = add(upcast(self.recurrent.backward_x(p, k.recurrent, dah)), dh)
        return dax, map_structure(cast, type(dnew)(dh, *rest), dnew), (k.recurrent, dah, dr)

    def step_backward_p(self, p, deferred):
        kh, dah, dr = deferred
        return self.recurrent.backward_p(p, kh, dah) | sum_to_parameters(p, dr)


def sum_to_parameters(p, dr):
    """A rule is pointwise and so are its parameter gradients: here they are summed to the shape of the parameter."""
    return {name: cast(d.sum(tuple(range(d.ndim - p[name].ndim))), p[name]) for name, d in dr.items()}


@dataclass(frozen=True)
class ProjectedCell(TwoStage):
    """The inner cell with its output projected to fewer units, which is then the h that recurs (Sak et al. 2014)."""
    cell: Any
    projection: int
    map: Any = Dense("P")
    clip: Optional[float] = None                  # limits the projected h; no gradient where it was clipped

    @property
    def inputs(self):
        return self.cell.inputs

    @property
    def rule(self):
        return self.cell.rule

    def axes(self):
        return self.cell.axes() | self.map.axes("U", "H")

    def maps(self):
        return [*self.cell.maps(), self.map]

    def input_axes(self):
        return self.cell.input_axes()

    def step(self, p, ax, s):
        full, new, k = self.cell.step(p, ax, s)
        y, km = self.map.forward(p, full)
        y = cast(clip(y, self.clip), y) if self.clip else y                  # NumPy gives float32 for bfloat16
        return y, type(s)(y, *new[1:]), (k, km, y if self.clip else None)

    def step_backward(self, p, kept, dy, dnew):
        k, km, clipped = kept
        dh = dy + dnew[0]
        dh = dclip(clipped, self.clip, dh) if self.clip else dh
        dfull = self.map.backward_x(p, km, dh)
        inner = type(dnew)(namespace(dh).zeros_like(dfull), *dnew[1:])
        dax, ds, due = self.cell.step_backward(p, k, dfull, inner)
        return dax, ds, (due, km, dh)

    def step_backward_p(self, p, deferred):
        inner, km, dh = deferred
        return self.cell.step_backward_p(p, inner) | self.map.backward_p(p, km, dh)


def vjp(cell, p, x, s, extra=None):
    """One checked step, and the function that takes gradients back through it.

    >>> import numpy as np, rnnref
    >>> cell = rnnref.cells.SimpleRNN()
    >>> p = {"W": np.ones((2, 1)), "R": np.ones((1, 1)), "b": np.zeros(1)}
    >>> (y, new), back = vjp(cell, p, np.array([[0.1, 0.2]]), cell.zeros(1, 1, dtype="float64"))
    >>> dx, ds, dextra, dp = back(np.ones((1, 1)), cell.zeros(1, 1, dtype="float64"))
    >>> bool(np.allclose(dx, 1 - np.tanh(0.3) ** 2))
    True
    """
    cell.check(p, x, s, extra)
    q, e, prepared = cell.prepare(p, extra)
    y, new, kept = cell.forward(q, x, s, e)

    def back(dy, dnew):
        dx, ds, de, dq = cell.backward(q, kept, dy, dnew)
        dp, de = cell.prepare_backward(p, prepared, dq, de)
        return dx, ds, de, dp
    return (y, new), back
