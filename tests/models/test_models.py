"""Models: chains, graphs and free calls; what they compute, hold, share, copy and refuse."""
import copy
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rnnref import Input, Model, Record, Sequential, layers as L, ops
from rnnref.errors import Error
from rnnref.models import clone_model
from rnnref.nest import flatten, map_structure
from rnnref.testing.api import assert_close, assert_same
from rnnref.values import numbers
from tests.support.model_cases import CASES, made

X = np.random.default_rng(0).normal(size=(3, 5, 2))
D = {"dtype": "float64"}


def differences(f, w, seed=0, h=1e-6):
    """The slope of f() along a random direction of a weight, and that direction."""
    d, a = np.random.default_rng(seed).normal(size=w.shape), w.numpy()
    found = []
    for sign in (1, -1):
        w.assign(a + sign * h * d)
        found.append(f())
    w.assign(a)
    return (found[0] - found[1]) / (2 * h), d


def free(kind="loop", **base):
    """A model with a free call: steps in reverse, a branch on numbers, attention over what was before."""
    class Free(Model):
        def __init__(self):
            super().__init__(**D, **base)
            self.cell, self.score, self.out = L.GRUCell(4, **D), L.Dense(1, **D), L.Dense(2, activation="tanh", **D)

        def call(self, x):
            state, before = [np.zeros((len(x), 4))], []
            for t in reversed(range(x.shape[1])):
                y, state = self.cell(x[:, t], state)
                before.append(y)
                if float(np.mean(x[:, t])) > 0 and len(before) > 1:           # a branch on numbers
                    memory = np.stack(before, axis=1)
                    weights = ops.softmax(self.score(memory), axis=1)
                    state = [state[0] + np.sum(weights * memory, axis=1)]
            return self.out(state[0])
    return Free()


def test_a_free_call_has_the_gradients_of_differences():
    model = free()

    def loss():
        return float(np.sum(np.square(numbers(model(X)))))
    with Record() as record:
        v = record.leaf(X)
        total = np.sum(np.square(model(v)))
    found = record.backward(total)
    assert len(model.weights) == 3 + 2 + 2
    for w in model.trainable_weights:
        slope, d = differences(loss, w)
        assert abs((found[w] * d).sum() - slope) < 1e-7 * max(1, abs(slope))
    d = np.random.default_rng(9).normal(size=X.shape)
    slope = [float(np.sum(np.square(model(X + s * 1e-6 * d)))) for s in (1, -1)]
    assert abs((found[v] * d).sum() - (slope[0] - slope[1]) / 2e-6) < 1e-7


@pytest.mark.peers
def test_a_free_loop_beside_torch():
    """Written once more in torch, in float64."""
    import torch

    class Loop(Model):
        def __init__(self):
            super().__init__(**D)
            self.w = self.add_weight((2, 4), name="w")
            self.r = self.add_weight((4, 4), "orthogonal", name="r")
            self.v = self.add_weight((4,), "ones", name="v")

        def call(self, x):
            h, ys = np.zeros((len(x), 4)), []
            for t in range(x.shape[1]):
                h = np.tanh(x[:, t] @ self.w + h @ self.r) * self.v + 0.5 * h
                ys.append(h if t % 2 else ops.softmax(h))
            return np.stack(ys, axis=1)
    model = Loop()
    with Record() as record:
        x = record.leaf(X)
        y = model(x)
    dy = np.random.default_rng(1).normal(size=y.shape)
    found = record.backward(y, dy)
    tx, w, r, v = (torch.tensor(a, requires_grad=True) for a in (X, *model.get_weights()))
    h, ys = torch.zeros(3, 4, dtype=torch.float64), []
    for t in range(5):
        h = torch.tanh(tx[:, t] @ w + h @ r) * v + 0.5 * h
        ys.append(h if t % 2 else torch.softmax(h, -1))
    out = torch.stack(ys, 1)
    out.backward(torch.tensor(dy))
    assert np.abs(y.numpy() - out.detach().numpy()).max() < 1e-14
    for a, b in ((found[x], tx), (found[model.w], w), (found[model.r], r), (found[model.v], v)):
        assert np.abs(a - b.grad.numpy()).max() < 1e-14 * np.abs(a).max()


