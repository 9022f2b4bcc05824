"""Every name of keras.ops is provided, with Keras's arguments, or refused with what to use instead."""
import inspect
import os
from pathlib import Path

import numpy as np
import pytest

from rnnref import Record, ops
from rnnref.errors import NotSupported
from rnnref.nest import flatten, map_structure
from tests.support.cases_ops import CASES

NAMES = (Path(__file__).parents[1] / "snapshots" / "keras_ops.txt").read_text().split()    # of Keras 3.15.1


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_provided_or_refused(name):
    if name in ops.PROVIDED:
        assert callable(getattr(ops, name)) and name not in ops.REFUSED and name in dir(ops)
        return
    with pytest.raises(NotSupported, match=rf"^ops\.{name}: .+\n  fix    .+"):
        getattr(ops, name)
    assert name not in dir(ops)


def test_there_are_no_others():
    assert {*ops.PROVIDED, *ops.REFUSED} == {*NAMES} and dir(ops) == sorted(ops.PROVIDED)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ops.nothing


@pytest.mark.parametrize("name", sorted(ops.PROVIDED))
def test_every_operation_is_documented(name):
    function = ops.PROVIDED[name]
    assert ">>> " in function.__doc__ and function.__doc__.splitlines()[0].endswith((".", ",", ":"))
    assert inspect.signature(function)


# Where signatures differ on purpose.
OTHERWISE = {"amax", "amin",                      # ours have `initial`, as max and min have
             "einsum", "layer_normalization", "multi_hot"}    # Keras's take **kwargs of old names


# Values that differ from those of Keras with its torch back end, which the tests of the operation decide.
KERAS_IS_WRONG = {
    ("dot", 3): "axes of the result in another order than NumPy's", ("pad", 1): "one width pads the last axis only",
    ("slice", 1): "-1 is not all that is left", ("sparsemax", 1): "the columns do not sum to 1",
    ("sparsemax", 2): "the support is too small",
}
KERAS_REFUSES = {("vdot", 0), ("clip", 1), ("clip", 2), ("concatenate", 4), ("split", 2), ("get_item", 7),
                 ("average", 2),
                 ("layer_normalization", 3), ("binary_crossentropy", 1)}


@pytest.fixture(scope="module")
def keras():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras")


@pytest.mark.peers
def test_the_names_are_those_of_keras(keras):
    assert NAMES == [name for name in dir(keras.ops) if not name.startswith("_")]


@pytest.mark.peers
@pytest.mark.parametrize("name", sorted(ops.PROVIDED))
def test_arguments_are_those_of_keras(keras, name):
    if name in OTHERWISE or name == "custom_gradient":
        return
    theirs, ours = (inspect.signature(f).parameters.values() for f in (getattr(keras.ops, name), ops.PROVIDED[name]))
    assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs]


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name, k", [(name, k) for name, cases in CASES.items() for k in range(len(cases))
                                     if (name, k) not in {*KERAS_IS_WRONG, *KERAS_REFUSES}])
def test_values_are_those_of_keras(keras, name, k):
    """With the torch back end, which computes some in float32."""
    def tensor(a):
        return keras.ops.convert_to_tensor(a) if isinstance(a, np.ndarray) else a
    args, options = map_structure(tensor, CASES[name][k])
    want = [keras.ops.convert_to_numpy(a) for a in flatten(getattr(keras.ops, name)(*args, **options))]
    args, options = CASES[name][k]
    got = [np.asarray(a) for a in flatten(getattr(ops, name)(*args, **options))]
    assert len(got) == len(want)
    for a, b in zip(got, want):
        if options.get("keepdims") and "axis" not in options:      # Keras drops the axes of a whole reduction
            b = b.reshape(a.shape)
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


def test_sparsemax_is_the_nearest_point_of_the_simplex():
    x = CASES["sparsemax"][0][0][0]
    y = ops.sparsemax(x)
    np.testing.assert_allclose(y.sum(-1), 1)
    off = np.where(y > 0, x - y, np.nan)          # one number a row where y > 0, and no smaller elsewhere
    assert (y >= 0).all() and np.nanmax(np.nanmax(off, -1) - np.nanmin(off, -1)) < 1e-12
    assert (x <= np.nanmax(off, -1, keepdims=True) + 1e-12)[y == 0].all()
    np.testing.assert_allclose(ops.sparsemax(x.T, axis=0), y.T)


