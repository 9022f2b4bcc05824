"""The LSTM over a whole sequence: peepholes, coupled gates, clipping and projection included.

    gates   c  g  f  i  o  tc         c before the step; f, i, o are kept as 1 + tanh(a / 2) = 2 sigmoid(a)
    d       dc g  f  i  o  dc of h    gradients of the arguments, after that of the old c, and before that through h'

One tanh serves all gates, because the 1/2 of the sigmoid's argument is folded into the weights; h is kept doubled, with
the 1/2 in R.  A coupled gate 1 - sigmoid(a) = sigmoid(-a) is an ordinary one with the weights of the other, negated.
Gradients of arguments are kept multiplied, g by 2 and f, i, o by 4; weights of the way back hold 1/2 and 1/4 for it.
"""
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, repeat
from typing import Any, NamedTuple, Optional

import numpy

from ..arrays import Array
from ..cell import ProjectedCell
from ..tree import Tree
from .kernel import Kernel, add_to, as_columns, each_step, pass_dead
from .matmul import Product
from .workspaces import Workspace

_ORDER = "gfio"                                   # of blocks here
_ARGUMENT = 1.0, 0.5, 0.5, 0.5                    # the tanh of a block is that of its argument times this
_GRADIENT = 0.5, 0.25, 0.25, 0.25                 # what `d` holds of a block, times this, is its gradient


class _Weights(NamedTuple):
    """For the steps forward."""
    product: Product                              # [4U, I + 1 + H], or [4U, H] of one row
    inputs: Optional[tuple]                       # of one row: W [I, 4U] and b, for all steps at once
    peepholes: Optional[Array]                    # [3, U, 1], halved: f i o
    projection: Optional[Product]


class _BackWeights(NamedTuple):
    recurrent: Product                            # [H, 4U]
    inputs: Array                                 # [4U, I]
    peepholes: Optional[Array]                    # [3, U, 1]
    projection: Optional[Product]                 # [U, H]


