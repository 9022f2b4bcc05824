"""The path of whole sequences in NumPy: one kernel for all steps, its rows in lanes, its memory used again.

The arithmetic is that of the plain code but for the order of sums in products, and GRU's h' = n + z (h - n).
"""
from dataclasses import dataclass
from typing import Any, Collection, Optional

import numpy

from ..arrays import Array
from ..cache import memoize
from ..cell import ALL, GatedCell, ProjectedCell, State, TwoStage
from ..cells.gru_before import GRUBefore
from ..maps.dense import Dense
from ..rules.elman import ElmanRule
from ..rules.gru import GRURule
from ..rules.lstm import LSTMRule
from ..tree import Tree, apply_mask
from .blas import count_threads, limit_threads
from .elman import ElmanKernel
from .gru import GRUKernel
from .gru_before import GRUBeforeKernel
from .kernel import Kernel, LaneTape, in_c_order
from .lanes import run_lanes, split_rows
from .lstm import LSTMKernel
from .prepared import PreparedParameters

KERNELS = {(GatedCell, LSTMRule): LSTMKernel, (GatedCell, GRURule): GRUKernel, (GRUBefore, GRURule): GRUBeforeKernel,
           (GatedCell, ElmanRule): ElmanKernel}
_ACTIVATIONS = {"gate": ("sigmoid",), "candidate": ("tanh",), "output": ("tanh",), "activation": ("tanh", "relu")}
_DTYPES = "float32", "float64"
MIN_STEPS = 4                                     # for fewer, laying out the weights takes longer than it gains


@dataclass(frozen=True, eq=False)
class Tape:
    kernel: Kernel; p: Any; xs: Any; live: Any; reverse: bool; like: tuple
    lanes: list; tapes: list

    def kept(self, t: int) -> Any:
        """The intermediates of step t: the plain cell computes them again, from the state before the step."""
        T, width = len(self.xs), self.like[0].shape[-1]
        k = T - 1 - t if self.reverse else t
        parts = [self.kernel.state_before(self.kernel.pack(self.p, _count_rows(lane)), tape, k, width)
                 for lane, tape in zip(self.lanes, self.tapes)] or [[*self.like]]          # no rows: no lanes
        s = type(self.like)(*(numpy.concatenate(a) for a in zip(*parts)))
        now = None if self.live is None else self.live[t]
        return self.kernel.cell.forward(self.p, apply_mask(now, self.xs[t]), s)[2]


def refuses(cell: Any, call: Any) -> Optional[str]:
    """None, or why this path cannot run the cell, in words."""
    if call.home != "numpy":
        return "arrays are on the GPU"
    name = type(cell).__name__
    if type(cell) not in (GatedCell, GRUBefore, ProjectedCell):
        return f"{name} has no kernel for whole sequences"
    inner = cell.cell if type(cell) is ProjectedCell else cell
    rule = inner.rule
    if (type(inner), type(rule)) not in KERNELS:
        return f"{type(rule).__name__} has no kernel for whole sequences"
    if type(cell) is ProjectedCell and KERNELS[type(inner), type(rule)] is not LSTMKernel:
        return f"a projected {rule.name} has no kernel for whole sequences"
    for m in cell.maps():
        if type(m) is not Dense:
            return f"a map is {type(m).__name__}, the kernel has dense ones"
    for field, known in _ACTIVATIONS.items():
        a = getattr(rule, field, None)
        if a is not None and (a.name not in known or a.clip is not None):
            return f"{field} is {a}, the kernel has {' and '.join(known)}"
    if call.extra is not None:
        return "this path takes no extra"
    if call.shape[0] is not None and call.shape[0] < MIN_STEPS:
        return f"fewer than {MIN_STEPS} steps: laying out the weights for it would take longer than it gains"
    if not call.dtype.isnative:
        return f"arrays are {call.dtype}, the kernel has the byte order of the processor"
    if call.dtype.name not in _DTYPES:
        return f"arrays are {call.dtype.name}, the kernel has {' and '.join(_DTYPES)}"
    return None


