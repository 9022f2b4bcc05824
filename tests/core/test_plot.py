"""Pictures hold the numbers that they should: images and lines are compared with the arrays themselves."""
import io
import subprocess
import sys

import numpy as np
import pytest

import rnnref
from rnnref import cells, plot
from rnnref.check.tolerance import tolerance
from rnnref.elementwise import sigmoid
from rnnref.maps.dense import Dense
from rnnref.maps.normed import WeightNorm
from rnnref.rules.elman import ElmanRule
from rnnref.rules.layer_norm import LayerNormRule
from rnnref.rules.lstm import LSTMRule

T, B, I, U = 6, 3, 2, 4
NAMES = {
    "rnn": (cells.SimpleRNN(), "h"),
    "rnn norm": (cells.LayerNormSimpleRNN(), "h"),
    "rnn weight norm": (cells.GatedCell(WeightNorm("W", "b"), Dense("R"), ElmanRule()), "h"),
    "lstm": (cells.LSTM(), "ifgoch"),
    "lstm peepholes": (cells.LSTM(peepholes=True, recurrent_bias=True), "ifgoch"),
    "lstm i = 1 - f": (cells.LSTM(coupled="input"), "ifgoch"),
    "lstm f = 1 - i": (cells.LSTM(coupled="forget"), "ifgoch"),
    "lstm projected": (cells.LSTM(projection=3), "ifgoch"),
    "lstm swish": (cells.LSTM(candidate="swish"), "ifgoch"),          # keeps the argument of g too
    "lstm norm": (cells.GatedCell(cells.LSTM().inputs, cells.LSTM().recurrent, LayerNormRule(LSTMRule())), "ifgoch"),
    "gru after": (cells.GRU(), "rznh"),
    "gru before": (cells.GRU(reset="before"), "rznh")}


def made(cell, seed=0, units=U, **options):
    rng = np.random.default_rng(seed)
    p = rnnref.init.parameters(cell, I, units, rng, dtype="float64", scheme="keras")
    return rnnref.run(cell, p, rng.normal(size=(T, B, I)), **options), p


def images(fig):
    return {ax.get_title().split()[0]: ax.get_images()[0] for ax in fig.axes if ax.get_images() and ax.get_title()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [{}, {"paths": ("plain",), "kernels": False}, {"recompute": True}], ids=str)
def test_traces_of_every_cell(name, options):
    cell, letters = NAMES[name]
    (ys, new, tape), _ = made(cell, **options)
    found = plot.traces(tape, 1)
    assert sorted(found) == sorted(letters)
    assert np.array_equal(found["h"], ys[:, 1])
    if "c" in letters:
        assert abs(found["c"][-1] - new.c[1]).max() < tolerance("path", "float64")       # a path may compute it again
    for gate in set(letters) - set("gnch"):
        assert (0 <= found[gate]).all() and (found[gate] <= 1).all()
    close = tolerance("path", "float64")          # and the arrays fit each other
    if "c" in letters:
        old = np.vstack([np.zeros(U), found["c"][:-1]])
        assert abs(found["f"] * old + found["i"] * found["g"] - found["c"]).max() < close
    if "z" in letters:
        old = np.vstack([np.zeros(U), found["h"][:-1]])
        assert abs((1 - found["z"]) * found["n"] + found["z"] * old - found["h"]).max() < close


