"""Attention of a cell over its own last outputs."""
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, Iterator, NamedTuple, Optional

import numpy

from ..arrays import Array, cast, namespace, upcast
from ..elementwise import dsoftmax, dtanh, softmax
from ..maps.dense import Dense
from ..options import keyword_options
from ..shapes import Size, check_floating, check_input, expect
from ..tree import Tree, add, leaves, map_structure
from .base import ParametricWrapper, replace_width


class State(NamedTuple):
    cell: Any                                     # the state of the inner cell
    attns: Any                                    # [B, A]     the result of attention
    history: Any                                  # [B, L A]   the last outputs, oldest first


class Kept(NamedTuple):
    x: Any; cell: Any; query: Any; history: Any; memory: Any; tanh: Any; weights: Any; y: Any


@keyword_options()
@dataclass(frozen=True)
class Attention(ParametricWrapper):
    """Attention over the last `length` outputs of the cell itself.

        y_cell, s' = cell([x, attns] Wx + bx, s)        q = sum over the leaves of s': leaf Wq_leaf, + bq
        e_l = v . tanh(history_l Wm + q)                attns' = sum_l softmax(e)_l history_l
        y = [y_cell, attns'] Wo + bo                    history' = history without its oldest, and y

    Shapes        x [B, I]; Wx [I + A, N], bx [N]; Wm [A, Q], v [Q]; Wq_h, Wq_c … [width of the leaf, Q], bq [Q];
                  Wo [H + A, A], bo [A]
    Options       length; size: A, or None for H, the width of the output of the cell; vec: Q, or None for A;
                  inputs: N, or None for I
    Paper         Bahdanau, Cho & Bengio, "Neural machine translation by jointly learning to align and translate" (2014)
    Same as       TF 1 AttentionCellWrapper
    Differs from  the paper: attention is over the outputs of the cell itself, which are zeros before the first step
    Errors        ShapeError: parameters or a state that do not fit

    >>> import numpy as np, rnnref
    >>> cell = Attention(rnnref.cells.SimpleRNN(), length=2)
    >>> p = {n: np.full(s, 0.1) for n, s in cell.shapes(3, 4).items()}
    >>> y, new, kept = cell.forward(p, np.ones((1, 3)), cell.zeros(1, 4, dtype="float64"))
    >>> y.shape, new.history.shape, kept.weights
    ((1, 4), (1, 8), array([[0.5, 0.5]]))
    """
    cell: Any
    _: KW_ONLY
    length: int
    size: Optional[int] = None
    vec: Optional[int] = None
    inputs: Optional[int] = None
    input_map: Any = field(default=Dense("Wx", "bx"), repr=False)
    memory: Any = field(default=Dense("Wm"), repr=False)
    query: Any = field(default=Dense("Wq"), repr=False)           # one for each leaf of the state: Wq_h, Wq_c
    output_map: Any = field(default=Dense("Wo", "bo"), repr=False)

    def own_axes(self) -> dict[str, str]:
        return self._fixed_axes() | {"bq": "Q"} | self._query_axes()

    def _fixed_axes(self) -> dict[str, str]:
        scores = self.memory.axes("A", "Q") | {"v": "Q"}
        return self.input_map.axes("I+A", "N") | scores | self.output_map.axes("H+A", "A")

    def _query_axes(self) -> dict[str, str]:
        """A matrix for each leaf of the state."""
        return {"Wq_" + path.replace(".", "_"): path for path, _ in self._state_leaves(1)}

    def _query_maps(self, p: Tree, query: Any) -> Iterator[tuple]:
        """(map, its parameters in the dtype of the leaf, leaf) for each leaf of `query`."""
        for name, leaf in zip(self._query_axes(), query):
            yield replace(self.query, W=name), {name: cast(p[name], leaf)}, leaf

    def _state_leaves(self, units: Any) -> list:
        return list(leaves(self.cell.zeros(1, units)))

    def _sizes(self, units: Any) -> dict[str, Size]:
        H = self.cell.width(units)
        A = self.size or H
        return {"H": Size(H, "the output of the cell"), "A": Size(A, "size"), "Q": Size(self.vec or A, "vec")}

    def own_shapes(self, n_in: Any, units: Any) -> tuple[dict, Any]:
        sizes = {name: size.n for name, size in self._sizes(units).items()}
        H, A, Q, N = (*sizes.values(), self.inputs or n_in)
        own = {"Wx": (n_in + A, N), "bx": (N,), "Wm": (A, Q), "v": (Q,), "Wo": (H + A, A), "bo": (A,), "bq": (Q,)}
        return own | {name: (a.shape[-1], Q) for name, (_, a) in zip(self._query_axes(), self._state_leaves(units))}, N

    def width(self, units: Any) -> int:
        return self._sizes(units)["A"].n

    def zeros(self, batch: Any, units: Any, xp: Any = numpy, dtype: Any = "float32") -> State:
        A = self.width(units)
        return State(self.cell.zeros(batch, units, xp, dtype), xp.zeros((batch, A), dtype),
                     xp.zeros((batch, self.length * A), dtype))

    def forward(self, p: Tree, x: Tree, s: State, extra: Tree = None) -> tuple[Tree, State, Any]:
        xp, (own, inner) = namespace(s.attns), self.split(p)
        a, kx = self.input_map.forward(own, xp.concatenate([x, s.attns], -1))
        out, new, kc = self.cell.forward(inner, a, s.cell, extra)
        query = tuple(leaf for _, leaf in leaves(new))
        q = sum((m.forward(w, leaf)[0] for m, w, leaf in self._query_maps(p, query)), p["bq"])
        history = s.history.reshape(len(x), self.length, s.attns.shape[-1])
        m, km = self.memory.forward(own, history)
        t = xp.tanh(upcast(m) + upcast(q)[:, None])
        weights = softmax((t * p["v"]).sum(-1))
        attns = cast((weights[..., None] * history).sum(1), s.attns)
        y, ky = self.output_map.forward(own, xp.concatenate([out, attns], -1))
        later = xp.concatenate([s.history[:, attns.shape[-1]:], y], -1)
        return y, State(new, attns, later), Kept(kx, kc, query, history, km, t, weights, ky)

    def backward(self, p: Tree, k: Any, dy: Tree, dnew: State) -> tuple[Tree, State, Tree, Tree]:
        xp, (own, inner) = namespace(dy), self.split(p)
        A = dnew.attns.shape[-1]
        dy = dy + dnew.history[:, -A:]
        dp = self.output_map.backward_p(own, k.y, dy)
        dboth = self.output_map.backward_x(own, k.y, dy)
        dattns = dnew.attns + dboth[:, -A:]
        dhistory = xp.concatenate([xp.zeros_like(dy), dnew.history[:, :-A]], -1).reshape(k.history.shape)
        dhistory = dhistory + k.weights[..., None] * dattns[:, None]
        dq, dmemory, more = self._attend_backward(p, k, dattns)
        dp |= more | {"bq": dq.sum(0)}
        dquery = []
        wide_p, wide_query = map_structure(upcast, p), map_structure(upcast, k.query)       # dq is float32 at least
        for m, w, leaf in self._query_maps(wide_p, wide_query):
            dp |= m.backward_p(w, leaf, dq)
            dquery.append(m.backward_x(w, leaf, dq))
        dquery = iter(dquery)
        dcell = map_structure(lambda d: cast(d + next(dquery), d), dnew.cell)
        da, ds, dextra, dinner = self.cell.backward(inner, k.cell, dboth[:, :-A], dcell)
        dp |= self.input_map.backward_p(own, k.x, da)
        din = self.input_map.backward_x(own, k.x, da)
        dhistory = cast(add(dhistory, dmemory), dy).reshape(dnew.history.shape)
        return din[:, :-A], State(ds, din[:, -A:], dhistory), dextra, self.join(dp, dinner)

    def _attend_backward(self, p: Tree, k: Any, dattns: Array) -> tuple[Array, Array, Tree]:
        """Gradients of the query, of the history through the scores alone, and of the parameters of the scores."""
        de = dsoftmax(k.weights, (k.history * dattns[:, None]).sum(-1))
        dm = dtanh(k.tanh, de[..., None] * p["v"])
        p, memory = {"Wm": upcast(p["Wm"])}, upcast(k.memory)                       # in the dtype of dm
        dp = self.memory.backward_p(p, memory, dm) | {"v": (de[..., None] * k.tanh).sum((0, 1))}
        return dm.sum(1), self.memory.backward_x(p, memory, dm), dp

    def check(self, p: Tree, x: Tree, s: State, extra: Tree = None, lead: str = "B") -> Any:
        own, inner = self.split(p)
        sizes = check_input(self.name, x, f"{lead} I") | self._sizes(self.units(p))
        sizes["N"] = Size(self.inputs, "inputs") if self.inputs else sizes["I"]
        for name, a in own.items():
            check_floating(self.name, name, a, x.dtype)
            if name in self._fixed_axes() or name == "bq":
                expect(self.name, name, a, self.own_axes()[name], sizes)
        for name, (path, leaf) in zip(self._query_axes(), leaves(s.cell)):
            expect(self.name, name, own[name], "S Q", sizes | {"S": Size(leaf.shape[-1], f"from state.cell.{path}")})
        sizes["L"] = Size(self.length * sizes["A"].n, f"length {self.length} x A")
        for what, axes in (("attns", "B A"), ("history", "B L")):
            check_floating(self.name, f"state.{what}", getattr(s, what), x.dtype)
            expect(self.name, f"state.{what}", getattr(s, what), axes, sizes)
        self.cell.check(inner, replace_width(x, sizes["N"].n, "[x, attns] Wx"), s.cell, extra, lead)
        return replace_width(x, sizes["A"].n, f"the output of {self.name}")
