"""The record: what is entered, the walk back, whose gradients it gives, and what it refuses."""
import gc
import threading
import weakref

import numpy as np
import pytest

from rnnref import Record, ops
from rnnref.errors import NotSupported, ShapeError
from rnnref.pairs import TABLE, Part
from rnnref.record import current, paused
from rnnref.values import Arraylike, Value, masks, numbers

rng = np.random.default_rng(0)


def R(*shape, dtype="float64"):
    return rng.normal(size=shape).astype(dtype)


class Weight(Arraylike):
    """What a layer's handle of a weight must be to a record."""

    def __init__(self, data, name="w", trainable=True):
        self.data, self.name, self.trainable, self.key = data, name, trainable, id(self)


def loop(x, w, steps):
    h = np.zeros((x.shape[0], w.shape[1]))
    for t in range(steps):
        h = np.tanh(x[:, t] @ w + h @ w) * 0.5 + np.maximum(h, 0.1) / (1 + abs(h)) ** 2
    return h


def test_a_free_loop_has_the_gradients_of_finite_differences():
    x, w = R(3, 6, 4), R(4, 4)

    def f(x, w):
        h = loop(x, w, 6)
        z = np.concatenate([np.stack([h, h * 2], axis=1), x[:, :2]], axis=-1)
        u, v = np.split(z, 2, axis=-1)
        uv = np.einsum("bth,bth->bth", u, np.swapaxes(v, 0, 0))      # a sum over indices has other last bits recorded
        return uv.sum() + np.mean(h, axis=1).sum() + np.var(x) + (2.0 - h).min()
    with Record() as record:
        a, b = record.leaf(x), record.leaf(w)
        y = f(a, b)
    found, (u, v), e = record.backward(y), (R(3, 6, 4), R(4, 4)), 1e-5
    derivative = (f(x + e * u, w + e * v) - f(x - e * u, w - e * v)) / (2 * e)
    got = (found[a] * u).sum() + (found[b] * v).sum()
    assert abs(derivative - got) < 1e-8 * abs(got) and float(y) == f(x, w)


def test_a_record_may_be_walked_twice_or_freed():
    with Record() as record:
        x = record.leaf(R(3, 2))
        y = (np.exp(x) * x).sum()
    first, second = record.backward(y), record.backward(y)
    assert np.array_equal(first[x], second[x]) and len(record) == 3
    freed = record.backward(y, free=True)
    assert np.array_equal(first[x], freed[x]) and len(record) == 0
    with pytest.raises(NotSupported, match="free=True has dropped"):
        record.backward(y)


def test_entries_die_while_they_are_walked():
    """When the gradient of the first entry is computed, what the later ones kept is gone."""
    class Kept:
        pass
    alive, seen = [], []
    with Record() as record:
        x = v = record.leaf(R(2))
        for _ in range(3):
            kept = Kept()
            alive.append(weakref.ref(kept))

            def back(dys, wanted, kept=kept):
                seen.append([r() is not None for r in alive])
                return dys
            v = record.add(v.data + 1, back, [v.number])
        del kept, back
    assert np.array_equal(record.backward(v, free=True)[x], [1, 1])
    assert seen == [[True, True, True], [True, True, False], [True, False, False]]
    assert [r() for r in alive] == [None] * 3


def test_values_do_not_keep_a_record_alive():
    gc.collect()
    gc.disable()
    try:
        with Record() as record:
            x = record.leaf(R(2))
            y = np.tanh(x)
            record.losses.append(y)
        gone, found = weakref.ref(record), record.backward(y)
        del record
        assert gone() is None and found[x].shape == (2,) and y.shape == (2,)
    finally:
        gc.enable()


def test_gradients_that_nobody_asks_for_are_not_computed():
    asked = []

    def back(dys, wanted):
        asked.append(wanted)
        return [dys[0] if w else None for w in wanted]
    with Record() as record:
        x, w = record.leaf(R(2)), record.leaf(R(2))
        c = record.constant(R(2))
        y = record.add(x.data + w.data, back, [x.number, w.number, c.number])
    record.backward(y)
    only = record.backward(y, wanted=[w])
    assert asked == [[True, True, False], [False, True, False]] and only[w] is not None
    with pytest.raises(NotSupported, match="was not asked for"):
        only[x]


def test_the_gradient_of_a_value_on_the_way_is_given_when_asked():
    with Record() as record:
        x = record.leaf(R(2))
        h = np.tanh(x)
        y = (h * h).sum()
    np.testing.assert_allclose(record.backward(y, wanted=[h, x])[h], 2 * h.data)
    with pytest.raises(NotSupported, match="was not asked for"):
        record.backward(y)[h]


