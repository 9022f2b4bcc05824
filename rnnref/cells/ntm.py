"""The neural Turing machine: a controller that reads and writes a memory by content and by location."""
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

import numpy

from ..arrays import Array, cast, namespace
from ..elementwise import clip, dclip, dsigmoid, dsoftmax, dtanh, sigmoid, softmax, tanh
from ..errors import NotSupported, ShapeError, describe_type
from ..options import keyword_options
from ..shapes import ArraySpec, Size, check_floating, check_input, expect
from ..tree import Tree, apply_mask, choose, map_structure
from ..wrappers.base import ParametricWrapper
from .ntm_addressing import address, address_backward

_LIMIT = 20.0                                      # clips the parameters of the heads and the output, as in TF 1


class State(NamedTuple):
    controller: Any
    reads: Any                                    # [B, R, M]      the last vector of each read head
    focus: Any                                    # [B, R+W, N]    the last weights of each head, read heads first
    memory: Any                                   # [B, N, M]
    time: Any                                     # [B]            number of steps; at 0 the learned first values count


class Kept(NamedTuple):
    first: Any; start: Any; cell: Any; out: Any; controls: Any; y: Any
    address: Any; reads: Any; memory: Any         # `kept` of address; the new reads; the memory before each write
    erase: Any; add: Any; focus: Any


