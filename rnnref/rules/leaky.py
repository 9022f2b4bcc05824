"""Leaky integrator units (Jaeger et al. 2007, "Optimization and applications of echo state networks")."""
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import NotSupported
from .elman import State
from .rule import Rule


class Kept(NamedTuple):
    n: Any; pre: Any


@dataclass(frozen=True)
class LeakyRule(Rule):
    """h' = (1 - leak) h + leak activation(ax + ah)."""
    leak: float = 1.0
    activation: Any = "tanh"
    gates = "h"
    State = State

    def __post_init__(self):
        self.settle("activation")
        if not 0 < self.leak <= 1:
            raise NotSupported("Leaky", f"leak={self.leak}, expected a number above 0 and up to 1")

    def forward(self, p, ax, ah, s):              # ax, ah: [B, U]
        n, pre = self.activation.forward(ax + ah)
        h = (1 - self.leak) * s.h + self.leak * n
        return h, State(h), Kept(n, pre)

    def backward(self, p, k, dy, d):
        dh = dy + d.h
        da = self.activation.backward(k.n, k.pre, dh * self.leak)
        return da, da, State(dh * (1 - self.leak)), {}
