"""Metrics beside Keras 3 on torch: with weights and masks, over several batches."""

import numpy as np
import pytest

from rnnref import Record, metrics
from rnnref.check.tolerance import tolerance
from tests.support.random_arrays import RandomArrays

pytestmark = pytest.mark.peers
DRAW = RandomArrays(4)
RNG, R, unit, ids, one_hot = DRAW.rng, DRAW.normal, DRAW.unit, DRAW.ids, DRAW.one_hot
BAR = 2 * tolerance("output", "float32")


ERRORS = [lambda n: (R(n, 5, 3), R(n, 5, 3)), lambda n: (R(n, 3), R(n, 3)), lambda n: (R(n), R(n, 1)),
          lambda n: (R(n, 1), R(n, 1))]
BINARY = [lambda n: (ids(2, n, 1), unit(n, 1)), lambda n: (ids(2, n), unit(n)), lambda n: (ids(2, n), unit(n, 1)),
          lambda n: (ids(2, n, 5, 1).astype("float32"), unit(n, 5, 1))]
HOT = [lambda n: (one_hot(7, n), unit(n, 7)), lambda n: (one_hot(7, n, 5), R(n, 5, 7))]
SPARSE = [lambda n: (ids(7, n), unit(n, 7)), lambda n: (ids(7, n, 1), R(n, 7)), lambda n: (ids(7, n, 5), unit(n, 5, 7))]
WIDE = [lambda n: (ids(2, n, 4), unit(n, 4))]
CASES = {
    "MeanSquaredError": ([{}], ERRORS), "MeanAbsoluteError": ([{}], ERRORS), "RootMeanSquaredError": ([{}], ERRORS),
    "Accuracy": ([{}], [lambda n: (ids(3, n), ids(3, n)), lambda n: (ids(3, n, 5), ids(3, n, 5).astype("float32"))]),
    "BinaryAccuracy": ([{}, {"threshold": 0.3}], BINARY), "CategoricalAccuracy": ([{}], HOT),
    "SparseCategoricalAccuracy": ([{}], SPARSE), "TopKCategoricalAccuracy": ([{}, {"k": 2}], HOT),
    "SparseTopKCategoricalAccuracy": ([{}, {"k": 3}], SPARSE[:1] + SPARSE[2:]),
    "BinaryCrossentropy": ([{}, {"from_logits": True, "label_smoothing": 0.1}], [BINARY[0], BINARY[3]]),
    "CategoricalCrossentropy": ([{"from_logits": True}, {"from_logits": True, "label_smoothing": 0.1}], HOT),
    "SparseCategoricalCrossentropy": ([{"from_logits": True}, {"from_logits": True, "ignore_class": 2}], SPARSE),
    "KLDivergence": ([{}], [lambda n: (unit(n, 4), unit(n, 4)), lambda n: (unit(n, 5, 4), unit(n, 5, 4))]),
    "Precision": ([{}, {"thresholds": 0.3}, {"thresholds": [0.1, 0.4, 0.9]}, {"thresholds": [0.0, 0.5, 1.0]}], BINARY),
    "Precision wide": ([{"top_k": 2}, {"class_id": 1}, {"top_k": 2, "class_id": 3}, {"top_k": 1, "thresholds": 0.4}],
                       WIDE),
    "AUC": ([{}, {"num_thresholds": 7}, {"curve": "PR"}, {"curve": "PR", "summation_method": "minoring"},
             {"summation_method": "majoring"}, {"curve": "PRGAIN"}, {"thresholds": [0.3, 0.2, 0.7]},
             {"thresholds": [0.25, 0.5, 0.75], "curve": "PR"}, {"from_logits": True}], BINARY),
    "AUC wide": ([{"multi_label": True}, {"multi_label": True, "num_labels": 4, "label_weights": [1.0, 2.0, 3.0, 0.5]},
                  {"multi_label": True, "curve": "PR"}, {"label_weights": [1.0, 2.0, 3.0, 0.5]},
                  {"multi_label": True, "thresholds": [0.3, 0.6], "curve": "PR", "summation_method": "majoring"}],
                 WIDE),
}
CASES["Recall"], CASES["Recall wide"] = CASES["Precision"], CASES["Precision wide"]
EVERY = [(name, options, k) for name, (choices, data) in CASES.items() for options in choices for k in range(len(data))]


def same(a, b):
    a, b = np.asarray(a), np.asarray(b.detach() if hasattr(b, "detach") else b)
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= BAR * max(1, np.abs(b).max())


def updated(keras, name, options, draw, weigh=None, masked=False):
    """Both after three batches of different sizes."""
    import torch
    a, b = getattr(keras.metrics, name)(**options), getattr(metrics, name)(**options)
    for n in (6, 1, 9):
        y, p = draw(n)
        weight = None if weigh is None else weigh(n, p).astype("float32")
        theirs, mine = torch.tensor(p), p
        with Record() as record:
            if masked:
                mask = RNG.uniform(size=p.shape[:2]) > 0.4
                keras.src.backend.set_keras_mask(theirs, torch.tensor(mask))
                mine = record.leaf(p, mask)
            a.update_state(torch.tensor(y), theirs, sample_weight=weight)
            assert b.update_state(y, mine, sample_weight=weight) is None
    return a, b