def test_traces_are_the_equations():
    (ys, _, tape), p = made(cells.LSTM(), paths=("plain",), kernels=False)
    found = plot.traces(tape, 2)
    h, c = np.zeros(U), np.zeros(U)
    for t in range(T):
        i, f, g, o = np.split(tape.tape.xs[t, 2] @ p["W"] + h @ p["R"] + p["b"], 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        for name, value in {"i": sigmoid(i), "f": sigmoid(f), "g": np.tanh(g), "o": sigmoid(o), "c": c, "h": h}.items():
            assert abs(found[name][t] - value).max() < tolerance("path", "float64"), (name, t)


def test_coupled_gates_are_both_there():
    for name in ("lstm i = 1 - f", "lstm f = 1 - i"):
        found = plot.traces(made(NAMES[name][0])[0][2])
        assert np.allclose(found["i"] + found["f"], 1, rtol=0, atol=tolerance("path", "float64"))


@pytest.mark.parametrize("options", [{"lengths": [6, 2, 0]}, {"lengths": [6, 2, 0], "reverse": True},
                                     {"mask": np.arange(T * B).reshape(T, B) % 3 > 0}], ids=str)
def test_dead_steps_are_blank(options):
    (ys, _, tape), _ = made(cells.LSTM(), **options)
    for row in range(B):
        found = plot.traces(tape, row)
        for name, a in found.items():
            assert np.array_equal(np.isnan(a).all(1), ~tape.live[:, row]), name
            assert np.array_equal(np.isnan(a).any(1), ~tape.live[:, row]), name
        drawn = images(plot.gates(tape, row))
        assert np.array_equal(drawn["c"].get_array().mask.all(0), ~tape.live[:, row])


def test_several_cells():
    stack = cells.Stack((cells.LSTM(), cells.GRU()))
    (ys, new, tape), _ = made(stack)
    found = plot.traces(tape)
    assert list(found) == "0.i 0.f 0.g 0.o 0.c 1.r 1.z 1.n 1.h".split()
    assert np.array_equal(found["1.h"], ys[:, 0])
    assert abs(found["0.c"][-1] - new[0].c[0]).max() < tolerance("path", "float64")
    both = cells.Bidirectional((cells.LSTM(), cells.SimpleRNN()))
    (ys, new, tape), _ = made(both)
    found = plot.traces(tape, 1)
    assert np.array_equal(found["0.h"], ys[0][:, 1]) and np.array_equal(found["1.h"], ys[1][:, 1])
    assert abs(found["0.c"][-1] - new[0].c[1]).max() < tolerance("path", "float64")
    assert sorted(images(plot.gates(tape))) == sorted(found)


def test_a_wrapped_cell():
    dropped = cells.Dropout(cells.GRU())
    p = made(cells.GRU())[1]
    xs = np.random.default_rng(1).normal(size=(T, B, I))
    ys, _, tape = rnnref.run(dropped, p, xs, cells.GRU().zeros(B, U, dtype="float64"),
                             extra=cells.Masks(y=np.full((B, U), 2.0)))
    plain = rnnref.run(cells.GRU(), p, xs)[2]
    found, expected = plot.traces(tape), plot.traces(plain)
    assert sorted(found) == sorted("rznh")
    for name, factor in {"r": 1, "z": 1, "n": 1, "h": 2}.items():
        assert np.allclose(found[name], factor * expected[name], rtol=0, atol=tolerance("path", "float64"))


@pytest.mark.parametrize("name", NAMES)
def test_gates_draws_what_traces_found(name):
    cell, letters = NAMES[name]
    (_, _, tape), _ = made(cell, lengths=[6, 5, 3])
    found, drawn = plot.traces(tape, 1), images(plot.gates(tape, 1))
    assert sorted(drawn) == sorted(letters)
    limit = max(1, max(np.nanmax(abs(found[n])) for n in letters if n in "gnch"))
    for letter, image in drawn.items():
        assert np.array_equal(image.get_array().filled(np.nan), found[letter].T, equal_nan=True), letter
        signed = letter in "gnch"
        assert image.get_clim() == ((-limit, limit) if signed else (0, 1)), letter
        assert image.get_cmap().name == (plot.STATE_COLOURMAP if signed else plot.GATE_COLOURMAP), letter


def test_a_gate_that_goes_below_zero_is_drawn_around_zero():
    (_, _, tape), _ = made(cells.LSTM(gate="tanh"))
    low, high = images(plot.gates(tape))["i"].get_clim()
    assert low == -high


def test_gates_says_what_its_axes_are():
    (_, _, tape), _ = made(cells.LSTM())
    fig = plot.gates(tape, labels="abc(ef")
    titles = [ax.get_title() for ax in fig.axes if ax.get_title()]
    assert titles == ["i input gate", "f forget gate", "o output gate", "g candidate", "c cell state", "h output"]
    panels = [ax for ax in fig.axes if ax.get_title()]
    assert [ax.get_xlabel() for ax in panels] == [""] * 3 + ["step"] * 3
    assert panels[0].get_ylabel() == panels[3].get_ylabel() == "unit"
    assert [label.get_text() for label in panels[3].get_xticklabels()] == list("abc(ef")
    assert {ax.get_ylabel() for ax in fig.axes} == {"unit", "", "0 shut, 1 open", "value"}      # two colour bars


def test_what_cannot_be_drawn_is_refused():
    (_, _, tape), _ = made(cells.GRU())
    with pytest.raises(rnnref.ShapeError, match="row=3, expected a number from 0 to 2"):
        plot.gates(tape, 3)
    with pytest.raises(rnnref.ShapeError, match="5 labels, expected 6"):
        plot.gates(tape, labels="abcde")
    with pytest.raises(rnnref.NotSupported, match="Bare keeps nothing under the name of a gate"):
        plot.traces(rnnref.run(Bare(), {}, np.ones((2, 1, 3)), (np.zeros((1, 3)),))[2])
    with pytest.raises(rnnref.NotSupported, match="Stack.* is not one gated cell"):
        plot.unroll(cells.Stack((cells.GRU(), cells.GRU())))


class Bare(cells.Cell):
    def forward(self, p, x, s, extra=None):
        return x, (s[0] + x,), {"x": x}


FLOWS = {"plain": {}, "lengths": {"lengths": [6, 2, 0]}, "reverse": {"reverse": True},
         "both": {"lengths": [6, 3, 1], "reverse": True}, "holes": {"mask": np.arange(T * B).reshape(T, B) % 4 > 0}}


@pytest.mark.parametrize("options", FLOWS)
@pytest.mark.parametrize("name", ["rnn weight norm", "lstm projected", "gru before"])
def test_flow_is_the_gradient_of_a_shorter_sequence(name, options):
    """dL/ds_t is what `run_back` gives for the state from which the rest of the sequence starts."""
    cell, options = NAMES[name][0], FLOWS[options]
    p, rng = made(cell)[1], np.random.default_rng(1)
    xs = rng.normal(size=(T, B, I))
    ys, new, tape = rnnref.run(cell, p, xs, **options)
    dys, ds = rng.normal(size=ys.shape), type(new)(*(rng.normal(size=a.shape) for a in new))
    norms, order = plot.gradient_norms(tape, dys, ds), np.arange(T)[::-1] if tape.reverse else np.arange(T)
    live, s = np.ones((T, B), bool) if tape.live is None else tape.live, cell.zeros(B, U, dtype="float64")
    for step in range(T):                         # the rest, in the order in which the loop goes
        rest = order[step:]
        back = rnnref.run_back(rnnref.run(cell, p, xs[rest], s, mask=live[rest])[2], dys[rest], ds)[1]
        for field in new._fields:
            expected = np.linalg.norm(getattr(back, field))
            assert abs(norms[field][step] - expected) < tolerance("gradient", "float64") * expected, (field, step)
        s = rnnref.run(cell, p, xs[rest[:1]], s, mask=live[rest[:1]])[1]
    assert [norms[field][T] for field in new._fields] == [np.linalg.norm(a) for a in ds]


def test_flow_refuses_what_has_no_one_answer():
    (_, _, tape), _ = made(cells.Bidirectional((cells.GRU(), cells.GRU())))
    with pytest.raises(rnnref.NotSupported, match="two directions"):
        plot.gradient_norms(tape)
    (ys, _, tape), _ = made(cells.GRU(), lengths=[6, 5, 4], padding="repeat")
    with pytest.raises(rnnref.NotSupported, match="padding='repeat'"):
        plot.gradient_norms(tape)
    (ys, _, tape), _ = made(cells.GRU())
    with pytest.raises(rnnref.ShapeError, match="dys has shape"):
        plot.gradient_norms(tape, ys[1:])


def test_gradient_flow_draws_the_curves():
    curves = {"a": np.array([1e-3, 1e-2, 1.0]), "b": np.array([0.5, 1.0, 0.0])}
    ax, = plot.gradient_flow(curves).axes
    assert np.array_equal(ax.get_lines()[0].get_ydata(), curves["a"])
    assert np.array_equal(ax.get_lines()[1].get_ydata(), [0.5, 1.0, np.nan], equal_nan=True)    # no logarithm of 0
    assert [list(line.get_xdata()) for line in ax.get_lines()] == [[0, 1, 2]] * 2
    assert ax.get_yscale() == "log" and ax.get_ylabel() == "|dL/dh$_t$|" and ax.get_xlabel() == "t: state before step t"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.get_lines()}) == 2      # told apart twice
    left, right = plot.gradient_flow({"RNN": curves, "LSTM": {"c": curves["a"]}}, of="s").axes
    assert (left.get_title(), right.get_title(), left.get_ylabel()) == ("RNN", "LSTM", "|dL/ds$_t$|")
    assert np.array_equal(right.get_lines()[0].get_ydata(), curves["a"])


