"""Tier 1 as CUDA graphs: the loop of stepped.py recorded once each way, and launched as a whole.  (floor 5)

    run(cell, p, xs, paths=("cuda.graphed", "apart"))            only where it is asked for: see stepped.py

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
from ..tree import map_structure
from . import blas, modes, pointwise, stepped
from .capture import WHO, Recorded, current, in_turn
from .hold import arithmetic
from .launch import at_hand
from .lending import Pool
from .sequence import begun, ended, inputs, outputs
from .stepped import core, step_of, steps_ahead, steps_back
from .trouble import explained

SETS = 8                                          # two layers of two directions, twice
POOL = Pool(SETS)
clear = POOL.clear
atexit.register(clear)                            # while CUDA is still there


def refuses(cell, call):
    """None, or why this cell is not run by a graph."""
    return stepped.refuses(cell, call) or blas.lacking()


class Key(NamedTuple):
    """All that changes the recorded work."""
    cell: Any; order: range; shapes: tuple; dtype: Any; masked: Any; keep: bool; device: int; stream: int


def forward(cell, p, xs, s, extra=None, live=None, reverse=False, keep=True):
    """xs [T, B, I], live [T, B] or None -> ys [T, B, H], the last state, a tape."""
    with explained(WHO):
        cupy, order = at_hand(WHO, xs), range(len(xs))[::-1 if reverse else 1]
        key = Key(cell, order, tuple(a.shape for a in s), xs.dtype, None if live is None else live.shape, bool(keep),
                  xs.device.id, current(cupy).ptr)
        held = POOL.lend(key, lambda key: Held(key, p, xs, s))
        kx = held.take(p, xs, s, live)
        held.ahead.launch()
        tape = Tape(held, p, kx, s)
        ys = tape.inner.beside(tape.inner.hs, 1) if held.ys is None else held.ys
        return ys.copy(), ended(tape.inner), tape if keep else None


def matrices(cell):
    """The names of what its steps multiply by."""
    return [m.W for m in step_of(cell).maps(cell)]


def backward(tape, dys, ds):
    """Gradients of the inputs, of the first state, None, and of the parameters."""
    with explained(WHO):
        at_hand(WHO, dys)
        held = tape.held
        held.record_back()
        with in_turn(held.stream):
            held.take_back(tape.inner.p, dys, ds)
            held.back.launch()
            d = map_structure(lambda a: a.copy(), held.d)
            return step_of(held.key.cell).finished(tape.inner, *held.grads, d)


class Tape:
    """What a set holds of one sequence.  The set goes back when this is dropped."""

    def __init__(self, held, p, kx, s):
        self.held, self.inner = held, held.tape._replace(p=p, kx=kx, like=s)
        POOL.until_gone(self, held)

    def kept(self, t):
        """Copies: the next sequence is written over what it was."""
        return map_structure(lambda a: a.copy(), self.inner.kept(t))


class Held:
    """All arrays of one loop, and its graphs: that of the way back from when it is first wanted."""
    live: Any; back: Any = None
    dys: Any; d: Any; grads: Any                  # of the way back: what comes in, that of the state, and of gates

    def __init__(self, key, p, xs, s):
        xp, cell = namespace(xs), core(key.cell)
        m, A, T, B = cell.recurrent, arithmetic(WHO, key.dtype), len(key.order), xs.shape[1:-1]
        self.key, self.stream, self.sm = key, current(xp), modes.architecture(xs)
        self.p = {name: xp.empty(p[name].shape, A) for name in pointwise.names(cell.rule)}
        self.p |= {m.b: xp.empty(p[m.b].shape, key.dtype)} if m.b else {}
        self.live = None if key.masked is None else xp.zeros(key.masked, bool)
        self.ax = xp.empty((T, *B, p[m.W].shape[-1]), key.dtype)
        self.tape = step_of(key.cell).opened(key.cell, self.p, None, s, self.live, key.order, key.keep,
                                             self.ax)._replace(like=None)
        self.weights = {name: xp.empty(p[name].shape, self.tape.took.dtype) for name in matrices(key.cell)}
        self.ys = outputs(self.tape, self.ax)
        self.ahead = Recorded(lambda ours: steps_ahead(self.tape, self.weights, self.ax, self.ys, ours), key.device,
                              self.sm)

    def record_back(self):
        """On the stream of the set, whose workspace it uses."""
        if self.back is not None:
            return
        with self.stream:
            self.grads = step_of(self.key.cell).gradients(self.tape)
            self.dys = self.tape.beside(self.tape.hs, 1).copy()
            self.d = map_structure(lambda a: a.copy(), self.tape.state(0))
            self.back = Recorded(lambda ours: steps_back(self.tape, self.weights, self.dys, self.d, self.grads, ours),
                                 self.key.device, self.sm)

    def take(self, p, xs, s, live):
        """Everything that a call brings, and x W; what the way back of that needs."""
        self.take_parameters(p)
        if live is not None:
            self.live[...] = live
        begun(self.tape, s)
        return inputs(core(self.key.cell), p, xs, live, self.ax)[1]

    def take_parameters(self, p):
        for name, a in (*self.weights.items(), *self.p.items()):
            a[...] = p[name]

    def take_back(self, p, dys, ds):
        self.take_parameters(p)
        for a, given in zip((self.dys, *self.d), (dys, *ds)):
            a[...] = given