@memoize(256)
def find_kernel(cell: TwoStage) -> Kernel:
    """The kernel of a cell that this path does not refuse."""
    inner = cell.cell if isinstance(cell, ProjectedCell) else cell
    return KERNELS[type(inner), type(inner.rule)](cell)


def _make_like(s: State) -> State:
    """Empty arrays in C order, in the shapes and dtypes of a state."""
    return type(s)(*(numpy.empty(a.shape, a.dtype) for a in s))


def _count_rows(lane: slice) -> int:
    return lane.stop - lane.start


def forward(cell: Any, p: Tree, xs: Tree, s: State, extra: Tree = None, live: Optional[Array] = None,
            reverse: bool = False, keep: Any = True) -> tuple[Tree, State, Optional[Tape]]:
    kernel, (T, B) = find_kernel(cell), xs.shape[:2]
    ys = numpy.empty((T, B, s[0].shape[-1]), xs.dtype)
    new = _make_like(s)
    ordered = [a if a is None or not reverse else a[::-1] for a in (xs, live, ys)]
    lanes = split_rows(B, s[-1].shape[-1], len(cell.gates), count_threads()) if B else []
    packed = _pack(kernel, p, lanes)

    def run(lane: slice) -> Optional[LaneTape]:
        x, now, y = (None if a is None else a[:, lane] for a in ordered)
        return kernel.forward(packed[_count_rows(lane)], x, [a[lane] for a in s], now, y, [a[lane] for a in new], keep)

    with limit_threads():
        tapes = run_lanes(run, lanes) if lanes else []
    return ys, new, Tape(kernel, in_c_order(p), xs, live, reverse, s, lanes, tapes) if keep else None


def backward(tape: Tape, dys: Tree, ds: State, wanted: Collection[str] = ALL) -> tuple[Tree, State, Tree, Tree]:
    kernel, p, lanes, with_p = tape.kernel, tape.p, tape.lanes, "p" in wanted
    dxs: Any = numpy.empty(tape.xs.shape, tape.xs.dtype) if "x" in wanted else None
    dfirst: Any = _make_like(ds)
    if not lanes:
        return dxs, dfirst, None, {name: numpy.zeros_like(a) for name, a in p.items()}
    dy: Any = dys[::-1] if tape.reverse else dys
    dx = dxs[::-1] if tape.reverse and dxs is not None else dxs
    weights = {rows: kernel.pack_backward(p, rows) for rows in {_count_rows(lane) for lane in lanes}}
    again = _pack(kernel, p, lanes) if tape.tapes[0].gates is None else dict.fromkeys(weights)

    def run(which: tuple) -> dict:
        lane, lane_tape = which
        rows = _count_rows(lane)
        return kernel.backward(again[rows], weights[rows], lane_tape, dy[:, lane], [a[lane] for a in ds],
                               None if dx is None else dx[:, lane], [a[lane] for a in dfirst], with_p)

    with limit_threads():
        sums = _add_up(run_lanes(run, list(zip(lanes, tape.tapes))))
    return dxs, dfirst, None, kernel.unpack(p, sums) if with_p else None


def _add_up(found: list[dict]) -> dict:
    """The sums of all lanes, in C order.  What is added is dropped at once: it may be as large as the weights."""
    total = found.pop(0)
    while found:
        for name, a in found.pop(0).items():
            total[name] += a
    for name in total:
        total[name] = numpy.ascontiguousarray(total[name])
    return total


def _pack(kernel: Kernel, p: Tree, lanes: list) -> dict:
    """{rows of a lane: the weights for `forward`}."""
    return {rows: p.layout(kernel, rows) if isinstance(p, PreparedParameters) else kernel.lay_out(p, rows)
            for rows in {_count_rows(lane) for lane in lanes}}
