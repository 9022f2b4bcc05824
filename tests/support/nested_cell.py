"""Cells with nested data: x, y and the state are pairs of an audio [B, n] and a video [B, n, m].

It is the nested cell of Keras's guide to RNNs, in four forms: a cell of the core, the same with nested dicts and named
tuples, an object with `call`, and (in test_nested_keras.py) a layer of Keras.

    a = x.audio kernel_1,   v = x.video kernel_2_3 (over two axes);   y = a, v;   state' = state + y
"""
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rnnref.arrays import namespace
from rnnref.cells import Cell
from rnnref.layers import RNN
from rnnref.testing.case import masking_options
from rnnref.tree import map_structure

STEPS, BATCH = 5, 4
INPUTS, UNITS = (3, (2, 4)), (2, (3, 2))          # of audio, of video


class Pair(NamedTuple):
    audio: Any                                    # [B, n]
    video: Any                                    # [B, n, m]


@dataclass(frozen=True)
class NestedCell(Cell):
    """x is a tuple, so is y; the state is a named tuple."""

    def axes(self):
        return {"kernel_1": "I U", "kernel_2_3": "X Y V W"}

    def n_in(self, x):
        audio, video = x
        return audio.shape[-1], video.shape[-2:]

    def shapes(self, n_in, units):
        return {"kernel_1": (n_in[0], units[0]), "kernel_2_3": (*n_in[1], *units[1])}

    def units(self, p):
        return p["kernel_1"].shape[1], p["kernel_2_3"].shape[2:]

    def width(self, units):
        return units

    def zeros(self, batch, units, xp=np, dtype="float32"):
        return Pair(xp.zeros((batch, units[0]), dtype), xp.zeros((batch, *units[1]), dtype))

    def forward(self, p, x, s, extra=None):
        audio, video = x
        a = audio @ p["kernel_1"]
        v = namespace(video).einsum("bij,ijkl->bkl", video, p["kernel_2_3"])
        return (a, v), Pair(s.audio + a, s.video + v), x

    def backward(self, p, x, dy, dnew):
        audio, video = x
        xp, da, dv = namespace(audio), dy[0] + dnew.audio, dy[1] + dnew.video
        dx = da @ p["kernel_1"].T, xp.einsum("bkl,ijkl->bij", dv, p["kernel_2_3"])
        dp = {"kernel_1": audio.T @ da, "kernel_2_3": xp.einsum("bij,bkl->ijkl", video, dv)}
        return dx, dnew, None, dp


@dataclass(frozen=True)
class DictCell(NestedCell):
    """x is {audio, video}, y is (Pair,), the state is {sum: {audio, video}}."""

    def n_in(self, x):
        return super().n_in((x["audio"], x["video"]))

    def zeros(self, batch, units, xp=np, dtype="float32"):
        return {"sum": super().zeros(batch, units, xp, dtype)._asdict()}

    def forward(self, p, x, s, extra=None):
        y, new, kept = super().forward(p, (x["audio"], x["video"]), Pair(**s["sum"]))
        return (Pair(*y),), {"sum": new._asdict()}, kept

    def backward(self, p, kept, dy, dnew):
        (da, dv), dold, _, dp = super().backward(p, kept, dy[0], Pair(**dnew["sum"]))
        return {"audio": da, "video": dv}, {"sum": dold._asdict()}, None, dp


class ForwardOnly(NestedCell):
    backward = Cell.backward


class CallOnly:
    """The same cell, written as for Keras."""

    def __init__(self, units=UNITS):
        self.state_size = list(units)
        self.output_size = units

    def build(self, input_shape):
        (_, n), (_, *extent) = input_shape
        rng = np.random.default_rng(0)
        self.kernel_1 = rng.normal(size=(n, self.state_size[0]))
        self.kernel_2_3 = rng.normal(size=(*extent, *self.state_size[1]))

    def call(self, inputs, states):
        (audio, video), (a, v) = inputs, states
        y = [audio @ self.kernel_1, np.einsum("bij,ijkl->bkl", video, self.kernel_2_3)]
        return y, [a + y[0], v + y[1]]

    def get_config(self):
        return {"units": self.output_size}


class CallTrained(CallOnly):
    def backward(self, inputs, states, doutputs, dstates):
        audio, video = inputs
        da, dv = doutputs[0] + dstates[0], doutputs[1] + dstates[1]
        dinputs = [da @ self.kernel_1.T, np.einsum("bkl,ijkl->bij", dv, self.kernel_2_3)]
        return dinputs, dstates, {"kernel_1": audio.T @ da, "kernel_2_3": np.einsum("bij,bkl->ijkl", video, dv)}


def random(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape) * 0.7


def sequences(seed=0, lead=(STEPS, BATCH)):
    return random(*lead, INPUTS[0], seed=seed), random(*lead, *INPUTS[1], seed=seed)


def weights(seed=0):
    return {name: random(*shape, seed=seed) for name, shape in NestedCell().shapes(INPUTS, UNITS).items()}


XS = sequences()
X = map_structure(lambda a: a.swapaxes(0, 1), XS)          # batch first
NAMED = {"audio": X[0], "video": X[1]}
P, S = weights(), NestedCell().zeros(BATCH, UNITS, dtype="float64")
FIRST = [random(*a.shape, seed=3) for a in S]
WAYS = masking_options((STEPS, BATCH))
SEQ, STATE, BACK = ({name: True} for name in ("return_sequences", "return_state", "go_backwards"))
MASK = WAYS["holes"]["mask"].T


def layer(cell=None, **options):
    one = RNN(cell or NestedCell(), units=UNITS, dtype="float64", **options)
    one.build(map_structure(np.shape, X) if cell is None else {name: a.shape for name, a in NAMED.items()})
    one.set_weights(list(P.values()))
    return one