def test_entries_that_lead_to_nothing_wanted_are_skipped():
    with Record() as record:
        x, w = record.leaf(R(2)), record.leaf(R(2))

        def never(dys, wanted):
            raise AssertionError("walked")
        side = record.add(x.data * 2, never, [x.number])
        y = (side * w).sum()
    np.testing.assert_array_equal(record.backward(y, wanted=w)[w], side.data)


def test_dx_of_a_constant_is_not_multiplied():
    calls = []
    op = TABLE["matmul"]
    with Record() as record:
        x, w = record.constant(R(3, 4)), record.leaf(R(4, 2))
        y = x @ w
    kept = op.forward(x.data, w.data)[1]
    dx, dw = op.backward(kept, np.ones((3, 2)), [False, True])
    calls.append(dx)
    assert calls == [None] and np.array_equal(record.backward(y)[w], dw) and x.number is None


def test_weights_become_leaves_when_they_are_first_used():
    w, frozen, unused = Weight(R(2, 2)), Weight(R(2, 2), "frozen", trainable=False), Weight(R(2), "unused")
    with Record() as record:
        y = (np.tanh(w) @ w + w @ frozen).sum()
    found = record.backward(y)
    assert found[frozen] is None and found[unused] is None and len(record.weights) == 2
    v, e = R(2, 2), 1e-6

    def f(a):
        return (np.tanh(a) @ a + a @ frozen.data).sum()
    assert abs((f(w.data + e * v) - f(w.data - e * v)) / (2 * e) - (found[w] * v).sum()) < 1e-8
    assert isinstance(w * 2, np.ndarray) and isinstance(np.tanh(w), np.ndarray) and isinstance(w[0], np.ndarray)


def test_a_strict_record_has_no_other_weights():
    w, other = Weight(R(2)), Weight(R(2), "other")
    given = R(2)
    with Record(bound={w.key: given}) as record:
        y = (w * 3).sum()
        with pytest.raises(NotSupported, match="the weight other is not one of this layer"):
            other * 2
    assert float(y) == (given * 3).sum() and np.array_equal(record.backward(y)[w], [3, 3])


def test_sixteen_bits_are_summed_in_thirty_two():
    """2048 + 1 is 2048 in float16."""
    for make in (lambda w: sum((w * 1 for _ in range(4000)), np.float16(0)),
                 lambda w: sum((w[:1] for _ in range(4000)), np.float16(0))):
        with Record() as record:
            w = record.leaf(np.ones(2, "float16") / 4096)
            y = make(w)
        found = record.backward(y)[w]
        assert found.dtype == "float16" and found[0] == 4000


def test_dtypes_of_gradients_are_those_of_their_arrays():
    with Record() as record:
        x = record.leaf(R(3, 4, dtype="float16"))
        y = np.sum(np.tanh(x * 2.0) @ np.ones((4, 2), "float16") + 1, axis=0).mean()
        wide = x * np.ones(4)
    assert y.dtype == "float16" and record.backward(y)[x].dtype == "float16"
    assert wide.dtype == "float64" and record.backward(wide)[x].dtype == "float16"


def test_gradients_share_no_memory():
    with Record() as record:
        a, b, c = (record.leaf(R(2, 3)) for _ in range(3))
        y = (a + b) + c.reshape(3, 2).reshape(2, 3)
    dy = np.ones((2, 3))
    found = record.backward(y, dy)
    for g in (found[a], found[b], found[c]):
        g *= 5
    assert np.array_equal(dy, np.ones((2, 3))) and all(np.array_equal(found[v], dy * 5) for v in (a, b, c))


def test_parts_add_up_in_the_time_of_the_whole():
    """T slices of one array make one array of its size and T of a slice's."""
    with Record() as record:
        x = record.leaf(R(2, 50, 3))
        y = sum((x[:, t] * (t + 1) for t in range(50)), x[:, [0, 0]].sum(axis=1)).sum()
    found = record.backward(y)[x]
    want = np.broadcast_to(np.arange(1, 51)[None, :, None], (2, 50, 3)).astype(float).copy()
    want[:, 0] += 2
    np.testing.assert_array_equal(found, want)
    whole = np.zeros((3, 4))
    Part((3, 4), (slice(None), 1), np.ones(3)).add_to(whole)
    assert whole.sum() == 3


