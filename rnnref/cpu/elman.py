"""The simple RNN over a whole sequence, of tanh or relu.  It keeps nothing but its states, d is of one block."""
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple, Optional

import numpy

from ..arrays import Array
from ..tree import Tree
from .kernel import Kernel, add_product, as_columns, bias_of, with_bias, zero_dead
from .matmul import Product
from .workspaces import Workspace


class _Weights(NamedTuple):
    """For the steps forward."""
    product: Product                              # [U, I + 1 + U], or [U, U] of one row
    inputs: Optional[Array]                       # of one row: [I + 1, U]


class _BackWeights(NamedTuple):
    recurrent: Product                            # [U, U]
    inputs: Array                                 # [U, I]


@dataclass(frozen=True)
class ElmanKernel(Kernel):
    """The kernel of `GatedCell` with `ElmanRule`."""
    blocks = 0

    def pack(self, p: Tree, rows: int) -> _Weights:
        W, R = p[self.cell.inputs.W], p[self.cell.recurrent.W]
        b = sum(bias_of(m, p, len(R), W.dtype) for m in self.cell.maps())
        if rows == 1:
            return _Weights(Product(R.T, 1), with_bias(W, b))
        return _Weights(Product(numpy.ascontiguousarray(numpy.concatenate([with_bias(W, b), R]).T), rows), None)

    def pack_backward(self, p: Tree, rows: int) -> _BackWeights:
        return _BackWeights(Product(p[self.cell.recurrent.W], rows),
                            numpy.ascontiguousarray(p[self.cell.inputs.W].T))

    def forward_steps(self, weights: _Weights, z: Array, gates: Array, dead: Optional[list], work: Workspace) -> None:
        n, U, product, inputs = len(z) - 1, gates.shape[2], weights.product, weights.inputs
        zero, is_tanh, hs = numpy.array(0, z.dtype), self.cell.rule.activation.name == "tanh", z[:, -U:]
        operands, bases, results, call = z[:n], repeat(None), product.results(hs[1:]), product.call
        if inputs is not None:                    # the input product of all steps at once, and one with R in each step
            hs = hs[..., 0]
            operands, bases, results = hs[:n], z[:n, :-U, 0] @ inputs, [numpy.empty(U, z.dtype)] * n
        for k, (x, y, base, old, h) in enumerate(zip(operands, results, bases, hs, hs[1:])):
            call(x, y)
            if base is not None:
                numpy.add(y, base, h)
            if is_tanh:
                numpy.tanh(h, h)
            else:
                numpy.maximum(h, zero, out=h)
            if dead is not None and dead[k] is not None:
                numpy.copyto(h, old, where=dead[k])

    def factors(self, weights: _BackWeights, z: Array, gates: Array, out: Array, dead: Optional[list]) -> None:
        h = z[1:, -out.shape[2]:]
        if self.cell.rule.activation.name == "tanh":
            numpy.multiply(h, h, out[:, 0])
            numpy.subtract(1, out[:, 0], out[:, 0])
        else:
            out[:, 0] = h > 0
        zero_dead(out, dead)

    def backward_steps(self, weights: _BackWeights, z: Array, f: Array, dy: Array, d: Array, ds: list,
                       dead: Optional[list]) -> None:
        product, (dh,) = weights.recurrent, ds
        if d.shape[3] == 1:
            f, dy, d, dh = (a[..., 0] for a in (f, dy, d, dh))
        call, (out,) = product.call, product.results(dh[None])
        for k, dyk, fk, dk in zip(range(len(d))[::-1], dy[::-1], f[::-1, 0], d[::-1, 0]):
            numpy.add(dh, dyk, dh)
            numpy.multiply(dh, fk, dk)
            passing = dh * dead[k] if dead is not None and dead[k] is not None else None
            call(dk, out)
            if passing is not None:
                numpy.add(dh, passing, dh)

    def accumulate(self, weights: _BackWeights, z: Array, gates: Array, da: Array, dh: Array, sums: dict,
                   work: Workspace) -> None:
        add_product(sums, "all", as_columns(z[:-1], work, "z"), da)

    def unpack(self, p: Tree, sums: dict) -> dict:
        cell, rows = self.cell, sums["all"]
        I = len(rows) - 1 - rows.shape[1]
        dp = {cell.inputs.W: rows[:I].copy(), cell.recurrent.W: rows[I + 1:].copy()}
        return dp | {name: rows[I].copy() for name in (cell.inputs.b, cell.recurrent.b) if name}
