"""An LSTM over time and frequency: one set of weights for all windows of the features of a step."""
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

import numpy

from ..arrays import Array, cast, namespace, upcast
from ..cell import Cell, sum_to_parameters
from ..errors import NotSupported, ShapeError, describe_type
from ..maps.dense import Dense
from ..options import keyword_options
from ..rules.lstm import LSTMRule, State
from ..shapes import ArraySpec, Size, check_floating, check_input, check_names, expect, resolve_shape
from ..tree import Tree, map_structure, stack
from .frequency_windows import extract_windows, overlap_add


class Kept(NamedTuple):
    x: Any; h: Any                                # [B, I]; [B, windows, U], the old h
    below: Any; rule: Any                         # of each window: the h of the window below, `kept` of the rule


@keyword_options()
@dataclass(frozen=True)
class TimeFreqLSTM(Cell):
    """LSTM over time and frequency: windows of the inputs share their weights, and each sees the h' of the one below.

        a_q = x[q skip : q skip + feature] W + h_q R + h'_(q-1) Rf + b,   h'_(-1) = 0
        h'_q, c'_q = lstm(a_q, c_q)                     the output is [h'_0, h'_1, ...]

    Shapes        x [B, I], state (h [B, windows, U], c [B, windows, U]), W [feature, 4U], R Rf [U, 4U], b [4U], gate
                  blocks i f g o, Wpi Wpf Wpo [U] with peepholes; y [B, windows U]
    Options       feature: inputs in a window; skip: from one window to the next; windows: their number;
                  rule=LSTMRule(...): forget_bias, peepholes, cell_clip and so on
    Paper         Li, Mohamed, Zweig & Gong, "LSTM time and frequency recurrence for automatic speech recognition"
                  (2015)
    Same as       TF 1 TimeFreqLSTMCell (forget_bias=1.0 there); its state is [c_0, h_0, c_1, h_1, ...]
    Errors        ShapeError: fewer inputs than the windows cover; NotSupported: sizes that are not positive

    >>> import numpy as np
    >>> cell = TimeFreqLSTM(feature=3, skip=2, windows=3)
    >>> cell.shapes(7, 1)
    {'W': (3, 4), 'R': (1, 4), 'Rf': (1, 4), 'b': (4,)}
    """
    _: KW_ONLY
    feature: int
    skip: int
    windows: int
    rule: Any = LSTMRule()
    inputs: Any = field(default=Dense("W", "b"), repr=False)
    recurrent: Any = field(default=Dense("R"), repr=False)
    frequency_map: Any = field(default=Dense("Rf"), repr=False)         # of the h' of the window below

    def __post_init__(self) -> None:
        if min(self.feature, self.skip, self.windows) < 1:
            raise NotSupported(self.name, f"feature={self.feature}, skip={self.skip}, windows={self.windows}, expected "
                                          "positive numbers")

    @property
    def gates(self) -> str:
        return self.rule.gates

    def axes(self) -> Any:
        return {"W": f"{self.feature} G", "R": "U G", "Rf": "U G", "b": "G"} | self.rule.axes()

    def shapes(self, n_in: Any, units: Any) -> Any:
        sizes = {"U": Size(units), "G": Size(len(self.gates) * units)}
        return {name: resolve_shape(axes, sizes) for name, axes in self.axes().items()}

    def width(self, units: Any) -> int:
        return self.windows * units

    def units(self, p: Tree) -> Any:
        return p["R"].shape[0]

    def zeros(self, batch: Any, units: Any, xp: Any = numpy, dtype: Any = "float32") -> State:
        return State(*(xp.zeros((batch, self.windows, units), dtype) for _ in range(2)))

    @property
    def starts(self) -> list[int]:
        return [q * self.skip for q in range(self.windows)]

    def forward(self, p: Tree, x: Array, s: State, extra: Tree = None) -> tuple[Array, State, Any]:
        xp, n = namespace(x), self.windows
        ax = self.inputs.forward(p, extract_windows(x, self.starts, self.feature))[0]
        ah = self.recurrent.forward(p, s.h)[0]
        new, kept, below = [], [], [xp.zeros_like(s.h[:, 0])]
        for q in range(n):
            af = self.frequency_map.forward(p, below[q])[0]
            old = map_structure(upcast, _select_window(s, q))
            h, state, k = self.rule.forward(p, upcast(ax[:, q] + af), upcast(ah[:, q]), old)
            new.append(map_structure(cast, state, s))
            kept.append(k)
            below.append(cast(h, x))
        h, c = xp.stack(below[1:], 1), xp.stack([state.c for state in new], 1)
        return h.reshape(len(h), n * h.shape[-1]), State(h, c), Kept(x, s.h, tuple(below[:n]), tuple(kept))

    def backward(self, p: Tree, k: Any, dy: Array, dnew: State) -> tuple[Array, State, Tree, Tree]:
        xp, n = namespace(dy), self.windows
        dh, below, back = dnew.h + dy.reshape(dnew.h.shape), xp.zeros_like(dnew.h[:, 0]), []
        for q in reversed(range(n)):
            d = map_structure(upcast, State(dh[:, q], dnew.c[:, q]))
            da, _, ds, dr = self.rule.backward(p, k.rule[q], upcast(below), d)
            da = cast(da, dy)
            below = self.frequency_map.backward_x(p, None, da)
            back.append((da, cast(ds.c, dnew.c), dr))
        das, dcs, dr = stack(back[::-1])                # [windows, B, ...]
        dp = sum_to_parameters(p, dr) | self.frequency_map.backward_p(p, xp.stack(k.below), das)
        da, windows = das.swapaxes(0, 1), extract_windows(k.x, self.starts, self.feature)
        dp |= self.inputs.backward_p(p, windows, da) | self.recurrent.backward_p(p, k.h, da)
        dx = overlap_add(self.inputs.backward_x(p, windows, da), self.starts, k.x.shape[-1])
        return dx, State(self.recurrent.backward_x(p, k.h, da), dcs.swapaxes(0, 1)), None, dp

    def check(self, p: Tree, x: Any, s: State, extra: Tree = None, lead: str = "B") -> ArraySpec:
        need = self.starts[-1] + self.feature
        return check_windows(self, p, x, s, extra, lead, self.windows, need, self.windows)


