"""rnnref.testing as its users meet it: what comparisons say, what check_cell takes, what strategies draw."""
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings

import rnnref
from rnnref import Record
from rnnref.cells import GRU, LSTM, Bidirectional, Cell, Dropout, Masks, Stack
from rnnref.check.tolerance import TABLE, tolerance
from rnnref.testing import api
from rnnref.testing.api import LawViolation, Mismatch, assert_close, assert_same, check_case, check_cell
from rnnref.tree import PerStep
from rnnref.values import Value
from tests.support import strict
from tests.support.damaged_cells import Leaky, State

few = settings(max_examples=15)
ONE = np.array([[0.5, -0.25], [0.0, 1.0]])


class Pair(NamedTuple):
    a: Any; b: Any


def two_entries():
    with Record() as record:
        np.tanh(record.leaf(ONE)).sum()
    return record


def said(f, *args, **options):
    with pytest.raises(Mismatch) as caught:
        f(*args, **options)
    return str(caught.value)


@pytest.mark.parametrize("compare", (assert_same, assert_close))
@pytest.mark.parametrize("got, want, says", (
    ({"W": ONE}, (ONE,), "result: a dict, expected a tuple"),
    ((ONE, ONE), Pair(ONE, ONE), "result: a tuple, expected a tests Pair"),
    ({"W": ONE}, {"W": ONE, "b": ONE}, "result: holds ['W'], expected ['W', 'b']"),
    ({"p": {"W": ONE, "b": ONE}}, {"p": {"W": ONE}}, "p: holds ['W', 'b'], expected ['W']"),
    ((ONE,), (ONE, ONE), "result: holds [0], expected [0, 1]"),
    ({"W": None}, {"W": ONE}, "W: None, expected a numpy ndarray"),
    ({"W": ONE}, {"W": None}, "W: a numpy ndarray, expected None"),
    ({"W": 1.0}, {"W": ONE}, "W: a float, expected a numpy ndarray"),
    (ONE[0, 0], ONE[0], "result: a numpy float64, expected a numpy ndarray"),
    (ONE, PerStep(ONE), "result: a numpy ndarray, expected a rnnref PerStep"),
    (ONE.astype("float32"), ONE, "result: dtype float32, expected float64"),
    (Pair(ONE, ONE[:1]), Pair(ONE, ONE), "b: shape (1, 2), expected (2, 2)"),
    (PerStep(ONE.T[:1]), PerStep(ONE), "result: shape (1, 2), expected (2, 2)"),
    ({"n": np.array([1, 2])}, {"n": np.array([1, 3])}, "n[1]: 2, expected 3"),
    ((Value(ONE, 1),), (Value(ONE * [[1], [2]], 1),), "0[1, 1]: 1.0, expected 2.0"),
    ({"r": Record()}, {"r": two_entries()}, "r: 0, expected 2"),
    ({"live": np.array([True])}, {"live": np.array([False])}, "live[0]: True, expected False"),
    (np.array([np.nan, 1]), np.array([0.0, 1]), "result[0]: nan, expected 0.0"),
    (np.array([1.0, 1]), np.array([np.nan, 1]), "result[0]: 1.0, expected nan"),
    (np.array([np.inf]), np.array([-np.inf]), "result[0]: inf, expected -inf"),
    (np.array(1.5), np.array(2.5), "result: 1.5, expected 2.5"),
    ({"x": 1.5}, {"x": 2.5}, "x: 1.5, expected 2.5"),
))
def test_what_differs_is_named(compare, got, want, says):
    assert said(compare, got, want).startswith(says)


def test_an_array_of_the_gpu_is_not_one_of_the_host():
    with strict.install() as cupy:
        assert_same(cupy.asarray(ONE), cupy.asarray(ONE))
        assert said(assert_same, cupy.asarray(ONE), ONE).startswith("result: a cupy ndarray, expected a numpy ndarray")
        assert said(assert_close, cupy.asarray(ONE), cupy.asarray(ONE + 1)).startswith("result[")


