"""Activations and their slopes against thirty decimal digits, in units of the last place of their own size."""
from decimal import Decimal, localcontext

import ml_dtypes
import numpy as np
import pytest

from rnnref import elementwise, ops
from rnnref.elementwise import ACTIVATIONS, sigmoid
from rnnref.pairs import TABLE
from tests.support import strict

# dtype: the bits of its mantissa, its least exponent, arguments from where sigmoid(x) is the least number of the dtype
DTYPES = {"float16": (11, -24, -16.5), "float32": (24, -149, -103), "float64": (53, -1074, -744)}


def slope(name, x):
    y, kept = TABLE[name].forward(x)
    return TABLE[name].backward(kept, np.ones_like(y), (True,))[0]


def exact_sigmoid(x):
    return 1 / (1 + (-x).exp())


def exact_softplus(x):
    return (1 + x.exp()).ln()


def exact_tanh(x):
    return 1 - 2 / (1 + (2 * x).exp())


# name: (ours, the same of a decimal number)
VALUES = {
    "sigmoid": (sigmoid, exact_sigmoid),
    "ops.sigmoid": (ops.sigmoid, exact_sigmoid),
    "silu": (ops.silu, lambda x: x * exact_sigmoid(x)),
    "swish": (lambda x: ACTIVATIONS["swish"].forward(x, None, None), lambda x: x * exact_sigmoid(x)),
    "softplus": (elementwise.softplus, exact_softplus),
    "log_sigmoid": (ops.log_sigmoid, lambda x: -exact_softplus(-x)),
    "logaddexp": (lambda x: ops.logaddexp(x, np.zeros_like(x)), exact_softplus),
    "mish": (elementwise.mish, lambda x: x * exact_tanh(exact_softplus(x))),
    "slope of softplus": (lambda x: slope("softplus", x), exact_sigmoid),
    "slope of log_sigmoid": (lambda x: slope("log_sigmoid", x), lambda x: exact_sigmoid(-x)),
    "slope of logaddexp": (lambda x: TABLE["logaddexp"].backward(
        TABLE["logaddexp"].forward(x, np.zeros_like(x))[1], np.ones_like(x), (True, False))[0], exact_sigmoid),
    "slope of elu": (lambda x: slope("elu", x), lambda x: min(x, Decimal(0)).exp()),
}


def arguments(dtype):
    x = np.linspace(DTYPES[dtype][2], -DTYPES[dtype][2], 71).astype(dtype)
    return np.concatenate([x, np.random.default_rng(0).normal(size=30).astype(dtype) * 4])


def units(got, x, exact, dtype):
    """The largest error in units of the last place of the exact numbers."""
    bits, least, _ = DTYPES[dtype]
    worst = 0.0
    with localcontext() as context:
        context.Emin, context.Emax = -99999, 99999
        context.prec = 30 - least * 3 // 10       # so that 30 digits are left of 1 + exp(x)
        for y, a in zip(got.tolist(), x.tolist()):
            right = exact(Decimal(a))
            exponent = int((abs(right).ln() / Decimal(2).ln()).to_integral_value("ROUND_FLOOR")) + 1 if right else least
            worst = max(worst, float(abs(Decimal(y) - right) / Decimal(2) ** max(exponent - bits, least)))
    return worst


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", VALUES)
def test_right_to_four_units_in_the_last_place_at_every_argument(name, dtype):
    f, exact = VALUES[name]
    x = arguments(dtype)
    got = f(x)
    assert got.dtype == dtype
    assert units(got, x, exact, dtype) < 4


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_slope_of_the_sigmoid_at_negative_arguments(dtype):
    x = arguments(dtype)
    x = x[x < 0]
    s = sigmoid(x)
    assert units(elementwise.dsigmoid(s, np.ones_like(s)), x, lambda a: exact_sigmoid(a) * exact_sigmoid(-a), dtype) < 6


