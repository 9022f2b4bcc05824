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
from ..tree import tmap
from . import blas, modes, pointwise, sequence
from .capture import WHO, Recorded, current, in_turn
from .hold import arithmetic
from .launch import at_hand
from .lending import Pool
from .sequence import begun, ended, finished, gradients, inputs, opened, outputs
from .stepped import Ring, steps_ahead, steps_back
from .trouble import explained

SETS = 8                                          # two layers of two directions, twice
POOL = Pool(SETS)
clear = POOL.clear
atexit.register(clear)                            # while CUDA is still there


def refuses(cell, call):
    """None, or why this cell is not run by a graph."""
    return sequence.refuses(cell, call) or blas.lacking()


class Key(NamedTuple):
    """All that changes the recorded work."""
    cell: Any; order: range; shape: tuple; dtype: Any; masked: Any; keep: bool; device: int; stream: int


def forward(cell, p, xs, s, extra=None, live=None, reverse=False, keep=True):
    """xs [T, B, I], live [T, B] or None -> ys [T, B, H], the last state, a tape."""
    with explained(WHO):
        cupy, order = at_hand(WHO, xs), range(len(xs))[::-1 if reverse else 1]
        key = Key(cell, order, s[0].shape, xs.dtype, None if live is None else live.shape, bool(keep), xs.device.id,
                  current(cupy).ptr)
        held = POOL.lend(key, lambda key: Held(key, p, xs, s))
        kx = held.take(p, xs, s, live)
        held.ahead.launch()
        tape = Tape(held, p, kx, s)
        return held.ys.copy(), ended(tape.inner), tape if keep else None


def backward(tape, dys, ds):
    """Gradients of the inputs, of the first state, None, and of the parameters."""
    with explained(WHO):
        at_hand(WHO, dys)
        held = tape.held
        held.record_back()
        with in_turn(held.stream):
            held.take_back(tape.inner.p, dys, ds)
            held.back.launch()
            dax, dah, dp = held.given
            return finished(tape.inner, dax, dah, dp, tmap(lambda a: a.copy(), held.d))


class Tape:
    """What a set holds of one sequence.  The set goes back when this is dropped."""

    def __init__(self, held, p, kx, s):
        self.held, self.inner = held, held.tape._replace(p=p, kx=kx, like=s)
        POOL.until_gone(self, held)

    def kept(self, t):
        """Copies: the next sequence is written over what it was."""
        return tmap(lambda a: a.copy(), self.inner.kept(t))


class Held:
    """All arrays of one loop, and its graphs: that of the way back from when it is first wanted."""
    live: Any; back: Any = None
    dys: Any; d: Any; given: Any                  # of the way back: what comes in; gradient of the state; dax, dah, dp

    def __init__(self, key, p, xs, s):
        xp, m, rule = namespace(xs), key.cell.recurrent, key.cell.rule
        self.key, self.stream, self.sm = key, current(xp), modes.architecture(xs)
        A, n = arithmetic(WHO, key.dtype), key.shape[-1]
        self.p = {name: xp.empty(p[name].shape, A) for name in pointwise.names(rule)}
        self.p |= {m.b: xp.empty(p[m.b].shape, key.dtype)} if m.b else {}
        self.live = None if key.masked is None else xp.zeros(key.masked, bool)
        self.ax = xp.empty((len(key.order), *key.shape[:-1], len(rule.gates) * n), key.dtype)
        self.tape = opened(key.cell, self.p, None, s, self.live, key.order, key.keep, self.ax)._replace(like=None)
        self.R = xp.empty(p[m.W].shape, self.tape.took.dtype)
        self.ring, self.ys = Ring(key.cell, self.p, self.ax), outputs(self.tape, self.ax)
        self.ahead = Recorded(lambda ours: steps_ahead(self.tape, self.ax, self.ring, self.R, self.ys, ours),
                              key.device, self.sm)

    def record_back(self):
        """On the stream of the set, whose workspace it uses."""
        if self.back is not None:
            return
        with self.stream:
            empty_like, State = namespace(self.ys).empty_like, self.key.cell.rule.State
            dax, dah, dp = self.given = gradients(self.tape)
            self.dys = empty_like(self.ys)
            self.d = State(*map(empty_like, self.tape.state(0)))
            self.back = Recorded(lambda ours: steps_back(self.tape, self.R, self.dys, self.d, dax, dah, dp, ours),
                                 self.key.device, self.sm)

    def take(self, p, xs, s, live):
        """Everything that a call brings, and x W; what the way back of that needs."""
        self.take_parameters(p)
        if live is not None:
            self.live[...] = live
        begun(self.tape, s)
        return inputs(self.key.cell, p, xs, live, self.ax)[1]

    def take_parameters(self, p):
        self.R[...] = p[self.key.cell.recurrent.W]
        for name, a in self.p.items():
            a[...] = p[name]

    def take_back(self, p, dys, ds):
        self.take_parameters(p)
        for a, given in zip((self.dys, *self.d), (dys, *ds)):
            a[...] = given
