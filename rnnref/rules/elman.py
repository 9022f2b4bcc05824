"""The simple RNN (Elman 1990, "Finding structure in time"), and leaky integrator units.

The latter are of Jaeger et al. (2007), "Optimization and applications of echo state networks with leaky-integrator
neurons".
"""
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import NotSupported
from .rule import Rule


class State(NamedTuple):
    h: Any                                        # [B, H]


class Kept(NamedTuple):
    h: Any; pre: Any                              # pre: the argument of the activation, where its slope needs it


@dataclass(frozen=True)
class ElmanRule(Rule):
    """h' = activation(ax + ah)."""
    activation: Any = "tanh"
    gates = "h"
    name = "SimpleRNN"
    State = State

    def __post_init__(self):
        self.resolve_activations("activation")

    def forward(self, p, ax, ah, s):              # ax, ah: [B, H]
        h, pre = self.activation.forward(ax + ah)
        return h, State(h), Kept(h, pre)

    def backward(self, p, k, dy, d):
        da = self.activation.backward(k.h, k.pre, dy + d.h)
        return da, da, State(None), {}            # the old h is seen through the recurrent map alone


class KeptLeaky(NamedTuple):
    n: Any; pre: Any


@dataclass(frozen=True)
class LeakyRule(Rule):
    """h' = (1 - leak) h + leak activation(ax + ah)."""
    leak: float = 1.0
    activation: Any = "tanh"
    gates = "h"
    State = State

    def __post_init__(self):
        self.resolve_activations("activation")
        if not 0 < self.leak <= 1:
            raise NotSupported("Leaky", f"leak={self.leak}, expected a number above 0 and up to 1")

    def forward(self, p, ax, ah, s):              # ax, ah: [B, U]
        n, pre = self.activation.forward(ax + ah)
        h = (1 - self.leak) * s.h + self.leak * n
        return h, State(h), KeptLeaky(n, pre)

    def backward(self, p, k, dy, d):
        dh = dy + d.h
        da = self.activation.backward(k.n, k.pre, dh * self.leak)
        return da, da, State(dh * (1 - self.leak)), {}
