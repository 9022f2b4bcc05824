"""What models refuse, and what the errors say."""
import json
import re

import numpy as np
import pytest

from rnnref import Input, Model, Sequential, layers as L, ops
from rnnref.errors import NotSupported, ShapeError
from rnnref.models import clone_model
from tests.support.messages import raises_with
from tests.support.model_cases import made

X = np.random.default_rng(0).normal(size=(3, 5, 2))


class Free(Model):
    def call(self, x):
        return x


def shared_name():
    x = Input((2,))
    return Model(x, L.Dense(2, name="d")(L.Dense(2, name="d")(x)))


ERRORS = {
    "disconnected": (lambda: Model(Input((2,)), L.Dense(2)(Input((2,), name="other"))), ShapeError,
                     "the outputs depend on other, which is not among the inputs"),
    "one name": (shared_name, ShapeError, "Model: 2 layers are called 'd'"),
    "array": (lambda: Model(np.ones(2), Input((2,))), NotSupported, "an ndarray among the inputs, expected symbols"),
    "nothing": (lambda: Model([], []), ShapeError, "no inputs"),
    "no call": (lambda: Model()(X), NotImplementedError, "layers.Model has no call"),
    "no graph": (lambda: Free(name="free").inputs, ShapeError, "inputs of 'free': it was not made of symbols"),
    "unbuilt chain": (lambda: Sequential([L.Dense(1)]).output_shape, ShapeError, "fix    an Input"),
    "layer": (lambda: made("chain").get_layer("nothing"), ShapeError, "no layer is called 'nothing'"),
    "no name": (lambda: made("chain").get_layer(), ShapeError, "name=None and index=None, expected one of them"),
    "index": (lambda: made("chain").get_layer(index=9), ShapeError, "index=9, and there are 4 layers"),
    "shape": (lambda: made("middle")(X[:, 0]), ShapeError, r"has shape \(3, 2\), expected \(None, 4\)"),
    "axes": (lambda: made("dict inputs")({"a": X, "b": X}), ShapeError, r"the input a has shape \(3, 5, 2\)"),
    "keys": (lambda: made("dict inputs")({"a": X[:, 0]}), ShapeError, "dict_|a dict of a, expected a dict of a b"),
    "names": (lambda: made("several inputs")({"x": X}), ShapeError, "a dict of x, expected the inputs x ids"),
    "count": (lambda: made("several inputs")([X]), ShapeError, "a list of 1, expected a list of 2"),
    "no layer": (lambda: Sequential([np.tanh]), NotSupported, "a ufunc among the layers"),
    "twice": (lambda: Sequential([L.Dense(1, name="d"), L.Dense(1, name="d")]), ShapeError,
              "a second layer called 'd'"),
    "late input": (lambda: Sequential([L.Dense(1), Input((2,))]), ShapeError,
                   "after the layer 'dense', expected before"),
    "pop": (lambda: Sequential().pop(), ShapeError, "pop of a model without layers"),
    "empty": (lambda: Sequential()(X), ShapeError, "build of a model without layers"),
    "positions": (lambda: made("chain").summary(positions=[1.0]), ShapeError, "1 positions, expected 3"),
    "narrow": (lambda: made("chain").summary(line_length=12), ShapeError, "a table 12 wide has no place for 3 columns"),
    "range": (lambda: made("chain").summary(layer_range=("x", "y")), ShapeError, "no layer is called 'x'"),
    "range of one": (lambda: made("chain").summary(layer_range=("x",)), ShapeError, "expected two names"),
    "lambda": (lambda: made("several inputs").fresh().get_config() and clone_model(made("chain"), recursive=True),
               NotSupported, "recursive=True"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    make, kind, says = ERRORS[name]
    with pytest.raises(kind) as error:
        make()
    assert re.search(says, str(error.value)), error.value


@pytest.mark.parametrize("f, expected", [
    (lambda x: ops.add(x, np.arange(3.0)), lambda x: x + np.arange(3.0)), (lambda x: x[..., 1:], lambda x: x[..., 1:]),
    (lambda x: x[:, None], lambda x: x[:, None])], ids=["an array", "an ellipsis", "a new axis"])
def test_arguments_of_calls_are_written_as_json(f, expected):
    x, given = Input((4, 3)), np.arange(24.0, dtype="float32").reshape(2, 4, 3)
    again = Model.from_config(json.loads(json.dumps(Model(x, f(x)).get_config())))
    np.testing.assert_array_equal(again(given), expected(given).astype("float32"))


def test_a_call_without_the_one_before_it_is_named():
    x = Input((4,))
    config = Model(x, L.Dense(2, name="last")(L.Dense(3, name="first")(x))).get_config()
    config["layers"] = [row for row in config["layers"] if row["name"] != "first"]
    with raises_with(ShapeError, ["some calls take results that no other call gives", "last"]):
        Model.from_config(config)
