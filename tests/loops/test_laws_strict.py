"""The laws with every array a strict double of CuPy's: nothing is converted, mixed, or copied to the host."""
from dataclasses import replace

import pytest

from rnnref.loops.run import run, run_back
from rnnref.testing.case import Trial, masking_options
from rnnref.testing.laws import LAWS, check_law
from rnnref.tree import to
from tests.support import strict
from tests.support.cases import ACTIVATION_CELLS, BREAKS, CELLS, B, T, case
from tests.support.on_device import assert_nothing_is_copied

WAYS = masking_options((T, B))
SETTINGS = ("lengths", True), ("holes", False)
ALL = [(name, *way) for name in CELLS for way in (SETTINGS[:1] if name in ACTIVATION_CELLS else SETTINGS)]


@pytest.fixture(autouse=True)
def double():
    with strict.install() as cupy:
        yield cupy


def on_device(name, where, **options):
    return replace(case(name), **WAYS[where], **options, device="gpu")


@pytest.mark.parametrize("name, where, reverse", ALL)
def test_laws(name, where, reverse):
    trial = Trial(on_device(name, where, reverse=reverse))
    for number in LAWS:
        # differences take most of the time: in one setting, because every bit is known to be NumPy's (below)
        if number not in BREAKS.get(name, ()) and (number != 2 or where == "holes"):
            check_law(trial, number)


@pytest.mark.parametrize("padding", ("repeat", "free"))
@pytest.mark.parametrize("name", ("LSTM, peepholes", "GRU before", "Stack", "Dropout, masks of every step"))
def test_laws_past_the_end(name, padding):
    trial = Trial(on_device(name, "lengths", padding=padding))
    for number in LAWS:
        check_law(trial, number)


@pytest.mark.parametrize("name, where", [(name, where) for name in CELLS for where in WAYS
                                         if where == "lengths" or name not in ACTIVATION_CELLS])
def test_nothing_is_copied_and_every_bit_is_that_of_numpy(name, where):
    assert_nothing_is_copied(replace(case(name), **WAYS[where]))


def test_lengths_of_the_host_are_taken_along_once(double):
    one = on_device("LSTM", "lengths")
    p, xs, s = to("gpu", (one.p, one.xs, one.s))
    strict.counts.clear()
    run(one.cell, p, xs, s, lengths=one.lengths.tolist())
    assert strict.counts == {"asarray": 1, "item": 1}


def test_a_first_state_is_made_where_the_inputs_are(double):
    one = on_device("Bidirectional, stacks", "everywhere")
    p, xs = to("gpu", (one.p, one.xs))
    strict.counts.clear()
    ys, _, tape = run(one.cell, p, xs)
    run_back(tape)
    assert not strict.counts and all(isinstance(y, double.ndarray) for y in ys)
