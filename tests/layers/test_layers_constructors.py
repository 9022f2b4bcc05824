"""Calls of the constructors of all layers that do not fit: errors of rnnref name the class and the argument."""
import inspect
from abc import ABC

import numpy as np
import pytest

from rnnref import Error, Input, Model, NotSupported, Record, Sequential, ShapeError, layers, verify
from rnnref.cells import GRU as CoreGRU
from rnnref.layers import LSTM, RNN, Bidirectional, Dense, GRUCell, Layer, LSTMCell, TimeDistributed
from tests.support.layer_cases import X

CLASSES = {name: cls for name, cls in vars(layers).items() if inspect.isclass(cls) and issubclass(cls, Layer)
           and name not in ("TfCell", "CallCell", "CoreCell")}                  # which RNN makes, and no user
FITTING = {"units": 2, "rate": 0.1, "stddev": 0.1, "input_dim": 3, "output_dim": 2, "n": 2, "rank": 2, "filters": 2,
           "kernel_size": 3, "activation": "tanh", "axes": 1, "target_shape": (2,), "dims": (2, 1), "function": np.tanh}


def required(cls):
    return [name for name, a in list(inspect.signature(cls.__init__).parameters.items())[1:]
            if a.default is a.empty and a.kind not in (a.VAR_POSITIONAL, a.VAR_KEYWORD)]


def made(cls, **options):
    """A layer with arguments that fit, but for these."""
    parts = {"cell": LSTMCell(2), "cells": [LSTMCell(2)], "layer": LSTM(2)}
    if cls is layers.InputLayer:
        return cls(**({"shape": (3,)} | options))
    return cls(**{name: {**FITTING, **parts}[name] for name in required(cls)} | options)


@pytest.mark.parametrize("name", CLASSES)
def test_a_misspelt_argument_is_named_with_one_suggestion(name):
    with pytest.raises(Error) as caught:
        made(CLASSES[name], nane="x", **{})
    text = str(caught.value)
    assert text.startswith(f"layers.{CLASSES[name].__name__}: no argument is called nane\n"), text
    assert text.splitlines()[1:] == ["  fix    did you mean name?"]


@pytest.mark.parametrize("name", [name for name, cls in CLASSES.items() if required(cls)])
def test_a_missing_argument_is_named(name):
    cls = CLASSES[name]
    for call in (lambda: cls(), lambda: cls.from_config({})):
        with pytest.raises(Error, match=f"^layers.{cls.__name__}: missing a required argument: '{required(cls)[0]}'"):
            call()


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("config", [None, "text", 3, ["units"], {3: 4}])
def test_a_configuration_is_a_dict_of_names(name, config):
    with pytest.raises(Error, match=rf"^layers.{CLASSES[name].__name__}.from_config: config is .*, expected a dict"):
        CLASSES[name].from_config(config)


@pytest.mark.parametrize("name", CLASSES)
def test_too_many_by_position(name):
    with pytest.raises(Error, match=f"^layers.{CLASSES[name].__name__}: too many positional arguments"):
        CLASSES[name](*[None] * 40)


@pytest.mark.parametrize("name", [name for name, cls in CLASSES.items() if cls not in (
    layers.SpatialDropout1D, layers.InputLayer, RNN, layers.StackedRNNCells)])       # the seed of these is a cell's
@pytest.mark.parametrize("seed", [-1, 1.5, "a", True, [1, -1], ()])
def test_seeds(name, seed):
    with pytest.raises(Error, match=r"seed=.*, expected an integer, 0 or more, or None"):
        made(CLASSES[name], seed=seed)


FLAGS = [(cls, name) for cls in {*CLASSES.values()} for name, a in inspect.signature(cls.__init__).parameters.items()
         if isinstance(a.default, bool)]


@pytest.mark.parametrize("cls, name", sorted(FLAGS, key=str))
@pytest.mark.parametrize("value", ["yes", 2, None, 0.5, [1]])
def test_flags(cls, name, value):
    with pytest.raises(NotSupported, match=rf"{cls.__name__}: {name}=.*, expected True or False"):
        made(cls, **{name: value})


@pytest.mark.parametrize("cls, name", [(cls, name) for cls in CLASSES.values() for name in (
    "units", "filters", "input_dim", "output_dim", "n") if name in required(cls)])
@pytest.mark.parametrize("value", [0, -1, 2.5, "a", None, True])
def test_sizes_are_positive_whole_numbers(cls, name, value):
    with pytest.raises(NotSupported, match=rf"^layers.{cls.__name__}: (units|{name})={value!r}, expected a positive"):
        made(cls, **{name: value})


@pytest.mark.parametrize("cls", [cls for cls in CLASSES.values() if "dropout" in
                                 inspect.signature(cls.__init__).parameters])
@pytest.mark.parametrize("value", ["a", None, -0.1, 1.5, [0.5], True])
def test_shares_of_dropout_are_numbers(cls, value):
    with pytest.raises(NotSupported, match=rf"^layers.{cls.__name__}: dropout="):
        made(cls, dropout=value)