@keyword_options()
@dataclass(frozen=True)
class NTM(ParametricWrapper):
    """The neural Turing machine: a controller with heads on a memory of `slots` vectors of `vector` numbers.

        (r, w, M) = (tanh(reads0), softmax(focus0), memory0) at time 0, else from the state
        o     = controller([x, r_1, r_2, ...])          p = clip(o Wh + bh), a part for each head:
        k     = tanh, beta = softplus, g = sig, S = softmax [2 shift + 1], gamma = 1 + softplus
        K_n   = M_n . k / (|M_n| |k| + 1e-8)            wc = softmax(beta K)
        wg    = g wc + (1 - g) w                        w~_n = sum_j S_j wg_(n - j), cyclic in n
        w'    = w~^gamma / sum w~^gamma                 r' = w' M of each read head, of the old memory
        M'    = M (1 - w' e) + w' a                     of each write head in turn; e = sig, a = tanh, parts of p
        y     = clip([o, r'_1, ...] Wy + by)

    Shapes        x [B, I], state (the controller's, reads [B, R, M], focus [B, R+W, N], memory [B, N, M], time [B]);
                  Wh [C, (M + 2 shift + 4)(R + W) + 2 M W], bh; Wy [C + R M, outputs], by; reads0 [R, M],
                  focus0 [R+W, N], memory0 [N, M]; those of the controller, with I + R M inputs and an output of C.
                  The shifts of S are 0, +1 .. +shift, then -shift .. -1
    Options       slots: N, vector: M, outputs, read_heads=1: R, write_heads=1: W, shift=1
    Paper         Graves, Wayne & Danihelka, "Neural Turing machines" (2014), eqs. 2-9
    Same as       TF 1 NTMCell, whose time is one integer for all rows
    Differs from  the paper: p and y are clipped to [-20, 20], k and a have a tanh, and gamma has no upper limit
    Errors        NotSupported: no slot, no read head or a shift wider than the memory; ShapeError: arrays that do not
                  fit

    >>> import numpy as np, rnnref
    >>> cell = NTM(rnnref.cells.SimpleRNN(), slots=6, vector=4, outputs=2)
    >>> cell.shapes(3, 5)["Wh"], cell.shapes(3, 5)["W"]
    ((5, 28), (7, 5))
    """
    cell: Any
    _: KW_ONLY
    slots: int
    vector: int
    outputs: int
    read_heads: int = 1
    write_heads: int = 1
    shift: int = 1
    own_products = "what its heads and its memory hold"

    def __post_init__(self) -> None:
        if min(self.slots, self.vector, self.outputs, self.read_heads) < 1 or self.write_heads < 0 \
                or not 0 <= 2 * self.shift < self.slots:
            raise NotSupported("NTM", f"slots={self.slots}, vector={self.vector}, outputs={self.outputs}, read_heads="
                                      f"{self.read_heads}, write_heads={self.write_heads}, shift={self.shift}",
                               known="positive numbers, 0 or more write_heads, and 2 shift + 1 up to the slots")

    @property
    def heads(self) -> int:
        return self.read_heads + self.write_heads

    @property
    def per_head(self) -> int:
        return self.vector + 2 * self.shift + 4

    def own_axes(self) -> dict[str, str]:
        n = self.per_head * self.heads + 2 * self.vector * self.write_heads
        return {"Wh": f"C {n}", "bh": f"{n}", "Wy": f"C+{self.read_heads * self.vector} {self.outputs}",
                "by": f"{self.outputs}", "reads0": f"{self.read_heads} {self.vector}",
                "focus0": f"{self.heads} {self.slots}", "memory0": f"{self.slots} {self.vector}"}

    def own_shapes(self, n_in: Any, units: Any) -> tuple[dict, Any]:
        C = self.cell.width(units)
        size = {"C": C, f"C+{self.read_heads * self.vector}": C + self.read_heads * self.vector}
        return ({name: tuple(size.get(w) or int(w) for w in axes.split()) for name, axes in self.own_axes().items()},
                n_in + self.read_heads * self.vector)

    def width(self, units: Any) -> int:
        return self.outputs

    def zeros(self, batch: Any, units: Any, xp: Any = numpy, dtype: Any = "float32") -> State:
        shapes = (self.read_heads, self.vector), (self.heads, self.slots), (self.slots, self.vector), ()
        return State(self.cell.zeros(batch, units, xp, dtype), *(xp.zeros((batch, *n), dtype) for n in shapes))

    def forward(self, p: Tree, x: Array, s: State, extra: Tree = None) -> tuple[Array, State, Any]:
        own, inner = self.split(p)
        xp, B, R, M = namespace(x), len(x), self.read_heads, self.vector
        first, start = s.time < 0.5, (tanh(own["reads0"]), softmax(own["focus0"]), own["memory0"])
        reads, focus, memory = [choose(first, xp.broadcast_to(a, b.shape), b) for a, b in zip(start, s[1:4])]
        inputs = cast(xp.concatenate([x, reads.reshape(B, R * M)], -1), x)
        o, controller, k = self.cell.forward(inner, inputs, s.controller, extra)
        controls = clip(o @ own["Wh"] + own["bh"], _LIMIT)
        n = self.per_head * self.heads
        focus, ka = address(controls[:, :n].reshape(B, self.heads, self.per_head), focus, memory, self.shift)
        reads = focus[:, :R] @ memory
        tail = controls[:, n:].reshape(B, self.write_heads, 2, M)
        erase, new = sigmoid(tail[:, :, 0]), tanh(tail[:, :, 1])
        memories = [memory]
        for h in range(self.write_heads):
            w = focus[:, R + h, :, None]
            memories.append(memories[-1] * (1 - w * erase[:, h, None]) + w * new[:, h, None])
        out = xp.concatenate([o, reads.reshape(B, R * M)], -1)
        y = clip(out @ own["Wy"] + own["by"], _LIMIT)
        after = State(controller, reads, focus, memories[-1], s.time + 1)
        return cast(y, x), map_structure(cast, after, s), Kept(
            first, start[:2], k, out, controls, y, ka, reads, tuple(memories[:-1]) or (memory,), erase, new, focus)

    def backward(self, p: Tree, k: Any, dy: Array, d: Any) -> tuple[Array, State, Tree, Tree]:
        own, inner = self.split(p)
        xp, B, R, M = namespace(dy), len(dy), self.read_heads, self.vector
        C = k.out.shape[-1] - R * M
        dy = dclip(k.y, _LIMIT, dy)
        dp = {"Wy": k.out.T @ dy, "by": dy.sum(0)}
        dout = dy @ own["Wy"].T
        dreads = d.reads + dout[:, C:].reshape(B, R, M)
        dmemory, dfocus, dtail = self._write_backward(k, d.memory, d.focus)
        dfocus = xp.concatenate([dfocus[:, :R] + dreads @ k.memory[0].swapaxes(1, 2), dfocus[:, R:]], 1)
        dmemory = dmemory + k.focus[:, :R].swapaxes(1, 2) @ dreads
        dheads, dfocus, dm = address_backward(k.address, dfocus, self.shift)
        dcontrols = xp.concatenate([dheads.reshape(B, self.heads * self.per_head), dtail], -1)
        dcontrols = dclip(k.controls, _LIMIT, dcontrols)
        dp |= {"Wh": k.out[:, :C].T @ dcontrols, "bh": dcontrols.sum(0)}
        do = dout[:, :C] + dcontrols @ own["Wh"].T
        dx, dcontroller, dextra, dq = self.cell.backward(inner, k.cell, do, d.controller)
        n = dx.shape[-1] - R * M
        starts = dx[:, n:].reshape(B, R, M), dfocus, dmemory + dm
        dreads0, dfocus0, dp["memory0"] = (apply_mask(k.first, a).sum(0) for a in starts)
        dp |= {"reads0": dtanh(k.start[0], dreads0), "focus0": dsoftmax(k.start[1], dfocus0)}
        dold = [apply_mask(~k.first, a) for a in starts]
        ds = State(dcontroller, dold[0], dold[1], dold[2], d.time)
        return dx[:, :n], ds, dextra, self.join(dp, dq)

    def _write_backward(self, k: Any, dmemory: Array, dfocus: Array) -> tuple[Array, Array, Array]:
        """Back through the writes: gradients of the memory before them, of all w' and of the parts e and a of p."""
        xp, R, dtail = namespace(dmemory), self.read_heads, []
        dws = [dfocus[:, :R]]
        for h in reversed(range(self.write_heads)):
            w, erase, new = k.focus[:, R + h, :, None], k.erase[:, h, None], k.add[:, h, None]
            dwe, dw = -dmemory * k.memory[h], dmemory
            dws.insert(1, dfocus[:, R + h, None] + (dwe * erase + dw * new).sum(-1)[:, None])
            dtail.insert(0, dtanh(k.add[:, h], (dw * w).sum(1)))
            dtail.insert(0, dsigmoid(k.erase[:, h], (dwe * w).sum(1)))
            dmemory = dmemory * (1 - w * erase)
        dtail = xp.concatenate(dtail, -1) if dtail else xp.zeros((len(dfocus), 0), dfocus.dtype)
        return dmemory, xp.concatenate(dws, 1), dtail

    def check(self, p: Tree, x: Any, s: State, extra: Tree = None, lead: str = "B") -> ArraySpec:
        seen = check_input(self.name, x, f"{lead} I")
        if getattr(s, "_fields", None) != State._fields:
            raise ShapeError(self.name, f"the state is {describe_type(s)}, expected the named tuple "
                                        f"State({', '.join(State._fields)})")
        axes = {"reads": f"B {self.read_heads} {self.vector}", "focus": f"B {self.heads} {self.slots}",
                "memory": f"B {self.slots} {self.vector}", "time": "B"}
        for name, words in axes.items():
            check_floating(self.name, f"state.{name}", getattr(s, name), x.dtype)
            expect(self.name, f"state.{name}", getattr(s, name), words, seen)
        _, inner = self.split(p)
        width = x.shape[-1] + self.read_heads * self.vector
        inputs = ArraySpec((*x.shape[:-1], width), x.dtype, "[x, reads]")
        o = self.cell.check(inner, inputs, s.controller, extra, lead)
        self.check_own(p, x, seen | {"C": Size(o.shape[-1], "the controller"), **_number_sizes(self.own_axes())})
        return ArraySpec((*x.shape[:-1], self.outputs), x.dtype, f"the output of {self.name}")


def _number_sizes(axes: dict) -> dict[str, Size]:
    """The numbers in axes such as "C+8", as sizes."""
    return {w: Size(int(w)) for words in axes.values() for w in words.replace("+", " ").split() if w.isdigit()}
