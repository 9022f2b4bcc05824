"""Metrics: values by formulas written otherwise, masks and weights, sums that stay on the device."""
import numpy as np
import pytest

from rnnref import Record, metrics
from rnnref.check.tolerance import tolerance
from rnnref.errors import DeviceError, NotSupported, ShapeError
from tests.support import strict

RNG = np.random.default_rng(7)
N, T, K = 6, 4, 5
CLOSE = 100 * tolerance("output", "float64")


def unit(*shape):
    return RNG.uniform(0.01, 0.99, shape)


def simplex(*shape):
    p = RNG.uniform(0.1, 1, shape)
    return p / p.sum(-1, keepdims=True)


IDS, P, MASK, WEIGHT = RNG.integers(0, K, (N, T)), simplex(N, T, K), RNG.uniform(size=(N, T)) > 0.4, unit(N, T)
BITS, Q = RNG.integers(0, 2, (N, T)), unit(N, T)
Y = RNG.normal(size=(N, T, 2)), RNG.normal(size=(N, T, 2))


def mean(values, weight):
    return (values * weight).sum() / weight.sum()


def right(ids, p, k=1):
    return np.array([[sorted(row)[-k] <= row[i] for i, row in zip(a, b)] for a, b in zip(ids, p)])


def picked(p):
    return np.array([[p[n, t, IDS[n, t]] for t in range(T)] for n in range(N)])


def pairs_in_order(weight):
    """The share of pairs (positive, negative) that are in order: the area under the ROC curve."""
    found = [(a * b, (p > q) + 0.5 * (p == q)) for y, p, a in zip(BITS.flat, Q.flat, weight.flat) if y
             for z, q, b in zip(BITS.flat, Q.flat, weight.flat) if not z]
    return sum(w * s for w, s in found) / sum(w for w, _ in found)


CALLED = Q > 0.5
# metric, targets, predictions, the value with weights [N, T]
CASES = {
    "MeanSquaredError": ({}, *Y, lambda w: mean(((Y[0] - Y[1]) ** 2).mean(-1), w)),
    "MeanAbsoluteError": ({}, *Y, lambda w: mean(abs(Y[0] - Y[1]).mean(-1), w)),
    "RootMeanSquaredError": ({}, *Y, lambda w: mean(((Y[0] - Y[1]) ** 2).mean(-1), w) ** 0.5),
    "SparseCategoricalAccuracy": ({}, IDS, P, lambda w: mean(right(IDS, P), w)),
    "CategoricalAccuracy": ({}, np.eye(K)[IDS], P, lambda w: mean(right(IDS, P), w)),
    "SparseTopKCategoricalAccuracy": ({"k": 2}, IDS, P, lambda w: mean(right(IDS, P, 2), w)),
    "TopKCategoricalAccuracy": ({"k": 3}, np.eye(K)[IDS], P, lambda w: mean(right(IDS, P, 3), w)),
    "BinaryAccuracy": ({"threshold": 0.4}, BITS[..., None], Q[..., None], lambda w: mean((Q > 0.4) == BITS, w)),
    "Accuracy": ({}, IDS[..., None], (IDS * BITS)[..., None], lambda w: mean(IDS * BITS == IDS, w)),
    "SparseCategoricalCrossentropy": ({}, IDS, P, lambda w: mean(-np.log(picked(P)), w)),
    "KLDivergence": ({}, P[::-1], P, lambda w: mean((P[::-1] * np.log(P[::-1] / P)).sum(-1), w)),
    "Perplexity": ({}, IDS, P, lambda w: np.prod(picked(P) ** (-w / w.sum()))),
    "Precision": ({}, BITS[..., None], Q[..., None], lambda w: mean(BITS, CALLED * w)),
    "Recall": ({}, BITS[..., None], Q[..., None], lambda w: mean(CALLED, BITS * w)),
    "AUC": ({"thresholds": sorted(Q.flat)}, BITS[..., None], Q[..., None], pairs_in_order),
}


def bar(name):
    """Accuracies, and their weights, are float32, as in Keras."""
    return tolerance("output", "float32" if "Accuracy" in name else "float64") * 100


@pytest.mark.parametrize("name", CASES)
def test_values(name):
    options, y, p, value = CASES[name]
    metric = getattr(metrics, name)(**options)
    parts = [slice(0, 2), slice(2, 5), slice(5, N)]
    for weight in (None, WEIGHT):
        metric.reset_state()
        for part in parts:
            metric.update_state(y[part], p[part], None if weight is None else weight[part])
        expected = value(np.ones((N, T)) if weight is None else weight)
        assert float(metric.result()) == pytest.approx(expected, rel=bar(name))


@pytest.mark.parametrize("name", CASES)
def test_masks(name):
    """A mask is a weight of 0, also beside weights; in an open record nothing is recorded."""
    options, y, p, value = CASES[name]
    metric = getattr(metrics, name)(**options)
    for weight in (None, WEIGHT):
        metric.reset_state()
        with Record() as record:
            metric.update_state(y, record.leaf(p, MASK) if p.dtype.kind == "f" else Masked(p, MASK), weight)
            assert not len(record)
        assert float(metric.result()) == pytest.approx(value(MASK * (1 if weight is None else weight)), rel=bar(name))


def Masked(a, mask):
    from rnnref.values import Value
    return Value(a, 0, None, mask)


