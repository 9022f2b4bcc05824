"""Why a candidate differs: mistakes in conventions are named, alone and in pairs, and none is that is not one."""
import os

import numpy as np
import pytest

import rnnref
from rnnref import cells
from rnnref.check import verify
from rnnref.check.equations import frameworks_of, read_equations
from rnnref.check.mistakes import list_mistakes
from rnnref.check.placed_mistakes import Cause, Place
from rnnref.check.trace import Recorded, Trace
from tests.support.convention_mistakes import draw_mistake, is_named

CELLS = {"lstm": cells.LSTM(forget_bias=1.0), "peepholes": cells.LSTM(peepholes=True, projection=4, cell_clip=0.5),
         "coupled": cells.LSTM(coupled="input"), "gru": cells.GRU(), "before": cells.GRU(reset="before"),
         "rnn": cells.SimpleRNN(recurrent_bias=True)}


def draw(cell, n_in=3, units=5, seed=0, dtype="float64"):
    rng = np.random.default_rng(seed)
    p = {n: (0.6 * rng.standard_normal(s)).astype(dtype) for n, s in cell.shapes(n_in, units).items()}
    s = cell.rule.State(*((0.5 * rng.standard_normal(a.shape)).astype(dtype) for a in cell.zeros(4, units)))
    return p, rng.standard_normal((6, 4, n_in)).astype(dtype), s


# drawn mistakes, of which `make exam` has 200

@pytest.mark.parametrize("seed", range(1000, 1020))
def test_drawn_mistakes_in_onnxruntime_are_named(seed):
    function, cell, p, shape, words = draw_mistake("onnxruntime", seed)
    report = verify(function, shape, reference=cell, p=p)
    assert is_named(report, words), (words, report)


@pytest.mark.peers
@pytest.mark.parametrize("engine", ["torch", "keras", "flax"])
@pytest.mark.parametrize("seed", range(1000, 1007))
def test_drawn_mistakes_in_peers_are_named(engine, seed):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    function, cell, p, shape, words = draw_mistake(engine, seed)
    report = verify(function, shape, reference=cell, p=p)
    assert is_named(report, words), (words, report)


# the table

@pytest.mark.parametrize("name", CELLS)
def test_a_few_steps_show_what_the_reference_computes_with_a_mistake(name):
    """`Trace` takes shortcuts: recorded outputs as states, a few units.  `run` takes none."""
    cell = CELLS[name]
    p, x, s = draw(cell)
    equations = read_equations(cell, p)
    assert equations.make_cell()[0] == cell
    tried = 0
    for mistake in list_mistakes(equations):
        wrong = mistake.weights(equations) if not mistake.constant else mistake.constant(equations, 0.3)
        other, q = wrong.make_cell()
        ys, _, _ = rnnref.run(other, q, x, s)
        trace = Trace(Recorded(x, ys, s.h, getattr(s, "c", None)), units=3)
        assert trace.error(wrong) < 1e-12, mistake.words
        assert trace.error(equations) > 1e-4, mistake.words
        tried += 1
    assert tried > 10


def test_gate_orders_are_those_of_the_frameworks():
    assert frameworks_of("lstm", "igfo").startswith("TF 1") and "ONNX" in frameworks_of("lstm", "iofg")
    assert {"Keras", "ONNX"} <= set(frameworks_of("gru", "zrn").split(", "))
    assert frameworks_of("gru", "nzr") == "" and "ONNX" in frameworks_of("lstm", "iof", "Wp")


# what one sentence says

def ported(cell, change, p):
    def port(x, initial_state=None):
        return rnnref.run(cell, change(p), x, initial_state)[:2]
    return port


def exchange(p):
    """r and z of a GRU exchanged."""
    blocks = {n: np.split(a, 3, -1) for n, a in p.items()}
    return {n: np.concatenate([z, r, c], -1) for n, (r, z, c) in blocks.items()}


