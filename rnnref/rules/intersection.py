"""Intersection RNN (Collins, Sohl-Dickstein & Sussillo 2016)."""
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..arrays import Array, namespace, split
from ..tree import Tree
from .gated import State
from .rule import Rule


class Kept(NamedTuple):
    z: Any; n: Any; q: Any; v: Any; h0: Any; x: Any; pre: Any


@dataclass(frozen=True)
class IntersectionRule(Rule):
    """Intersection RNN, gated in time and in depth: h' = z h + (1 - z) n;  y = q x + (1 - q) v.

    z, q = gate(a_z + forget_bias), gate(a_q + forget_bias);  n = candidate(a_n);  v = output(a_v).  x is the last
    block of ax.
    """
    forget_bias: float = 0.0                      # on both gates
    gate: Any = "sigmoid"
    candidate: Any = "tanh"
    output: Any = "relu"
    gates = "znqv"
    name = "IntersectionRNN"
    State = State
    is_additive = False

    def forward(self, p: Tree, ax: Array, ah: Array, s: Tree) -> tuple[Array, Tree, Any]:
        # ax: [B, 5U], blocks z n q v x; ah: [B, 4U]
        U = s.h.shape[-1]
        az, an, aq, av = split(ax[..., :4 * U] + ah, 4)
        x = ax[..., 4 * U:]
        z, kz = self.gate.forward(az + self.forget_bias)
        q, kq = self.gate.forward(aq + self.forget_bias)
        n, kn = self.candidate.forward(an)
        v, kv = self.output.forward(av)
        h = z * s.h + (1 - z) * n
        return q * x + (1 - q) * v, State(h), Kept(z, n, q, v, s.h, x, (kz, kn, kq, kv))

    def backward(self, p: Tree, k: Any, dy: Array, d: Tree) -> tuple[Array, Array, Tree, Tree]:
        (kz, kn, kq, kv), dh = k.pre, d.h         # y is not h' here
        dz = self.gate.backward(k.z, kz, dh * (k.h0 - k.n))
        dn = self.candidate.backward(k.n, kn, dh * (1 - k.z))
        dq = self.gate.backward(k.q, kq, dy * (k.x - k.v))
        dv = self.output.backward(k.v, kv, dy * (1 - k.q))
        da = namespace(dy).concatenate([dz, dn, dq, dv], -1)
        return namespace(dy).concatenate([da, dy * k.q], -1), da, State(dh * k.z), {}
