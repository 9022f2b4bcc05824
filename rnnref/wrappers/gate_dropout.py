"""Dropout on the inputs of the products, with a mask for each gate block, as in Keras.

It differs from `dropout.Dropout` in two ways: the h in a GRU's z h is not masked, only that in the products; and masks
for each gate cannot be written as one mask of x or h.
"""
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from typing import Any

from ..arrays import Array, namespace, split
from ..cell import State, TwoStage
from ..errors import NotSupported, ShapeError, describe_type
from ..maps.composed import MapAround
from ..maps.conv import Conv
from ..maps.dense import Dense
from ..options import keyword_options
from ..shapes import Size, check_floating, expect
from ..tree import Tree
from .dropout import Masks


@dataclass(frozen=True)
class MaskedMap(MapAround):
    """A map of x times a mask [B, N], or of x times a mask for each gate block, concatenated to [B, G N].

    The mask is among the prepared parameters, where `prepare` of the cell puts it.
    """
    map: Any
    mask: str

    def axes(self, i: str, o: str = "G") -> Any:
        return super().axes(i, o) | {self.mask: "B G"}

    def forward(self, p: Tree, x: Array) -> tuple[Array, Any]:
        masks = self._split_masks(p, x.shape[-1])
        parts, kept = zip(*(self.map.forward(q, x * m) for q, m in zip(self._split_parameters(p, len(masks)), masks)))
        return _concatenate(parts), kept

    def backward_x(self, p: Tree, kept: Any, da: Array) -> Array:
        masks = self._split_masks(p, kept[0].shape[-1])
        back = zip(self._split_parameters(p, len(masks)), kept, _split_blocks(da, len(masks)), masks)
        return sum(self.map.backward_x(q, k, d) * m for q, k, d, m in back)

    def backward_p(self, p: Tree, kept: Any, da: Array) -> Tree:
        n = len(kept)
        each = zip(self._split_parameters(p, n), kept, _split_blocks(da, n))
        blocks = [self.map.backward_p(q, k, d) for q, k, d in each]
        return {name: _concatenate([dp[name] for dp in blocks]) for name in blocks[0]}

    def _split_masks(self, p: Tree, n: int) -> list:
        return _split_blocks(p[self.mask], p[self.mask].shape[-1] // n)

    def _split_parameters(self, p: Tree, n: int) -> list:
        """The parameters of each gate block."""
        blocks = {name: _split_blocks(p[name], n) for name in self.map.axes("I")}
        return [{name: parts[k] for name, parts in blocks.items()} for k in range(n)]


def _split_blocks(a: Any, n: int) -> list:
    return split(a, n) if n > 1 else [a]


def _concatenate(parts: Any) -> Array:
    return namespace(*parts).concatenate(parts, -1) if len(parts) > 1 else parts[0]


_MAPS = {"x": "inputs", "h": "recurrent"}
_MASK_NAMES = {"x": "mask x", "h": "mask h"}            # among the prepared parameters; names of others have no space


@keyword_options()
@dataclass(frozen=True)
class GateDropout(TwoStage):
    """Dropout on the inputs of both products of a gated cell, as in Keras.

        ax = (x m_x) W + b          ah = (h m_h) R (+ bR)          the rule has the whole h

    Shapes        `extra` is Masks(x, h): each [B, N] for all gates, or [B, G N], one for each gate in the order of
                  `cell.gates`; they get no gradient.  Of a ConvLSTM they have its places too: [B, *S, N] or
                  [B, *S, G N]
    Options       on="xh", or "x" or "h": which of the two are masked
    Paper         Gal & Ghahramani, "A theoretically grounded application of dropout in recurrent
                  neural networks" (2016)
    Same as       Keras SimpleRNN, LSTM, GRU, ConvLSTM with dropout and recurrent_dropout
    Differs from  Dropout, which masks h in the rule too: in a GRU's z h, with one mask for all gates
    Errors        NotSupported: not a gated cell of two Dense or Conv maps; ShapeError: masks that do not fit

    >>> import numpy as np, rnnref
    >>> cell = GateDropout(rnnref.cells.SimpleRNN(activation="linear"), on="x")
    >>> p = {"W": np.ones((2, 1)), "R": np.zeros((1, 1)), "b": np.zeros(1)}
    >>> x, mask = np.array([[[3.0, 5.0]]]), np.array([[2.0, 0.0]])
    >>> float(rnnref.run(cell, p, x, extra=Masks(x=mask))[0][0, 0, 0])
    6.0
    """
    cell: Any
    _: KW_ONLY
    on: str = "xh"

    def __post_init__(self) -> None:
        if not all(isinstance(getattr(self.cell, name, None), (Dense, Conv)) for name in _MAPS.values()):
            raise NotSupported("GateDropout",
                               f"{type(self.cell).__name__} is not a gated cell of two Dense or Conv maps",
                               fix="rnnref.cells.Dropout masks the input and the state of any cell")

    @cached_property
    def masked_cell(self) -> TwoStage:
        """The cell with its maps masked."""
        maps = {_MAPS[a]: MaskedMap(getattr(self.cell, _MAPS[a]), _MASK_NAMES[a]) for a in self.on}
        return replace(self.cell, **maps)

    @property
    def inputs(self) -> Any:
        return self.masked_cell.inputs

    @property
    def rule(self) -> Any:
        return self.cell.rule

    @property
    def name(self) -> str:
        return f"GateDropout({self.cell.name})"

    def axes(self) -> Any:
        return self.cell.axes()

    def step(self, p: Tree, ax: Array, s: State) -> tuple[Array, State, Any]:
        return self.masked_cell.step(p, ax, s)

    def step_backward(self, p: Tree, kept: Any, dy: Tree, dnew: State) -> tuple[Array, State, Any]:
        return self.masked_cell.step_backward(p, kept, dy, dnew)

    def step_backward_p(self, p: Tree, deferred: Any) -> Tree:
        return self.masked_cell.step_backward_p(p, deferred)

    def prepare(self, p: Tree, extra: Tree = None) -> tuple[Tree, Tree, Any]:
        q, _, kept = self.cell.prepare(p)
        masks = {_MASK_NAMES[a]: getattr(extra, a) for a in self.on}
        if "h" in self.on:
            masks[_MASK_NAMES["h"]] = self._repeat_per_gate(masks[_MASK_NAMES["h"]], self.cell.units(p))
        return q | masks, None, kept

    def prepare_backward(self, p: Tree, kept: Any, dp: Tree, dextra: Tree) -> tuple[Tree, Tree]:
        return self.cell.prepare_backward(p, kept, dp, dextra)

    def _repeat_per_gate(self, mask: Any, units: Any) -> Array:
        """One mask for each gate, since a GRU with the reset before the product multiplies its gates one by one."""
        return _concatenate([mask] * len(self.gates)) if mask.shape[-1] == units else mask

    def check(self, p: Tree, x: Tree, s: State, extra: Tree = None, lead: str = "B") -> Any:
        if not isinstance(extra, Masks) or {a for a in Masks._fields if getattr(extra, a) is not None} != set(self.on):
            raise ShapeError(self.name, f"extra is {_describe_extra(extra)}, expected Masks({', '.join(self.on)})",
                             fix="to mask only one of x and h: on=\"x\" or on=\"h\"")
        y = self.cell.check(p, x, s, None, lead)
        for a, like in (("x", x), ("h", s[0])):
            if a in self.on:
                mask, n = getattr(extra, a), like.shape[-1]
                check_floating(self.name, f"extra.{a}", mask, x.dtype)
                count = len(self.gates) if mask.ndim and mask.shape[-1] != n else 1
                places = like.shape[len(lead.split()) - 1 if a == "x" else 0:-1]
                sizes = {f"S{k}" if k else "B": Size(m) for k, m in enumerate(places)}
                expect(self.name, f"extra.{a}", mask, " ".join([*sizes, "N"]), sizes | {"N": Size(
                    n * count, f"{n} as what it masks, or {len(self.gates)} x {n}, one for each gate")})
        return y


def _describe_extra(extra: Tree) -> str:
    if not isinstance(extra, Masks):
        return describe_type(extra)
    return f"Masks({', '.join(a for a in Masks._fields if getattr(extra, a) is not None)})"
