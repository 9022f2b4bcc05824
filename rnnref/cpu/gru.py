"""The GRU over a whole sequence, with the reset after the product with R.

    gates   hn  r  z  n               hn = (h R_n + bR_n) / 2;  r, z are kept as 1 + tanh(a / 2) = 2 sigmoid(a)
    d       hn  r  z  n  h            gradients of the arguments, and what reaches the old h through z
"""
from dataclasses import dataclass
from itertools import repeat
from typing import Any, NamedTuple, Optional

import numpy

from ..arrays import Array
from ..tree import Tree
from .kernel import Kernel, add_product, as_columns, bias_of, each_step, join_columns, pass_dead, with_bias
from .matmul import Product
from .workspaces import Workspace, make_aligned

_MOST_ZEROS = 1 << 19                             # products with zeros that take less time than a product of its own


class _Weights(NamedTuple):
    """For the steps forward."""
    whole: Optional[Product]                      # of hn r z: [3U, I + 1 + U], of one row hn r z hn: [4U, U]; ...
    gates: Any                                    # ... or, where it is None or x infinite, that of r z
    recurrent: Optional[Product]                  # and of hn: [U, 1 + U]
    inputs: Array                                 # of n: [U, I + 1]; of one row r z n: [I + 1, 3U]
    bias: Any                                     # of one row: that of hn


class _BackWeights(NamedTuple):
    recurrent: Product                            # [U, 3U] of hn r z
    inputs: Array                                 # [3U, I] of r z n


