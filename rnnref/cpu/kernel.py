"""What the kernels of all rules share: rows of the batch in columns, the sequence in chunks of steps.

Every array of a step has the axes [units, rows], so that each gate is one contiguous block.  `z` holds what the product
of a step multiplies, [T + 1, I + 1 + H, rows]: x of step t, ones for the bias, and h before step t.  `gates` holds what
the backward pass needs of every step, [T + 1, blocks, U, rows], as the rule orders it.
"""
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, Iterator, NamedTuple, Optional

import numpy

from ..arrays import Array
from ..tree import Tree
from .workspaces import Workspace

_FORWARD_CHUNK = 1 << 18                          # numbers of z in a chunk of steps
_BACKWARD_CHUNK = 1024                            # columns of a product for parameter gradients
_FACTORS = 1 << 20                                # numbers of the derivatives that are computed in one pass


class LaneTape(NamedTuple):
    """What the forward pass of one lane leaves for its backward pass."""
    workspace: Workspace
    z: Array                                      # [T + 1, I + 1 + H, rows]
    gates: Optional[Array]                        # [T + 1, blocks, U, rows]; None: computed again
    starts: Optional[Array]                       # then: the carried block before each chunk
    dead: Optional[list]                          # of each step: None, or the rows that are not live


@dataclass(frozen=True)
class Kernel:
    """Base class: a lane forward and backward.  Subclasses give the steps, in `forward_steps` and `backward_steps`."""
    cell: Any
    blocks = 1                                    # of `gates`
    gradient_blocks = 1                           # of the gradients of a step
    gate_blocks = slice(0, 1)                     # of these, those of arguments of activations
    input_block = 0                               # of those, the first that the input map has a part in
    carried = False                               # block 0 of `gates` is a state beside h
    h_scale = 1.0                                 # h in z is so many times the true one

    # what a subclass gives

    def pack(self, p: Tree, rows: int) -> Any:
        """The weights as `forward_steps` needs them, for lanes of so many rows."""
        raise NotImplementedError

    def pack_backward(self, p: Tree, rows: int) -> Any:
        """The weights as `backward_steps` and `input_weights` need them."""
        raise NotImplementedError

    def forward_steps(self, weights: Any, z: Array, gates: Array, dead: Optional[list], work: Workspace) -> None:
        """Steps with x in z [n + 1, ...] and the first state in z[0] and gates[0]: fills both.

        gates [n + 1, ...], or [2, ...] if they are not kept: then step k has the place k % 2.
        """
        raise NotImplementedError

    def factors(self, weights: Any, z: Array, gates: Array, out: Array, dead: Optional[list]) -> None:
        """The derivatives of n steps by which gradients are multiplied, [n, gradient blocks, U, rows]."""
        raise NotImplementedError

    def backward_steps(self, weights: Any, z: Array, f: Array, dy: Array, d: Array, ds: list, dead: Optional[list]
                       ) -> None:
        """Back through n steps: ds = [dh, ...] becomes that before them, d the gradients of all blocks."""
        raise NotImplementedError

    def accumulate(self, weights: Any, z: Array, gates: Array, da: Array, dh: Array, sums: dict, work: Workspace
                   ) -> None:
        """Add the gradients of parameters of n steps to `sums`.  da [blocks U, n rows] are `gate_blocks` of d."""
        raise NotImplementedError

    def unpack(self, p: Tree, sums: dict) -> dict:
        """The gradients of p, from the sums of all lanes."""
        raise NotImplementedError

    def lay_out(self, p: Tree, rows: int) -> Any:
        """`pack` of arrays in C order."""
        return self.pack(in_c_order(p), rows)

    # a lane

    def forward(self, weights: Any, xs: Array, s: Any, live: Optional[Array], ys: Array, new: Any, keep: Any
                ) -> Optional[LaneTape]:
        """xs [T, rows, I] and the first state -> outputs into ys [T, rows, H], the last state into `new`.

        keep: True, "states" (gates are computed again on the way back) or False.
        """
        T, rows, I = xs.shape
        U, K = s[-1].shape[-1], I + 1 + s[0].shape[-1]
        chunk, work, dead = self._steps_at_once(T, K, rows), Workspace(), find_dead(live)
        z = work.empty(((T if keep else chunk) + 1, K, rows), xs.dtype)
        gates = work.empty(((T if keep is True else 1) + 1, self.blocks, U, rows), xs.dtype)
        starts = numpy.empty((-(-T // chunk), U, rows), xs.dtype) if keep == "states" and self.carried else None
        z[:, I] = 1
        copy_scaled(z[0, I + 1:], s[0].T, self.h_scale)
        if self.carried:
            gates[0, 0] = s[1].T
        for k in range(0, T, chunk):
            n, at, to = min(chunk, T - k), k if keep else 0, k if keep is True else 0
            if k and not keep:
                z[0, I + 1:] = z[chunk, I + 1:]
            if k and keep is not True:
                gates[0] = gates[chunk % 2]
            if starts is not None:
                starts[k // chunk] = gates[0, 0]
            part, now = z[at:at + n + 1], None if dead is None else dead[k:k + n]
            copy_columns(part[:-1, :I], xs[k:k + n])
            if now is not None:
                zero_dead(part[:-1, :I], now)
            self.forward_steps(weights, part, gates[to:to + n + 1] if keep is True else gates, now, work)
            copy_scaled(ys[k:k + n], part[1:, I + 1:].swapaxes(1, 2), 1 / self.h_scale)
            if now is not None:
                zero_dead_rows(ys[k:k + n], now)
        copy_scaled(new[0], part[-1, I + 1:].T, 1 / self.h_scale)
        if self.carried:
            new[1][...] = gates[to + n if keep is True else n % 2, 0].T
        return LaneTape(work, z, gates if keep is True else None, starts, dead) if keep else None

    def backward(self, forward_weights: Any, weights: Any, tape: LaneTape, dys: Array, ds: Any, dxs: Optional[Array],
                 dnew: Any, with_p: bool = True) -> dict:
        """dys [T, rows, H] and the gradient of the last state -> those of inputs and first state; sums for `unpack`.

        dxs: None if those of inputs are not asked for; with_p: whether those of parameters are.
        """
        T, rows, H = dys.shape
        U, work = ds[-1].shape[-1], Workspace()
        chunk = self._steps_at_once(T, tape.z.shape[1], rows) if tape.gates is None else max(
            1, min(T, _BACKWARD_CHUNK // rows))
        dy, state, sums = work.empty((chunk, H, rows), dys.dtype), [numpy.array(a.T, order="C") for a in ds], {}
        gates = work.empty((chunk + 1, self.blocks, U, rows), dy.dtype) if tape.gates is None else None
        for k in range(0, T, chunk)[::-1]:
            n = min(chunk, T - k)
            now, z = None if tape.dead is None else tape.dead[k:k + n], tape.z[k:k + n + 1]
            if gates is None:
                some = tape.gates[k:k + n + 1]    # type: ignore[index]
            else:
                some = gates[:n + 1]
                if self.carried:
                    some[0, 0] = tape.starts[k // chunk]      # type: ignore[index]
                self.forward_steps(forward_weights, z, some, now, work)
            copy_columns(dy[:n], dys[k:k + n])
            zero_dead(dy[:n], now)
            da = self._backward_chunk(weights, z, some, dy[:n], state, now, work)
            if with_p:
                self.accumulate(weights, z, some, da, dy[:n], sums, work)
            if dxs is not None:
                part = dxs[k:k + n]
                dx = part if part.flags.c_contiguous else work.scratch("dx", part.shape, da.dtype)
                numpy.matmul(da[self.input_block * U:].T, weights.inputs, dx.reshape(n * rows, -1))
                if dx is not part:
                    part[...] = dx
        for a, b in zip(dnew, state):
            a[...] = b.T
        return sums

    def _backward_chunk(self, weights: Any, z: Array, gates: Array, dy: Array, state: list, dead: Optional[list],
                        work: Workspace) -> Array:
        """Back through the steps of a chunk, a few at a time: the gradients of `gate_blocks` [blocks U, n rows]."""
        (n, _, rows), U, G = dy.shape, gates.shape[2], self.gate_blocks.stop - self.gate_blocks.start
        few = n if rows == 1 else max(1, min(n, _FACTORS // (self.gradient_blocks * U * rows)))
        d = work.scratch("d", (few, self.gradient_blocks, U, rows), dy.dtype)
        f = work.scratch("factors", d.shape, d.dtype)
        if rows == 1:                             # then steps are the rows of a matrix as they are
            blocks, turned = (work.scratch(name, (a.shape[1], len(a), U), d.dtype).swapaxes(0, 1)[..., None]
                              for name, a in (("gates by block", gates), ("factors by block", f)))
            blocks[...] = gates                   # each block in one piece: whole ones take less time than rows of U
            self.factors(weights, z, blocks, turned, dead)
            f[...] = turned
            self.backward_steps(weights, z, f, dy, d, state, dead)
            return d[:, self.gate_blocks].reshape(n, G * U).T
        da = work.scratch("da", (G * U, n, rows), d.dtype)
        for j in range(0, n, few)[::-1]:
            m, now = min(few, n - j), None if dead is None else dead[j:j + few]
            steps = z[j:j + m + 1], gates[j:j + m + 1]
            self.factors(weights, *steps, f[:m], now)
            self.backward_steps(weights, steps[0], f[:m], dy[j:j + m], d[:m], state, now)
            da[:, j:j + m] = d[:m, self.gate_blocks].reshape(m, G * U, rows).swapaxes(0, 1)
        return da.reshape(G * U, n * rows)

    def state_before(self, weights: Any, tape: LaneTape, t: int, width: int) -> list[Array]:
        """The state before step t, h of this width: [rows, ...] each."""
        h = tape.z[t, -width:].T / self.h_scale
        if not self.carried:
            return [h]
        if tape.gates is not None:
            return [h, tape.gates[t, 0].T.copy()]
        chunk = self._steps_at_once(len(tape.z) - 1, *tape.z.shape[1:])
        k = t // chunk * chunk
        starts, work = tape.starts, Workspace()
        gates = work.empty((t - k + 1, self.blocks, *starts.shape[1:]), h.dtype)      # type: ignore[union-attr]
        gates[0, 0] = starts[k // chunk]          # type: ignore[index]
        self.forward_steps(weights, tape.z[k:t + 1].copy(), gates, tape.dead and tape.dead[k:t], work)
        return [h, gates[-1, 0].T.copy()]

    def _steps_at_once(self, T: int, K: int, rows: int) -> int:
        """The steps of a chunk: few enough for its part of z to stay in a cache."""
        return max(1, min(T, _FORWARD_CHUNK // max(1, K * rows)))


def each_step(n: int, gates: Array, *arrays: Any) -> Iterator[tuple]:
    """For each of n steps its entries of arrays that are as long as `gates`: [at least n, ...], or [2, ...] in turn."""
    entries = zip(*arrays)
    return islice(entries, n) if len(gates) >= n else islice(cycle([*entries]), n)


def in_c_order(p: Tree) -> dict:
    """The parameters so that the layout of the caller's arrays changes no bit of the results."""
    return {name: numpy.ascontiguousarray(a) for name, a in p.items()}


def bias_of(m: Any, p: Tree, width: int, dtype: Any) -> Array:
    """A copy of the bias of a map, zero where it has none."""
    return p[m.b].copy() if m.b else numpy.zeros(width, dtype)


def with_bias(W: Array, b: Array) -> Array:
    """[I + 1, G]: W, and the bias below it."""
    out = numpy.empty((len(W) + 1, W.shape[1]), W.dtype)
    out[:-1], out[-1] = W, b
    return out


def join_columns(*parts: Array) -> Array:
    """Matrices side by side, in C order whatever that of the parts: `numpy.concatenate` keeps theirs."""
    out = numpy.empty((len(parts[0]), sum(a.shape[1] for a in parts)), parts[0].dtype)
    return numpy.concatenate(parts, 1, out=out)


def find_dead(live: Optional[Array]) -> Optional[list]:
    """For every step the rows that are not live, None where all are; None where all are at every step."""
    if live is None or live.all():
        return None
    return [None if now.all() else ~now for now in live]


def zero_dead(a: Array, dead: Optional[list]) -> None:
    """Zero in columns that are not live: a [n, ..., rows]."""
    for one, now in zip(a, dead or ()):
        if now is not None:
            numpy.copyto(one, 0, where=now)


def pass_dead(out: Array, block: int, dead: Optional[list]) -> None:
    """Factors [n, blocks, U, rows] where rows are not live: the gradient passes through one block, nowhere else."""
    for one, now in zip(out, dead or ()):
        if now is not None:
            numpy.copyto(one, 0, where=now)
            numpy.copyto(one[block], 1, where=now)


def zero_dead_rows(a: Array, dead: list) -> None:
    """Zero in rows that are not live: a [n, rows, H]."""
    for one, now in zip(a, dead):
        if now is not None:
            one[now] = 0


def copy_columns(out: Array, a: Array) -> None:
    """[n, rows, H] into [n, H, rows]."""
    out[...] = a.swapaxes(1, 2)


def copy_scaled(out: Array, a: Array, scale: float) -> None:
    """Copy `a`, multiplied: a product in place takes less time than one that changes the order of axes."""
    out[...] = a
    if scale != 1:
        numpy.multiply(out, scale, out)


def as_columns(a: Array, work: Workspace, name: str) -> Array:
    """[n, K, rows] as a matrix [K, n rows]; copied, into the scratch array of that name, unless there is one row."""
    n, K, rows = a.shape
    if rows == 1:
        return a[..., 0].T
    out = work.scratch(name, (K, n, rows), a.dtype)
    out[...] = a.swapaxes(0, 1)
    return out.reshape(K, n * rows)


def add_product(sums: dict, name: str, zs: Array, da: Array) -> None:
    """Add zs [K, n] times da [G, n], the gradient of a map [K, G], to the sum of that name.

    In float32 OpenBLAS takes up to a quarter less time if the larger side comes first, in float64 up to a tenth more.
    """
    turned = len(da) > len(zs) and da.dtype.itemsize == 4 and da.flags.c_contiguous
    add_to(sums, name, (da @ zs.T).T if turned else zs @ da.T)


def add_to(sums: dict, name: str, value: Array) -> None:
    """Add to the sum of that name."""
    if name in sums:
        sums[name] += value
    else:
        sums[name] = value
