"""Layers of installed frameworks that were given weights, states or data in a wrong convention, drawn at random.

The framework computes; what is wrong is how numbers were handed to it, written here gate by gate, without rnnref.check.
"""
from itertools import permutations

import numpy as np

from rnnref import cells

ORDER = {"lstm": "ifgo", "gru": "rzn", "rnn": "h"}            # ours
BOTH = {"lstm": ("h", "c"), "gru": ("h",), "rnn": ("h",)}


class Ported:
    """Gate blocks and options of a layer on their way to a framework, and what is done to its data and results."""

    def __init__(self, family, engine, rng, size, options):
        self.family, self.engine, self.options = family, engine, options
        T, B, n_in, U = size
        draw = lambda *shape: (0.6 * rng.standard_normal(shape)).astype("float32")         # noqa: E731
        gates = ORDER[family]
        self.W, self.R = ({g: draw(n, U) for g in gates} for n in (n_in, options.get("projection") or U))
        self.b, self.bR = ({g: draw(U) for g in gates} for _ in range(2))
        self.Wp = {g: draw(U) for g in "iof"} if options.get("peepholes") else {}
        self.P = draw(U, options["projection"]) if options.get("projection") else None
        self.before, self.after = [], []                      # functions of (x, states), and of (ys, states)

    def stack(self, name):
        return np.concatenate([getattr(self, name)[g] for g in ORDER[self.family]], -1)

    def cut(self, a):
        gates = ORDER[self.family]
        return dict(zip(gates, np.split(a, len(gates), -1)))

    def make_reference(self):
        """The cell and the parameters that are right."""
        options = {n: v for n, v in self.options.items() if v is not None and n != "forget_bias"}
        one = self.engine == "keras" and (self.family != "gru" or options.get("reset") == "before") or \
            self.engine == "flax"
        if one and self.family != "gru" or one and options.get("reset") == "before":
            self.bR = {g: 0 * a for g, a in self.bR.items()}
        elif one and self.engine == "flax":
            self.bR = {g: a * (g == "n") for g, a in self.bR.items()}
        make = {"lstm": cells.LSTM, "gru": cells.GRU, "rnn": cells.SimpleRNN}[self.family]
        two = any(a.any() for a in self.bR.values())
        cell = make(**options, recurrent_bias=two) if not (self.family == "gru" and options["reset"] == "after") \
            else make(**options)
        p = {"W": self.stack("W"), "R": self.stack("R"), "b": self.stack("b"), "bR": self.stack("bR"), "P": self.P,
             **{f"Wp{g}": a for g, a in self.Wp.items()}}
        return cell, {n: a for n, a in p.items() if n in cell.axes()}


# engines: (x [T, B, I], states) -> ys, states

def run_torch(q, x, s):
    import torch
    kind = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}[q.family]
    U = q.W[ORDER[q.family][0]].shape[1]
    module = getattr(torch.nn, kind)(x.shape[-1], U, **({"proj_size": q.P.shape[1]} if q.P is not None else {}))
    arrays = [q.stack("W").T, q.stack("R").T, q.stack("b"), q.stack("bR")] + ([q.P.T] if q.P is not None else [])
    with torch.no_grad():
        for own, a in zip(module.parameters(), arrays):
            own.copy_(torch.tensor(np.ascontiguousarray(a)))
        s = [torch.tensor(a[None]) for a in s]
        ys, last = module(torch.tensor(np.ascontiguousarray(x)), tuple(s) if len(s) > 1 else s[0])
    last = last if isinstance(last, tuple) else (last,)
    return ys.numpy(), tuple(a[0].numpy() for a in last)


KERAS = {"hs3": "hard_sigmoid", "sigmoid": "sigmoid", "tanh": "tanh", "linear": None, "relu": "relu"}


def run_keras(q, x, s):
    import keras
    kind = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "rnn": keras.layers.SimpleRNN}[q.family]
    U = q.W[ORDER[q.family][0]].shape[1]
    chosen = getattr(q, "activations", {})
    options = {"activation": KERAS[chosen.get("both", "tanh")]}
    if q.family != "rnn":
        options["recurrent_activation"] = KERAS[chosen.get("gate", "sigmoid")]
    reset = getattr(q, "reset", q.options.get("reset"))
    if q.family == "gru":
        options["reset_after"] = reset == "after"
    layer = kind(U, return_sequences=True, return_state=True, **options)
    layer.build((None, None, x.shape[-1]))
    order = {"lstm": "ifgo", "gru": "zrn", "rnn": "h"}[q.family]
    W, R, b, bR = (np.concatenate([blocks[g] for g in order], -1) for blocks in (q.W, q.R, q.b, q.bR))
    bias = np.stack([b, bR]) if q.family == "gru" and reset == "after" else b + bR
    layer.set_weights([W, R, bias])
    y, *last = layer(x.swapaxes(0, 1), initial_state=[np.ascontiguousarray(a) for a in s])
    return keras.ops.convert_to_numpy(y).swapaxes(0, 1), tuple(keras.ops.convert_to_numpy(a) for a in last)


