"""Values in plain NumPy code: what is recorded, in the spelling of NumPy, and what is refused by name."""
import numpy as np
import pytest

from rnnref import Record, ops, values
from rnnref.errors import NotSupported, ShapeError
from rnnref.values import Value

rng = np.random.default_rng(0)
X = rng.normal(size=(3, 4))


@pytest.fixture
def v():
    with Record() as record:
        yield record.leaf(X)


# NumPy on the left of ==: f(v) is recorded, and equals f(X)
SPELLINGS = [
    lambda x: np.sum(x, 1), lambda x: np.sum(x, axis=0, keepdims=True), lambda x: np.sum(a=x, axis=1, dtype=None),
    lambda x: np.sum(x, 1, None, None, True), lambda x: np.mean(x, (0, 1)), lambda x: np.amax(x, axis=1),
    lambda x: np.std(x, axis=0, ddof=0), lambda x: np.clip(x, -1, 1), lambda x: np.clip(x, a_min=-1, a_max=None),
    lambda x: np.reshape(x, (2, 6)),
    lambda x: np.concatenate([x, x]), lambda x: np.concatenate((x, X), axis=1), lambda x: np.concatenate([x, x], 1),
    lambda x: np.stack([x, x * 2], -1), lambda x: np.where(x > 0, x, 0.0), lambda x: np.where(X > 0, 1.0, x),
    lambda x: np.split(x, 2, axis=1)[0], lambda x: np.split(x, [1], 1)[1], lambda x: np.transpose(x, (1, 0)),
    lambda x: np.expand_dims(x, axis=(0, 2)), lambda x: np.swapaxes(x, 0, 1), lambda x: np.moveaxis(x, 0, -1),
    lambda x: np.squeeze(x[None]), lambda x: np.tile(x, (1, 2)), lambda x: np.tile(A=x, reps=2),
    lambda x: np.repeat(x, 2, axis=1), lambda x: np.roll(x, 1, axis=0), lambda x: np.flip(x, axis=1),
    lambda x: np.pad(x, 1), lambda x: np.pad(x, ((1, 0), (0, 2)), constant_values=2.0),
    lambda x: np.pad(x, 1, mode="constant"), lambda x: np.take(x, [0, 2], axis=1),
    lambda x: np.take(x, indices=1, axis=0), lambda x: np.take_along_axis(x, np.argmax(X, 1)[:, None], 1),
    lambda x: np.einsum("ij,kj->ik", x, X), lambda x: np.einsum("ij->", x), lambda x: np.tensordot(x, X, ([1], [1])),
    lambda x: np.dot(x, X.T), lambda x: np.inner(x, X), lambda x: np.outer(x, X), lambda x: np.vdot(x, X),
    lambda x: np.cumsum(x, axis=1), lambda x: np.cumprod(x, 0), lambda x: np.ravel(x),
    lambda x: np.broadcast_to(x, (2, 3, 4)), lambda x: np.diff(x), lambda x: np.diff(x, axis=0),
    lambda x: np.vstack([x, x]), lambda x: np.hstack([x, X]), lambda x: np.dstack([x, x]),
    lambda x: np.average(x, axis=1, weights=[1.0, 2, 3, 4]), lambda x: np.tril(x), lambda x: np.triu(x, 1),
    lambda x: np.diagonal(x, 1), lambda x: np.trace(x), lambda x: np.sort(x, axis=0), lambda x: np.prod(x, axis=1),
    lambda x: np.maximum(x, 0), lambda x: np.add(x, X[0]), lambda x: np.true_divide(x, 2), lambda x: np.abs(x),
    lambda x: np.square(x) + np.exp(x) - np.tanh(x) / np.sqrt(np.abs(x) + 1), lambda x: np.power(np.abs(x), 0.5),
    lambda x: np.matmul(x, X.T), lambda x: np.reciprocal(x), lambda x: np.nan_to_num(x), lambda x: np.append(x, X),
    lambda x: np.append(x, X, axis=0), lambda x: np.permute_dims(x, (1, 0)), lambda x: np.fabs(x),
    lambda x: np.log1p(abs(x)), lambda x: np.array_split(x, 3, axis=1)[0], lambda x: np.nansum(x, axis=0),
    lambda x: np.ptp(x, axis=0), lambda x: np.logaddexp(x, X), lambda x: np.hypot(x, 1.0),
    lambda x: np.arctan2(x, 2.0), lambda x: np.remainder(x, 3.0), lambda x: np.zeros_like(x),
    lambda x: np.full_like(x, 2.0), lambda x: np.trapezoid(x, dx=0.5), lambda x: np.round(x, 1),
    lambda x: np.select([X > 0, X <= 0], [x, -x], 0.0), lambda x: np.meshgrid(x[0], x[1])[0],
    lambda x: x + 1 - x * X / 2 ** (x * 0.1), lambda x: X @ x.T,
    lambda x: x @ X.T, lambda x: 2.0 - x, lambda x: -abs(x), lambda x: 1.0 / (x + 5), lambda x: 2.0 ** x,
    lambda x: x % 2.0, lambda x: x // 0.5, lambda x: X[0] * x, lambda x: x.sum(), lambda x: x.mean(1),
    lambda x: x.max(axis=0) + x.min(axis=0), lambda x: x.var() + x.std(axis=1, keepdims=True),
    lambda x: x.reshape(2, -1), lambda x: x.reshape((4, 3)).T, lambda x: x.transpose(1, 0),
    lambda x: x.transpose([1, 0]), lambda x: x.transpose(), lambda x: x.swapaxes(0, 1),
    lambda x: x[:, None].squeeze(1), lambda x: x.repeat(2, axis=0), lambda x: x.cumsum(axis=1),
    lambda x: x.clip(-1, 1), lambda x: x.ravel(), lambda x: x.take([0, 1], axis=1), lambda x: x.astype("float32"),
    lambda x: x.prod(axis=0), lambda x: x.round(1), lambda x: x[1:, ::2], lambda x: x[..., -1],
    lambda x: x[np.array([0, 2]), np.array([1, 1])], lambda x: x[X > 0], lambda x: sum(row.sum() for row in x),
]
if np.lib.NumpyVersion(np.__version__) >= "2.1.0":                # which has these spellings
    SPELLINGS += [lambda x: np.clip(x, min=0.1, max=0.5), lambda x: np.reshape(x, shape=(-1,)),
                  lambda x: np.unstack(x)[1]]


