"""Losses: values by formulas written otherwise, gradients by differences, masks, weights, CTC by enumeration."""
from itertools import product

import numpy as np
import pytest

from rnnref import Record, losses, ops
from rnnref.check.tolerance import tolerance
from rnnref.errors import NotSupported, ShapeError
from tests.support import strict

RNG = np.random.default_rng(1)
STEP, CLOSE = 1e-5, 10 * tolerance("output", "float64")
B, T, K = 4, 3, 5


def R(*shape):
    return RNG.normal(size=shape)


def simplex(*shape):
    p = RNG.uniform(0.1, 1, shape)
    return p / p.sum(-1, keepdims=True)


Y, HOT, IDS = R(B, T, K), np.eye(K)[RNG.integers(0, K, (B, T))], RNG.integers(0, K, (B, T))
BITS, SOME = RNG.integers(0, 2, (B, T, K)), np.array([[1, 2, 1], [3, 0, 0], [4, 4, 0], [0, 0, 0]])
CASES = {
    "mean_squared_error": [(Y, R(B, T, K), {})], "mean_absolute_error": [(Y, R(B, T, K), {})],
    "huber": [(Y, 2 * R(B, T, K), {}), (Y, R(B, T, K), {"delta": 0.4})],
    "kl_divergence": [(simplex(B, T, K), simplex(B, T, K), {})],
    "binary_crossentropy": [(BITS, RNG.uniform(0.1, 0.9, (B, T, K)), {"label_smoothing": s}) for s in (0, 0.3)]
    + [(BITS, R(B, T, K), {"from_logits": True}), (BITS, R(B, T, K), {"from_logits": True, "axis": 1})],
    "categorical_crossentropy": [(HOT, simplex(B, T, K) * 2, {"label_smoothing": s}) for s in (0, 0.3)]
    + [(HOT, R(B, T, K), {"from_logits": True}), (HOT.swapaxes(1, 2), R(B, K, T), {"from_logits": True, "axis": 1})],
    "sparse_categorical_crossentropy": [
        (IDS, simplex(B, T, K) * 2, {}), (IDS, R(B, T, K), {"from_logits": True}),
        (IDS[..., None], R(B, T, K), {"from_logits": True, "ignore_class": 2}),
        (IDS, R(B, K, T), {"from_logits": True, "axis": 1})],
    "ctc": [(SOME, R(B, 7, K), {})],
}
EVERY = [(name, k) for name, cases in CASES.items() for k in range(len(cases))]


def log_softmax(a, axis=-1):
    e = np.exp(a - a.max(axis, keepdims=True))
    return np.log(e / e.sum(axis, keepdims=True))


def shares(p, from_logits, axis=-1):
    return log_softmax(p, axis) if from_logits else np.log(p / p.sum(axis, keepdims=True))


def by_paths(y, p):
    """CTC by all K^T paths."""
    log_p, found = log_softmax(p), []
    for row, target in zip(log_p, y):
        target, total = tuple(target[target != 0]), 0.0
        for path in product(range(p.shape[-1]), repeat=len(row)):
            joined = [k for k, before in zip(path, (None, *path)) if k != before]
            if tuple(k for k in joined if k) == target:
                total += np.exp(sum(row[t, k] for t, k in enumerate(path)))
        with np.errstate(divide="ignore"):
            found.append(-np.log(total))
    return np.array(found)


def smooth(y, s, n):
    return y * (1 - s) + s / n


def huber(y, p, delta=1.0):
    e = np.abs(y - p)
    return np.mean([np.minimum(e, delta) * (e - np.minimum(e, delta) / 2)], axis=(0, -1))


def bce(y, p, from_logits=False, label_smoothing=0, axis=-1):
    p = 1 / (1 + np.exp(-p)) if from_logits else p
    y = smooth(y, label_smoothing, 2)
    return -(y * np.log(p) + (1 - y) * np.log1p(-p)).mean(axis)


def sparse(y, p, from_logits=False, ignore_class=None, axis=-1):
    y, log_p = y.reshape(B, T), np.moveaxis(shares(p, from_logits, axis), axis, -1)
    found = [[0 if y[b, t] == ignore_class else -log_p[b, t, y[b, t]] for t in range(T)] for b in range(B)]
    return np.array(found)


