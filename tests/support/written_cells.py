"""One step of the cells of other frameworks, as their documentation writes it, on arrays under their own names.

Rows are columns there or not, as each framework has it; nothing here is taken from rnnref.  Each is a function of
(arrays, x [B, I], state) -> the new state, whose first part is the output.
"""
import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def haiku_rnn(w, x, h):
    return np.maximum(0, x @ w["linear/w"] + w["linear/b"] + h @ w["linear_1/w"] + w["linear_1/b"]),


def haiku_lstm(w, x, h, c):
    i, g, f, o = np.split(np.concatenate([x, h], -1) @ w["linear/w"] + w["linear/b"], 4, -1)
    c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def haiku_gru(w, x, h):
    H = h.shape[1]
    zr = sigmoid(x @ w["w_i"][:, :2 * H] + h @ w["w_h"][:, :2 * H] + w["b"][:2 * H])
    z, r = zr[:, :H], zr[:, H:]
    a = np.tanh(x @ w["w_i"][:, 2 * H:] + (r * h) @ w["w_h"][:, 2 * H:] + w["b"][2 * H:])
    return (1 - z) * h + z * a,


def equinox_lstm(w, x, h, c):
    i, f, g, o = np.split(x @ w["weight_ih"].T + h @ w["weight_hh"].T + w["bias"], 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def equinox_gru(w, x, h):
    ax, ah = x @ w["weight_ih"].T + w["bias"], h @ w["weight_hh"].T
    (ir, ii, inew), (hr, hi, hn) = np.split(ax, 3, -1), np.split(ah, 3, -1)
    new = np.tanh(inew + sigmoid(ir + hr) * (hn + w["bias_n"]))
    return new + sigmoid(ii + hi) * (h - new),


def mlx_rnn(w, x, h):
    return np.tanh(x @ w["Wxh"].T + w["bias"] + h @ w["Whh"].T),


def mlx_lstm(w, x, h, c):
    return equinox_lstm({"weight_ih": w["Wx"], "weight_hh": w["Wh"], "bias": w["bias"]}, x, h, c)


def mlx_gru(w, x, h):
    H = h.shape[1]
    x, hp = x @ w["Wx"].T + w["b"], h @ w["Wh"].T
    r, z = np.split(sigmoid(x[:, :2 * H] + hp[:, :2 * H]), 2, -1)
    n = np.tanh(x[:, 2 * H:] + r * (hp[:, 2 * H:] + w["bhn"]))
    return (1 - z) * n + z * h,


def tflite_rnn(w, x, h):
    return np.tanh(x @ w["input_weights"].T + h @ w["recurrent_weights"].T + w["bias"]),


def tflite_lstm(w, x, h, c):
    def gate(to, bias, seen=None):
        a = x @ w[f"input_to_{to}_weights"].T + h @ w[f"recurrent_to_{to}_weights"].T + w[bias]
        return a if seen is None or f"cell_to_{to}_weights" not in w else a + w[f"cell_to_{to}_weights"] * seen
    i, f = sigmoid(gate("input", "input_gate_bias", c)), sigmoid(gate("forget", "forget_gate_bias", c))
    c = f * c + i * np.tanh(gate("cell", "cell_gate_bias"))
    h = sigmoid(gate("output", "output_gate_bias", c)) * np.tanh(c)
    return h @ w["projection_weights"].T if "projection_weights" in w else h, c


def coreml_rnn(w, x, h):
    return np.tanh(x @ w["weight_ih"].T + h @ w["weight_hh"].T + w["bias"]),


def coreml_lstm(w, x, h, c):
    i, f, o, z = np.split(x @ w["weight_ih"].T + h @ w["weight_hh"].T + w["bias"], 4, -1)
    pi, pf, po = np.split(w["peephole"], 3) if "peephole" in w else (0, 0, 0)
    new = sigmoid(f + pf * c) * c + sigmoid(i + pi * c) * np.tanh(z)
    return sigmoid(o + po * new) * np.tanh(new), new


def coreml_gru(w, x, h):
    (Wr, Wo, Wz), (Rr, Ro, Rz), (br, bo, bz) = (np.split(w[name], 3) for name in ("weight_ih", "weight_hh", "bias"))
    r, z = sigmoid(x @ Wr.T + br + h @ Rr.T), sigmoid(x @ Wz.T + bz + h @ Rz.T)
    o = np.tanh(x @ Wo.T + bo + r * (h @ Ro.T))
    return (1 - z) * o + z * h,


def coreml_network_rnn(w, x, h):
    return np.tanh(x @ w["weightMatrix"].T + h @ w["recursionMatrix"].T + w["biasVector"]),


def coreml_network_lstm(w, x, h, c):
    def gate(name):
        return x @ w[f"{name}WeightMatrix"].T + h @ w[f"{name}RecursionMatrix"].T + w[f"{name}BiasVector"]
    pi, pf, po = (w.get(f"{name}GatePeepholeVector", 0) for name in ("input", "forget", "output"))
    i, f = sigmoid(gate("inputGate") + pi * c), sigmoid(gate("forgetGate") + pf * c)
    new = f * c + i * np.tanh(gate("blockInput"))
    return sigmoid(gate("outputGate") + po * new) * np.tanh(new), new


def coreml_network_gru(w, x, h):
    def gate(name, h):
        return x @ w[f"{name}WeightMatrix"].T + h @ w[f"{name}RecursionMatrix"].T + w[f"{name}BiasVector"]
    z, r = sigmoid(gate("updateGate", h)), sigmoid(gate("resetGate", h))
    o = np.tanh(gate("outputGate", r * h))
    return (1 - z) * o + z * h,


def torch_lstm(w, x, h, c):
    joint = {"weight_ih": w["weight_ih_l0"], "weight_hh": w["weight_hh_l0"], "bias": w["bias_ih_l0"] + w["bias_hh_l0"]}
    return equinox_lstm(joint, x, h, c)


def torch_gru(w, x, h):
    ax, ah = x @ w["weight_ih_l0"].T + w["bias_ih_l0"], h @ w["weight_hh_l0"].T + w["bias_hh_l0"]
    (xr, xz, xn), (hr, hz, hn) = np.split(ax, 3, -1), np.split(ah, 3, -1)
    r, z = sigmoid(xr + hr), sigmoid(xz + hz)
    return (1 - z) * np.tanh(xn + r * hn) + z * h,


def keras_lstm(w, x, h, c):
    i, f, g, o = np.split(x @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"], 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def keras_gru(w, x, h):
    ax, ah = x @ w["kernel"] + w["bias"][0], h @ w["recurrent_kernel"] + w["bias"][1]
    (xz, xr, xh), (hz, hr, hh) = np.split(ax, 3, -1), np.split(ah, 3, -1)
    z, r = sigmoid(xz + hz), sigmoid(xr + hr)
    return z * h + (1 - z) * np.tanh(xh + r * hh),


def keras_gru_before(w, x, h):
    H = h.shape[1]
    ax, R = x @ w["kernel"] + w["bias"], w["recurrent_kernel"]
    z, r = (sigmoid(ax[:, k * H:(k + 1) * H] + h @ R[:, k * H:(k + 1) * H]) for k in (0, 1))
    return z * h + (1 - z) * np.tanh(ax[:, 2 * H:] + (r * h) @ R[:, 2 * H:]),


def keras2_lstm(w, x, h, c):
    i, f, g, o = np.split(x @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"], 4, -1)
    i, f, o = (np.clip(0.2 * a + 0.5, 0, 1) for a in (i, f, o))
    c = f * c + i * np.tanh(g)
    return o * np.tanh(c), c


def tf1_lstm(w, x, h, c):
    i, j, f, o = np.split(np.concatenate([x, h], -1) @ w["kernel"] + w["bias"], 4, -1)
    c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(j)
    return sigmoid(o) * np.tanh(c), c


def tf1_gru(w, x, h):
    r, u = np.split(sigmoid(np.concatenate([x, h], -1) @ w["gates/kernel"] + w["gates/bias"]), 2, -1)
    c = np.tanh(np.concatenate([x, r * h], -1) @ w["candidate/kernel"] + w["candidate/bias"])
    return u * h + (1 - u) * c,


def onnx_lstm(w, x, h, c):
    Wb, Rb = np.split(w["B"][0], 2)
    i, o, f, g = np.split(x @ w["W"][0].T + h @ w["R"][0].T + Wb + Rb, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def onnx_gru(w, x, h):
    Wb, Rb = np.split(w["B"][0], 2)
    (xz, xr, xh), (hz, hr, hh) = np.split(x @ w["W"][0].T + Wb, 3, -1), np.split(h @ w["R"][0].T + Rb, 3, -1)
    z = sigmoid(xz + hz)
    return (1 - z) * np.tanh(xh + sigmoid(xr + hr) * hh) + z * h,


def flax_lstm(w, x, h, c):
    i, f, g, o = (x @ w[f"i{k}/kernel"] + h @ w[f"h{k}/kernel"] + w[f"h{k}/bias"] for k in "ifgo")
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def flax_gru(w, x, h):
    r, z = (sigmoid(x @ w[f"i{k}/kernel"] + w[f"i{k}/bias"] + h @ w[f"h{k}/kernel"]) for k in "rz")
    n = np.tanh(x @ w["in/kernel"] + w["in/bias"] + r * (h @ w["hn/kernel"] + w["hn/bias"]))
    return (1 - z) * n + z * h,


def nnx_gru(w, x, h):
    (xr, xz, xn), (hr, hz, hn) = (np.split(a, 3, -1) for a in (
        x @ w["dense_i/kernel"] + w["dense_i/bias"], h @ w["dense_h/kernel"]))
    z = sigmoid(xz + hz)
    return (1 - z) * np.tanh(xn + sigmoid(xr + hr) * hn) + z * h,


def nnx_lstm(w, x, h, c):
    i, f, g, o = (x @ w[f"i{k}/kernel"] + h @ w[f"h{k[0]}/kernel"] + w[f"h{k[0]}/bias"] for k in ("i", "f_", "g", "o"))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


CELLS = {("lstm", "torch"): torch_lstm, ("gru", "torch"): torch_gru, ("lstm", "keras"): keras_lstm,
         ("gru", "keras"): keras_gru, ("gru before", "keras"): keras_gru_before, ("lstm", "keras2"): keras2_lstm,
         ("lstm", "tf1"): tf1_lstm, ("lstm", "tf1 block"): tf1_lstm, ("gru before", "tf1"): tf1_gru,
         ("lstm", "onnx"): onnx_lstm, ("gru", "onnx"): onnx_gru, ("lstm", "flax"): flax_lstm, ("gru", "flax"): flax_gru,
         ("lstm", "nnx"): nnx_lstm, ("gru", "nnx"): nnx_gru,
         ("rnn", "haiku"): haiku_rnn, ("lstm", "haiku"): haiku_lstm, ("gru before", "haiku"): haiku_gru,
         ("lstm", "equinox"): equinox_lstm, ("gru", "equinox"): equinox_gru,
         ("rnn", "mlx"): mlx_rnn, ("lstm", "mlx"): mlx_lstm, ("gru", "mlx"): mlx_gru,
         ("rnn", "tflite"): tflite_rnn, ("lstm", "tflite"): tflite_lstm,
         ("rnn", "coreml"): coreml_rnn, ("lstm", "coreml"): coreml_lstm, ("gru", "coreml"): coreml_gru,
         ("rnn", "coreml network"): coreml_network_rnn, ("lstm", "coreml network"): coreml_network_lstm,
         ("gru before", "coreml network"): coreml_network_gru}


def run_written(family, framework, arrays, xs, state):
    """The outputs [T, B, H] of a cell from an initial state, and the last state."""
    ys = []
    for x in xs:
        state = CELLS[family, framework](arrays, x, *state)
        ys.append(state[0])
    return np.stack(ys), state
