"""Layer normalisation of the result of a map, and weight normalisation."""
from dataclasses import dataclass
from typing import Any, Optional

import numpy

from ..arrays import Array, as_matrix, cast, namespace, upcast
from ..layer_norm import dnormalise, normalise
from ..tree import Tree
from .composed import MapAround
from .dense import Dense


@dataclass(frozen=True)
class LayerNorm(MapAround):
    """Layer normalisation of the result of a map: a = norm(map(x)) gain (+ shift) (Ba, Kiros & Hinton 2016).

    Each of the `blocks` gate blocks is normalised by itself.
    """
    map: Any
    blocks: int
    gain: str = "gain"
    shift: Optional[str] = None
    epsilon: float = 1e-5

    def axes(self, i: str, o: str = "G") -> dict[str, str]:
        return super().axes(i, o) | {self.gain: o} | ({self.shift: o} if self.shift else {})

    def forward(self, p: Tree, x: Array) -> tuple[Array, Any]:
        a, k = self.map.forward(p, x)
        n, rstd = normalise(a, self.blocks, self.epsilon)
        scaled = n * p[self.gain]
        return cast(scaled + p[self.shift] if self.shift else scaled, a), (k, n, rstd)

    def backward_x(self, p: Tree, kept: Any, da: Array) -> Array:
        k, n, rstd = kept
        return self.map.backward_x(p, k, dnormalise(n, rstd, da * p[self.gain]))

    def backward_p(self, p: Tree, kept: Any, da: Array) -> Tree:
        k, n, rstd = kept
        dp = self.map.backward_p(p, k, dnormalise(n, rstd, da * p[self.gain]))
        return dp | {self.gain: as_matrix(da * n).sum(0)} | ({self.shift: as_matrix(da).sum(0)} if self.shift else {})


@dataclass(frozen=True)
class WeightNorm(Dense):
    """Weight normalisation: Dense with W = gain V / |V|, column by column (Salimans & Kingma 2016).

    A column of zeros has no direction: W is zero there, and so are the gradients of V and gain.
    `prepare`, which the loop calls once, computes W from V and gain; without it forward raises a KeyError.
    """
    V: str = "V"
    gain: str = "gain"
    floor: float = 0.0                            # lower limit of |V|^2; where it is reached, |V| has no gradient
    own_products = "x W"

    def axes(self, i: str, o: str = "G") -> dict[str, str]:
        return {self.V: f"{i} {o}", self.gain: o} | ({self.b: o} if self.b else {})

    def prepare(self, p: Tree) -> tuple[Tree, Any]:
        q = dict(p)
        v, gain = upcast(q.pop(self.V)), q.pop(self.gain)              # 16 bits are too few for a sum of squares
        squares = (v * v).sum(0)
        norm = namespace(v).sqrt(namespace(v).maximum(squares, self.floor))
        norm = namespace(v).where(norm == 0, numpy.inf, norm)
        u = v / norm
        return q | {self.W: cast(gain * u, p[self.V])}, (u, norm, squares > self.floor)

    def prepare_backward(self, p: Tree, kept: Any, dq: Tree) -> Tree:
        u, norm, free = kept
        dp = dict(dq)
        dW = dp.pop(self.W)
        dgain = (dW * u).sum(0)
        return dp | {self.V: (dW - u * (dgain * free)) * p[self.gain] / norm, self.gain: dgain}
