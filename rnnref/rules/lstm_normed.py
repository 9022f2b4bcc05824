"""The LSTM of TF 1's layer-norm cells: what it carries on is normalised too (after Ba, Kiros & Hinton 2016)."""
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..layer_norm import dnormalise, normalise
from .lstm import LSTMRule


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

    def carried(self, p, c):
        n, rstd = normalise(c, 1, self.epsilon)
        return n * p[self.gain_c] + p[self.shift_c], KeptNorm(n, rstd)

    def _transform_cell_backward(self, p, k, dc):
        return dnormalise(k.n, k.rstd, dc * p[self.gain_c]), {self.gain_c: dc * k.n, self.shift_c: dc}