def test_bfloat16_as_right_as_its_eight_bits():
    x = np.linspace(-80, 80, 641).astype(ml_dtypes.bfloat16)
    wide = x.astype("float64")
    for f, right in ((sigmoid, 1 / (1 + np.exp(-wide))), (elementwise.swish, wide / (1 + np.exp(-wide)))):
        assert (abs(f(x).astype("float64") - right) <= 4 * 2.0 ** -8 * abs(right)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinities_and_nan(dtype):
    x = np.array([-np.inf, np.inf, np.nan, 0], dtype)
    assert np.array_equal(sigmoid(x), np.array([0, 1, np.nan, 0.5], dtype), equal_nan=True)
    assert np.array_equal(elementwise.swish(x), np.array([0, np.inf, np.nan, 0], dtype), equal_nan=True)
    assert sigmoid(x[:0]).shape == (0,)


def test_both_forms_of_the_sigmoid_on_a_gpu_and_here():
    """A GPU takes the second form always, and nothing crosses to the host to choose one."""
    x = np.linspace(-100, 100, 401).astype("float32")
    with strict.install() as cupy:
        here = {f: getattr(elementwise, f) for f in ("sigmoid", "swish", "mish", "gelu")}
        there = cupy.asarray(x)
        strict.counts.clear()
        found = {name: f(there) for name, f in here.items()}
        assert not strict.counts
        for name, f in here.items():
            near = f(x[x > -80])
            assert abs(found[name].get()[x > -80] - near).max() <= 8 * np.spacing(abs(near)).max(), name


def test_slopes_where_two_terms_cancel_are_right_to_rounding_of_the_terms():
    x = np.linspace(-100, 100, 4001).astype("float32")
    wide = x.astype("float64")
    s = 1 / (1 + np.exp(-wide))
    found = elementwise.dswish(x, np.ones_like(x))
    assert (abs(found - s * (1 + wide * (1 - s))) <= 2e-6 * s * (1 + abs(wide)) + 1e-44).all()
    t, u = np.tanh(np.log1p(np.exp(-abs(wide))) + np.maximum(wide, 0)), elementwise.dmish(x, np.ones_like(x))
    assert (abs(u - (t + wide * (1 - t * t) * s)) <= 2e-6 * t * (1 + abs(wide)) + 1e-44).all()


def test_gelu_keeps_its_digits_for_negative_arguments():
    """x sigmoid(a) is as right as its argument a lets it be."""
    x = np.linspace(-9, 9, 721).astype("float32")
    wide = x.astype("float64")
    a = 2 * np.sqrt(2 / np.pi) * (wide + 0.044715 * wide ** 3)
    right = wide / (1 + np.exp(-a))
    assert (abs(elementwise.gelu(x) - right) <= 4e-7 * (2 + abs(a)) * abs(right)).all()
    assert np.isfinite(elementwise.dgelu(np.array([-300.0, 300.0], "float16"), np.ones(2, "float16"))).all()


def test_binary_crossentropy_of_logits_keeps_its_digits():
    for dtype, x in (("float32", 50.0), ("float64", 500.0)):
        found = ops.binary_crossentropy(np.ones(1, dtype), np.array([x], dtype), from_logits=True)
        assert abs(found[0] / np.exp(-np.float64(x)) - 1) < 1e-6


@pytest.mark.parametrize("dtype", ("float16", "float32", "float64"))
@pytest.mark.parametrize("name", ("sigmoid", "swish", "softplus", "mish", "gelu_tanh"))
def test_a_number_does_not_depend_on_the_others(name, dtype):
    """The tail has a formula of its own; the rest of the array must not see it."""
    f = ACTIVATIONS[name]
    x = np.random.default_rng(0).normal(size=64).astype(dtype) * 5
    alone, beside = f.forward(x, f.alpha, f.beta), f.forward(np.append(x, x.dtype.type(-1e4)), f.alpha, f.beta)
    assert np.array_equal(alone, beside[:-1])
