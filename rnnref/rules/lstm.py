"""LSTM (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000; peepholes: Gers & Schmidhuber 2000)."""
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

from ..arrays import Array, namespace, split
from ..elementwise import clip, dclip
from ..errors import NotSupported, check_limit, check_option
from ..tree import Tree
from .rule import Rule


class State(NamedTuple):
    h: Any                                        # [B, H]   the input of the recurrent map
    c: Any                                        # [B, U]


class Pre(NamedTuple):
    """Arguments of the five activations, each None if the slope does not need it."""
    i: Any; f: Any; g: Any; o: Any; c: Any


class Kept(NamedTuple):
    i: Any; f: Any; g: Any; o: Any; tc: Any       # tc: output(c')
    c0: Any; c: Any; pre: Any
    norm: Any = None                              # intermediates of _transform_cell


@dataclass(frozen=True)
class LSTMRule(Rule):
    """LSTM: i, f, o = gate(a_i, a_f + forget_bias, a_o);  g = candidate(a_g);  c' = f c + i g;  h' = o output(c').

    With peepholes i and f see the old c, and o the new one.
    """
    forget_bias: float = 0.0                      # added in every step; no initial value of b
    peepholes: bool = False                       # parameters Wpi Wpf Wpo [U]
    coupled: Optional[str] = None                 # "input": i = 1 - f (TF 1); "forget": f = 1 - i (ONNX)
    gate: Any = "sigmoid"
    candidate: Any = "tanh"
    output: Any = "tanh"
    cell_clip: Optional[float] = None             # c' is clipped to [-cell_clip, cell_clip] before o and h' see it
    cell_clip_gradient: str = "zero"              # where clipped: "zero", or "through" as in TF's block kernels
    State = State
    widths = {"h": "H", "c": "U"}
    float32_fields = ("c",)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_option("LSTM", "coupled", self.coupled, (None, "input", "forget"))
        check_option("LSTM", "cell_clip_gradient", self.cell_clip_gradient, ("zero", "through"))
        if self.coupled == "forget" and self.forget_bias:
            raise NotSupported("LSTM", f"forget_bias={self.forget_bias} with coupled='forget'", hint="f is 1 - i")
        check_limit("LSTM", "cell_clip", self.cell_clip)

    @property
    def gates(self) -> str:
        return {None: "ifgo", "input": "fgo", "forget": "igo"}[self.coupled]

    def axes(self) -> dict[str, str]:
        return {"Wp" + g: "U" for g in self.gates if g != "g"} if self.peepholes else {}

    def forward(self, p: Tree, ax: Array, ah: Array, s: Tree) -> tuple[Array, Tree, Any]:
        # ax, ah: [B, 4U], blocks i f g o
        a = dict(zip(self.gates, split(ax + ah, len(self.gates))))
        i, ki = self._apply_gate(p, a, "i", s.c)
        f, kf = self._apply_gate(p, a, "f", s.c, self.forget_bias)
        i, f = 1 - f if i is None else i, 1 - i if f is None else f
        g, kg = self.candidate.forward(a["g"])
        c, kn = self._transform_cell(p, f * s.c + i * g)
        if self.cell_clip is not None:
            c = clip(c, self.cell_clip)
        o, ko = self._apply_gate(p, a, "o", c)
        tc, kc = self.output.forward(c)
        h = o * tc
        return h, State(h, c), Kept(i, f, g, o, tc, s.c, c, Pre(ki, kf, kg, ko, kc), kn)

    def backward(self, p: Tree, k: Any, dy: Array, d: Tree) -> tuple[Array, Array, Tree, Tree]:
        # d: gradient of the new state
        dh = dy + d.h                             # h' is both output and state
        do = self.gate.backward(k.o, k.pre.o, dh * k.tc)
        dc = d.c + self.output.backward(k.tc, k.pre.c, dh * k.o)
        if self.peepholes:
            dc = dc + p["Wpo"] * do
        if self.cell_clip is not None and self.cell_clip_gradient == "zero":
            dc = dclip(k.c, self.cell_clip, dc)
        dc, dn = self._transform_cell_backward(p, k.norm, dc)
        di, df = dc * k.g, dc * k.c0              # of i and f
        di, df = {None: (di, df), "input": (None, df - di), "forget": (di - df, None)}[self.coupled]
        da = {"g": self.candidate.backward(k.g, k.pre.g, dc * k.i), "o": do}
        if di is not None:
            da["i"] = self.gate.backward(k.i, k.pre.i, di)                    # of their arguments
        if df is not None:
            da["f"] = self.gate.backward(k.f, k.pre.f, df)
        dc0, dp = dc * k.f, {}
        if self.peepholes:
            dc0 = dc0 + sum(p["Wp" + n] * da[n] for n in "if" if n in da)
            dp = {"Wp" + n: da[n] * (k.c if n == "o" else k.c0) for n in da if n != "g"}
        da = namespace(dc).concatenate([da[n] for n in self.gates], -1)
        return da, da, State(None, dc0), dp | dn  # a = ax + ah: both have the gradient da

    def _apply_gate(self, p: Tree, a: dict, gate: str, c: Array, bias: Any = 0) -> tuple[Any, Any]:
        """A gate and what its slope needs; None, None for the coupled gate, which has no block."""
        if gate not in a:
            return None, None
        seen = a[gate] + p["Wp" + gate] * c if self.peepholes else a[gate]
        return self.gate.forward(seen + bias if bias else seen)

    def _transform_cell(self, p: Tree, c: Array) -> tuple[Array, Any]:
        """A hook on c' before it is clipped, where CellNormLSTMRule normalises: c' and what the backward pass needs."""
        return c, None

    def _transform_cell_backward(self, p: Tree, k: Any, dc: Array) -> tuple[Array, Tree]:
        return dc, {}