@pytest.mark.parametrize("back", [False, True])
def test_unroll_names_every_arrow(back):
    ax, = plot.unroll(cells.LSTM(), steps=2, backward=back).axes
    said = [text.get_text() for text in ax.texts if text.get_text()]
    expected = {"LSTM", "$h_0$ [B, H]", "$h_1$", "$h_2$", "$c_0$ [B, U]", "$c_1$", "$c_2$", "$x_0$ [B, I]", "$x_1$",
                "$y_0$ [B, H]", "$y_1$"}
    gradients = {f"$d{name}$" for name in "h_0 h_1 h_2 c_0 c_1 c_2 x_0 x_1 y_0 y_1".split()}
    assert set(said) == expected | (gradients if back else set())
    assert said.count("LSTM") == 2 == len(ax.patches)
    arrows = [text for text in ax.texts if hasattr(text, "arrow_patch")]
    assert len(arrows) == (20 if back else 10)


def test_a_notebook_is_given_a_png():
    from PIL import Image
    fig = plot.unroll(cells.GRU(), name="cell")
    drawn = Image.open(io.BytesIO(fig._repr_png_()))
    assert drawn.size == tuple(int(inches * 100) for inches in fig.get_size_inches())
    assert drawn.convert("L").getextrema()[0] < 50        # something dark is on it