@pytest.mark.parametrize("k", range(len(SPELLINGS)))
def test_functions_of_numpy_are_recorded(v, k):
    got, want = SPELLINGS[k](v), SPELLINGS[k](X)
    assert isinstance(got, Value)
    assert got.data.dtype == want.dtype and np.array_equal(got.data, want) or np.allclose(got.data, want, rtol=1e-15)


def test_questions_have_plain_answers(v):
    assert np.shape(v) == v.shape == (3, 4) and np.ndim(v) == v.ndim == 2 and np.size(v) == v.size == 12 and len(v) == 3
    assert np.array_equal(v > 0, X > 0) and np.array_equal(v == X, X == X) and (v != X).sum() == 0
    assert np.argmax(v, axis=1).tolist() == v.argmax(axis=1).tolist() == X.argmax(1).tolist()
    assert np.any(v > 9) == (X > 9).any() and bool((v < 9).all()) and v.sum().item() == X.sum()
    assert float(v[0, 0]) == X[0, 0] and int(v[0, 0] * 100) == int(X[0, 0] * 100) and f"{float(v[0, 0]):.1f}"
    assert np.isnan(v).sum() == 0 and np.array_equal(np.sign(v).data,
                                                     np.sign(X)) and repr(v) == "<Value (3, 4) float64>"
    assert np.array_equal(v.numpy(), X) and v.numpy() is not v.data and {v: 1}[v] == 1


def test_after_the_record_a_value_is_its_array(v):
    with Record() as record:
        x = record.leaf(X)
        y = np.tanh(x)
        with pytest.raises(NotSupported, match="np.asarray of"):
            np.asarray(y)
    # the fixture's record is open again: a value of another one is refused
    with pytest.raises(NotSupported, match="belongs to another record"):
        np.tanh(y)


def test_outside_of_records():
    with Record() as record:
        y = np.tanh(record.leaf(X))
    assert np.array_equal(np.asarray(y), np.tanh(X)) and isinstance(y * 2, np.ndarray)
    assert isinstance(ops.sum(y), np.ndarray) and np.allclose(y, np.tanh(X))


def fill(x):
    a = np.zeros((3, 4))
    a[:, 0] = x[:, 0]


def accumulate(x):
    a = np.zeros((3, 4))
    a += x


