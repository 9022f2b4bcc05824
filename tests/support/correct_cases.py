"""Correct candidates of every kind for `verify`, drawn at random: none of them may be said to differ."""
import os

import numpy as np

SIZES = 1, 1, 2, 2, 3, 4, 5, 8, 16


def draw_case(kind, seed):
    """(candidate, inputs, options of `verify`) of "torch", "keras" or "onnxruntime"."""
    rng = np.random.default_rng([seed, sum(map(ord, kind))])
    return {"torch": _draw_torch, "keras": _draw_keras, "onnxruntime": _draw_node}[kind](rng, seed)


def _draw_sizes(rng):
    T, B, n_in, H = (int(rng.choice(SIZES)) for _ in range(4))
    return T, B, int(rng.integers(50, 300)) if rng.random() < 0.1 else n_in, H


def _draw_scale(rng, low, high):
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _draw_lengths(rng, T, B, least):
    return rng.integers(least, T + 1, B) if rng.random() < 0.4 else None


def _draw_torch(rng, seed):
    import torch
    torch.manual_seed(seed)
    (T, B, n_in, H), kind = _draw_sizes(rng), str(rng.choice(["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"]))
    options = {"bias": bool(rng.random() < 0.8)}
    if not kind.endswith("Cell"):
        options |= {"num_layers": int(rng.choice([1, 1, 1, 2, 3])), "bidirectional": bool(rng.random() < 0.3),
                    "batch_first": bool(rng.random() < 0.3)}
    if kind == "LSTM" and H > 1 and rng.random() < 0.4:
        options["proj_size"] = int(rng.integers(1, H))
    if kind.startswith("RNN") and rng.random() < 0.4:
        options["nonlinearity"] = "relu"
    module = getattr(torch.nn, kind)(n_in, H, **options)
    scale = _draw_scale(rng, 0.1, 4)
    with torch.no_grad():
        for p in module.parameters():
            p.mul_(scale)
    dtype = "float64" if rng.random() < 0.15 else "float32"
    module = module.to(getattr(torch, dtype))
    shape = (B, T, n_in) if options.get("batch_first") else (T, B, n_in)
    x = (_draw_scale(rng, 1e-3, 1e3) * rng.standard_normal(shape)).astype(dtype)
    how = {} if kind.endswith("Cell") else {"lengths": _draw_lengths(rng, T, B, 1)}
    return module, x, how | {"seed": seed}


def _draw_keras(rng, seed):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras
    layers = keras.layers
    keras.utils.set_random_seed(seed)
    (T, B, n_in, H), kind = _draw_sizes(rng), str(rng.choice(["SimpleRNN", "LSTM", "GRU"]))
    options = {"return_sequences": bool(rng.random() < 0.8), "use_bias": bool(rng.random() < 0.8)}
    if kind == "GRU":
        options["reset_after"] = bool(rng.random() < 0.5)
    if rng.random() < 0.3:
        options["activation"] = str(rng.choice(["relu", "softsign", "sigmoid", "softplus"]))
    layer = getattr(layers, kind)(H, return_state=bool(rng.random() < 0.5), **options)
    if rng.random() < 0.3:
        layer = layers.Bidirectional(getattr(layers, kind)(H, **options))
    layer.build((B, T, n_in))
    scale = _draw_scale(rng, 0.1, 4)
    layer.set_weights([scale * (a if a.any() else rng.uniform(-0.5, 0.5, a.shape)) for a in layer.get_weights()])
    x = (_draw_scale(rng, 1e-3, 1e3) * rng.standard_normal((B, T, n_in))).astype("float32")
    return layer, x, {"lengths": _draw_lengths(rng, T, B, 1), "seed": seed}


def _draw_node(rng, seed):
    from onnx import helper
    op = str(rng.choice(["RNN", "GRU", "LSTM"]))
    T, B, n_in, H = _draw_sizes(rng)
    direction = str(rng.choice(["forward", "reverse", "bidirectional"]))
    D, G = 2 if direction == "bidirectional" else 1, {"RNN": 1, "GRU": 3, "LSTM": 4}[op] * H
    shapes = {"X": (T, B, n_in), "W": (D, G, n_in), "R": (D, G, H), "B": (D, 2 * G)}
    given = {n: rng.standard_normal(s) for n, s in shapes.items()}
    if rng.random() < 0.4:
        given |= {n: rng.standard_t(1.5, shapes[n]) for n in "WRB"}          # a few weights are very large
    scale = _draw_scale(rng, 0.1, 4) / np.sqrt(max(n_in, H))
    given = {n: (a * (_draw_scale(rng, 1e-3, 1e3) if n == "X" else scale)).astype("float32") for n, a in given.items()}
    lengths = _draw_lengths(rng, T, B, 1)
    if lengths is not None:
        given["sequence_lens"] = lengths.astype("int32")
    if rng.random() < 0.5:
        given |= {n: (0.5 * rng.standard_normal((D, B, H))).astype("float32")
                  for n in ("initial_h", "initial_c")[:1 + (op == "LSTM")]}
    order = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c"]
    last = max(order.index(n) for n in given)
    options = {"linear_before_reset": int(rng.random() < 0.5)} if op == "GRU" else {}
    node = helper.make_node(op, [n if n in given else "" for n in order[:last + 1]],
                            ["Y", "Y_h", *(["Y_c"] if op == "LSTM" else [])], name=op.lower(), hidden_size=H,
                            direction=direction, **options)
    return node, given, {"seed": seed}