def test_matplotlib_is_imported_when_a_picture_is_made(monkeypatch):
    code = "import sys, rnnref.plot; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(rnnref.MissingExtra, match="pip install matplotlib; or in a clone"):
        plot.unroll(cells.GRU())


def test_hidden_states_are_the_outputs_of_the_row():
    (ys, _, tape), _ = made(cells.LSTM(), lengths=[6, 4, 2])
    for given, row, expected in ((tape, 1, ys[:, 1]), (ys, 2, ys[:, 2]), (ys[:, 0], 0, ys[:, 0])):
        image = plot.hidden_states(given, row, labels="abcdef").axes[0].get_images()[0]
        assert np.array_equal(image.get_array().T, expected)
        assert image.norm.vmax == -image.norm.vmin == abs(expected).max()
    for options, words in (({"row": 3}, "row=3, expected a number from 0 to 2"),
                           ({"labels": "ab"}, "2 labels, expected 6")):
        with pytest.raises(rnnref.ShapeError, match=words):
            plot.hidden_states(ys, **options)
    with pytest.raises(rnnref.ShapeError, match=r"expected \[T, B, H\] or \[T, H\]"):
        plot.hidden_states(ys[0, 0])


HISTORY = {"accuracy": [0.1, 0.5, 0.6], "loss": [3.0, 2.0, 1.0], "val_accuracy": [0.2, 0.4, 0.3],
           "val_loss": [3.0, np.nan, 2.5], "learning_rate": [0.1, 0.1, 0.05]}


