"""The phased LSTM: every unit is open for a part of its own period, and otherwise keeps its state."""
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

from ..arrays import Array, cast, namespace, upcast
from ..cell import GatedCell, State
from ..elementwise import where
from ..errors import NotSupported, ShapeError, check_option, describe_type
from ..maps.dense import Dense
from ..options import keyword_options
from ..rules.lstm import LSTMRule
from ..shapes import ArraySpec, Size, check_floating, expect
from ..tree import Tree, add, first_leaf, map_structure
from ..wrappers.base import Wrapper
from .dense_peepholes import DensePeepholes

_OWN_PARAMETERS = "period", "phase", "ratio_on"


class Kept(NamedTuple):
    cell: Any; k: Any; phi: Any; z: Any; new: Any; old: Any     # k: openness; new, old: states before the blend
    time: Any                                     # without rows, for its dtype


@keyword_options()
@dataclass(frozen=True)
class PhasedCell(Wrapper):
    """Any cell with phased units, which blend its new state with the old one by the time of the input.

        phi = mod(time - phase, period) / period        of each unit
        k   = 2 phi / ratio_on                          where phi < ratio_on / 2: opening
              2 - 2 phi / ratio_on                      where phi < ratio_on: closing
              leak phi                                  elsewhere: closed
        s'  = k cell(inputs, s) + (1 - k) s             every array of the state; the output is s'[0]

    Shapes        x (time [B, 1], inputs [B, I]), the state and the parameters of the cell, period phase ratio_on [U];
                  the time may have another floating dtype, in which mod(time - phase, period) is then computed
    Options       leak=0.001; period_gradient="whole" | "tf1": without the derivative of mod(z, period) by the period
    Paper         Neil, Pfeiffer & Liu, "Phased LSTM" (2016), eqs. 6-10
    Same as       TF 1 PhasedLSTMCell: see PhasedLSTM
    Errors        NotSupported: a cell with a projection; ShapeError: an x that is not a pair

    >>> import numpy as np, rnnref
    >>> cell = PhasedCell(rnnref.cells.SimpleRNN())
    >>> p = {"W": np.ones((1, 1)), "R": np.ones((1, 1)), "b": np.zeros(1), "period": np.full(1, 8.0),
    ...      "phase": np.zeros(1), "ratio_on": np.full(1, 0.5)}
    >>> x, s = (np.array([[10.0]]), np.array([[3.0]])), cell.zeros(1, 1, dtype="float64")
    >>> bool(cell.forward(p, x, s)[0][0, 0] == np.tanh(3.0))   # a quarter of the period: fully open
    True
    """
    cell: Any
    _: KW_ONLY
    leak: float = 0.001
    period_gradient: str = "whole"

    def __post_init__(self) -> None:
        check_option("PhasedCell", "period_gradient", self.period_gradient, ("whole", "tf1"))
        if getattr(self.cell, "projection", None):
            raise NotSupported("PhasedCell", "a cell with a projection: h and c of a unit must open together")

    def axes(self) -> Any:
        return self.cell.axes() | {name: "U" for name in _OWN_PARAMETERS}

    def shapes(self, n_in: Any, units: Any) -> Any:
        n_in = n_in[1] if isinstance(n_in, tuple) else n_in
        return self.cell.shapes(n_in, units) | {name: (units,) for name in _OWN_PARAMETERS}

    def prepare(self, p: Tree, extra: Tree = None) -> tuple[Tree, Tree, Any]:
        own = {name: p[name] for name in _OWN_PARAMETERS}
        q, extra, kept = self.cell.prepare(self._cell_parameters(p), extra)
        return q | own, extra, kept

    def prepare_backward(self, p: Tree, kept: Any, dp: Tree, dextra: Tree) -> tuple[Tree, Tree]:
        own = {name: dp[name] for name in _OWN_PARAMETERS}
        inner, dinner = self._cell_parameters(p), self._cell_parameters(dp)
        dq, dextra = self.cell.prepare_backward(inner, kept, dinner, dextra)
        return dq | own, dextra

    def _cell_parameters(self, p: Tree) -> Tree:
        """The parameters of the inner cell."""
        return {name: a for name, a in p.items() if name not in _OWN_PARAMETERS}

    def forward(self, p: Tree, x: tuple, s: State, extra: Tree = None) -> tuple[Array, State, Any]:
        time, inputs = x
        _, new, kept = self.cell.forward(self._cell_parameters(p), inputs, s, extra)
        period, phase, on = (upcast(p[name]) for name in _OWN_PARAMETERS)
        z = upcast(time) - phase                  # in the wider of both dtypes: times may be large
        phi = (z % period / period).astype(on.dtype)
        k = where(phi < on / 2, 2 * phi / on, where(phi < on, 2 - 2 * phi / on, self.leak * phi))
        mixed = map_structure(lambda a, b: cast(k * a + (1 - k) * b, b), new, s)     # k is float32 at least
        return mixed[0], mixed, Kept(kept, k, phi, z.astype(on.dtype), new, s, time[:0])

    def backward(self, p: Tree, kept: Any, dy: Array, dnew: State) -> tuple[tuple, State, Tree, Tree]:
        d, k = type(dnew)(add(dnew[0], dy), *dnew[1:]), kept.k
        inner = map_structure(lambda a: cast(k * a, a), d)
        zero = namespace(dy).zeros_like(dy)
        dinputs, ds, dextra, dp = self.cell.backward(self._cell_parameters(p), kept.cell, zero, inner)
        ds = map_structure(lambda a, b: cast(upcast(b) + (1 - k) * a, a), d, ds)
        dk = sum(a * (upcast(new) - old) for a, new, old in zip(d, kept.new, kept.old))
        dtime, down = self._gate_backward(p, kept, dk)
        return (cast(dtime, kept.time), dinputs), ds, dextra, dp | down

    def _gate_backward(self, p: Tree, kept: Any, dk: Array) -> tuple[Array, Tree]:
        """Gradients of the time and of period, phase and ratio_on, from that of the openness k."""
        period, on, phi = upcast(p["period"]), upcast(p["ratio_on"]), kept.phi
        opening, closing = phi < on / 2, phi < on
        dphi = dk * where(opening, 2 / on, where(closing, -2 / on, self.leak + 0 * on))
        don = dk * where(opening, -2 * phi / on ** 2, where(closing, 2 * phi / on ** 2, 0))
        dz = dphi / period
        dphi_dperiod = -phi if self.period_gradient == "tf1" else -kept.z / period          # times the period
        dp = {"period": (dz * dphi_dperiod).sum(0), "phase": -dz.sum(0), "ratio_on": don.sum(0)}
        return dz.sum(-1, keepdims=True), dp

    def check(self, p: Tree, x: Any, s: State, extra: Tree = None, lead: str = "B") -> Any:
        if not isinstance(x, tuple) or isinstance(x, ArraySpec) or len(x) != 2:
            raise ShapeError(self.name, f"x is {describe_type(x)}, expected the pair (time, inputs)")
        time, inputs = x
        missing = [name for name in _OWN_PARAMETERS if not isinstance(p, dict) or name not in p]
        if missing:
            raise ShapeError(self.name, f"parameters: {' '.join(missing)} missing",
                             names=f"those of the wrapper are {' '.join(_OWN_PARAMETERS)}")
        y = self.cell.check(self._cell_parameters(p), inputs, s, extra, lead)
        sizes = dict(zip(lead.split(), map(Size, y.shape))) | {"U": Size(first_leaf(s).shape[-1], "the state")}
        for name, a, axes in (("time", time, f"{lead} 1"), *((name, p[name], "U") for name in _OWN_PARAMETERS)):
            check_floating(self.name, name, a, y.dtype if name != "time" else None)
            expect(self.name, name, a, axes, sizes)
        return y


