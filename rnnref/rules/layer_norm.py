"""Layer normalisation of the summed pre-activations, followed by any gate rule, and of the cell state of an LSTM."""
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

from ..arrays import Array
from ..errors import NotSupported
from ..layer_norm import dnormalise, normalise
from ..tree import Tree
from .lstm import LSTMRule
from .rule import Rule


class Kept(NamedTuple):
    n: Any; rstd: Any; rule: Any


@dataclass(frozen=True)
class LayerNormRule(Rule):
    """A rule on norm(ax + ah) gain + shift, with each gate block normalised by itself (Ba, Kiros & Hinton 2016)."""
    rule: Any
    gain: str = "gain"
    shift: Optional[str] = "shift"                # None: there is none
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        if not self.rule.is_additive:
            raise NotSupported("LayerNormRule", f"{self.rule.name} does not see the sum of the two products",
                               hint="its reset gate, or a product, stands between them")

    @property
    def name(self) -> str:
        return "LayerNorm" + self.rule.name

    @property
    def gates(self) -> str:
        return self.rule.gates

    @property
    def State(self) -> type:
        return self.rule.State

    @property
    def widths(self) -> dict[str, str]:
        return self.rule.widths

    @property
    def float32_fields(self) -> tuple:
        return self.rule.float32_fields

    def axes(self) -> dict[str, str]:
        return self.rule.axes() | {self.gain: "G"} | ({self.shift: "G"} if self.shift else {})

    def forward(self, p: Tree, ax: Array, ah: Array, s: Tree) -> tuple[Array, Tree, Any]:
        n, rstd = normalise(ax + ah, len(self.gates), self.epsilon)
        a = n * p[self.gain]
        y, new, kept = self.rule.forward(p, a + p[self.shift] if self.shift else a, 0, s)
        return y, new, Kept(n, rstd, kept)

    def backward(self, p: Tree, k: Any, dy: Array, d: Tree) -> tuple[Array, Array, Tree, Tree]:
        da, _, ds, dp = self.rule.backward(p, k.rule, dy, d)
        dsum = dnormalise(k.n, k.rstd, da * p[self.gain])
        return dsum, dsum, ds, dp | {self.gain: da * k.n} | ({self.shift: da} if self.shift else {})


class KeptNorm(NamedTuple):
    n: Any; rstd: Any


@dataclass(frozen=True)
class CellNormLSTMRule(LSTMRule):
    """LSTM with c' = norm(f c + i g) gain_c + shift_c, as in TF 1's layer-norm cells (after Ba et al. 2016).

    c' is clipped after the norm; the result is the next state and the argument of o and h'.
    """
    gain_c: str = "gain_c"
    shift_c: str = "shift_c"
    epsilon: float = 1e-5
    name = "LSTM"

    def axes(self) -> dict[str, str]:
        return LSTMRule.axes(self) | {self.gain_c: "U", self.shift_c: "U"}

    def _transform_cell(self, p: Tree, c: Array) -> tuple[Array, Any]:
        n, rstd = normalise(c, 1, self.epsilon)
        return n * p[self.gain_c] + p[self.shift_c], KeptNorm(n, rstd)

    def _transform_cell_backward(self, p: Tree, k: Any, dc: Array) -> tuple[Array, Tree]:
        return dnormalise(k.n, k.rstd, dc * p[self.gain_c]), {self.gain_c: dc * k.n, self.shift_c: dc}
