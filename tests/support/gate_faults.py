"""LSTM and GRU written step by step, with a fault in some gates, that record what every gate was and should have been.

Without rnnref: values and what is right are written out here.
"""
import numpy as np

ORDER = {"lstm": "ifgo", "gru": "rzn"}


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


class Faulty:
    """A function x, p -> y, (h, c); `fault`: (gate, step, value, argument) -> what is computed in its place.

    wrong   {gate: [T, B, U]}, after a call: how far each gate was from what it should have been at this state
    """

    def __init__(self, family, fault, states=True, reset="after"):
        self.family, self.fault, self.states, self.reset = family, fault, states, reset
        self.__name__, self.wrong = family, {}

    def __call__(self, x, p, initial_state=None, lengths=None):
        wide = {n: a.astype("float64") for n, a in p.items()}
        U, B = p["R"].shape[0], x.shape[1]
        state = [np.zeros((B, U)) for _ in "hc"] if initial_state is None else [a.astype(float) for a in initial_state]
        ys, wrong = [], []
        for t, xt in enumerate(x.astype("float64")):
            self._step, self._now = t, {}
            old = [a.copy() for a in state]
            state = (self._lstm if self.family == "lstm" else self._gru)(xt, wide, *old)
            if lengths is not None:
                live = (t < np.asarray(lengths))[:, None]
                state = [np.where(live, new, a) for new, a in zip(state, old)]
            ys.append(state[0] if lengths is None else np.where(live, state[0], 0))
            wrong.append(self._now)
        self.wrong = {g: np.stack([one[g] for one in wrong]) for g in ORDER[self.family]}
        y, last = np.stack(ys).astype(x.dtype), tuple(a.astype(x.dtype) for a in state)
        return (y, last) if self.states else y

    def _gate(self, gate, value, argument):
        used = self.fault(gate, self._step, value, argument)
        self._now[gate] = used - value
        return used

    def _lstm(self, x, p, h, c):
        a = dict(zip("ifgo", np.split(x @ p["W"] + h @ p["R"] + p["b"], 4, -1)))
        i, f, g, o = (self._gate(n, (np.tanh if n == "g" else sigmoid)(a[n]), a[n]) for n in "ifgo")
        c = f * c + i * g
        return [o * np.tanh(c), c]

    def _gru(self, x, p, h, *_):
        (xr, xz, xn), (Rr, Rz, Rn) = np.split(x @ p["W"] + p["b"], 3, -1), np.split(p["R"], 3, -1)
        br, bz, bn = np.split(p.get("bR", np.zeros(3 * h.shape[-1])), 3)
        r, z = (self._gate(n, sigmoid(a), a) for n, a in (("r", xr + h @ Rr + br), ("z", xz + h @ Rz + bz)))
        an = xn + (r * (h @ Rn + bn) if self.reset == "after" else (r * h) @ Rn + bn)
        n = self._gate("n", np.tanh(an), an)
        return [(1 - z) * n + z * h]


def add_from(step, gates, change=lambda value, argument: value + 0.1):
    """A fault of some gates from a step on."""
    return lambda gate, t, value, a: change(value, a) if gate in gates and t >= step else value
