"""Layers computed by hand with conventions wrong in some of them: functions for `verify`, beside stacks of rnnref.

The equations are written here once more, gate by gate, without rnnref.
"""
import numpy as np

ORDER = {"lstm": "ifgo", "gru": "rzn"}


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def step(family, w, x, s, forget=0.0):
    """One step of a cell; w: {"W": {gate: [I, U]}, "R": ..., "b": ..., "bR": ...}."""
    a = {g: x @ w["W"][g] + w["b"][g] for g in w["W"]}
    u = {g: s[0] @ w["R"][g] + w.get("bR", {}).get(g, 0) for g in w["W"]}
    if family == "gru":
        r, z = sigmoid(a["r"] + u["r"]), sigmoid(a["z"] + u["z"])
        return ((1 - z) * np.tanh(a["n"] + r * u["n"]) + z * s[0],)
    i, f, o = sigmoid(a["i"] + u["i"]), sigmoid(a["f"] + u["f"] + np.float32(forget)), sigmoid(a["o"] + u["o"])
    c = f * s[1] + i * np.tanh(a["g"] + u["g"])
    return o * np.tanh(c), c


def relabel(order):
    def change(w, family):
        return {n: {to: blocks[own] for own, to in zip(ORDER[family], order)} for n, blocks in w.items()}
    return change


def transpose(w, family):
    return w | {"R": {g: a.T for g, a in w["R"].items()}}


def make_stack(family, changes, forget=0.0):
    """A function of several layers; `changes`: for every layer, what is done to its weights."""
    def stacked(x, initial_state, p):
        gates = ORDER[family]
        layers = [{n: dict(zip(gates, np.split(a, len(gates), -1))) for n, a in q.items()} for q in p]
        for k, own in enumerate(changes):
            for change in own:
                layers[k] = change(layers[k], family)
        states, ys = [tuple(s) for s in initial_state], []
        for x_t in x:
            for k, w in enumerate(layers):
                states[k] = step(family, w, x_t, states[k], forget)
                x_t = states[k][0]
            ys.append(x_t)
        return np.stack(ys), tuple(states)
    return stacked


# layer normalisation

def normalise(a, epsilon=1e-5, outside=False, ddof=0):
    spread = a.var(-1, keepdims=True, ddof=ddof)
    a = a - a.mean(-1, keepdims=True)
    return a / (np.sqrt(spread) + epsilon) if outside else a / np.sqrt(spread + epsilon)


def make_normed_lstm(order="ifgo", forget=0.0, epsilon=1e-5, outside=False, ddof=0, together=False, inside=False,
                     raw_state=False, each=False):
    """norm(x W + h R) gain + shift, and a normalised c; every keyword is a mistake."""
    def normed(x, initial_state, p):
        norm = lambda a: normalise(a, epsilon, outside, ddof)                        # noqa: E731
        many = norm if together else lambda a: np.concatenate([norm(b) for b in np.split(a, 4, -1)], -1)
        (h, c), ys = initial_state, []
        for x_t in x:
            a = x_t @ p["W"] + h @ p["R"]
            if each:
                a = (many(x_t @ p["W"]) + many(h @ p["R"])) * p["gain"] + p["shift"]
            else:
                a = many(a + p["shift"]) * p["gain"] if inside else many(a) * p["gain"] + p["shift"]
            gates = dict(zip(order, np.split(a, 4, -1)))
            raw = sigmoid(gates["f"] + np.float32(forget)) * c + sigmoid(gates["i"]) * np.tanh(gates["g"])
            seen = norm(raw) * p["gain_c"] + p["shift_c"]
            c = raw if raw_state else seen
            h = sigmoid(gates["o"]) * np.tanh(seen)
            ys.append(h)
        return np.stack(ys).astype(x.dtype), (h.astype(x.dtype), c.astype(x.dtype))
    return normed


NORM_MISTAKES = {                                 # slot: a function of rng -> (keywords of make_normed_lstm, words)
    "order": lambda rng: (order := "".join(rng.permutation(list("ifgo"))), (
        {"order": order}, f"the gate blocks are read as {' '.join(order)}"))[1],
    "forget": lambda rng: (value := float(rng.choice([1.0, 0.5, 2.0])), (
        {"forget": value}, f"{value:g} is added to the forget gate"))[1],
    "epsilon": lambda rng: [({"epsilon": 1e-3}, "epsilon of the layer normalisation is 0.001"),
                            ({"epsilon": 1e-6}, "epsilon of the layer normalisation is 1e-06"),
                            ({"outside": True}, "is added to the standard deviation")][rng.integers(3)],
    "variance": lambda rng: ({"ddof": 1}, "divided by n - 1, not by n"),
    "blocks": lambda rng: ({"together": True}, "all gate blocks are normalised together"),
    "shift": lambda rng: ({"inside": True}, "shift is added before the layer normalisation"),
    "sides": lambda rng: ({"each": True}, "both products are normalised, each by itself"),
    "cell": lambda rng: ({"raw_state": True}, "c is normalised on its way to h alone"),
}


def draw_normed_mistake(seed):
    """(function, sizes (n_in, units), shape of x, words): a layer-normalised LSTM with one or two mistakes."""
    rng = np.random.default_rng([seed, 43])
    slots = list(rng.choice(list(NORM_MISTAKES), 1 + int(rng.random() < 0.5), replace=False))
    slots = slots[:1] if {"sides", "shift"} <= set(slots) else slots      # `each` has its shift outside
    made = [NORM_MISTAKES[slot](rng) for slot in slots]
    made = [own for own in made if own[0] != {"order": "ifgo"}] or [NORM_MISTAKES["blocks"](rng)]
    T, B, n_in, H = (int(n) for n in rng.integers((3, 2, 2, 4), (7, 5, 6, 9)))
    keywords = {name: value for own, _ in made for name, value in own.items()}
    return make_normed_lstm(**keywords), (n_in, H), (T + (T == B), B, n_in), [words for _, words in made]
