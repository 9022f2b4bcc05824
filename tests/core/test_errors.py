"""Bad input: every message names the argument, what came and what was expected, and nothing is changed."""
import ast
import re
from pathlib import Path

import numpy as np
import pytest

import rnnref
from rnnref import DeviceError, DtypeError, NotSupported, ShapeError, cells
from rnnref.cell import GatedCell
from rnnref.elementwise import get_activation
from rnnref.interop import cell_for, layout_of, load
from rnnref.maps.dense import Dense
from rnnref.rules import gru, lstm
from rnnref.rules.layer_norm import LayerNormRule
from rnnref.tree import leaves
from rnnref.wrappers.dropout import Masks
from tests.support.messages import raises_with

T, B, I, U = 7, 5, 3, 4


class Given:
    """A call that fits; each case spoils one thing in it."""

    def __init__(self, cell=None):
        rng = np.random.default_rng(0)
        self.cell = cells.LSTM() if cell is None else cell
        self.p = rnnref.init.parameters(self.cell, I, U, rng, "float64")
        self.xs, self.s = rng.normal(size=(T, B, I)), self.cell.zeros(B, U, dtype="float64")
        self.options = {}

    def run(self):
        return rnnref.run(self.cell, self.p, self.xs, self.s, **self.options)


def spoil(**changes):
    """What a case does to a call: sets attributes, parameters or options."""
    def change(g):
        for name, value in changes.items():
            value = value(g) if callable(value) else value
            if name in ("cell", "p", "xs", "s"):
                setattr(g, name, value)
            elif name in g.p:
                g.p[name] = value
            else:
                g.options[name] = value
    return change


def without(name):
    return spoil(p=lambda g: {k: v for k, v in g.p.items() if k != name})


def back(**d):
    def change(g):
        ys, new, tape = g.run()
        dys, ds = d.get("dys", np.ones_like)(ys), d.get("ds", lambda a: a)(new)
        g.run = lambda: rnnref.run_back(tape, dys, ds)
    return change


def calls(f):
    def change(g):
        g.run = f
    return change


class NoBackward(cells.Cell):
    def forward(self, p, x, s, extra=None):
        return x, s, None


HALF = {"weight_hh_l0": np.ones((3, 1)), "weight_ih_l0": np.ones((3, 1))}

