"""The phased LSTM: every unit is awake for a part of its own period, and asleep it keeps its state."""
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

from ..arrays import cast, namespace, upcast
from ..cell import GatedCell
from ..elementwise import where
from ..errors import NotSupported, ShapeError, check_option
from ..maps.dense import Dense
from ..options import keyword_options
from ..rules.lstm import LSTMRule
from ..shapes import ArraySpec, Size, check_floating, expect
from ..tree import add, first_leaf, map_structure
from ..wrappers.base import Wrapper
from .dense_peepholes import DensePeepholes

_OWN_PARAMETERS = "period", "phase", "ratio_on"


class Kept(NamedTuple):
    cell: Any; k: Any; phi: Any; z: Any; new: Any; old: Any     # k: how open; new, old: the states between which


@keyword_options()
@dataclass(frozen=True)
class PhasedCell(Wrapper):
    """A cell that sees the time at which each input came: x is the pair (time, inputs).

        phi = mod(time - phase, period) / period        of each unit
        k   = 2 phi / ratio_on                          while phi < ratio_on / 2: it opens
              2 - 2 phi / ratio_on                      while phi < ratio_on: it closes
              leak phi                                  asleep
        s'  = k cell(inputs, s) + (1 - k) s             every array of the state; the output is s'[0]

    Shapes        x (time [B, 1], inputs [B, I]), the state and the parameters of the cell, period phase ratio_on [U]
    Options       leak=0.001; period_gradient="whole", or "tf1": as if mod(z, period) did not depend on the period
    Paper         Neil, Pfeiffer & Liu, "Phased LSTM" (2016), eqs. 6-10
    Same as       TF 1 PhasedLSTMCell: see PhasedLSTM
    Errors        NotSupported: a cell whose h is projected; ShapeError: an x that is no pair

    >>> import numpy as np, rnnref
    >>> cell = PhasedCell(rnnref.cells.SimpleRNN())
    >>> p = {"W": np.ones((1, 1)), "R": np.ones((1, 1)), "b": np.zeros(1), "period": np.full(1, 8.0),
    ...      "phase": np.zeros(1), "ratio_on": np.full(1, 0.5)}
    >>> x, s = (np.array([[10.0]]), np.array([[3.0]])), cell.zeros(1, 1, dtype="float64")
    >>> bool(cell.forward(p, x, s)[0][0, 0] == np.tanh(3.0))   # a quarter of the period: upcast open
    True
    """
    cell: Any
    _: KW_ONLY
    leak: float = 0.001
    period_gradient: str = "whole"

    def __post_init__(self):
        check_option("Phased", "period_gradient", self.period_gradient, ("whole", "tf1"))
        if getattr(self.cell, "projection", None):
            raise NotSupported("Phased", "a cell with a projection: h and c of a unit must open together")

    def axes(self):
        return self.cell.axes() | {name: "U" for name in _OWN_PARAMETERS}

    def shapes(self, n_in, units):
        n_in = n_in[1] if isinstance(n_in, tuple) else n_in
        return self.cell.shapes(n_in, units) | {name: (units,) for name in _OWN_PARAMETERS}

    def prepare(self, p, extra=None):
        mine = {name: p[name] for name in _OWN_PARAMETERS}
        q, extra, kept = self.cell.prepare(self._cell_parameters(p), extra)
        return q | mine, extra, kept

    def prepare_backward(self, p, kept, dp, dextra):
        mine = {name: dp[name] for name in _OWN_PARAMETERS}
        dq, dextra = self.cell.prepare_backward(self._cell_parameters(p), kept, self._cell_parameters(dp), dextra)
        return dq | mine, dextra

    def _cell_parameters(self, p):
        return {name: a for name, a in p.items() if name not in _OWN_PARAMETERS}

    def forward(self, p, x, s, extra=None):
        time, inputs = x
        _, new, kept = self.cell.forward(self._cell_parameters(p), inputs, s, extra)
        period, phase, on = (upcast(p[name]) for name in _OWN_PARAMETERS)
        z = upcast(time) - phase
        phi = z % period / period
        k = where(phi < on / 2, 2 * phi / on, where(phi < on, 2 - 2 * phi / on, self.leak * phi))
        mixed = map_structure(lambda a, b: cast(k * a + (1 - k) * b, b), new, s)     # k is wide, so this is
        return mixed[0], mixed, Kept(kept, k, phi, z, new, s)

    def backward(self, p, kept, dy, dnew):
        d, k = type(dnew)(add(dnew[0], dy), *dnew[1:]), kept.k
        inner = map_structure(lambda a: cast(k * a, a), d)
        dinputs, ds, dextra, dp = self.cell.backward(self._cell_parameters(p), kept.cell, namespace(dy).zeros_like(dy), inner)
        ds = map_structure(lambda a, b: cast(upcast(b) + (1 - k) * a, a), d, ds)
        dk = sum(a * (upcast(new) - old) for a, new, old in zip(d, kept.new, kept.old))
        dtime, mine = self._gate_backward(p, kept, dk)
        return (cast(dtime, dy), dinputs), ds, dextra, dp | mine

    def _gate_backward(self, p, kept, dk):
        """From how open each unit was to the time, and to the three parameters."""
        period, on, phi = upcast(p["period"]), upcast(p["ratio_on"]), kept.phi
        opening, closing = phi < on / 2, phi < on
        dphi = dk * where(opening, 2 / on, where(closing, -2 / on, self.leak + 0 * on))
        don = dk * where(opening, -2 * phi / on ** 2, where(closing, 2 * phi / on ** 2, 0))
        dz = dphi / period
        seen = phi if self.period_gradient == "tf1" else kept.z / period
        return dz.sum(-1, keepdims=True), {"period": (-dz * seen).sum(0), "phase": -dz.sum(0), "ratio_on": don.sum(0)}

    def check(self, p, x, s, extra=None, lead="B"):
        if not isinstance(x, tuple) or isinstance(x, ArraySpec) or len(x) != 2:
            raise ShapeError(self.name, f"x is a {type(x).__name__}, expected the pair (time, inputs)")
        time, inputs = x
        lacks = [name for name in _OWN_PARAMETERS if not isinstance(p, dict) or name not in p]
        if lacks:
            raise ShapeError(self.name, f"parameters: {' '.join(lacks)} missing",
                             names=f"its own are {' '.join(_OWN_PARAMETERS)}")
        y = self.cell.check(self._cell_parameters(p), inputs, s, extra, lead)
        sizes = dict(zip(lead.split(), map(Size, y.shape))) | {"U": Size(first_leaf(s).shape[-1], "the state")}
        for name, a, axes in (("time", time, f"{lead} 1"), *((name, p[name], "U") for name in _OWN_PARAMETERS)):
            check_floating(self.name, name, a, y.dtype)
            expect(self.name, name, a, axes, sizes)
        return y