def run_flax(q, x, s):
    import jax
    from flax import linen
    U = q.W[ORDER[q.family][0]].shape[1]
    if q.family == "lstm":
        cell, params = linen.OptimizedLSTMCell(U), {}
        for g in "ifgo":
            params |= {f"i{g}": {"kernel": q.W[g]}, f"h{g}": {"kernel": q.R[g], "bias": q.b[g] + q.bR[g]}}
    elif q.family == "gru":
        cell, params = linen.GRUCell(U), {}
        for g in "rzn":
            params |= {f"i{g}": {"kernel": q.W[g], "bias": q.b[g] + (q.bR[g] if g != "n" else 0)},
                       f"h{g}": {"kernel": q.R[g], **({"bias": q.bR[g]} if g == "n" else {})}}
    else:
        cell, params = linen.SimpleCell(U), {"i": {"kernel": q.W["h"], "bias": q.b["h"] + q.bR["h"]},
                                             "h": {"kernel": q.R["h"]}}
    step = jax.jit(lambda carry, x_t: cell.apply({"params": params}, carry, x_t))
    carry, ys = tuple(s[::-1]) if len(s) > 1 else s[0], []
    for x_t in x:
        carry, y = step(carry, x_t)
        ys.append(np.asarray(y))
    last = carry[::-1] if isinstance(carry, tuple) else (carry,)
    return np.stack(ys), tuple(np.asarray(a) for a in last)


ONNX = {"hs2": "HardSigmoid", "sigmoid": "Sigmoid", "tanh": "Tanh", "linear": "Affine", "relu": "Relu"}


def run_onnxruntime(q, x, s):
    from rnnref.check.of_onnx import Case
    from rnnref.check.onnx_engines import resolve_engine
    order = {"lstm": "iofg", "gru": "zrn", "rnn": "h"}[q.family]
    W, R = (np.concatenate([blocks[g].T for g in order])[None] for blocks in (q.W, q.R))
    b = np.concatenate([blocks[g] for blocks in (q.b, q.bR) for g in order])[None]
    inputs = {"X": np.ascontiguousarray(x), "W": W, "R": R, "B": b, "initial_h": s[0][None]}
    if len(s) > 1:
        inputs["initial_c"] = s[1][None]
    if q.Wp:
        inputs["P"] = np.concatenate([q.Wp[g] for g in "iof"])[None]
    chosen, attributes = getattr(q, "activations", {}), {"hidden_size": R.shape[-1]}
    names = {"lstm": ("gate", "candidate", "output"), "gru": ("gate", "candidate"), "rnn": ("candidate",)}[q.family]
    used = [ONNX[chosen.get(n, "sigmoid" if n == "gate" else chosen.get("both", "tanh"))] for n in names]
    if used != ["Sigmoid", "Tanh", "Tanh"][:len(names)] and used != ["Tanh"]:
        attributes["activations"] = used
        if set(used) & {"Affine", "HardSigmoid"}:
            attributes["activation_alpha"] = [0.2 if n == "HardSigmoid" else 1.0 for n in used
                                              if n in ("Affine", "HardSigmoid")]
            attributes["activation_beta"] = [0.5 if n == "HardSigmoid" else 0.0 for n in used
                                             if n in ("Affine", "HardSigmoid")]
    if q.family == "gru":
        attributes["linear_before_reset"] = int(getattr(q, "reset", q.options["reset"]) == "after")
    if getattr(q, "coupled", False):
        attributes["input_forget"] = 1
    outputs = ("Y", "Y_h", "Y_c")[:1 + len(s)]
    op = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}[q.family]
    found = resolve_engine("onnxruntime")[1](Case(op, inputs, attributes, outputs))
    return found["Y"][:, 0], tuple(found[n][0] for n in outputs[1:])


ENGINES = {"torch": run_torch, "keras": run_keras, "flax": run_flax, "onnxruntime": run_onnxruntime}


# mistakes: a function (Ported, rng) -> the words that must be said

def relabel(q, names, order):
    for name in names:
        blocks = getattr(q, name)
        setattr(q, name, {to: blocks[own] for own, to in zip(ORDER[q.family], order)})


def read_other_order(q, rng):
    order = "".join(rng.permutation(list(permutations(ORDER[q.family]))[1:])[0])
    relabel(q, ("W", "R", "b", "bR"), order)
    return f"the gate blocks are read as {' '.join(order)}"


