"""Weights, gradients and rules of optimizers for one number, with all sums written out."""
import numpy as np

from rnnref import layers

SHAPES = {"kernel": (5, 8), "bias": (8,), "scale": ()}
STEPS = 6


def made(dtype="float64", seed=1):
    rng, layer = np.random.default_rng(seed), layers.Layer(name="layer", dtype=dtype)
    for name, shape in SHAPES.items():
        layer.add_weight(shape, name=name, dtype=dtype).assign(rng.normal(size=shape))
    return layer


def gradients(dtype="float64"):
    rng = np.random.default_rng(2)
    return [[rng.normal(size=shape).astype(dtype) for shape in SHAPES.values()] for _ in range(STEPS)]


# The same rules for one number, with Python's arithmetic and all sums written out.

def sgd(ds, w, rate, momentum=0, nesterov=False):
    for t, d in enumerate(ds):
        m = [-rate * sum(momentum ** (s - k) * ds[k] for k in range(s + 1)) for s in range(t + 1)]
        w += momentum * m[t] - rate * d if nesterov else m[t]
    return w


def rmsprop(ds, w, rate, rho=0.9, momentum=0, epsilon=1e-7, centered=False):
    change = []
    for t in range(len(ds)):
        share = [(1 - rho) * rho ** (t - k) for k in range(t + 1)]
        v = sum(a * d * d for a, d in zip(share, ds))
        mean = sum(a * d for a, d in zip(share, ds)) if centered else 0
        change.append(rate * ds[t] / (v - mean ** 2 + epsilon) ** 0.5)
    return w - sum(momentum ** (s - k) * change[k] for s in range(len(ds)) for k in range(s + 1))


def adagrad(ds, w, rate, initial_accumulator_value=0.1, epsilon=1e-7):
    sums = initial_accumulator_value + np.cumsum(np.square(ds))
    return w - sum(rate * d / (a + epsilon) ** 0.5 for d, a in zip(ds, sums))


def adam(ds, w, rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False, weight_decay=0):
    largest = 0
    for t in range(1, len(ds) + 1):
        m = sum((1 - beta_1) * beta_1 ** (t - k) * d for k, d in enumerate(ds[:t], 1)) / (1 - beta_1 ** t)
        v = sum((1 - beta_2) * beta_2 ** (t - k) * d * d for k, d in enumerate(ds[:t], 1))
        largest = max(largest, v) if amsgrad else v
        root = (1 - beta_2 ** t) ** 0.5
        w = w * (1 - weight_decay * rate) - rate * m / ((largest ** 0.5 + epsilon) / root)
    return w


def lion(ds, w, rate, beta_1=0.9, beta_2=0.99):
    for t, d in enumerate(ds):
        m = sum((1 - beta_2) * beta_2 ** (t - 1 - k) * ds[k] for k in range(t))
        w -= rate * np.sign(beta_1 * m + (1 - beta_1) * d)
    return w


RULES = [("SGD", sgd, {}), ("SGD", sgd, {"momentum": 0.9}), ("SGD", sgd, {"momentum": 0.7, "nesterov": True}),
         ("RMSprop", rmsprop, {}), ("RMSprop", rmsprop, {"rho": 0.7, "momentum": 0.4, "centered": True}),
         ("RMSprop", rmsprop, {"centered": True, "epsilon": 1e-3}), ("Adagrad", adagrad, {}),
         ("Adagrad", adagrad, {"initial_accumulator_value": 0.5}), ("Adam", adam, {}),
         ("Adam", adam, {"amsgrad": True}),
         ("Adam", adam, {"beta_1": 0.6, "beta_2": 0.7, "epsilon": 1e-2}), ("AdamW", adam, {"weight_decay": 0.1}),
         ("Lion", lion, {}), ("Lion", lion, {"beta_1": 0.5, "beta_2": 0.6})]
