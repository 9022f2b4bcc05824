"""Tier 1 as CUDA graphs: the loop of stepped.py recorded once each way, and launched as a whole.  (floor 5)

    run(cell, p, xs, paths=("graphed", "bidirectional"))            only where it is asked for: see stepped.py

What stands before and after the loop is as it is there, and so is every bit.  A graph has addresses in it.  So for each
kind of sequence (cell and its options, sizes, dtype, direction, lengths or not, keep, card and stream) there is a set:
all arrays of the loop, with the graphs that read and write them.  A call copies weights, states, lengths and gradients
in, and outputs and states out.

A set is lent to a tape and is its memory; when the tape is dropped the next sequence of that kind takes it.  The first
call of a kind, and each with one tape more alive than ever before, records, which takes as long as several calls.  Of
sets that are lent to nobody SETS are kept on the card; `clear()` gives them up.
"""
import atexit
from typing import Any, NamedTuple

from ..arrays import namespace
from ..cuda import pointwise, precision
from ..cuda.errors import translate_errors
from ..cuda.hold import arithmetic_dtype
from ..cuda.launch import check_on_device
from ..tree import map_structure
from . import cublas, stepped
from .capture import WHO, CapturedGraph, _current_stream, _in_stream_order
from .lending import Pool
from .stepped import core_cell, prepare_backward_steps, prepare_forward_steps, step_module_of
from .tapes import allocate_outputs, copy_final_state, project_inputs, set_first_state

_POOL_SIZE = 8                                          # two layers of two directions, twice
POOL = Pool(_POOL_SIZE)
clear = POOL.clear
atexit.register(clear)                            # while CUDA is still there


def refuses(cell, call):
    """None, or why this cell is not run by a graph."""
    return stepped.refuses(cell, call) or cublas.why_no_capture()


class _Key(NamedTuple):
    """All that changes the recorded work."""
    cell: Any; order: range; shapes: tuple; dtype: Any; masked: Any; keep: bool; device: int; stream: int


def forward(cell, p, xs, s, extra=None, live=None, reverse=False, keep=True):
    """xs [T, B, I], live [T, B] or None -> ys [T, B, H], the last state, a tape."""
    with translate_errors(WHO):
        cupy, order = check_on_device(WHO, xs), range(len(xs))[::-1 if reverse else 1]
        key = _Key(cell, order, tuple(a.shape for a in s), xs.dtype, None if live is None else live.shape, bool(keep),
                  xs.device.id, _current_stream(cupy).ptr)
        held = POOL.lend(key, lambda key: GraphedLoop(key, p, xs, s))
        kx = held.take(p, xs, s, live)
        held.ahead.launch()
        tape = Tape(held, p, kx, s)
        ys = tape.inner.beside(tape.inner.hs, 1) if held.ys is None else held.ys
        return ys.copy(), copy_final_state(tape.inner), tape if keep else None


def _matrix_names(cell):
    """The names of what its steps multiply by."""
    return [m.W for m in step_module_of(cell).maps(cell)]


def backward(tape, dys, ds):
    """Gradients of the inputs, of the first state, None, and of the parameters."""
    with translate_errors(WHO):
        check_on_device(WHO, dys)
        held = tape.held
        held.capture_backward()
        with _in_stream_order(held.stream):
            held.take_back(tape.inner.p, dys, ds)
            held.back.launch()
            d = map_structure(lambda a: a.copy(), held.d)
            return step_module_of(held.key.cell).finished(tape.inner, *held.grads, d)


class Tape:
    """What a set holds of one sequence.  The set goes back when this is dropped."""

    def __init__(self, held, p, kx, s):
        self.held, self.inner = held, held.tape._replace(p=p, kx=kx, like=s)
        POOL.reclaim_after(self, held)

    def kept(self, t):
        """Copies: the next sequence is written over what it was."""
        return map_structure(lambda a: a.copy(), self.inner.kept(t))


class GraphedLoop:
    """All arrays of one loop, and its graphs: that of the way back from when it is first wanted."""
    live: Any; back: Any = None
    dys: Any; d: Any; grads: Any                  # of the way back: what comes in, that of the state, and of gates

    def __init__(self, key, p, xs, s):
        xp, cell = namespace(xs), core_cell(key.cell)
        m, A, T, B = cell.recurrent, arithmetic_dtype(WHO, key.dtype), len(key.order), xs.shape[1:-1]
        self.key, self.stream, self.sm = key, _current_stream(xp), precision.architecture(xs)
        self.p = {name: xp.empty(p[name].shape, A) for name in pointwise.parameter_names(cell.rule)}
        self.p |= {m.b: xp.empty(p[m.b].shape, key.dtype)} if m.b else {}
        self.live = None if key.masked is None else xp.zeros(key.masked, bool)
        self.ax = xp.empty((T, *B, p[m.W].shape[-1]), key.dtype)
        self.tape = step_module_of(key.cell).opened(key.cell, self.p, None, s, self.live, key.order, key.keep,
                                             self.ax)._replace(like=None)
        self.weights = {name: xp.empty(p[name].shape, self.tape.matmul_states.dtype) for name in _matrix_names(key.cell)}
        self.ys = allocate_outputs(self.tape, self.ax)
        self.ahead = CapturedGraph(lambda ours: prepare_forward_steps(self.tape, self.weights, self.ax, self.ys, ours), key.device,
                              self.sm)

    def capture_backward(self):
        """On the stream of the set, whose workspace it uses."""
        if self.back is not None:
            return
        with self.stream:
            self.grads = step_module_of(self.key.cell).gradients(self.tape)
            self.dys = self.tape.beside(self.tape.hs, 1).copy()
            self.d = map_structure(lambda a: a.copy(), self.tape.state(0))
            self.back = CapturedGraph(lambda ours: prepare_backward_steps(self.tape, self.weights, self.dys, self.d, self.grads, ours),
                                 self.key.device, self.sm)

    def take(self, p, xs, s, live):
        """Everything that a call brings, and x W; what the way back of that needs."""
        self.load_parameters(p)
        if live is not None:
            self.live[...] = live
        set_first_state(self.tape, s)
        return project_inputs(core_cell(self.key.cell), p, xs, live, self.ax)[1]

    def load_parameters(self, p):
        for name, a in (*self.weights.items(), *self.p.items()):
            a[...] = p[name]

    def take_back(self, p, dys, ds):
        self.load_parameters(p)
        for a, given in zip((self.dys, *self.d), (dys, *ds)):
            a[...] = given
