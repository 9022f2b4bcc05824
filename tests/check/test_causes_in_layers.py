"""Mistakes in one layer of several, in one direction, and in layers with layer normalisation: named, and where."""
import numpy as np
import pytest

import rnnref
from rnnref import cells
from rnnref.check import verify
from rnnref.check.equations import read_equations
from rnnref.check.mistakes import list_mistakes
from rnnref.check.norm_mistakes import list_norm_mistakes
from rnnref.check.placed_mistakes import EVERYWHERE, describe_place
from rnnref.check.trace import Recorded, Trace
from rnnref.loops.plan import REFERENCE_PATHS
from rnnref.wrappers import Stack
from tests.support.convention_mistakes import is_named
from tests.support.layered_mistakes import draw_layered_mistake
from tests.support.wrong_layers import draw_normed_mistake, make_normed_lstm, make_stack, relabel, transpose

CELLS = {"lstm": cells.LSTM(), "gru": cells.GRU()}
I, H, T, B = 3, 5, 5, 3


def draw(cell, seed=0):
    rng = np.random.default_rng(seed)
    return {n: (0.6 * rng.standard_normal(s)).astype("float32") for n, s in cell.shapes(I, H).items()}


def check_stack(family, changes, forget=0.0):
    cell, rng = Stack((CELLS[family],) * len(changes)), np.random.default_rng(1)
    p = tuple({n: (0.6 * rng.standard_normal(s)).astype("float32") for n, s in one.items()}
              for one in cell.shapes(I, (H,) * len(changes)))
    return verify(make_stack(family, changes, forget), (T, B, I), reference=cell, p=p)


def test_a_right_stack_agrees():
    assert check_stack("lstm", [(), ()]).ok and check_stack("gru", [(), (), ()]).ok


ORDER, OTHER = relabel("igfo"), relabel("zrn")
STACKS = {
    "all layers": ("lstm", [(ORDER,), (ORDER,)], "once the gate blocks are read as i g f o (TF 1). The next best"),
    "one layer": ("lstm", [(), (ORDER,)], "once in layer 1 the gate blocks are read as i g f o (TF 1)."),
    "two layers of three": ("gru", [(OTHER,), (), (OTHER,)],
                            "once in layer 0 and layer 2 the gate blocks are read as z r n (Keras, ONNX)."),
    "two mistakes in all": ("lstm", [(transpose, ORDER)] * 2,
                            "once R is transposed in each gate block and the gate blocks are read as i g f o (TF 1)."),
    "two mistakes in one": ("gru", [(transpose, OTHER), ()], "once in layer 0 R is transposed in each gate block and "
                            "the gate blocks are read as z r n (Keras, ONNX)."),
    "one mistake in each": ("lstm", [(ORDER,), (transpose,)], "once in layer 0 the gate blocks are read as i g f o "
                            "(TF 1) and in layer 1 R is transposed in each gate block."),
    "one in all, one in one": ("lstm", [(ORDER,), (transpose, ORDER)], "once the gate blocks are read as "
                               "i g f o (TF 1) and in layer 1 R is transposed in each gate block."),
}


@pytest.mark.parametrize("name", STACKS)
def test_the_layer_is_named(name):
    family, changes, words = STACKS[name]
    report = check_stack(family, changes)
    assert words in report.findings[0], report


def test_a_constant_in_all_layers_beside_an_order_in_one():
    report = check_stack("lstm", [(), (ORDER,)], forget=1.0)
    words = "1 is added to the forget gate and in layer 1 the gate blocks are read as i g f o"
    assert words in report.findings[0], report


def test_places_in_words():
    labels = [f"layer {n}, {d}" for n in range(3) for d in ("forward", "backward")]
    assert describe_place(range(6), labels) == EVERYWHERE
    assert describe_place([1, 3, 5], labels).words == "in the backward direction "
    assert describe_place([2, 3], labels).words == "in layer 1 "
    assert describe_place([0, 1, 4, 5], labels).words == "in layer 0 and layer 2 "
    assert describe_place([3], labels).words == "in the backward direction of layer 1 "


# layer normalisation

NORMED = {"sum": cells.LayerNormLSTM(forget_bias=1.0), "projected": cells.LayerNormLSTM(projection=4),
          "each": cells.LayerNormLSTM(separate=True, peepholes=True),
          "joint": cells.LayerNormLSTM(separate=True, joint=True),
          "coupled": cells.LayerNormLSTM(coupled="input"), "gru": cells.LayerNormGRU(),
          "rnn": cells.LayerNormSimpleRNN(bias=False)}


