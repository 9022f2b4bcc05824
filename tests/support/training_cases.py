"""Models to be trained, written once for Keras and rnnref: {name: (function of the module -> model, x, y, loss)}."""
import numpy as np

from rnnref import Input, Sequential, layers, optimizers

RNG = np.random.default_rng(5)


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


def chain(*names, last=1, **options):
    """Recurrent layers one on the other, and a Dense."""
    def make(k):
        L = k.layers
        more = [getattr(L, name)(5, return_sequences=n < len(names) - 1, **options) for n, name in enumerate(names)]
        return k.Sequential([k.Input((6, 3)), *more, L.Dense(last)])
    return make


def bidirectional(k):
    L = k.layers
    return k.Sequential([k.Input((6, 3)), L.Bidirectional(L.LSTM(4)), L.Dense(4, activation="softmax")])


def convolution(k):
    L = k.layers
    return k.Sequential([k.Input((3, 5, 5, 2)), L.ConvLSTM2D(3, 3), L.Flatten(), L.Dense(1)])


def masked_words(k):
    """The mask goes through to the loss."""
    L = k.layers
    return k.Sequential([k.Input((6,), dtype="int32"), L.Embedding(9, 4, mask_zero=True),
                         L.LSTM(5, return_sequences=True), L.Dense(9, activation="softmax")])


def masked_steps(k):
    L = k.layers
    return k.Sequential([k.Input((6, 3)), L.Masking(0.0), L.GRU(5, return_sequences=True), L.LSTM(4), L.Dense(1)])


def normalized(k):
    L = k.layers
    return k.Sequential([k.Input((6, 3)), L.LSTM(5, return_sequences=True), L.BatchNormalization(), L.GRU(4),
                         L.Dense(1, activation="sigmoid")])


def regularized(k):
    L = k.layers
    return k.Sequential([k.Input((6, 3)), L.LSTM(5, kernel_regularizer="l2", activity_regularizer="l1",
                                                 recurrent_constraint=k.constraints.MaxNorm(0.5)),
                         L.Dense(1, bias_regularizer=k.regularizers.L1(0.01))])


def _short(x):
    """With steps of zeros at the end of some rows."""
    x = x.copy()
    for k, row in enumerate(x):
        row[len(row) - k % 4:] = 0
    return x


X, Y = floats(24, 6, 3), floats(24, 1)
WORDS = _short(RNG.integers(1, 9, (24, 6)).astype("int32"))
CLASSES = RNG.integers(0, 4, 24)

CASES = {
    "LSTM": (chain("LSTM"), X, Y, "mse"),
    "GRU": (chain("GRU"), X, Y, "mae"),
    "SimpleRNN": (chain("SimpleRNN"), X, Y, "huber"),
    "Bidirectional": (bidirectional, X, CLASSES, "sparse_categorical_crossentropy"),
    "ConvLSTM2D": (convolution, floats(24, 3, 5, 5, 2), Y, "mse"),
    "stacked": (chain("LSTM", "GRU", "SimpleRNN"), X, Y, "mse"),
    "masked words": (masked_words, WORDS, WORDS, "sparse_categorical_crossentropy"),
    "masked steps": (masked_steps, _short(X), Y, "mse"),
    "BatchNormalization": (normalized, X, (Y > 0).astype("float32"), "binary_crossentropy"),
    "regularizers and a constraint": (regularized, X, Y, "mse"),
}


def two_outputs(k):
    L = k.layers
    x = k.Input((6, 3), name="x")
    h = L.LSTM(5)(x)
    return k.Model(x, [L.Dense(1, name="p")(h), L.Dense(4, activation="softmax", name="q")(h)])


def outputs_by_name(k):
    L = k.layers
    x, z = k.Input((6, 3), name="x"), k.Input((2,), name="z")
    h = L.Concatenate()([L.GRU(5)(x), z])
    return k.Model({"x": x, "z": z}, {"q": L.Dense(4, activation="softmax", name="q")(h), "p": L.Dense(1, name="p")(h)})


Z = floats(24, 2)


LINE = RNG.normal(size=(20, 3)), RNG.normal(size=(20, 1))


def line(**options):
    """A linear model in float64, with fixed weights."""
    model = Sequential([Input((3,), dtype="float64"), layers.Dense(1, dtype="float64")])
    model.set_weights([np.array([[0.5], [-1.0], [2.0]]), np.array([0.25])])
    model.compile(optimizers.SGD(0.1), "mse", **options)
    return model


class Numbered:
    """Batches by number, without a base class."""

    def __init__(self, x, y):
        self.x, self.y, self.told = x, y, []

    def __len__(self):
        return 4

    def __getitem__(self, k):
        self.told.append(k)
        return self.x[5 * k:5 * k + 5], self.y[5 * k:5 * k + 5]

    def on_epoch_end(self):
        self.told.append("end")
