"""GRU (Cho et al. 2014), with the reset after the product as in cuDNN and PyTorch."""
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..arrays import Array, namespace, split
from ..tree import Tree
from .rule import Rule


class State(NamedTuple):
    h: Any                                        # [B, H]


class Pre(NamedTuple):
    r: Any; z: Any; n: Any                        # arguments, each None if the slope does not need it


class Kept(NamedTuple):
    r: Any; z: Any; n: Any; hn: Any; h0: Any; pre: Any


@dataclass(frozen=True)
class GRURule(Rule):
    """GRU: r, z = gate(ax + ah);  n = candidate(ax_n + r ah_n);  h' = (1 - z) n + z h: z keeps the old state."""
    gate: Any = "sigmoid"
    candidate: Any = "tanh"
    gates = "rzn"
    State = State
    is_additive = False                           # r multiplies ah alone

    def forward(self, p: Tree, ax: Array, ah: Array, s: Tree) -> tuple[Array, Tree, Any]:
        # ax, ah: [B, 3H], blocks r z n
        (xr, xz, xn), (hr, hz, hn) = split(ax, 3), split(ah, 3)
        r, kr = self.gate.forward(xr + hr)
        z, kz = self.gate.forward(xz + hz)
        n, kn = self.candidate.forward(xn + r * hn)
        h = (1 - z) * n + z * s.h
        return h, State(h), Kept(r, z, n, hn, s.h, Pre(kr, kz, kn))

    def backward(self, p: Tree, k: Any, dy: Array, d: Tree) -> tuple[Array, Array, Tree, Tree]:
        dh, xp = dy + d.h, namespace(dy)
        dz = self.gate.backward(k.z, k.pre.z, dh * (k.h0 - k.n))
        dn = self.candidate.backward(k.n, k.pre.n, dh * (1 - k.z))
        dr = self.gate.backward(k.r, k.pre.r, dn * k.hn)
        return xp.concatenate([dr, dz, dn], -1), xp.concatenate([dr, dz, dn * k.r], -1), State(dh * k.z), {}