OUT_OF_RANGE = {
    "softmax": lambda: layers.Softmax(axis=-4)(X), "softmax of text": lambda: layers.Softmax(axis="a"),
    "softmax of none": lambda: layers.Softmax(axis=None), "batch": lambda: layers.BatchNormalization(axis=-4)(X),
    "batch of none": lambda: layers.BatchNormalization(axis=None), "layer": lambda: layers.LayerNormalization(-4)(X),
    "unit": lambda: layers.UnitNormalization(axis=3)(X), "rms": lambda: layers.RMSNormalization(axis=[0.5]),
    "concatenate": lambda: layers.Concatenate(axis=-4)([X, X]), "dot": lambda: layers.Dot(axes=-4)([X, X]),
    "dot of text": lambda: layers.Dot(axes="a"), "epsilon": lambda: layers.LayerNormalization(epsilon=-1),
    "epsilon of text": lambda: layers.BatchNormalization(epsilon="a"), "nan": lambda: layers.ELU(alpha=float("nan")),
    "momentum": lambda: layers.BatchNormalization(momentum=2), "slope": lambda: layers.LeakyReLU("a"),
    "dims": lambda: layers.Permute(None), "target": lambda: layers.Reshape("ab"), "mask": lambda: layers.Masking("a"),
    "function": lambda: layers.Lambda(3), "kernel": lambda: layers.ConvLSTM1D(2, None), "shared": lambda: layers.PReLU(
        shared_axes="a"), "trainable": lambda: Dense(2, trainable="a"), "input_shape": lambda: LSTM(2, input_shape=3),
    "negative": lambda: Dense(2, input_shape=(-1,)), "input_dim": lambda: Dense(2, input_dim="a"),
    "both": lambda: Dense(2, input_shape=(3,), input_dim=3), "Input": lambda: Input(shape="ab"),
    "Input of a size": lambda: Input((0,)), "Input of nothing": lambda: Input(),
    "Input of a dtype": lambda: Input((3,), dtype="flaot32"), "misspelt": lambda: Input(shap=(3,)),
    "batch size": lambda: Input((3,), batch_size="a")}


@pytest.mark.parametrize("what", OUT_OF_RANGE)
def test_values_that_do_not_fit(what):
    with pytest.raises(Error, match=r"^(layers\.|Input: )"):
        OUT_OF_RANGE[what]()


@pytest.mark.parametrize("given", [{"input_shape": (5, 4)}, {"batch_shape": (None, 5, 4)},
                                   {"batch_input_shape": (None, 5, 4)}])
@pytest.mark.parametrize("make", [lambda **o: LSTM(2, seed=1, **o), lambda **o: Bidirectional(LSTM(2, seed=1), **o),
                                  lambda **o: RNN(GRUCell(2, seed=1), **o), lambda **o: Dense(2, seed=1, **o),
                                  lambda **o: TimeDistributed(Dense(2, seed=1), **o)])
def test_shapes_in_the_first_layer_are_an_input(given, make):
    model, plain = Sequential([make(**given)]), Sequential([Input((5, 4)), make()])
    assert model.built and model.input_shape == plain.input_shape == (None, 5, 4)
    assert np.array_equal(model(X[:, :, :4]), plain(X[:, :, :4]))


def test_shapes_where_a_layer_takes_none():
    with pytest.raises(NotSupported, match=r"D: no argument is called input_shape\n  fix    Input\(shape\)"):
        layers.SpatialDropout1D(0.5, input_shape=(3, 4))


def test_classes_of_users():
    class Mine(LSTM, ABC):
        def __init__(self, units, **options):
            super().__init__(units, **options)

    class Own(Layer):
        def __init__(self, size, **options):
            super().__init__(**options)

    for call, who in ((lambda: Mine(2, dropuot=0.1), "Mine"), (lambda: Own(2, nmae="a"), "Own")):
        message = rf"^layers.{who}: no argument is called .*\n  fix    did you mean (dropout|name)"
        with pytest.raises(NotSupported, match=message):
            call()
    assert Mine(2, name="a").name == "a"


@pytest.mark.parametrize("make", [lambda: Sequential(layer=[]), lambda: Sequential([], naem="a"),
                                  lambda: Model(Input((3,)), output=3)])
def test_models(make):
    with pytest.raises(Error):
        make()


@pytest.mark.parametrize("make", [lambda: LSTM(2), lambda: Dense(2), lambda: Bidirectional(LSTM(2)), lambda: GRUCell(2),
                                  lambda: RNN(CoreGRU(), units=2), lambda: RNN([LSTMCell(2), GRUCell(2)])])
@pytest.mark.parametrize("weights", [[], [np.zeros((3, 5)), np.zeros(2)], [np.zeros((4, 8))], None, 3])
def test_a_set_weights_that_fails_leaves_a_layer_unbuilt(make, weights):
    layer = make()
    with pytest.raises(ShapeError):
        layer.set_weights(weights)
    assert not layer.built and not layer.weights
    layer(X[:, 0] if isinstance(layer, GRUCell) else X)     # builds for its own number of inputs
    assert layer.weights


@pytest.mark.parametrize("call, says", [
    (lambda: Record(trainig=True), "^Record: no argument is called trainig\n  fix    did you mean training"),
    (lambda: Record(True, False, None, False, 1), r"^Record: too many .*\n  fix    Record\(keep=True, training"),
    (lambda: verify(LSTM(2), X, lenghts=[5]), "^verify: no argument is called lenghts\n  fix    did you mean lengths"),
    (lambda: verify(LSTM(2)), r"^verify: missing a required argument: 'inputs'\n  fix    verify\(candidate, inputs\)")])
def test_records_and_checks(call, says):
    with pytest.raises(NotSupported, match=says):
        call()
