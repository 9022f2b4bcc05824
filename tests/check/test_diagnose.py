"""In which convention are these weights, if they gave these outputs?  Outputs come from other programs."""
import json
from pathlib import Path

import numpy as np
import pytest

import rnnref
from rnnref import ShapeError, interop
from rnnref.check.diagnose import diagnose, diagnose_file
from rnnref.check.tolerance import tolerance
from tests.support.convention_mistakes import ENGINES, ORDER, Ported

GOLDEN = Path(__file__).parents[1] / "golden" / "tf1"
FORGET = "1 is added to the forget gate"
# recorded by TensorFlow 1: words of the sentence; "~" before words that must not be there
RECORDED = {
    "LSTMCell__plain_static": ("rows [x, h]", "i g f o (TF 1)", FORGET, "(c, h)"),
    "BasicLSTMCell__fb0_static": ("rows [x, h]", "i g f o (TF 1)", "~is added"),
    "LSTMCell__peepholes": ("i g f o (TF 1)", "the peepholes are f i o", FORGET),
    "LSTMCell__proj": ("projection/kernel holds the projection", "i g f o (TF 1)", FORGET),
    "LSTMBlockFusedCell__plain": ("i g f o (TF 1)", FORGET),
    "CudnnCompatibleLSTMCell__static": ("i g f o (TF 1)", "~is added"),
    "GRUCell__plain": ("r z n", "the reset acts before"),
    "GRUBlockCell__static": ("r z n", "the reset acts before"),
    "CudnnCompatibleGRUCell__static": ("r z n", "the reset acts after", "hidden_projection/bias is a recurrent bias"),
    "GRUCell__relu_static": ("r z n", "the reset acts before", "relu in the place of tanh"),
    "BasicRNNCell__plain": ("a SimpleRNN",),
    "BasicRNNCell__relu_static": ("a SimpleRNN", "relu in the place of tanh"),
    "dynamic_rnn__lstm_batch_major": ("i g f o (TF 1)", FORGET, "x is [batch, time, input]"),
}


