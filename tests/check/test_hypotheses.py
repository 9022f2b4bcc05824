"""Planted kinds of wrong engines: none passes, and a sentence of the report names the kind."""
import re

import numpy as np
import pytest

import rnnref
from rnnref import cells
from rnnref.check import verify

T, B, I, H = 8, 4, 3, 5
LENGTHS = np.array([3, 8, 1, 5])
CELLS = {"lstm": cells.LSTM(), "gru": cells.GRU(), "before": cells.GRU(reset="before"), "rnn": cells.SimpleRNN()}
P = {name: {n: (0.6 * np.random.default_rng(3).standard_normal(s)).astype("float32")
            for n, s in cell.shapes(I, H).items()} for name, cell in CELLS.items()}


def run(name, x, p=None, s=None, **how):
    ys, last, _ = rnnref.run(CELLS[name], P[name] if p is None else p, x, s, paths=("plain", "bidirectional"), **how)
    return ys, last


def check(name, function, **options):
    return verify(function, (T, B, I), reference=CELLS[name], p=P[name], **options)


def said(report):
    return " ".join(map(str, report.findings))


# what a function does with states, lengths, rows and axes: (cell, function, options, words of a sentence)

def of_result(name, change):
    def theirs(x, initial_state=None, lengths=None, p=None):
        return change(*run(name, x, p, initial_state, lengths=lengths), lengths)
    return theirs


def of_call(name, change):
    def theirs(x, initial_state=None, lengths=None, p=None):
        x, s, lengths = change(x, initial_state, lengths)
        return run(name, x, p, s, lengths=lengths)
    return theirs


def rows(a, order):
    return np.ascontiguousarray(a[..., order, :])


def unsorted(ys, s, lengths):
    return ys, tuple(rows(a, np.argsort(-lengths, kind="stable")) for a in s)


def at_the_end(name):
    def theirs(x, initial_state=None, lengths=None, p=None):
        ys, _ = run(name, x, p, initial_state, lengths=lengths)
        return ys, run(name, x, p, initial_state)[1]
    return theirs


def batch_first(name):
    def theirs(x):
        return run(name, np.ascontiguousarray(x.swapaxes(0, 1)))[0].swapaxes(0, 1)
    return theirs


def rounded(name, dtype):
    def cast(a):
        if dtype != "bfloat16":
            return a.astype(dtype).astype(a.dtype)
        return ((a.view("uint32") + 0x8000) & 0xffff0000).view("float32")

    def theirs(x, initial_state=None, p=None):
        s = None if initial_state is None else type(initial_state)(*map(cast, initial_state))
        return run(name, cast(x), {n: cast(a) for n, a in p.items()}, s)
    return theirs