@pytest.mark.parametrize("code, want", (
    ("ops.argsort([[3.0, 1.0], [0.0, 1.0]], axis=0)", [[1, 0], [0, 1]]),
    ("ops.isin([[1], [5]], [5, 6], invert=True)", [[True], [False]]),
    ("ops.one_hot([[0, 2]], 3, axis=1)", [[[1, 0], [0, 0], [0, 1]]]),
    ("ops.multi_hot([[0, 2], [1, 1]], 3)", [[1, 0, 1], [0, 1, 0]]),
    ("ops.multi_hot([0, 2], 3)", [1, 0, 1]), ("ops.in_top_k([0, 2], [[3.0, 2, 1], [3, 2, 1]], 2)", [True, False]),
    ("ops.searchsorted([1.0, 2.0, 2.0], [2.0, 5.0], side='right')", [3, 3]),
    ("ops.count_nonzero([[0, 1], [2, 3]], axis=1)", [1, 2]),
    ("ops.trunc([-1.7, 1.7])", [-1, 1]), ("ops.eye(2, 3, 1)", [[0, 1, 0], [0, 0, 1]]),
    ("ops.arange(1, 6, 2)", [1, 3, 5]),
    ("ops.linspace(0, 1, 2, endpoint=False)", [0, 0.5]), ("ops.unravel_index(np.array([5]), (2, 3))", [[1], [2]]),
    ("ops.isclose([1.0, 2.0], [1.0, 2.1])", [True, False]), ("ops.ptp([[1.0, 4.0]], axis=1, keepdims=True)", [[3]]),
    ("ops.cond(ops.sum([1.0]) > 0, lambda: 1, lambda: 2)", 1), ("ops.switch(-3, [lambda: 1, lambda: 2])", 1),
    ("ops.while_loop(lambda x: True, lambda x: x + 1, 0, maximum_iterations=4)", 4),
    ("ops.logsumexp([-np.inf, -np.inf])", -np.inf),
    ("ops.ctc_decode(np.eye(3)[[[1, 1, 0, 1, 2]]], [5])[0]", [[[1, 1, 2, -1, -1]]]),
    ("ops.ctc_decode(np.eye(3)[[[1, 1, 0, 1, 2]]], [3], merge_repeated=False)", [[[[1, 1, -1, -1, -1]]], [[-3]]]),
    ("ops.convert_to_numpy([1.0])", [1]), ("ops.segment_sum([1.0, 2.0], np.array([1, 1]))", [0, 3]),
))
def test_values_without_a_gradient(code, want):
    found = eval(code, {"ops": ops, "np": np})
    for a, b in zip(found, want, strict=True) if isinstance(found, tuple) else [(found, want)]:
        np.testing.assert_array_equal(a, b)


def test_dtypes_are_those_of_keras():
    made = "zeros ones empty"
    assert {getattr(ops, name)(2).dtype.name for name in made.split()} == {"float32"}
    assert ops.arange(3).dtype == "int32" and ops.arange(3.0).dtype == "float32" and ops.full(2, 1).dtype == "float32"
    assert ops.tanh([1, 2.0]).dtype == ops.tanh(1.0).dtype == "float32" and ops.sum([1, 2]).dtype in ("int32", "int64")
    assert ops.where([True], 1.0, 0.0).dtype == "float32" and ops.tanh(np.ones(2)).dtype == "float64"
    assert ops.one_hot([1], 2).dtype == "float32" and ops.add([1.0], 2.5).dtype == "float32"


FLAT = {                                          # where limits differ by side, or quotients are 0 / 0: what all take
    "std": ((np.array([[1.0, 1.0], [1.0, 2.0]]), 1), {}, [[0, 0], [-0.5, 0.5]]),
    "leaky_relu": ((np.array([0.0, 1.0, -1.0]),), {}, [0.2, 1, 0.2]),
    "power": ((np.array([0.0, 0.0, 3.0]), np.array([0, 1, 2])), {}, [0, 1, 6]),
    "logaddexp": ((np.array([np.inf, -np.inf, np.inf]), np.array([np.inf, -np.inf, 1])), {}, [0.5, 0.5, 1]),
}


@pytest.mark.parametrize("name", FLAT)
def test_gradients_where_the_formula_has_none(name):
    args, options, wanted = FLAT[name]
    with Record() as record:
        x = record.leaf(args[0])
        y = getattr(ops, name)(x, *args[1:], **options)
    assert not np.isnan(y.data).any() and np.allclose(record.backward(y)[x], wanted, rtol=1e-15)
