"""What a projection ends with: a sum, limited where that is wanted."""
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

from ..elementwise import clip, dclip
from .elman import State
from .rule import Rule


class Kept(NamedTuple):
    h: Any


@dataclass(frozen=True)
class LimitedRule(Rule):
    """h' = ax + ah, and where |h'| reaches `clip` that, with its sign: it gets no gradient there."""
    clip: Optional[float] = None
    gates = "h"
    State = State

    def forward(self, p, ax, ah, s):              # ax, ah: [B, H]
        h = clip(ax + ah, self.clip) if self.clip else ax + ah
        return h, State(h), Kept(h)

    def backward(self, p, k, dy, d):
        dh = dy + d.h
        da = dclip(k.h, self.clip, dh) if self.clip else dh
        return da, da, State(None), {}