def test_learning_curves_hold_the_history():
    class History:
        history, epoch = HISTORY, [3, 4, 5]                                # initial_epoch=3

    fig = plot.learning_curves(History())
    assert [ax.get_title() for ax in fig.axes] == ["loss", "accuracy", "learning rate"]
    loss, accuracy, rate = [ax.get_lines() for ax in fig.axes]
    for line, name in ((loss[0], "loss"), (loss[1], "val_loss"), (accuracy[1], "val_accuracy"),
                       (rate[0], "learning_rate")):
        assert np.array_equal(line.get_xdata(), [4, 5, 6])
        assert np.array_equal(line.get_ydata(), HISTORY[name], equal_nan=True)
    assert [lines[2].get_label() for lines in (loss, accuracy)] == ["best: 2.5 in epoch 6", "best: 0.4 in epoch 5"]
    assert len(rate) == 1
    with pytest.raises(rnnref.ShapeError, match="no epoch"):
        plot.learning_curves({"loss": []})


def test_confusions_are_counted_as_one_by_one():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 5, 200), rng.random((200, 5))
    expected = np.zeros((5, 5), int)
    for a, b in zip(true, predicted):
        expected[a, np.argmax(b)] += 1
    assert np.array_equal(plot.confusion_matrix(true, predicted), expected)
    assert np.array_equal(plot.confusion_matrix(np.eye(5)[true], predicted), expected)
    assert plot.confusion_matrix([0, 1], [1, 1], classes=4).shape == (4, 4)
    fig = plot.confusion(true, predicted, labels=list("abcde"))
    written = {text.get_position(): int(text.get_text()) for text in fig.axes[0].texts}
    assert written == {(b, a): n for (a, b), n in np.ndenumerate(expected) if n}
    assert fig.axes[0].get_title().startswith(f"{np.trace(expected)} of 200 right")


@pytest.mark.parametrize("true, predicted, options, words", [
    ([0, 1], [0], {}, "y_true has 2 rows, y_pred 1"), ([0.5], [0], {}, "y_true holds numbers that are no classes"),
    ([0], [-1], {}, "y_pred holds numbers that are no classes"), ([0], [3], {"classes": 2}, "class 3 occurs"),
    ([[[0]]], [0], {}, r"expected \[N\] or \[N, C\]")], ids=str)
def test_confusions_that_cannot_be_counted(true, predicted, options, words):
    with pytest.raises(rnnref.Error, match=words):
        plot.confusion_matrix(true, predicted, **options)


def test_a_layer_shows_its_last_call():
    layer = rnnref.layers.LSTM(4, return_sequences=True)
    for call in (plot.traces, plot.gates, plot.hidden_states):
        with pytest.raises(rnnref.NotSupported, match="LSTM has kept nothing"):
            call(layer)
    y = layer.forward(np.random.default_rng(0).normal(size=(3, 5, 2)))
    assert np.array_equal(plot.traces(layer, 2)["h"], y[2])
    assert len(images(plot.gates(layer))) == 6
    assert np.array_equal(plot.hidden_states(layer, 1).axes[0].get_images()[0].get_array().T, y[1])
    dense = rnnref.layers.Dense(2)
    dense.forward(np.ones((1, 2)))
    for other, words in ((dense, "Dense keeps no steps"), ([1], "a list, expected a tape")):
        with pytest.raises(rnnref.NotSupported, match=words):
            plot.traces(other)
