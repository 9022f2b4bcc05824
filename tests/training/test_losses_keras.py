"""Losses beside Keras 3 on torch: values and gradients, with every option, mask, weight and reduction."""
from itertools import product

import numpy as np
import pytest

from rnnref import Record, losses, ops
from rnnref.check.tolerance import tolerance
from tests.support.random_arrays import RandomArrays

pytestmark = pytest.mark.peers
DRAW = RandomArrays(3)
RNG, R, probabilities, unit, ids, one_hot = DRAW.rng, DRAW.normal, DRAW.probabilities, DRAW.unit, DRAW.ids, DRAW.one_hot
BAR = 2 * tolerance("output", "float32")          # both in float32, in other orders


ERRORS = [(R(4, 5, 3), R(4, 5, 3)), (R(4, 3), R(4, 3)), (R(4), R(4, 1)), (R(4, 1), R(4)), (R(4, 5), R(4, 5, 1))]
# name: (options, [(y_true, y_pred)])
CASES = {
    "MeanSquaredError": ([{}], ERRORS), "MeanAbsoluteError": ([{}], ERRORS),
    "Huber": ([{}, {"delta": 0.3}], ERRORS),
    "KLDivergence": ([{}], [(probabilities(4, 5, 3), probabilities(4, 5, 3)), (one_hot(3, 4), probabilities(4, 3))]),
    "BinaryCrossentropy": ([{}, {"label_smoothing": 0.2}, {"axis": 1}],
                           [(ids(2, 4, 5, 3), unit(4, 5, 3)), (ids(2, 4, 3).astype("float32"), unit(4, 3))]),
    "BinaryCrossentropy logits": ([{"from_logits": True}, {"from_logits": True, "label_smoothing": 0.2}],
                                  [(ids(2, 4, 5, 1), 3 * R(4, 5, 1)), (ids(2, 4), R(4, 1))]),
    "CategoricalCrossentropy": ([{}, {"label_smoothing": 0.2}],
                                [(one_hot(3, 4, 5), unit(4, 5, 3)), (probabilities(4, 3), probabilities(4, 3))]),
    "CategoricalCrossentropy logits": (
        [{"from_logits": True}, {"from_logits": True, "label_smoothing": 0.2}, {"from_logits": True, "axis": 1}],
        [(one_hot(5, 4, 5), 3 * R(4, 5, 5)), (probabilities(4, 3), R(4, 3))]),
    "SparseCategoricalCrossentropy": ([{}, {"ignore_class": 1}, {"ignore_class": -1}],
                                      [(ids(3, 4, 5), unit(4, 5, 3)), (ids(3, 4, 1), unit(4, 3))]),
    "SparseCategoricalCrossentropy logits": (
        [{"from_logits": True}, {"from_logits": True, "ignore_class": 2}],
        [(ids(3, 4, 5), 3 * R(4, 5, 3)), (ids(3, 4), R(4, 3)), (ids(3, 4, 5, 1), R(4, 5, 3))]),
    "CTC": ([{}], [(np.array([[1, 2, 2], [3, 0, 0], [1, 1, 0], [0, 0, 0]]), R(4, 7, 4))]),
}
EVERY = [(name, options, k) for name, (choices, data) in CASES.items() for options in choices for k in range(len(data))
         if not ("axis" in options and data[k][1].ndim == 2 and name != "BinaryCrossentropy")]


def theirs(keras, loss, y, p, mask=None, weight=None):
    import torch
    leaf = torch.tensor(p, requires_grad=True)
    if mask is not None:
        keras.src.backend.set_keras_mask(leaf, torch.tensor(mask))
    value = loss(torch.tensor(y), leaf, sample_weight=weight)
    value.sum().backward()
    return value.detach().numpy(), leaf.grad.numpy()


def ours(loss, y, p, mask=None, weight=None):
    with Record() as record:
        leaf = record.leaf(p, mask)
        value = loss(y, leaf, sample_weight=weight)
        total = ops.sum(value)
    return value.data, record.backward(total)[leaf]


def same(a, b, bar=BAR):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= bar * max(1, np.abs(b).max())


@pytest.mark.parametrize("name, options, k", EVERY)
def test_values_and_gradients(keras, name, options, k):
    name, (y, p) = name.split()[0], CASES[name][1][k]
    for reduction in ("sum_over_batch_size", "sum", "mean", "none", None):
        made = {"reduction": reduction, **options}
        a = theirs(keras, getattr(keras.losses, name)(**made), y, p)
        b = ours(getattr(losses, name)(**made), y, p)
        same(b[0], a[0])
        same(b[1], a[1])
        same(getattr(losses, name)(**made)(y, p), a[0])           # arrays outside of a record


