"""Norms of what a map gives, and of its weights."""
from dataclasses import dataclass
from typing import Any, Optional

from ..arrays import as_matrix, cast, namespace, upcast
from ..layer_norm import dnormalise, normalise
from .dense import Dense, Map


@dataclass(frozen=True)
class LayerNorm(Map):
    """a = norm(map(x)) gain (+ shift), each of `blocks` gate blocks by itself (Ba, Kiros & Hinton 2016)."""
    map: Any
    blocks: int
    gain: str = "gain"
    shift: Optional[str] = None
    epsilon: float = 1e-5

    @property
    def space(self):
        return self.map.space

    def output_extent(self, extent):
        return self.map.output_extent(extent)

    def axes(self, i, o="G"):
        return self.map.axes(i, o) | {self.gain: o} | ({self.shift: o} if self.shift else {})

    def check_sizes(self, who, i, sizes, o="G"):
        self.map.check_sizes(who, i, sizes, o)

    def forward(self, p, x):
        a, k = self.map.forward(p, x)
        n, rstd = normalise(a, self.blocks, self.epsilon)
        scaled = n * p[self.gain]
        return cast(scaled + p[self.shift] if self.shift else scaled, a), (k, n, rstd)

    def backward_x(self, p, kept, da):
        k, n, rstd = kept
        return self.map.backward_x(p, k, dnormalise(n, rstd, da * p[self.gain]))

    def backward_p(self, p, kept, da):
        k, n, rstd = kept
        dp = self.map.backward_p(p, k, dnormalise(n, rstd, da * p[self.gain]))
        return dp | {self.gain: as_matrix(da * n).sum(0)} | ({self.shift: as_matrix(da).sum(0)} if self.shift else {})

    def prepare(self, p):
        return self.map.prepare(p)

    def prepare_backward(self, p, kept, dq):
        return self.map.prepare_backward(p, kept, dq)


@dataclass(frozen=True)
class WeightNorm(Dense):
    """Dense with W = gain V / |V|, column by column (Salimans & Kingma 2016).

    W exists only after `prepare`, which the loop calls once: forgetting it is an error, not another result.
    """
    V: str = "V"
    gain: str = "gain"
    floor: float = 0.0                            # |V|^2 is at least that; where it is less, |V| has no gradient
    own_products = "x W"

    def axes(self, i, o="G"):
        given = {self.V: f"{i} {o}", self.gain: o}
        return given | ({self.b: o} if self.b else {})

    def prepare(self, p):
        q = dict(p)
        v, gain = upcast(q.pop(self.V)), q.pop(self.gain)              # a sum of squares needs more than 16 bits
        squares = (v * v).sum(0)
        norm = namespace(v).sqrt(namespace(v).maximum(squares, self.floor))
        u = v / norm
        return q | {self.W: cast(gain * u, p[self.V])}, (u, norm, squares > self.floor)

    def prepare_backward(self, p, kept, dq):
        u, norm, free = kept
        dp = dict(dq)
        dW = dp.pop(self.W)
        dgain = (dW * u).sum(0)
        return dp | {self.V: (dW - u * (dgain * free)) * p[self.gain] / norm, self.gain: dgain}
