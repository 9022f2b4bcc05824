"""What the tests of layers share: sizes, arrays, layers whose weights are all random."""
from functools import partial

import numpy as np

from rnnref import cells, ops, tf1
from rnnref.layers import (GRU, LSTM, RNN, Bidirectional, ConvLSTM1D, ConvLSTM2D, ConvLSTM3D, ConvLSTMCell, GRUCell,
                           Layer, LSTMCell, SimpleRNN, SimpleRNNCell, StackedRNNCells, TimeDistributed)

B, T, I, U = 3, 5, 4, 3
SEQ, STATE, BACK = ({name: True} for name in ("return_sequences", "return_state", "go_backwards"))
ZERO = {"zero_output_for_mask": True}
HOLES = np.array([[1, 0, 1, 1, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0]], bool)
RIGHT = np.arange(T) < np.array([[5], [2], [0]])
FAMILIES = {"rnn": (SimpleRNN, {}), "lstm": (LSTM, {}), "gru": (GRU, {}), "gru before": (GRU, {"reset_after": False})}


def random(shape, seed=0, dtype="float64"):
    return (np.random.default_rng(seed).normal(size=shape) * 0.7).astype(dtype)


X = random((B, T, I))


def make_layer(family, seed=0, dtype="float64", **options):
    """A built layer whose weights are all random, biases too."""
    Layer, fixed = FAMILIES[family]
    return randomize(Layer(U, dtype=dtype, seed=seed, **fixed, **options))


def randomize(layer, n_in=I, seed=0):
    layer.build(n_in)
    layer.set_weights([random(w.shape, seed + k) for k, w in enumerate(layer.get_weights())])
    return layer


def as_list(out):
    return list(out) if isinstance(out, tuple) else [out]


def flat(tree):
    return [leaf for item in tree for leaf in flat(item)] if isinstance(tree, (list, tuple)) else [tree]


def filled(f, tree):
    return [filled(f, item) for item in tree] if isinstance(tree, (list, tuple)) else f(tree)


class Doubling(cells.Cell):
    """Runs, and cannot be trained."""

    def forward(self, p, x, s, extra=None):
        return 2 * x + s[0], (2 * x + s[0],), None

    def axes(self):
        return {}

    def shapes(self, n_in, units):
        return {}

    def zeros(self, batch, units, xp=np, dtype="float32"):
        return (xp.zeros((batch, units), dtype),)

    def width(self, units):
        return units


class Recorded(Layer):
    """A cell of a user with `call` alone, a layer inside it, and constants."""
    state_size = U

    def __init__(self, attends=False, **base):
        super().__init__(**base)
        self.inner, self.attends = SimpleRNNCell(U, dtype=self.dtype, seed=1), attends

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], U), name="kernel")
        self.first = self.add_weight((U,), "ones", name="first")

    def get_initial_state(self, batch_size=1):
        return ops.broadcast_to(np.tanh(self.first), (batch_size, U))

    def call(self, inputs, states, constants=None):
        y, (h,) = self.inner(np.tanh(inputs @ self.kernel), states)
        if self.attends:
            y = y * constants[0]
        return y, [y + 0.5 * h]


class Pointwise(Layer):
    supports_masking = True

    def call(self, x):
        return np.tanh(x) * x


def conv(rank, **options):
    layer = {1: ConvLSTM1D, 2: ConvLSTM2D, 3: ConvLSTM3D}[rank]
    return lambda: layer(2, 2, dtype="float64", seed=1, **options)


FLOAT64 = {"dtype": "float64", "seed": 1}

# Every layer and what its options change: {name: (a function that makes it, the shapes of what it is called with)}.
# A call is layer(*arrays, **CALLS[name]); a shape in brackets is a list of arrays.
TABLE = {
    **{f"{family} {' '.join(map(str, options))}": (partial(kind, U, **FLOAT64, **fixed, **options), [(B, T, I)])
       for family, (kind, fixed) in FAMILIES.items()
       for options in ({}, SEQ, SEQ | STATE | BACK, {"use_bias": False} | ZERO, {"time_major": True} | STATE)},
    "lstm, first states": (partial(LSTM, U, **FLOAT64, **STATE), [(B, T, I), [(B, U), (B, U)]]),
    "gru, a bare state": (partial(GRU, U, **FLOAT64), [(B, T, I), (B, U)]),
    "cell": (partial(LSTMCell, U, **FLOAT64), [(B, I), [(B, U), (B, U)]]),
    "cell, a bare state": (partial(GRUCell, U, **FLOAT64), [(B, I), (B, U)]),
    "stack": (lambda: RNN([LSTMCell(2, **FLOAT64), GRUCell(3, **FLOAT64)], **SEQ, **STATE), [(B, T, I)]),
    "stacked step": (lambda: StackedRNNCells([GRUCell(3, **FLOAT64), LSTMCell(2, **FLOAT64)]),
                     [(B, I), [[(B, 3)], [(B, 2), (B, 2)]]]),
    **{f"bidirectional {mode}": (lambda mode=mode, more=more: Bidirectional(LSTM(U, **FLOAT64, **more), mode),
                                 [(B, T, I)]) for mode, more in (("concat", SEQ | STATE), ("sum", {}), ("mul", SEQ),
                                                                 ("ave", STATE), (None, SEQ | STATE))},
    "unequal halves": (lambda: Bidirectional(LSTM(U, **FLOAT64, **SEQ),
                                             backward_layer=GRU(2, **FLOAT64, **SEQ, **BACK)), [(B, T, I)]),
    "a cell of ours": (lambda: RNN(cells.LSTM(peepholes=True, projection=2), units=U, **FLOAT64, **SEQ), [(B, T, I)]),
    "a cell with call": (lambda: RNN(Recorded(dtype="float64"), seed=1, **SEQ, **STATE), [(B, T, I)]),
    "constants": (lambda: RNN(Recorded(True, dtype="float64"), seed=1, **SEQ), [(B, T, I), (B, U), [(B, U)]]),
    "a cell of tf1": (lambda: RNN(tf1.LSTMCell(U), seed=1, dtype="float64", **STATE), [(B, T, I)]),
    "time distributed": (lambda: TimeDistributed(Pointwise(dtype="float64"), dtype="float64"), [(B, T, I)]),
    "time distributed cell": (lambda: TimeDistributed(LSTM(U, **FLOAT64), dtype="float64"), [(B, 2, T, I)]),
    "conv lstm 1d": (conv(1, padding="same", **SEQ), [(B, 3, 5, 2)]),
    "conv lstm 1d, strides": (conv(1, strides=2, **STATE), [(B, 3, 5, 2)]),
    "conv lstm 2d": (conv(2, dilation_rate=2, **BACK), [(B, 3, 4, 5, 2)]),
    "conv lstm 2d, first": (conv(2, data_format="channels_first", padding="same", **SEQ, **STATE),
                            [(B, 2, 2, 3, 4)]),
    "conv lstm step, channels first": (
        lambda: ConvLSTMCell(2, 3, 2, data_format="channels_first", **FLOAT64),
        [(B, 2, 4, 5), [(B, 3, 3, 4), (B, 3, 3, 4)]]),
    "conv lstm 3d": (conv(3, padding="same"), [(B, 2, 2, 3, 2, 2)]),
}


def filled_shapes(shapes, seed=0):
    """Random arrays for a list of shapes, nested as it is."""
    rng = np.random.default_rng(seed)

    def one(s):
        return [one(item) for item in s] if isinstance(s, list) else rng.normal(size=s) * 0.7
    return [one(s) for s in shapes]
