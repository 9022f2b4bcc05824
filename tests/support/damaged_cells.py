"""A cell as a user writes it, and every way to write it wrongly: which law says so, and in which words."""
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rnnref.cells import Cell
from rnnref.tree import map_structure


class State(NamedTuple):
    h: Any


@dataclass(frozen=True)
class Leaky(Cell):
    """A cell as a user writes it: h' = h / 2 + tanh(x W + h R + memory) / 2."""

    def shapes(self, n_in, units):
        return {"W": (n_in, units), "R": (units, units)}

    def width(self, units):
        return units

    def zeros(self, batch, units, xp=np, dtype="float32"):
        return State(xp.zeros((batch, units), dtype))

    def forward(self, p, x, s, extra=None):
        t = np.tanh(x @ p["W"] + s.h @ p["R"] + (0 if extra is None else extra))
        h = 0.5 * s.h + 0.5 * t
        return h, State(h), (x, s.h, t, extra)

    def backward(self, p, kept, dy, dnew):
        x, h, t, extra = kept
        dh = dy + dnew.h
        da = 0.5 * dh * (1 - t * t)
        dp = {"W": x.T @ da, "R": h.T @ da}
        return da @ p["W"].T, State(0.5 * dh + da @ p["R"].T), None if extra is None else da, dp


class Drifts(Leaky):
    def forward(self, p, x, s, extra=None):
        y, new, kept = super().forward(p, x, s, extra)
        return y, State(new.h + np.zeros(1)), kept             # float64, whatever comes


class LosesItsState(Leaky):
    def forward(self, p, x, s, extra=None):
        y, new, kept = super().forward(p, x, s, extra)
        return y, (new.h,), kept


class Grows(Leaky):
    def forward(self, p, x, s, extra=None):
        y, new, kept = super().forward(p, x, s, extra)
        return y, State(np.concatenate([new.h, y], -1)), kept


class ForgetsAName(Leaky):
    def backward(self, p, kept, dy, dnew):
        dx, ds, dextra, dp = super().backward(p, kept, dy, dnew)
        return dx, ds, dextra, {"W": dp["W"]}


class GradientDrifts(Leaky):
    def backward(self, p, kept, dy, dnew):
        dx, ds, dextra, dp = super().backward(p, kept, dy, dnew)
        return dx, ds, dextra, map_structure(lambda a: a.astype("float64"), dp)


class NoGradientOfMemory(Leaky):
    def backward(self, p, kept, dy, dnew):
        dx, ds, dextra, dp = super().backward(p, kept, dy, dnew)
        return dx, ds, 0 * dextra, dp


class NoGradientOfR(Leaky):
    def backward(self, p, kept, dy, dnew):
        dx, ds, dextra, dp = super().backward(p, kept, dy, dnew)
        return dx, ds, dextra, dp | {"R": 0 * dp["R"]}


class Truncates(Leaky):
    def backward(self, p, kept, dy, dnew):
        dx, ds, dextra, dp = super().backward(p, kept, dy, dnew)
        return dx, map_structure(np.zeros_like, ds), dextra, dp


class NotANumber(Leaky):
    def backward(self, p, kept, dy, dnew):
        dx, ds, dextra, dp = super().backward(p, kept, dy, dnew)
        return dx * np.nan, ds, dextra, dp


class WritesToItsState(Leaky):
    def forward(self, p, x, s, extra=None):
        y, new, kept = super().forward(p, x, s, extra)
        s.h[...] = new.h
        return y, new, kept


class WritesToItsInput(Leaky):
    def forward(self, p, x, s, extra=None):
        result = super().forward(p, x.copy(), s, extra)
        x *= 0.5
        return result


class WritesToItsParameters(Leaky):
    def backward(self, p, kept, dy, dnew):
        result = super().backward(p, kept, dy, dnew)
        p["W"] -= 0.1
        return result


class AddsAParameter(Leaky):
    def forward(self, p, x, s, extra=None):
        p["scratch"] = x
        return super().forward(p, x, s, extra)


class WritesToGradients(Leaky):
    def backward(self, p, kept, dy, dnew):
        dy += dnew.h
        return super().backward(p, kept, dy, State(np.zeros_like(dnew.h)))


class UsesUpItsTape(Leaky):
    def backward(self, p, kept, dy, dnew):
        result = super().backward(p, kept, dy, dnew)
        kept[2][...] = 0                          # not an argument of run: only a second run_back can tell
        return result


class MixesRows(Leaky):
    def forward(self, p, x, s, extra=None):
        return super().forward(p, x - x.mean(0), s, extra)

    def backward(self, p, kept, dy, dnew):
        dx, *rest = super().backward(p, kept, dy, dnew)
        return dx - dx.mean(0), *rest


class KnowsItsRow(Leaky):
    def forward(self, p, x, s, extra=None):
        return super().forward(p, x + np.arange(len(x))[:, None].astype(x.dtype), s, extra)


class HasNoBackward(Leaky):
    backward = Cell.backward


CELLS = {                                         # cell, the law, what the message says
    Drifts: (1, "the state after a step.h: dtype float64, expected float32"),
    LosesItsState: (1, "the state after a step: a tuple, expected a tests State"),
    Grows: (1, "the state after a step.h: shape (4, 8), expected (4, 4)"),
    ForgetsAName: (1, "dp: holds ['W'], expected ['W', 'R']"),
    GradientDrifts: (1, "dp.W: dtype float64, expected float32"),
    HasNoBackward: (3, "has no backward: it runs, but it cannot be trained"),
    NoGradientOfMemory: (2, "dextra: along a random direction the gradient gives 0, a difference"),
    NoGradientOfR: (2, "dp.R: along a random direction the gradient gives 0, a difference"),
    Truncates: (2, "dxs: along a random direction"),
    NotANumber: (2, "dxs: along a random direction the gradient gives nan"),
    WritesToItsState: (3, "s.h["),
    WritesToItsInput: (3, "xs["),
    WritesToItsParameters: (3, "p.W["),
    AddsAParameter: (3, "p: holds ['W', 'R', 'scratch'], expected ['W', 'R']"),
    WritesToGradients: (3, "dys["),
    UsesUpItsTape: (3, "backward for the second time"),
    MixesRows: (4, "alone: "),
    KnowsItsRow: (4, "alone: "),
}