def test_the_worst_entry_of_all_is_named():
    want = {"W": ONE, "b": ONE}
    message = said(assert_close, {"W": ONE + 1e-9, "b": ONE + [[0, 0], [1e-6, 0]]}, want)
    assert message == ("b[1, 0]: 1e-06, expected 0.0\n  error  1.0e-06, allowed 1.0e-13 (output, float64)\n"
                       "  worst  of 1 in 4 entries that differ")


def test_same_means_bits_and_close_does_not():
    assert_same(np.array([np.nan, -0.0]), np.array([np.nan, -0.0]))
    assert "to the bit" in said(assert_same, np.array([0.0]), np.array([-0.0]))
    assert "to the bit" in said(assert_same, ONE, np.nextafter(ONE, 2))
    assert_close(np.array([0.0, np.inf, np.nan]), np.array([-0.0, np.inf, np.nan]))
    assert_close({"dW": np.array([0.0])}, {"dW": np.array([-0.0])}, "gradient")
    assert_close(ONE, np.nextafter(ONE, 2))
    assert_same({}, {})
    assert_same(ONE[:0], ONE[:0])


@pytest.mark.parametrize("arithmetic", ("float64", "float32", "longdouble"))
@pytest.mark.parametrize("operation", ("output", "steep", "gradient", "path"))
def test_close_is_what_the_table_says(operation, arithmetic):
    most = tolerance(operation, arithmetic)
    for size in (1.0, 64.0):                      # beyond 1 the number is relative to the largest entry of the array
        want = np.array([size, 0], arithmetic)
        assert_close(want + np.array([0, most * size / 2], arithmetic), want, operation)
        said(assert_close, want + np.array([0, most * size * 2], arithmetic), want, operation)


def test_gradients_are_relative_to_the_largest():
    want = {"dW": np.array([100.0]), "db": np.array([1e-9]), "dR": np.array([50.0])}
    most = tolerance("gradient", "float64")
    assert_close(want | {"db": want["db"] + 9 * most}, want, "gradient")
    said(assert_close, want | {"db": want["db"] + 11 * most}, want, "gradient")
    said(assert_close, want | {"dR": want["dR"] + 51 * most}, want, "gradient")
    said(assert_close, {"db": want["db"] + most}, {"db": want["db"]}, "gradient")


def test_the_arithmetic_may_be_another_than_the_dtype():
    assert_close(ONE + tolerance("output", "float32") / 2, ONE, arithmetic="float32")
    assert "(output, tf32)" in said(assert_close, ONE + 1, ONE, arithmetic="tf32")


def test_the_table_of_tolerances():
    assert tolerance("output", np.float32) == tolerance("output", "float32") == TABLE["float32"].output
    assert tolerance("storage", "float16") and tolerance("difference", "float64")
    for operation, arithmetic, says in (("outputs", "float32", "known  output, steep"), ("difference", "float32",
                                        "no tolerance is defined"), ("output", "int64", "known  longdouble, float64")):
        with pytest.raises(rnnref.NotSupported, match=says):
            tolerance(operation, arithmetic)


@dataclass(frozen=True)
class Bare(Cell):
    """No shapes and no zeros: what it needs is given."""

    def forward(self, p, x, s, extra=None):
        y = x * p["a"] + s[0] * p["b"]
        return y, (y,), (x, s[0])

    def backward(self, p, kept, dy, dnew):
        x, h = kept
        d = dy + dnew[0]
        return d * p["a"], (d * p["b"],), None, {"a": (d * x).sum(0), "b": (d * h).sum(0)}


def test_check_cell_takes_what_is_given_and_draws_the_rest():
    rng = np.random.default_rng(0)
    p, s = {"a": rng.normal(size=3), "b": rng.normal(size=3)}, (rng.normal(size=(5, 3)),)
    held = check_cell(Bare(), p, s)
    assert held.cell == "Bare" and held.settings == 8 and held.paths == ("plain",)
    check_cell(Bare(), p, s, rng.normal(size=(7, 5, 3)).astype("float32"))
    assert "laws 1 2 3 4 5 6 7 8 9 hold in 8 settings" in str(held)
    check_cell(Leaky(), xs=rng.normal(size=(4, 2, 3)), units=6)
    check_cell(Leaky(), s=State(rng.normal(size=(2, 4))), n_in=2)
    check_cell(Leaky(), n_in=1, units=1, steps=1, batch=1)
    check_cell(Dropout(Leaky()), extra=Masks(x=PerStep(rng.normal(size=(5, 4, 3))), h=rng.normal(size=(4, 4))))
    assert "bidirectional, 0 sequence, 1 plain" in check_cell(Bidirectional((LSTM(), Leaky()))).paths
    assert check_cell(Stack((Leaky(), GRU(), Leaky()))).cell == "Stack(Leaky, GRU, Leaky)"


