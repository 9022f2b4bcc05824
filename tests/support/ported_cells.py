"""Independent ports of RNN, LSTM and GRU: a loop over steps, a product for each gate, exp for the sigmoid.

They share no line with rnnref and sum in another order.  Each takes one fault that ports have: "gates" (two blocks
exchanged), "reset" (left out), "lengths" (ignored), "c" (h from the old c), "bias" (no recurrent bias), "late" (no tanh
from step 4 on), "nan" (one entry of one step), "transposed" (R).
"""
import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def pre_activation(x, h, p, k, H):
    """The argument of gate k: x W + b and h R + bR, each from its last term to its first."""
    block = slice(k * H, (k + 1) * H)
    ax = np.add.reduce([x[:, n:n + 1] * p["W"][n, block] for n in reversed(range(x.shape[1]))]) + p["b"][block]
    ah = np.add.reduce([h[:, n:n + 1] * p["R"][n, block] for n in reversed(range(H))])
    return ax, ah + (p["bR"][block] if "bR" in p else 0)


def lstm_step(p, x, s, fault, t):
    h, c = s
    order = (1, 0, 2, 3) if fault == "gates" else (0, 1, 2, 3)
    a = [sum(pre_activation(x, h, p, k, h.shape[1])) for k in order]
    i, f, g, o = sigmoid(a[0]), sigmoid(a[1]), np.tanh(a[2]), sigmoid(a[3])
    new = f * c + i * g
    return o * np.tanh(c if fault == "c" else new), new


def gru_step(p, x, s, fault, t, reset="after"):
    h, = s
    H = h.shape[1]
    (xr, hr), (xz, hz) = (pre_activation(x, h, p, k, H) for k in ((1, 0) if fault == "gates" else (0, 1)))
    r, z = sigmoid(xr + hr), sigmoid(xz + hz)
    r = np.ones_like(r) if fault == "reset" else r
    xn, hn = pre_activation(x, r * h if reset == "before" else h, p, 2, H)
    if fault == "bias":
        hn = hn - p["bR"][2 * H:]
    n = np.tanh(xn + (hn if reset == "before" else r * hn))
    return (1 - z) * n + z * h,


def gru_before_step(p, x, s, fault, t):
    return gru_step(p, x, s, fault, t, "before")


def rnn_step(p, x, s, fault, t):
    h, = s
    p = p | {"R": p["R"].T} if fault == "transposed" else p
    a = sum(pre_activation(x, h, p, 0, h.shape[1]))
    return a if fault == "late" and t >= 4 else np.tanh(a),


STEPS = {"lstm": lstm_step, "gru": gru_step, "gru before": gru_before_step, "rnn": rnn_step}


def engine(family, fault=None, reverse=False):
    """A candidate for `verify`."""
    def ported(x, p, initial_state=None, lengths=None):
        H = p["R"].shape[0]
        s = tuple(initial_state or [np.zeros((x.shape[1], H), x.dtype)] * (2 if family == "lstm" else 1))
        ys = np.zeros((*x.shape[:2], H), x.dtype)
        for t in range(len(x))[::-1] if reverse else range(len(x)):
            live = np.ones(x.shape[1], bool) if lengths is None or fault == "lengths" else t < np.asarray(lengths)
            new = STEPS[family](p, x[t], s, fault, t)
            s = tuple(np.where(live[:, None], a, b) for a, b in zip(new, s))
            ys[t] = np.where(live[:, None], new[0], 0)
        if fault == "nan":
            ys[3, 1, 2] = np.nan
        return ys, s
    ported.__name__ = f"{family} by hand"
    return ported
