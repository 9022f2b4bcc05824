"""LSTM (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000; peepholes: Gers & Schmidhuber 2000)."""
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

from ..arrays import namespace, split
from ..elementwise import clip, dclip
from ..errors import NotSupported, check_option
from .rule import Rule


class State(NamedTuple):
    h: Any                                        # [B, H]   what the recurrent map sees
    c: Any                                        # [B, U]


class Pre(NamedTuple):
    """Arguments of the five activations, each None where the slope does not need it."""
    i: Any; f: Any; g: Any; o: Any; c: Any


class Kept(NamedTuple):
    i: Any; f: Any; g: Any; o: Any; tc: Any       # tc: the squashed c
    c0: Any; c: Any; pre: Any
    norm: Any = None                              # what the way back through `carried` needs


@dataclass(frozen=True)
class LSTMRule(Rule):
    """i, f, o = gate(a_i, a_f + forget_bias, a_o);  g = candidate(a_g);  c' = f c + i g;  h' = o output(c').

    With peepholes i and f see the old c, and o the new one.
    """
    forget_bias: float = 0.0                      # added at run time; not an initial value of b
    peepholes: bool = False                       # through Wpi Wpf Wpo [U]
    coupled: Optional[str] = None                 # "input": i = 1 - f (TF 1); "forget": f = 1 - i (ONNX)
    gate: Any = "sigmoid"
    candidate: Any = "tanh"
    output: Any = "tanh"
    cell_clip: Optional[float] = None             # limits c', before o and h' see it
    cell_clip_gradient: str = "zero"              # where clipped: "zero", or "through" as TF's block kernels have it
    State = State
    widths = {"h": "H", "c": "U"}
    float32_fields = ("c",)

    def __post_init__(self):
        self.resolve_activations("gate", "candidate", "output")
        check_option("LSTM", "coupled", self.coupled, (None, "input", "forget"))
        check_option("LSTM", "cell_clip_gradient", self.cell_clip_gradient, ("zero", "through"))
        if self.coupled == "forget" and self.forget_bias:
            raise NotSupported("LSTM", f"forget_bias={self.forget_bias} with coupled='forget'", hint="f is 1 - i")
        if self.cell_clip is not None and not self.cell_clip > 0:
            raise NotSupported("LSTM", f"cell_clip={self.cell_clip}, expected a positive number or None")

    @property
    def gates(self):
        return {None: "ifgo", "input": "fgo", "forget": "igo"}[self.coupled]

    def axes(self):
        return {"Wp" + g: "U" for g in self.gates if g != "g"} if self.peepholes else {}

    def forward(self, p, ax, ah, s):              # ax, ah: [B, 4U], blocks i f g o
        a = dict(zip(self.gates, split(ax + ah, len(self.gates))))
        i, ki = self._apply_gate(p, a, "i", s.c)
        f, kf = self._apply_gate(p, a, "f", s.c, self.forget_bias)
        i, f = 1 - f if i is None else i, 1 - i if f is None else f
        g, kg = self.candidate.forward(a["g"])
        c, kn = self._transform_cell(p, f * s.c + i * g)
        if self.cell_clip:
            c = clip(c, self.cell_clip)
        o, ko = self._apply_gate(p, a, "o", c)
        tc, kc = self.output.forward(c)
        h = o * tc
        return h, State(h, c), Kept(i, f, g, o, tc, s.c, c, Pre(ki, kf, kg, ko, kc), kn)

    def backward(self, p, k, dy, d):              # d: gradient of the state after
        dh = dy + d.h                             # h leaves twice: as output and as state
        do = self.gate.backward(k.o, k.pre.o, dh * k.tc)
        dc = d.c + self.output.backward(k.tc, k.pre.c, dh * k.o)
        if self.peepholes:
            dc = dc + p["Wpo"] * do
        if self.cell_clip and self.cell_clip_gradient == "zero":
            dc = dclip(k.c, self.cell_clip, dc)
        dc, dn = self._transform_cell_backward(p, k.norm, dc)
        di, df = dc * k.g, dc * k.c0              # of the gates' values ...
        di, df = {None: (di, df), "input": (None, df - di), "forget": (di - df, None)}[self.coupled]
        da = {"g": self.candidate.backward(k.g, k.pre.g, dc * k.i), "o": do}
        if di is not None:
            da["i"] = self.gate.backward(k.i, k.pre.i, di)                    # ... and of their arguments
        if df is not None:
            da["f"] = self.gate.backward(k.f, k.pre.f, df)
        dc0, dp = dc * k.f, {}
        if self.peepholes:
            dc0 = dc0 + sum(p["Wp" + n] * da[n] for n in "if" if n in da)
            dp = {"Wp" + n: da[n] * (k.c if n == "o" else k.c0) for n in da if n != "g"}
        da = namespace(dc).concatenate([da[n] for n in self.gates], -1)
        return da, da, State(None, dc0), dp | dn  # a = ax + ah, so both get da

    def _apply_gate(self, p, a, gate, c, bias: Any = 0):
        """The gate and what its slope needs; None where a coupled gate has no block of its own."""
        if gate not in a:
            return None, None
        seen = a[gate] + p["Wp" + gate] * c if self.peepholes else a[gate]
        return self.gate.forward(seen + bias if bias else seen)

    def _transform_cell(self, p, c):
        """What becomes of the new c before it is limited: here nothing, in a `NormedLSTM` a norm."""
        return c, None

    def _transform_cell_backward(self, p, k, dc):
        return dc, {}