def assign(x):
    x[:, 0] = 0


@pytest.mark.parametrize("f, says", (
    (np.asarray, "np.asarray of <Value (3, 4) float64>: its gradient would be lost"), (np.array, "np.asarray of"),
    (lambda x: np.array([x[0], x[1]]), "np.stack them"), (fill, "for a[:, t] = v collect the steps"),
    (assign, "ops.slice_update"), (accumulate, "np.add(..., out=)"), (accumulate, "in the place of out= and of +="),
    (lambda x: np.tanh(x, out=np.zeros((3, 4))), "np.tanh(..., out=)"),
    (lambda x: np.tanh(x, where=X > 0), "np.where(mask, f(x), x) in the place of where="),
    (lambda x: np.tanh(x, dtype="float32"), "np.tanh(..., dtype=)"),
    (np.add.reduce, "np.add.reduce of a recorded value"),
    (lambda x: np.add.at(x, 0, 1), "np.add.at"), (np.linalg.norm, "np.linalg.norm of a recorded value"),
    (np.fft.fft, "np.fft.fft"), (np.median, "np.median of a recorded value has no gradient here"),
    (np.gradient, "np.gradient"),
    (np.spacing, "np.spacing"), (lambda x: np.sum(x, where=X > 0), "np.sum(..., where=)"),
    (lambda x: np.sum(x, out=np.zeros(())), "np.sum(..., out=)"), (lambda x: np.var(x, ddof=1), "np.var(..., ddof=)"),
    (lambda x: np.sum(x, dtype="float32"), "np.sum(..., dtype=)"), (lambda x: np.pad(x, 1, mode="edge"), "mode='edge'"),
    (lambda x: np.reshape(x, (2, 6), order="F"), "order="), (lambda x: np.take(x, [9], mode="clip"), "mode="),
    (lambda x: np.einsum("ii", x[:3, :3]), "an index occurs twice in one operand"),
    (lambda x: 1.0 in x, "compares by =="),
    (np.where, "ops.nonzero(condition)"), (lambda x: np.repeat(x, [1, 2, 3], axis=0), "ops.take"),
    (lambda x: ops.clip(x, x[0, 0], 1.0), "among the options"), (lambda x: ops.tanh([x, x]), "ops.stack of the list"),
    (lambda x: ops.sum(x, dtype="float32"), "the option dtype='float32'"),
))
def test_what_is_not_there_is_refused_by_name(v, f, says):
    with pytest.raises(NotSupported) as error:
        f(v)
    assert says in str(error.value)


@pytest.mark.parametrize("f, says", (
    (lambda x: x @ x, "ops.matmul: of (3, 4) float64 and (3, 4) float64: "),
    (lambda x: x + X.T, "ops.add: of (3, 4) float64 and"),
    (lambda x: np.reshape(x, (5, 5)), "ops.reshape: of (3, 4) float64: cannot reshape"),
    (lambda x: np.split(x, 5), "an axis of 3 cannot be split into 5 equal parts"),
    (lambda x: ops.slice_update(x, (2, 3), np.ones((2, 2))), "reach out of the array"),
    (lambda x: np.sum(x, axis=2), "ops.sum: of (3, 4) float64: axis 2 is out of bounds"),
    (lambda x: ops.expand_dims(x, 5), "axis 5 of a result with 3 axes"),
    (lambda x: ops.unstack(x, 4), "num=4"), (lambda x: np.einsum("ij,jk", x), "names 2 operands, 1 were given"),
    (lambda x: ops.sparse_categorical_crossentropy(np.array([1, 2]), x), "target has shape (2,), expected (3,)"),
))
def test_errors_say_the_shapes(v, f, says):
    with pytest.raises(ShapeError) as error:
        f(v)
    assert says in str(error.value)


def test_other_errors_are_python_s_own(v):
    with pytest.raises(IndexError):
        v[3]
    with pytest.raises(TypeError, match="too many positional arguments"):
        ops.tanh(v, 1)
    with pytest.raises(TypeError, match=r"reshape\(x, newshape\): missing a required argument: 'newshape'"):
        ops.reshape(v)
    with pytest.raises(TypeError, match="has no length"):
        len(v.sum())


