"""The sum of both maps, clipped: the rule that a projection ends with."""
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

from ..arrays import Array
from ..elementwise import clip, dclip
from ..tree import Tree
from .elman import State
from .rule import Rule


class Kept(NamedTuple):
    h: Any


@dataclass(frozen=True)
class LimitedRule(Rule):
    """h' = ax + ah, clipped to [-clip, clip] if `clip` is given; clipped entries have no gradient."""
    clip: Optional[float] = None
    gates = "h"
    State = State

    def forward(self, p: Tree, ax: Array, ah: Array, s: Tree) -> tuple[Array, Tree, Any]:
        # ax, ah: [B, H]
        h = clip(ax + ah, self.clip) if self.clip else ax + ah
        return h, State(h), Kept(h)

    def backward(self, p: Tree, k: Any, dy: Array, d: Tree) -> tuple[Array, Array, Tree, Tree]:
        dh = dy + d.h
        da = dclip(k.h, self.clip, dh) if self.clip else dh
        return da, da, State(None), {}
