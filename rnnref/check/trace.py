"""A few recorded steps, rows and units of a layer: enough to try thousands of hypotheses in a second.

Every step is computed from the outputs that were recorded before it, not from those predicted, so a few units can be
computed without the others, and every product of a weight with x or h is computed once for all hypotheses.
"""
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..cell import ProjectedCell
from ..elementwise import clip
from ..rules.elman import ElmanRule, ResidualElmanRule
from ..rules.gru import GRURule
from ..rules.lstm import LSTMRule
from .equations import Equations
from .normed_cells import NormedMap

STEPS, ROWS, UNITS = 3, 4, 24
_MOST_PRODUCTS = 64                               # that are remembered
_LSTM_OPTIONS = ("forget_bias", "coupled", "gate", "candidate", "output", "cell_clip")


class Recorded(NamedTuple):
    """What was given to a layer and what it returned, [T, B, ...], in the order in which it reads the steps."""
    x: Array                                      # [T, B, I]
    y: Array                                      # [T, B, H]
    h: Array                                      # [B, H], the initial state
    c: Array | None                               # [B, U], of an LSTM


class Trace:
    """The first steps of a few rows, and the outputs of a few units."""

    def __init__(self, recorded: Recorded, steps: int = STEPS, rows: int = ROWS, units: int = UNITS) -> None:
        x, y, h = (a.astype("float64") for a in recorded[:3])
        self.x = x[:steps, :rows]
        self.h = numpy.concatenate([h[None, :rows], y[:steps - 1, :rows]])[:len(self.x)]
        self.c = None if recorded.c is None else recorded.c[:rows].astype("float64")
        self.units = numpy.unique(numpy.linspace(0, y.shape[-1] - 1, units).astype(int))
        self._all_y = y[:steps, :rows]
        self.y = self._all_y[..., self.units]
        self._products: dict[tuple[str, int], tuple[Array, Array]] = {}

    @cached_property
    def quick(self) -> "Trace":
        """The first step alone, on which a layer with a state that is not zero uses all its weights; else two."""
        steps = 1 if self.h[0].any() and (self.c is None or self.c.any()) else 2
        return Trace(Recorded(self.x, self._all_y, self.h[0], self.c), steps)

    def has_right_unit(self, equations: Equations, limit: float) -> bool:
        """Whether a unit agrees everywhere while others do not: no convention does that."""
        with numpy.errstate(all="ignore"):
            right = (abs(self.predict(equations) - self.y) <= limit).all((0, 1))
        return bool(right.any() and not right.all())

    def error(self, equations: Equations | None) -> float:
        """The largest difference of the outputs from those of these equations; infinite if they do not fit."""
        if equations is None:
            return numpy.inf
        try:
            with numpy.errstate(all="ignore"):
                y = self.predict(equations)
        except ValueError:                        # shapes that do not fit: blocks that were transposed
            return numpy.inf
        error = abs(y - self.y).max(initial=0.0) if y.shape == self.y.shape else numpy.inf
        return float(error) if error == error else numpy.inf

    def predict(self, equations: Equations | None) -> Array:
        """The outputs [steps, rows, units] of these equations."""
        if equations is None:
            raise ValueError("no equations")
        if equations.norm is not None:
            return self._run_normed(equations)
        return {"rnn": self._run_rnn, "lstm": self._run_lstm, "gru": self._run_gru}[equations.family](equations)

    def _run_normed(self, equations: Equations) -> Array:
        """All units of each step, which a normalisation sees, by the rule of the cell."""
        cell, p = equations.make_cell()
        inner, P = cell.cell if isinstance(cell, ProjectedCell) else cell, equations.blocks.get("P", {}).get("")
        ax, ah = (numpy.concatenate([self._multiply(name, equations.blocks[name][g]) for g in equations.gates], -1)
                  for name in "WR")
        if isinstance(inner.inputs, NormedMap):
            ax, ah = inner.inputs.finish(p, ax), inner.recurrent.finish(p, ah)
        elif "b" in p:                            # without any normalisation
            ax, ah = ax + p["b"], ah + p.get("bR", 0)
        c, ys = self.c, []
        if c is None and "c" in inner.rule.widths:
            c = numpy.zeros((self.x.shape[1], equations.sizes[2]))
        for a, b, h in zip(ax, ah, self.h):
            y, (_, *rest), _ = inner.rule.forward(p, a, b, inner.rule.State(*((h,) if c is None else (h, c))))
            c = rest[0] if rest else None
            ys.append(y if P is None else y @ P)
        y = numpy.stack(ys)[..., self.units]
        limit = equations.options.get("projection_clip")
        return y if P is None or limit is None else clip(y, limit)

    def _multiply(self, name: str, block: Array) -> Array:
        """x or h times one block, for all units [steps, rows, U]."""
        found = self._products.get((name, id(block)))
        if found is None:                         # the block is held, so that its id stays its own
            if len(self._products) >= _MOST_PRODUCTS:
                self._products.clear()
            self._products[name, id(block)] = found = block, (self.x if name == "W" else self.h) @ block
        return found[1]

    def _sum(self, equations: Equations, gate: str, name: str, units: Any) -> Array:
        """The product of one map with its bias, before the gate."""
        a = self._multiply(name, equations.blocks[name][gate])[..., units]
        bias = equations.blocks.get("b" if name == "W" else "bR", {}).get(gate)
        return a if bias is None else a + bias[units]

    def _join(self, equations: Equations, name: str, units: Any) -> Array:
        return numpy.concatenate([self._sum(equations, gate, name, units) for gate in equations.gates], -1)

    def _run_rnn(self, equations: Equations) -> Array:
        rule = _make_elman(equations.options["activation"], bool(equations.options.get("residual")))
        ax, ah = (self._join(equations, name, self.units) for name in "WR")
        return rule.forward({}, ax, ah, rule.State(self.h[..., self.units]))[0]

    def _run_lstm(self, equations: Equations) -> Array:
        options, P = equations.options, equations.blocks.get("P", {}).get("")
        peepholes, units = equations.blocks.get("Wp", {}), slice(None) if P is not None else self.units
        rule = _make_lstm(bool(peepholes), *(options.get(name) for name in _LSTM_OPTIONS))
        p = {f"Wp{g}": a[units] for g, a in peepholes.items()}
        ax, ah = (self._join(equations, name, units) for name in "WR")
        zero = numpy.zeros((self.x.shape[1], next(iter(equations.blocks["W"].values())).shape[1]))
        s, ys = rule.State(None, (zero if self.c is None else self.c)[:, units]), []
        for a, b in zip(ax, ah):
            y, s, _ = rule.forward(p, a, b, s)
            ys.append(y)
        y = numpy.stack(ys)
        if P is None:
            return y
        y = (y @ P)[..., self.units]
        return y if options.get("projection_clip") is None else clip(y, options["projection_clip"])

    def _run_gru(self, equations: Equations) -> Array:
        options = equations.options
        rule, h = _make_gru(options["gate"], options["candidate"]), self.h[..., self.units]
        if options["reset"] == "after":
            ax, ah = (self._join(equations, name, self.units) for name in "WR")
            return rule.forward({}, ax, ah, rule.State(h))[0]
        R, bias = equations.blocks["R"]["n"], equations.blocks.get("bR", {}).get("n")
        r, _ = rule.gate.forward(sum(self._sum(equations, "r", name, slice(None)) for name in "WR"))
        z, _ = rule.gate.forward(sum(self._sum(equations, "z", name, self.units) for name in "WR"))
        an = (r * self.h) @ R[:, self.units]
        n, _ = rule.candidate.forward(self._sum(equations, "n", "W", self.units) + an
                                      + (0 if bias is None else bias[self.units]))
        return (1 - z) * n + z * h


@lru_cache(maxsize=256)
def _make_elman(activation: Any, residual: bool) -> ElmanRule:
    return (ResidualElmanRule if residual else ElmanRule)(activation)


@lru_cache(maxsize=256)
def _make_gru(gate: Any, candidate: Any) -> GRURule:
    return GRURule(gate=gate, candidate=candidate)


@lru_cache(maxsize=1024)
def _make_lstm(peepholes: bool, forget_bias: float, coupled: Any, gate: Any, candidate: Any, output: Any,
               cell_clip: Any) -> LSTMRule:
    return LSTMRule(peepholes=peepholes, forget_bias=forget_bias, coupled=coupled, gate=gate, candidate=candidate,
                    output=output, cell_clip=cell_clip)
