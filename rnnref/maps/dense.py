"""Linear maps of vectors: dense, diagonal, grouped, zero.

The results and `kept` have the leading axes of x, so one call serves a step or a whole sequence.
"""
from dataclasses import dataclass
from typing import Any, Optional

import numpy

from ..arrays import Array, as_matrix, cast
from ..errors import InvalidValue, ShapeError
from ..tree import Tree


class Map:
    """Base class of a linear map, a triple of pure functions.

        forward(p, x) -> a, kept;   backward_x(p, kept, da) -> dx;   backward_p(p, kept, da) -> dp

    p is the dict of all parameters of a cell, of which a map reads those whose names it holds.
    """
    space = 0                                     # number of axes of space in x, between the rows and the last axis
    n_items = 0                                   # number of arrays in x if it is a tuple; 0: x is one array
    own_products: Optional[str] = None            # see `Cell`

    def axes(self, i: str, o: str = "G") -> dict[str, str]:
        """Names and axes of its parameters, for an input axis `i` and an output axis `o`."""
        raise NotImplementedError

    def output_extent(self, extent: tuple) -> tuple:
        """The sizes of the axes of space of the result, from those of x."""
        return extent

    def check_sizes(self, who: str, i: str, sizes: dict, o: str = "G") -> None:
        """Raise if an axis `i` of these sizes does not suit the map, where the shapes of parameters cannot show it."""

    def prepare(self, p: Tree) -> tuple[Tree, Any]:
        """Work on the parameters that is done once, before the loop: the parameters for forward, and what is kept."""
        return p, None

    def prepare_backward(self, p: Tree, kept: Any, dq: Tree) -> Tree:
        """Back through `prepare`: the gradients of its p."""
        return dq


def add_bias(a: Array, b: Array) -> Array:
    """a + b, written into `a`, which no other code holds: a second array for all steps would cost time."""
    if a.dtype != b.dtype:                        # the sum has the wider dtype
        return a + b
    a += b
    return a


def multiply_rows(x: Array, W: Array) -> Array:
    """x [..., I] times W [I, G] as one product: NumPy alone makes one for each index of all axes but the last two."""
    return x @ W if x.ndim < 3 else (as_matrix(x) @ W).reshape(*x.shape[:-1], W.shape[-1])


@dataclass(frozen=True)
class Dense(Map):
    """A dense layer: a = x W (+ b), where W and b are the names of the parameters."""
    W: str
    b: Optional[str] = None
    own_products = "x W"

    def axes(self, i: str, o: str = "G") -> dict[str, str]:
        return {self.W: f"{i} {o}"} | ({self.b: o} if self.b else {})

    def forward(self, p: Tree, x: Array) -> tuple[Array, Any]:
        a = cast(self.multiply(x, p[self.W]), x)  # NumPy gives float32 for bfloat16
        return (add_bias(a, p[self.b]) if self.b else a), x

    def backward_x(self, p: Tree, x: Array, da: Array) -> Array:
        return cast(self.multiply(da, p[self.W].T), da)

    def backward_p(self, p: Tree, x: Array, da: Array) -> Tree:
        return {self.W: as_matrix(x).T @ as_matrix(da)} | ({self.b: as_matrix(da).sum(0)} if self.b else {})

    def multiply(self, x: Array, W: Array) -> Array:
        """x W, or da times the transposed W."""
        return multiply_rows(x, W)


@dataclass(frozen=True)
class Reservoir(Dense):
    """A dense layer from the units to the units, drawn sparse and with a given spectral radius (Jaeger 2001).

    connectivity      which part of the units each unit sees; at least one
    spectral_radius   the largest absolute eigenvalue of W as it is drawn
    """
    connectivity: float = 0.1
    spectral_radius: float = 0.9
    own_products = "x W"

    def __post_init__(self) -> None:
        if not 0 < self.connectivity <= 1:
            raise InvalidValue("ESN", f"connectivity={self.connectivity}, expected a number above 0 and up to 1")
        if not 0 <= self.spectral_radius < float("inf"):
            raise InvalidValue("ESN", f"spectral_radius={self.spectral_radius}, expected 0 or more",
                               hint="below 1 the network forgets its first state")

    def draw(self, rng: Any, shape: tuple) -> Array:
        """W for this number of units: normal where a unit sees another, 0 elsewhere, and scaled."""
        units = shape[0]
        n = max(1, round(self.connectivity * units))                          # every unit sees one: there is a cycle
        W = numpy.zeros(shape)
        for k in range(units):
            W[rng.choice(units, n, replace=False), k] = rng.normal(size=n)
        return W * (self.spectral_radius / abs(numpy.linalg.eigvals(W)).max())


def input_map(bias: bool = True) -> Dense:
    """The map of x in most cells: x W (+ b)."""
    return Dense("W", "b" if bias else None)


