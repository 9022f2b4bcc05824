"""Rules with fewer gates than the LSTM: UGRNN, CFN, SRU, MinimalRNN, MGU."""
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..arrays import Array, namespace, split
from ..errors import check_option
from ..tree import Tree
from .rule import Rule


class State(NamedTuple):
    h: Any                                        # [B, U]


class Kept(NamedTuple):
    z: Any; n: Any; h0: Any; pre: Any             # pre: arguments of z and n, None if the slope does not need them


@dataclass(frozen=True)
class UGRNNRule(Rule):
    """Update gate network: z = gate(a_z + forget_bias);  n = candidate(a_n);  h' = z h + (1 - z) n."""
    forget_bias: float = 0.0                      # added in every step; no initial value of b
    gate: Any = "sigmoid"
    candidate: Any = "tanh"
    gates = "zn"
    State = State

    def forward(self, p: Tree, ax: Array, ah: Array, s: Tree) -> tuple[Array, Tree, Any]:
        # ax, ah: [B, 2U], blocks z n
        az, an = split(ax + ah, 2)
        z, kz = self.gate.forward(az + self.forget_bias)
        n, kn = self.candidate.forward(an)
        h = z * s.h + (1 - z) * n
        return h, State(h), Kept(z, n, s.h, (kz, kn))

    def backward(self, p: Tree, k: Any, dy: Array, d: Tree) -> tuple[Array, Array, Tree, Tree]:
        dh = dy + d.h
        dz = self.gate.backward(k.z, k.pre[0], dh * (k.h0 - k.n))
        dn = self.candidate.backward(k.n, k.pre[1], dh * (1 - k.z))
        da = namespace(dh).concatenate([dz, dn], -1)
        return da, da, State(dh * k.z), {}


@dataclass(frozen=True)
class MinimalRule(Rule):
    """Minimal RNN: z = gate(a_z);  h' = z h + (1 - z) n, where n does not depend on h and is a block of ax."""
    gate: Any = "sigmoid"
    gates = "z"
    name = "MinimalRNN"
    State = State
    is_additive = False                           # ax holds n beside the block of z

    def forward(self, p: Tree, ax: Array, ah: Array, s: Tree) -> tuple[Array, Tree, Any]:
        # ax: [B, 2U], blocks z n; ah: [B, U]
        az, n = split(ax, 2)
        z, kz = self.gate.forward(az + ah)
        h = z * s.h + (1 - z) * n
        return h, State(h), Kept(z, n, s.h, kz)

    def backward(self, p: Tree, k: Any, dy: Array, d: Tree) -> tuple[Array, Array, Tree, Tree]:
        dh = dy + d.h
        dz = self.gate.backward(k.z, k.pre, dh * (k.h0 - k.n))
        return namespace(dh).concatenate([dz, dh * (1 - k.z)], -1), dz, State(dh * k.z), {}


class KeptCFN(NamedTuple):
    f: Any; i: Any; g: Any; th: Any; pre: Any     # th: activation(h) of the old h


@dataclass(frozen=True)
class CFNRule(Rule):
    """Chaos-free network: f, i = gate(a_f), gate(a_i);  g = activation(ax_g);  h' = f activation(h) + i g.

    g does not depend on h, so ah has the blocks f i alone.
    """
    gate: Any = "sigmoid"
    activation: Any = "tanh"
    complement: bool = False                      # (1 - i) g in the place of i g, as in TF 1
    gates = "fig"
    State = State
    recurrent_axis = "U+U"
    is_additive = False

    def forward(self, p: Tree, ax: Array, ah: Array, s: Tree) -> tuple[Array, Tree, Any]:
        # ax: [B, 3U], blocks f i g; ah: [B, 2U], blocks f i
        (xf, xi, xg), (hf, hi) = split(ax, 3), split(ah, 2)
        f, kf = self.gate.forward(xf + hf)
        i, ki = self.gate.forward(xi + hi)
        g, kg = self.activation.forward(xg)
        th, kh = self.activation.forward(s.h)
        h = f * th + (1 - i if self.complement else i) * g
        return h, State(h), KeptCFN(f, i, g, th, (kf, ki, kg, kh))

    def backward(self, p: Tree, k: Any, dy: Array, d: Tree) -> tuple[Array, Array, Tree, Tree]:
        dh, (kf, ki, kg, kh), xp = dy + d.h, k.pre, namespace(dy)
        df = self.gate.backward(k.f, kf, dh * k.th)
        di = self.gate.backward(k.i, ki, dh * k.g * (-1 if self.complement else 1))
        dg = self.activation.backward(k.g, kg, dh * (1 - k.i if self.complement else k.i))
        dh0 = self.activation.backward(k.th, kh, dh * k.f)
        return xp.concatenate([df, di, dg], -1), xp.concatenate([df, di], -1), State(dh0), {}


