"""Norms of the weights of a map."""
from dataclasses import dataclass

from ..arrays import namespace
from .dense import Dense


@dataclass(frozen=True)
class WeightNorm(Dense):
    """Dense with W = gain V / |V|, column by column (Salimans & Kingma 2016).

    W exists only after `prepare`, which the loop calls once: forgetting it is an error, not another result.
    """
    V: str = "V"
    gain: str = "gain"

    def axes(self, i, o="G"):
        given = {self.V: f"{i} {o}", self.gain: o}
        return given | ({self.b: o} if self.b else {})

    def prepare(self, p):
        q = dict(p)
        v, gain = q.pop(self.V), q.pop(self.gain)
        norm = namespace(v).sqrt((v * v).sum(0))
        u = v / norm
        return q | {self.W: gain * u}, (u, norm)

    def prepare_back(self, p, kept, dq):
        u, norm = kept
        dp = dict(dq)
        dW = dp.pop(self.W)
        dgain = (dW * u).sum(0)
        return dp | {self.V: (dW - u * dgain) * p[self.gain] / norm, self.gain: dgain}
