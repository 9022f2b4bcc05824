"""Cells with layer normalisation where implementations put it, forward only: for the search of causes."""
from dataclasses import dataclass
from typing import Any

import numpy

from ..arrays import Array
from ..cell import GatedCell
from ..maps.dense import Dense, Map
from ..rules.elman import ElmanRule
from ..rules.gru import GRURule
from ..rules.lstm import LSTMRule
from ..rules.rule import Rule
from ..tree import Tree


@dataclass(frozen=True)
class Norm:
    """How a cell is normalised: norm(a) = (a - mean) / sqrt(variance + epsilon)."""
    sides: str                                    # "sum" of both products, "each", or "" without any
    together: tuple[str, ...]                     # the gate blocks that are normalised together; (): each by itself
    epsilon: float
    cell: str = ""                                # of an LSTM: "state" if c is norm(c), "output" if h alone sees that
    shift_inside: bool = False                    # the shift is added before the normalisation
    unbiased: bool = False                        # the variance is divided by n - 1
    outside: bool = False                         # epsilon is added to the standard deviation

    def normalise(self, a: Array) -> Array:
        """Normalise the last axis."""
        a = a - a.mean(-1, keepdims=True)
        n = a.shape[-1] - (1 if self.unbiased and a.shape[-1] > 1 else 0)
        variance = (a * a).sum(-1, keepdims=True) / n
        with numpy.errstate(divide="ignore", invalid="ignore"):
            if self.outside:
                return a / (numpy.sqrt(variance) + self.epsilon)
            return a / numpy.sqrt(variance + self.epsilon)

    def normalise_blocks(self, a: Array, gates: str) -> Array:
        """Normalise the blocks of these gates, those of one group of `together` as one."""
        blocks = numpy.split(a, len(gates), -1)
        groups: dict[Any, list[Array]] = {}
        for gate, block in zip(gates, blocks):
            groups.setdefault(next((g for g in self.together if gate in g), gate), []).append(block)
        return numpy.concatenate([self.normalise(numpy.concatenate(group, -1)) for group in groups.values()], -1)


@dataclass(frozen=True)
class NormedMap(Map):
    """norm(map(x)) gain + shift."""
    map: Any
    norm: Norm
    gates: str
    gain: str
    shift: str

    def axes(self, i: str, o: str = "G") -> dict[str, str]:
        return self.map.axes(i, o) | {self.gain: o, self.shift: o}

    def forward(self, p: Tree, x: Array) -> tuple[Array, Any]:
        return self.finish(p, self.map.forward(p, x)[0]), None

    def finish(self, p: Tree, a: Array) -> Array:
        """What follows the product."""
        return _normalise(self.norm, a, self.gates, p[self.gain], p[self.shift])


def _normalise(norm: Norm, a: Array, gates: str, gain: Array, shift: Array) -> Array:
    if norm.shift_inside:
        return norm.normalise_blocks(a + shift, gates) * gain
    return norm.normalise_blocks(a, gates) * gain + shift


@dataclass(frozen=True)
class NormedSumRule(Rule):
    """A rule on norm(ax + ah) gain + shift."""
    rule: Any
    norm: Norm

    @property
    def gates(self) -> str:
        return self.rule.gates

    @property
    def State(self) -> type:
        return self.rule.State

    @property
    def widths(self) -> dict[str, str]:
        return self.rule.widths

    def axes(self) -> dict[str, str]:
        return self.rule.axes() | {"gain": "G", "shift": "G"}

    def forward(self, p: Tree, ax: Array, ah: Array, s: Tree) -> tuple[Array, Tree, Any]:
        return self.rule.forward(p, _normalise(self.norm, ax + ah, self.gates, p["gain"], p["shift"]), 0, s)


@dataclass(frozen=True)
class NormedStateRule(LSTMRule):
    """LSTM with norm(f c + i g) gain_c + shift_c, as the next c and in h, or in h alone."""
    norm: Any = None

    def axes(self) -> dict[str, str]:
        return LSTMRule.axes(self) | {"gain_c": "U", "shift_c": "U"}

    def forward(self, p: Tree, ax: Array, ah: Array, s: Tree) -> tuple[Array, Tree, Any]:
        y, new, kept = LSTMRule.forward(self, p, ax, ah, s)
        return y, new if self.norm.cell == "state" else new._replace(c=kept.norm), kept

    def _transform_cell(self, p: Tree, c: Array) -> tuple[Array, Any]:
        return self.norm.normalise(c) * p["gain_c"] + p["shift_c"], c


def make_normed_cell(family: str, norm: Norm, options: dict[str, Any]) -> GatedCell:
    """A SimpleRNN, LSTM or GRU whose products, or their sum, are normalised; `options` are those of its rule."""
    if family == "lstm":
        rule: Any = NormedStateRule(norm=norm, **options) if norm.cell else LSTMRule(**options)
    else:
        rule = {"rnn": ElmanRule, "gru": GRURule}[family](**options)
    if norm.sides == "sum":
        return GatedCell(Dense("W"), Dense("R"), NormedSumRule(rule, norm))
    return GatedCell(NormedMap(Dense("W"), norm, rule.gates, "gain", "b"),
                     NormedMap(Dense("R"), norm, rule.gates, "gain_r", "bR"), rule)
