"""A layer of Keras and one of ours, made by the same constructor and called alike: all results are compared."""
import numpy as np

import rnnref.layers as ours
from rnnref.testing.api import assert_close, assert_same

B, T, I, U = 3, 6, 5, 4
DTYPES = "float32", "float64"
MASKS = {"right": [6, 4, 1], "left": [-6, -4, -1], "empty": [6, 0, 3],
         "holes": [[1, 0, 1, 1, 0, 1], [0, 1, 0, 0, 1, 0], [1, 1, 0, 1, 0, 0]]}


def mask_of(name):
    """Lengths, from the left if positive, or the mask itself."""
    if name == "holes":
        return np.array(MASKS[name], bool)
    steps = np.arange(T)
    return np.array([steps < n if n >= 0 else steps >= T + n for n in MASKS[name]])


class Pair:
    """A layer of Keras and ours, with the same random weights, and what they are called with."""

    def __init__(self, theirs, make, dtype, shape=(B, T, I), seed=0):
        self.dtype, self.rng = dtype, np.random.default_rng(seed)
        self.theirs, self.ours = make(theirs, dtype), make(ours, dtype)
        self.theirs.build(shape)
        if len(shape) > 3:
            self.ours.build(shape)                # the weights of a convolution do not tell how many places there are
        weights = [self.normal(w.shape) / 2 for w in self.theirs.get_weights()]       # about as large as stock ones
        self.theirs.set_weights(weights)
        self.ours.set_weights(self.theirs.get_weights())
        assert_same(self.ours.get_weights(), weights)
        self.x = self.normal(shape)

    def normal(self, shape):
        return (self.rng.normal(size=shape) * 0.7).astype(self.dtype)

    def states(self):
        """A random array for each state, in the structure that Keras has."""
        return fill(lambda a: self.normal(a.shape), self.ours.get_initial_state(B))

    def agree(self, initial_state=None, back=True, **call):
        """One call of both, and the backward pass: everything that comes out is as near as rounding allows."""
        import torch
        x, *given = fill(lambda a: torch.tensor(a, requires_grad=True), [self.x, initial_state or []])
        out = fill(lambda a: a, self.theirs(x, initial_state=given[0] or None, **call))
        got = fill(lambda a: a, self.ours(self.x, initial_state=initial_state, **call))
        assert_close(got, fill(array, out), "output")
        if not back:
            return
        dout = fill(lambda a: self.normal(a.shape), out)
        loss = sum((a * torch.tensor(d)).sum() for a, d in zip(flat(out), flat(dout)))
        sources = [x, *flat(given), *(v.value for v in self.theirs.trainable_variables)]
        want = torch.autograd.grad(loss, sources, allow_unused=True, materialize_grads=True)
        dx, dstate = self.back(dout)
        assert_close([dx, *flat(dstate if given[0] else []), *self.ours.get_grads()], fill(array, want), "gradient")

    def back(self, dout):
        """backward takes the gradients of y and of the states apart; with merge_mode=None y is two."""
        if not isinstance(dout, list):
            return self.ours.backward(dout)
        n = 2 if getattr(self.ours, "merge_mode", "") is None else 1
        return self.ours.backward(dout[:2] if n == 2 else dout[0], dout[n:] or None)


def fill(f, tree):
    return [fill(f, item) for item in tree] if isinstance(tree, (list, tuple)) else f(tree)


def flat(tree):
    return [leaf for item in tree for leaf in flat(item)] if isinstance(tree, list) else [tree]


def array(tensor):
    return tensor.detach().numpy()


def layer(name, **options):
    """The same constructor of either module."""
    def make(L, dtype):
        return getattr(L, name)(U, dtype=dtype, **options)
    return make


FAMILIES = {"SimpleRNN": ("SimpleRNN", {}), "LSTM": ("LSTM", {}), "GRU": ("GRU", {}),
            "GRU before": ("GRU", {"reset_after": False})}
SEQ, STATE, BACK = ({f"{name}": True} for name in ("return_sequences", "return_state", "go_backwards"))
ZERO = {"zero_output_for_mask": True}


def pair(theirs, family, dtype, **options):
    name, fixed = FAMILIES[family]
    return Pair(theirs, layer(name, **fixed, **options), dtype)


# constructors for both: keras.layers and of rnnref.layers
CONFIGURED = {
    "lstm": lambda L: L.LSTM(4, activation="relu", unit_forget_bias=False, return_sequences=True, dtype="float64"),
    "gru": lambda L: L.GRU(4, reset_after=False, dropout=0.5, seed=3, name="mine", recurrent_initializer="zeros"),
    "simple": lambda L: L.SimpleRNN(4, use_bias=False, go_backwards=True),
    "stack": lambda L: L.RNN([L.LSTMCell(4), L.GRUCell(3, reset_after=False)], zero_output_for_mask=True),
    "both": lambda L: L.Bidirectional(L.LSTM(4, return_state=True), merge_mode=None),
}
