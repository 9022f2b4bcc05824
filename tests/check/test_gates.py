"""The error of every gate over time, beside what candidates that record their own gates have computed."""
import re

import numpy as np
import pytest

import rnnref
from rnnref import cells
from rnnref.check import verify
from tests.support.gate_faults import ORDER, Faulty, add_from, sigmoid
from tests.support.planted_engines import ignoring

T, B, I, U = 12, 3, 3, 8
CELLS = {("lstm", "after"): cells.LSTM(), ("gru", "after"): cells.GRU(), ("gru", "before"): cells.GRU(reset="before")}
GATES = [(*key, gate) for key in CELLS for gate in ORDER[key[0]]]


def draw(cell, scale=0.6):
    rng = np.random.default_rng(0)
    return {n: (scale * rng.standard_normal(s)).astype("float32") for n, s in cell.shapes(I, U).items()}


def check(fault, family="lstm", reset="after", states=True, shape=(T, B, I), **options):
    """The report on a faulty function, and the function as it was called with the numbers of the report."""
    cell, function = CELLS[family, reset], Faulty(family, fault, states, reset)
    p = draw(cell)
    report = verify(wrap(function), shape, reference=cell, p=p, **options)
    held = report.arrays
    first = None if "h0" not in held else (held["h0"], held["c0"]) if family == "lstm" else (held["h0"],)
    function(held["x"], {n: held[n] for n in p}, first, held.get("lengths"))
    return report, function


def wrap(function):
    """Without states that nothing sets, so that the second call does not hide the first."""
    if function.states:
        return lambda x, p, initial_state=None, lengths=None: function(x, p, initial_state, lengths)
    return lambda x, p: function(x, p)


def said(report):
    return " ".join(map(str, report.findings))


def rows_of(report):
    return {row.name.removeprefix("gate "): row for row in report.gates.rows}


def check_traces(report, function, wrong, tolerance=1e-3):
    """The rows of the wrong gates hold the errors that these gates had; the others hold none."""
    rows = rows_of(report)
    assert list(rows) == list(ORDER[function.family])
    for gate, row in rows.items():
        true = abs(function.wrong[gate])
        if gate not in wrong:
            assert row.verdict == "agrees" and not any(row.trace)
            continue
        for t, error in enumerate(row.trace):
            right = true[t].max() == 0
            assert error <= row.limits[t] if right else (abs(true[t] - error) <= tolerance).any(), (gate, t, error)
        t, b, u = map(int, re.match(r"t=(\d+), row (\d+), unit (\d+)", row.where).groups())
        assert row.verdict == "differs" and t == int(np.flatnonzero(true.any((1, 2)))[0])
        had, expected = map(float, row.note.split(", expected "))
        assert had - expected == pytest.approx(function.wrong[gate][t, b, u], abs=tolerance)


# with a cause that has a name

def test_a_wrong_forget_bias_is_an_error_of_gate_f_alone():
    report, function = check(add_from(0, "f", lambda value, a: sigmoid(a + 1)))
    assert "once 1 is added to the forget gate" in said(report)
    check_traces(report, function, "f", 1e-6)
    assert report.gates.first == "gate f" and "once 1 is added to the forget gate" in report.gates.caption


@pytest.mark.parametrize("reset", ["after", "before"])
def test_exchanged_gates_are_errors_of_both(reset):
    cell = CELLS["gru", reset]
    p, right = draw(cell), Faulty("gru", add_from(0, ""), reset=reset)

    def exchanged(x, p, initial_state=None):
        q = {n: np.concatenate([np.split(a, 3, -1)[k] for k in (1, 0, 2)], -1) for n, a in p.items()}
        return right(x, q, initial_state)
    report = verify(exchanged, (T, B, I), reference=cell, p=p)
    rows = rows_of(report)
    assert "once the gate blocks are read as z r n" in said(report)
    assert [rows[g].verdict for g in "rzn"] == ["differs", "differs", "agrees"]
    x, h = (report.arrays[n].astype(float) for n in ("x", "h0"))
    a = x[0] @ p["W"] + h @ p["R"] + p["b"] + p.get("bR", 0)
    r, z, _ = np.split(sigmoid(a), 3, -1)         # of the first step, whose state is known
    assert rows["r"].trace[0] == pytest.approx(abs(r - z).max(), abs=1e-6) == rows["z"].trace[0]
    assert not any(rows["n"].trace)


