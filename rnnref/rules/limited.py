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
    """h' = ax + ah, clipped to [-clip, clip] unless `clip` is None; clipped entries have no gradient."""
    clip: Optional[float] = None
    gates = "h"
    State = State

    def forward(self, p: Tree, ax: Array, ah: Array, s: Tree) -> tuple[Array, Tree, Any]:
        # ax, ah: [B, H]
        h = ax + ah if self.clip is None else clip(ax + ah, self.clip)
        return h, State(h), Kept(h)

    def backward(self, p: Tree, k: Any, dy: Array, d: Tree) -> tuple[Array, Array, Tree, Tree]:
        dh = dy + d.h
        da = dh if self.clip is None else dclip(k.h, self.clip, dh)
        return da, da, State(None), {}
