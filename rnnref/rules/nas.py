"""The cell of an architecture search (Zoph & Le 2017, "Neural architecture search with reinforcement learning")."""
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..arrays import Array, namespace, split
from ..elementwise import dsigmoid, dtanh, sigmoid, tanh, where
from ..tree import Tree
from .lstm import State
from .rule import Rule


class Kept(NamedTuple):
    """The leaves a0 .. a7, the nodes b0 .. b3, and u = tanh(b0 + c), m = tanh(b2 + b3)."""
    a: Any; b: Any; x3: Any; h3: Any; u: Any; m: Any; c: Any; h: Any


@dataclass(frozen=True)
class NASRule(Rule):
    """The cell found by the search of the paper's appendix A: a tree over eight sums, one of which is a product.

    a0 = sig(x0+h0)   a1 = relu(x1+h1)  a2 = sig(x2+h2)  a3 = relu(x3 h3)     b0 = tanh(a0 a1)   b1 = tanh(a2+a3)
    a4 = tanh(x4+h4)  a5 = sig(x5+h5)   a6 = tanh(x6+h6) a7 = sig(x7+h7)      b2 = tanh(a4 a5)   b3 = sig(a6+a7)
    c' = tanh(b0 + c) b1                h' = tanh(c' tanh(b2 + b3))
    """
    gates = "01234567"
    State = State
    widths = {"h": "H", "c": "U"}
    float32_fields = ("c",)
    is_additive = False                           # x3 h3

    def forward(self, p: Tree, ax: Array, ah: Array, s: Tree) -> tuple[Array, Tree, Any]:
        # ax, ah: [B, 8U]
        xs, hs = split(ax, 8), split(ah, 8)
        sums = [x + h for x, h in zip(xs, hs)]
        sums[3] = xs[3] * hs[3]
        a = [f(v) for f, v in zip((sigmoid, _relu, sigmoid, _relu, tanh, sigmoid, tanh, sigmoid), sums)]
        b = tanh(a[0] * a[1]), tanh(a[2] + a[3]), tanh(a[4] * a[5]), sigmoid(a[6] + a[7])
        u, m = tanh(b[0] + s.c), tanh(b[2] + b[3])
        c = u * b[1]
        h = tanh(c * m)
        return h, State(h, c), Kept(tuple(a), b, xs[3], hs[3], u, m, c, h)

    def backward(self, p: Tree, k: Any, dy: Array, d: Tree) -> tuple[Array, Array, Tree, Tree]:
        a, b = k.a, k.b
        dcm = dtanh(k.h, dy + d.h)                # of c' m
        dc = d.c + dcm * k.m
        dm = dtanh(k.m, dcm * k.c)                # of b2 + b3
        du = dtanh(k.u, dc * b[1])                # of b0 + c
        d0, d1 = dtanh(b[0], du), dtanh(b[1], dc * k.u)
        d2, d3 = dtanh(b[2], dm), dsigmoid(b[3], dm)
        da = [dsigmoid(a[0], d0 * a[1]), where(a[1] > 0, d0 * a[0], 0), dsigmoid(a[2], d1), where(a[3] > 0, d1, 0),
              dtanh(a[4], d2 * a[5]), dsigmoid(a[5], d2 * a[4]), dtanh(a[6], d3), dsigmoid(a[7], d3)]
        xp = namespace(dc)
        dax, dah = [xp.concatenate([*da[:3], da[3] * other, *da[4:]], -1) for other in (k.h3, k.x3)]
        return dax, dah, State(None, du), {}


def _relu(x: Array) -> Array:
    return namespace(x).maximum(x, 0)