# what is wrong: (what is done, the error, pieces that its message must hold)
CASES = {
    "R of a GRU": (spoil(R=np.zeros((4, 12))), ShapeError,
                   ["LSTM(units=4): R has shape (4, 12), expected (4, 16)", '"H G"',
                    "H = 4 (from state.c, shape (5, 4))", "G = 16 (4 gates i f g o x U)",
                    "12 = 3 x 4: these may be the weights of a GRU"]),
    "W of a simple RNN": (spoil(W=np.zeros((3, 4))), ShapeError,
                          ["W has shape (3, 4), expected (3, 16)", "a simple RNN"]),
    "transposed W": (spoil(W=np.zeros((16, 3))), ShapeError, ["W has shape (16, 3), expected (3, 16)", "transpose"]),
    "transposed R": (spoil(R=np.zeros((16, 4))), ShapeError, ["R has shape (16, 4), expected (4, 16)", "transpose"]),
    "an ONNX R": (spoil(R=np.zeros((1, 4, 16))), ShapeError, ["R has shape (1, 4, 16)", "direction", "[0]"]),
    "b with an axis too many": (spoil(b=np.zeros((16, 2))), ShapeError, ["b has shape (16, 2), expected (16,)"]),
    "b for each half": (spoil(b=np.zeros(32)), ShapeError, ["b has shape (32,), expected (16,)", '"G"']),
    "0-d b": (spoil(b=np.zeros(())), ShapeError, ["b has shape (), expected (16,)", "axis is missing"]),
    "empty W": (spoil(W=np.zeros((0, 16))), ShapeError, ["W has shape (0, 16), expected (3, 16)", "I = 3 (from x"]),
    "b missing": (without("b"), ShapeError, ["b missing", "expected W b R"]),
    "Keras's names": (spoil(p={"kernel": np.zeros((3, 16))}), ShapeError, ["W b R missing", "kernel not known"]),
    "parameters in a list": (spoil(p=[np.zeros((3, 16))]), ShapeError, ["parameters is a list", "dict", "W b R"]),
    "R in float32": (spoil(R=np.zeros((4, 16), "f4")), DtypeError, ["R has dtype float32, expected float64"]),
    "integer W": (spoil(W=np.zeros((3, 16), int)), DtypeError, ["W has dtype int64, expected a floating dtype"]),
    "object W": (spoil(W=np.zeros((3, 16), object)), DtypeError, ["W has dtype object"]),
    "complex W": (spoil(W=np.zeros((3, 16), complex)), DtypeError, ["W has dtype complex128"]),
    "W in a list": (spoil(W=[[0.0] * 16] * 3), DtypeError, ["W is a list, expected a NumPy or CuPy array"]),
    "x in a list": (spoil(xs=[[[0.0] * 3] * 5] * 7), DtypeError, ["x is a list, expected a NumPy or CuPy array"]),
    "integer x": (spoil(xs=np.zeros((T, B, I), int)), DtypeError, ["x has dtype int64, expected a floating dtype"]),
    "bool x": (spoil(xs=np.zeros((T, B, I), bool)), DtypeError, ["x has dtype bool"]),
    "x without a batch": (spoil(xs=np.zeros((T, I))), ShapeError, ["x has shape (7, 3), expected 3 axes", '"T B I"']),
    "0-d x": (spoil(xs=np.zeros(())), ShapeError, ["x has shape (), expected at least 2 axes"]),
    "x with an axis too many": (spoil(xs=np.zeros((T, B, 2, I))), ShapeError,
                                ["x has shape (7, 5, 2, 3), expected 3 axes"]),
    "no steps": (spoil(xs=np.zeros((0, B, I))), ShapeError, ["x has shape (0, 5, 3): no steps"]),
    "x of another width": (spoil(xs=np.zeros((T, B, 6))), ShapeError,
                           ["x has shape (7, 5, 6), expected 3 inputs", "I = 3 (from W, shape (3, 16))"]),
    "x of another dtype": (spoil(xs=np.zeros((T, B, 3), "f4")), DtypeError,
                           ["x has dtype float32, expected float64 as the parameters have", 'x.astype("float64")']),
    "a state of another batch": (spoil(s=lambda g: g.cell.zeros(2, U, dtype="f8")), ShapeError,
                                 ["state.h has shape (2, 4), expected (5, 4)", "B = 5 (from x"]),
    "h and c differ": (spoil(s=lambda g: g.s._replace(h=np.zeros((B, 3)))), ShapeError,
                       ["state.h has shape (5, 3), expected (5, 4)", "from state.c"]),
    "a state with time": (spoil(s=lambda g: g.s._replace(c=np.zeros((1, B, U)))), ShapeError,
                          ["state.c has shape (1, 5, 4), expected 2 axes"]),
    "an array for a state": (spoil(s=np.zeros((B, U))), ShapeError, ["the state is an ndarray", "State(h, c)"]),
    "a GRU's state": (spoil(s=gru.State(np.zeros((B, U)))), ShapeError, ["the state is a State", "State(h, c)"]),
    "a state in float32": (spoil(s=lambda g: g.cell.zeros(B, U)), DtypeError,
                           ["state.h has dtype float32, expected float64"]),
    "NaN lengths": (spoil(lengths=np.full(B, np.nan)), DtypeError, ["lengths has dtype float64, expected integers"]),
    "lengths > T": (spoil(lengths=[1, 2, 3, 8, 7]), ShapeError, ["lengths are [1, 2, 3, 8, 7]", "from 0 to 7"]),
    "negative lengths": (spoil(lengths=np.array([1, 2, 3, -1, 7])), ShapeError,
                         ["lengths are [1, 2, 3, -1, 7]", "from 0 to 7"]),
    "too few lengths": (spoil(lengths=[1, 2]), ShapeError, ["lengths has shape (2,), expected (5,)", '"B"']),
    "mask batch first": (spoil(mask=np.ones((B, T), bool)), ShapeError,
                         ["mask has shape (5, 7), expected (7, 5)", "mask.T"]),
    "mask of a row": (spoil(mask=np.ones(T, bool)), ShapeError, ["mask has shape (7,), expected (7, 5)"]),
    "mask of numbers": (spoil(mask=np.ones((T, B))), DtypeError, ["mask has dtype float64, expected bool"]),
    "lengths and mask": (spoil(mask=np.ones((T, B), bool), lengths=[1] * B), NotSupported, ["both lengths and mask"]),
    "unknown policy": (spoil(padding="keep"), NotSupported, ["padding='keep'", "'zero', 'repeat', 'free'"]),
    "free with a mask": (spoil(padding="free", mask=np.ones((T, B), bool)), NotSupported,
                         ["padding='free' with a mask"]),
    "no such path": (spoil(paths=("bidirectional",)), NotSupported,
                     ["no path can run it", "bidirectional", "one direction"]),
    "extra for a cell without": (spoil(extra=Masks()), NotSupported, ["extra=Masks(…): this cell takes none"]),
    "extra of a Dropout": (spoil(cell=cells.Dropout(cells.LSTM()), extra=np.ones((B, I))), ShapeError,
                           ["Dropout(LSTM)", "extra is an ndarray, expected Masks"]),
    "a mask of another width": (spoil(cell=cells.Dropout(cells.LSTM()), extra=Masks(x=np.ones((B, 2)))), ShapeError,
                                ["extra.x has shape (5, 2), expected (5, 3)"]),
    "a stack's parameters": (spoil(cell=cells.Stack((cells.LSTM(), cells.LSTM()))), ShapeError,
                             ["Stack(LSTM, LSTM): parameters is a dict, expected a tuple of 2"]),
    "three directions": (spoil(cell=cells.Bidirectional((cells.LSTM(),) * 3), p=lambda g: (g.p,) * 3,
                               s=lambda g: (g.s,) * 3), ShapeError, ["3 cells, expected 2"]),
    "dys of another shape": (back(dys=lambda a: a[:-1]), ShapeError, ["dys has shape (6, 5, 4), expected (7, 5, 4)"]),
    "dys in float32": (back(dys=lambda a: a.astype("f4")), DtypeError, ["dys has dtype float32, expected float64"]),
    "ds of another structure": (back(ds=lambda a: a.h), ShapeError, ["ds holds", "['c', 'h']"]),
    "no backward": (spoil(cell=NoBackward()), NotSupported, ["NoBackward", "no backward"]),
    "unknown activation": (calls(lambda: cells.SimpleRNN(activation="tahn")), NotSupported,
                           ["'tahn' is not known", "tanh"]),
    "a function as activation": (calls(lambda: cells.LSTM(gate=np.tanh)), NotSupported, ["not a name", "sigmoid"]),
    "hard_sigmoid": (calls(lambda: cells.GRU(gate="hard_sigmoid")), NotSupported, ["keras2", "keras3", "0.2 x + 0.5"]),
    "alpha for tanh": (calls(lambda: get_activation("tanh", alpha=2.0)), NotSupported, ["'tanh' takes no alpha, 2.0"]),
    "negative clip": (calls(lambda: get_activation("tanh", clip=-1.0)), NotSupported, ["clip=-1.0", "positive"]),
    "unknown reset": (calls(lambda: cells.GRU(reset="between")), NotSupported,
                      ["reset='between'", "'after', 'before'"]),
    "unknown coupling": (calls(lambda: cells.LSTM(coupled=True)), NotSupported, ["coupled=True", "'input', 'forget'"]),
    "coupled forget bias": (calls(lambda: cells.LSTM(coupled="forget", forget_bias=1.0)), NotSupported,
                            ["forget_bias=1.0", "f is 1 - i"]),
    "negative cell_clip": (calls(lambda: cells.LSTM(cell_clip=-0.5)), NotSupported, ["cell_clip=-0.5", "0 or more"]),
    "norm of a GRU's sum": (calls(lambda: GatedCell(Dense("W"), Dense("R"), LayerNormRule(gru.GRURule()))),
                            NotSupported, ["GRU does not see the sum"]),
    "unknown scheme": (calls(lambda: rnnref.init.parameters(cells.GRU(), 1, 1, None, scheme="he")), NotSupported,
                       ["scheme='he'", "'keras', 'torch'"]),
    "unknown layout": (calls(lambda: layout_of("lstm", "paddle")), NotSupported, ["'paddle'", "torch cell"]),
    "to nowhere": (calls(lambda: rnnref.to("tpu", np.ones(1))), NotSupported, ["where='tpu'", "'cpu', 'gpu'"]),
    "their array missing": (calls(lambda: load(layout_of("gru", "torch"), HALF, cell_for("gru", "torch"))), ShapeError,
                            ["bias_ih_l0", "missing"]),
}


