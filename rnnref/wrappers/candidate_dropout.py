"""Dropout of the candidate of a cell, which leaves the old state whole."""
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from ..arrays import Array
from ..cell import State
from ..elementwise import Activation
from ..errors import NotSupported, ShapeError, describe_type
from ..options import keyword_options
from ..shapes import Size, check_floating, expect
from ..tree import PerStep, Tree
from .base import Wrapper


@dataclass(frozen=True, eq=False)
class MaskedActivation(Activation):
    """An activation times a mask."""
    mask: Any = None

    def forward(self, x: Array) -> tuple[Array, Any]:
        y, kept = super().forward(x)
        return y * self.mask, (y, kept)

    def backward(self, y: Array, kept: Any, dy: Array) -> Array:              # y is the masked result
        y, kept = kept
        return super().backward(y, kept, dy * self.mask)

    def __str__(self) -> str:
        return f"{super().__str__()} times a mask"


@keyword_options()
@dataclass(frozen=True)
class CandidateDropout(Wrapper):
    """Dropout of the candidate, an LSTM's g or a GRU's n, by a mask given as `extra`.

        c' = f c + i (g m)                              in an LSTM: f c is never dropped

    Shapes        `extra` is m [B, U], the same at every step, or PerStep(m) [T, B, U], another at every step, with
                  entries 0 or 1 / keep; it gets no gradient
    Paper         Semeniuta, Severyn & Barth, "Recurrent dropout without memory loss" (2016)
    Same as       TF 1 LayerNormBasicLSTMCell(dropout_keep_prob=...), around LayerNormLSTM
    Errors        NotSupported: a cell whose rule has no candidate; ShapeError: a mask that does not fit

    >>> import numpy as np, rnnref
    >>> cell = CandidateDropout(rnnref.cells.LSTM())
    >>> p = {"W": np.ones((1, 4)), "R": np.ones((1, 4)), "b": np.zeros(4)}
    >>> rnnref.run(cell, p, np.ones((2, 1, 1)), extra=np.zeros((1, 1)))[1].c
    array([[0.]])
    """
    cell: Any

    def __post_init__(self) -> None:
        if not self._has_candidate(getattr(self.cell, "rule", None)):
            raise NotSupported("CandidateDropout", f"{self.cell.name} has no rule with a candidate")

    def _has_candidate(self, rule: Any) -> bool:
        """Whether the rule, or a rule inside it, has a candidate."""
        return hasattr(rule, "candidate") or hasattr(rule, "rule") and self._has_candidate(rule.rule)

    def _mask_cell(self, extra: Tree) -> Any:
        """The cell with the candidate of its rule masked."""
        return _mask_candidate(self.cell, extra) if extra is not None else self.cell

    def forward(self, p: Tree, x: Tree, s: State, extra: Tree = None) -> tuple[Tree, State, Any]:
        y, new, kept = self._mask_cell(extra).forward(p, x, s)
        return y, new, (kept, extra)

    def backward(self, p: Tree, kept: Any, dy: Tree, dnew: State) -> tuple[Tree, State, Tree, Tree]:
        dx, ds, _, dp = self._mask_cell(kept[1]).backward(p, kept[0], dy, dnew)
        return dx, ds, None, dp

    def prepare(self, p: Tree, extra: Tree = None) -> tuple[Tree, Tree, Any]:
        q, _, kept = self.cell.prepare(p)
        return q, extra, kept

    def prepare_backward(self, p: Tree, kept: Any, dp: Tree, dextra: Tree) -> tuple[Tree, Tree]:
        return self.cell.prepare_backward(p, kept, dp, None)

    def check(self, p: Tree, x: Tree, s: State, extra: Tree = None, lead: str = "B") -> Any:
        y = self.cell.check(p, x, s, None, lead)
        if extra is not None:
            mask, axes = (extra.steps, f"{lead} U") if isinstance(extra, PerStep) else (extra, "B U")
            if isinstance(mask, (tuple, dict)):
                raise ShapeError(self.name, f"extra is {describe_type(mask)}, expected a mask or PerStep(mask)")
            check_floating(self.name, "extra", mask, y.dtype)
            rows = dict(zip(lead.split(), map(Size, y.shape)))
            expect(self.name, "extra", mask, axes, rows | {"U": Size(s[-1].shape[-1], "the units")})
        return y


def _mask_candidate(thing: Any, mask: Any) -> Any:
    """A cell or a rule with every candidate in it masked, at any depth; kernels are replaced by their plain rules."""
    changes = {f.name: _mask_candidate(getattr(thing, f.name), mask) for f in fields(thing)
               if f.name in ("cell", "rule") and is_dataclass(getattr(thing, f.name))}
    if not hasattr(thing, "candidate"):
        return replace(thing, **changes)
    a, plain = thing.candidate, getattr(type(thing), "plain", type(thing))
    return plain(**{f.name: getattr(thing, f.name) for f in fields(plain)}
                 | {"candidate": MaskedActivation(a.name, a.alpha, a.beta, a.clip, mask)})