def test_the_sentence_has_numbers_and_the_next_best():
    p, x, _ = draw(CELLS["gru"], dtype="float32")
    report = verify(ported(CELLS["gru"], exchange, p), x, reference=CELLS["gru"], p=p)
    said = report.findings[0]
    assert said.startswith("Agrees to ") and "once the gate blocks are read as z r n (Keras" in said
    assert "The next best, that " in said and " is off by 0." in said and "00 times as much." in said
    error = float(said.split()[2])
    assert error < 1e-6


def test_zero_biases_that_hide_the_cause():
    """With b = 0 there are two causes: both are named, and what tells them apart."""
    cell = CELLS["gru"]
    p, x, _ = draw(cell, dtype="float32")
    p["b"] = np.zeros_like(p["b"])
    none = {n: np.zeros_like(a) if n == "bR" else a for n, a in p.items()}
    report = verify(ported(cell, lambda p: none, p), x, reference=cell, p=p, perturb_biases=False)
    said = report.findings[0]
    assert "bR, the recurrent bias, is left out; or once b takes the place of bR too" in said, report
    assert "These numbers do not tell which: check again with random numbers for all biases." in said


def test_symmetric_weights_do_not_show_a_transposition():
    cell = CELLS["rnn"]
    p, x, _ = draw(cell, dtype="float32")
    p["R"] = p["R"] + p["R"].T
    report = verify(ported(cell, lambda p: p | {"R": np.ascontiguousarray(p["R"].T)}, p), x, reference=cell, p=p)
    assert report.ok


def test_gradients_under_the_cause():
    """r and z exchanged in both passes; then the backward pass is wrong beside that."""
    cell, p64, seen = CELLS["gru"], draw(CELLS["gru"])[0], {}

    def forward(x, initial_state, p):
        ys, last, seen["tape"] = rnnref.run(cell, exchange(p), x, initial_state)
        return ys, last

    def backward(dy, dstate, factor=1.0):
        dx, ds, _, dp = rnnref.run_back(seen["tape"], dy, dstate)
        return {"x": dx, "h0": ds.h, **{n: factor * a for n, a in exchange(dp).items()}}
    right = verify(forward, (6, 3, 3), reference=cell, p=p64, backward=backward)
    assert "in outputs, states and gradients once the gate blocks are read as z r n" in right.findings[0]
    wrong = verify(forward, (6, 3, 3), reference=cell, p=p64, backward=lambda dy, ds: backward(dy, ds, 2.0))
    assert "in outputs and states once the gate blocks are read as z r n" in wrong.findings[0]
    assert "The gradients of W and b and R and bR are wrong beside that" in wrong.findings[1], wrong


def test_one_direction_of_two():
    from rnnref.wrappers import Bidirectional
    cell = Bidirectional((CELLS["gru"], CELLS["gru"]))
    p = tuple(draw(CELLS["gru"], seed=k, dtype="float32")[0] for k in range(2))

    def port(x, initial_state=None):
        return rnnref.run(cell, (p[0], exchange(p[1])), x, initial_state)[:2]
    report = verify(port, (6, 4, 3), reference=cell, p=p)
    assert "once in the backward direction the gate blocks are read as z r n" in report.findings[0], report


def test_directions_of_two():
    from rnnref.wrappers import Bidirectional
    cell = Bidirectional((CELLS["gru"], CELLS["gru"]))
    p = tuple(draw(CELLS["gru"], seed=k, dtype="float32")[0] for k in range(2))

    def check(change):
        def port(x, initial_state=None):
            return change(x, *rnnref.run(cell, p, x, initial_state)[:2], initial_state)
        return verify(port, (6, 4, 3), reference=cell, p=p).findings[0]
    assert "the outputs of the backward direction are flipped in time" in check(
        lambda x, ys, s, s0: ((ys[0], ys[1][::-1].copy()), s))
    assert "the two directions are exchanged" in check(lambda x, ys, s, s0: (ys[::-1], s[::-1]))
    assert "the backward direction reads forwards" in check(lambda x, ys, s, s0: tuple(zip(*(
        rnnref.run(CELLS["gru"], q, x, None if s0 is None else s0[k])[:2] for k, q in enumerate(p)))))
    assert "the last state of the backward direction is the one after its first step" in check(
        lambda x, ys, s, s0: (ys, (s[0], s[1]._replace(h=ys[1][-1].copy()))))


