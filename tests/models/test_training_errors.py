"""What compile and fit refuse, in words, before any weight has changed."""
import numpy as np
import pytest

import rnnref
from rnnref import Input, Sequential, layers as L
from rnnref.errors import Error, NotSupported, ShapeError
from rnnref.testing.api import assert_same
from tests.support.messages import raises_with
from tests.support.training_cases import CLASSES, LINE, Numbered, X, Y, line, two_outputs

D = {"dtype": "float64"}

REFUSED = (
    (lambda m: m.fit(*LINE), Error, ["not compiled", "model.compile("]),
    (lambda m: m.compile(jit_compile=True), NotSupported, ["jit_compile=True", "nothing is compiled"]),
    (lambda m: m.compile(steps_per_execution=4), NotSupported, ["steps_per_execution=4"]),
    (lambda m: m.compile("sgd", ["mse", "mae"]) or m.fit(*LINE, verbose=0), ShapeError, ["loss is a list of 2"]),
    (lambda m: m.compile("sgd", {"other": "mse"}) or m.fit(*LINE, verbose=0), ShapeError, ["a dict of other"]),
    (lambda m: m.compile("sgd", "mse", metrics="mae"), NotSupported, ["metrics='mae'", "a list or a dict"]),
    (lambda m: m.compile("sgd", "mse", ["acc"]), NotSupported, ["loss_weights=['acc']"]),
)
BAD_FITS = (
    (dict(x=LINE[0], y=LINE[1][:7]), ShapeError, ["x 20, y 7"]),
    (dict(x=LINE[0]), ShapeError, ["has a loss, and no target"]),
    (dict(x=[[1.0, 2.0]], y=LINE[1]), Error, ["x holds a float", "numpy.array(x)"]),
    (dict(x=LINE[0][:0], y=LINE[1][:0]), ShapeError, ["no rows"]),
    (dict(x=LINE[0].astype(str), y=LINE[1]), Error, ["x has dtype <U32"]),
    (dict(x=3.0, y=None), NotSupported, ["x is a float", "arrays"]),
    (dict(x=Numbered(*LINE), y=LINE[1]), ShapeError, ["y or sample_weight beside a Numbered"]),
    (dict(x=Numbered(*LINE), validation_split=0.5), NotSupported, ["validation_split with a Numbered"]),
    (dict(x=LINE[0], y=LINE[1], validation_split=0.99), ShapeError, ["20 rows cannot be split"]),
    (dict(x=LINE[0], y=LINE[1], validation_split=1.5), NotSupported, ["validation_split=1.5"]),
    (dict(x=LINE[0], y=LINE[1], batch_size=0), NotSupported, ["batch_size=0"]),
    (dict(x=LINE[0], y=LINE[1], verbose=3), NotSupported, ["verbose=3"]),
    (dict(x=LINE[0], y=LINE[1], validation_split=0.5, validation_freq=0), NotSupported, ["validation_freq=0"]),
    (dict(x=LINE[0], y=LINE[1], callbacks=[3]), NotSupported, ["3 is no callback"]),
    (dict(x=LINE[0], y=LINE[1], class_weight={0: 1.0}, sample_weight=np.ones(20)), NotSupported,
     ["class_weight and sample_weight together"]),
    (dict(x=iter([(1, 2, 3, 4)])), ShapeError, ["a batch of 4 items"]),
)


@pytest.mark.parametrize("do, error, pieces", REFUSED)
def test_what_compile_refuses(do, error, pieces):
    with raises_with(error, pieces):
        do(Sequential([Input((3,), dtype="float64"), L.Dense(1, **D)]))


@pytest.mark.parametrize("told, error, pieces", BAD_FITS)
def test_what_fit_refuses(told, error, pieces):
    model = line()
    before = model.get_weights()
    with raises_with(error, pieces):
        model.fit(**{"verbose": 0, **told})
    assert_same(model.get_weights(), before)


def test_targets_of_several_outputs_are_counted():
    model = two_outputs(rnnref)
    model.compile("sgd", ["mse", "sparse_categorical_crossentropy"])
    for y, pieces in (([Y], ["y is a list of 1", "2 outputs"]), ({"p": Y, "r": CLASSES}, ["a dict of p r", "p q"])):
        with raises_with(ShapeError, pieces):
            model.fit(X, y, verbose=0)
    with raises_with(NotSupported, ["class_weight with several outputs"]):
        model.fit(X, [Y, CLASSES], class_weight={0: 1.0}, verbose=0)
