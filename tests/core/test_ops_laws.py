"""The law of finite differences over every operation, on NumPy and on the strict double of CuPy."""
from dataclasses import replace

import numpy as np
import pytest

from rnnref import ops
from rnnref.nest import flatten, map_structure, unflatten
from rnnref.pairs import TABLE, Part
from rnnref.record import Record
from rnnref.values import numbers
from tests.support import strict
from tests.support.cases_ops import CASES

BAR = 1e-9
ALL = [(name, k) for name, cases in CASES.items() for k in range(len(cases))]
PAIRS = [(name, k) for name, k in ALL if name in TABLE]
# Central differences of order six: weights of f(k h) - f(-k h), and the step.
WEIGHTS, STEP = (45 / 60, -9 / 60, 1 / 60), 2e-3


def is_floats(a):
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


def difference(f, arrays, moves):
    """The derivative of f along the moves, None for arrays that stay."""
    def at(e):
        return f([a if v is None else a + e * v for a, v in zip(arrays, moves)])
    return sum(w * (at(k * STEP) - at(-k * STEP)) for k, w in enumerate(WEIGHTS, 1)) / STEP


def error_of(gradients, moves, derivative):
    """How far gradients are from a derivative along the moves, relative to |g| |v|."""
    pairs = [(np.zeros_like(v) if g is None else g, v) for g, v in zip(gradients, moves) if v is not None]
    for g, v in pairs:
        assert g.shape == v.shape and g.dtype == v.dtype
    live = [(g, np.where(np.isfinite(v), v, 0)) for g, v in pairs]
    scale = np.sqrt(sum((g * g).sum() for g, _ in live) * sum((v * v).sum() for _, v in live))
    return abs(derivative - sum((g * v).sum() for g, v in live)) / max(scale, 1e-30) if scale else abs(derivative)


def sum_of(ys, dys):
    return sum(float((np.where(np.isfinite(y), y, 0) * d).sum()) for y, d in zip(ys, dys) if d is not None)


def floats_of(y):
    return [a if is_floats(a) else None for a in flatten(y)]


def drawn(like, rng):
    return [rng.normal(size=a.shape) if is_floats(a) else None for a in like]


@pytest.mark.parametrize("name, k", ALL)
def test_gradients_are_finite_differences(name, k):
    """By way of a record, as users meet them."""
    (args, options), rng = CASES[name][k], np.random.default_rng(k)
    given = flatten((args, options))
    before = [np.copy(a) for a in given if isinstance(a, np.ndarray)]

    def call(leaves):
        a, o = unflatten((args, options), leaves)
        return getattr(ops, name)(*a, **o)
    with Record() as record:
        leaves = [record.leaf(a) if is_floats(a) else a for a in given]
        y = call(leaves)
    ys = flatten(numbers(y))
    dys, moves = drawn(ys, rng), drawn(given, rng)
    found = record.backward(y, unflatten(y, dys))
    gradients = [found[v] if m is not None else None for v, m in zip(leaves, moves)]
    derivative = difference(lambda arrays: sum_of(flatten(call(arrays)), dys), given, moves)
    assert error_of(gradients, moves, derivative) < BAR
    for a, b in zip(flatten(call(given)), ys):
        assert np.array_equal(a, b, equal_nan=True)               # outside of a record, the same bits
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in
               zip([a for a in given if isinstance(a, np.ndarray)], before))


def pair_of(op, args, options):
    """arrays, y, kept of one call."""
    arrays, options = op.bind(args, options)
    y, kept = op.forward(*arrays, **options)
    return arrays, y, kept


def dense(d):
    return d.dense() if isinstance(d, Part) else d


def back(op, y, kept, dys, wanted):
    return [dense(d) for d in op.backward(kept, dys if isinstance(y, (tuple, list)) else dys[0], wanted)]


def law(op, args, options, seed=0):
    """The error of one pair, called as a pair."""
    rng = np.random.default_rng(seed)
    arrays, y, kept = pair_of(op, args, options)
    dys = [d for d in drawn([np.asarray(a) for a in flatten(y)], rng) if d is not None]
    options = op.bind(args, options)[1]
    moves = drawn(arrays, rng)
    found = back(op, y, kept, dys, [m is not None for m in moves])

    def f(moved):
        ys = [a for a in flatten(op.forward(*moved, **options)[0]) if np.asarray(a).dtype.kind == "f"]
        return sum_of(ys, dys)
    return error_of(found, moves, difference(f, arrays, moves))


