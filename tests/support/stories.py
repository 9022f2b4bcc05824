"""What the stories share: results of rnnref and of Keras as arrays, and steps of cells written out."""
import numpy as np

import rnnref
from rnnref import Record
from rnnref.nest import flatten, map_structure
from rnnref.values import numbers


def arrays(tree):
    """NumPy arrays in the place of torch tensors and values."""
    return map_structure(lambda a: a.detach().numpy() if hasattr(a, "detach") else np.asarray(a), numbers(tree))


def gradients(k, f, x, dy):
    """The gradients of sum(f(x) dy) for the arrays of x."""
    if k is rnnref:
        with Record() as record:
            v = map_structure(record.leaf, x)
            y = f(v)
        return map_structure(lambda a: record.backward(flatten(y), flatten(dy))[a], v)
    import torch
    v = map_structure(lambda a: torch.tensor(a, requires_grad=True), x)
    loss = sum((a * torch.tensor(d)).sum() for a, d in zip(flatten(f(v)), flatten(dy), strict=True))
    return arrays(list(torch.autograd.grad(loss, flatten(v))))


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def lstm_step(x, h, c, kernel, recurrent_kernel, bias):
    """One step of Keras's LSTM, gates i f g o."""
    i, f, g, o = np.split(x @ kernel + h @ recurrent_kernel + bias, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_step(x, h, kernel, recurrent_kernel, bias):
    """One step of Keras's GRU with reset_after, gates z r n."""
    ax, ah = x @ kernel + bias[0], h @ recurrent_kernel + bias[1]
    (xz, xr, xn), (hz, hr, hn) = np.split(ax, 3, axis=-1), np.split(ah, 3, axis=-1)
    z, n = sigmoid(xz + hz), np.tanh(xn + sigmoid(xr + hr) * hn)
    return z * h + (1 - z) * n


def rnn_step(x, h, kernel, recurrent_kernel, bias):
    """One step of Keras's SimpleRNN."""
    return np.tanh(x @ kernel + h @ recurrent_kernel + bias)


def lstm(x, weights, h=None, c=None):
    """Keras's LSTM over [B, T, I]: all h, and the last h and c."""
    units, hs = weights[1].shape[0], []
    h = np.zeros((len(x), units)) if h is None else h
    c = np.zeros((len(x), units)) if c is None else c
    for t in range(x.shape[1]):
        h, c = lstm_step(x[:, t], h, c, *weights)
        hs.append(h)
    return np.stack(hs, 1), h, c


def loop(step, x, weights):
    """A cell with the one state h over [B, T, I]: all h."""
    h, hs = np.zeros((len(x), weights[1].shape[0])), []
    for t in range(x.shape[1]):
        h = step(x[:, t], h, *weights)
        hs.append(h)
    return np.stack(hs, 1)


def set_random_weights(model, seed=0):
    """Random numbers for all weights: zeros of biases would hide where they go."""
    rng = np.random.default_rng(seed)
    weights = [rng.uniform(-0.5, 0.5, np.shape(w)).astype("float32") for w in model.get_weights()]
    model.set_weights(weights)
    return weights
