"""The LSTM over a whole sequence: peepholes, coupled gates, clipping and projection included.

    gates   c  g  f  i  o  tc         c before the step; f, i, o are kept as 1 + tanh(a / 2) = 2 sigmoid(a)
    d       dc i  f  g  o  dc of h    gradients: of the old c, of the arguments in the order of the parameters, and what
                                      reaches the new c through h'

One tanh serves all gates, because the 1/2 of the sigmoid's argument is folded into the weights; h is kept doubled, with
the 1/2 in R.  Forward, a coupled gate 1 - sigmoid(a) = sigmoid(-a) is an ordinary one with the weights of the other,
negated.  Gradients of arguments are kept multiplied, g by 2 and f, i, o by 4; weights of the way back hold 1/2 and 1/4.
"""
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice, repeat
from typing import Any, NamedTuple, Optional

import numpy

from ..arrays import Array
from ..cell import ProjectedCell
from ..tree import Tree
from .kernel import Kernel, add_product, add_to, as_columns, each_step, pass_dead, with_bias
from .matmul import Product
from .workspaces import Workspace, make_aligned

_ORDER = "gfio"                                   # of blocks of `gates`
_ARGUMENT = 1.0, 0.5, 0.5, 0.5                    # the tanh of a block is that of its argument times this
_SLOPE = {"g": 0.5}                               # what `d` holds of a gate, times this or 1/4, is its gradient


class _Weights(NamedTuple):
    """For the steps forward."""
    product: Product                              # [4U, I + 1 + H], or [4U, H] of one row
    inputs: Optional[Array]                       # of one row: [I + 1, 4U], for all steps at once
    peepholes: Optional[Array]                    # [3, U, 1], halved: f i o
    projection: Optional[Product]


class _BackWeights(NamedTuple):
    recurrent: Product                            # [H, G]
    inputs: Array                                 # [G, I]
    peepholes: Optional[dict]                     # of each gate [U, 1], a quarter
    projection: Optional[Product]                 # [U, H]


