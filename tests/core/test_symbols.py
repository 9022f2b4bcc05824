"""Symbols: the shapes of what will be computed, the calls of a graph, and running it."""
import numpy as np
import pytest

from rnnref import Record, ops
from rnnref.errors import NotSupported, ShapeError
from rnnref.symbols import Call, Symbol, called, calls_between, followed, is_symbolic

rng = np.random.default_rng(0)


@pytest.mark.parametrize("f, shape", (
    (lambda x: np.tanh(x) * 2 + 1, (None, None, 3)), (lambda x: x[:, -1], (None, 3)),
    (lambda x: x.mean(axis=1), (None, 3)),
    (lambda x: x @ np.ones((3, 5), "float32"), (None, None, 5)), (lambda x: x.reshape(-1, 3), (None, 3)),
    (lambda x: np.concatenate([x, x], axis=1), (None, None, 3)),
    (lambda x: np.concatenate([x, x], axis=-1), (None, None, 6)),
    (lambda x: np.einsum("bti,bsi->bts", x, x), (None, None, None)), (lambda x: ops.softmax(x), (None, None, 3)),
    (lambda x: x.sum(), ()), (lambda x: ops.expand_dims(x, 1), (None, 1, None, 3)),
    (lambda x: x.transpose(1, 0, 2), (None, None, 3)),
    (lambda x: ops.moments(x, [0, 1])[0], (3,)), (lambda x: ops.glu(ops.concatenate([x, x], -1)), (None, None, 3)),
    (lambda x: np.stack([x[:, 0], x[:, 1]], axis=1), (None, 2, 3)),
    (lambda x: ops.scan(lambda c, t: (c + t, c), x[:, 0], ops.swapaxes(x, 0, 1))[0], (None, 3)),
    (lambda x: x[:, ::4], (None, None, 3)), (lambda x: np.pad(x, ((0, 0), (1, 1), (0, 0))), (None, None, 3)),
))
def test_shapes_are_seen(f, shape):
    y = f(Symbol((None, None, 3)))
    assert isinstance(y, Symbol) and y.shape == shape and y.dtype == "float32"


def test_larger_sizes_are_tried_where_the_first_are_too_small():
    def windows(x):
        if x.shape[1] < 20:
            raise ShapeError("windows", "shorter than a window")
        return x[:, 20:]
    assert called(windows, (Symbol((None, None, 3)),), {}).shape == (None, None, 3)
    assert called(lambda x: x[:, 20:].sum(axis=1), (Symbol((None, None, 3)),), {}).shape == (None, 3)
    assert called(windows, (Symbol((None, None, 3)) * 2,), {}).shape == (None, None, 3)
    y = Symbol((None, 3)).reshape(-1, 4, 3)       # needs a multiple of four rows
    assert y.shape == (None, 4, 3)


def test_axes_keep_their_lengths_from_call_to_call():
    """Time first, or all rows in one axis: what comes next still fits."""
    x = Symbol((None, None, 3))
    rows = x.reshape(-1, 3)
    assert (np.swapaxes(x, 0, 1) + np.moveaxis(x, 1, 0)).shape == (None, None, 3)
    assert (rows @ np.ones((3, 3), "float32") + rows).shape == (None, 3)
    assert called(lambda a, b: a.reshape(b.shape) + b, (rows, x), {}).shape == (None, None, 3)


def test_what_fits_no_size_is_an_error():
    with pytest.raises(ShapeError, match=r"ops.matmul: of \(120, 4\) float32|ops.matmul: of \(60, 4\) float32"):
        Symbol((None, 4)) @ np.ones((3, 2), "float32")
    with pytest.raises(ShapeError, match=r"of \(2, 4\) float32"):
        Symbol((2, 4)) @ np.ones((3, 2), "float32")
    with pytest.raises(NotSupported, match="depends on the lengths"):
        called(len, (Symbol((None, 3)),), {})
    with pytest.raises(NotSupported, match="2 or 3 axes"):
        called(lambda x: x if len(x) < 3 else x[None], (Symbol((None, 3)),), {})


def test_nests_and_dtypes():
    x, n = Symbol((None, 3), "float64"), Symbol((None,), "int64")
    y = called(lambda a, b, scale=1: {"sum": a * scale, "rest": [b + 1, None, 7]}, (x, n), {"scale": 2})
    assert y["sum"].dtype == "float64" and y["rest"][0].dtype == "int64" and y["rest"][1:] == [None, 7]
    assert y["sum"].call is y["rest"][0].call and y["sum"].call.needs == [x, n]
    assert ops.take(np.ones((5, 2), "float32"), n, axis=0).shape == (None, 2) and (n == 3).dtype == "bool"
    assert is_symbolic([x]) and not is_symbolic(np.ones(2)) and x.size is None and Symbol((2, 3)).size == 6


def test_a_symbol_has_no_numbers():
    x = Symbol((None, 3), name="x")
    for f in (bool, float, int, np.asarray, lambda s: s.numpy(), lambda s: s.data, ops.nonzero):
        with pytest.raises(NotSupported, match="it has no numbers yet"):
            f(x)
    with pytest.raises(TypeError, match="has no length"):
        list(x)
    assert repr(x) == "<Symbol (None, 3) float32>" and repr(x[:, 0].call) == "<Call of get_item>"


def test_a_graph_is_followed():
    x, z = Symbol((None, None, 3), "float64", name="x"), Symbol((None, 3), "float64", name="z")
    h = np.tanh(x) * 2.0
    pooled = np.mean(h, axis=1) + z
    out = {"a": ops.concatenate([pooled, h[:, -1]], axis=1), "b": (pooled @ np.ones((3, 2)),)}
    calls = calls_between({"x": x, "z": z}, out)
    assert len(calls) == 7 and all(isinstance(c, Call) for c in calls)
    a, b = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 3))
    y = followed(calls, {"x": x, "z": z}, {"z": b, "x": a}, out)  # dicts are matched by key
    want = (np.tanh(a) * 2).mean(1) + b
    np.testing.assert_array_equal(y["a"], np.concatenate([want, (np.tanh(a) * 2)[:, -1]], 1))
    np.testing.assert_array_equal(y["b"][0], want @ np.ones((3, 2)))
    assert len(calls_between([h], [h[:, -1]])) == 1
    with pytest.raises(ShapeError, match="the outputs depend on z, which is not among the inputs"):
        calls_between(x, out)
    with pytest.raises(ShapeError, match="expected a dict of x z"):
        followed(calls, {"x": x, "z": z}, [a, b], out)


def test_a_graph_is_recorded_when_it_is_followed():
    x = Symbol((None, 3), "float64")
    y = np.sum(np.square(x), axis=1)
    with Record() as record:
        v = record.leaf(rng.normal(size=(2, 3)))
        loss = followed(calls_between(x, y), x, v, y)
    assert loss.shape == (2,) and np.array_equal(record.backward(loss)[v], 2 * v.data)


def test_symbols_while_a_record_is_open():
    with Record() as record:
        y = Symbol((None, 3)) * 2
    assert isinstance(y, Symbol) and len(record) == 0


def test_own_gradients_on_symbols():
    @ops.custom_gradient
    def clipped(x):
        return x * 1, lambda *args, upstream: upstream.clip(-1, 1)
    x = Symbol((None, 3), "float64")
    y = clipped(x) * 5.0
    with Record() as record:
        v = record.leaf(np.ones((2, 3)))
        z = followed(calls_between(x, y), x, v, y)
    assert np.array_equal(record.backward(z)[v], np.ones((2, 3)))