FORMULAS = {
    "mean_squared_error": lambda y, p: np.einsum("btk,btk->bt", y - p, y - p) / K,
    "mean_absolute_error": lambda y, p: np.maximum(y - p, p - y).sum(-1) / K, "huber": huber,
    "kl_divergence": lambda y, p: (y * np.log(y)).sum(-1) - (y * np.log(p)).sum(-1), "binary_crossentropy": bce,
    "categorical_crossentropy": lambda y, p, from_logits=False, label_smoothing=0, axis=-1: -(
        smooth(y, label_smoothing, K) * shares(p, from_logits, axis)).sum(axis),
    "sparse_categorical_crossentropy": sparse, "ctc": by_paths,
}


@pytest.mark.parametrize("name, k", [e for e in EVERY if e[0] != "ctc"])
def test_values(name, k):
    y, p, options = CASES[name][k]
    found = getattr(losses, name)(y, p, **options)
    assert found.dtype == "float64"
    assert np.abs(found - FORMULAS[name](y, p, **options)).max() < tolerance("output", "float64")


def test_ctc_is_the_sum_over_all_paths():
    for steps, shape in [(1, (2, 1)), (3, (2, 2)), (5, (3, 3)), (4, (2, 0))]:
        y = np.sort(RNG.integers(0, 4, shape))[:, ::-1]
        p = RNG.normal(size=(shape[0], steps, 4)) * 2
        found, expected = losses.ctc(y, p), by_paths(y, p)
        assert np.array_equal(np.isfinite(found), np.isfinite(expected))
        assert np.abs(found - expected)[np.isfinite(expected)].max(initial=0) < tolerance("output", "float64")


def derivative(f, p, v):
    return sum(w * (f(p + k * STEP * v) - f(p - k * STEP * v)) for k, w in ((1, 2 / 3), (2, -1 / 12))) / STEP


@pytest.mark.parametrize("name, k", EVERY)
def test_gradients(name, k):
    """Along a direction, through the class and its reduction."""
    (y, p, options), v = CASES[name][k], RNG.normal(size=CASES[name][k][1].shape)
    d = RNG.normal(size=getattr(losses, name)(y, p, **options).shape)
    with Record() as record:
        leaf = record.leaf(p)
        found = getattr(losses, name)(y, leaf, **options)
    g = record.backward(found, d)[leaf]
    expected = derivative(lambda q: (getattr(losses, name)(y, q, **options) * d).sum(), p, v)
    assert abs((g * v).sum() - expected) < tolerance("difference", "float64") * np.linalg.norm(g) * np.linalg.norm(v)


def test_impossible_targets_of_ctc_have_no_gradient():
    with Record() as record:
        leaf = record.leaf(R(2, 2, 3))
        loss = ops.ctc_loss(np.array([[1, 1], [1, 2]]), leaf, [2, 2], [2, 2])             # 1 1 needs a blank between
    assert loss.data[0] == np.inf and np.isfinite(loss.data[1])
    g = record.backward(loss)[leaf]
    assert not g[0].any() and g[1].any() and np.isfinite(g).all()


def test_rows_without_steps_spell_nothing():
    with Record() as record:
        leaf = record.leaf(R(3, 2, 3))
        loss = ops.ctc_loss(np.array([[1], [1], [1]]), leaf, [0, 1, 1], [0, 0, 2])
    assert loss.data[:2].tolist() == [0, np.inf] and np.isfinite(loss.data[2])
    assert not record.backward(loss)[leaf][:2].any()


def test_ctc_of_long_rows_stays_finite():
    p = R(2, 400, 6).astype("float32") * 30
    with Record() as record:
        leaf = record.leaf(p)
        loss = losses.CTC()(RNG.integers(1, 6, (2, 150)), leaf)
    assert np.isfinite(loss.data) and np.isfinite(record.backward(loss)[leaf]).all()


def test_the_mask_of_ctc_is_its_length():
    y, p = SOME, R(B, 7, K)
    steps = np.array([7, 4, 5, 3])
    with Record() as record:
        loss = losses.CTC(reduction=None)(y, record.leaf(p, np.arange(7) < steps[:, None]))
    alone = [losses.ctc(y[k:k + 1], p[k:k + 1, :n])[0] for k, n in enumerate(steps)]
    assert np.abs(loss.data - alone).max() < tolerance("output", "float64")