def test_results_that_are_integers_are_arrays():
    with Record() as record:
        x, ids = record.leaf(R(3, 4)), record.leaf(np.array([1, 2]))
        assert ids.number is None
        for a in (x > 0, np.argmax(x, axis=1), ops.shape(x), np.shape(x), x != x, ops.one_hot(np.array([1]), 3)):
            assert not isinstance(a, Value)
        y = np.where(x > 0, x, 0.1 * x)[ids].sum()
        assert isinstance(ops.stop_gradient(x), Value) and (ops.stop_gradient(x) * 2).number is None
    assert record.backward(y)[ids] is None and record.backward(y)[x][0].sum() == 0


def test_an_inference_record_enters_nothing():
    with Record(keep=False) as record:
        x = record.leaf(R(2))
        y = np.tanh(x) * Weight(R(2))
    assert isinstance(y, Value) and y.number is None and len(record) == 0
    with pytest.raises(NotSupported, match="does not depend on anything recorded"):
        record.backward(y)


def test_nothing_is_recorded_inside_a_pair():
    w = Weight(R(2))
    with Record() as record:
        x = record.leaf(R(2))
        with paused():
            assert current() is None and isinstance(np.tanh(w), np.ndarray) and isinstance(x * 2, np.ndarray)
        assert current() is record and len(record) == 0


def test_records_are_one_inside_the_other():
    with Record() as outer:
        x = outer.leaf(R(2))
        with Record() as inner:
            y = inner.leaf(x.data) * 2
            with pytest.raises(NotSupported, match="belongs to another record"):
                x * 2
        z = x * 2
        with pytest.raises(NotSupported, match="belongs to another record"):
            y * 2
        with pytest.raises(NotSupported, match="open already"):
            outer.__enter__()
    with pytest.raises(NotSupported, match="belongs to another record"):
        outer.backward(y)
    with pytest.raises(NotSupported, match="belongs to another record"):
        outer.backward(z)[y]
    with pytest.raises(NotSupported, match="as a key"):
        outer.backward(z)[x.data]
    assert current() is None


def test_a_gradient_of_a_wrong_shape_is_refused():
    with Record() as record:
        x = record.leaf(R(2))
        y = record.add(R(3), lambda dys, wanted: [dys[0]], [x.number], "my pair")
    with pytest.raises(ShapeError, match=r"my pair: a gradient has shape \(3,\), expected \(2,\)"):
        record.backward(y)
    with pytest.raises(ShapeError, match=r"the gradient that was given: .* shape \(1,\), expected \(3,\)"):
        record.backward(y, np.ones(1))


def test_several_results_of_which_some_have_no_gradient():
    with Record() as record:
        x = record.leaf(np.array([3.0, 1.0, 2.0]))
        values, order = ops.top_k(x, 2)
        a, b, c = ops.unstack(x)
        y = values[1] + b * 2
    assert order.dtype == "int32" and np.array_equal(record.backward(y)[x], [0, 2, 1])
    assert np.array_equal(record.backward({"a": a, "c": [c]}, {"a": np.array(2.0), "c": None})[x], [2, 0, 0])


def test_a_pair_of_nests():
    """dys comes for every floating result, zeros where no gradient arrived."""
    seen = []

    def back(dys, wanted):
        seen.extend(dys)
        return [dys[0] + dys[1]]
    with Record() as record:
        x = record.leaf(R(2))
        y = record.add({"a": x.data, "b": [x.data * 2, np.arange(3)]}, back, [x.number])
    assert np.array_equal(record.backward(y["b"][0])[x], [1, 1]) and isinstance(y["b"][1], np.ndarray)
    assert [d.sum() for d in seen] == [0, 2]


def test_masks_travel_with_values():
    mask = np.array([[True, False]])
    with Record() as record:
        x = record.leaf(R(1, 2, 3), mask)
        assert masks([x, 3]) == [mask, None] and masks([x * 2]) is None and numbers([x, 3])[0] is x.data


def test_computed_once():
    calls = []
    record, who = Record(), object()
    assert record.once(who, lambda: calls.append(1) or 5) == record.once(who, lambda: 6) == 5 and calls == [1]


def test_threads_have_a_record_each_and_the_same_bits():
    w = Weight(R(4, 4))
    inputs = [R(3, 5, 4) for _ in range(8)]

    def gradients(x):
        with Record(training=True) as record:
            y = loop(record.leaf(x), w, 5).sum()
            assert current() is record
        found = record.backward(y)
        return found[w], float(y)
    alone, found = [gradients(x) for x in inputs], {}
    threads = [threading.Thread(target=lambda k=k: found.update({k: [gradients(inputs[k]) for _ in range(5)]}))
               for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(found) == 8 and current() is None
    for k, each in found.items():
        for g, y in each:
            assert np.array_equal(g, alone[k][0]) and y == alone[k][1]
