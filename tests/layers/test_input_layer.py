"""Inputs of models: symbols with a layer each."""
import json

import pytest

from rnnref import NotSupported, ShapeError, layers as L
from rnnref.testing.api import assert_same
from tests.support.simple_layer_cases import IDS


def test_inputs():
    x = L.Input((None, 4), name="steps", dtype="float64")
    assert (x.name, x.shape, L.Input(tensor=x) is x) == ("steps", (None, None, 4), True)
    assert L.Dense(2)(x).shape == (None, None, 2)
    ids = L.InputLayer(batch_shape=(2, 5), dtype="int32")
    assert ids.output.dtype == "int32" and L.Embedding(7, 3)(ids.output).shape == (2, 5, 3)
    assert_same(ids(IDS), IDS)


@pytest.mark.parametrize("make, kind, says", (
    (lambda: L.Input(), ShapeError, "shape=None and batch_shape=None, expected one of them"),
    (lambda: L.Input((3,), sparse=True), NotSupported, "sparse=True: all arrays are dense"),
    (lambda: L.Input((3,), optional=True), NotSupported, "optional=True: every input"),
))
def test_what_is_refused(make, kind, says):
    with pytest.raises(kind, match=says):
        make()


@pytest.mark.peers
def test_beside_keras():
    import keras
    for options in ({"shape": (None, 3)}, {"shape": (4,), "batch_size": 2, "dtype": "int32", "name": "ids"},
                    {"batch_shape": (2, None)}):
        a, b = L.InputLayer(**options), keras.layers.InputLayer(**options)
        assert (a.output.shape, a.output.dtype.name) == (b.output.shape, b.output.dtype)
        theirs = json.loads(json.dumps(b.get_config()))
        assert _same(a.get_config(), theirs | {"name": a.name})
        assert _same(L.InputLayer.from_config(theirs).get_config(), theirs)
        assert _same(keras.layers.InputLayer.from_config(a.get_config()).get_config(), a.get_config())


def _same(a, b):
    return json.loads(json.dumps(a)) == json.loads(json.dumps(b))