# graphs

def test_a_shared_layer_has_the_sum_of_its_gradients():
    dense = L.Dense(3, **D)
    x, z = Input((2,), dtype="float64"), Input((2,), dtype="float64")
    model = Model([x, z], dense(x) * 2.0 - dense(z))
    a, b = X[:, 0], X[:, 1]
    with Record() as record:
        y = model([a, b])
    assert_close(record.backward(y)[dense.kernel], (2 * a - b).sum(0)[:, None].repeat(3, 1), "path")
    assert [w.name for w in model.weights] == ["kernel", "bias"]


def test_models_share_layers_and_symbols():
    x = Input((None, 2), dtype="float64")
    states = L.LSTM(4, return_sequences=True, **D)(x)
    whole = Model(x, L.Dense(1, **D)(states))
    inner, head = Model(x, states), Model(states, whole.output)
    assert_same(head(inner(X)), whole(X))
    assert_same(Model(whole.inputs, whole.layers[1].output)(X), inner(X))
    assert inner.weights[0] is whole.weights[0] and whole.layers[1].input is x


def test_inputs_of_any_structure():
    a, b = Input((2,), name="a"), Input((1,), name="b")
    y = L.Dense(2)(a) + b
    x, z = X[:, 0].astype("float32"), X[:, 1, :1].astype("float32")
    wanted = Model([a, b], y)([x, z])
    for tree, given in (((a, b), (x, z)), ([a, b], {"b": z, "a": x}), ({"a": a, "b": b}, {"b": z, "a": x}),
                        ([a, [b]], [x, [z]]), ([a, b], (x, z[:, 0]))):
        assert_same(Model(tree, y)(given), wanted)
    assert Model(a, [a * 2])(x).shape == (3, 2) and Model([a], a * 2)(x[None][0]).dtype == "float32"


def test_inputs_are_cast_to_their_dtype():
    x, ids = Input((2,), dtype="float64"), Input((2,), dtype="int32")
    model = Model([x, ids], [x + 0.0, ids])
    y, n = model([X[:, 0].astype("float32"), np.array([[1.0, 2.0]] * 3)])
    assert (y.dtype, n.dtype) == ("float64", "int32")
    assert Model(x, x * 1.0)(X[:, 0]).tolist() == X[:, 0].tolist()               # nothing is lost on the way


def test_a_model_may_be_made_while_a_record_is_open():
    with Record() as record:
        x = Input((2,), dtype="float64")
        model = Model(x, np.sum(L.Dense(3, **D)(x) * 2.0, axis=1))
        y = model(X[:, 0])
    assert_close(record.backward(y)[model.weights[1]], np.full(3, 6.0), "path")


def test_masks_travel_through_models():
    ids = np.array([[1, 2, 0], [3, 0, 0]])
    model = Sequential([L.Embedding(5, 3, mask_zero=True), L.LSTM(2), L.Dense(1)])
    embedding, lstm, dense = model.layers
    assert_same(model(ids), dense(lstm(embedding(ids), mask=ids != 0)))
    assert not np.array_equal(model(ids), dense(lstm(embedding(ids))))
    x = Input((None, 2))
    model = Model(x, L.LSTM(2)(L.Dense(3)(x)))
    x = X.astype("float32")
    mask = np.array([[True] * 3 + [False] * 2] * 3)
    with pytest.warns(UserWarning, match="does not support it"):       # as in Keras: what comes out has no mask
        y = model(x, mask=mask)
    assert_close(y, model(x[:, :3]), "path")