@keyword_options(LSTMRule)
def PhasedLSTM(*, leak: float = 0.001, period_gradient: str = "whole", dense_peepholes: bool = False,
               **options: Any) -> PhasedCell:
    """An LSTM whose units open once in a period of their own, and keep h and c in between.

        i, f, g, o, h~, c~ as h', c' in LSTM            from (h, c) and the inputs
        phi = mod(time - phase, period) / period        k = 2 phi / ratio_on         where phi < ratio_on / 2
                                                            2 - 2 phi / ratio_on     where phi < ratio_on
                                                            leak phi                 elsewhere
        h' = k h~ + (1 - k) h                           c' = k c~ + (1 - k) c

    Shapes        x is the pair (time [B, 1], inputs [B, I]), state (h [B, U], c [B, U]), W [I, 4U], R [U, 4U], b [4U],
                  gate blocks i f g o, period phase ratio_on [U]; C [U, 3U] with `dense_peepholes`, blocks i f o
    Options       leak=0.001; period_gradient="whole" | "tf1" (see PhasedCell); dense_peepholes=True: peephole
                  matrices; and those of LSTM except the projection and the biases
    Paper         Neil, Pfeiffer & Liu, "Phased LSTM" (2016), eqs. 6-10; its peepholes are `peepholes=True`
    Same as       TF 1 PhasedLSTMCell (period_gradient="tf1"; its use_peepholes is `dense_peepholes`)
    Errors        NotSupported: an option or an activation that is not known; ShapeError: an x that is not a pair

    >>> sorted(PhasedLSTM().axes())
    ['R', 'W', 'b', 'period', 'phase', 'ratio_on']
    """
    rule = LSTMRule(**options)
    cell = DensePeepholes(rule=rule) if dense_peepholes else GatedCell(Dense("W", "b"), Dense("R"), rule)
    return PhasedCell(cell, leak=leak, period_gradient=period_gradient)