@pytest.mark.parametrize("name", CASES)
def test_message(name):
    change, error, pieces = CASES[name]
    g = Given()
    change(g)
    before = {k: np.copy(a) for k, a in leaves((g.p, g.xs, g.s))} if isinstance(g.p, (dict, tuple)) else {}
    with raises_with(error, pieces) as caught:
        tape = g.run()[-1]
        rnnref.run_back(tape)
    assert re.match(r"[\w(),=. ]+: ", str(caught.value)), str(caught.value)
    for k, a in leaves((g.p, g.xs, g.s)):
        if k in before:
            np.testing.assert_array_equal(a, before[k], err_msg=k)


def test_by_hand():
    """A cell called by hand says the same as the loop does, once NumPy has refused."""
    g = Given()
    with pytest.raises(ShapeError, match="transpose"):
        g.cell.forward(g.p | {"W": g.p["W"].T}, g.xs[0], g.s)


def test_both_sides_of_the_bus(cupy):
    g = Given()
    g.xs = cupy.asarray(g.xs)
    with pytest.raises(DeviceError, match='rnnref.to\\("gpu"'):
        g.run()


def as_fortran(a):
    return np.asfortranarray(a)


def as_strided(a):
    return np.repeat(a, 2, axis=-1)[..., ::2]


