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
    (lambda: cells.Stack(cells.LSTM()), "cells is an LSTM, expected a tuple of cells"),
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


# values of every kind that are none, by the annotation of an option
BAD = {bool: ("no", 0, 1, None, 1.0, np.ones(2)), int: ("3", 2.5, True, 0.0, -1, None, float("nan"), (3,)),
       float: ("a", True, float("nan"), None, [1.0], 1j), str: (3, None, True), tuple: (3, "ab", (1.5,), (-1,), None)}


def kinds_of(annotation):
    given = getattr(annotation, "__args__", (annotation,))
    return [kind for kind in BAD if kind in given], type(None) in given


def bad_values(make):
    for name in options_of(make):
        kinds, optional = kinds_of(inspect.signature(make).parameters[name].annotation)
        for value in (value for kind in kinds for value in BAD[kind]):
            if (value is not None or not optional) and (name, value) != ("offset", -1):
                yield make, name, value


BY_KIND = [case for make in PUBLIC.values() for case in bad_values(make)]


@pytest.mark.parametrize("make, name, value", BY_KIND, ids=lambda v: getattr(v, "__name__", str(v)))
def test_values_of_another_kind_are_refused_by_name(make, name, value):
    rest = {option: 3 for option in options_of(make) if option != name
            and inspect.signature(make).parameters[option].default is inspect.Parameter.empty}
    given = [rnnref.cells.GRU() if part == "cell" else () for part in parts_of(make)]
    assert refusal(make, *given, **{name: value}, **{o: v for o, v in rest.items() if o != "windows"}
                   ).splitlines()[0].count(f"{name}="), name


def test_numbers_that_cannot_be_meant():
    for make, options in ((cells.LSTM, {"cell_clip": -1.0}), (cells.LSTM, {"forget_bias": np.inf}),
                          (cells.LayerNormGRU, {"epsilon": -1e-9}), (cells.LSTM, {"projection": 0}),
                          (cells.LSTM, {"projection_clip": 1.0}), (cells.NAS, {"projection_clip": 1.0}),
                          (cells.ESN, {"leak": 1.5}), (cells.GLSTM, {"groups": 0}), (cells.LSTM, {"gate": 3})):
        option, = options
        assert option in refusal(make, **options) or options == {"gate": 3}


def test_numbers_of_numpy_are_numbers():
    assert cells.LSTM(projection=np.int64(2), forget_bias=np.float32(0.5), bias=np.bool_(True)) == cells.LSTM(
        projection=2, forget_bias=0.5)
    assert cells.ConvLSTM(kernel=[3]) == cells.ConvLSTM(kernel=(3,))


def test_a_misspelt_activation_has_one_suggestion():
    assert "did you mean sigmoid?" in refusal(cells.LSTM, gate="sigmiod")


def test_a_constructor_in_the_place_of_a_cell():
    assert "Dropout(LSTM())" in refusal(cells.Dropout, cells.LSTM)
