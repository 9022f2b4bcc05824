"""Where equations divide by a length that may be 0: values and gradients are finite, and what they tend to."""
import numpy as np
import pytest

import rnnref
from rnnref import Record, cells, layers, ops
from rnnref.cells.ntm_addressing import address, address_backward
from rnnref.tree import leaves

RNG = np.random.default_rng(0)


def all_finite(tree):
    return all(np.isfinite(a).all() for _, a in leaves(tree))


def ntm(dtype="float64", **zero):
    """An NTM with some parameters zero, and its parameters."""
    cell = cells.NTM(cells.LSTM(), slots=8, vector=4, outputs=2)
    p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0), dtype)
    return cell, {name: a * 0 if name in zero else a for name, a in p.items()}


@pytest.mark.parametrize("zero", (("memory0",), ("Wh",), ("memory0", "Wh"), ("reads0", "focus0", "memory0", "Wh")))
def test_memories_and_keys_of_zeros(zero):
    for dtype in ("float32", "float64"):
        cell, p = ntm(dtype, **dict.fromkeys(zero))
        ys, new, tape = rnnref.run(cell, p, np.ones((3, 2, 3), dtype))
        assert all_finite((ys, new, rnnref.run_back(tape, np.ones_like(ys))))


def test_the_gradient_beside_a_memory_of_zeros_is_the_one_at_it():
    """The denominator |M||k| + 1e-8 has a corner at 0 where the numerator is 0 too: the quotient has a slope."""
    controls, before = RNG.normal(size=(1, 1, 4 + 2 + 4)), np.full((1, 1, 8), 1 / 8)
    gradients = []
    for size in (0.0, 1e-14):
        memory = size * np.ones((1, 8, 4))
        after, kept = address(controls, before, memory, 1)
        gradients.append(address_backward(kept, np.arange(8.0)[None, None], 1))
    for at, beside in zip(*gradients):            # that of the key is 0: beside it rounding is left, of slopes of 1e-6
        assert np.allclose(at, beside, rtol=1e-4, atol=1e-6 * abs(at).max() + 1e-20)


def test_a_sharp_focus_on_many_slots_does_not_underflow():
    """(1 / 1024)^21 is no float32; where a shift has no weight at all, its logarithm is not taken."""
    controls = np.zeros((1, 1, 4 + 2 + 4), "float32")
    controls[..., -1] = 20
    after, kept = address(controls, np.full((1, 1, 1024), 1 / 1024, "float32"), np.ones((1, 1024, 4), "float32"), 1)
    assert np.allclose(after, 1 / 1024)
    controls[..., 5], controls[..., 6] = -200, 200        # no content, no shift: the focus stays where it was
    before = np.eye(8, dtype="float32")[None, :1]
    after, kept = address(controls, before, np.ones((1, 8, 4), "float32"), 1)
    assert np.array_equal(after, before)
    assert all_finite(address_backward(kept, np.ones((1, 1, 8), "float32"), 1))
    after, kept = address(controls, before * 0, np.ones((1, 8, 4), "float32"), 1)
    assert not after.any() and all_finite(address_backward(kept, np.ones((1, 1, 8), "float32"), 1))


def test_columns_of_zeros_under_weight_norm():
    cell = cells.WeightNormLSTM()
    p = rnnref.init.parameters(cell, 3, 4, RNG, "float64")
    p["V"][:, 2] = 0
    ys, _, tape = rnnref.run(cell, p, RNG.normal(size=(3, 2, 3)))
    dxs, _, _, dp = rnnref.run_back(tape, np.ones_like(ys))
    assert all_finite((ys, dxs, dp)) and not dp["V"][:, 2].any() and dp["V"][:, 1].all()


@pytest.mark.parametrize("cell", (cells.LayerNormLSTM(), cells.LayerNormGRU()))
def test_constant_rows_under_layer_norm(cell):
    p = {name: a * 0 + 0.5 for name, a in rnnref.init.parameters(cell, 3, 4, RNG).items()}
    ys, _, tape = rnnref.run(cell, p, np.ones((3, 2, 3), "float32"))
    assert all_finite((ys, rnnref.run_back(tape, np.ones_like(ys))))


NORMS = {
    "normalize": ops.normalize, "norm": lambda x: ops.norm(x, axis=-1), "all norms": ops.norm,
    "order 1": lambda x: ops.normalize(x, order=1), "hypot": lambda x: ops.hypot(x, x),
    "UnitNormalization": lambda x: layers.UnitNormalization(dtype=x.dtype)(x),
    "LayerNormalization": lambda x: layers.LayerNormalization(dtype=x.dtype)(x),
    "cosine": lambda x: layers.Dot(axes=-1, normalize=True, dtype=x.dtype)([x, x]),
}


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("name", NORMS)
def test_zero_vectors(name, dtype):
    x = np.array([[0, 0, 0], [3, 4, 0]], dtype)
    with Record() as record:
        v = record.leaf(x)
        y = NORMS[name](v)
    dx = record.backward(y, np.ones_like(y.data))[v]
    assert np.isfinite(y.data).all() and np.isfinite(dx).all()


def test_a_zero_vector_of_half_precision_stays():
    assert ops.normalize(np.array([[0, 0], [3, 4]], "float16")).tolist() == [[0, 0], [0.60009765625, 0.7998046875]]


def test_slopes_of_norms_away_from_zero_are_those_of_the_formulas():
    x = np.array([[3.0, 4.0]])
    for f, want in ((ops.norm, [0.6, 0.8]), (lambda v: ops.hypot(v[:, 0], v[:, 1]), [0.6, 0.8])):
        with Record() as record:
            v = record.leaf(x)
            y = f(v)
        assert np.allclose(record.backward(y, np.ones_like(y.data))[v], [want])