@dataclass(frozen=True)
class LSTMKernel(Kernel):
    """The kernel of `GatedCell` with `LSTMRule`, and of `ProjectedCell` of such."""
    blocks = gradient_blocks = 6
    gate_blocks = slice(1, 5)
    carried = True

    @cached_property
    def _inner(self) -> Any:
        return self.cell.cell if isinstance(self.cell, ProjectedCell) else self.cell

    @property
    def _projected(self) -> bool:
        return isinstance(self.cell, ProjectedCell)

    @property
    def h_scale(self) -> float:
        return 1.0 if self._projected else 2.0

    @cached_property
    def _sources(self) -> list[tuple[int, int]]:
        """For every block here, the block of the parameters that it is made of, and its sign."""
        rule = self._inner.rule
        coupled = {None: {}, "input": {"i": "f"}, "forget": {"f": "i"}}[rule.coupled]
        return [(rule.gates.index(coupled.get(q, q)), -1 if q in coupled else 1) for q in _ORDER]

    @cached_property
    def _repeated(self) -> list[bool]:
        """For every block here, whether a block before it is made of the same parameters."""
        sources = [source for source, _ in self._sources]
        return [source in sources[:k] for k, source in enumerate(sources)]

    def _blocks_of(self, a: Array, out: Array, factors: tuple = (1.0,) * 4) -> Array:
        """[..., G] of the parameters into out [..., 4, U], each block in the order here and multiplied."""
        parts = a.reshape(*a.shape[:-1], len(self._inner.rule.gates), -1)
        for q, ((source, sign), factor) in enumerate(zip(self._sources, factors)):
            numpy.multiply(parts[..., source, :], sign * factor, out[..., q, :])
        return out

    def _bias(self, p: Tree, U: int, dtype: Any) -> Array:
        """The sum of all biases [4U], multiplied as W is."""
        cell, b = self._inner, numpy.zeros(len(self._inner.rule.gates) * U, dtype)
        for name in (cell.inputs.b, cell.recurrent.b):
            if name:
                b += p[name]
        if cell.rule.forget_bias:
            f = cell.rule.gates.index("f")
            b[f * U:(f + 1) * U] += cell.rule.forget_bias
        return self._blocks_of(b, numpy.empty((4, U), dtype), _ARGUMENT).reshape(4 * U)

    def _peepholes(self, p: Tree) -> Optional[Array]:
        rule = self._inner.rule
        if not rule.peepholes:
            return None
        of_gate = {q: sign * p["Wp" + rule.gates[source]] for q, (source, sign) in zip(_ORDER, self._sources)
                   if q != "g"}
        return numpy.stack([of_gate[q] for q in "fio"])[..., None]

    def pack(self, p: Tree, rows: int) -> _Weights:
        W, R = p[self._inner.inputs.W], p[self._inner.recurrent.W]
        I, H, U = len(W), len(R), W.shape[1] // len(self._inner.rule.gates)
        b, of_h = self._bias(p, U, W.dtype), tuple(factor / self.h_scale for factor in _ARGUMENT)
        if rows == 1:
            R = self._blocks_of(R, numpy.empty((H, 4, U), W.dtype), of_h).reshape(H, 4 * U)
            inputs = self._blocks_of(W, numpy.empty((I, 4, U), W.dtype), _ARGUMENT).reshape(I, 4 * U), b
            product = Product(R.T, 1)
        else:
            w, inputs = numpy.empty((4 * U, I + 1 + H), W.dtype), None
            columns = w.reshape(4, U, -1).transpose(2, 0, 1)
            self._blocks_of(W, columns[:I], _ARGUMENT)
            self._blocks_of(R, columns[I + 1:], of_h)
            w[:, I] = b
            product = Product(w, rows)
        peepholes = self._peepholes(p)
        projection = Product(numpy.ascontiguousarray(p[self.cell.map.W].T) * 0.5, rows) if self._projected else None
        return _Weights(product, inputs, None if peepholes is None else 0.5 * peepholes, projection)

    def pack_backward(self, p: Tree, rows: int) -> _BackWeights:
        W, R = p[self._inner.inputs.W], p[self._inner.recurrent.W]
        I, H, U = len(W), len(R), W.shape[1] // len(self._inner.rule.gates)
        inputs, peepholes = numpy.empty((4 * U, I), W.dtype), self._peepholes(p)
        self._blocks_of(W, inputs.reshape(4, U, I).transpose(2, 0, 1), _GRADIENT)
        R = self._blocks_of(R, numpy.empty((H, 4, U), W.dtype), _GRADIENT).reshape(H, 4 * U)
        P = p[self.cell.map.W] if self._projected else None
        return _BackWeights(Product(R, rows), inputs, None if peepholes is None else 0.25 * peepholes,
                            None if P is None else Product(P, rows))

    def forward_steps(self, weights: _Weights, z: Array, gates: Array, dead: Optional[list], work: Workspace) -> None:
        n, limit, (U, rows), dtype = len(z) - 1, self._inner.rule.cell_clip, gates.shape[2:], z.dtype
        H = self.cell.projection if self._projected else U
        one, halves = numpy.array(1, dtype), numpy.full(2, 0.5, dtype)
        add, multiply, tanh, clip, copyto = numpy.add, numpy.multiply, numpy.tanh, numpy.clip, numpy.copyto
        product, peepholes, projection, single = weights.product, weights.peepholes, weights.projection, rows == 1
        call, inputs = product.call, weights.inputs
        if single:                                # arrays of one axis take less time for a call
            z, gates, peepholes = z[..., 0], gates[..., 0], None if peepholes is None else peepholes[..., 0]
        operands, bases, hs = z[:n], repeat(None), z[:, -H:]
        if inputs is not None:                    # the input product of all steps at once, and one with R in each step
            operands, bases = hs[:n], z[:n, :len(inputs[0])] @ inputs[0] + inputs[1]
        full = hs[1:] if projection is None else numpy.empty((n, *gates.shape[2:]), dtype)
        m, a = numpy.empty((2, *gates.shape[2:]), dtype), gates[:, 1:5].reshape(len(gates), 4 * U, *gates.shape[3:])
        results = product.results(a) if inputs is None else [numpy.empty(4 * U, dtype)] * len(gates)
        pair, m0 = m.reshape(2, -1), m[0]
        ready = 4 if peepholes is None else 3     # gates; with peepholes o waits for the new c
        slots = each_step(n, gates, results, a, a[:, :ready * U], gates[:, 2:1 + ready], gates[:, 0:2],
                          gates[:, 2:4], gates[:, 0], gates[:, 4], gates[:, 5])
        after = islice(each_step(n + 1, gates, gates[:, 0], gates[:, 0].reshape(len(gates), -1)), 1, None)
        for k, (x, base, h, (c, flat), (y, acts, early, sigmoids, cg, fi, old, o, tc)) in enumerate(zip(
                operands, bases, full, after, slots)):
            call(x, y)
            if base is not None:
                add(y, base, acts)
            if peepholes is not None:
                multiply(peepholes[:2], old, m)
                add(fi, m, fi)
            tanh(early, early)
            add(sigmoids, one, sigmoids)
            multiply(cg, fi, m)                   # 2 f c and 2 i g
            halves.dot(pair, flat)                # their sum, halved
            if limit is not None:
                clip(c, -limit, limit, c)
            if peepholes is not None:
                multiply(peepholes[2], c, m0)
                add(o, m0, o)
                tanh(o, o)
                add(o, one, o)
            tanh(c, tc)
            multiply(o, tc, h)
            if projection is not None:
                self._project(projection, h, hs[k + 1])
            if dead is not None and dead[k] is not None:
                copyto(c, old, where=dead[k])
                copyto(hs[k + 1], hs[k], where=dead[k])

    def _project(self, projection: Product, full: Array, h: Array) -> None:
        """The projected h of a step, clipped."""
        projection.call(full, projection.results(h[None])[0])
        if self.cell.clip is not None:
            numpy.clip(h, -self.cell.clip, self.cell.clip, h)

    def factors(self, weights: _BackWeights, z: Array, gates: Array, out: Array, dead: Optional[list]) -> None:
        n, rule = len(out), self._inner.rule
        c0, g, f, i, o, tc = (gates[:n, q] for q in range(6))
        numpy.subtract(2, gates[:n, 2:5], out[:, 2:5])
        out[:, 2:5] *= gates[:n, 2:5]             # the slopes of f, i, o, times 4
        for q, by in ((2, c0), (3, g), (4, tc)):
            out[:, q] *= by
        for q, y, by in ((1, g, i), (5, tc, o)):
            numpy.multiply(y, y, out[:, q])
            numpy.subtract(1, out[:, q], out[:, q])
            out[:, q] *= by                       # the slopes of g and of tanh(c), times 2
        out[:, 5] *= 0.5
        numpy.multiply(f, 0.5, out[:, 0])
        if weights.peepholes is not None:
            for q, w in zip((2, 3), weights.peepholes):
                out[:, 0] += w * out[:, q]
            out[:, 5] += weights.peepholes[2] * out[:, 4]
        if rule.cell_clip is not None and rule.cell_clip_gradient == "zero":
            out[:, :4] *= (abs(gates[1:n + 1, 0]) < rule.cell_clip)[:, None]
        pass_dead(out, 0, dead)

    def backward_steps(self, weights: _BackWeights, z: Array, f: Array, dy: Array, d: Array, ds: list,
                       dead: Optional[list]) -> None:
        add, multiply, recurrent, projection = numpy.add, numpy.multiply, weights.recurrent, weights.projection
        dh, dc = ds
        if d.shape[3] == 1:
            z, f, dy, d, dh, dc = (a[..., 0] for a in (z, f, dy, d, dh, dc))
        n, _, U = d.shape[:3]
        call, (out,) = recurrent.call, recurrent.results(dh[None])
        full = dh if projection is None else numpy.empty(d.shape[2:], d.dtype)
        inside = abs(z[1:, -len(dh):]) < self.cell.clip if projection and self.cell.clip is not None else None
        operands = d[:, 1:5].reshape(n, 4 * U, *d.shape[3:])
        for k, (x, dyk, of_c, f_c, of_h, f_h, through_h, old) in zip(range(n)[::-1], zip(*(
                a[::-1] for a in (operands, dy, d[:, :4], f[:, :4], d[:, 4:], f[:, 4:], d[:, 5], d[:, 0])))):
            add(dh, dyk, dh)
            passing = dh * dead[k] if dead is not None and dead[k] is not None else None
            if projection is not None:
                if inside is not None:
                    multiply(dh, inside[k], dh)
                dyk[...] = dh                     # for the gradient of P
                if passing is not None:
                    numpy.copyto(dyk, 0, where=dead[k])          # type: ignore[index]
                projection.call(dh, projection.results(full[None])[0])
            multiply(full, f_h, of_h)
            add(dc, through_h, dc)
            multiply(dc, f_c, of_c)
            dc = old
            call(x, out)
            if passing is not None:
                add(dh, passing, dh)
        ds[1] = dc.reshape(ds[1].shape).copy()

    def accumulate(self, weights: _BackWeights, z: Array, gates: Array, da: Array, dh: Array, sums: dict,
                   work: Workspace) -> None:
        n, U, rows = len(z) - 1, gates.shape[2], gates.shape[3]
        add_to(sums, "all", da @ as_columns(z[:n], work, "z").T)
        if weights.peepholes is not None:
            for q, c in zip((2, 3, 4), (gates[:n, 0], gates[:n, 0], gates[1:n + 1, 0])):
                add_to(sums, "fio"[q - 2], (da.reshape(4, U, n, rows)[q - 1] * c.swapaxes(0, 1)).sum((1, 2)))
        if weights.projection is not None:
            full = 0.5 * gates[:n, 4] * gates[:n, 5]
            add_to(sums, "P", as_columns(full, work, "full") @ as_columns(dh, work, "dh").T)

    def unpack(self, p: Tree, sums: dict) -> dict:
        cell, blocks, I = self._inner, sums["all"].reshape(4, -1, sums["all"].shape[1]), len(p[self._inner.inputs.W])
        U = blocks.shape[1]
        dp = {name: numpy.empty_like(p[name]) for m in (cell.inputs, cell.recurrent) for name in (m.W, m.b) if name}
        dp |= {"Wp" + q: numpy.empty_like(p["Wp" + q]) for q in cell.rule.gates if q != "g" and cell.rule.peepholes}
        for block, q, (source, sign), add, factor in zip(blocks, _ORDER, self._sources, self._repeated, _GRADIENT):
            at = slice(source * U, (source + 1) * U)
            parts = [(dp[cell.inputs.W][:, at], block[:, :I].T, sign * factor),
                     (dp[cell.recurrent.W][:, at], block[:, I + 1:].T, sign * factor / self.h_scale)]
            parts += [(dp[m.b][at], block[:, I], sign * factor) for m in (cell.inputs, cell.recurrent) if m.b]
            if q in sums:
                parts.append((dp["Wp" + cell.rule.gates[source]], sums[q], sign * factor))
            for out, part, scale in parts:
                numpy.multiply(part, scale, out) if not add else numpy.add(out, scale * part, out)
        return dp | ({self.cell.map.W: sums["P"]} if self._projected else {})
