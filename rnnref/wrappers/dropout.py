"""Dropout and zoneout by given masks, which a layer draws, or which come from another framework."""
from dataclasses import dataclass
from typing import Any, ClassVar, Collection, NamedTuple

from ..arrays import cast, upcast
from ..cell import ALL, State, step_back
from ..errors import ShapeError, describe_type
from ..options import keyword_options
from ..shapes import ArraySpec, Size, check_floating, expect
from ..tree import PerStep, Tree, add, first_leaf, tuple_like, zeros_like
from .base import Wrapper


class Masks(NamedTuple):
    """`extra` of a Dropout: masks with entries 0 or 1 / keep, or None for no mask.  They get no gradient."""
    x: Any = None                                 # [B, I]
    h: Any = None                                 # [B, H]   on the old h
    y: Any = None                                 # [B, H]   on the output
    cell: Any = None                              # `extra` of the inner cell
    s: Any = None                                 # masks or None in the structure of the state: on the new state


class ZoneoutMasks(NamedTuple):
    """`extra` of a Zoneout: masks in the structure of the state, and the `extra` of the inner cell."""
    s: Any = None
    cell: Any = None


class Kept(NamedTuple):
    masks: Any; cell: Any


class _MaskingWrapper(Wrapper):
    """A wrapper whose `extra` is a named tuple of masks, with the `extra` of its cell in the field `cell`."""
    _masks: ClassVar[Any]

    def prepare(self, p: Tree, extra: Tree = None) -> tuple[Tree, Tree, Any]:
        m = extra or self._masks()
        q, inner, kept = self.cell.prepare(p, m.cell)
        return q, m._replace(cell=inner), kept

    def prepare_backward(self, p: Tree, kept: Any, dp: Tree, dextra: Tree) -> tuple[Tree, Tree]:
        dp, inner = self.cell.prepare_backward(p, kept, dp, dextra.cell if dextra else None)
        return dp, self._masks(cell=inner)

    def _check_type(self, extra: Tree) -> Any:
        """The masks, all None without `extra`; raises ShapeError for an `extra` that is none."""
        if extra is not None and not isinstance(extra, self._masks):
            raise ShapeError(self.name, f"extra is {describe_type(extra)}, expected "
                             f"{self._masks.__name__}({', '.join(self._masks._fields)})")
        return extra or self._masks()


@keyword_options()
@dataclass(frozen=True)
class Dropout(_MaskingWrapper):
    """Dropout by masks given as `extra`: the cell on x m_x and h m_h, and its output times m_y.

    Shapes        `extra` is Masks(x [B, I], h [B, H], y [B, H], cell, s), each None or a mask.  A mask that is an array
                  is the same at every step, PerStep(mask) [T, B, ...] another at every step
    Paper         Srivastava et al., "Dropout" (2014); the same mask at every step: Gal & Ghahramani (2016)
    Same as       TF 1 DropoutWrapper, which masks the new state in the place of the old one: `s`, which leaves the
                  output of the step as it is
    Errors        ShapeError: masks that do not fit

    >>> import numpy as np, rnnref
    >>> cell = Dropout(rnnref.cells.SimpleRNN(activation="linear"))
    >>> p = {"W": np.ones((2, 1)), "R": np.zeros((1, 1)), "b": np.zeros(1)}
    >>> x, masks = np.array([[[3.0, 5.0]]]), Masks(x=np.array([[2.0, 0.0]]))
    >>> float(rnnref.run(cell, p, x, extra=masks)[0][0, 0, 0])
    6.0
    """
    cell: Any
    _masks: ClassVar[Any] = Masks

    def forward(self, p: Tree, x: Tree, s: State, extra: Tree = None) -> tuple[Tree, State, Any]:
        m = extra or Masks()
        y, new, k = self.cell.forward(p, multiply_mask(x, m.x), _mask_h(s, m.h), m.cell)
        return multiply_mask(y, m.y), multiply_mask(new, m.s), Kept(m, k)

    def backward(self, p: Tree, k: Any, dy: Tree, dnew: State, wanted: Collection[str] = ALL
                 ) -> tuple[Tree, State, Tree, Tree]:
        m = k.masks
        dy, dnew = multiply_mask(dy, m.y), multiply_mask(dnew, m.s)
        dx, ds, dextra, dp = step_back(self.cell, p, k.cell, dy, dnew, wanted)
        return multiply_mask(dx, m.x), _mask_h(ds, m.h), Masks(cell=dextra), dp

    def check(self, p: Tree, x: Tree, s: State, extra: Tree = None, lead: str = "B") -> Any:
        m = self._check_type(extra)
        y = self.cell.check(p, x, s, m.cell, lead)
        for what, mask, like in (("x", m.x, x), ("h", m.h, s[0]), ("y", m.y, y), ("s", m.s, s)):
            _check_masks(self.name, f"extra.{what}", mask, like, lead, x)
        return y


