"""Laws 1 to 9 for every case, in every way that its sequences may lie, and law 11."""
from dataclasses import replace

import pytest

import rnnref
from rnnref.cells import TwoStage
from rnnref.testing.case import Trial, masking_options
from rnnref.testing.laws import LAWS, LawViolation, check_law
from rnnref.wrappers.stack import Bidirectional, Stack
from tests.support.cases import ACTIVATION_CELLS, BREAKS, CELLS, B, T, assert_parameters_as_stored, case

WAYS = masking_options((T, B))
NAMES = [name for name in CELLS if name not in ACTIVATION_CELLS]      # one function of one number is soon tried
ALL = [(name, where, reverse) for name in NAMES for where in WAYS for reverse in (False, True)]
ALL += [(name, *way) for name in ACTIVATION_CELLS for way in (("everywhere", False), ("holes", True))]


def trial(name, where="everywhere", **options):
    return Trial(replace(case(name), **WAYS[where], **options))


def held(one, breaks=()):
    for number in LAWS:
        if number not in breaks:
            check_law(one, number)


@pytest.mark.parametrize("name, where, reverse", ALL)
def test_laws(name, where, reverse):
    one = trial(name, where, reverse=reverse)
    held(one, BREAKS.get(name, ()))
    assert any("hoisted" in ran for ran in one.choices) == gated(one.case.cell)


def gated(cell):
    """Whether the products can be taken out of the loop: no law holds for a path that silently did not run."""
    return any(map(gated, cell.cells)) if isinstance(cell, (Bidirectional, Stack)) else isinstance(cell, TwoStage)


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_on_purpose_is_broken(name):
    for number in BREAKS[name]:
        for where in WAYS:
            with pytest.raises(LawViolation, match=f"law {number} "):
                check_law(trial(name, where), number)


@pytest.mark.parametrize("where, padding, reverse", (("lengths", "repeat", True), ("holes", "repeat", False),
                                                     ("lengths", "free", False), ("lengths", "free", True)))
@pytest.mark.parametrize("name", NAMES)
def test_laws_past_the_end(name, where, padding, reverse):
    one = trial(name, where, padding=padding, reverse=reverse)
    if padding == "free" and isinstance(one.case.cell, Bidirectional):
        with pytest.raises(rnnref.NotSupported, match="two directions"):
            one.case.run()
    else:
        held(one, BREAKS.get(name, ()))


def test_names_and_shapes_of_parameters():
    """Law 11: files that users have saved must always load."""
    assert_parameters_as_stored()