@keyword_options(LSTMRule)
def PhasedLSTM(*, leak=0.001, period_gradient="whole", dense_peepholes=False, **options):
    """An LSTM whose units each open once in a period of their own, and keep h and c in between.

        i, f, g, o, h~, c~ as h', c' in LSTM            from (h, c) and the inputs
        phi = mod(time - phase, period) / period        k = 2 phi / ratio_on         while phi < ratio_on / 2
                                                            2 - 2 phi / ratio_on     while phi < ratio_on
                                                            leak phi                 asleep
        h' = k h~ + (1 - k) h                           c' = k c~ + (1 - k) c

    Shapes        x is the pair (time [B, 1], inputs [B, I]), state (h [B, U], c [B, U]), W [I, 4U], R [U, 4U], b [4U],
                  gate blocks i f g o, period phase ratio_on [U]; C [U, 3U] with `dense_peepholes`, blocks i f o
    Options       leak=0.001; period_gradient="whole" | "tf1"; dense_peepholes=True: peepholes that are matrices;
                  without them those of LSTM
    Paper         Neil, Pfeiffer & Liu, "Phased LSTM" (2016), eqs. 6-10; its peepholes are `peepholes=True`
    Same as       TF 1 PhasedLSTMCell (period_gradient="tf1": it takes mod(z, period) as if it did not depend on the
                  period; its use_peepholes is `dense_peepholes`)
    Errors        NotSupported: an option that is not known; ShapeError: an x that is no pair

    >>> sorted(PhasedLSTM().axes())
    ['R', 'W', 'b', 'period', 'phase', 'ratio_on']
    """
    rule = LSTMRule(**options)
    cell = DensePeepholes(rule=rule) if dense_peepholes else GatedCell(Dense("W", "b"), Dense("R"), rule)
    return PhasedCell(cell, leak=leak, period_gradient=period_gradient)