def as_read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


@pytest.mark.parametrize("form", [as_fortran, as_strided, as_read_only])
@pytest.mark.parametrize("cell", [cells.LSTM(), cells.GRU(reset="before"), cells.SimpleRNN()],
                         ids=["LSTM", "GRU", "RNN"])
def test_odd_memory_is_fine(form, cell):
    """Fortran order, strides and read-only arrays are not bad input."""
    g = Given(cell)
    want = g.run()
    dwant = rnnref.run_back(want[2], np.ones_like(want[0]))
    g.p, g.xs, g.s = rnnref.tree.map_structure(form, (g.p, g.xs, g.s))
    got = g.run()
    dgot = rnnref.run_back(got[2], form(np.ones_like(want[0])))
    rnnref.testing.api.assert_close((*got[:2], dgot), (*want[:2], dwant), "path")


def test_an_empty_batch():
    g = Given()
    g.xs, g.s = g.xs[:, :0], g.cell.zeros(0, U, dtype="float64")
    ys, new, tape = g.run()
    assert ys.shape == (T, 0, U) and new.h.shape == (0, U)
    dxs, ds, _, dp = rnnref.run_back(tape)
    assert dxs.shape == (T, 0, I) and all(not a.any() for a in dp.values())


def test_errors_survive_pickling():
    import pickle
    error = ShapeError("LSTM", "R has shape (1,)", axes="a", hint="")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "LSTM: R has shape (1,)\n  axes   a"
    assert lstm.State(1, 2).h == 1


class Forgetful(cells.Cell):
    """A user's cell whose backward forgets a parameter."""
    def forward(self, p, x, s, extra=None):
        return x * p["a"] + p["b"], s, x

    def backward(self, p, x, dy, dnew):
        return dy * p["a"], dnew, None, {"a": (dy * x).sum(0)}


def test_a_cell_that_forgets_a_gradient():
    p, xs, s = {"a": np.ones(I), "b": np.zeros(I)}, np.ones((T, B, I)), gru.State(np.zeros((B, I)))
    with pytest.raises(ShapeError, match="Forgetful: backward gave gradients of a, expected those of a b"):
        rnnref.run_back(rnnref.run(Forgetful(), p, xs, s)[2])
    with pytest.raises(NotSupported, match="give the first state"):
        rnnref.run(cells.Dropout(Forgetful()), p, xs)


@pytest.mark.parametrize("name", ("SimpleRNN", "LSTM", "GRU"))
def test_a_sequence_without_a_batch_is_refused(name):
    cell = getattr(cells, name)()
    p = rnnref.init.parameters(cell, I, U, np.random.default_rng(0))
    with pytest.raises(ShapeError, match=r"(?s)no axis for the batch.*time comes first.*x\[:, None\]"):
        rnnref.run(cell, p, np.ones((T, I), "float32"))


def articles_by_hand(path):
    """Lines of a module in which a text has "a" or "an" directly before a value."""
    for text in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.JoinedStr)):
        for before, value in zip(text.values, text.values[1:]):
            if isinstance(value, ast.FormattedValue) and isinstance(before, ast.Constant) and re.search(
                    r"\b[Aa]n? $", before.value):
                yield f"{path.name}:{text.lineno} {ast.unparse(text)}"


def test_articles_are_those_of_with_article():
    root = Path(rnnref.__file__).parent
    assert [line for path in sorted(root.rglob("*.py")) for line in articles_by_hand(path)] == []


@pytest.mark.parametrize("call, words", [
    (lambda: rnnref.run(3, {}, np.zeros((1, 1, 1))), "cell is an int"),
    (lambda: rnnref.run(cells.GRU(), None, np.zeros((1, 1, 1))), "parameters is None"),
    (lambda: cells.Stack(cells.LSTM()), "cells is an LSTM"),
    (lambda: rnnref.layers.RNN(rnnref.layers.LSTM(2)), "cell is an LSTM"),
    (lambda: rnnref.layers.RNN(rnnref.layers.GRU(2)), "cell is a GRU"),
    (lambda: rnnref.losses.get(3), "an int, 3"),
    (lambda: rnnref.interop.framework_named(3), "an int as a name"),
    (lambda: rnnref.losses.get(np.zeros(1)), "an ndarray")])
def test_messages_have_the_article_of_the_word(call, words):
    with pytest.raises(rnnref.Error, match=rf"\b{words}\b"):
        call()