def read_other_bias_order(q, rng):
    order = "".join(rng.permutation(list(permutations(ORDER[q.family]))[1:])[0])
    relabel(q, ("b", "bR"), order)
    return f"the gate blocks of the biases alone are read as {' '.join(order)}"


def add_to_gate(q, rng):
    gate, words = {"lstm": ("f", "forget"), "gru": ("z", "update")}[q.family]
    value = float(rng.choice([1.0, -1.0, 0.5, 2.5]))
    q.b[gate] = q.b[gate] + np.float32(value)
    verb = "is added to" if value > 0 else "is subtracted from"
    return f"{abs(value):g} {verb} the {words} gate"


def transpose_blocks(q, rng):
    q.R = {g: a.T for g, a in q.R.items()}
    return "R is transposed in each gate block"


def misread_buffer(q, rng):
    name = str(rng.choice(["W", "R"]))
    a = q.stack(name)
    setattr(q, name, q.cut(a.reshape(a.shape[::-1]).T))
    same = name == "R" and q.family == "rnn"
    return "R is transposed" if same else f"the numbers of {name} are read as those of its transpose"


def exchange_rows(q, rng):
    H, rows = len(q.R[ORDER[q.family][0]]), {g: np.concatenate([q.W[g], q.R[g]]) for g in q.W}
    q.W, q.R = {g: a[H:] for g, a in rows.items()}, {g: a[:H] for g, a in rows.items()}
    return "the rows of the kernel are read as [h, x]"


def leave_out_bias(q, rng):
    two = any(a.any() for a in q.bR.values())
    name = str(rng.choice(["b", "bR"])) if two else "b"
    setattr(q, name, {g: 0 * a for g, a in getattr(q, name).items()})
    return {"b": "b, the bias of the input, is left out" if two else "the bias is left out",
            "bR": "bR, the recurrent bias, is left out"}[name]


def double_bias(q, rng):
    two = any(a.any() for a in q.bR.values())
    q.b = {g: 2 * a for g, a in q.b.items()}
    return "b, the bias of the input, is added twice" if two else "the bias is added twice"


def add_outside(q, rng):
    q.b, q.bR = q.b | {"n": q.b["n"] + q.bR["n"]}, q.bR | {"n": 0 * q.bR["n"]}
    return "the recurrent bias of n is added outside of the reset"


def keep_new(q, rng):
    for name in ("W", "R", "b", "bR"):
        setattr(q, name, getattr(q, name) | {"z": -getattr(q, name)["z"]})
    return "z keeps the new state and 1 - z the old one"


def use_other_reset(q, rng):
    q.reset = {"after": "before", "before": "after"}[q.options["reset"]]
    return f"the reset gate acts {q.reset} the product with R"


def use_hard_sigmoid(q, rng):
    name = {"keras": "hs3", "onnxruntime": "hs2"}[q.engine]
    q.activations = getattr(q, "activations", {}) | {"gate": name}
    return f"the gates use the hard sigmoid of Keras {name[-1]}"


def change_tanh(q, rng):
    kind = str(rng.choice(["linear", "relu"]))
    words = {"linear": "is left out", "relu": "is relu"}[kind]
    if q.engine == "keras" or q.family == "rnn":
        q.activations = getattr(q, "activations", {}) | {"both": kind}
        return {"lstm": "the activation of the candidate and of c", "gru": "the tanh of the candidate",
                "rnn": "the activation"}[q.family] + f" {words}"
    place = str(rng.choice(["candidate", "output"])) if q.family == "lstm" else "candidate"
    q.activations = getattr(q, "activations", {}) | {place: kind}
    return f"the tanh of {'c' if place == 'output' else 'the candidate'} {words}"


def couple(q, rng):
    q.coupled = True
    return "the forget gate is 1 - i"


def reorder_peepholes(q, rng):
    order = "".join(rng.permutation(list(permutations("iof"))[1:])[0])
    q.Wp = {to: q.Wp[own] for own, to in zip("iof", order)}
    return f"the peepholes are read as {' '.join(order)}"


def leave_out_peepholes(q, rng):
    q.Wp = {}
    return "the peepholes are left out"


def misread_projection(q, rng):
    q.P = q.P.reshape(q.P.shape[::-1]).T
    return "the numbers of the projection are read as those of its transpose"


def ignore_initial(q, rng):
    q.before.append(lambda x, s: (x, [0 * a for a in s]))
    return f"{' and '.join(f'{n}0' for n in BOTH[q.family])} {'are' if q.family == 'lstm' else 'is'} zero"