def test_padding_policies():
    cell, lengths = CELLS["lstm"], np.array([6, 2, 4, 1])
    p, x, _ = draw(cell, dtype="float32")

    def check(padding):
        def port(x, initial_state=None, lengths=None):
            return rnnref.run(cell, p, x, initial_state, lengths=lengths, padding=padding)[:2]
        return verify(port, x, reference=cell, p=p, lengths=lengths).findings[0]
    assert "once the outputs in the padding repeat the last valid output" in check("repeat")
    assert "once the outputs in the padding go on after the last valid step" in check("free")


def test_outputs_of_the_step_before():
    p, x, _ = draw(CELLS["gru"], dtype="float32")

    def port(x, initial_state=None):
        ys, last, _ = rnnref.run(CELLS["gru"], p, x, initial_state)
        first = np.zeros_like(ys[:1]) if initial_state is None else initial_state.h[None]
        return np.concatenate([first, ys[:-1]]), last
    assert "once the outputs are those of the step before" in verify(
        port, x, reference=CELLS["gru"], p=p).findings[0]


def test_a_cause_of_two_is_one_sentence():
    causes = list_mistakes(read_equations(CELLS["lstm"], draw(CELLS["lstm"])[0]))
    assert Cause(tuple(causes[:2])).words == f"{causes[0].words} and {causes[1].words}"
    place = Place((1,), "in the backward direction ")
    assert Cause(tuple(causes[:1]), (), (place,)).words.startswith("in the backward direction ")


# where nothing fits: what is still right, and which gate could differ

def scale_block(name, gate, gates):
    def change(p):
        blocks = zip(gates, np.split(p[name], len(gates), -1))
        return p | {name: np.concatenate([a * np.float32(1.5 if g == gate else 1) for g, a in blocks], -1)}
    return change


@pytest.mark.parametrize("kind, name, gate, words", [
    ("gru", "W", "r", ["With x of zero the first step agrees: R and the biases are right, check W."]),
    ("gru", "W", "n", ["With x of zero", "gate n (or r, which acts through it) alone would explain all steps; first"]),
    ("gru", "R", "z", ["With h of zero the first step agrees: W and the biases are right, check R."]),
    ("lstm", "R", "f", ["With h of zero", "With c of zero the first step agrees: the gates i, g and o are right"]),
    ("lstm", "R", "o", ["A mistake in gate o alone would explain all steps; first at t=0, "]),
    ("lstm", "W", "g", ["gate g (or i, which multiplies it) alone would explain all steps; first"]),
])
def test_what_is_still_right(kind, name, gate, words):
    cell = CELLS[kind]
    p, x, _ = draw(cell, dtype="float32")
    report = verify(ported(cell, scale_block(name, gate, cell.gates), p), x, reference=cell, p=p)
    said = " ".join(map(str, report.findings))
    assert all(w in said for w in words) and "Agrees to" not in said, report


def test_a_random_candidate_is_said_to_be():
    p, x, _ = draw(CELLS["gru"], dtype="float32")
    rng = np.random.default_rng(0)

    def drops(x, initial_state=None):
        ys, last, _ = rnnref.run(CELLS["gru"], p, x, initial_state)
        return ys * (rng.random(ys.shape) > 0.5) * np.float32(2), last
    report = verify(drops, x, reference=CELLS["gru"], p=p)
    assert "random, such as with dropout left on" in " ".join(map(str, report.findings))


# gradients in another form