# reductions, masks, weights

def test_a_masked_mean_is_that_of_what_is_live():
    y, p, mask, weight = R(B, T, 2), R(B, T, 2), RNG.uniform(size=(B, T)) > 0.4, RNG.uniform(size=(B, T))
    values = ((y - p) ** 2).mean(-1)
    with Record() as record:
        leaf = record.leaf(p, mask)
        found = {r: losses.MeanSquaredError(r)(y, leaf).data for r in ("mean", "sum", "mean_with_sample_weight", None)}
        weighted = losses.MeanSquaredError()(y, leaf, sample_weight=weight).data
        share = losses.MeanSquaredError("mean_with_sample_weight")(y, leaf, sample_weight=weight).data
    assert found["mean"] == pytest.approx(values[mask].mean(), rel=CLOSE)
    assert found["sum"] == pytest.approx(values[mask].sum(), rel=CLOSE)
    assert found["mean_with_sample_weight"] == pytest.approx(values[mask].mean(), rel=CLOSE)
    assert np.allclose(found[None], values * mask, rtol=CLOSE)
    assert weighted == pytest.approx((values * weight)[mask].sum() / mask.sum(), rel=CLOSE)
    assert share == pytest.approx((values * weight)[mask].sum() / weight[mask].sum(), rel=CLOSE)


def test_nothing_live_is_no_loss():
    with Record() as record:
        leaf = record.leaf(R(B, T, 2), np.zeros((B, T), bool))
        loss = losses.MeanSquaredError()(R(B, T, 2), leaf)
    assert loss.data == 0 and not record.backward(loss)[leaf].any()


def test_ignored_classes_are_masked():
    y = np.array([[0, 2, 1], [2, 2, 0]])
    p = R(2, 3, 3)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=2)
    live = y != 2
    expected = -np.take_along_axis(log_softmax(p), y[..., None], -1)[..., 0][live].mean()
    assert float(loss(y, p)) == pytest.approx(expected, rel=CLOSE)
    with Record() as record:
        leaf = record.leaf(p)
        assert float(loss(y, leaf)) == pytest.approx(expected, rel=CLOSE)


def test_a_loss_of_ones_own():
    class Quartic(losses.Loss):
        def call(self, y_true, y_pred):
            return np.mean((y_pred - y_true) ** 4, axis=-1)
    y, p, v = R(B, K), R(B, K), R(B, K)
    assert losses.get(Quartic).name.startswith("quartic")
    for loss in (Quartic(), losses.resolve(lambda a, b: ops.mean((a - b) ** 4, axis=-1), y, p)):
        with Record() as record:
            leaf = record.leaf(p)
            value = loss(y, leaf)
        g = record.backward(value)[leaf]
        assert float(value) == pytest.approx(((y - p) ** 4).mean(), rel=CLOSE)
        assert (g * v).sum() == pytest.approx(derivative(lambda q: ((q - y) ** 4).mean(), p, v), rel=1e-6)


def test_of_several_outputs():
    class Both(losses.Loss):
        def call(self, y_true, y_pred):
            return ops.square(y_true["a"] - y_pred["a"]) + ops.absolute(y_true["b"] - y_pred["b"])
    y, p = ({"a": R(3), "b": R(3)} for _ in range(2))
    assert float(Both()(y, p)) == pytest.approx(((y["a"] - p["a"]) ** 2 + abs(y["b"] - p["b"])).mean(), rel=CLOSE)


@pytest.mark.parametrize("dtype, expected", [("float16", "float32"), ("float32", "float32"), ("float64", "float64")])
def test_dtypes(dtype, expected):
    y, p = R(B, K).astype(dtype), R(B, K).astype(dtype)
    assert losses.MeanSquaredError()(y, p).dtype == expected
    assert losses.MeanSquaredError(dtype="float64")(y, p).dtype == "float64"
    with Record() as record:
        leaf = record.leaf(p)
        loss = losses.MeanSquaredError()(y, leaf)
    assert loss.dtype == expected and record.backward(loss)[leaf].dtype == dtype