def test_masks_stay_where_inputs_are_cast():
    model = Sequential([Input((None, 2)), L.LSTM(3)])
    with Record() as record:
        with pytest.warns(UserWarning, match="does not support it"):
            y = model(record.leaf(X, np.arange(5) < [[2], [3], [5]]))          # from float64 to float32
    assert_close(y.numpy()[:2], np.concatenate([model(X[:1, :2]), model(X[1:2, :3])]), "path")


def test_a_chain_whose_input_is_nested():
    model, mask = Sequential([L.Add(), L.Dense(3), L.LSTM(2)]), np.arange(5) < [[2], [3], [5]]
    add, dense, lstm = model.layers
    masks = [mask, mask[::-1]]
    with pytest.warns(UserWarning, match="does not support it"):
        y = model([X, X], mask=masks)
    whole = add.compute_mask([X, X], masks)
    assert_same(y, lstm(dense(add([X, X])), mask=whole))
    assert not np.array_equal(whole, mask) and not np.array_equal(y, lstm(dense(add([X, X])), mask=mask))


def test_masks_of_inputs_by_name():
    a, b = Input((None, 2), name="a"), Input((None, 2), name="b")
    first, second = L.LSTM(3), L.LSTM(3)
    model, masks = Model([a, b], [first(a), second(b)]), [np.arange(5) < n for n in ([[2]] * 3, [[4]] * 3)]
    with Record() as record, pytest.warns(UserWarning, match="does not support it"):
        y = model({"b": record.leaf(X, masks[1]), "a": record.leaf(X, masks[0])})
    assert_close(numbers(y), [first(X[:, :2]), second(X[:, :4])], "path")


def test_calls_of_one_layer_are_read_in_their_order():
    """The second call of `a` can be made before the first, whose input is made by a layer further down."""
    x, a, b = Input((2,)), L.Dense(2, name="a"), L.Dense(2, name="b")
    late = a(b(x))
    model = Model(x, [L.Dense(3)(a(x)), late])
    assert [layer.name for layer in model.layers][1:3] == ["a", "b"]
    other = clone_model(model)
    other.set_weights(model.get_weights())
    assert_same(other(X[:, 0]), model(X[:, 0]))


def test_training_reaches_all_inside():
    seen = []

    class Spy(L.Layer):
        def call(self, x, training=False):
            seen.append(training)
            return x
    x = Input((2,))
    inner = Sequential([Spy()])
    model = Model(x, Sequential([inner, Spy()])(Spy()(x)))
    seen.clear()
    model(X[:, 0], training=True)
    model(X[:, 0])
    with Record(training=True):
        model(X[:, 0])
        model(X[:, 0], training=False)
    assert seen == [True] * 3 + [False] * 3 + [True] * 3 + [False] * 3


def test_threads_get_the_same_bits():
    for name in ("several inputs", "subclass"):
        model, x = made(name), CASES[name][1]

        def gradients(_):
            with Record() as record:
                y = model(x)
            found = record.backward(y)
            return [found[w] for w in model.trainable_weights]
        with ThreadPoolExecutor(4) as pool:
            first, *others = pool.map(gradients, range(8))
        for other in others:
            assert_same(first, other)


@pytest.mark.parametrize("name", CASES)
def test_backward_on_arrays_is_that_of_a_record(name):
    model, x = made(name), CASES[name][1]
    y = model(x)
    with Record() as record:
        v = map_structure(record.leaf, x)
        z = model(v)
    dy = map_structure(lambda a: np.ones_like(a), y)
    found = record.backward(z, dy)
    assert_same(numbers(z), y)
    dx = model.backward(dy)
    for a, b in zip(flatten(v), flatten(dx)):
        assert (a.number is None and b is None) or np.array_equal(found[a], b)
    for path, w in model.named_weights().items():
        if w.trainable:
            assert np.array_equal(model.grads[path], found[w])