def exchange_initial(q, rng):
    q.before.append(lambda x, s: (x, s[::-1]))
    return "h0 and c0 are exchanged"


def exchange_last(q, rng):
    q.after.append(lambda ys, s: (ys, s[::-1]))
    return "h and c are exchanged"


def read_backwards(q, rng):
    q.before.append(lambda x, s: (x[::-1], s))
    q.after.append(lambda ys, s: (ys[::-1], s))
    return "time is read backwards"


def flip_outputs(q, rng):
    q.after.append(lambda ys, s: (ys[::-1], s))
    return "the outputs are flipped in time"


def flip_inputs(q, rng):
    q.before.append(lambda x, s: (x[::-1], s))
    return "x is flipped in time"


def swap_outputs(q, rng):
    q.after.append(lambda ys, s: (ys.swapaxes(0, 1), s))
    return "the axes of time and batch of y are exchanged"


def list_kinds(q):
    """{slot: mistakes} of the weights and options, and of data and results, that this layer can have."""
    gated, two = q.family != "rnn", q.engine in ("torch", "onnxruntime")
    found = {"order": [read_other_order, read_other_order, read_other_bias_order] if gated else [],
             "constant": [add_to_gate] if gated else [],
             "matrix": [misread_buffer] + [exchange_rows, transpose_blocks] * (q.P is None),
             "bias": [leave_out_bias, double_bias],
             "initial": [ignore_initial], "time": [read_backwards, flip_outputs, flip_inputs], "axes": [swap_outputs]}
    if q.family == "gru":
        found["gates"] = [keep_new] + [use_other_reset] * (q.engine in ("keras", "onnxruntime"))
        if q.options["reset"] == "after" and (two or q.engine in ("keras", "flax")):
            found["bias"].append(add_outside)
    if q.engine in ("keras", "onnxruntime"):
        found["activation"] = [change_tanh] + [use_hard_sigmoid] * gated
    if q.family == "lstm":
        found["last"] = [exchange_last] if q.P is None else []
        found["initial"] += [exchange_initial] if q.P is None else []
        found["coupled"] = [couple] if q.engine == "onnxruntime" and not q.Wp else []
    found["peepholes"] = [reorder_peepholes, leave_out_peepholes] if q.Wp else []
    found["projection"] = [misread_projection] if q.P is not None else []
    return {slot: kinds for slot, kinds in found.items() if kinds}


_ORDER = ("matrix", "projection", "order", "bias", "peepholes", "constant", "gates", "coupled", "activation", "initial",
          "time", "axes", "last")                # weights before options, in the order in which a port does them


def draw_mistake(engine, seed, units=None):
    """(function, cell, p, shape of x, words): a layer with one or two mistakes, and what is to be said of it."""
    rng = np.random.default_rng([seed, sum(map(ord, engine))])
    family = str(rng.choice(["lstm", "lstm", "gru", "gru", "rnn"]))
    T, B, n_in, U = int(rng.integers(3, 9)), int(rng.integers(2, 5)), int(rng.integers(2, 7)), int(rng.integers(3, 9))
    size = (T + (T == B), B, n_in, units or U)
    options = {}
    if family == "lstm" and engine == "onnxruntime" and rng.random() < 0.4:
        options["peepholes"] = True
    if family == "lstm" and engine == "torch" and rng.random() < 0.25:
        options["projection"] = max(2, size[3] - 1)
    if family == "gru":
        options["reset"] = str(rng.choice(["after", "before"])) if engine in ("keras", "onnxruntime") else "after"
    q = Ported(family, engine, rng, size, options)
    cell, p = q.make_reference()
    kinds = list_kinds(q)
    slots = sorted(rng.choice(sorted(kinds), size=1 + int(rng.random() < 0.45), replace=False), key=_ORDER.index)
    words = [str(w) for w in (kinds[slot][int(rng.integers(len(kinds[slot])))](q, rng) for slot in slots)]

    def ported(x, initial_state=None):
        widths = (len(q.R[ORDER[family][0]]), size[3])[:len(BOTH[family])]
        s = list(initial_state or (np.zeros((x.shape[1], n), "float32") for n in widths))
        for change in q.before:
            x, s = change(x, s)
        ys, last = ENGINES[engine](q, x, s)
        for change in q.after:
            ys, last = change(ys, last)
        return np.ascontiguousarray(ys), tuple(last)
    return ported, cell, p, size[:3], words


def is_named(report, words):
    """Whether a report says all the words of a mistake."""
    found = str(report.findings[0]) if report.findings else ""
    return "Agrees to" in found and all(w in found for w in words)


def is_certain(report):
    """Whether a report states one cause."""
    found = str(report.findings[0]) if report.findings else ""
    return "Agrees to" in found and "do not tell which" not in found