def recurrent_map(bias: bool = False) -> Dense:
    """The map of h in most cells: h R (+ bR)."""
    return Dense("R", "bR" if bias else None)


@dataclass(frozen=True)
class Diagonal(Map):
    """A diagonal matrix for each gate block, a = [h * r_1, h * r_2, ...]: each unit sees only its own past."""
    R: str

    def axes(self, i: str, o: str = "G") -> dict[str, str]:
        return {self.R: o}

    def check_sizes(self, who: str, i: str, sizes: dict, o: str = "G") -> None:
        if sizes[i].n != sizes["U"].n:
            raise ShapeError(who, f"{sizes[i].n} inputs and {sizes['U'].n} units, expected equal numbers: {self.R} has "
                                  "one for each unit")

    def forward(self, p: Tree, h: Array) -> tuple[Array, Any]:
        a = h[..., None, :] * self._blocks(p, h)
        return a.reshape(*h.shape[:-1], p[self.R].shape[0]), h

    def backward_x(self, p: Tree, h: Array, da: Array) -> Array:
        return (self._split(p, da, h) * self._blocks(p, h)).sum(-2)

    def backward_p(self, p: Tree, h: Array, da: Array) -> Tree:
        return {self.R: as_matrix((self._split(p, da, h) * h[..., None, :]).reshape(da.shape)).sum(0)}

    def _blocks(self, p: Tree, h: Array) -> Array:                       # [blocks, U]
        return p[self.R].reshape(p[self.R].shape[0] // h.shape[-1], h.shape[-1])

    def _split(self, p: Tree, da: Array, h: Array) -> Array:                   # [..., G] -> [..., blocks, U]
        return da.reshape(*da.shape[:-1], *self._blocks(p, h).shape)


@dataclass(frozen=True)
class Grouped(Map):
    """A dense layer in groups of units, each of which sees its own part of x: W [groups, I / groups, G / groups].

    The columns of a group are its part of each of the `blocks` gate blocks; the result has whole gate blocks, as that
    of Dense has.
    """
    W: str
    b: Optional[str] = None
    groups: int = 1
    blocks: int = 1
    own_products = "x W"

    def axes(self, i: str, o: str = "G") -> dict[str, str]:
        return {self.W: f"{self.groups} {i}/{self.groups} {o}/{self.groups}"} | ({self.b: o} if self.b else {})

    def check_sizes(self, who: str, i: str, sizes: dict, o: str = "G") -> None:
        for axis in (i, "U"):
            if sizes[axis].n % self.groups:
                raise ShapeError(who, f"{sizes[axis].n} {'units' if axis == 'U' else 'inputs'} cannot be split into "
                                      f"{self.groups} groups", axes=f"{axis} = {sizes[axis].n}")

    def forward(self, p: Tree, x: Array) -> tuple[Array, Any]:
        n, i, g = p[self.W].shape
        rows = as_matrix(x)
        parts = rows.reshape(len(rows), n, i).swapaxes(0, 1) @ p[self.W]       # one product for each group
        a = cast(self.merge_groups(parts.swapaxes(0, 1)), x).reshape(*x.shape[:-1], n * g)
        return (add_bias(a, p[self.b]) if self.b else a), x

    def backward_x(self, p: Tree, x: Array, da: Array) -> Array:
        parts = self.split_groups(as_matrix(da)).swapaxes(0, 1) @ p[self.W].swapaxes(1, 2)
        return cast(parts.swapaxes(0, 1).reshape(x.shape), da)

    def backward_p(self, p: Tree, x: Array, da: Array) -> Tree:
        n, i, _ = p[self.W].shape
        x = as_matrix(x)
        dW = x.reshape(len(x), n, i).transpose(1, 2, 0) @ self.split_groups(as_matrix(da)).swapaxes(0, 1)
        return {self.W: dW} | ({self.b: as_matrix(da).sum(0)} if self.b else {})

    def merge_groups(self, a: Array) -> Array:
        """[..., groups, G / groups] -> [..., G] in gate blocks."""
        *lead, n, g = a.shape
        return a.reshape(*lead, n, self.blocks, g // self.blocks).swapaxes(-3, -2).reshape(*lead, n * g)

    def split_groups(self, da: Array) -> Array:
        """The inverse of merge_groups."""
        *lead, G = da.shape
        n = self.groups
        return da.reshape(*lead, self.blocks, n, G // n // self.blocks).swapaxes(-3, -2).reshape(*lead, n, G // n)


@dataclass(frozen=True)
class Zero(Map):
    """No product with the state, a = 0: the rule itself sees the state."""

    def axes(self, i: str, o: str = "G") -> dict[str, str]:
        return {}

    def forward(self, p: Tree, h: Array) -> tuple[Any, Any]:
        return 0, None

    def backward_x(self, p: Tree, kept: Any, da: Array) -> None:
        return None

    def backward_p(self, p: Tree, kept: Any, da: Array) -> Tree:
        return {}