@pytest.mark.parametrize("name", NORMED)
def test_normed_equations_are_those_of_the_cell(name):
    """The search computes with cells of its own, in which the normalisation can be moved."""
    cell, rng = NORMED[name], np.random.default_rng(0)
    p = {n: rng.standard_normal(s) for n, s in cell.shapes(I, H).items()}
    x = rng.standard_normal((T, B, I))
    want, _, _ = rnnref.run(cell, p, x)
    equations = read_equations(cell, p)
    other, q = equations.make_cell()
    assert abs(rnnref.run(other, q, x, paths=REFERENCE_PATHS)[0] - want).max() < 1e-12
    tried = [m for m in list_norm_mistakes(equations)]
    for mistake in tried:
        other, q = mistake.weights(equations).make_cell()
        assert abs(rnnref.run(other, q, x, paths=REFERENCE_PATHS)[0] - want).max() > 1e-9, mistake.words
    assert len(tried) > 8


MISTAKES = {
    "epsilon": ({"epsilon": 1e-6}, "epsilon of the layer normalisation is 1e-06, not 1e-05"),
    "outside": ({"outside": True}, "epsilon of the layer normalisation is added to the standard deviation, not to the "
                "variance"),
    "ddof": ({"ddof": 1}, "the variance of the layer normalisation is divided by n - 1, not by n"),
    "together": ({"together": True}, "all gate blocks are normalised together"),
    "inside": ({"inside": True}, "shift is added before the layer normalisation"),
    "raw": ({"raw_state": True}, "c is normalised on its way to h alone, not as the next state"),
    "each": ({"each": True}, "both products are normalised, each by itself, not their sum"),
    "order": ({"order": "igfo"}, "the gate blocks are read as i g f o (TF 1)"),
    "forget": ({"forget": 1.5}, "1.5 is added to the forget gate"),
    "order and epsilon": ({"order": "igfo", "epsilon": 1e-3},
                          "the gate blocks are read as i g f o (TF 1) and epsilon of the layer normalisation is 0.001"),
    "forget and together": ({"forget": 1.0, "together": True},
                            "1 is added to the forget gate and all gate blocks are normalised together"),
}


SLOW = "outside", "ddof", "each", "raw", "order", "forget"


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.exam] * (name in SLOW)) for name in MISTAKES])
def test_mistakes_in_layer_normalisation(name):
    mistakes, words = MISTAKES[name]
    cell = cells.LayerNormLSTM()
    report = verify(make_normed_lstm(**mistakes), (T, B, I), reference=cell, p=draw(cell))
    assert f"once {words}" in report.findings[0], report


def test_a_right_normed_lstm_agrees():
    cell = cells.LayerNormLSTM()
    assert verify(make_normed_lstm(), (T, B, I), reference=cell, p=draw(cell)).ok


# drawn ones, of which `make exam` has a hundred

@pytest.mark.parametrize("seed", range(1000, 1001))
def test_drawn_mistakes_in_layer_normalisation(seed):
    cell, rng = cells.LayerNormLSTM(), np.random.default_rng(seed)
    function, sizes, shape, words = draw_normed_mistake(seed)
    p = {n: (0.6 * rng.standard_normal(s)).astype("float32") for n, s in cell.shapes(*sizes).items()}
    report = verify(function, shape, reference=cell, p=p)
    assert is_named(report, words), (words, report)


@pytest.mark.peers
@pytest.mark.parametrize("seed", range(1000, 1006))
def test_drawn_mistakes_in_layers_of_torch(seed):
    module, shape, words = draw_layered_mistake(seed)
    report = verify(module, shape)
    assert is_named(report, words), (words, report)


# causes that are seldom alone, and small ones

def port_gru(change):
    def ported(x, initial_state, p):
        return rnnref.run(CELLS["gru"], change(p), x, initial_state)[:2]
    return ported


def test_two_seldom_mistakes():
    p = draw(CELLS["gru"])

    def change(p):
        """0.7 in the reset gate, and R alone in the order z r n."""
        r, z, n = np.split(p["R"], 3, -1)
        return p | {"b": p["b"] + np.float32(0.7) * (np.arange(3 * H) < H), "R": np.concatenate([z, r, n], -1)}
    report = verify(port_gru(change), (T, B, I), reference=CELLS["gru"], p=p)
    assert "the gate blocks of R alone are read as z r n" in report.findings[0], report
    assert "0.7 is added to the reset gate" in report.findings[0]


def test_hard_tanh_and_none_on_small_numbers_are_both_named():
    """Of c below 1: what tells them apart is said, too."""
    cell, p = cells.LSTM(coupled="input"), draw(cells.LSTM(coupled="input"))

    def linear(x, initial_state, p):
        small = cells.LSTM(coupled="input", output="linear")
        return rnnref.run(small, p, x, initial_state)[:2]
    x = 0.1 * np.random.default_rng(0).standard_normal((3, B, I)).astype("float32")
    state = [np.full((B, H), 0.1, "float32")] * 2
    report = verify(linear, x, reference=cell, p=p, initial_state=state)
    assert "the tanh of c is left out; or once the tanh of c is hard tanh" in report.findings[0], report
    assert "check again " in report.findings[0]


