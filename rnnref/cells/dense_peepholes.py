"""LSTM with peephole matrices.

The product in o depends on the new c, so it is not two maps and a rule.
"""
from dataclasses import KW_ONLY, dataclass
from typing import Any, Iterator, NamedTuple

from ..arrays import Array, cast, namespace, split, upcast
from ..cell import TwoStage
from ..errors import NotSupported
from ..maps.dense import Dense
from ..options import keyword_options
from ..rules.lstm import LSTMRule, Pre, State
from ..tree import Tree, map_structure


class Kept(NamedTuple):
    i: Any; f: Any; g: Any; o: Any; tc: Any
    c0: Any; pre: Any; recurrent: Any; old: Any; new: Any       # the last three: `kept` of the maps


@keyword_options()
@dataclass(frozen=True)
class DensePeepholes(TwoStage):
    """LSTM with peephole matrices in the place of peephole vectors.

        i = gate(a_i + c C_i)                           f = gate(a_f + c C_f + forget_bias)
        o = gate(a_o + c' C_o)                          a = x W + h R + b, and the rest as in LSTM

    Shapes        those of LSTM; C [U, 3U], gate blocks i f o
    Options       rule=LSTMRule(...), for its activations and forget_bias; the maps `inputs`, `recurrent`, `peepholes`
    Same as       the inner cell of TF 1 PhasedLSTMCell(use_peepholes=True)
    Errors        NotSupported: a rule with peephole vectors, coupled gates, a clip or a norm

    >>> DensePeepholes().shapes(2, 1)
    {'W': (2, 4), 'b': (4,), 'R': (1, 4), 'C': (1, 3)}
    """
    _: KW_ONLY
    inputs: Any = Dense("W", "b")                 # x -> i f g o
    recurrent: Any = Dense("R")                   # h -> i f g o
    peepholes: Any = Dense("C")                   # c -> i f,  c' -> o
    rule: Any = LSTMRule()                        # for its activations, forget bias and state

    def __post_init__(self) -> None:
        if self.rule.axes() or self.rule.coupled or self.rule.cell_clip is not None:
            raise NotSupported("DensePeepholes", "a rule with peepholes, coupled gates, a clip or a norm of its own",
                               known="forget_bias, gate, candidate, output")

    def axes(self) -> Any:
        return self.inputs.axes("I") | self.recurrent.axes("H") | self.peepholes.axes("U", "U+U+U")

    def input_axes(self) -> Iterator[tuple]:
        yield self.inputs, "I"
        yield self.recurrent, "H"

    def step(self, p: Tree, ax: Array, s: State) -> tuple[Array, State, Any]:
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

    def step_backward(self, p: Tree, k: Any, dy: Array, dnew: State) -> tuple[Array, State, Any]:
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

    def step_backward_p(self, p: Tree, deferred: Any) -> Tree:
        kh, da, ko, dif, kn, do = deferred
        old = self.peepholes.backward_p(self.block_parameters(p, 0, 2), ko, dif)
        new = self.peepholes.backward_p(self.block_parameters(p, 2, 3), kn, do)
        both = {name: namespace(a).concatenate([a, new[name]], -1) for name, a in old.items()}
        return self.recurrent.backward_p(p, kh, da) | both

    def block_parameters(self, p: Tree, start: int, stop: int) -> Tree:
        """The parameters of `peepholes`, cut to the gate blocks from `start` to before `stop`."""
        U = {name: p[name].shape[-1] // 3 for name in self.peepholes.axes("U")}
        return {name: p[name][..., start * n:stop * n] for name, n in U.items()}
