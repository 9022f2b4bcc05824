"""The grid LSTM: in each window of the features one LSTM over time and one over frequency."""
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, Iterator, NamedTuple, Optional

import numpy

from ..arrays import Array, as_matrix, cast, namespace, split
from ..cell import Cell
from ..elementwise import clip, dclip, dsigmoid, dtanh, sigmoid, tanh
from ..errors import NotSupported, check_limit, check_option
from ..maps.dense import Dense
from ..options import keyword_options
from ..rules.lstm import State
from ..shapes import ArraySpec, Size, resolve_shape
from ..tree import Tree, add, map_structure
from ..wrappers.parallel import Parallel
from .frequency_windows import extract_windows, overlap_add
from .timefreq import check_windows


class KeptLSTM(NamedTuple):
    """The intermediates of one of the two LSTMs of a window."""
    i: Any; f: Any; g: Any; o: Any; tc: Any; c: Any


class Kept(NamedTuple):
    x: Any; slots: Any                            # [B, I]; the old state
    windows: Any                                  # of each: (r = [h, hf], c, cf, KeptLSTM of time, of frequency)


@keyword_options()
@dataclass(frozen=True)
class GridLSTM(Cell):
    """The grid LSTM: in each window of the features one LSTM over time, and through each block one over frequency.

        z    = x_q W + [h_q, hf] R + b                  for each direction w, time t and frequency f: gates i f g o
        i, f = sig(z + Wpi_wf * cf + Wpi_wt * c_q), sig(z + forget_bias + ...)     peepholes of both old c
        c'_w = clip(f c_w + i tanh(g))                  c_t is c_q; c_f, h_f are zero at the start of each block
        h'_w = sig(o + Wpo_wf * c'_f + Wpo_wt * c'_t) tanh(c'_w)
        y    = [h'_t, h'_f] of every window             the state has those of time alone

    Shapes        x [B, I], state (h, c [B, windows of all blocks, U]); of each block k and direction w:
                  Wwk [feature, G], Rwk [2U, G], bwk [G], gate blocks i f g o; with peepholes
                  Wp{i f o}_{w}{of f, of t}k [U]
    Options       feature: inputs in a window; skip: from one window to the next; windows: their number in each block;
                  starts: the first input of each block, all 0 if (); offset: added to all; backwards=True: each block
                  from its last window to its first; shared=True: one set of weights for both directions;
                  coupled=True: f = 1 - i, gates i g o; peepholes=False, forget_bias=0.0, cell_clip=None;
                  reads="own" | "first": every block reads the states of the first, as TF 1 does if its state is no
                  tuple
    Paper         Li & Sainath, "Reducing the computational complexity of two-dimensional LSTMs" (2017); Kalchbrenner,
                  Danihelka & Graves, "Grid long short-term memory" (2015)
    Same as       TF 1 GridLSTMCell (forget_bias=1.0 there)
    Errors        ShapeError: fewer inputs than the windows cover; NotSupported: an option that is not known

    >>> import numpy as np
    >>> cell = GridLSTM(feature=3, skip=2, windows=(3,))
    >>> cell.forward({n: np.zeros(s) for n, s in cell.shapes(7, 2).items()}, np.ones((1, 7)),
    ...              cell.zeros(1, 2, dtype="float64"))[0].shape
    (1, 12)
    """
    _: KW_ONLY
    feature: int
    skip: int
    windows: tuple
    starts: tuple = ()
    offset: int = 0
    backwards: bool = False
    shared: bool = False
    coupled: bool = False
    peepholes: bool = False
    forget_bias: float = 0.0
    cell_clip: Optional[float] = None
    reads: str = "own"
    map: Any = field(default=Dense("W"), repr=False)              # of x and of r, with their own names

    def __post_init__(self) -> None:
        object.__setattr__(self, "windows", tuple(self.windows))
        object.__setattr__(self, "starts", tuple(self.starts or (0,) * len(self.windows)))
        check_option(self.name, "reads", self.reads, ("own", "first"))
        check_limit(self.name, "cell_clip", self.cell_clip)
        if len(self.starts) != len(self.windows) or min(self.feature, self.skip, *self.windows) < 1:
            raise NotSupported(self.name, f"feature={self.feature}, skip={self.skip}, windows={self.windows}, "
                                          f"starts={self.starts}", fix="a positive number of windows for each start")

    @property
    def gates(self) -> str:
        return "igo" if self.coupled else "ifgo"

    @property
    def ways(self) -> tuple[str, str]:
        """The letter of the parameters of each direction, time first."""
        return ("f", "f") if self.shared else ("t", "f")

    def axes(self) -> Any:
        peepholes = [g for g in self.gates if g != "g"] if self.peepholes else []
        axes = {}
        for k in range(len(self.windows)):
            for w in dict.fromkeys(self.ways):
                axes |= {f"W{w}{k}": f"{self.feature} G", f"R{w}{k}": "U+U G", f"b{w}{k}": "G"}
                axes |= {f"Wp{g}_{w}{of}{k}": "U" for g in peepholes for of in "ft"}
        return axes

    def shapes(self, n_in: Any, units: Any) -> Any:
        sizes = {"U": Size(units), "G": Size(len(self.gates) * units)}
        return {name: resolve_shape(axes, sizes) for name, axes in self.axes().items()}

    def width(self, units: Any) -> int:
        return 2 * sum(self.windows) * units

    def units(self, p: Tree) -> Any:
        return p["Rf0"].shape[0] // 2

    def zeros(self, batch: Any, units: Any, xp: Any = numpy, dtype: Any = "float32") -> State:
        return State(*(xp.zeros((batch, sum(self.windows), units), dtype) for _ in range(2)))

    @property
    def _window_order(self) -> list[tuple]:
        """(block, first input, index in the state that it reads) of every window, in the order of computation."""
        order: list[tuple] = []
        for k, (n, start) in enumerate(zip(self.windows, self.starts)):
            firsts = [start + self.offset + q * self.skip for q in range(n)]
            slot = 0 if self.reads == "first" else len(order)
            order += [(k, first, slot + q) for q, first in enumerate(firsts[::-1] if self.backwards else firsts)]
        return order

    def forward(self, p: Tree, x: Array, s: State, extra: Tree = None) -> tuple[Array, State, Any]:
        xp, U, new, kept, last = namespace(x), s.c.shape[-1], [], [], None
        xs = extract_windows(x, [at for _, at, _ in self._window_order], self.feature)
        for q, (k, _, slot) in enumerate(self._window_order):
            if k != last:
                hf = cf = xp.zeros((len(x), U), x.dtype)
            r, c, last = xp.concatenate([s.h[:, slot], hf], -1), s.c[:, slot], k
            (ht, t), (hf, f) = self._forward_window(p, k, xs[:, q], r, c, cf)
            kept.append((r, c, cf, t, f))
            new.append((ht, t.c, hf))
            cf = f.c
        h, c, hf = (xp.stack(a, 1) for a in zip(*new))
        y = xp.concatenate([h, hf], -1).reshape(len(x), 2 * h.shape[1] * U)
        return y, map_structure(cast, State(h, c), s), Kept(x, s, tuple(kept))

    def _forward_window(self, p: Tree, k: int, x: Array, r: Array, ct: Array, cf: Array) -> Iterator[tuple]:
        """One step of both LSTMs of a window: (h', kept) of time, (h', kept) of frequency."""
        gates = []
        for w, c in zip(self.ways, (ct, cf)):
            x_map, r_map = self._window_maps(w, k)
            a = x_map.forward(p, x)[0] + r_map.forward(p, r)[0] + p[f"b{w}{k}"]
            a = dict(zip(self.gates, split(a, len(self.gates))))
            i = sigmoid(a["i"] + self._peephole(p, "i", w, k, cf, ct))
            f = 1 - i if self.coupled else sigmoid(a["f"] + self.forget_bias + self._peephole(p, "f", w, k, cf, ct))
            g = tanh(a["g"])
            c = f * c + i * g
            gates.append((i, f, g, a["o"], c if self.cell_clip is None else clip(c, self.cell_clip)))
        (*_, ct), (*_, cf) = gates
        for w, (i, f, g, ao, c) in zip(self.ways, gates):
            o, tc = sigmoid(ao + self._peephole(p, "o", w, k, cf, ct)), tanh(c)
            yield cast(o * tc, x), KeptLSTM(i, f, g, o, tc, c)

    def _window_maps(self, w: str, k: int) -> tuple:
        return replace(self.map, W=f"W{w}{k}"), replace(self.map, W=f"R{w}{k}")

    def _peephole(self, p: Tree, gate: str, w: str, k: int, cf: Array, ct: Array) -> Any:
        return p[f"Wp{gate}_{w}f{k}"] * cf + p[f"Wp{gate}_{w}t{k}"] * ct if self.peepholes else 0

    def backward(self, p: Tree, kept: Any, dy: Array, dnew: State) -> tuple[Array, State, Tree, Tree]:
        xp, U, (h, c) = namespace(dy), dnew.c.shape[-1], kept.slots
        dh, dc, dp = xp.zeros_like(h), xp.zeros_like(c), {}
        xs, last = extract_windows(kept.x, [at for _, at, _ in self._window_order], self.feature), None
        dxs, dy = xp.zeros_like(xs), dy.reshape(*dnew.h.shape[:2], 2 * U)
        for q, (k, _, slot) in reversed(list(enumerate(self._window_order))):
            if k != last:
                dhf = dcf = xp.zeros_like(dnew.c[:, 0])
            last = k
            d = (dnew.h[:, q] + dy[:, q, :U], dnew.c[:, q]), (dhf + dy[:, q, U:], dcf)
            dxs[:, q], dr, dct, dcf, dq = self._backward_window(p, k, xs[:, q], kept.windows[q], d)
            dh[:, slot] += dr[:, :U]
            dc[:, slot] += dct
            dhf = dr[:, U:]
            for name, value in dq.items():
                dp[name] = add(dp.get(name), value)
        return overlap_add(dxs, [at for _, at, _ in self._window_order], kept.x.shape[-1]), State(dh, dc), None, dp

    def _backward_window(self, p: Tree, k: int, x: Array, kept: Any, d: Any) -> tuple:
        """Gradients of x, r, both old c and the parameters, from d: those of (h', c') of time and of frequency."""
        (r, ct, cf, *ways), dp, xp = kept, {}, namespace(x)
        dnew, dold, do = [d[0][1], d[1][1]], [0, 0], []          # of c'_t, c'_f and of c_t, c_f
        for w, way, (dh, _) in zip(self.ways, ways, d):
            do.append(dsigmoid(way.o, dh * way.tc))
            self._peephole_backward(p, dp, "o", w, k, do[-1], (ways[0].c, ways[1].c), dnew)
        dx = dr = 0
        for n, (w, way, (dh, _)) in enumerate(zip(self.ways, ways, d)):
            dc = dnew[n] + dtanh(way.tc, dh * way.o)
            dc = dc if self.cell_clip is None else dclip(way.c, self.cell_clip, dc)
            di, df = dc * way.g, dc * (ct, cf)[n]
            da = {"g": dtanh(way.g, dc * way.i), "o": do[n], "i": dsigmoid(way.i, di - df if self.coupled else di)}
            da |= {} if self.coupled else {"f": dsigmoid(way.f, df)}
            dold[n] = dold[n] + dc * way.f
            for gate in "i" if self.coupled else "if":
                self._peephole_backward(p, dp, gate, w, k, da[gate], (ct, cf), dold)
            da = cast(xp.concatenate([da[g] for g in self.gates], -1), x)
            x_map, r_map = self._window_maps(w, k)
            dx, dr = dx + x_map.backward_x(p, x, da), dr + r_map.backward_x(p, r, da)
            dproducts = x_map.backward_p(p, x, da) | r_map.backward_p(p, r, da) | {f"b{w}{k}": as_matrix(da).sum(0)}
            for name, value in dproducts.items():
                dp[name] = add(dp.get(name), value)
        return dx, dr, *dold, dp

    def _peephole_backward(self, p: Tree, dp: Tree, gate: str, w: str, k: int, da: Array, cs: tuple, dcs: list) -> None:
        """Add the gradients through the peepholes of a gate to `dp` and to `dcs`, those of c of time and frequency."""
        for n, of in enumerate("tf" if self.peepholes else ""):
            name = f"Wp{gate}_{w}{of}{k}"
            dp[name] = add(dp.get(name), (da * cs[n]).sum(0))
            dcs[n] = dcs[n] + da * p[name]

    def check(self, p: Tree, x: Any, s: State, extra: Tree = None, lead: str = "B") -> ArraySpec:
        need = max(at for _, at, _ in self._window_order) + self.feature - self.offset
        total = sum(self.windows)
        return check_windows(self, p, x, s, extra, lead, total, need, 2 * total)


@keyword_options(GridLSTM)
def BidirectionalGridLSTM(*, offset: int = 0, **options: Any) -> Parallel:
    """Two grid LSTMs on the same inputs, the second with the windows of each block from the last to the first.

    Shapes        those of GridLSTM; parameters and state are pairs, and the outputs are concatenated
    Options       offset=0: added to the starts of the second, whose windows are zero beyond the ends; and those of
                  GridLSTM
    Same as       TF 1 BidirectionalGridLSTMCell (backward_slice_offset is `offset`)
    Errors        those of GridLSTM

    >>> BidirectionalGridLSTM(feature=3, skip=2, windows=(3,)).width(5)
    60
    """
    return Parallel((GridLSTM(**options), GridLSTM(**options, backwards=True, offset=offset)))