def test_what_is_given_is_not_changed():
    rng = np.random.default_rng(0)
    p = {"W": rng.normal(size=(3, 4)), "R": rng.normal(size=(4, 4))}
    before = {name: a.copy() for name, a in p.items()}
    check_cell(Leaky(), p)
    assert_same(p, before)
    assert all(a.flags.writeable for a in p.values())


@pytest.mark.parametrize("options, error, says", (
    ({}, rnnref.NotSupported, "Bare: no parameters given, and the cell has no shapes()\n  fix    give p"),
    ({"p": {}}, rnnref.NotSupported, "Bare: no state given, and the cell has no zeros()\n  fix    give s"),
    ({"laws": (10,)}, rnnref.NotSupported, "law 10\n  known  1: the state keeps"),
    ({"breaks": {0: "why"}}, rnnref.NotSupported, "law 0"),
))
def test_what_check_cell_cannot_do_is_refused(options, error, says):
    with pytest.raises(error) as caught:
        check_cell(Bare() if "laws" not in options else Leaky(), **options)
    assert says in str(caught.value)


def test_arguments_that_do_not_fit_are_no_broken_law():
    with pytest.raises(rnnref.ShapeError, match="W has shape"):
        check_cell(LSTM(), {"W": np.ones((3, 9)), "R": np.ones((4, 16)), "b": np.ones(16)},
                   rnnref.cells.LSTM().zeros(4, 4))


def test_a_law_may_be_broken_on_purpose_but_not_in_vain():
    reason = {2: "straight through, as TF's block kernels have it"}
    held = check_cell(LSTM(cell_clip=0.2, cell_clip_gradient="through"), breaks=reason)
    assert held.broken == reason and 2 not in held.laws and "law 2 is broken on purpose: straight" in str(held)
    with pytest.raises(LawViolation, match="law 2 .* holds, but is declared broken"):
        check_cell(LSTM(), breaks=reason)


def test_check_cell_on_the_device():
    with strict.install():
        assert check_cell(LSTM(), device="gpu").paths == ("hoisted", "plain")
        with pytest.raises(LawViolation, match="law 3 .*TypeError"):
            check_cell(Leaky(), device="gpu")     # np.tanh where namespace(x).tanh belongs


@few
@given(api.cases(Leaky(), api.shapes(T=4, B=3)))
def test_cases_hold_for_a_cell_of_a_user(case):
    assert case.size[0] <= 4 and case.size[1] <= 3
    check_case(case)


def test_strategies_reach_what_matters():
    for holds in (lambda c: c.lengths is not None and (c.lengths == 0).any() and (c.lengths == c.size[0]).any(),
                  lambda c: c.mask is not None and (c.mask[:-2] & ~c.mask[1:-1] & c.mask[2:]).any(),
                  lambda c: c.live is None and c.reverse, lambda c: c.size == (1, 1)):
        assert find(api.cases(Leaky()), holds, settings=settings(few, max_examples=500, phases=(Phase.generate,)))


@few
@given(api.lengths(5, 3), api.masks(5, 3), api.maskings(5, 3))
def test_strategies_draw_what_run_takes(lengths, mask, where):
    assert lengths.dtype.kind == "i" and lengths.shape == (3,) and 0 <= lengths.min() <= lengths.max() <= 5
    assert mask.dtype == bool and mask.shape == (5, 3)
    assert where.keys() <= {"lengths", "mask"} and len(where) <= 1


def test_without_hypothesis_the_pip_command_is_named(monkeypatch):
    import sys
    monkeypatch.setitem(sys.modules, "hypothesis.strategies", None)
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(rnnref.MissingExtra, match="pip install hypothesis; or in a clone"):
        api.shapes()
