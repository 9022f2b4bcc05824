"""Linear maps of vectors.  `kept` of a map has the leading axes of x, so one call serves a step or all of them."""
from dataclasses import dataclass
from typing import Optional

from ..arrays import as_matrix, cast
from ..errors import ShapeError


class Map:
    """forward(p, x) -> a, kept;  backward_x(p, kept, da) -> dx;  backward_p(p, kept, da) -> dp."""
    space = 0                                     # how many axes of space x has, between its rows and its last axis
    n_items = 0                                   # how many arrays x is a tuple of; 0: it is one array
    own_products: Optional[str] = None              # see `Cell`; every class says it for itself

    def axes(self, i, o="G"):
        """The parameters it reads and their axes, for an input axis `i` and an output axis `o`."""
        raise NotImplementedError

    def output_extent(self, extent):
        """The space of the result, for an x of that space."""
        return extent

    def check_sizes(self, who, i, sizes, o="G"):
        """Raise unless it can take an axis `i` of these sizes: what the shapes of its parameters do not say."""

    def prepare(self, p):
        """What can be done to the parameters once, before the loop: q, and what the way back needs."""
        return p, None

    def prepare_backward(self, p, kept, dq):
        return dq


def add_bias(a, b):
    """a + b, in the place of `a`, which is new: a second array for all steps takes longer than to write over one."""
    if a.dtype != b.dtype:                        # the sum is wider
        return a + b
    a += b
    return a


@dataclass(frozen=True)
class Dense(Map):
    """a = x W (+ b), for the parameters of these names."""
    W: str
    b: Optional[str] = None
    own_products = "x W"

    def axes(self, i, o="G"):
        return {self.W: f"{i} {o}"} | ({self.b: o} if self.b else {})

    def forward(self, p, x):
        a = cast(x @ p[self.W], x)                # NumPy gives float32 for bfloat16
        return (add_bias(a, p[self.b]) if self.b else a), x

    def backward_x(self, p, x, da):
        return cast(da @ p[self.W].T, da)

    def backward_p(self, p, x, da):
        return {self.W: as_matrix(x).T @ as_matrix(da)} | ({self.b: as_matrix(da).sum(0)} if self.b else {})


@dataclass(frozen=True)
class Diagonal(Map):
    """a = [h r_1, h r_2, ...], entry by entry: each unit sees only its own past."""
    R: str

    def axes(self, i, o="G"):
        return {self.R: o}

    def check_sizes(self, who, i, sizes, o="G"):
        if sizes[i].n != sizes["U"].n:
            raise ShapeError(who, f"{self.R} holds a number for each unit, and {sizes[i].n} meet {sizes['U'].n} units")

    def forward(self, p, h):
        a = h[..., None, :] * self._blocks(p, h)
        return a.reshape(*h.shape[:-1], p[self.R].shape[0]), h

    def backward_x(self, p, h, da):
        return (self._split(p, da, h) * self._blocks(p, h)).sum(-2)

    def backward_p(self, p, h, da):
        return {self.R: as_matrix((self._split(p, da, h) * h[..., None, :]).reshape(da.shape)).sum(0)}

    def _blocks(self, p, h):                       # [blocks, U]
        return p[self.R].reshape(p[self.R].shape[0] // h.shape[-1], h.shape[-1])

    def _split(self, p, da, h):                   # [..., G] -> [..., blocks, U]
        return da.reshape(*da.shape[:-1], *self._blocks(p, h).shape)


@dataclass(frozen=True)
class Grouped(Map):
    """Units in `groups`, each of which sees its own part of x: W [groups, I / groups, G / groups].

    The columns of a group are its part of each of the gate blocks.  What comes out has whole blocks, as Dense gives.
    """
    W: str
    b: Optional[str] = None
    groups: int = 1
    blocks: int = 1
    own_products = "x W"

    def axes(self, i, o="G"):
        return {self.W: f"{self.groups} {i}/{self.groups} {o}/{self.groups}"} | ({self.b: o} if self.b else {})

    def check_sizes(self, who, i, sizes, o="G"):
        for axis in (i, "U"):
            if sizes[axis].n % self.groups:
                raise ShapeError(who, f"{sizes[axis].n} {'units' if axis == 'U' else 'inputs'} cannot be cut into "
                                      f"{self.groups} groups", axes=f"{axis} = {sizes[axis].n}")

    def forward(self, p, x):
        n, i, g = p[self.W].shape
        parts = x.reshape(*x.shape[:-1], n, 1, i) @ p[self.W]
        a = cast(self.merge_groups(parts.reshape(*x.shape[:-1], n, g)), x)
        return (add_bias(a, p[self.b]) if self.b else a), x

    def backward_x(self, p, x, da):
        return cast((self.split_groups(da)[..., None, :] @ p[self.W].swapaxes(-1, -2)).reshape(x.shape), da)

    def backward_p(self, p, x, da):
        n, i, _ = p[self.W].shape
        x = as_matrix(x)
        dW = x.reshape(len(x), n, i).transpose(1, 2, 0) @ self.split_groups(as_matrix(da)).swapaxes(0, 1)
        return {self.W: dW} | ({self.b: as_matrix(da).sum(0)} if self.b else {})

    def merge_groups(self, a):                           # [..., groups, G / groups] -> [..., G], block by block
        *lead, n, g = a.shape
        return a.reshape(*lead, n, self.blocks, g // self.blocks).swapaxes(-3, -2).reshape(*lead, n * g)

    def split_groups(self, da):                         # and back
        *lead, G = da.shape
        n = self.groups
        return da.reshape(*lead, self.blocks, n, G // n // self.blocks).swapaxes(-3, -2).reshape(*lead, n, G // n)


@dataclass(frozen=True)
class Zero(Map):
    """a = 0: the rule sees the state itself, and no product of it."""

    def axes(self, i, o="G"):
        return {}

    def forward(self, p, h):
        return 0, None

    def backward_x(self, p, kept, da):
        return None

    def backward_p(self, p, kept, da):
        return {}
