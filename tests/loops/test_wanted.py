"""`run_back(..., wanted=...)`: what is not asked for is None and is not computed, the rest has the same bits."""
from itertools import combinations

import pytest

import rnnref
from rnnref import cells
from rnnref.cell import ALL, vjp
from rnnref.errors import NotSupported
from rnnref.loops.plan import PATHS, REFERENCE_PATHS
from rnnref.testing.api import assert_same
from rnnref.testing.case import Trial, draw_case, masking_options
from rnnref.tree import map_structure
from tests.support import cases
from tests.support.messages import raises_with
from tests.support.products import Counted, count_products

NAMES = "x", "s", "extra", "p"
SUBSETS = [set(names) for n in range(4) for names in combinations(NAMES, n)]


def counted(p):
    return map_structure(lambda a: a.view(Counted), p)


def assert_those_wanted(got, whole, wanted):
    for what, d, full in zip(NAMES, got, whole):
        assert_same(d, full if what in wanted else None, f"d{what}, wanted {wanted}")


@pytest.mark.parametrize("name", cases.CELLS)
def test_the_gradients_that_are_asked_for_have_the_same_bits(name):
    trial = Trial(cases.case(name))
    for choice in ({}, {"paths": ("plain", *PATHS)}):
        tape = trial.case.run(**choice)[1]
        whole = trial.case.run_back(tape, trial.d)
        for wanted in ({"p", "s"}, {"x"}, {"extra", "s"}):
            assert_those_wanted(rnnref.run_back(tape, *trial.d, wanted=wanted), whole, wanted)


@pytest.mark.parametrize("name, padding", [
    *((name, padding) for name in ("LSTM", "Attention", "Dropout, masks of every step")
      for padding in ("zero", "repeat", "free")), ("Bidirectional", "zero"), ("Bidirectional", "repeat")])
def test_every_choice_of_gradients_with_padding(name, padding):
    case = cases.case(name)
    case = type(case)(**{**vars(case), **masking_options(case.size)["lengths"], "padding": padding})
    trial = Trial(case)
    whole, tape = trial.plain[1], trial.forward[1]
    for wanted in SUBSETS:
        assert_those_wanted(rnnref.run_back(tape, *trial.d, wanted=wanted), whole, wanted)


T = 6
# cell, how many products go with each step back, with the gradients of the weights, with that of x
COUNTS = {"plain rnn": (cells.SimpleRNN(), 1, 2, 1), "lstm": (cells.LSTM(), 1, 2, 1), "gru": (cells.GRU(), 1, 2, 1),
          "gru before": (cells.GRU(reset="before"), 2, 3, 1), "projected": (cells.LSTM(projection=4), 2, 3, 1)}


@pytest.mark.parametrize("name", COUNTS)
def test_products_that_no_gradient_needs_are_not_made(name):
    cell, steps, of_weights, of_x = COUNTS[name]
    case = draw_case(cell, n_in=3, units=4, steps=T)
    ys, new, tape = rnnref.run(cell, counted(case.p), case.xs.view(Counted), case.s, paths=REFERENCE_PATHS)
    for wanted in SUBSETS + [ALL]:
        expected = T * steps + of_weights * ("p" in wanted) + of_x * ("x" in wanted)
        assert count_products(lambda: rnnref.run_back(tape, ys, wanted=wanted)) == expected, wanted


@pytest.mark.parametrize("recompute", [False, True])
def test_the_plain_loop_leaves_them_out_at_every_step(recompute):
    case = draw_case(cells.LSTM(), n_in=3, units=4, steps=T)
    ys, new, tape = rnnref.run(case.cell, counted(case.p), case.xs, case.s, paths=("plain",), recompute=recompute)
    again = 2 * T * recompute
    for wanted, each in ((ALL, 4), ({"p", "s"}, 3), ({"x"}, 2), ((), 1)):
        assert count_products(lambda: rnnref.run_back(tape, ys.view(Counted), wanted=wanted)) == T * each + again


def test_a_stack_needs_the_gradients_between_its_layers():
    cell = cells.Stack((cells.LSTM(), cells.LSTM()))
    case = draw_case(cell, n_in=3, units=4, steps=T)
    for paths in (("layerwise", "hoisted"), ("plain",)):
        ys, new, tape = rnnref.run(cell, case.p, case.xs.view(Counted), case.s, paths=paths)
        whole, without = (count_products(lambda: rnnref.run_back(tape, ys.view(Counted), wanted=wanted))
                          for wanted in (ALL, ("s", "p")))
        assert whole - without == (1 if paths[0] == "layerwise" else T)


def test_a_single_step():
    case = draw_case(cells.LSTM(), n_in=3, units=4)
    (y, new), back = vjp(case.cell, case.p, case.xs[0].view(Counted), case.s)
    whole = back(y, new)
    for wanted in SUBSETS:
        assert count_products(lambda: back(y, new, wanted)) == 1 + 2 * ("p" in wanted) + ("x" in wanted)
        for what, d, all_d in zip(("x", "s", "extra", "p"), back(y, new, wanted), whole):
            assert_same(d, all_d if what in wanted else None)


def test_a_name_that_there_is_not_is_refused():
    case = draw_case(cells.GRU())
    tape = case.run()[1]
    with raises_with(NotSupported, ["GRU", "wanted='weights'", "'x', 's', 'extra', 'p'"]):
        rnnref.run_back(tape, wanted=("p", "weights"))
    assert rnnref.run_back(tape, wanted="x")[3] is None
