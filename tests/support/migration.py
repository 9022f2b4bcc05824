"""Cells of TF 1 and of Keras with the same weights, and what they are run with."""
import numpy as np

from rnnref import tf1

B, T, I, U = 3, 5, 2, 4
RNG = np.random.default_rng(3)
X = RNG.normal(size=(B, T, I)).astype("float32")
LENGTHS = [5, 2, 0]
MASK = np.arange(T) < np.array(LENGTHS)[:, None]


# weights of TF 1 as those of Keras: [x, h] above each other there, and gates in another order

def from_rnn(v, n):
    kernel, bias = v["kernel"], v["bias"]
    return [kernel[:n], kernel[n:], bias]


def from_lstm(forget_bias):
    def convert(v, n):                            # i j f o, and the forget bias is added in every step
        kernel, bias = (np.concatenate([a[..., g * units:(g + 1) * units] for g in (0, 2, 1, 3)], -1)
                        for a in (v["kernel"], v["bias"]) for units in [a.shape[-1] // 4])
        bias[len(bias) // 4:len(bias) // 2] += forget_bias
        return [kernel[:n], kernel[n:], bias]
    return convert


def from_gru(v, n):                               # r u, and the candidate apart; Keras has u first, and calls it z
    r, u = np.split(v["gates/kernel"], 2, -1)
    kernel = np.concatenate([u, r, v["candidate/kernel"]], -1)
    r, u = np.split(v["gates/bias"], 2)
    return [kernel[:n], kernel[n:], np.concatenate([u, r, v["candidate/bias"]])]


def from_cudnn_gru(v, n):                         # two biases: the candidate resets the product with h
    r, u = np.split(v["gates/kernel"], 2, -1)
    b, c = np.split(v["gates/bias"], 2)
    kernels = [np.concatenate([a, d, v[f"candidate/{p}_projection/kernel"]], -1)
               for p, a, d in (("input", u[:n], r[:n]), ("hidden", u[n:], r[n:]))]
    biases = [np.concatenate([a, d, v[f"candidate/{p}_projection/bias"]])
              for p, a, d in (("input", c, b), ("hidden", 0 * c, 0 * b))]
    return [*kernels, np.stack(biases)]


CELLS = {                                         # of TF 1; of Keras; its weights
    "BasicRNNCell": (lambda u: tf1.BasicRNNCell(u), lambda L, u: L.SimpleRNNCell(u), from_rnn),
    "BasicRNNCell relu": (lambda u: tf1.BasicRNNCell(u, activation="relu"),
                          lambda L, u: L.SimpleRNNCell(u, activation="relu"), from_rnn),
    "BasicLSTMCell": (lambda u: tf1.BasicLSTMCell(u), lambda L, u: L.LSTMCell(u), from_lstm(1)),
    "LSTMCell": (lambda u: tf1.LSTMCell(u, forget_bias=0.5), lambda L, u: L.LSTMCell(u), from_lstm(0.5)),
    "LSTMBlockCell": (lambda u: tf1.LSTMBlockCell(u), lambda L, u: L.LSTMCell(u), from_lstm(1)),
    "CudnnCompatibleLSTMCell": (lambda u: tf1.CudnnCompatibleLSTMCell(u), lambda L, u: L.LSTMCell(u), from_lstm(0)),
    "GRUCell": (lambda u: tf1.GRUCell(u), lambda L, u: L.GRUCell(u, reset_after=False), from_gru),
    "GRUBlockCellV2": (lambda u: tf1.GRUBlockCellV2(u), lambda L, u: L.GRUCell(u, reset_after=False), from_gru),
    "CudnnCompatibleGRUCell": (lambda u: tf1.CudnnCompatibleGRUCell(u), lambda L, u: L.GRUCell(u), from_cudnn_gru),
}
TWO = ("LSTMCell", "GRUCell")


def random(cell, n_in, seed=0):
    """A cell of TF 1 with random variables, and these without their scope."""
    cell.build(n_in, seed=seed)
    rng = np.random.default_rng(seed)
    v = {name: rng.uniform(-0.7, 0.7, a.shape).astype("float32") for name, a in cell.dump_variables().items()}
    cell.load_variables(v)
    return cell, {name.partition("/")[2]: a for name, a in v.items()}


class Pair:
    """A cell of TF 1, and one of Keras with the same weights."""

    def __init__(self, k, name, units=U, n_in=I, seed=0):
        make, make_theirs, convert = CELLS[name]
        self.old, v = random(make(units), n_in, seed)
        self.new, self.weights = make_theirs(k.layers, units), convert(v, n_in)

    def take(self, layer, shape=(B, T, I)):
        """A layer around the cells of Keras, built, with their weights."""
        return built(layer, self.weights, shape)

    def states(self, state):
        """A state of TF 1 in the order of Keras: h first."""
        return [state.h, state.c] if hasattr(state, "h") else [state]

    @property
    def is_lstm(self):
        return isinstance(self.old.state_size, tuple)


def built(layer, weights, shape=(B, T, I)):
    layer.build(shape)
    layer.set_weights(weights)
    return layer