@pytest.mark.parametrize("name", CASES)
def test_on_the_strict_double(name):
    options, y, p, value = CASES[name]
    metric = getattr(metrics, name)(**options)
    with strict.install() as cupy:
        y, p, weight, mask = map(cupy.asarray, (y, p, WEIGHT, MASK))
        strict.counts.clear()
        for k in range(2):
            metric.update_state(y, Masked(p, mask), weight)
        assert not strict.counts
        result = metric.result()
        assert not strict.counts
        assert float(result) == pytest.approx(value(MASK * WEIGHT), rel=bar(name))
        with pytest.raises(DeviceError):
            metric.update_state(y.get(), p.get(), WEIGHT)
        metric.reset_state()
    metric.update_state(CASES[name][1], CASES[name][2], WEIGHT)
    assert float(metric.result()) == pytest.approx(value(WEIGHT), rel=bar(name))


def test_perplexity_leaves_tokens_out():
    metric = metrics.Perplexity(mask_token_id=-1, from_logits=True)
    live = IDS != 2
    metric.update_state(np.where(live, IDS, -1), np.log(P))
    assert float(metric.result()) == pytest.approx(CASES["Perplexity"][3](live * 1.0), rel=CLOSE)
    metric = metrics.Perplexity(mask_token_id=2, from_logits=True)
    assert float(metric(IDS, np.log(P))) == pytest.approx(CASES["Perplexity"][3](live * 1.0), rel=CLOSE)
    metric.reset_state()
    assert float(metric.result()) == 0
    metric.update_state(IDS, np.log(P), WEIGHT)
    assert float(metric.result()) == pytest.approx(CASES["Perplexity"][3](live * WEIGHT), rel=CLOSE)


def test_many_small_numbers_do_not_stall():
    """In float32 a sum of 2^24 ones stays there."""
    metric = metrics.Mean()
    metric.update_state(np.full((), 1.0, "float32"))
    metric.count.assign(2.0 ** 24)
    metric.total.assign(2.0 ** 24)
    for _ in range(4):
        metric.update_state(np.full(1, 3.0, "float32"))
    assert float(metric.result()) == (2.0 ** 24 + 12) / (2.0 ** 24 + 4)


def test_a_metric_of_ones_own():
    class Bias(metrics.Metric):
        def __init__(self, name="bias", dtype=None):
            super().__init__(dtype, name)
            self.off = self.add_weight(name="off")
            self.inner = metrics.Mean()

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.off.assign_add((y_pred - y_true).sum())
            self.inner.update_state(y_pred)

        def result(self):
            return self.off / 2
    metric = Bias()
    assert [v.name for v in metric.variables] == ["off", "total", "count"]
    with Record() as record:
        assert float(metric(np.ones(3), record.leaf(np.full(3, 2.0)))) == 1.5 and not len(record)
    metric.reset_state()
    assert float(metric.result()) == 0 == float(metric.inner.result())
    assert metrics.resolve(Bias, None, None).name == "bias"


def test_counts_by_buckets_are_those_of_comparisons():
    y, p, w = RNG.integers(0, 2, 200), np.concatenate([[0.0, 1.0, 1e-4, 1 - 1e-4], unit(196)]), unit(200)
    metric, given = metrics.AUC(num_thresholds=9), metrics.Recall(thresholds=[0.0, 0.5, 1.0])
    metric.update_state(y, p, w)
    given.update_state(y, p, w)
    for m in (metric, given):
        above = p > np.array(m.thresholds)[:, None]
        assert np.abs(m.true_positives.numpy() - (above * y * w).sum(1)).max() < CLOSE * 100
        assert np.abs(m.false_negatives.numpy() - (~above * y * w).sum(1)).max() < CLOSE * 100
    assert np.abs(metric.false_positives.numpy() - ((p > np.array(metric.thresholds)[:, None]) * (1 - y) * w).sum(1)
                  ).max() < CLOSE * 100


def test_auc_of_labels():
    y, p = RNG.integers(0, 2, (20, 3)), unit(20, 3)
    both = metrics.AUC(multi_label=True)(y, p)
    alone = [float(metrics.AUC()(y[:, k], p[:, k])) for k in range(3)]
    assert float(both) == pytest.approx(np.mean(alone), rel=CLOSE)
    weighted = metrics.AUC(multi_label=True, label_weights=[1, 0, 3])(y, p)
    assert float(weighted) == pytest.approx((alone[0] + 3 * alone[2]) / 4, rel=CLOSE)


@pytest.mark.parametrize("call, error, match", [
    (lambda: metrics.get("accurate"), NotSupported, "'accurate'"),
    (lambda: metrics.get("F1Score"), NotSupported, "F1Score: it is not implemented"),
    (lambda: metrics.AUC(curve="DET"), NotSupported, "curve='DET'"),
    (lambda: metrics.AUC(num_thresholds=1), NotSupported, "num_thresholds=1"),
    (lambda: metrics.AUC(num_labels=2), NotSupported, "num_labels=2 without multi_label=True"),
    (lambda: metrics.AUC(multi_label=True)(BITS[..., None], Q[..., None]), ShapeError, r"expected \[N, labels\]"),
    (lambda: metrics.Precision(thresholds=1.5), NotSupported, "thresholds=1.5"),
    (lambda: metrics.Recall(class_id=1)(BITS[0], Q[0]), ShapeError, "class_id=1"),
    (lambda: metrics.Precision()(BITS, Q[:, :2]), ShapeError, r"y_true has shape \(6, 4\), expected \(6, 2\)"),
    (lambda: metrics.SparseCategoricalAccuracy()(IDS[:, :2], P), ShapeError, r"indices of shape \(6, 2\)"),
    (lambda: metrics.MeanSquaredError()(*Y, np.ones(3)), ShapeError, r"weights or a mask of shape \(3,\)"),
    (lambda: metrics.Metric().update_state(), NotImplementedError, "defines no update_state"),
])
def test_errors(call, error, match):
    with pytest.raises(error, match=match):
        call()