@pytest.mark.parametrize("name, k", PAIRS)
def test_what_is_not_wanted_changes_nothing_else(name, k):
    op, (args, options) = TABLE[name], CASES[name][k]
    arrays, y, kept = pair_of(op, args, options)
    dys = [np.ones_like(a) for a in map(np.asarray, flatten(y)) if a.dtype.kind == "f"]
    full = back(op, y, kept, dys, [True if is_floats(a) else False for a in arrays])
    assert len(full) == len(arrays)
    for j, a in enumerate(arrays):
        if is_floats(a):
            one = back(op, y, kept, dys, [i == j for i in range(len(arrays))])
            assert np.array_equal(one[j], full[j], equal_nan=True)


def test_every_operation_with_a_gradient_has_a_case():
    silent = {name for name in ops.PROVIDED if name in TABLE and TABLE[name].backward is None}
    aliases = {name for name, of in ops.ALIASES.items()}
    elsewhere = {*"""convert_to_numpy is_tensor shape ndim size dtype zeros ones empty full eye identity tri arange
        linspace nonzero unravel_index isclose allclose in_top_k multi_hot ctc_decode cond custom_gradient""".split()}
    assert {*ops.PROVIDED} - {*CASES} - silent - aliases == elsewhere
    assert not {*CASES} - {*ops.PROVIDED}


FAULTS = {
    "softmax": lambda kept, dy, wanted: (kept[0] * dy,), "tanh": lambda y, dy, wanted: (dy * (1 - y),),
    "matmul": lambda kept, dy, wanted: (dy @ kept[1].T, kept[0].T @ dy * 1.000001),
    "take": lambda kept, dy, wanted: (dy.sum() * np.ones(kept[0]), None),
    "sum": lambda how, dy, wanted: (np.broadcast_to(dy, how[0]) * 0.999999,),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_law_sees_a_planted_fault(name):
    args, options = CASES[name][0]
    assert law(TABLE[name], args, options) < BAR
    assert law(replace(TABLE[name], backward=FAULTS[name]), args, options) > BAR


# on the strict double

def up(cupy, a):
    if isinstance(a, tuple) and hasattr(a, "_fields"):
        return a
    return cupy.asarray(a) if isinstance(a, np.ndarray) else a


def down(a):
    return a.get() if hasattr(a, "get") else np.asarray(a)


@pytest.mark.parametrize("name", CASES)
def test_on_the_double_nothing_crosses_the_bus(cupy, name):
    for args, options in CASES[name]:
        with Record() as record:
            v, o = map_structure(lambda a: record.leaf(a) if is_floats(a) else a, (args, options))
            y = getattr(ops, name)(*v, **o)
        dys = [np.ones_like(a) if is_floats(a) else None for a in flatten(numbers(y))]
        want = record.backward(y, unflatten(y, dys))
        args, options = map_structure(lambda a: up(cupy, a), (args, options))
        dys = [up(cupy, d) for d in dys]
        strict.counts.clear()
        with Record() as other:
            w, o2 = map_structure(lambda a: other.leaf(a) if isinstance(a, cupy.ndarray) else a, (args, options))
            z = getattr(ops, name)(*w, **o2)
        got = other.backward(z, unflatten(z, dys))
        crossed = {k: n for k, n in strict.counts.items() if k in ("get", "item", "asarray")}
        assert not crossed
        for a, b in zip(flatten(numbers(z)), flatten(numbers(y)), strict=True):
            np.testing.assert_allclose(down(a), b, rtol=1e-12, atol=1e-12)
        for a, b in zip(flatten((w, o2)), flatten((v, o))):
            if hasattr(b, "number") and b.number is not None:
                da, db = got[a], want[b]
                assert (da is None) == (db is None)
                if db is not None:
                    np.testing.assert_allclose(down(da), db, rtol=1e-12, atol=1e-12)