def _select_window(s: State, q: int) -> State:
    return State(s.h[:, q], s.c[:, q])


def check_windows(cell: Any, p: Tree, x: Any, s: State, extra: Tree, lead: str, windows: int, need: int,
                  out: int) -> ArraySpec:
    """Check the arguments of a cell of windows: `windows` states, at least `need` inputs, an output of `out` U."""
    seen = check_input(cell.name, x, f"{lead} I")
    if seen["I"].n < need:
        raise ShapeError(cell.name, f"x has {seen['I'].n} inputs, and the windows reach to {need}")
    if getattr(s, "_fields", None) != State._fields or any(len(a.shape) != 3 for a in s):
        raise ShapeError(cell.name, f"the state is {describe_type(s)}, expected State(h, c), each [B, windows, U]")
    U = Size(s.c.shape[-1], "from state.c")
    sizes = seen | {"U": U, "G": Size(len(cell.gates) * U.n, f"{len(cell.gates)} gates x U")}
    check_names(cell.name, "parameters", p, cell.axes())
    axes = {f"state.{n}": f"B {windows} U" for n in State._fields} | cell.axes()
    for name, a in {"state.h": s.h, "state.c": s.c, **p}.items():
        check_floating(cell.name, name, a, x.dtype)
        expect(cell.name, name, a, axes[name], sizes)
    if extra is not None:
        raise NotSupported(cell.name, f"extra={type(extra).__name__}(…): this cell takes none")
    return ArraySpec((*x.shape[:-1], out * U.n), x.dtype, f"the output of {cell.name}")
