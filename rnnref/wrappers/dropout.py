"""Noise whose randomness is data: masks are drawn by the layer, or taken from another framework to compare."""
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import ShapeError
from ..options import keyword_options
from ..shapes import ArraySpec, Size, check_floating, expect
from ..tree import PerStep, add, first_leaf, tuple_like, zeros_like
from .base import Wrapper


class Masks(NamedTuple):
    """`extra` of a Dropout.  Each mask holds 0 or 1 / keep; None masks nothing.  They get no gradient."""
    x: Any = None                                 # [B, I]
    h: Any = None                                 # [B, H]   on the h that recurs
    y: Any = None                                 # [B, H]   on the output
    cell: Any = None                              # what the inner cell takes as its extra
    s: Any = None                                 # a tree as the state, of masks or None: on the state after the step


class Kept(NamedTuple):
    masks: Any; cell: Any


@keyword_options()
@dataclass(frozen=True)
class Dropout(Wrapper):
    """The cell on x m_x and h m_h, its output times m_y (Srivastava et al. 2014).

    A bare mask is the same at every step (Gal & Ghahramani 2016), `Each(mask)` [T, B, ...] a new one at every step.
    TF 1 DropoutWrapper masks the state after the step, not before: `s`, which the output of the step does not see.
    """
    cell: Any

    def forward(self, p, x, s, extra=None):
        m = extra or Masks()
        y, new, k = self.cell.forward(p, multiply_mask(x, m.x), _mask_h(s, m.h), m.cell)
        return multiply_mask(y, m.y), multiply_mask(new, m.s), Kept(m, k)

    def backward(self, p, k, dy, dnew):
        m = k.masks
        dx, ds, dextra, dp = self.cell.backward(p, k.cell, multiply_mask(dy, m.y), multiply_mask(dnew, m.s))
        return multiply_mask(dx, m.x), _mask_h(ds, m.h), Masks(cell=dextra), dp

    def prepare(self, p, extra=None):
        m = extra or Masks()
        q, inner, kept = self.cell.prepare(p, m.cell)
        return q, m._replace(cell=inner), kept

    def prepare_backward(self, p, kept, dp, dextra):
        dp, inner = self.cell.prepare_backward(p, kept, dp, dextra.cell if dextra else None)
        return dp, Masks(cell=inner)

    def check(self, p, x, s, extra=None, lead="B"):
        if extra is not None and not isinstance(extra, Masks):
            raise ShapeError(self.name, f"extra is a {type(extra).__name__}, expected Masks(x, h, y, cell, s)")
        m = extra or Masks()
        y = self.cell.check(p, x, s, m.cell, lead)
        for what, mask, like in (("x", m.x, x), ("h", m.h, s[0]), ("y", m.y, y), ("s", m.s, s)):
            _check_masks(self.name, f"extra.{what}", mask, like, lead, x)
        return y


def _check_masks(who, name, mask, like, lead, x):
    """Raise unless a mask, or a tree of masks, is as wide as what it masks, in as many rows as x and in its dtype."""
    if isinstance(mask, tuple):
        if not isinstance(like, tuple) or len(mask) != len(like):
            raise ShapeError(who, f"{name} is a tuple of {len(mask)}, expected masks for a {type(like).__name__}")
        for n, (part, a) in enumerate(zip(mask, like)):
            _check_masks(who, f"{name}.{getattr(like, '_fields', range(len(like)))[n]}", part, a, lead, x)
    elif mask is not None:
        a, axes = (mask.steps, f"{lead} N") if isinstance(mask, PerStep) else (mask, "B N")
        x = x if isinstance(x, ArraySpec) else first_leaf(x)
        check_floating(who, name, a, x.dtype)           # not that of what it masks: c may be wide
        rows = dict(zip(lead.split(), map(Size, x.shape)))
        expect(who, name, a, axes, rows | {"N": Size(like.shape[-1], "as wide as what it masks")})


def multiply_mask(a, mask):
    """`a` times its mask; of a tree every leaf that has one."""
    if mask is None:
        return a
    if isinstance(a, tuple):
        return tuple_like(a, map(multiply_mask, a, mask))
    return a * mask


def _mask_h(s, mask):                              # only what recurs: c is never dropped
    return s if mask is None else type(s)(s[0] * mask, *s[1:])


@keyword_options()
@dataclass(frozen=True)
class Zoneout(Wrapper):
    """Some units keep their old state: s' = m s + (1 - m) s'_cell, and the output is the new h (Krueger et al. 2017).

    Shapes        `extra` is Zones(s, cell): `s` a tree as the state, whose leaves are masks [B, H],
                  `Each(mask)` [T, B, H] or None; 1 keeps the old state, and a number between (the rate, when nothing
                  is drawn) blends
    Same as       haste's zoneout, which masks h and not c
    Errors        ShapeError: masks that do not fit, and a cell whose output is not its h

    >>> import numpy as np, rnnref
    >>> cell = Zoneout(rnnref.cells.SimpleRNN(activation="linear"))
    >>> p, s = {"W": np.ones((1, 1)), "R": np.zeros((1, 1)), "b": np.zeros(1)}, cell.zeros(1, 1, dtype="float64")
    >>> float(cell.forward(p, np.full((1, 1), 8.0), s, ZoneoutMasks(type(s)(np.full((1, 1), 0.25))))[0][0, 0])
    6.0
    """
    cell: Any

    def forward(self, p, x, s, extra=None):
        m = extra or ZoneoutMasks()
        y, new, k = self.cell.forward(p, x, s, m.cell)
        new = _blend(m.s, s, new)
        return new[0] if m.s is not None else y, new, Kept(m, k)

    def backward(self, p, k, dy, dnew):
        m = k.masks
        if m.s is None:
            dx, ds, dextra, dp = self.cell.backward(p, k.cell, dy, dnew)
            return dx, ds, ZoneoutMasks(cell=dextra), dp
        dnew = type(dnew)(dnew[0] + dy, *dnew[1:])
        dx, ds, dextra, dp = self.cell.backward(p, k.cell, zeros_like(dy), _blend(m.s, zeros_like(dnew), dnew))
        return dx, add(ds, _blend(m.s, dnew, zeros_like(dnew))), ZoneoutMasks(cell=dextra), dp

    def prepare(self, p, extra=None):
        m = extra or ZoneoutMasks()
        q, inner, kept = self.cell.prepare(p, m.cell)
        return q, m._replace(cell=inner), kept

    def prepare_backward(self, p, kept, dp, dextra):
        dp, inner = self.cell.prepare_backward(p, kept, dp, dextra.cell if dextra else None)
        return dp, ZoneoutMasks(cell=inner)

    def check(self, p, x, s, extra=None, lead="B"):
        if extra is not None and not isinstance(extra, ZoneoutMasks):
            raise ShapeError(self.name, f"extra is a {type(extra).__name__}, expected Zones(s, cell)")
        m = extra or ZoneoutMasks()
        y = self.cell.check(p, x, s, m.cell, lead)
        if m.s is not None and (y is None or y.shape[-1] != s[0].shape[-1]):
            raise ShapeError(self.name, "the output of the cell is not its h")
        _check_masks(self.name, "extra.s", m.s, s, lead, x)
        return y


class ZoneoutMasks(NamedTuple):
    """`extra` of a Zoneout."""
    s: Any = None
    cell: Any = None


def _blend(mask, old, new):
    """`old` where the mask is 1, `new` where it is 0; all of `new` where there is no mask."""
    if mask is None:
        return new
    if isinstance(new, tuple):
        return tuple_like(new, map(_blend, mask, old, new))
    return mask * old + (1 - mask) * new
