"""What the tests of layers share: sizes, arrays, layers whose weights are all random."""
import numpy as np

from rnnref import cells
from rnnref.layers import GRU, LSTM, SimpleRNN

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
