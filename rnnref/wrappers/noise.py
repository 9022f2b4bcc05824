"""Noise whose randomness is data: masks are drawn by the layer, or taken from another framework to compare."""
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import ShapeError
from ..shapes import Size, expect, floating
from ..tree import Each
from .wrapper import Wrapper


class Masks(NamedTuple):
    """`extra` of a Dropout.  Each mask holds 0 or 1 / keep; None masks nothing.  They get no gradient."""
    x: Any = None                                 # [B, I]
    h: Any = None                                 # [B, H]   on the h that recurs
    y: Any = None                                 # [B, H]   on the output
    cell: Any = None                              # what the inner cell takes as its extra


class Kept(NamedTuple):
    masks: Any; cell: Any


@dataclass(frozen=True)
class Dropout(Wrapper):
    """The cell on x m_x and h m_h, its output times m_y (Srivastava et al. 2014).

    A bare mask is the same at every step (Gal & Ghahramani 2016), `Each(mask)` [T, B, ...] a new one at every step.
    """
    cell: Any

    def forward(self, p, x, s, extra=None):
        m = extra or Masks()
        y, new, k = self.cell.forward(p, times(x, m.x), masked(s, m.h), m.cell)
        return times(y, m.y), new, Kept(m, k)

    def backward(self, p, k, dy, dnew):
        m = k.masks
        dx, ds, dextra, dp = self.cell.backward(p, k.cell, times(dy, m.y), dnew)
        return times(dx, m.x), masked(ds, m.h), Masks(cell=dextra), dp

    def prepare(self, p, extra=None):
        m = extra or Masks()
        q, inner, kept = self.cell.prepare(p, m.cell)
        return q, m._replace(cell=inner), kept

    def prepare_back(self, p, kept, dp, dextra):
        dp, inner = self.cell.prepare_back(p, kept, dp, dextra.cell if dextra else None)
        return dp, Masks(cell=inner)

    def check(self, p, x, s, extra=None, lead="B"):
        if extra is not None and not isinstance(extra, Masks):
            raise ShapeError(self.name, f"extra is a {type(extra).__name__}, expected Masks(x, h, y, cell)")
        m = extra or Masks()
        y = self.cell.check(p, x, s, m.cell, lead)
        for field, like in (("x", x), ("h", s[0]), ("y", y)):
            mask = getattr(m, field)
            if mask is None:
                continue
            a, axes = (mask.steps, f"{lead} N") if isinstance(mask, Each) else (mask, "B N")
            floating(self.name, f"extra.{field}", a, x.dtype)
            expect(self.name, f"extra.{field}", a, axes, dict(zip(lead.split(), map(Size, x.shape)))
                   | {"N": Size(like.shape[-1], "as wide as what it masks")})
        return y


def times(a, mask):
    return a if mask is None else a * mask


def masked(s, mask):                              # only what recurs: c is never dropped
    return type(s)(times(s[0], mask), *s[1:])
