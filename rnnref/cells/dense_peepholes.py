"""An LSTM whose peepholes are whole matrices: a product of o waits for the new c, so no rule says it."""
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

from ..arrays import cast, namespace, split, upcast
from ..cell import TwoStage
from ..errors import NotSupported
from ..maps.dense import Dense
from ..options import keyword_options
from ..rules.lstm import LSTMRule, Pre, State
from ..tree import map_structure


class Kept(NamedTuple):
    i: Any; f: Any; g: Any; o: Any; tc: Any
    c0: Any; pre: Any; recurrent: Any; old: Any; new: Any       # the last three: what the maps keep


@keyword_options()
@dataclass(frozen=True)
class DensePeepholes(TwoStage):
    """i, f = gate(a_i + c C_i, a_f + c C_f + forget_bias);  o = gate(a_o + c' C_o), where a = x W + h R + b.

    The rest is LSTM's.  C [U, 3U] has the blocks i f o.
    """
    _: KW_ONLY
    inputs: Any = Dense("W", "b")                 # x -> i f g o
    recurrent: Any = Dense("R")                   # h -> i f g o
    peepholes: Any = Dense("C")                   # c -> i f,  c' -> o
    rule: Any = LSTMRule()                            # whose activations, forget bias and state these are

    def __post_init__(self):
        if self.rule.axes() or self.rule.coupled or self.rule.cell_clip:
            raise NotSupported("DensePeepholes", "a rule with peepholes, coupled gates, a limit or a norm of its own",
                               known="forget_bias, gate, candidate, output")

    def axes(self):
        return self.inputs.axes("I") | self.recurrent.axes("H") | self.peepholes.axes("U", "U+U+U")

    def input_axes(self):
        yield self.inputs, "I"
        yield self.recurrent, "H"

    def step(self, p, ax, s):
        r, c0 = self.rule, upcast(s.c)
        ah, kh = self.recurrent.forward(p, s.h)
        ai, af, ag, ao = split(upcast(ax) + upcast(ah), 4)
        old, ko = self.peepholes.forward(self.block_parameters(p, 0, 2), cast(c0, s.h))
        oi, of = split(upcast(old), 2)
        i, ki = r.gate.forward(ai + oi)
        f, kf = r.gate.forward(af + of + r.forget_bias)
        g, kg = r.candidate.forward(ag)
        c = f * c0 + i * g
        new, kn = self.peepholes.forward(self.block_parameters(p, 2, 3), cast(c, s.h))
        o, k = r.gate.forward(ao + upcast(new))
        tc, kc = r.output.forward(c)
        h = cast(o * tc, s.h)
        return h, State(h, cast(c, s.c)), Kept(i, f, g, o, tc, c0, Pre(ki, kf, kg, k, kc), kh, ko, kn)

    def step_backward(self, p, k, dy, dnew):
        r, xp, dh = self.rule, namespace(dy), upcast(dy) + upcast(dnew.h)
        do = cast(r.gate.backward(k.o, k.pre.o, dh * k.tc), dy)
        dc = upcast(dnew.c) + r.output.backward(k.tc, k.pre.c, dh * k.o)
        dc = dc + upcast(self.peepholes.backward_x(self.block_parameters(p, 2, 3), k.new, do))
        di, df = r.gate.backward(k.i, k.pre.i, dc * k.g), r.gate.backward(k.f, k.pre.f, dc * k.c0)
        dg = r.candidate.backward(k.g, k.pre.g, dc * k.i)
        da, dif = xp.concatenate([di, df, dg, upcast(do)], -1), cast(xp.concatenate([di, df], -1), dy)
        dc0 = dc * k.f + upcast(self.peepholes.backward_x(self.block_parameters(p, 0, 2), k.old, dif))
        da = cast(da, dy)
        dh0 = self.recurrent.backward_x(p, k.recurrent, da)
        return da, map_structure(cast, State(dh0, dc0), dnew), (k.recurrent, da, k.old, dif, k.new, do)

    def step_backward_p(self, p, deferred):
        kh, da, ko, dif, kn, do = deferred
        old = self.peepholes.backward_p(self.block_parameters(p, 0, 2), ko, dif)
        new = self.peepholes.backward_p(self.block_parameters(p, 2, 3), kn, do)
        whole = {name: namespace(a).concatenate([a, new[name]], -1) for name, a in old.items()}
        return self.recurrent.backward_p(p, kh, da) | whole

    def block_parameters(self, p, start, stop):
        """The parameters of `peepholes`, of which only these blocks."""
        U = {name: p[name].shape[-1] // 3 for name in self.peepholes.axes("U")}
        return {name: p[name][..., start * n:stop * n] for name, n in U.items()}
