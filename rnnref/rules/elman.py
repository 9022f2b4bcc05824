"""The simple RNN (Elman 1990, "Finding structure in time")."""
from dataclasses import dataclass
from typing import Any, NamedTuple

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
        self.settle("activation")

    def forward(self, p, ax, ah, s):              # ax, ah: [B, H]
        h, pre = self.activation.forward(ax + ah)
        return h, State(h), Kept(h, pre)

    def backward(self, p, k, dy, d):
        da = self.activation.backward(k.h, k.pre, dy + d.h)
        return da, da, State(None), {}            # the old h is seen through the recurrent map alone