@lru_cache(64)
def _make_slopes(gates: tuple, width: int, dtype: Any) -> Array:
    slopes = numpy.repeat(numpy.array([_SLOPE.get(q, 0.25) for q in gates], dtype), width // len(gates))
    slopes.flags.writeable = False
    return slopes


@dataclass(frozen=True)
class LSTMKernel(Kernel):
    """The kernel of `GatedCell` with `LSTMRule`, and of `ProjectedCell` of such."""
    blocks, carried = 6, True

    @property
    def gradient_blocks(self) -> int:
        return len(self._inner.rule.gates) + 2

    @property
    def gate_blocks(self) -> slice:
        return slice(1, self.gradient_blocks - 1)

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

    def _blocks_of(self, a: Array, out: Array, factors: tuple) -> Array:
        """[..., G] of the parameters into out [..., 4, U], each block in the order here and multiplied."""
        parts = a.reshape(*a.shape[:-1], len(self._inner.rule.gates), out.shape[-1])    # not -1: W may be empty
        for q, ((source, sign), factor) in enumerate(zip(self._sources, factors)):
            numpy.multiply(parts[..., source, :], sign * factor, out[..., q, :])
        return out

    def _slopes(self, width: int, dtype: Any) -> Array:
        """[G]: what the gradients of arguments in `d` are to be multiplied by."""
        return _make_slopes(self._inner.rule.gates, width, dtype)

    def _bias(self, p: Tree, U: int, dtype: Any) -> Array:
        """The sum of all biases [G]."""
        cell, b = self._inner, numpy.zeros(len(self._inner.rule.gates) * U, dtype)
        for name in (cell.inputs.b, cell.recurrent.b):
            if name:
                b += p[name]
        if cell.rule.forget_bias:
            f = cell.rule.gates.index("f")
            b[f * U:(f + 1) * U] += cell.rule.forget_bias
        return b

    def _peepholes(self, p: Tree) -> Optional[Array]:
        """[3, U, 1] of f i o, halved."""
        rule = self._inner.rule
        if not rule.peepholes:
            return None
        return numpy.stack([0.5 * sign * p["Wp" + rule.gates[source]] for source, sign in self._sources[1:]])[..., None]

    def pack(self, p: Tree, rows: int) -> _Weights:
        W, R = p[self._inner.inputs.W], p[self._inner.recurrent.W]
        I, H, U = len(W), len(R), W.shape[1] // len(self._inner.rule.gates)
        b, of_h = self._bias(p, U, W.dtype), tuple(factor / self.h_scale for factor in _ARGUMENT)
        if rows == 1:
            R = self._blocks_of(R, make_aligned((H, 4, U), W.dtype), of_h).reshape(H, 4 * U)
            inputs = self._blocks_of(with_bias(W, b), numpy.empty((I + 1, 4, U), W.dtype), _ARGUMENT)
            inputs = inputs.reshape(I + 1, 4 * U)
            product = Product(R.T, 1)
        else:
            w, inputs = numpy.empty((4 * U, I + 1 + H), W.dtype), None
            columns = w.reshape(4, U, -1).transpose(2, 0, 1)
            self._blocks_of(W, columns[:I], _ARGUMENT)
            self._blocks_of(R, columns[I + 1:], of_h)
            self._blocks_of(b, columns[I], _ARGUMENT)
            product = Product(w, rows)
        projection = Product(numpy.ascontiguousarray(p[self.cell.map.W].T) * 0.5, rows) if self._projected else None
        return _Weights(product, inputs, self._peepholes(p), projection)

    def pack_backward(self, p: Tree, rows: int) -> _BackWeights:
        W, R, rule = p[self._inner.inputs.W], p[self._inner.recurrent.W], self._inner.rule
        slopes = self._slopes(W.shape[1], W.dtype)
        peepholes = {q: 0.25 * p["Wp" + q][:, None] for q in rule.gates if q != "g"} if rule.peepholes else None
        return _BackWeights(Product(R * slopes, rows), (W * slopes).T, peepholes,
                            Product(p[self.cell.map.W], rows) if self._projected else None)

    def forward_steps(self, weights: _Weights, z: Array, gates: Array, dead: Optional[list], work: Workspace) -> None:
        n, limit, (U, rows), dtype = len(z) - 1, self._inner.rule.cell_clip, gates.shape[2:], z.dtype
        H = self.cell.projection if self._projected else U
        if rows == 1 and all(a is None for a in (dead, limit, weights.peepholes, weights.projection)):
            return self._forward_row(weights, z[..., 0], gates[..., 0])
        one, halves = numpy.array(1, dtype), numpy.full(2, 0.5, dtype)
        add, multiply, tanh, clip, copyto = numpy.add, numpy.multiply, numpy.tanh, numpy.clip, numpy.copyto
        product, peepholes, projection, single = weights.product, weights.peepholes, weights.projection, rows == 1
        call, inputs = product.call, weights.inputs
        if single:                                # arrays of one axis take less time for a call
            z, gates, peepholes = z[..., 0], gates[..., 0], None if peepholes is None else peepholes[..., 0]
        operands, bases, hs = z[:n], repeat(None), z[:, -H:]
        if inputs is not None:                    # the input product of all steps at once, and one with R in each step
            operands, bases = hs[:n], z[:n, :-H] @ inputs
        full = hs[1:] if projection is None else numpy.empty((n, *gates.shape[2:]), dtype)
        m, a = numpy.empty((2, *gates.shape[2:]), dtype), gates[:, 1:5].reshape(len(gates), 4 * U, *gates.shape[3:])
        results = product.results(a) if inputs is None else [numpy.empty(4 * U, dtype)] * len(gates)
        pair, m0, old, now = m.reshape(2, -1), m[0], gates[0, 0], None
        slots = each_step(n, gates, results, a, gates[:, 2:5], gates[:, 0:2], gates[:, 2:4], gates[:, 4], gates[:, 5])
        after = islice(each_step(n + 1, gates, gates[:, 0]), 1, None)
        for k, x, base, h, (c,), (y, acts, sigmoids, cg, fi, o, tc) in zip(
                range(n), operands, bases, full, after, slots):
            call(x, y)
            if base is not None:
                add(y, base, acts)
            if peepholes is None:
                tanh(acts, acts)
                add(sigmoids, one, sigmoids)
            else:                                 # o waits for the new c
                multiply(peepholes[:2], old, m)
                add(fi, m, fi)
                tanh(acts[:3 * U], acts[:3 * U])
                add(fi, one, fi)
            multiply(cg, fi, m)                   # 2 f c and 2 i g
            halves.dot(pair, c if single else c.reshape(-1))          # their sum, halved
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
            if dead is not None:
                now = dead[k]
                if now is not None:
                    copyto(c, old, where=now)
                    copyto(hs[k + 1], hs[k], where=now)
            old = c

    def _forward_row(self, weights: _Weights, z: Array, gates: Array) -> None:
        """The steps of one row and no options: a call on the same arrays at every step takes the least time."""
        n, U, dtype, call = len(z) - 1, gates.shape[2], z.dtype, weights.product.call
        add, multiply, tanh, one, halve = numpy.add, numpy.multiply, numpy.tanh, numpy.array(1, dtype), numpy.full(
            2, 0.5, dtype).dot
        place, pair = numpy.empty((7, U), dtype), numpy.empty((2, U), dtype)
        blocks, acts, sigmoids, cg, fi = (place[j:k].reshape(-1) for j, k in ((0, 6), (1, 5), (2, 5), (0, 2), (2, 4)))
        (c, _, _, _, o, tc, new), m, y = place, pair.reshape(-1), numpy.empty(4 * U, dtype)
        keeps: Any = repeat(None) if len(gates) <= n else gates.reshape(len(gates), 6 * U)
        c[...], x = gates[0, 0], z[0, -U:]
        if len(gates) <= n:                       # no one asks for the old c
            new = c
        for base, h, kept in zip(z[:n, :-U] @ weights.inputs, z[1:, -U:], keeps):
            call(x, y)
            add(y, base, acts)
            tanh(acts, acts)
            add(sigmoids, one, sigmoids)
            multiply(cg, fi, m)
            halve(pair, new)
            tanh(new, tc)
            multiply(o, tc, h)
            if kept is not None:
                kept[...] = blocks
                c[...] = new
            x = h
        gates[n % len(gates), 0] = c

    def _project(self, projection: Product, full: Array, h: Array) -> None:
        """The projected h of a step, clipped."""
        projection.call(full, projection.results(h[None])[0])
        if self.cell.clip is not None:
            numpy.clip(h, -self.cell.clip, self.cell.clip, h)

    def factors(self, weights: _BackWeights, z: Array, gates: Array, out: Array, dead: Optional[list]) -> None:
        n, rule = len(out), self._inner.rule
        c0, g, f, i, o, tc = (gates[:n, q] for q in range(6))
        at = {q: out[:, k] for k, q in enumerate(rule.gates, 1)}
        by = {"f": c0, "i": g, "o": tc}
        if rule.coupled:                          # the other gate is 1 - this one
            this, other = ("f", "i") if rule.coupled == "input" else ("i", "f")
            by[this] = by[this] - by[other]
        for q, s in zip("fio", (f, i, o)):
            if q in at:
                numpy.subtract(2, s, at[q])
                at[q] *= s                        # the slope, times 4
                at[q] *= by[q]
        through = out[:, -1]
        for slope, y, s in ((at["g"], g, i), (through, tc, o)):
            numpy.multiply(y, y, slope)
            numpy.subtract(1, slope, slope)
            slope *= s                            # the slopes of g and of tanh(c), times 2
        through *= 0.5
        numpy.multiply(f, 0.5, out[:, 0])
        for q, w in (weights.peepholes or {}).items():
            to = through if q == "o" else out[:, 0]
            to += w * at[q]
        if rule.cell_clip is not None and rule.cell_clip_gradient == "zero":
            out[:, :-2] *= (abs(gates[1:n + 1, 0]) < rule.cell_clip)[:, None]
        pass_dead(out, 0, dead)

    def backward_steps(self, weights: _BackWeights, z: Array, f: Array, dy: Array, d: Array, ds: list,
                       dead: Optional[list]) -> None:
        if d.shape[3] == 1 and dead is None and weights.projection is None:
            return self._backward_row(weights, f, dy, d, ds)
        add, multiply, recurrent, projection = numpy.add, numpy.multiply, weights.recurrent, weights.projection
        (dh, dc), (n, blocks, U, _), single = ds, d.shape, d.shape[3] == 1
        if single:
            z, f, dy, d, dh, dc = (a[..., 0] for a in (z, f, dy, d, dh, dc))
        call, (out,) = recurrent.call, recurrent.results(dh[None])
        full = dh if projection is None else numpy.empty(d.shape[2:], d.dtype)
        inside = abs(z[1:, -len(dh):]) < self.cell.clip if projection and self.cell.clip is not None else None
        operands, now, passing = d[:, 1:-1].reshape(n, (blocks - 2) * U, *d.shape[3:]), None, dh
        by_h, by_c, few = full, dc, numpy.empty((blocks, U), d.dtype)
        if single:                                # a copy for each block takes less time than a product that broadcasts
            by_h, by_c = few[-2:], few[:-2]
        for k, x, dyk, of_c, f_c, of_h, f_h, through_h, old in zip(range(n)[::-1], *(a[::-1] for a in (
                operands, dy, d[:, :-2], f[:, :-2], d[:, -2:], f[:, -2:], d[:, -1], d[:, 0]))):
            add(dh, dyk, dh)
            if dead is not None:
                now = dead[k]
                if now is not None:
                    passing = dh * now
            if projection is not None:
                if inside is not None:
                    multiply(dh, inside[k], dh)
                dyk[...] = dh                     # for the gradient of P
                if now is not None:
                    numpy.copyto(dyk, 0, where=now)
                projection.call(dh, projection.results(full[None])[0])
            if single:
                by_h[...] = full
            multiply(by_h, f_h, of_h)
            add(dc, through_h, dc)
            if single:
                by_c[...] = dc
            else:
                by_c = dc
            multiply(by_c, f_c, of_c)
            dc = old
            call(x, out)
            if now is not None:
                add(dh, passing, dh)
        ds[1] = dc.reshape(ds[1].shape).copy()

    def _backward_row(self, weights: _BackWeights, f: Array, dy: Array, d: Array, ds: list) -> None:
        """Back through the steps of one row and no options, as `_forward_row` goes ahead."""
        n, blocks, U, _ = d.shape
        add, multiply, call = numpy.add, numpy.multiply, weights.recurrent.call
        (place, by), dh = numpy.empty((2, blocks, U), d.dtype), ds[0][..., 0]
        whole, of_gates, of_c, of_h = (place[a:b].reshape(-1) for a, b in ((0, None), (1, -1), (0, -2), (-2, None)))
        dcs, dhs, dc, through = by[:-2], by[-2:], place[0], place[-1]
        by_c, by_h = dcs.reshape(-1), dhs.reshape(-1)
        dc[...] = ds[1][..., 0]
        f, d = f.reshape(n, blocks * U), d.reshape(n, blocks * U)
        for dyk, f_c, f_h, kept in zip(dy[::-1, :, 0], f[::-1, :-2 * U], f[::-1, -2 * U:], d[::-1]):
            add(dh, dyk, dh)
            dhs[...] = dh                         # a copy for each block takes less time than a product that broadcasts
            multiply(by_h, f_h, of_h)
            add(dc, through, dc)
            dcs[...] = dc
            multiply(by_c, f_c, of_c)
            kept[...] = whole
            call(of_gates, dh)
        ds[1][..., 0] = dc

    def accumulate(self, weights: _BackWeights, z: Array, gates: Array, da: Array, dh: Array, sums: dict,
                   work: Workspace) -> None:
        n, U, rows, of = len(z) - 1, gates.shape[2], gates.shape[3], self._inner.rule.gates
        add_product(sums, "all", as_columns(z[:n], work, "z"), da)
        if weights.peepholes is not None:
            parts = dict(zip(of, da.reshape(len(of), U, n, rows)))
            for q in weights.peepholes:
                c = gates[1:n + 1, 0] if q == "o" else gates[:n, 0]
                add_to(sums, q, (parts[q] * c.swapaxes(0, 1)).sum((1, 2)))
        if weights.projection is not None:
            full = 0.5 * gates[:n, 4] * gates[:n, 5]
            add_product(sums, "P", as_columns(full, work, "full"), as_columns(dh, work, "dh"))

    def unpack(self, p: Tree, sums: dict) -> dict:
        cell, every = self._inner, sums["all"]    # [I + 1 + H, G]
        I, slopes = len(p[cell.inputs.W]), self._slopes(every.shape[1], every.dtype)
        dp = {cell.inputs.W: every[:I] * slopes, cell.recurrent.W: every[I + 1:] * (slopes / self.h_scale)}
        dp |= {m.b: every[I] * slopes for m in (cell.inputs, cell.recurrent) if m.b}
        dp |= {"Wp" + q: 0.25 * sums[q] for q in cell.rule.gates if q in sums}
        return dp | ({self.cell.map.W: sums["P"]} if self._projected else {})