def test_one_direction_of_two():
    cell = cells.Bidirectional((cells.GRU(), cells.GRU()))
    p = [draw(cells.GRU()), draw(cells.GRU())]
    right = rnnref.run

    def backward_biases_missing(x, p, initial_state=None):
        q = (p[0], p[1] | {"b": 0 * p[1]["b"]})
        return right(cell, q, x, initial_state)[:2]
    report = verify(backward_biases_missing, (T, B, I), reference=cell, p=tuple(p))
    differ = [row for row in report.gates.rows if row.verdict == "differs"]
    assert len(report.gates.rows) == 6 and {row.name.split(", ")[0] for row in differ} == {"backward"}, report
    assert all(row.where.startswith(f"t={T - 1},") for row in differ)


@pytest.mark.peers
@pytest.mark.parametrize("two", [False, True])
def test_the_wrong_layer_of_several(two):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)

    class Shifted(torch.nn.LSTM):
        def forward(self, x, hx=None):
            name = f"bias_ih_l1{'_reverse' * two}"
            b = getattr(self, name)
            shift = torch.zeros_like(b)
            shift[U:2 * U] = 1                    # of the forget gate
            return torch.func.functional_call(plain, {**dict(self.named_parameters()), name: b + shift}, (x, hx))
    plain = torch.nn.LSTM(I, U, 2, bidirectional=two)
    report = verify(Shifted(I, U, 2, bidirectional=two), (T, B, I))
    label = "layer 1, backward, " if two else "layer 1, "
    differ = {row.name: row for row in report.gates.rows if row.verdict == "differs"}
    assert set(differ) == {f"{label}gate f"}, report
    assert len(report.gates.rows) == 4 and "1 is added to the forget gate" in report.gates.caption
    assert f">{label}gate f, t={T - 1 if two else 0}</text>" in report.to_html()


def test_a_node_of_onnx_whose_engine_leaves_out_an_attribute_or_a_bias():
    from onnx import helper
    rng = np.random.default_rng(0)
    shapes = {"X": (T, B, I), "W": (1, 3 * U, I), "R": (1, 3 * U, U), "B": (1, 6 * U)}
    arrays = {n: rng.standard_normal(s).astype("float32") for n, s in shapes.items()}
    node = helper.make_node("GRU", [*shapes], ["Y"], hidden_size=U, clip=0.5, linear_before_reset=1)
    report = verify(node, arrays, engine=ignoring("clip"))
    assert "once clip is ignored" in said(report) and "clip is ignored" in report.gates.caption
    rows = rows_of(report)
    a = arrays["X"][0] @ arrays["W"][0].T + arrays["B"][0].reshape(2, -1).sum(0)     # z r h, from a state of zero
    for gate, block in zip("zr", np.split(a.astype(float), 3, -1)):
        error = abs(sigmoid(block) - sigmoid(np.clip(block, -0.5, 0.5))).max()
        assert rows[gate].trace[0] == pytest.approx(error, abs=1e-6), gate

    node = helper.make_node("GRU", [*shapes], ["Y"], hidden_size=U, linear_before_reset=1)
    report = verify(node, arrays, engine=ignoring("B"))
    assert all(row.verdict == "differs" for row in report.gates.rows) and len(report.gates.rows) == 3, report


# with one gate, and no name

@pytest.mark.parametrize("states", [True, False])
@pytest.mark.parametrize("family, reset, gate", GATES)
def test_a_gate_that_is_wrong_from_step_3_on(family, reset, gate, states):
    report, function = check(add_from(3, gate), family, reset, states)
    check_traces(report, function, gate)
    assert f"A mistake in gate {gate} alone would explain all steps: 0.1 is added to it; first at t=3," in said(report)
    assert "Gates are not among the results" in report.gates.caption