@pytest.mark.parametrize("after, words", [(True, "after every step"), (False, "before every step")])
def test_states_exchanged_at_every_step(after, words):
    cell, p = CELLS["lstm"], draw(CELLS["lstm"])

    def ported(x, initial_state):
        s, ys = initial_state, []
        for x_t in x:
            y, s, _ = cell.forward(p, x_t, s if after else cell.rule.State(s.c, s.h))
            s = cell.rule.State(s.c, s.h) if after else s
            ys.append(y)
        return np.stack(ys), s
    report = verify(ported, (T, B, I), reference=cell, p=p)
    assert f"once h and c are exchanged {words}" in report.findings[0], report


# ONNX

def check_node(op, change, outputs=("Y", "Y_h"), directions=1, **attributes):
    """A node that the engine gets with other attributes or inputs."""
    from onnx import helper

    from rnnref.check.onnx_engines import resolve_engine
    G, rng, run = {"LSTM": 4, "GRU": 3}[op], np.random.default_rng(3), resolve_engine("onnxruntime")[1]
    shapes = {"X": (T, B, I), "W": (directions, G * H, I), "R": (directions, G * H, H), "B": (directions, 2 * G * H),
              "initial_h": (directions, B, H)} | ({"initial_c": (directions, B, H)} if op == "LSTM" else {})
    inputs = {n: (0.6 * rng.standard_normal(s)).astype("float32") for n, s in shapes.items()}
    names = ["X", "W", "R", "B", "", "initial_h"] + ["initial_c"] * (op == "LSTM")
    node = helper.make_node(op, names, outputs, hidden_size=H, **attributes,
                            **({"direction": "bidirectional"} if directions == 2 else {}))
    return verify(node, inputs, engine=lambda case: run(change(case)))


def without(name):
    return lambda case: case._replace(attributes={n: v for n, v in case.attributes.items() if n != name})


def read_r_first(direction):
    def change(case):
        inputs = {n: a.copy() for n, a in case.inputs.items()}
        for n in "WR":
            z, r, h = np.split(inputs[n][direction], 3)
            inputs[n][direction] = np.concatenate([r, z, h])
        z, r, h, *rest = np.split(inputs["B"][direction], 6)
        inputs["B"][direction] = np.concatenate([r, z, h, rest[1], rest[0], rest[2]])
        return case._replace(inputs=inputs)
    return change


@pytest.mark.parametrize("op, change, options, words", [
    ("LSTM", without("input_forget"), {"input_forget": 1}, "input_forget is ignored"),
    ("LSTM", without("clip"), {"clip": 0.3}, "clip is ignored"),
    ("GRU", without("linear_before_reset"), {"linear_before_reset": 1},
     "the reset gate acts before the product with R"),
    ("GRU", read_r_first(0), {"outputs": ("", "Y_h")}, "the gate blocks are read as r z n (torch, flax, TF 1)"),
    ("GRU", read_r_first(1), {"outputs": ("", "Y_h"), "directions": 2},
     "in the reverse direction the gate blocks are read as r z n (torch, flax, TF 1)"),
])
def test_nodes_of_onnx(op, change, options, words):
    report = check_node(op, change, **options)
    assert f"once {words}" in report.findings[0], report


@pytest.mark.parametrize("name", NORMED)
def test_a_few_steps_of_a_normed_layer_are_those_of_run(name):
    """`Trace` takes recorded outputs as states, and remembers products."""
    cell, rng = NORMED[name], np.random.default_rng(2)
    p = {n: rng.standard_normal(s) for n, s in cell.shapes(I, H).items()}
    x, zero = rng.standard_normal((T, B, I)), cell.zeros(B, H, dtype="float64")
    s = type(zero)(*(0.5 * rng.standard_normal(a.shape) for a in zero))
    equations = read_equations(cell, p)
    tried = [*list_mistakes(equations), *list_norm_mistakes(equations)]
    for mistake in tried:
        wrong = mistake.weights(equations) if not mistake.constant else mistake.constant(equations, 0.3)
        other, q = wrong.make_cell()
        ys, _, _ = rnnref.run(other, q, x, s, paths=REFERENCE_PATHS)
        trace = Trace(Recorded(x, ys, s.h, getattr(s, "c", None)), units=3)
        assert trace.error(wrong) < 1e-9, mistake.words
        assert trace.error(equations) > 1e-9, mistake.words
    assert len(tried) > 15
