"""Dropout as Keras has it: on what enters the products, and a mask of its own for each gate block.

That differs from `noise.Dropout` in two ways: a GRU keeps the whole h in z h, only its products see less of it; and
with masks per gate no single mask on x or h says the same.
"""
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..arrays import namespace
from ..cell import TwoStage
from ..errors import NotSupported, ShapeError
from ..maps.conv import Conv
from ..maps.dense import Dense, Map
from ..shapes import Size, expect, check_floating
from .dropout import Masks


@dataclass(frozen=True)
class MaskedMap(Map):
    """The inner map on x times a mask [B, N], or on x times one for each gate block, [B, G N] end to end.

    The mask lies beside the parameters, where `prepare` of the cell puts it.
    """
    map: Any
    mask: str
    own_products = ""

    @property
    def space(self):
        return self.map.space

    def places(self, extent):
        return self.map.places(extent)

    def axes(self, i, o="G"):
        return self.map.axes(i, o) | {self.mask: "B G"}

    def forward(self, p, x):
        masks = self.masks(p, x.shape[-1])
        parts, kept = zip(*(self.map.forward(q, x * m) for q, m in zip(self.parts(p, len(masks)), masks)))
        return _concatenate(parts), kept

    def backward_x(self, p, kept, da):
        masks = self.masks(p, kept[0].shape[-1])
        back = zip(self.parts(p, len(masks)), kept, _split_blocks(da, len(masks)), masks)
        return sum(self.map.backward_x(q, k, d) * m for q, k, d, m in back)

    def backward_p(self, p, kept, da):
        n = len(kept)
        back = [self.map.backward_p(q, k, d) for q, k, d in zip(self.parts(p, n), kept, _split_blocks(da, n))]
        return {name: _concatenate([dp[name] for dp in back]) for name in back[0]}

    def masks(self, p, n):
        return _split_blocks(p[self.mask], p[self.mask].shape[-1] // n)

    def parts(self, p, n):
        """The parameters of each block by itself."""
        blocks = {name: _split_blocks(p[name], n) for name in self.map.axes("I")}
        return [{name: parts[k] for name, parts in blocks.items()} for k in range(n)]


def _split_blocks(a, n):
    return namespace(a).split(a, n, -1) if n > 1 else [a]


def _concatenate(parts):
    return namespace(*parts).concatenate(parts, -1) if len(parts) > 1 else parts[0]


_MAPS = {"x": "inputs", "h": "recurrent"}
_MASK_NAMES = {"x": "mask x", "h": "mask h"}            # among the prepared parameters; no given one has a space in it


@dataclass(frozen=True)
class GateDropout(TwoStage):
    """A gated cell whose products see x m_x and h m_h (Gal & Ghahramani 2016, as Keras has it).

        ax = (x m_x) W + b          ah = (h m_h) R (+ bR)          the rule sees h itself

    Shapes        `extra` is Masks(x, h): each [B, N] for all gates, or [B, G N], one for each gate in the order of
                  `cell.gates`; x and h are masked if `on` names them.  Masks get no gradient.
                  Of a ConvLSTM they have its places too: [B, *S, N] or [B, *S, G N].
    Same as       Keras SimpleRNN, LSTM, GRU, ConvLSTM with dropout and recurrent_dropout
    Differs from  Dropout, which masks h before anything sees it: the same for one mask, except that a GRU's z h is
                  masked too
    Errors        NotSupported: a cell that is no gated cell of Dense or Conv maps; ShapeError: masks that do not fit

    >>> import numpy as np, rnnref
    >>> cell = GateDropout(rnnref.cells.SimpleRNN("linear"), on="x")
    >>> p = {"W": np.ones((2, 1)), "R": np.zeros((1, 1)), "b": np.zeros(1)}
    >>> x, mask = np.array([[[3.0, 5.0]]]), np.array([[2.0, 0.0]])
    >>> float(rnnref.loops.run(cell, p, x, extra=Masks(x=mask))[0][0, 0, 0])
    6.0
    """
    cell: Any
    on: str = "xh"
    own_products = ""

    def __post_init__(self):
        if not all(isinstance(getattr(self.cell, name, None), (Dense, Conv)) for name in _MAPS.values()):
            raise NotSupported("GateDropout", f"{type(self.cell).__name__} is no gated cell of two Dense or Conv maps",
                               fix="rnnref.cells.Dropout masks what goes into any cell")

    @cached_property
    def masked(self):
        """The cell with its maps masked, which runs."""
        return replace(self.cell, **{_MAPS[a]: MaskedMap(getattr(self.cell, _MAPS[a]), _MASK_NAMES[a]) for a in self.on})

    @property
    def inputs(self):
        return self.masked.inputs

    @property
    def rule(self):
        return self.cell.rule

    @property
    def name(self):
        return f"GateDropout({self.cell.name})"

    def axes(self):
        return self.cell.axes()

    def step(self, p, ax, s):
        return self.masked.step(p, ax, s)

    def step_backward(self, p, kept, dy, dnew):
        return self.masked.step_backward(p, kept, dy, dnew)

    def step_backward_p(self, p, deferred):
        return self.masked.step_backward_p(p, deferred)

    def prepare(self, p, extra=None):
        q, _, kept = self.cell.prepare(p)
        masks = {_MASK_NAMES[a]: getattr(extra, a) for a in self.on}
        if "h" in self.on:
            masks[_MASK_NAMES["h"]] = self._repeat_per_gate(masks[_MASK_NAMES["h"]], self.cell.units(p))
        return q | masks, None, kept

    def prepare_backward(self, p, kept, dp, dextra):
        return self.cell.prepare_backward(p, kept, dp, dextra)

    def _repeat_per_gate(self, mask, units):
        """A GRU with the reset before the product takes its gates apart, so each must have a mask."""
        return _concatenate([mask] * len(self.gates)) if mask.shape[-1] == units else mask

    def check(self, p, x, s, extra=None, lead="B"):
        if not isinstance(extra, Masks) or {a for a in Masks._fields if getattr(extra, a) is not None} != set(self.on):
            raise ShapeError(self.name, f"extra is {_describe_extra(extra)}, expected Masks({', '.join(self.on)})",
                             fix="None in the place of one masks nothing: say so in `on`")
        y = self.cell.check(p, x, s, None, lead)
        for a, like in (("x", x), ("h", s[0])):
            if a in self.on:
                mask, n = getattr(extra, a), like.shape[-1]
                check_floating(self.name, f"extra.{a}", mask, x.dtype)
                wide = len(self.gates) if mask.ndim and mask.shape[-1] != n else 1
                rows = like.shape[len(lead.split()) - 1 if a == "x" else 0:-1]
                sizes = {f"S{k}" if k else "B": Size(m) for k, m in enumerate(rows)}
                expect(self.name, f"extra.{a}", mask, " ".join([*sizes, "N"]), sizes | {"N": Size(
                    n * wide, f"{n} as what it masks, or {len(self.gates)} x {n}, one for each gate")})
        return y


def _describe_extra(extra):
    if not isinstance(extra, Masks):
        return f"a {type(extra).__name__}"
    return f"Masks({', '.join(a for a in Masks._fields if getattr(extra, a) is not None)})"