def _check_masks(who: str, name: str, mask: Any, like: Any, lead: str, x: Tree) -> None:
    """Raise unless a mask, or a tree of them, has the width of what it masks, and the rows and the dtype of x."""
    if isinstance(mask, tuple):
        if not isinstance(like, tuple) or len(mask) != len(like):
            raise ShapeError(who, f"{name} is a tuple of {len(mask)}, expected masks for {describe_type(like)}")
        for n, (part, a) in enumerate(zip(mask, like)):
            _check_masks(who, f"{name}.{getattr(like, '_fields', range(len(like)))[n]}", part, a, lead, x)
    elif mask is not None:
        a, axes = (mask.steps, f"{lead} N") if isinstance(mask, PerStep) else (mask, "B N")
        x = x if isinstance(x, ArraySpec) else first_leaf(x)
        check_floating(who, name, a, x.dtype)           # c may be float32 where x is float16
        rows = dict(zip(lead.split(), map(Size, x.shape)))
        expect(who, name, a, axes, rows | {"N": Size(like.shape[-1], "the width of what it masks")})


def multiply_mask(a: Any, mask: Any) -> Tree:
    """An array times its mask, or a tree with each leaf times its mask; None masks nothing."""
    if mask is None or a is None:
        return a
    if isinstance(a, tuple):
        return tuple_like(a, map(multiply_mask, a, mask))
    return a * mask


def _mask_h(s: State, mask: Any) -> State:                              # c is never masked
    return s if mask is None else type(s)(s[0] * mask, *s[1:])


@keyword_options()
@dataclass(frozen=True)
class Zoneout(_MaskingWrapper):
    """Zoneout by masks given as `extra`: s' = m s + (1 - m) s'_cell, and the output is the new h.

    Shapes        `extra` is ZoneoutMasks(s, cell): `s` in the structure of the state, with masks [B, H],
                  PerStep(mask) [T, B, H] or None as leaves; 1 keeps the old state, 0 takes the new one, and a number
                  between, such as the rate at test time, blends them
    Paper         Krueger et al., "Zoneout" (2017)
    Same as       haste's zoneout, which masks h and not c
    Errors        ShapeError: masks that do not fit, and a cell whose output is not its h

    >>> import numpy as np, rnnref
    >>> cell = Zoneout(rnnref.cells.SimpleRNN(activation="linear"))
    >>> p, s = {"W": np.ones((1, 1)), "R": np.zeros((1, 1)), "b": np.zeros(1)}, cell.zeros(1, 1, dtype="float64")
    >>> float(cell.forward(p, np.full((1, 1), 8.0), s, ZoneoutMasks(type(s)(np.full((1, 1), 0.25))))[0][0, 0])
    6.0
    """
    cell: Any
    _masks: ClassVar[Any] = ZoneoutMasks

    def forward(self, p: Tree, x: Tree, s: State, extra: Tree = None) -> tuple[Tree, State, Any]:
        m = extra or ZoneoutMasks()
        y, new, k = self.cell.forward(p, x, s, m.cell)
        new = _blend(m.s, s, new)
        return new[0] if m.s is not None else y, new, Kept(m, k)

    def backward(self, p: Tree, k: Any, dy: Tree, dnew: State, wanted: Collection[str] = ALL
                 ) -> tuple[Tree, State, Tree, Tree]:
        m = k.masks
        if m.s is None:
            dx, ds, dextra, dp = step_back(self.cell, p, k.cell, dy, dnew, wanted)
            return dx, ds, ZoneoutMasks(cell=dextra), dp
        dnew = type(dnew)(dnew[0] + dy, *dnew[1:])
        dinner = _blend(m.s, zeros_like(dnew), dnew)
        dx, ds, dextra, dp = step_back(self.cell, p, k.cell, zeros_like(dy), dinner, wanted)
        return dx, add(ds, _blend(m.s, dnew, zeros_like(dnew))), ZoneoutMasks(cell=dextra), dp

    def check(self, p: Tree, x: Tree, s: State, extra: Tree = None, lead: str = "B") -> Any:
        m = self._check_type(extra)
        y = self.cell.check(p, x, s, m.cell, lead)
        if m.s is not None and (y is None or y.shape[-1] != s[0].shape[-1]):
            raise ShapeError(self.name, "the output of the cell is not the h of its state")
        _check_masks(self.name, "extra.s", m.s, s, lead, x)
        return y


def _blend(mask: Any, old: Any, new: Any) -> Tree:
    """`old` where the mask is 1, `new` where it is 0, and `new` without a mask; of a tree, leaf by leaf."""
    if mask is None:
        return new
    if isinstance(new, tuple):
        return tuple_like(new, map(_blend, mask, old, new))
    m = upcast(mask)                              # as rules: in 16 bits the three roundings would add up
    return cast(m * upcast(old) + (1 - m) * upcast(new), new)