@dataclass(frozen=True)
class GRUKernel(Kernel):
    """The kernel of `GatedCell` with `GRURule`."""
    blocks, gradient_blocks = 4, 5
    gate_blocks, input_block = slice(0, 4), 1

    def pack(self, p: Tree, rows: int) -> _Weights:
        W, R = p[self.cell.inputs.W], p[self.cell.recurrent.W]
        I, U = len(W), len(R)
        b, bR = bias_of(self.cell.inputs, p, 3 * U, W.dtype), bias_of(self.cell.recurrent, p, 3 * U, W.dtype)
        b[:2 * U] += bR[:2 * U]
        if rows == 1:
            b[2 * U:] += 0.5 * bR[2 * U:]
            inputs = with_bias(W, b)
            inputs[:, :2 * U] *= 0.5
            columns = numpy.concatenate([R[:, 2 * U:], R], 1, out=make_aligned((U, 4 * U), R.dtype))
            columns *= 0.5
            return _Weights(Product(columns.T, 1), None, None, inputs, 0.5 * bR[2 * U:])
        w = numpy.zeros((3 * U, I + 1 + U), W.dtype)                          # hn has no part of x
        w[:U, I], w[:U, I + 1:] = bR[2 * U:], R[:, 2 * U:].T
        w[U:, :I], w[U:, I], w[U:, I + 1:] = W[:, :2 * U].T, b[:2 * U], R[:, :2 * U].T
        w *= 0.5
        inputs = numpy.ascontiguousarray(with_bias(W[:, 2 * U:], b[2 * U:]).T)
        whole = Product(w, rows) if U * I * rows <= _MOST_ZEROS else None
        recurrent = w[:U, I:] if whole else numpy.ascontiguousarray(w[:U, I:])
        return _Weights(whole, Product(w[U:], rows), Product(recurrent, rows), inputs, None)

    def pack_backward(self, p: Tree, rows: int) -> _BackWeights:
        W, R = p[self.cell.inputs.W], p[self.cell.recurrent.W]
        U = len(R)
        return _BackWeights(Product(numpy.concatenate([R[:, 2 * U:], R[:, :2 * U]], 1), rows),
                            numpy.ascontiguousarray(W.T))

    def forward_steps(self, weights: _Weights, z: Array, gates: Array, dead: Optional[list], work: Workspace) -> None:
        if gates.shape[3] == 1:
            return self._forward_row(weights, z[..., 0], gates[..., 0], dead)
        n, U, dtype = len(z) - 1, gates.shape[2], z.dtype
        one, half, add, subtract = numpy.array(1, dtype), numpy.array(0.5, dtype), numpy.add, numpy.subtract
        multiply, tanh, product, recurrent = numpy.multiply, numpy.tanh, weights.whole, None
        if product is None or numpy.isinf(z[:n, :-U - 1]).any():              # 0 times infinity is no zero
            product, recurrent = weights.gates, weights.recurrent
        others = numpy.matmul(weights.inputs, z[:n, :-U])
        hs, m, count, call = z[:, -U:], numpy.empty(gates.shape[2:], dtype), len(gates), product.call
        rz, all_three = gates[:, 1:3].reshape(count, 2 * U, -1), gates[:, :3].reshape(count, 3 * U, -1)
        results = product.results(rz if recurrent else all_three)
        first = recurrent.results(gates[:, 0]) if recurrent else all_three
        slots = each_step(n, gates, results, first, rz, gates[:, 0], gates[:, 1], gates[:, 2], gates[:, 3])
        for x, h0, new, old, h, now, (y, hn_out, acts, hn, r, u, c) in zip(
                z, z[:, -U - 1:], others, hs, hs[1:], dead or repeat(None), slots):
            call(x, y)
            if recurrent:
                recurrent.call(h0, hn_out)
            tanh(acts, acts)
            add(acts, one, acts)
            multiply(r, hn, m)
            add(new, m, c)
            tanh(c, c)
            subtract(old, c, m)
            multiply(m, u, m)
            multiply(m, half, m)
            add(c, m, h)
            if now is not None:
                numpy.copyto(h, old, where=now)

    def _forward_row(self, weights: _Weights, z: Array, gates: Array, dead: Optional[list]) -> None:
        """The steps of one row: a call on the same arrays of one axis at every step takes the least time.

        The input product is that of all steps at once; one sum a step adds to all blocks what comes of x and biases.
        With t = tanh(a / 2), r and z are not formed: the argument of n has 2 r hn = hn + t hn, h' is n and halves of
        h - n and t (h - n).  So the product with R gives hn twice.
        """
        n, U, dtype, call = len(z) - 1, gates.shape[2], z.dtype, weights.whole.call           # type: ignore[union-attr]
        add, subtract, multiply, tanh = numpy.add, numpy.subtract, numpy.multiply, numpy.tanh
        place, y, bases = numpy.empty((6, U), dtype), numpy.empty(4 * U, dtype), numpy.empty((n, 4 * U), dtype)
        (hn, r, u, c, d, m), blocks, rz, three = place, place[:4].reshape(-1), place[1:3].reshape(-1), place[3:]
        bases[:, :U] = weights.bias
        numpy.matmul(z[:n, :-U], weights.inputs, bases[:, U:])
        keeps: Any = gates.reshape(len(gates), 4 * U) if len(gates) > n else repeat(None)
        blend, old = numpy.array([1, 0.5, 0.5], dtype).dot, z[0, -U:]
        for base, h, now, kept in zip(bases, z[1:, -U:], dead or repeat(None), keeps):
            call(old, y)
            add(y, base, blocks)
            tanh(rz, rz)
            multiply(r, hn, m)
            add(c, m, c)
            tanh(c, c)
            subtract(old, c, d)
            multiply(d, u, m)
            blend(three, h)
            if now is not None:
                numpy.copyto(h, old, where=now)
            if kept is not None:
                kept[...] = blocks
            old = h
        if len(gates) > n:
            gates[:n, 1:3] += 1

    def factors(self, weights: _BackWeights, z: Array, gates: Array, out: Array, dead: Optional[list]) -> None:
        n, U = len(out), gates.shape[2]
        hn, r, u, c = (gates[:n, q] for q in range(4))
        numpy.subtract(2, gates[:n, 1:3], out[:, 1:3])
        numpy.multiply(c, c, out[:, 3])
        numpy.subtract(1, out[:, 3], out[:, 3])
        out[:, 3] *= out[:, 2]
        out[:, 3] *= 0.5                          # (1 - z) (1 - n n)
        out[:, 1:3] *= gates[:n, 1:3]
        out[:, 1] *= hn
        out[:, 1] *= out[:, 3]
        numpy.subtract(z[:n, -U:], c, out[:, 4])
        out[:, 2] *= out[:, 4]
        out[:, 1] *= 0.5
        out[:, 2] *= 0.25
        numpy.multiply(out[:, 3], r, out[:, 0])
        out[:, 0] *= 0.5
        numpy.multiply(u, 0.5, out[:, 4])
        pass_dead(out, 4, dead)

    def backward_steps(self, weights: _BackWeights, z: Array, f: Array, dy: Array, d: Array, ds: list,
                       dead: Optional[list]) -> None:
        add, multiply, product, (dh,), (n, blocks, U, rows) = numpy.add, numpy.multiply, weights.recurrent, ds, d.shape
        operands, throughs, by, copies = d[:, :3].reshape(n, 3 * U, rows), d[:, 4], dh, None
        if rows == 1:                             # a copy for each block takes less time than a product that broadcasts
            f, d = f.reshape(n, blocks * U), d.reshape(n, blocks * U)
            operands, throughs, dy, dh = (a[..., 0] for a in (operands, throughs, dy, dh))
            copies = numpy.empty((blocks, U), d.dtype)
            by = copies.reshape(-1)
        call, (out,) = product.call, product.results(dh[None])
        for x, dyk, fk, dk, through in zip(*(a[::-1] for a in (operands, dy, f, d, throughs))):
            add(dh, dyk, dh)
            if copies is not None:
                copies[...] = dh
            multiply(by, fk, dk)
            call(x, out)
            add(dh, through, dh)

    def accumulate(self, weights: _BackWeights, z: Array, gates: Array, da: Array, dh: Array, sums: dict,
                   work: Workspace) -> None:
        U, zs = gates.shape[2], as_columns(z[:-1], work, "z")
        add_product(sums, "inputs", zs[:-U], da[U:])
        add_product(sums, "recurrent", zs[-U - 1:], da[:3 * U])

    def unpack(self, p: Tree, sums: dict) -> dict:
        cell, inputs, recurrent = self.cell, sums["inputs"], sums["recurrent"]
        U = recurrent.shape[1] // 3
        rz, hn = recurrent[:, U:], recurrent[:, :U]
        dp = {cell.inputs.W: inputs[:-1].copy(), cell.recurrent.W: join_columns(rz[1:], hn[1:])}
        dp |= {cell.inputs.b: inputs[-1].copy()} if cell.inputs.b else {}
        return dp | ({cell.recurrent.b: numpy.concatenate([rz[0], hn[0]])} if cell.recurrent.b else {})
