"""What `run`, `run_back`, `init.parameters` and `zeros` cannot take is refused by an error that names it."""
import numpy as np
import pytest

from rnnref import Error, Record, cells, init, layers, run, run_back
from rnnref.testing.api import assert_same
from tests.support.cases import case
from tests.support.cases_cells import MORE

CELL, X = cells.LSTM(), np.ones((5, 2, 3), "float32")
P = init.parameters(CELL, 3, 4, np.random.default_rng(0))
H = np.zeros((2, 4), "float32")


def recorded():
    with Record() as record:
        return run(CELL, P, record.leaf(X))


# what: (a call, words of the error)
CALLS = {
    "the function": (lambda: run(cells.LSTM, P, X), ["cell", "LSTM(...)"]),
    "a name": (lambda: run("LSTM", P, X), ["rnnref.cells.LSTM()"]),
    "a class": (lambda: run(cells.Stack, P, X), ["cell", "Stack(...)"]),
    "a layer": (lambda: run(layers.LSTM(4), P, X), ["cell is an LSTM", "layer(x)"]),
    "no cell": (lambda: run(None, P, X), ["cell is None"]),
    "no parameters": (lambda: run(CELL, None, X), ["parameters is None"]),
    "parameters in a list": (lambda: run(CELL, list(P.values()), X), ["parameters is a list", "W b R"]),
    "no W": (lambda: run(CELL, {n: a for n, a in P.items() if n != "W"}, X), ["W missing"]),
    "W is None": (lambda: run(CELL, P | {"W": None}, X), ["W is None"]),
    "x without a batch": (lambda: run(CELL, P, X[:, 0]), ["x", "axes"]),
    "x of no steps": (lambda: run(CELL, P, X[:0]), ["x", "no steps"]),
    "x in lists": (lambda: run(CELL, P, X.tolist()), ["x is a list", "numpy.asarray"]),
    "a number": (lambda: run(CELL, P, 3.0), ["x is a float"]),
    "strings": (lambda: run(CELL, P, X.astype(str)), ["x has dtype <U"]),
    "objects": (lambda: run(CELL, P, X.astype(object)), ["x has dtype object"]),
    "complex numbers": (lambda: run(CELL, P, X.astype(complex)), ["x has dtype complex"]),
    "a masked array": (lambda: run(CELL, P, np.ma.masked_array(X)), ["x is a MaskedArray", "mask="]),
    "a recorded value": (recorded, ["x is a Value", "layers.RNN"]),
    "x in float64": (lambda: run(CELL, P, X.astype("float64")), ["x has dtype float64", 'x.astype("float32")']),
    "x of seven inputs": (lambda: run(CELL, P, np.ones((5, 2, 7), "f")), ["x has shape (5, 2, 7), expected 3 inputs"]),
    "states in a tuple": (lambda: run(CELL, P, X, (H, H)), ["state", "State(h, c)"]),
    "one state": (lambda: run(CELL, P, X, H), ["state", "State(h, c)"]),
    "ragged lengths": (lambda: run(CELL, P, X, lengths=[[1], [2, 3]]), ["lengths"]),
    "floating lengths": (lambda: run(CELL, P, X, lengths=[1.0, 2.0]), ["lengths", "integers"]),
    "long lengths": (lambda: run(CELL, P, X, lengths=[6, 1]), ["lengths", "0 to 5"]),
    "too many lengths": (lambda: run(CELL, P, X, lengths=[1, 1, 1]), ["lengths", "(2,)"]),
    "one length": (lambda: run(CELL, P, X, lengths=3), ["lengths", "(2,)"]),
    "words": (lambda: run(CELL, P, X, lengths=["a", "b"]), ["lengths"]),
    "a mask of numbers": (lambda: run(CELL, P, X, mask=np.ones((5, 2))), ["mask", "bool"]),
    "a transposed mask": (lambda: run(CELL, P, X, mask=np.ones((2, 5), bool)), ["mask", "mask.T"]),
    "reverse": (lambda: run(CELL, P, X, reverse="False"), ["reverse='False'"]),
    "keep": (lambda: run(CELL, P, X, keep=1), ["keep=1"]),
    "recompute": (lambda: run(CELL, P, X, recompute=None), ["recompute=None"]),
    "kernels": (lambda: run(CELL, P, X, kernels="no"), ["kernels='no'"]),
    "one path": (lambda: run(CELL, P, X, paths="plain"), ["paths='plain'", "('plain',)"]),
    "an unknown path": (lambda: run(CELL, P, X, paths=("fast",)), ["paths='fast'"]),
    "an unknown mode": (lambda: run(CELL, P, X, mode="abc"), ["mode='abc'"]),
    "padding": (lambda: run(CELL, P, X, padding="none"), ["padding='none'"]),
    "extra": (lambda: run(CELL, P, X, extra=H), ["extra"]),
    "a misspelt name": (lambda: run(CELL, P, X, length=[1, 1]), ["length", "did you mean lengths?"]),
    "a misspelt name, back": (lambda: run_back(run(CELL, P, X)[2], want=("p",)), ["did you mean wanted?"]),
    "x left out": (lambda: run(CELL, P), ["run", "xs"]),
    "back through nothing": (lambda: run_back(None), ["tape"]),
    "back through outputs": (lambda: run_back(X), ["tape is an ndarray"]),
    "dys in a list": (lambda: run_back(run(CELL, P, X)[2], [1.0]), ["dys is a list"]),
    "a number for rng": (lambda: init.parameters(CELL, 3, 4, 0), ["rng is 0", "default_rng(0)"]),
    "no rng": (lambda: init.parameters(CELL, 3, 4), ["rng"]),
    "no sizes": (lambda: init.parameters(CELL), ["n_in"]),
    "units in words": (lambda: init.parameters(CELL, 3, "4", np.random.default_rng(0)), ["units='4'"]),
    "no units": (lambda: init.parameters(CELL, 3, 0, np.random.default_rng(0)), ["units=0"]),
    "half an input": (lambda: init.parameters(CELL, 2.5, 4, np.random.default_rng(0)), ["n_in=2.5"]),
    "NaN inputs": (lambda: init.parameters(CELL, float("nan"), 4, np.random.default_rng(0)), ["n_in=nan"]),
    "fewer than no inputs": (lambda: init.parameters(CELL, -1, 4, np.random.default_rng(0)), ["n_in=-1"]),
    "inputs left open": (lambda: init.parameters(CELL, None, 4, np.random.default_rng(0)), ["n_in is None"]),
    "of a function": (lambda: init.parameters(cells.LSTM, 3, 4, np.random.default_rng(0)), ["cell", "LSTM(...)"]),
    "an integer dtype": (lambda: init.parameters(CELL, 3, 4, np.random.default_rng(0), "int32"), ["dtype='int32'"]),
    "no dtype": (lambda: init.parameters(CELL, 3, 4, np.random.default_rng(0), "float99"), ["dtype='float99'"]),
    "fewer than no rows": (lambda: CELL.zeros(-1, 4), ["batch=-1"]),
    "zeros of no units": (lambda: CELL.zeros(2, 0), ["units=0"]),
    "units of a half": (lambda: CELL.zeros(2, 2.5), ["units=2.5"]),
}


