"""A law is trusted once it has been seen to fail: damage of every kind, and the law that names it."""
import re
import sys
from dataclasses import replace

import numpy as np
import pytest

from rnnref.cell import GatedCell
from rnnref.cells import GRU, LSTM, Bidirectional, Dropout
from rnnref.loops import bidirectional
from rnnref.maps.dense import Dense
from rnnref.rules import lstm
from rnnref.testing.api import LawViolation, check_case, check_cell
from rnnref.testing.case import masking_options
from tests.support import cases, strict
from tests.support.damaged_cells import CELLS, KnowsItsRow, Leaky, NoGradientOfMemory
from tests.support.damaged_core import (CORE, MASKS, a_value_is_asked_for, no_gradient_of_bias, numpy_by_name,
                                        zeros_of_the_host)
from tests.support.on_device import assert_nothing_is_copied


def broken(number, says, *args, **options):
    with pytest.raises(LawViolation) as caught:
        check_cell(*args, **options)
    message = str(caught.value)
    assert re.match(rf"\S.*: law {number} \(", message) and says in message, message
    assert "\n  where" in message
    return message


def test_the_cell_before_the_damage():
    held = check_cell(Leaky())
    assert held.laws == tuple(range(1, 10)) and 0 < held.gradient and held.paths == ("plain",)
    check_cell(Leaky(), extra=np.ones((4, 4)) / 3)


@pytest.mark.parametrize("damaged", CELLS, ids=lambda cell: cell.__name__)
def test_damage_in_a_cell(damaged):
    number, says = CELLS[damaged]
    broken(number, says, damaged(), extra=np.ones((4, 4)) / 3 if damaged is NoGradientOfMemory else None)


def test_a_row_that_knows_its_place_is_seen_by_the_order_of_rows():
    broken(8, "rows in another order: ", KnowsItsRow(), laws=(8,))


@pytest.mark.parametrize("damage, cell, number, says", CORE, ids=[f"{d.__name__}-{n}" for d, _, n, _ in CORE])
def test_damage_in_the_core(damage, cell, number, says, monkeypatch):
    options = {"extra": MASKS} if isinstance(cell, Dropout) else {}
    check_cell(cell, laws=(number,), **options)
    damage(monkeypatch)
    broken(number, says, cell, **options)


def test_what_is_wrong_and_what_is_right(monkeypatch):
    no_gradient_of_bias(monkeypatch)
    message = broken(2, "dp.b: ", LSTM())
    assert "\n  wrong  dp.b\n  right  dxs, ds.h, ds.c, dp.W, dp.R\n" in message


def test_the_gradient_of_a_repeated_output_is_held_to_account(monkeypatch):
    one = replace(cases.case("LSTM"), **masking_options((cases.T, cases.B))["holes"], padding="repeat")
    check_case(one)
    monkeypatch.setattr(sys.modules["rnnref.loops.run"], "drepeat", lambda dys, live, reverse: dys)
    with pytest.raises(LawViolation, match="law 2 "):
        check_case(one)


def test_what_runs_on_past_the_end_is_held_to_account(monkeypatch):
    one = replace(cases.case("GRU"), **masking_options((cases.T, cases.B))["lengths"], padding="free")
    check_case(one)
    monkeypatch.setattr(sys.modules["rnnref.loops.run"], "Tape", forgetful(sys.modules["rnnref.loops.run"].Tape))
    with pytest.raises(LawViolation, match="law 2 "):
        check_case(one)


def forgetful(Tape):                              # of the tape of the cell running on
    class Forgetful(Tape):
        def __new__(cls, *fields):
            return super().__new__(cls, *fields)._replace(tail=None)
    return Forgetful


def test_one_of_two_directions_is_held_to_account(monkeypatch):
    monkeypatch.setattr(bidirectional, "add", lambda ahead, back: ahead)
    broken(2, "right  ds.0.h, ds.0.c, ds.1.h, dp.0.W", Bidirectional((LSTM(), GRU())))


def test_names_of_parameters_are_held_to_account(monkeypatch):
    monkeypatch.setitem(cases.CELLS, "LSTM", (GatedCell(Dense("kernel", "b"), Dense("R"), lstm.LSTMRule()), None))
    with pytest.raises(AssertionError, match="python -m tests.support.cases"):
        cases.assert_parameters_as_stored()


@pytest.mark.parametrize("damage, says", ((numpy_by_name, "TypeError"), (zeros_of_the_host, "TypeError")))
def test_damage_that_a_gpu_would_see(damage, says, monkeypatch):
    one = replace(cases.case("SimpleRNN tanh"), **masking_options((cases.T, cases.B))["holes"])
    damage(monkeypatch)
    check_case(one, laws=(8,))                    # at home nothing is wrong
    with strict.install(), pytest.raises(LawViolation, match=f"law 8 .*{says}"):
        check_case(replace(one, device="gpu"), laws=(8,))


def test_a_value_that_is_asked_for_is_counted(monkeypatch):
    a_value_is_asked_for(monkeypatch)
    with strict.install(), pytest.raises(AssertionError):
        assert_nothing_is_copied(replace(cases.case("SimpleRNN tanh"), **masking_options((cases.T, cases.B))["holes"]))