@pytest.mark.parametrize("name, options, k", [e for e in EVERY if e[0] != "CTC"])
def test_masks_and_weights(keras, name, options, k):
    name, (y, p) = name.split()[0], CASES[name][1][k]
    shape = np.shape(getattr(losses, name)(reduction=None, **options)(y, p))
    masks = [None] if len(shape) < 2 or shape != p.shape[:2] else [None, RNG.uniform(size=shape) > 0.3,
                                                                   np.zeros(shape, bool)]
    weights = [None, RNG.uniform(size=shape).astype("float32"), RNG.uniform(size=(*shape, 1)).astype("float32")]
    for mask, weight, reduction in product(masks, weights, ("sum_over_batch_size", "sum", "mean_with_sample_weight",
                                                            None)):
        made = {"reduction": reduction, **options}
        a = theirs(keras, getattr(keras.losses, name)(**made), y, p, mask, weight)
        b = ours(getattr(losses, name)(**made), y, p, mask, weight)
        same(b[0], a[0])
        same(b[1], a[1])


@pytest.mark.parametrize("name", sorted({name.split()[0] for name in CASES}))
def test_configurations(keras, name):
    a, b = getattr(keras.losses, name)(), getattr(losses, name)()
    assert keras.losses.serialize(a) == losses.serialize(b)
    for options in CASES[name][0]:
        there = keras.losses.deserialize(losses.serialize(getattr(losses, name)(reduction="sum", **options)))
        y, p = next(case for key, case in CASES.items() if key.split()[0] == name)[1][0]
        same(getattr(losses, name)(reduction="sum", **options)(y, p), np.asarray(there(y, p).detach()))
        back = losses.deserialize(keras.losses.serialize(there))
        assert back.reduction == "sum" and type(back).__name__ == name
        if name != "Huber":                       # Keras's configuration of it has no delta
            same(back(y, p), np.asarray(there(y, p).detach()))


@pytest.mark.parametrize("name", "mse MSE mae MAE bce BCE kld KLD mean_squared_error huber ctc BinaryCrossentropy "
                         "sparse_categorical_crossentropy".split())
def test_names(keras, name):
    a, b = keras.losses.get(name), losses.get(name)
    assert getattr(a, "__name__", type(a).__name__) == getattr(b, "__name__", type(b).__name__)


def test_crossentropy_by_shapes(keras):
    from keras.src.trainers.compile_utils import get_loss
    for y, p in [((4,), (4, 1)), ((4, 1), (4, 1)), ((4,), (4, 3)), ((4, 1), (4, 3)), ((4, 3), (4, 3)),
                 ((4, 5), (4, 5, 3)), ((4, 5, 3), (4, 5, 3)), ((4, 5, 1), (4, 5, 3))]:
        for name in ("crossentropy", "ce", "CE", "mse", "MeanSquaredError"):
            a, b = get_loss(name, np.zeros(y), np.zeros(p)), losses.resolve(name, np.zeros(y), np.zeros(p))
            assert a.name == b.name and a.fn.__name__ == b.fn.__name__


@pytest.mark.parametrize("T, N, K", [(6, 3, 4), (20, 7, 5), (3, 3, 4), (1, 1, 2), (9, 0, 3)])
def test_ctc_beside_torch(T, N, K):
    import torch
    torch.set_num_threads(1)
    B = 5
    y, p = RNG.integers(1, K, (B, N)), RNG.normal(size=(B, T, K)) * 3
    steps, lengths = RNG.integers(1, T + 1, B), RNG.integers(0, N + 1, B)
    leaf = torch.tensor(p, requires_grad=True)
    value = torch.nn.functional.ctc_loss(torch.log_softmax(leaf, -1).transpose(0, 1), torch.tensor(y),
                                         torch.tensor(steps), torch.tensor(lengths), reduction="none",
                                         zero_infinity=False)
    live = torch.isfinite(value)
    (value[live] * torch.arange(1.0, B + 1)[live]).sum().backward()
    with Record() as record:
        mine = record.leaf(p)
        found = ops.ctc_loss(y, mine, lengths, steps)
        total = ops.sum(ops.where(np.isfinite(found.data), found, 0) * np.arange(1.0, B + 1))
    assert np.array_equal(np.isfinite(found.data), live.numpy())
    finite, bar = np.isfinite(found.data), tolerance("gradient", "float64") * 100
    assert np.abs(found.data[finite] - value.detach().numpy()[finite]).max(initial=0) < bar
    if finite.any():
        assert np.abs(np.nan_to_num(leaf.grad.numpy()) - record.backward(total)[mine]).max() < bar
