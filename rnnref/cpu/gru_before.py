"""The GRU over a whole sequence, with the reset before the product with R.

    gates   r  z  n  rh               r, z are kept as 1 + tanh(a / 2) = 2 sigmoid(a), and rh as 2 r h
    d       r  z  n  h  m             gradients of the arguments; what reaches the old h through z, and through r h
"""
from dataclasses import dataclass
from typing import NamedTuple, Optional

import numpy

from ..arrays import Array
from ..tree import Tree
from .kernel import Kernel, add_product, as_columns, bias_of, each_step, join_columns, pass_dead, with_bias
from .matmul import Product
from .workspaces import Workspace


class _Weights(NamedTuple):
    """For the steps forward."""
    gates: Product                                # of r z: [2U, I + 1 + U], or [2U, U] of one row
    candidate: Product                            # [U, U], halved
    inputs: Array                                 # of n: [U, I + 1]; of one row r z n: [I + 1, 3U]


class _BackWeights(NamedTuple):
    gates: Product                                # [U, 2U]
    candidate: Product                            # [U, U]
    inputs: Array                                 # [3U, I]


@dataclass(frozen=True)
class GRUBeforeKernel(Kernel):
    """The kernel of `GRUBefore`."""
    blocks, gradient_blocks = 4, 5
    gate_blocks = slice(0, 3)

    def pack(self, p: Tree, rows: int) -> _Weights:
        W, R = p[self.cell.inputs.W], p[self.cell.recurrent.W]
        I, U = len(W), len(R)
        b = bias_of(self.cell.inputs, p, 3 * U, W.dtype) + bias_of(self.cell.recurrent, p, 3 * U, W.dtype)
        candidate = Product(numpy.ascontiguousarray(0.5 * R[:, 2 * U:].T), rows)
        if rows == 1:
            inputs = with_bias(W, b)
            inputs[:, :2 * U] *= 0.5
            return _Weights(Product(0.5 * R[:, :2 * U].T, 1), candidate, inputs)
        w = numpy.empty((2 * U, I + 1 + U), W.dtype)
        w[:, :I], w[:, I], w[:, I + 1:] = W[:, :2 * U].T, b[:2 * U], R[:, :2 * U].T
        w *= 0.5
        return _Weights(Product(w, rows), candidate,
                        numpy.ascontiguousarray(with_bias(W[:, 2 * U:], b[2 * U:]).T))

    def pack_backward(self, p: Tree, rows: int) -> _BackWeights:
        W, R = p[self.cell.inputs.W], p[self.cell.recurrent.W]
        U = len(R)
        gates, candidate = (Product(numpy.ascontiguousarray(a), rows) for a in (R[:, :2 * U], R[:, 2 * U:]))
        return _BackWeights(gates, candidate, numpy.ascontiguousarray(W.T))

    def forward_steps(self, weights: _Weights, z: Array, gates: Array, dead: Optional[list], work: Workspace) -> None:
        n, U, dtype, single = len(z) - 1, gates.shape[2], z.dtype, gates.shape[3] == 1
        one, half, add, subtract = numpy.array(1, dtype), numpy.array(0.5, dtype), numpy.add, numpy.subtract
        multiply, tanh, product, candidate = numpy.multiply, numpy.tanh, weights.gates, weights.candidate
        if single:                                # the input product of all steps at once
            z, gates = z[..., 0], gates[..., 0]
            inputs = z[:n, :-U] @ weights.inputs
            inputs, others = inputs[:, :2 * U], inputs[:, 2 * U:]
        else:
            others = inputs = numpy.matmul(weights.inputs, z[:n, :-U])
        hs, m, count, call = z[:, -U:], numpy.empty(gates.shape[2:], dtype), len(gates), product.call
        rz, (out,) = gates[:, :2].reshape(count, 2 * U, *gates.shape[3:]), candidate.results(m[None])
        results = [numpy.empty(2 * U, dtype)] * count if single else product.results(rz)
        slots = each_step(n, gates, results, rz, gates[:, 0], gates[:, 1], gates[:, 2], gates[:, 3])
        for k, (x, base, new, old, h, (y, acts, r, u, c, rh)) in enumerate(zip(
                hs[:n] if single else z[:n], inputs, others, hs, hs[1:], slots)):
            call(x, y)
            if single:
                add(y, base, acts)
            tanh(acts, acts)
            add(acts, one, acts)
            multiply(r, old, rh)
            candidate.call(rh, out)
            add(new, m, c)
            tanh(c, c)
            subtract(old, c, m)
            multiply(m, u, m)
            multiply(m, half, m)
            add(c, m, h)
            if dead is not None and dead[k] is not None:
                numpy.copyto(h, old, where=dead[k])

    def factors(self, weights: _BackWeights, z: Array, gates: Array, out: Array, dead: Optional[list]) -> None:
        n, U = len(out), gates.shape[2]
        r, u, c, h0 = gates[:n, 0], gates[:n, 1], gates[:n, 2], z[:n, -U:]
        numpy.subtract(2, gates[:n, :2], out[:, :2])
        numpy.multiply(c, c, out[:, 2])
        numpy.subtract(1, out[:, 2], out[:, 2])
        out[:, 2] *= out[:, 1]
        out[:, 2] *= 0.5                          # (1 - z) (1 - n n)
        out[:, :2] *= gates[:n, :2]
        out[:, :2] *= 0.25
        out[:, 0] *= h0
        numpy.subtract(h0, c, out[:, 3])
        out[:, 1] *= out[:, 3]
        numpy.multiply(u, 0.5, out[:, 3])
        numpy.multiply(r, 0.5, out[:, 4])
        pass_dead(out, 3, dead)

    def backward_steps(self, weights: _BackWeights, z: Array, f: Array, dy: Array, d: Array, ds: list,
                       dead: Optional[list]) -> None:
        add, multiply, gates, candidate, (dh,) = numpy.add, numpy.multiply, weights.gates, weights.candidate, ds
        if d.shape[3] == 1:
            f, dy, d, dh = (a[..., 0] for a in (f, dy, d, dh))
        drh, operands = numpy.empty(dh.shape, d.dtype), d[:, :2].reshape(len(d), -1, *d.shape[3:])
        (out,), (resets,) = gates.results(dh[None]), candidate.results(drh[None])
        for dyk, f_h, of_h, news, f_r, of_r, f_m, m, x, through in zip(*(a[::-1] for a in (
                dy, f[:, 1:4], d[:, 1:4], d[:, 2], f[:, 0], d[:, 0], f[:, 4], d[:, 4], operands, d[:, 3]))):
            add(dh, dyk, dh)
            multiply(dh, f_h, of_h)
            candidate.call(news, resets)
            multiply(drh, f_r, of_r)
            multiply(drh, f_m, m)
            gates.call(x, out)
            add(dh, through, dh)
            add(dh, m, dh)

    def accumulate(self, weights: _BackWeights, z: Array, gates: Array, da: Array, dh: Array, sums: dict,
                   work: Workspace) -> None:
        n, U, zs = len(z) - 1, gates.shape[2], as_columns(z[:-1], work, "z")
        add_product(sums, "inputs", zs[:-U], da)
        add_product(sums, "gates", zs[-U:], da[:2 * U])
        add_product(sums, "candidate", as_columns(gates[:n, 3], work, "rh"), da[2 * U:])

    def unpack(self, p: Tree, sums: dict) -> dict:
        cell, inputs = self.cell, sums["inputs"]
        recurrent = join_columns(sums["gates"], 0.5 * sums["candidate"])
        dp = {cell.inputs.W: inputs[:-1].copy(), cell.recurrent.W: recurrent}
        return dp | {name: inputs[-1].copy() for name in (cell.inputs.b, cell.recurrent.b) if name}