EXPLAINED = {
    "last states exchanged": ("lstm", of_result("lstm", lambda ys, s, n: (ys, (s.c, s.h))), {},
                              "h and c are exchanged"),
    "last states exchanged, with lengths": (
        "lstm", of_result("lstm", lambda ys, s, n: (ys, (s.c, s.h))), {"lengths": LENGTHS}, "h and c are exchanged"),
    "initial states exchanged": ("lstm", of_call("lstm", lambda x, s, n: (x, s and type(s)(s.c, s.h), n)), {},
                                 "h0 and c0 are exchanged"),
    **{f"initial state ignored, {name}": (name, of_call(name, lambda x, s, n: (x, None, n)), {},
                                          "does not use the initial states") for name in CELLS},
    **{f"states past the lengths, {name}": (name, at_the_end(name), {"lengths": LENGTHS},
                                            f"those after step {T}.*past the lengths") for name in CELLS},
    **{f"lengths ignored, {name}": (name, of_call(name, lambda x, s, n: (x, s, None)), {"lengths": LENGTHS},
                                    "does not use lengths") for name in CELLS},
    **{f"rows of all exchanged, {name}": (
        name, of_result(name, lambda ys, s, n: (rows(ys, [2, 0, 3, 1]), tuple(rows(a, [2, 0, 3, 1]) for a in s))), {},
        "are rows 2, 0, 3, 1 of the reference") for name in ("lstm", "gru")},
    "rows of the states exchanged": ("gru", of_result("gru", lambda ys, s, n: (ys, (rows(s.h, [1, 0, 2, 3]),))), {},
                                     "the rows of h are rows 1, 0, 2, 3"),
    **{f"states in the order of lengths, {name}": (name, of_result(name, unsorted), {"lengths": LENGTHS},
                                                   "are rows 1, 3, 0, 2, the order of falling lengths")
       for name in ("lstm", "gru")},
    **{f"batch first, {name}": (name, batch_first(name), {}, r"\[batch, time, input\].*axes of time and batch")
       for name in CELLS},
    "outputs batch first": ("gru", of_result("gru", lambda ys, s, n: (ys.swapaxes(0, 1), s)), {},
                            "axes of time and batch of y are exchanged"),
    **{f"{dtype} inside, {name}": (name, rounded(name, dtype), {}, words)
       for name in ("lstm", "gru", "rnn")
       for dtype, words in (("float16", r"lower precision.*float16 or tf32 \(11 bits\)"),
                            ("bfloat16", r"lower precision.*bfloat16 \(8 bits\)"))},
}


@pytest.mark.parametrize("kind", EXPLAINED)
def test_planted_kinds_are_named(kind):
    name, function, options, words = EXPLAINED[kind]
    report = check(name, function, **options)
    assert not report.ok and re.search(words, said(report)), report
    assert not re.search("check the (gates|output gate)", said(report)), report


def test_float32_inside_a_candidate_of_float64():
    p = {n: a.astype("float64") for n, a in P["gru"].items()}

    def theirs(x, p):
        ys, s = run("gru", x.astype("float32"), {n: a.astype("float32") for n, a in p.items()})
        return ys.astype("float64"), (s.h.astype("float64"),)
    report = verify(theirs, (T, B, I), reference=CELLS["gru"], p=p)
    assert "rounded to about float32 (24 bits)" in said(report)


def test_a_sentence_needs_fresh_draws():
    """Right or wrong by luck on the given numbers: rows that are equal, states that are zero."""
    x = np.repeat(np.random.default_rng(0).standard_normal((T, 1, I)), B, 1).astype("float32")

    def first_row_everywhere(x, p):
        ys, s = run("gru", x, p)
        return ys + (ys[:, :1] - ys), (s.h + np.float32(0.5),)
    report = verify(first_row_everywhere, x, reference=CELLS["gru"], p=P["gru"])
    assert not report.ok and "agrees if" not in said(report) and "Agrees to" not in said(report)


# wrong backward passes, from the equations: "none" is right

def sigmoid(a):
    return 1 / (1 + np.exp(-a))