def test_arguments_by_name_as_in_keras(v):
    assert np.array_equal(ops.matmul(x1=v, x2=X.T).data, X @ X.T) and np.array_equal(ops.sum(x=v, axis=1).data,
                                                                                     X.sum(1))
    assert np.array_equal(ops.concatenate(xs=[v, X], axis=1).data, np.concatenate([X, X], 1))
    assert np.array_equal(ops.where(v > 0, x1=v, x2=0.0).data, np.where(X > 0, X, 0))
    assert np.array_equal(ops.einsum("ij->j", v).data, np.einsum("ij->j", X))


def test_cupy_leaves_its_kernels_to_values(cupy, v):
    """What CuPy's elementwise kernels ask for, where an array of its own is on the left."""
    class Kernel:
        name = "cupy_multiply"
    with Record() as record:
        w = record.leaf(cupy.asarray(X))
        y = w.__cupy_override_elementwise_kernel__(Kernel, cupy.asarray(X), w)
        with pytest.raises(NotSupported, match="cupy.cupy_multiply"):
            w.__cupy_override_elementwise_kernel__(Kernel, w, w, out=w)
        loss = y.sum()
    assert np.array_equal(record.backward(loss)[w].get(), X)


def test_a_number_reads_as_one(v):
    loss = (v ** 2).sum()
    want = float((X ** 2).sum())
    assert f"{loss:.3f}" == f"{want:.3f}" and format(loss, "e") == format(want, "e") and f"{loss}" == repr(loss)
    assert repr(loss) == f"<Value () float64: {want:.8g}>" and repr(v) == "<Value (3, 4) float64>"
    assert float(loss) == want and round(loss, 2) == round(want, 2)
    with pytest.raises(TypeError):
        f"{v:.3f}"


@pytest.mark.parametrize("f", [lambda a: divmod(a, 0.3), lambda a: divmod(0.3, a), lambda a: divmod(a, X[::-1])])
def test_divmod(v, f):
    for got, want in zip(f(v), f(X), strict=True):
        assert np.array_equal(got.data, want)


@pytest.mark.parametrize("name, hint", [("backward", "record.backward(loss)"), ("grad", "record.backward(loss)"),
                                        ("detach", "ops.stop_gradient"), ("requires_grad", "record.leaf")])
def test_what_other_frameworks_have_on_a_value_is_named(v, name, hint):
    assert not hasattr(v, name)
    with pytest.raises(AttributeError) as caught:
        getattr(v.sum(), name)
    assert hint in str(caught.value) and repr(name) in str(caught.value)


def test_of_nothing():
    """Along an axis of length 0: a distribution over nothing is empty, and the sum of no numbers is 0."""
    with Record() as record:
        empty = record.leaf(np.ones((2, 0)))
        for f in (ops.softmax, ops.log_softmax, ops.sparsemax):
            assert f(empty).shape == (2, 0)
        one = ops.logsumexp(empty, axis=1)
        loss = sum((ops.sum(f(empty)) for f in (ops.softmax, ops.log_softmax, ops.sparsemax)), ops.sum(one))
    assert np.array_equal(one.data, [-np.inf, -np.inf]) and record.backward(loss)[empty].shape == (2, 0)
    assert ops.logsumexp(np.ones((2, 0)), axis=0).shape == (0,)
    for f in (ops.max, ops.argmax):
        with pytest.raises(ShapeError, match=r"of \(2, 0\) float64"):
            f(empty.data, axis=1)
    with pytest.raises(ShapeError, match="ops.sort"):
        ops.sort(np.array(3.0))


def test_functions_in_c_are_recorded_where_they_do_not_tell_their_arguments(v, monkeypatch):
    """As in NumPy before 2.4."""
    def untold(function):
        if function in (np.concatenate, np.dot, np.inner, np.vdot, np.where):
            raise ValueError(f"no signature found for builtin {function}")
        return told(function)
    told = values.inspect.signature
    monkeypatch.setattr(values.inspect, "signature", untold)
    values._signature.cache_clear()
    try:
        for f in (lambda x: np.concatenate((x, X), axis=1), lambda x: np.concatenate([x, x], 1),
                  lambda x: np.dot(x, X.T), lambda x: np.inner(x, X), lambda x: np.where(X > 0, 1.0, x)):
            np.testing.assert_array_equal(f(v).data, f(X))
        with pytest.raises(NotSupported, match="dtype="):
            np.concatenate([v, v], dtype="float32")
    finally:
        values._signature.cache_clear()
