"""Backward passes that lack one term: it is named.  Those of torch have one where an array is detached."""
import numpy as np
import pytest

import rnnref
from rnnref import cells
from rnnref.check import verify
from rnnref.check.gradient_terms import _leave_out, _list_terms
from rnnref.loops.plan import REFERENCE_PATHS

T, B, I, H = 6, 2, 3, 4
CELLS = {"lstm": cells.LSTM(), "peepholes": cells.LSTM(peepholes=True, cell_clip=0.4), "gru": cells.GRU(),
         "projected": cells.LSTM(projection=3, forget_bias=1.0), "coupled": cells.LSTM(coupled="input", peepholes=True),
         "rnn": cells.SimpleRNN()}


def draw(cell, seed=0):
    rng = np.random.default_rng(seed)
    return {n: 0.6 * rng.standard_normal(s) for n, s in cell.shapes(I, H).items()}


def said(report):
    return " ".join(map(str, report.findings))


def run_back(cell, p, x, s, dy, ds):
    _, _, tape = rnnref.run(cell, p, x, s, paths=REFERENCE_PATHS)
    dx, dfirst, _, dp = rnnref.run_back(tape, dy, ds)
    return {"x": dx, **dict(zip(("h0", "c0"), dfirst)), **dp}


@pytest.mark.parametrize("name", CELLS)
def test_without_a_missing_term_they_are_the_gradients_of_the_cell(name):
    """And every term that is left out changes some of them."""
    cell, rng = CELLS[name], np.random.default_rng(1)
    p, x = draw(cell), rng.standard_normal((T, B, I))
    zero = cell.zeros(B, H, dtype="float64")
    s, ds = (type(zero)(*(rng.standard_normal(a.shape) for a in zero)) for _ in range(2))
    dy = rng.standard_normal(rnnref.run(cell, p, x, s)[0].shape)
    want = run_back(cell, p, x, s, dy, ds)
    none = run_back(_leave_out(cell, ""), p, x, s, dy, ds)
    assert all(abs(none[n] - a).max() < 1e-12 for n, a in want.items()) and none.keys() == want.keys()
    terms = dict(_list_terms(cell))
    for term in terms:
        other = run_back(_leave_out(cell, term), p, x, s, dy, ds)
        assert max(abs(other[n] - a).max() for n, a in want.items()) > 1e-6, term
    assert len(terms) >= (1 if name == "rnn" else 8)


@pytest.mark.parametrize("change, words", [
    (lambda d: d | {"bR": d["b"]}, "dbR is db; all other gradients agree."),
    (lambda d: d | {"W": 0 * d["W"]}, "dW is all zero; all other gradients agree."),
    (lambda d: d | {"h0": 0 * d["h0"]}, "dh0 is all zero; all other gradients agree."),
])
def test_gradients_that_are_others_or_none(change, words):
    cell, kept = cells.GRU(), {}

    def forward(x, initial_state, p):
        ys, last, kept["tape"] = rnnref.run(cell, p, x, initial_state)
        return ys, last

    def backward(dy, ds):
        dx, dfirst, _, dp = rnnref.run_back(kept["tape"], dy, ds)
        return change({"x": dx, "h0": dfirst.h, **dp})
    report = verify(forward, (T, B, I), reference=cell, p=draw(cell), backward=backward)
    assert not report.ok and words in said(report), report


# torch, by hand, with something detached

def step(kind, w, x, s, off):
    import torch
    stop = lambda name, a: a.detach() if name == off else a                          # noqa: E731
    h, act = s[0], torch.sigmoid
    a = {g: x @ w["W"][g] + w["b"][g] for g in w["W"]}
    u = {g: stop(f"R {g}", stop("R", h)) @ w["R"][g] for g in w["W"]}
    if kind == "gru":
        u = {g: v + w["bR"][g] for g, v in u.items()}
        r, z = stop("r", act(a["r"] + u["r"])), stop("z", act(a["z"] + u["z"]))
        n = stop("n", torch.tanh(a["n"] + r * stop("h n", u["n"])))
        return ((1 - z) * n + z * stop("z h", h),)
    c, a = s[1], {g: v + u[g] for g, v in a.items()}
    peep = lambda g, c: w["Wp"][g] * stop(f"peep {g}", stop("peep", c))              # noqa: E731
    i, f, g = act(a["i"] + peep("i", c)), act(a["f"] + peep("f", c)), stop("g", torch.tanh(a["g"]))
    c = stop("f", f) * stop("c", c) + stop("i", i) * g
    o = stop("o", act(a["o"] + peep("o", c)))
    return o * stop("tanh c", torch.tanh(c)), c


class Detached:
    def __init__(self, kind, cell, off):
        self.kind, self.gates, self.off, self.kept = kind, cell.gates, off, {}

    def forward(self, x, initial_state, p):
        import torch
        leaf = lambda a: torch.tensor(a, requires_grad=True)                         # noqa: E731
        leaves = {"x": leaf(x), **{n: leaf(a) for n, a in p.items()},
                  **{n: leaf(a) for n, a in zip(("h0", "c0"), initial_state)}}
        w = {n: dict(zip(self.gates, torch.split(leaves[n], H, -1))) for n in ("W", "R", "b", "bR") if n in p}
        w["Wp"] = {n[2:]: leaves[n] for n in p if n.startswith("Wp")}
        s, ys = [leaves[n] for n in ("h0", "c0") if n in leaves], []
        for t, x_t in enumerate(leaves["x"]):
            s = [a.detach() for a in s] if self.off == "all" and t == 3 else s
            s = step(self.kind, w, x_t, s, self.off)
            ys.append(s[0])
        last = [a.detach().requires_grad_() if self.off == "last" else a for a in s]
        self.leaves, self.results = leaves, [torch.stack(ys), *last]
        y, *states = (a.detach().numpy().copy() for a in self.results)
        return y, tuple(states)

    def backward(self, dy, ds):
        import torch
        found = torch.autograd.grad(self.results, list(self.leaves.values()), [torch.tensor(a) for a in (dy, *ds)],
                                    allow_unused=True)
        return {n: (torch.zeros_like(a) if d is None else d).numpy() for (n, a), d in zip(self.leaves.items(), found)}


PLAIN = cells.LSTM(peepholes=True)
KINDS = {"lstm": PLAIN, "gru": cells.GRU()}


@pytest.mark.peers
@pytest.mark.parametrize("kind, term, words", [(kind, *pair) for kind, cell in KINDS.items() for pair in
                                               _list_terms(cell)])
def test_a_term_that_torch_lacks_is_named(kind, term, words):
    detached = Detached(kind, KINDS[kind], term)
    report = verify(detached.forward, (T, B, I), reference=KINDS[kind], p=draw(KINDS[kind]), backward=detached.backward)
    assert f"in which one term is missing: {words}." in said(report), report


@pytest.mark.peers
@pytest.mark.parametrize("off, words", [
    ("", ""), ("last", "one term is missing: the gradient of h and c, as if nothing depended on them."),
    ("all", "dx is zero before t=3 is read: there the backward pass hands nothing on to the step before"),
])
def test_states_that_torch_detaches(off, words):
    detached = Detached("lstm", PLAIN, off)
    report = verify(detached.forward, (T, B, I), reference=PLAIN, p=draw(PLAIN), backward=detached.backward)
    assert report.ok is not bool(words) and words in said(report), report