@pytest.mark.parametrize("name, options, k", EVERY)
def test_batches(keras, name, options, k):
    name, draw = name.split()[0], CASES[name][1][k]
    a, b = updated(keras, name, options, draw)
    same(b.result(), a.result())
    assert [v.path.split("/")[-1] for v in a.variables] == [v.name for v in b.variables]
    for v, w in zip(a.variables, b.variables):
        assert np.abs(v.numpy() - w.numpy()).max() <= BAR * max(1, np.abs(w.numpy()).max())
    a.reset_state()
    b.reset_state()
    same(b.result(), a.result())
    y, p = draw(5)
    same(b(y, p), a(y, p))


@pytest.mark.parametrize("name, options, k", EVERY)
def test_weights(keras, name, options, k):
    name, draw = name.split()[0], CASES[name][1][k]
    a, b = updated(keras, name, options, draw, lambda n, p: RNG.uniform(size=p.shape[:2] if p.ndim > 2 else n))
    same(b.result(), a.result())
    if name not in ("Precision", "Recall", "AUC") or draw(2)[1].ndim > 2:        # Keras refuses [n, 1] beside [n]
        a, b = updated(keras, name, options, draw, lambda n, p: RNG.uniform(size=(n, 5) if p.ndim > 2 else (n, 1)))
        same(b.result(), a.result())


READ_NO_MASK = {"RootMeanSquaredError", "Precision", "Recall", "AUC"}        # in Keras; here they read it


@pytest.mark.parametrize("name, options, k", [e for e in EVERY if CASES[e[0]][1][e[2]](2)[1].ndim == 3])
def test_masks(keras, name, options, k):
    name, draw = name.split()[0], CASES[name][1][k]
    if name in READ_NO_MASK:
        a, b, c = (getattr(of, name)(**options) for of in (keras.metrics, metrics, metrics))
        for n in (6, 4):
            (y, p), mask = draw(n), RNG.uniform(size=(n, 5)) > 0.4
            with Record() as record:
                b.update_state(y, record.leaf(p, mask))
            a.update_state(y, p, sample_weight=mask)              # the same, said by weights
            c.update_state(y[mask], p[mask])                      # and what is left
        same(b.result(), a.result())
        same(b.result(), c.result())
        return
    for weigh in (None, lambda n, p: RNG.uniform(size=p.shape[:2])):
        a, b = updated(keras, name, options, draw, weigh, masked=True)
        same(b.result(), a.result())


@pytest.mark.parametrize("name, options, k", [e for e in EVERY if e[2] == 0])
def test_configurations(keras, name, options, k):
    name = name.split()[0]
    a, b = getattr(keras.metrics, name)(name="m", **options), getattr(metrics, name)(name="m", **options)
    theirs, ours = a.get_config(), b.get_config()
    assert {**theirs, "dtype": None, "label_weights": 0} == {**ours, "label_weights": 0}
    back, there = metrics.deserialize(keras.metrics.serialize(a)), keras.metrics.deserialize(metrics.serialize(b))
    y, p = CASES[name][1][0](6) if "label_weights" not in options and "multi_label" not in options else WIDE[0](6)
    if not {"top_k", "class_id"} & {*options}:
        same(back(y, p), there(y, p))


def test_means_and_sums(keras):
    for name in ("Mean", "Sum"):
        for values, weights in [(R(4), None), (R(4), unit(4)), (R(4, 3), None), (R(4, 3), unit(4)),
                                (R(4, 3), unit(4, 3)), (R(4, 3, 2), unit(4, 3)), (R(4, 1), unit(4)),
                                (np.float32(3), None), (R(4, 3, 2), None), (R(4), np.float32(2))]:
            a, b = getattr(keras.metrics, name)(), getattr(metrics, name)()
            for _ in range(2):
                a.update_state(values, sample_weight=weights)
                b.update_state(values, sample_weight=weights)
            same(b.result(), a.result())


def test_accuracy_by_shapes(keras):
    from keras.src.trainers.compile_utils import get_metric
    for y, p in [((4,), (4, 1)), ((4, 1), (4, 1)), ((4,), (4, 3)), ((4, 1), (4, 3)), ((4, 3), (4, 3)),
                 ((4, 5), (4, 5, 3)), ((4, 5, 3), (4, 5, 3)), ((4, 5, 1), (4, 5, 3))]:
        for name in ("accuracy", "acc", "Accuracy", "mse", "MAE", "AUC", "binary_accuracy", "MeanSquaredError"):
            a, b = get_metric(name, np.zeros(y), np.zeros(p)), metrics.resolve(name, np.zeros(y), np.zeros(p))
            assert a.name == b.name and type(a).__name__ == type(b).__name__

    def mine(y, p):
        return abs(y - p)
    assert get_metric(mine, None, None).name == metrics.resolve(mine, None, None).name == "mine"
