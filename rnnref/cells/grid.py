"""The grid LSTM over time and frequency: in each window one LSTM for either way, and both see both."""
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, NamedTuple, Optional

import numpy

from ..arrays import as_matrix, cast, namespace, split
from ..cell import Cell
from ..elementwise import clip, dclip, dsigmoid, dtanh, sigmoid, tanh
from ..errors import NotSupported, check_option
from ..maps.dense import Dense
from ..options import keyword_options
from ..rules.lstm import State
from ..shapes import Size, resolve_shape
from ..tree import add, map_structure
from ..wrappers.parallel import Parallel
from .frequency_windows import extract_windows, overlap_add
from .timefreq import check_windows


class KeptLSTM(NamedTuple):
    """What one of the two LSTMs of a window keeps."""
    i: Any; f: Any; g: Any; o: Any; tc: Any; c: Any


class Kept(NamedTuple):
    x: Any; slots: Any                            # [B, I]; the state before the step
    windows: Any                                  # of each: (r = [h, hf], cf, Way of time, Way of frequency)


@keyword_options()
@dataclass(frozen=True)
class GridLSTM(Cell):
    """Windows in blocks; through each block a second LSTM runs from window to window, over frequency.

        z    = x_q W + [h_q, hf] R + b                  for either way w, time t and frequency f: gates i f g o
        i, f = sig(z + Wpi_wf * cf + Wpi_wt * c_q), sig(z + forget_bias + ...)     peepholes see both old c
        c'_w = limit(f c_w + i tanh(g))                 c_t is c_q; c_f, h_f start at zero in each block
        h'_w = sig(o + Wpo_wf * c'_f + Wpo_wt * c'_t) tanh(c'_w)
        y    = [h'_t, h'_f] of every window             only the time's states are carried to the next step

    Shapes        x [B, I], state (h, c [B, windows of all blocks, U]); of each block k and way w: Wwk [feature, G],
                  Rwk [2U, G], bwk [G], gate blocks i f g o; with peepholes Wp{i f o}_{way}{of f, of t}k [U]
    Options       windows: how many in each block; skip between them; starts: of the blocks, all 0 if (); offset: of
                  all; backwards: each block from its last window to its first; shared: one set of weights, both ways;
                  coupled: f = 1 - i, gates i g o; peepholes, forget_bias, cell_clip; reads="own", or "first": every
                  block reads the states of the first and writes to its own, as TF 1 does without a tuple for a state
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
    map: Any = field(default=Dense("W"), repr=False)              # of x and of r, under names of their own

    def __post_init__(self):
        object.__setattr__(self, "windows", tuple(self.windows))
        object.__setattr__(self, "starts", tuple(self.starts or (0,) * len(self.windows)))
        check_option(self.name, "reads", self.reads, ("own", "first"))
        if len(self.starts) != len(self.windows) or min(self.feature, self.skip, *self.windows) < 1:
            raise NotSupported(self.name, f"feature={self.feature}, skip={self.skip}, windows={self.windows}, "
                                          f"starts={self.starts}", fix="a positive number of windows for each start")

    @property
    def gates(self):
        return "igo" if self.coupled else "ifgo"

    @property
    def ways(self):
        """The letter of the parameters of either way, time first."""
        return ("f", "f") if self.shared else ("t", "f")

    def axes(self):
        peeps = [g for g in self.gates if g != "g"] if self.peepholes else []
        found = {}
        for k in range(len(self.windows)):
            for w in dict.fromkeys(self.ways):
                found |= {f"W{w}{k}": f"{self.feature} G", f"R{w}{k}": "U+U G", f"b{w}{k}": "G"}
                found |= {f"Wp{g}_{w}{of}{k}": "U" for g in peeps for of in "ft"}
        return found

    def shapes(self, n_in, units):
        sizes = {"U": Size(units), "G": Size(len(self.gates) * units)}
        return {name: resolve_shape(axes, sizes) for name, axes in self.axes().items()}

    def width(self, units):
        return 2 * sum(self.windows) * units

    def units(self, p):
        return p["Rf0"].shape[0] // 2

    def zeros(self, batch, units, xp=numpy, dtype="float32"):
        return State(*(xp.zeros((batch, sum(self.windows), units), dtype) for _ in range(2)))

    @property
    def _window_order(self):
        """(block, start, slot that it reads) of every window, in the order in which they are taken."""
        found = []
        for k, (n, start) in enumerate(zip(self.windows, self.starts)):
            begins = [start + self.offset + q * self.skip for q in range(n)]
            first = 0 if self.reads == "first" else len(found)
            found += [(k, at, first + q) for q, at in enumerate(begins[::-1] if self.backwards else begins)]
        return found

    def forward(self, p, x, s, extra=None):
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

    def _forward_window(self, p, k, x, r, ct, cf):
        """One step of both LSTMs -> (h', kept) of time, (h', kept) of frequency."""
        gates = []
        for w, c in zip(self.ways, (ct, cf)):
            of_x, of_r = self._window_maps(w, k)
            a = of_x.forward(p, x)[0] + of_r.forward(p, r)[0] + p[f"b{w}{k}"]
            a = dict(zip(self.gates, split(a, len(self.gates))))
            i = sigmoid(a["i"] + self._peephole(p, "i", w, k, cf, ct))
            f = 1 - i if self.coupled else sigmoid(a["f"] + self.forget_bias + self._peephole(p, "f", w, k, cf, ct))
            g = tanh(a["g"])
            c = f * c + i * g
            gates.append((i, f, g, a["o"], clip(c, self.cell_clip) if self.cell_clip else c))
        (*_, ct), (*_, cf) = gates
        for w, (i, f, g, ao, c) in zip(self.ways, gates):
            o, tc = sigmoid(ao + self._peephole(p, "o", w, k, cf, ct)), tanh(c)
            yield cast(o * tc, x), KeptLSTM(i, f, g, o, tc, c)

    def _window_maps(self, w, k):
        return replace(self.map, W=f"W{w}{k}"), replace(self.map, W=f"R{w}{k}")

    def _peephole(self, p, gate, w, k, cf, ct):
        return p[f"Wp{gate}_{w}f{k}"] * cf + p[f"Wp{gate}_{w}t{k}"] * ct if self.peepholes else 0

    def backward(self, p, kept, dy, dnew):
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

    def _backward_window(self, p, k, x, kept, d):
        """Gradients of x, r, both old c and the parameters, from those of (h', c') of time and of frequency."""
        (r, ct, cf, *ways), dp, xp = kept, {}, namespace(x)
        dnew, dold, do = [d[0][1], d[1][1]], [0, 0], []          # of c_t and c_f, after and before
        for w, way, (dh, _) in zip(self.ways, ways, d):
            do.append(dsigmoid(way.o, dh * way.tc))
            self._peephole_backward(p, dp, "o", w, k, do[-1], (ways[0].c, ways[1].c), dnew)
        dx = dr = 0
        for n, (w, way, (dh, _)) in enumerate(zip(self.ways, ways, d)):
            dc = dnew[n] + dtanh(way.tc, dh * way.o)
            dc = dclip(way.c, self.cell_clip, dc) if self.cell_clip else dc
            di, df = dc * way.g, dc * (ct, cf)[n]
            da = {"g": dtanh(way.g, dc * way.i), "o": do[n], "i": dsigmoid(way.i, di - df if self.coupled else di)}
            da |= {} if self.coupled else {"f": dsigmoid(way.f, df)}
            dold[n] = dold[n] + dc * way.f
            for gate in "i" if self.coupled else "if":
                self._peephole_backward(p, dp, gate, w, k, da[gate], (ct, cf), dold)
            da = cast(xp.concatenate([da[g] for g in self.gates], -1), x)
            of_x, of_r = self._window_maps(w, k)
            dx, dr = dx + of_x.backward_x(p, x, da), dr + of_r.backward_x(p, r, da)
            more = of_x.backward_p(p, x, da) | of_r.backward_p(p, r, da) | {f"b{w}{k}": as_matrix(da).sum(0)}
            for name, value in more.items():
                dp[name] = add(dp.get(name), value)
        return dx, dr, *dold, dp

    def _peephole_backward(self, p, dp, gate, w, k, da, cs, dcs):
        """Adds to `dp` and to `dcs`, the gradients of c of time and of frequency, what a gate's peepholes say."""
        for n, of in enumerate("tf" if self.peepholes else ""):
            name = f"Wp{gate}_{w}{of}{k}"
            dp[name] = add(dp.get(name), (da * cs[n]).sum(0))
            dcs[n] = dcs[n] + da * p[name]

    def check(self, p, x, s, extra=None, lead="B"):
        need = max(at for _, at, _ in self._window_order) + self.feature - self.offset
        total = sum(self.windows)
        return check_windows(self, p, x, s, extra, lead, total, need, 2 * total)


@keyword_options(GridLSTM)
def BidirectionalGridLSTM(*, offset=0, **options):
    """Two grid LSTMs on the same inputs: the second takes the windows of each block from the last to the first.

    Its windows are moved by `offset`, zero where they reach over the ends.  The output is all of the first, then all of
    the second; parameters and state are pairs.  Same as TF 1 BidirectionalGridLSTMCell (backward_slice_offset).

    >>> BidirectionalGridLSTM(feature=3, skip=2, windows=(3,)).width(5)
    60
    """
    return Parallel((GridLSTM(**options), GridLSTM(**options, backwards=True, offset=offset)))