class Lstm:
    """An LSTM by hand, forward and backward, with one fault in the backward pass."""
    factors = {"i": ("1 - i", "i"), "f": ("1 - f", "f"), "o": ("1 - o", "o"), "g": ("1 - g^2",)}

    def __init__(self, fault=""):
        self.fault, self.kept, self.p = fault, [], None

    def forward(self, x, initial_state, p):
        (h, c), ys, self.kept, self.p = initial_state, [], [], p
        for x_t in x:
            i, f, g, o = np.split(x_t @ p["W"] + p["b"] + h @ p["R"], 4, -1)
            i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
            new = f * c + i * g
            self.kept.append((x_t, h, c, i, f, g, o, np.tanh(new)))
            h, c = o * np.tanh(new), new
            ys.append(h)
        return np.stack(ys), (h, c)

    def slope(self, gate, a):
        parts = [1 - a * a] if gate == "g" else [a, 1 - a]
        names = ["1 - g^2"] if gate == "g" else [gate, f"1 - {gate}"]
        return np.prod([part for part, name in zip(parts, names) if name != self.fault] or [np.ones_like(a)], 0)

    def backward(self, dy, dstate):
        p, dx, (dh, dc) = self.p, [], dstate
        dp = {n: np.zeros_like(a) for n, a in p.items()}
        for (x_t, h, c, i, f, g, o, tc), d in zip(self.kept[::-1], dy[::-1]):
            d, dc = d + dh, dc + (d + dh) * o * (1 - tc ** 2)
            da = np.concatenate([dc * g * self.slope("i", i), dc * c * self.slope("f", f), dc * i * self.slope("g", g),
                                 d * tc * self.slope("o", o)], -1)
            dp = {"W": dp["W"] + x_t.T @ da, "R": dp["R"] + h.T @ da, "b": dp["b"] + da.sum(0)}
            dx.append(da @ p["W"].T)
            dh = np.zeros_like(dh) if self.fault in ("dh", "both") else da @ p["R"].T
            dc = np.zeros_like(dc) if self.fault in ("dc", "both") else dc * f
        return {"x": np.stack(dx[::-1]), "h0": dh, "c0": dc, **dp}


def check_lstm(fault, size=(6, 2, 3)):
    p = rnnref.init.parameters(CELLS["lstm"], I, 4, np.random.default_rng(0), dtype="float64")
    lstm = Lstm(fault)
    return verify(lstm.forward, size, reference=CELLS["lstm"], p=p, backward=lstm.backward)


def test_a_right_backward_pass_by_hand_agrees():
    assert check_lstm("").ok


@pytest.mark.parametrize("gate, factor", [(g, factor) for g, factors in Lstm.factors.items() for factor in factors])
def test_a_missing_factor_of_a_gate_is_named(gate, factor):
    report = check_lstm(factor)
    assert not report.ok and f"only in gate {gate}: " in said(report), report
    assert f"the factor {factor} is missing there" in said(report), report


def test_a_lost_carry_is_named():
    report = check_lstm("both")
    assert "hands nothing on from a step to the step before" in said(report), report


@pytest.mark.parametrize("fault, words", [("dh", "what a step hands to the h before it through R."),
                                          ("dc", "what c hands to the c before it, dc f.")])
def test_half_a_lost_carry_is_named(fault, words):
    report = check_lstm(fault)
    assert not report.ok and f"in which one term is missing: {words}" in said(report), report


def test_a_lost_carry_of_a_simple_rnn_and_a_wrong_slope_of_a_gru():
    cell, p = CELLS["rnn"], {n: a.astype("float64") for n, a in P["rnn"].items()}
    kept = {}

    def forward(x, initial_state, p):
        ys, last, _ = rnnref.run(cell, p, x, initial_state)
        kept.update(x=x, p=p, before=np.concatenate([initial_state.h[None], ys[:-1]]), ys=ys)
        return ys, last

    def backward(dy, ds):
        p, dy = kept["p"], dy.copy()
        dy[-1] += ds.h
        da = dy * (1 - kept["ys"] ** 2)           # wrong: nothing comes from later steps
        return {"x": da @ p["W"].T, "h0": da[0] @ p["R"].T, "b": da.sum((0, 1)),
                "W": np.einsum("tbi,tbh->ih", kept["x"], da), "R": np.einsum("tbi,tbh->ih", kept["before"], da)}
    report = verify(forward, (T, B, I), reference=cell, p=p, backward=backward)
    assert "hands nothing on from a step to the step before" in said(report), report


# wrong weights and equations: none passes, and the sentence says where it begins

def blocks(name, order):
    def theirs(x, initial_state=None, lengths=None, p=None):
        exchanged = {n: np.concatenate([np.split(a, len(order), -1)[k] for k in order], -1) for n, a in p.items()}
        return run(name, x, exchanged, initial_state, lengths=lengths)
    return theirs


