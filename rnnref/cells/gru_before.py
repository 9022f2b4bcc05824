"""GRU with the reset before the product (Cho et al. 2014).

Its second product depends on a gate, so it is not two maps and a rule.
"""
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..arrays import Array, cast, namespace, split, upcast
from ..cell import TwoStage
from ..maps.dense import Dense
from ..rules.gru import GRURule, Pre, State
from ..tree import Tree, map_structure


class Kept(NamedTuple):
    r: Any; z: Any; n: Any; h0: Any; gates: Any; new: Any; pre: Any


@dataclass(frozen=True)
class GRUBefore(TwoStage):
    """GRU: r, z = gate(x W + h R);  n = candidate(x Wn + (r h) Rn);  h' = (1 - z) n + z h.

    `recurrent` is one map: its gate blocks r z multiply h, its block n multiplies r h.
    """
    inputs: Any = Dense("W", "b")                 # x   -> r z n
    recurrent: Any = Dense("R")                   # h   -> r z,  r h -> n
    rule: Any = GRURule()                         # for its gates, activations and state
    name = "GRU"

    def axes(self) -> Any:
        return self.inputs.axes("I") | self.recurrent.axes("H")

    def step(self, p: Tree, ax: Array, s: State) -> tuple[Array, State, Any]:
        (xr, xz, xn), h = split(upcast(ax), 3), upcast(s.h)
        ag, kg = self.recurrent.forward(self.block_parameters(p, 0, 2), s.h)
        hr, hz = split(upcast(ag), 2)
        r, kr = self.rule.gate.forward(xr + hr)
        z, kz = self.rule.gate.forward(xz + hz)
        an, kn = self.recurrent.forward(self.block_parameters(p, 2, 3), cast(r * h, s.h))
        n, kc = self.rule.candidate.forward(xn + upcast(an))
        h = cast((1 - z) * n + z * h, s.h)
        return h, State(h), Kept(r, z, n, s.h, kg, kn, Pre(kr, kz, kc))

    def step_backward(self, p: Tree, k: Any, dy: Array, dnew: State) -> tuple[Array, State, Any]:
        xp, dh, h0 = namespace(dy), upcast(dy) + upcast(dnew.h), upcast(k.h0)
        dz = self.rule.gate.backward(k.z, k.pre.z, dh * (h0 - k.n))
        dn = self.rule.candidate.backward(k.n, k.pre.n, dh * (1 - k.z))
        drh = upcast(self.recurrent.backward_x(self.block_parameters(p, 2, 3), k.new, cast(dn, dy)))
        dr = self.rule.gate.backward(k.r, k.pre.r, drh * h0)
        dg, dn = cast(xp.concatenate([dr, dz], -1), dy), cast(dn, dy)
        dh0 = dh * k.z + drh * k.r + upcast(self.recurrent.backward_x(self.block_parameters(p, 0, 2), k.gates, dg))
        return xp.concatenate([dg, dn], -1), map_structure(cast, State(dh0), dnew), (k.gates, dg, k.new, dn)

    def step_backward_p(self, p: Tree, deferred: Any) -> Tree:
        kg, dg, kn, dn = deferred
        gates = self.recurrent.backward_p(self.block_parameters(p, 0, 2), kg, dg)
        new = self.recurrent.backward_p(self.block_parameters(p, 2, 3), kn, dn)
        return {name: namespace(a).concatenate([a, new[name]], -1) for name, a in gates.items()}

    def block_parameters(self, p: Tree, start: int, stop: int) -> Tree:
        """The parameters of `recurrent`, cut to the gate blocks from `start` to before `stop`."""
        H = {name: p[name].shape[-1] // 3 for name in self.recurrent.axes("H")}
        return {name: p[name][..., start * n:stop * n] for name, n in H.items()}