class SRUState(NamedTuple):
    c: Any                                        # [B, U]


class KeptSRU(NamedTuple):
    f: Any; r: Any; n: Any; x: Any; tc: Any; c0: Any; pre: Any


@dataclass(frozen=True)
class SRURule(Rule):
    """Simple recurrent unit: f, r = gate(a_f), gate(a_r);  c' = f c + (1 - f) n;  y = r activation(c') + (1 - r) x.

    No product depends on the state.  x is the last block of ax, or, with highway="input", the input itself, which the
    input map appends to ax.
    """
    gate: Any = "sigmoid"
    activation: Any = "tanh"
    highway: str = "projected"
    State = SRUState
    widths = {"c": "U"}
    float32_fields = ("c",)
    is_additive = False                           # x is no argument of a gate

    def __post_init__(self) -> None:
        super().__post_init__()
        check_option("SRU", "highway", self.highway, ("projected", "input"))

    @property
    def gates(self) -> str:
        return {"projected": "nfrx", "input": "nfr"}[self.highway]

    def axes(self) -> dict[str, str]:
        return {"b": "U+U"}                       # of f and r

    def forward(self, p: Tree, ax: Array, ah: Array, s: Tree) -> tuple[Array, Tree, Any]:
        # ax: [B, 4U], blocks n f r x
        n, af, ar, x = split(ax, 4)
        bf, br = split(p["b"], 2)
        f, kf = self.gate.forward(af + bf)
        r, kr = self.gate.forward(ar + br)
        c = f * s.c + (1 - f) * n
        tc, kc = self.activation.forward(c)
        return r * tc + (1 - r) * x, SRUState(c), KeptSRU(f, r, n, x, tc, s.c, (kf, kr, kc))

    def backward(self, p: Tree, k: Any, dy: Array, d: Tree) -> tuple[Array, Array, Tree, Tree]:
        kf, kr, kc = k.pre
        dr = self.gate.backward(k.r, kr, dy * (k.tc - k.x))
        dc = d.c + self.activation.backward(k.tc, kc, dy * k.r)
        df = self.gate.backward(k.f, kf, dc * (k.c0 - k.n))
        xp = namespace(dc)
        da = xp.concatenate([dc * (1 - k.f), df, dr, dy * (1 - k.r)], -1)
        return da, da, SRUState(dc * k.f), {"b": xp.concatenate([df, dr], -1)}


class KeptMGU(NamedTuple):
    f: Any; n: Any; hn: Any; h0: Any; pre: Any


@dataclass(frozen=True)
class MGURule(Rule):
    """Minimal gated unit: f = gate(ax_f + ah_f);  n = candidate(ax_n + f ah_n);  h' = (1 - f) h + f n.

    The one gate is both the update and the reset gate, here with the reset after the product.
    """
    gate: Any = "sigmoid"
    candidate: Any = "tanh"
    keeps: bool = False                           # h' = f h + (1 - f) n, as in flax
    gates = "fn"
    State = State
    is_additive = False

    def forward(self, p: Tree, ax: Array, ah: Array, s: Tree) -> tuple[Array, Tree, Any]:
        # ax, ah: [B, 2U], blocks f n
        (xf, xn), (hf, hn) = split(ax, 2), split(ah, 2)
        f, kf = self.gate.forward(xf + hf)
        n, kn = self.candidate.forward(xn + f * hn)
        h = self.mix(f, s.h, n)
        return h, State(h), KeptMGU(f, n, hn, s.h, (kf, kn))

    def backward(self, p: Tree, k: Any, dy: Array, d: Tree) -> tuple[Array, Array, Tree, Tree]:
        dh, xp = dy + d.h, namespace(dy)
        df, dh0, dn = self.mix_backward(k.f, k.h0, k.n, dh)
        dn = self.candidate.backward(k.n, k.pre[1], dn)
        df = self.gate.backward(k.f, k.pre[0], df + dn * k.hn)
        return xp.concatenate([df, dn], -1), xp.concatenate([df, dn * k.f], -1), State(dh0), {}

    def mix(self, f: Array, h: Array, n: Array) -> Array:
        return f * h + (1 - f) * n if self.keeps else (1 - f) * h + f * n

    def mix_backward(self, f: Array, h: Array, n: Array, d: Array) -> tuple[Array, Array, Array]:
        return (d * (h - n), d * f, d * (1 - f)) if self.keeps else (d * (n - h), d * (1 - f), d * f)
