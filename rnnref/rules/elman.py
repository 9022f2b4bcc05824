"""The simple RNN (Elman 1990, "Finding structure in time"), and leaky integrator units.

The latter are of Jaeger et al. (2007), "Optimization and applications of echo state networks with leaky-integrator
neurons".
"""
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..arrays import Array
from ..errors import NotSupported
from ..tree import Tree
from .rule import Rule


class State(NamedTuple):
    h: Any                                        # [B, H]


class Kept(NamedTuple):
    h: Any; pre: Any                              # pre: the argument of the activation, if its slope needs it


@dataclass(frozen=True)
class ElmanRule(Rule):
    """Simple RNN: h' = activation(ax + ah)."""
    activation: Any = "tanh"
    gates = "h"
    name = "SimpleRNN"
    State = State

    def forward(self, p: Tree, ax: Array, ah: Array, s: Tree) -> tuple[Array, Tree, Any]:
        h, pre = self.activation.forward(ax + ah)
        return h, State(h), Kept(h, pre)

    def backward(self, p: Tree, k: Any, dy: Array, d: Tree) -> tuple[Array, Array, Tree, Tree]:
        da = self.activation.backward(k.h, k.pre, dy + d.h)
        return da, da, State(None), {}            # the old h acts only through the recurrent map


@dataclass(frozen=True)
class ResidualElmanRule(ElmanRule):
    """Simple RNN with a residual connection before the activation: h' = activation(ax + ah + h)."""
    is_additive = False                           # h is added to the sum, which a norm would have to see

    def forward(self, p: Tree, ax: Array, ah: Array, s: Tree) -> tuple[Array, Tree, Any]:
        return ElmanRule.forward(self, p, ax, ah + s.h, s)

    def backward(self, p: Tree, k: Any, dy: Array, d: Tree) -> tuple[Array, Array, Tree, Tree]:
        da, _, _, dp = ElmanRule.backward(self, p, k, dy, d)
        return da, da, State(da), dp


class KeptLeaky(NamedTuple):
    n: Any; pre: Any


@dataclass(frozen=True)
class LeakyRule(Rule):
    """Leaky integrator units: h' = (1 - leak) h + leak activation(ax + ah)."""
    leak: float = 1.0
    activation: Any = "tanh"
    gates = "h"
    name = "ESN"
    State = State

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.leak <= 1:
            raise NotSupported(self.name, f"leak={self.leak}, expected a number above 0 and up to 1")

    def forward(self, p: Tree, ax: Array, ah: Array, s: Tree) -> tuple[Array, Tree, Any]:
        n, pre = self.activation.forward(ax + ah)
        h = (1 - self.leak) * s.h + self.leak * n
        return h, State(h), KeptLeaky(n, pre)

    def backward(self, p: Tree, k: Any, dy: Array, d: Tree) -> tuple[Array, Array, Tree, Tree]:
        dh = dy + d.h
        da = self.activation.backward(k.n, k.pre, dh * self.leak)
        return da, da, State(dh * (1 - self.leak)), {}