@pytest.mark.parametrize("what", CALLS)
def test_refused_by_name(what):
    call, words = CALLS[what]
    with pytest.raises(Error) as e:
        call()
    assert all(word in str(e.value) for word in words), str(e.value)


# on every cell: arguments that none can take
SPOILT = {
    "parameters": lambda one: {"p": None}, "a list of parameters": lambda one: {"p": [1]},
    "other parameters": lambda one: {"p": {"K": H}}, "x": lambda one: {"xs": None},
    "x in a list": lambda one: {"xs": [1]}, "words": lambda one: {"xs": np.array([["a"]])},
    "a state in a list": lambda one: {"s": [1]},
    "a state that is a number": lambda one: {"s": 0.0}, "another state": lambda one: {"s": (H, H, H, H, H, H, H)},
    "lengths": lambda one: {"lengths": "all"}, "a mask": lambda one: {"mask": 1},
}


@pytest.mark.parametrize("what", SPOILT)
@pytest.mark.parametrize("name", MORE)
def test_every_cell_refuses_what_none_takes(name, what):
    one = case(name)
    given = {"p": one.p, "xs": one.xs, "s": one.s, "extra": one.extra} | SPOILT[what](one)
    with pytest.raises(Error):
        run(one.cell, **given)


def test_saturated_gates_warn_of_nothing():
    """Warnings are errors here: not one of NumPy leaves `run` and `run_back` of ordinary arguments."""
    for name in ("LSTM", "GRU", "SimpleRNN", "UGRNN", "CFN", "MGU", "LayerNormLSTM", "MinimalRNN"):
        cell = getattr(cells, name)()
        for dtype in ("float16", "float32", "float64"):
            p = init.parameters(cell, 3, 4, np.random.default_rng(0), dtype)
            for size in (1e-3, 1.0, 1e3):
                ys, new, tape = run(cell, p, (size * np.random.default_rng(1).normal(size=(5, 2, 3))).astype(dtype))
                run_back(tape, np.ones_like(ys))


def test_every_argument_may_be_given_by_name():
    """By the names of the signature and by no other, whatever is wrapped around `run`."""
    s = CELL.zeros(2, 4)
    want = run(CELL, P, X, s)
    found = run(xs=X, p=P, cell=CELL, s=s)
    assert_same(found[:2], want[:2])
    assert_same(run_back(ds=s, dys=found[0], tape=found[2]), run_back(want[2], want[0], s))
    for call in (lambda name: run(**{name: CELL}, p=P, xs=X), lambda name: run_back(**{name: want[2]})):
        for name in ("what", "f", "first"):
            with pytest.raises(Error, match=f"no argument is called {name}"):
                call(name)