def weight(name, **change):
    def theirs(x, initial_state=None, lengths=None, p=None):
        return run(name, x, p | {n: f(p[n]) for n, f in change.items()}, initial_state, lengths=lengths)
    return theirs


def late(ys, s, lengths):
    return np.concatenate([ys[:5], np.float32(1.01) * ys[5:]]), s


CAUSES = {
    "gates exchanged, lstm": ("lstm", blocks("lstm", (1, 0, 2, 3)), "once the gate blocks are read as f i g o"),
    "gates rotated, lstm": ("lstm", blocks("lstm", (3, 0, 1, 2)), "once the gate blocks are read as f g o i"),
    "gates exchanged, gru": ("gru", blocks("gru", (1, 0, 2)), "once the gate blocks are read as z r n (Keras, ONNX)"),
    "R transposed": ("rnn", weight("rnn", R=lambda a: a.T), "once R is transposed in each gate block"),
    "no bias": ("lstm", weight("lstm", b=np.zeros_like), "once the bias is left out"),
    "a forget bias": ("lstm", weight("lstm", b=lambda a: a + (np.arange(a.size) // H == 1).astype(a.dtype)),
                      "once 1 is added to the forget gate"),
    "another forget bias": ("lstm", weight("lstm", b=lambda a: a - np.float32(0.7) * (np.arange(a.size) // H == 1)),
                            "once 0.7 is subtracted from the forget gate"),
    "the output gate": ("lstm", weight("lstm", b=lambda a: a + (np.arange(a.size) // H == 3).astype(a.dtype)),
                        "once 1 is added to the output gate"),
    "no recurrent bias": ("gru", weight("gru", bR=np.zeros_like), "once bR, the recurrent bias, is left out"),
    "the other reset": ("before", lambda x, initial_state=None, p=None: rnnref.run(
        CELLS["gru"], p | {"bR": np.zeros_like(p["b"])}, x, initial_state)[:2], "once the reset gate acts after"),
    "reversed in time": ("rnn", of_call("rnn", lambda x, s, n: (x[::-1].copy(), s, n)), "once x is flipped in time"),
}


@pytest.mark.parametrize("kind", CAUSES)
def test_the_cause_is_named(kind):
    name, function, words = CAUSES[kind]
    report = check(name, function)
    assert not report.ok and words in said(report), report
    assert "Agrees to" in report.findings[0] and " in outputs and states once " in report.findings[0]


LOCATED = {
    "W halved": ("gru", weight("gru", W=lambda a: a / 2), "On the first step alone"),
    "one weight": ("gru", weight("gru", R=lambda a: a + np.float32(1e-4) * (np.arange(a.size).reshape(a.shape) == 7)),
                   "First divergence"),
    "one gate scaled": ("lstm", weight("lstm", W=lambda a: a * np.float32(1.5) ** (np.arange(a.shape[1]) // H == 1)),
                        "check the gates i, f and g"),
    "the output gate scaled": ("lstm", weight("lstm", W=lambda a: a * np.float32(1.5) ** (
        np.arange(a.shape[1]) // H == 3)), "check the output gate"),
    "scaled outputs": ("rnn", of_result("rnn", lambda ys, s, n: (np.float32(1.0001) * ys, s)), "First divergence"),
    "late": ("rnn", of_result("rnn", late), "On the first 5 steps alone, all results agree"),
    "one entry is NaN": ("gru", of_result("gru", lambda ys, s, n: (np.where(np.arange(H) == 2, np.nan, ys).astype(
        "float32"), s)), "unit 2: nan, expected"),
}


@pytest.mark.parametrize("kind", LOCATED)
def test_planted_faults_are_located(kind):
    name, function, words = LOCATED[kind]
    report = check(name, function)
    assert not report.ok and words in said(report), report
    assert "Agrees to" not in said(report) and "agrees if" not in said(report), report
