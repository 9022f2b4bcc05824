"""Options of cells and wrappers are given by name: errors of calls that do not fit, over all public cells."""
import inspect
from types import ModuleType

import numpy as np
import pytest

import rnnref
from rnnref import NotSupported, cells, maps, rules, wrappers
from rnnref.cells import CATALOG, EXAMPLES

ABSTRACT = {"Cell", "TwoStage", "Wrapper", "ParametricWrapper", "MultiCell"}
PARTS = {"GatedCell": ["inputs", "recurrent", "rule"]}       # made of maps and a rule, in this order


def is_cell(thing):
    return inspect.isfunction(thing) or inspect.isclass(thing) and issubclass(thing, cells.Cell)


PUBLIC = {name: getattr(module, name) for module in (cells, wrappers) for name in module.__all__
          if is_cell(getattr(module, name)) and name not in ABSTRACT}


def options_of(make):
    """Names of the options; the other parameters are the parts, which may be given by position."""
    kinds = {name: p.kind for name, p in inspect.signature(make).parameters.items()}
    assert {*kinds.values()} <= {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    return [name for name, kind in kinds.items() if kind is inspect.Parameter.KEYWORD_ONLY]


def parts_of(make):
    return [name for name in inspect.signature(make).parameters if name not in options_of(make)]


def refusal(make, *args, **options):
    with pytest.raises(NotSupported) as e:
        make(*args, **options)
    return str(e.value)


def test_the_whole_catalog_is_public():
    assert CATALOG.keys() <= PUBLIC.keys() and len(PUBLIC) > 40


@pytest.mark.parametrize("name", PUBLIC)
def test_only_parts_are_positional(name):
    assert parts_of(PUBLIC[name]) in ([], ["cell"], ["cells"], PARTS.get(name))


@pytest.mark.parametrize("name", sorted(PUBLIC.keys() - PARTS.keys()))
def test_units_by_position_are_refused(name):
    make, parts = PUBLIC[name], parts_of(PUBLIC[name])
    if not parts:
        message = refusal(make, 64)
        assert message.startswith(f"{name}: 64 is given by position")
        assert "units are given to init.parameters(cell, n_in, units, rng)" in message
    else:
        assert refusal(make, 64).startswith(f"{name}: {parts[0]}")
        message = refusal(make, cells.LSTM(), 64)
        assert message.startswith(f"{name}: 64 is given by position") and f"{name}(" in message.splitlines()[1]


@pytest.mark.parametrize("name", sorted(PUBLIC.keys() - PARTS.keys()))
def test_units_by_name_are_refused(name):
    args = [cells.LSTM()] if "cell" in parts_of(PUBLIC[name]) else [(cells.LSTM(),)] * len(parts_of(PUBLIC[name]))
    message = refusal(PUBLIC[name], *args, units=64)
    assert "no option is called units" in message and "init.parameters(cell, n_in, units, rng)" in message


@pytest.mark.parametrize("name, option", [(name, option) for name in PUBLIC for option in options_of(PUBLIC[name])])
def test_a_misspelt_option_names_the_nearest(name, option):
    args = [cells.LSTM()] if parts_of(PUBLIC[name]) == ["cell"] else []
    misspelt = option[:-1] if len(option) > 4 else option + "_"
    message = refusal(PUBLIC[name], *args, **{misspelt: 1})
    assert f"{name}: no option is called {misspelt}" in message and f"did you mean {option}?" in message
    assert option in message.splitlines()[-1].split()


def test_an_option_far_from_all_suggests_none():
    message = refusal(cells.LSTM, zzz=1)
    assert "did you mean" not in message and "peepholes" in message


def test_options_of_a_rule_are_those_of_its_cell():
    shown = inspect.signature(cells.LSTM).parameters
    assert shown["forget_bias"].default == 0.0 and shown["coupled"].default is None
    assert options_of(cells.GRU) == ["reset", "recurrent_bias", "bias", "gate", "candidate"]


@pytest.mark.parametrize("name", CATALOG)
def test_defaults_shown_are_those_taken(name):
    """What `help` shows as the default of an option, given by name, changes nothing."""
    make, given = CATALOG[name], EXAMPLES.get(name, {})
    shown = {n: p.default for n, p in inspect.signature(make).parameters.items() if p.default is not p.empty}
    assert make(**shown | given) == make(**given)


@pytest.mark.parametrize("make, says", (
    (lambda: cells.Stack(cells.LSTM(), cells.GRU()), "Stack((a, b)): one tuple of cells"),
    (lambda: cells.Stack(cells.LSTM()), "cells is a LSTM, expected a tuple of cells"),
    (lambda: cells.Bidirectional((cells.LSTM(), 64)), "64 is not a cell"),
    (lambda: cells.GRU("before"), "'before' is given by position"),
    (lambda: cells.LSTM(True), "True is given by position"),
))
def test_calls_of_another_form(make, says):
    assert says in refusal(make)


@pytest.mark.parametrize("module", (maps, rules, wrappers, cells), ids=lambda module: module.__name__)
def test_a_package_lists_what_it_exports(module):
    """Every exported name has its line in the docstring, and nothing else is exported."""
    listed = [line.split()[0] for line in module.__doc__.splitlines() if line.startswith("    ")]
    beside = {"Masks", "ZoneoutMasks"}               # in the line of their wrapper
    assert [name for name in module.__all__ if name not in beside] == listed
    names = {name for name, value in vars(module).items() if not isinstance(value, ModuleType)}
    assert {name for name in names if not name.startswith("_")} == {*module.__all__}


def test_sizes_are_not_lost():
    """The message's advice works."""
    cell = cells.LSTM()
    p = rnnref.init.parameters(cell, 3, 64, np.random.default_rng(0))
    assert p["R"].shape == (64, 256)