@pytest.mark.parametrize("family, gate, change, words", [
    ("lstm", "f", lambda v, a: sigmoid(a + 1), "1 is added to it before its activation"),
    ("lstm", "o", lambda v, a: 0.9 * v, "it is multiplied by 0.9"),
    ("gru", "r", lambda v, a: sigmoid(a - 0.5), "0.5 is taken off it before its activation"),
    ("gru", "n", lambda v, a: np.tanh(a + 0.3), "0.3 is added to it before its activation"),
    ("gru", "z", lambda v, a: v * (1 - 0.5 * v), "")])
def test_what_a_gate_does_otherwise(family, gate, change, words):
    report, function = check(add_from(5, gate, change), family)
    check_traces(report, function, gate)
    start = f"A mistake in gate {gate} alone would explain all steps{': ' if words else ''}{words}; first at t=5, "
    assert start in said(report), report


def test_gates_that_these_numbers_do_not_tell_apart():
    report, function = check(add_from(2, "i", lambda value, a: 0.9 * value))
    rows = rows_of(report)
    words = "Gate i or g: a mistake in one of them alone would explain all steps, which f and o could not."
    assert words in said(report)
    assert [rows[g].verdict for g in "ifgo"] == ["differs", "agrees", "differs", "agrees"]
    for t in range(2, T):                         # how far i was off, and how far g would have to be
        assert (abs(abs(function.wrong["i"][t]) - rows["i"].trace[t]) < 1e-3).any()


def test_rows_past_the_first_ones_and_steps_past_the_ends_of_rows():
    lengths = np.full(20, 6)
    lengths[15] = T

    def late(gate, t, value, a):
        return value + 0.1 if gate == "o" and t >= 8 else value
    report, function = check(late, shape=(T, 20, I), lengths=lengths)
    row = rows_of(report)["o"]
    assert row.where.startswith("t=8, row 15, unit ") and report.gates.first == "gate o"
    assert row.trace[8:] == pytest.approx([0.1] * 4, abs=1e-3) and max(row.trace[:8]) < 1e-4


# with several gates, and no name

def test_two_gates_of_an_lstm_are_told_by_its_cell_states():
    report, _ = check(add_from(4, "fo"))
    rows = {row.name: row for row in report.gates.rows}
    assert list(rows) == ["cell state c", "gate o"] and report.gates.first == "cell state c"
    assert "c differs first at t=4, row" in said(report) and "gate o differs first at t=4, row" in said(report)
    assert [a is None for a in rows["gate o"].trace] == [True] * 3 + [False] * 8 + [True]
    assert rows["gate o"].trace[3] < 1e-5
    assert rows["gate o"].trace[4:11] == pytest.approx([0.1] * 7, abs=1e-3)


def test_what_is_right_beside_two_gates_that_are_wrong():
    report, _ = check(add_from(4, "if", lambda value, a: sigmoid(2 * a)))
    assert "and gate o agrees." in said(report) and "c differs first at t=4" in said(report)
    assert "No gate alone explains all steps, whatever its values" in said(report)


def test_two_gates_of_a_gru_show_the_error_of_each_step_alone():
    report, function = check(add_from(4, "rz"), "gru")
    row, = report.gates.rows
    assert row.name == "each step" and row.where.startswith("t=4, ")
    assert max(row.trace[:4]) < 1e-5 < 1e-2 < min(row.trace[4:])
    x, h0, cell, p = report.arrays["x"], report.arrays["h0"], cells.GRU(), draw(cells.GRU())
    y, _ = function(x, p, (h0,))
    step = rnnref.run(cell, p, x[7:8], cell.rule.State(y[6]))[0][0]
    assert row.trace[7] == pytest.approx(abs(step - y[7]).max(), rel=1e-3)


def test_progress_is_shown_over_all_that_takes_long():
    seen = {}

    def watch(steps, what):
        seen[what] = len(steps)
        return steps
    report, _ = check(add_from(0, "fo"), progress=watch)
    assert set(seen) == {"rounding errors", "likely causes", "pairs of causes", "first divergence"}
    assert seen["first divergence"] == 4 and seen["pairs of causes"] > 50         # T = 12 is halved 4 times
    again, _ = check(add_from(0, "fo"))
    assert str(report) == str(again)


# where there is none