@pytest.mark.parametrize("change, words", [
    (lambda d: {n: a / 3 if n != "x" else a for n, a in d.items()},
     "once multiplied by 3, the number of rows: a mean over them is taken, not the sum"),
    (lambda d: {n: -a for n, a in d.items()}, "once multiplied by -1, their sign is the other one"),
    (lambda d: d | {n: exchange({n: d[n]})[n] for n in ("W", "R", "b", "bR")},
     "once the gate blocks of the gradients are read as z r n, where they are r z n"),
])
def test_gradients_in_another_form(change, words):
    cell, p, seen = CELLS["gru"], draw(CELLS["gru"])[0], {}

    def forward(x, initial_state, p):
        ys, last, seen["tape"] = rnnref.run(cell, p, x, initial_state)
        return ys, last

    def backward(dy, dstate):
        dx, ds, _, dp = rnnref.run_back(seen["tape"], dy, dstate)
        return change({"x": dx, "h0": ds.h, **dp})
    report = verify(forward, (6, 3, 3), reference=cell, p=p, backward=backward)
    assert not report.ok and words in " ".join(map(str, report.findings)), report


# layer normalisation

NORMED = {"summed": cells.LayerNormLSTM(), "separate": cells.LayerNormLSTM(separate=True, epsilon=1e-3),
          "rnn": cells.LayerNormSimpleRNN()}


@pytest.mark.parametrize("name, other, words", [
    ("summed", cells.LayerNormLSTM(epsilon=1e-3), "epsilon of the layer normalisation is 0.001, not 1e-05"),
    ("rnn", cells.LayerNormSimpleRNN(epsilon=1e-3), "epsilon of the layer normalisation is 0.001, not 1e-05"),
    ("separate", cells.LayerNormLSTM(separate=True, joint=True, epsilon=1e-3), "all gate blocks are normalised"),
    ("summed", "gain", "gain is left out"),
    ("summed", "c", "c is not normalised"),
])
def test_layer_normalisation(name, other, words):
    cell = NORMED[name]
    p, x, _ = draw(cell, dtype="float32")

    def port(x, initial_state=None):
        if other == "gain":
            return rnnref.run(cell, p | {"gain": np.ones_like(p["gain"])}, x, initial_state)[:2]
        if other == "c":
            return run_without_norm_of_c(p, x, initial_state)
        return rnnref.run(other, p, x, initial_state)[:2]
    report = verify(port, x, reference=cell, p=p)
    assert f"once {words}" in report.findings[0], report


def run_without_norm_of_c(p, x, s):
    """The equations of LayerNormLSTM by hand, with c as it is."""
    h, c = (np.zeros((x.shape[1], 5), "float32"),) * 2 if s is None else s
    ys = []
    for x_t in x:
        blocks = np.split(x_t @ p["W"] + h @ p["R"], 4, -1)
        normed = [(a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + 1e-5) for a in blocks]
        i, f, g, o = np.split(np.concatenate(normed, -1) * p["gain"] + p["shift"], 4, -1)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        ys.append(h)
    return np.stack(ys).astype("float32"), (h.astype("float32"), c.astype("float32"))


def test_rows_of_length_zero_are_told_apart():
    """A state that is taken one step before the first one, and outputs in the padding that are the last state."""
    cell = CELLS["lstm"]
    p, x, start = draw(cell)

    def wrap(states, padding):
        def lstm(x, initial_state, lengths, p):
            ys, last, _ = rnnref.run(cell, p, x, initial_state, lengths=lengths)
            if states:
                _, end, _ = rnnref.run(cell, p, x, initial_state)
                last = type(last)(*(np.where((lengths == 0)[:, None], a, b) for a, b in zip(end, last)))
            if padding:
                h = initial_state[0]
                for b, n in enumerate(lengths):
                    ys[n:, b] = ys[n - 1, b] if n else h[b]
            return ys, last
        return lstm
    for states, padding, once in (
            (True, False, "the last states of a row of length 0 are those after step 6"),
            (False, True, "the outputs in the padding are the last h, of a row of length 0 the initial one")):
        report = verify(wrap(states, padding), x, lengths=[6, 0, 4, 2], initial_state=start, reference=cell, p=p)
        assert any(f"once {once}" in finding for finding in report.findings), report