@pytest.mark.parametrize("made, error, match", [
    (lambda: losses.MeanSquaredError("average"), NotSupported, "reduction='average'.*\n.*sum_over_batch_size"),
    (lambda: losses.BinaryCrossentropy(label_smoothing=2), NotSupported, "label_smoothing=2"),
    (lambda: losses.get("mean_squared"), NotSupported, "'mean_squared'"),
    (lambda: losses.get("tversky"), NotSupported, "losses.tversky: it is for images"),
    (lambda: losses.get(3), NotSupported, "an int, 3"),
    (lambda: losses.MeanSquaredError()(np.ones((4, 3, 2)), np.ones((4, 3, 2)), np.ones(4)), ShapeError,
     r"values of shape \(4, 3\).*of shape \(4,\)\n  fix    sample_weight\[:, None\]"),
    (lambda: losses.MeanSquaredError()(np.ones((3, 3, 2)), np.ones((3, 3, 2)), np.ones(3)), ShapeError,
     r"values of shape \(3, 3\).*of shape \(3,\)"),
    (lambda: losses.sparse_categorical_crossentropy(np.array([0, -1]), np.ones((2, 3))), ShapeError,
     "classes from -1 to 0, expected 0 to 2.*\n  fix    ignore_class="),
    (lambda: losses.SparseCategoricalCrossentropy()(np.array([0, 3]), np.ones((2, 3))), ShapeError,
     "classes from 0 to 3"),
    (lambda: losses.ctc(np.array([[4]]), np.ones((1, 2, 3))), ShapeError, "losses.ctc: y_true has classes from 4 to 4"),
    (lambda: ops.ctc_loss([[1]], np.ones((1, 2, 3)), [2], [2]), ShapeError,
     "target_length from 2 to 2, expected 0 to 1"),
    (lambda: ops.ctc_loss([[1]], np.ones((1, 2, 3)), [1], [3]), ShapeError,
     "output_length from 3 to 3, expected 0 to 2"),
    (lambda: losses.ctc(np.ones(3), np.ones((3, 2, 2))), ShapeError, r"losses.ctc: y_true has shape \(3,\)"),
    (lambda: losses.CategoricalCrossentropy()(np.ones(4, int), np.ones((4, 3))), ShapeError, "fix.*sparse_categorical"),
    (lambda: losses.Loss()(np.ones(2), np.ones(2)), NotImplementedError, "defines no call"),
])
def test_errors(made, error, match):
    with pytest.raises(error, match=match):
        made()


def test_of_one_class_is_warned_of():
    with pytest.warns(UserWarning, match="of one class the loss is 0"):
        losses.categorical_crossentropy(np.ones((3, 1)), np.ones((3, 1)))


@pytest.mark.parametrize("name, k", EVERY)
def test_on_the_strict_double(name, k):
    """The same numbers, and nothing crosses the bus."""
    y, p, options = CASES[name][k]
    with Record() as record:
        leaf = record.leaf(p, None if name == "ctc" else np.arange(p.shape[1]) < np.array([[3], [1], [2], [3]]))
        value = getattr(losses, name)(y, leaf, **options)
        expected = record.backward(value)[leaf]
    with strict.install() as cupy:
        y, q = cupy.asarray(y), cupy.asarray(p)
        strict.counts.clear()
        with Record() as record:
            leaf = record.leaf(q)
            found = getattr(losses, name)(y, leaf, **options)
            g = record.backward(found)[leaf]
        assert not strict.counts
        assert np.abs(found.data.get() - value.data).max() < tolerance("path", "float64")
        assert np.abs(g.get() - expected).max() < tolerance("path", "float64")


def test_a_reduced_loss_on_the_strict_double():
    y, p, mask, weight = R(B, T, 2), R(B, T, 2), RNG.uniform(size=(B, T)) > 0.4, RNG.uniform(size=(B, T))
    with Record() as record:
        expected = losses.MeanSquaredError()(y, record.leaf(p, mask), weight).data
    with strict.install() as cupy:
        y, p, mask, weight = map(cupy.asarray, (y, p, mask, weight))
        strict.counts.clear()
        with Record() as record:
            leaf = record.leaf(p, mask)
            loss = losses.MeanSquaredError()(y, leaf, weight)
            record.backward(loss)
        losses.SparseCategoricalCrossentropy(ignore_class=1)(cupy.asarray(cupy.zeros((B, T), "int64")), cupy.exp(p))
        assert not strict.counts
        assert float(loss.data) == pytest.approx(float(expected), rel=CLOSE)