def test_a_right_layer_and_one_whose_gates_are_right_have_no_errors_of_gates():
    report, _ = check(add_from(0, ""))
    assert report and not report.gates.rows
    cell, p = cells.GRU(), draw(cells.GRU())

    def ignores_the_state(x, p, initial_state=None):
        return rnnref.run(cell, p, x)[:2]
    report = verify(ignores_the_state, (T, B, I), reference=cell, p=p)
    assert not report and not report.gates.rows and "A mistake in gate" not in said(report)


def test_outputs_that_are_no_numbers():
    report, _ = check(add_from(3, "o", lambda value, a: value * np.nan))
    assert not report and "would explain" not in said(report)
    report.to_html()


@pytest.mark.parametrize("change", [
    lambda a, b: (a + np.float32(0.1), b[..., :3]), lambda a, b: (a + np.float32(0.1), b[:5]),
    lambda a, b: (a.astype("float64") + 0.1, b + np.float32(0.1)), lambda a, b: (a + np.float32(np.inf), b)])
def test_outputs_of_other_shapes_and_kinds(change):
    cell = cells.Bidirectional((cells.GRU(), cells.GRU()))
    p = (draw(cells.GRU()), draw(cells.GRU()))
    report = verify(lambda x, p: change(*rnnref.run(cell, p, x)[0]), (T, B, I), reference=cell, p=p)
    assert not report and report.to_html() and report.to_svg() and str(report)


# gradients

def back_with_a_fault(cell, p, change):
    seen = {}

    def forward(x, p, initial_state=None):
        ys, last, seen["tape"] = rnnref.run(cell, p, x, initial_state)
        return ys, last

    def backward(dy, dstate):
        dx, ds, _, dp = rnnref.run_back(seen["tape"], dy, dstate)
        return {"x": dx, "h0": ds.h, **change(dp)}
    return verify(forward, (T, B, I), reference=cell, p=p, backward=backward)


def test_a_gradient_of_one_gate_is_told_gate_by_gate():
    cell = cells.GRU()
    p = draw(cell)

    def double_z(dp):
        return dp | {n: np.concatenate([a * np.float32(2 if g == "z" else 1) for g, a in
                                        zip("rzn", np.split(dp[n], 3, -1))], -1) for n in ("W", "R")}
    report = back_with_a_fault(cell, p, double_z)
    table = {(row.group, row.name): row for row in report.gates.gradients}
    assert len(table) == 12 and not report.gates.rows
    differ = {key for key, row in table.items() if row.verdict == "differs"}
    assert differ == {("dW", "z"), ("dR", "z")}
    largest = max(row.error for row in report.rows if row.name == "dW")
    assert table["dW", "z"].error == pytest.approx(largest) and table["dW", "r"].error < 1e-6
    page, text = report.to_html(), str(report)
    assert "Gradients, gate by gate" in page and re.search(r"dW +ok \S+ +XX \S+ +ok \S+\n", text)
    assert page.index("Gradients, gate by gate") < page.index("</td>")


def test_gradients_that_agree_need_no_table():
    report = back_with_a_fault(cells.GRU(), draw(cells.GRU()), lambda dp: dp)
    assert report.ok and not report.gates.gradients and "gate by gate" not in report.to_html()


# the page and the picture

def test_the_page_marks_and_names_the_first_divergence_of_a_gate():
    report, _ = check(add_from(3, "o"))
    for text in (report.to_html(), report.to_svg()):
        assert ">gate o, t=3</text>" in text
    page = report.to_html()
    assert page.index("Error of every gate") < page.index("Error of the results") and "taken to be right" in page
    chart = page[page.index("Error of every gate"):page.index("Error of the results")]
    found = re.findall(r'points="([^"]*)" style="fill: none; stroke: var\((--c\d)\); stroke-width: 2"/>', chart)
    lines = {colour: [float(pair.split(",")[1]) for pair in points.split()] for points, colour in found}
    assert all(min(lines["--c3"][3:]) < 100 < y for k in ("--c0", "--c1", "--c2") for y in lines[k])   # up is more
    assert report.to_dict()["gates"]["rows"][3]["verdict"] == "differs"
    assert re.search(r"\n  o     1\.0e-01  t=3, row", str(report))
