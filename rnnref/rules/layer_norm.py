"""A rule that holds a rule: what must see the sum of both maps before the gates do."""
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import NotSupported
from ..layer_norm import dnormalise, normalise
from .lstm import LSTMRule
from .rule import Rule


class Kept(NamedTuple):
    n: Any; rstd: Any; rule: Any


@dataclass(frozen=True)
class LayerNormRule(Rule):
    """The inner rule on norm(ax + ah) gain + shift, each gate block by itself (Ba et al. 2016)."""
    rule: Any
    gain: str = "gain"
    shift: str = "shift"
    epsilon: float = 1e-5

    def __post_init__(self):
        if not self.rule.is_additive:
            raise NotSupported("LayerNormRule", f"{self.rule.name} does not see the sum of the two products",
                               hint="its reset gate stands between them")

    @property
    def gates(self):
        return self.rule.gates

    @property
    def State(self):
        return self.rule.State

    @property
    def widths(self):
        return self.rule.widths

    @property
    def float32_fields(self):
        return self.rule.float32_fields

    def axes(self):
        return self.rule.axes() | {self.gain: "G", self.shift: "G"}

    def forward(self, p, ax, ah, s):
        n, rstd = normalise(ax + ah, len(self.gates), self.epsilon)
        y, new, kept = self.rule.forward(p, n * p[self.gain] + p[self.shift], 0, s)
        return y, new, Kept(n, rstd, kept)

    def backward(self, p, k, dy, d):
        da, _, ds, dp = self.rule.backward(p, k.rule, dy, d)
        dsum = dnormalise(k.n, k.rstd, da * p[self.gain])
        return dsum, dsum, ds, dp | {self.gain: da * k.n, self.shift: da}


class KeptNorm(NamedTuple):
    n: Any; rstd: Any


@dataclass(frozen=True)
class CellNormLSTMRule(LSTMRule):
    """An LSTM whose c' = norm(f c + i g) gain_c + shift_c, which is then limited, carried on and seen by o."""
    gain_c: str = "gain_c"
    shift_c: str = "shift_c"
    epsilon: float = 1e-5

    def axes(self):
        return LSTMRule.axes(self) | {self.gain_c: "U", self.shift_c: "U"}

    def _transform_cell(self, p, c):
        n, rstd = normalise(c, 1, self.epsilon)
        return n * p[self.gain_c] + p[self.shift_c], KeptNorm(n, rstd)

    def _transform_cell_backward(self, p, k, dc):
        return dnormalise(k.n, k.rstd, dc * p[self.gain_c]), {self.gain_c: dc * k.n, self.shift_c: dc}
