"""The minimal gated unit with the reset before the product.

Its second product depends on the gate, so it is not two maps and a rule.
"""
from dataclasses import dataclass
from typing import Any, Iterator, NamedTuple

from ..arrays import Array, cast, namespace, split, upcast
from ..cell import TwoStage
from ..maps.dense import Dense
from ..rules.gated import MGURule, State
from ..tree import Tree, map_structure


class Kept(NamedTuple):
    f: Any; n: Any; h0: Any; gate: Any; new: Any; pre: Any


@dataclass(frozen=True)
class MGUBefore(TwoStage):
    """Minimal gated unit: f = gate(x W_f + h R_f);  n = candidate(x W_n + (f h) R_n);  h' = (1 - f) h + f n.

    `recurrent` is one map: its gate block f multiplies h, its block n multiplies f h.
    """
    inputs: Any = Dense("W", "b")                 # x   -> f n
    recurrent: Any = Dense("R")                   # h   -> f,  f h -> n
    rule: Any = MGURule()                         # for its gates, activations and state

    def axes(self) -> Any:
        return self.inputs.axes("I") | self.recurrent.axes("H")

    def input_axes(self) -> Iterator[tuple]:
        yield self.inputs, "I"
        yield self.recurrent, "H"

    def step(self, p: Tree, ax: Array, s: State) -> tuple[Array, State, Any]:
        (xf, xn), h = split(upcast(ax), 2), upcast(s.h)
        hf, kg = self.recurrent.forward(self.block_parameters(p, 0), s.h)
        f, kf = self.rule.gate.forward(xf + upcast(hf))
        hn, kn = self.recurrent.forward(self.block_parameters(p, 1), cast(f * h, s.h))
        n, kc = self.rule.candidate.forward(xn + upcast(hn))
        new = cast(self.rule.mix(f, h, n), s.h)
        return new, State(new), Kept(f, n, s.h, kg, kn, (kf, kc))

    def step_backward(self, p: Tree, k: Any, dy: Array, dnew: State) -> tuple[Array, State, Any]:
        dh, h0 = upcast(dy) + upcast(dnew.h), upcast(k.h0)
        df, dh0, dn = self.rule.mix_backward(k.f, h0, k.n, dh)
        dn = cast(self.rule.candidate.backward(k.n, k.pre[1], dn), dy)
        dfh = upcast(self.recurrent.backward_x(self.block_parameters(p, 1), k.new, dn))
        df = cast(self.rule.gate.backward(k.f, k.pre[0], df + dfh * h0), dy)
        dh0 = dh0 + dfh * k.f + upcast(self.recurrent.backward_x(self.block_parameters(p, 0), k.gate, df))
        return namespace(dy).concatenate([df, dn], -1), map_structure(cast, State(dh0), dnew), (k.gate, df, k.new, dn)

    def step_backward_p(self, p: Tree, deferred: Any) -> Tree:
        kg, df, kn, dn = deferred
        gate = self.recurrent.backward_p(self.block_parameters(p, 0), kg, df)
        new = self.recurrent.backward_p(self.block_parameters(p, 1), kn, dn)
        return {name: namespace(a).concatenate([a, new[name]], -1) for name, a in gate.items()}

    def block_parameters(self, p: Tree, k: int) -> Tree:
        """The parameters of `recurrent`, cut to gate block k."""
        U = {name: p[name].shape[-1] // 2 for name in self.recurrent.axes("H")}
        return {name: p[name][..., k * n:(k + 1) * n] for name, n in U.items()}