def read_recorded(name):
    """(weights, x, y, the initial state) of a file."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        arrays = {n: file[n] for n in file.files if n != "config"}
        assert json.loads(str(file["config"]))["source"].startswith("tf.")
    weights = {n.removeprefix("var/"): a for n, a in arrays.items() if n.startswith("var/")}
    x, y = arrays["in/x"], arrays["out/y"]
    if x.ndim == 2:                               # one step
        x, y = x[None], y[None]
    return weights, x, y, [a for n, a in arrays.items() if n.startswith("in/state/")]


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_runs_of_tensorflow_1(name):
    weights, x, y, state = read_recorded(name)
    found = diagnose(weights, x, y, initial_state=state)
    assert found and found.error < tolerance("output", y.dtype), found
    for words in RECORDED[name]:
        assert (words.removeprefix("~") in found.sentence) != words.startswith("~"), (words, found)


@pytest.mark.parametrize("family, order", [("lstm", "iofg"), ("gru", "zrn"), ("rnn", "h")])
@pytest.mark.parametrize("n_in", [3, 5])          # 5: as many as units, so that shapes tell less
def test_weights_of_onnxruntime(family, order, n_in):
    rng = np.random.default_rng(n_in)
    options = {"reset": "after"} if family == "gru" else {}
    q = Ported(family, "onnxruntime", rng, (6, 2, n_in, 5), options)
    x = rng.standard_normal((6, 2, n_in)).astype("float32")
    s = [rng.standard_normal((2, 5)).astype("float32") for _ in range(2 if family == "lstm" else 1)]
    y, _ = ENGINES["onnxruntime"](q, x, s)
    theirs = {"W": np.concatenate([q.W[g].T for g in order])[None],
              "R": np.concatenate([q.R[g].T for g in order])[None],
              "B": np.concatenate([b[g] for b in (q.b, q.bR) for g in order])[None]}
    found = diagnose(theirs, x, y, initial_state=s, to="torch")
    assert found and found.error < tolerance("output", "float32"), found
    if family != "rnn":
        assert f"the gate blocks are {' '.join(order)}" in found.sentence
    ours = ORDER[family]                          # of torch too
    assert np.array_equal(found.weights["weight_ih_l0"], np.concatenate([q.W[g].T for g in ours]))
    assert np.array_equal(found.weights["weight_hh_l0"], np.concatenate([q.R[g].T for g in ours]))


def draw(cell, n_in=3, units=5):
    rng = np.random.default_rng(0)
    p = {n: rng.standard_normal(s) for n, s in cell.shapes(n_in, units).items()}
    x = rng.standard_normal((6, 2, n_in))
    s = cell.rule.State(*(rng.standard_normal(a.shape) for a in cell.zeros(2, units)))
    return p, x, s


def test_arrays_without_names_time_backwards_and_a_state_in_another_order():
    cell = rnnref.cells.LSTM()
    p, x, s = draw(cell)
    y, _, _ = rnnref.run(cell, p, x, s, reverse=True)
    found = diagnose([p["W"], p["R"], p["b"]], x, y[::-1], initial_state=(s.c, s.h))
    assert found and found.reverse
    assert "the initial state is (c, h)" in found.sentence and "y is in the order of reading" in found.sentence


def test_one_mistake_beside_the_usual_conventions():
    cell = rnnref.cells.GRU(reset="before")
    p, x, s = draw(cell)
    y, _, _ = rnnref.run(cell, p | {"R": np.concatenate([a.T for a in np.split(p["R"], 3, -1)], -1)}, x, s)
    found = diagnose(p, x, y, initial_state=s)
    assert found and "R is transposed in each gate block" in found.sentence


def test_what_fits_nothing_and_what_fits_twice():
    cell = rnnref.cells.LSTM()
    p, x, s = draw(cell)
    y, _, _ = rnnref.run(cell, p, x, s)
    none = diagnose(p, x, y + 0.1 * np.sin(np.arange(y.size)).reshape(y.shape), initial_state=s, family="lstm")
    assert not none and none.cell is None and "None of" in none.sentence and "The nearest is off by" in none.sentence
    zeros = {n: np.zeros_like(a) if n == "R" else a for n, a in p.items()}
    equal = zeros | {"W": np.tile(zeros["W"][:, :5], 4), "b": np.tile(zeros["b"][:5], 4)}
    y, _, _ = rnnref.run(cell, equal, x, s)
    assert diagnose(equal, x, y, initial_state=s)                     # every order is the same function


def test_two_conventions_that_these_numbers_do_not_tell_apart():
    """From c = 0, one step of an LSTM does not show its forget gate: any block may be it."""
    cell = rnnref.cells.LSTM()
    p, x, _ = draw(cell)
    y, _, _ = rnnref.run(cell, p, x[:1])
    found = diagnose(p, x[:1], y)
    assert not found and found.cell is not None and "these numbers do not tell which" in found.sentence


def test_the_weights_are_returned_in_the_layout_asked_for():
    cell = rnnref.cells.LSTM(forget_bias=1.0)
    p, x, s = draw(cell)
    y, _, _ = rnnref.run(cell, p, x, s)
    found = diagnose(interop.dump(interop.layout_of("lstm", "tf1"), p, cell), x, y, initial_state=s, to="keras")
    plain = rnnref.cells.LSTM()
    assert sorted(found.weights) == ["bias", "kernel", "recurrent_kernel"] and "As weights of keras lstm" in str(found)
    ys, _, _ = rnnref.run(plain, interop.load(interop.layout_of("lstm", "keras"), found.weights, plain), x, s)
    assert abs(ys - y).max() < tolerance("output", "float64")


@pytest.mark.parametrize("arrays, x, y, words", [
    ({"a": (3, 5)}, (6, 2, 3), (6, 2, 5), "fit no SimpleRNN, GRU or LSTM with 3 inputs and 5 outputs"),
    ({}, (6, 2, 3), (6, 2, 5), "fit no SimpleRNN"),
    ({"a": (3, 5)}, (6, 2, 3), (6, 5), "expected 3 axes"),
    ({"a": (3, 5)}, (6, 2, 3), (7, 2, 5), "the same numbers of steps and rows"),
])
def test_what_cannot_be_diagnosed_is_refused(arrays, x, y, words):
    with pytest.raises(rnnref.ShapeError, match=words):
        diagnose({n: np.ones(s) for n, s in arrays.items()}, np.ones(x), np.ones(y))


def test_a_layout_that_cannot_hold_the_weights_is_refused():
    cell = rnnref.cells.GRU(reset="before")
    p, x, s = draw(cell)
    with pytest.raises(rnnref.NotSupported, match="torch"):
        diagnose(p, x, rnnref.run(cell, p, x, s)[0], initial_state=s, to="torch")


def test_the_command(tmp_path, capsys):
    from rnnref import cli
    cell = rnnref.cells.LSTM()
    p, x, s = draw(cell)
    path, out = tmp_path / "run.npz", tmp_path / "torch.npz"
    np.savez(path, x=x, y=rnnref.run(cell, p, x, s)[0], h0=s.h, c0=s.c, **p)
    assert cli.main(["diagnose", str(path), "--to", "torch", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "These are the weights of an LSTM" in printed and "weight_ih_l0 (20, 3)" in printed
    with np.load(out) as file:
        assert np.array_equal(file["weight_hh_l0"], p["R"].T)
    np.savez(path, x=x, **p)
    assert cli.main(["diagnose", str(path)]) == 2 and "has no y" in capsys.readouterr().err


# what people record

def record(dtype="float32"):
    """(weights, x, y) of an LSTM in the order of torch."""
    rng, cell = np.random.default_rng(2), rnnref.cells.LSTM()
    layout = interop.layout_of("lstm", "torch")
    p = rnnref.init.parameters(cell, 3, 4, rng, dtype, scheme=lambda c, r, n, a, s: r.normal(size=s) / 2)
    x = rng.normal(size=(6, 2, 3)).astype(dtype)
    return interop.dump(layout, p, cell), x, rnnref.run(cell, p, x)[0]


TORCH_ORDER = "the gate blocks are i f g o (torch, Keras, flax)"


def test_numbers_of_float32_in_float64_are_told():
    """From JSON, text, or an array that was cast."""
    weights, x, y = record()
    for change in (np.ndarray.tolist, lambda a: a.astype("float64"), lambda a: np.round(a.astype("float64"), 7)):
        found = diagnose({n: change(a) for n, a in weights.items()}, change(x), change(y))
        assert found and TORCH_ORDER in found.words
        assert found.words[-1] == "y is in float64, and agrees as numbers of float32 do"
    found = diagnose(*record("float64"))
    assert found and found.error < 1e-12 and found.words[-1] == TORCH_ORDER


def test_arrays_of_other_layers_are_left_out():
    weights, x, y = record()
    for others in ({"head": np.ones((4, 7))}, {"head/kernel": np.ones((4, 7)), "head/bias": np.ones(7)}):
        found = diagnose(weights | others, x, y)
        assert found and {f"{name} is left out" for name in others} < set(found.words)
    with pytest.raises(ShapeError, match="fit no SimpleRNN"):
        diagnose(weights | {f"w{k}": np.ones((4, 7)) for k in range(3)}, x, y)


@pytest.mark.parametrize("name, change", {
    "NaN in x": lambda w, x, y: (w, x * np.nan, y), "infinite y": lambda w, x, y: (w, x, y + np.inf),
    "NaN in weights": lambda w, x, y: ({**w, "bias_ih_l0": w["bias_ih_l0"] * np.nan}, x, y),
    "no steps": lambda w, x, y: (w, x[:0], y[:0]), "no rows": lambda w, x, y: (w, x[:, :0], y[:, :0]),
    "a text": lambda w, x, y: (w, "x", y), "texts": lambda w, x, y: (w, x.astype(str), y),
    "complex": lambda w, x, y: (w, x, y.astype("c8")), "ragged": lambda w, x, y: ({"a": [[1], [1, 2]]}, x, y),
    "objects": lambda w, x, y: ({n: a.astype(object) for n, a in w.items()}, x, y),
    "no weights": lambda w, x, y: ({}, x, y), "None": lambda w, x, y: (None, x, y), "word": lambda w, x, y: ("w", x, y),
    "a layer": lambda w, x, y: (rnnref.cells.LSTM(), x, y), "the last": lambda w, x, y: (w, x, y[-1]),
}.items())
def test_what_nothing_can_be_told_from(name, change):
    with pytest.raises(rnnref.Error, match="diagnose|read: a is"):
        diagnose(*change(*record()))


@pytest.mark.parametrize("options", [
    {"initial_state": np.ones((2, 5))}, {"initial_state": (1, 2, 3)}, {"initial_state": "h"}, {"family": "nix"},
    {"initial_state": np.full((2, 4), np.nan)}, {"family": 3}, {"to": "nix"}, {"progress": 3}])
def test_arguments_of_diagnose(options):
    with pytest.raises(rnnref.Error):
        diagnose(*record(), **options)


def test_the_family_has_its_usual_names():
    assert diagnose(*record(), family="LSTM") and diagnose(*record(), family="lstm cell")


def test_files_of_other_kinds_are_refused_with_what_writes_one(tmp_path):
    for name in ("m.pt", "m.onnx", "m.h5"):
        (tmp_path / name).write_bytes(b"junk")
        with pytest.raises(rnnref.NotSupported, match="numpy.savez"):
            diagnose_file(tmp_path / name)
    np.savez(tmp_path / "w.npz", **record()[0])
    with pytest.raises(ShapeError, match=r"no x and no y(.|\n)*numpy.savez"):
        diagnose_file(tmp_path / "w.npz")