@pytest.mark.parametrize("name", CASES)
def test_copies_are_of_their_own(name):
    model, x = made(name), CASES[name][1]
    other = copy.deepcopy(model)
    before = model(x)
    assert_same(other(x), before)
    for w in other.weights:
        w.assign(w.numpy() + 1)
    assert_same(model(x), before)
    fresh = model.fresh()
    fresh(x)
    assert [w.shape for w in fresh.weights] == [w.shape for w in model.weights]
    fresh.set_weights(model.get_weights())
    assert_same(fresh(x), before)


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("subclass", "loop")])
def test_configurations(name):
    model, x = made(name), CASES[name][1]
    other = clone_model(model)
    assert other.get_config() == model.get_config() and other.name == model.name
    assert [a.name for a in other.layers] == [a.name for a in model.layers]
    other.set_weights(model.get_weights())
    assert_same(other(x), model(x))


def test_a_copy_of_a_layer_takes_no_model_along():
    model = made("chain")
    layer = copy.deepcopy(model.layers[-1])
    assert_same(layer.get_weights(), model.layers[-1].get_weights())
    with pytest.raises(Error, match="was not called with symbols"):
        layer.output


def test_a_model_in_time_distributed():
    inner = Sequential([L.Dense(3, activation="tanh", **D), L.Dense(2, **D)])
    model = Sequential([Input((None, 2), dtype="float64"), L.TimeDistributed(inner, **D)])
    assert_close(model(X), np.stack([inner(X[:, t]) for t in range(5)], 1), "path")
    assert len(model.trainable_weights) == 4


def test_building_before_the_first_call():
    model = free(name="free")
    model.build((None, 4, 2))
    assert model.built and len(model.weights) == 5         # the branch was not taken by zeros
    assert model.weights[0].path == "free/gru_cell/kernel"
    model(X)
    model.set_weights(free_weights := [a + 1 for a in model.get_weights()])
    assert_same(model.get_weights(), free_weights)
    chain = Sequential([L.Dense(3), L.Dense(2)])
    assert not chain.built and not chain.weights
    chain.build((None, 4))
    assert chain.count_params() == 15 + 8 and chain.output_shape == (None, 2)


def test_layers_of_a_chain_are_added_and_removed():
    model = Sequential(name="chain")
    model.add(Input((4,)))
    model.add(L.Dense(3, name="a"))
    model.add(L.Dense(2, name="b"))
    assert model.output_shape == (None, 2) and [a.name for a in model.layers] == ["a", "b"]
    assert model.pop().name == "b" and model.output_shape == (None, 3) and model.count_params() == 15
    assert model.get_layer("a") is model.get_layer(index=0) is model.layers[0]
    assert Sequential([L.Dense(3, input_dim=4)]).input_shape == (None, 4)


def test_a_layer_that_is_attached_later_counts():
    x = Input((2,))
    model = Model(x, L.Dense(3)(x))
    model.more = L.Dense(2)
    model.more.build((None, 3))
    assert model.count_params() == 9 + 8 and model.layers[-1] is model.more


def test_frozen_layers_have_no_gradient():
    model = made("chain")
    model.layers[0].trainable = False
    assert len(model.trainable_weights) == len(model.weights) - 3 - 2
    with Record() as record:
        y = model(CASES["chain"][1])
    found = record.backward(y)
    assert all(found[w] is None for w in model.layers[0].weights)
    model.trainable = False
    assert not model.trainable_weights


def test_losses_of_layers_and_weights():
    class Added(L.Layer):
        def call(self, x):
            self.add_loss(np.sum(x) * 2)
            return x
    model = Sequential([Input((2,)), L.Dense(2, kernel_regularizer="l2"), Added()])
    x = X[:, 0].astype("float32")
    with Record() as record:
        y = model(x)
        losses = model.losses
    kernel = model.get_weights()[0]
    assert_close([float(a) for a in losses], [float(0.01 * (kernel ** 2).sum()), float(2 * y.numpy().sum())], "path")
    assert len(record.losses) == 1


def test_a_failed_build_is_not_a_built_model():
    model = free()
    with pytest.raises(Exception):
        model.build((None, 2))
    assert not model.built
    model(X)
    assert model.built


def test_nothing_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in CASES:
            made(name)
