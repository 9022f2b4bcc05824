"""Pairs of one number: y = f(x), dx = dy f'(x), where the slope is computed from x or from y, whichever is kept."""
from math import log, pi, sqrt
from typing import Any, Callable

from ..arrays import Array, namespace
from ..elementwise import ACTIVATIONS, delu, dexact_gelu, elu, erf, exact_gelu, normal_distribution, sigmoid, softplus
from .table import Op, constant, single


def of_x(name: str, f: Callable, slope: Callable, doc: str) -> Op:
    """A row that keeps x: f(xp, x), slope(xp, x)."""
    def forward(x: Array) -> tuple:
        return f(namespace(x), x), x
    return Op(name, forward, single(lambda x, dy: dy * slope(namespace(x), x)), 1, doc)


def of_y(name: str, f: Callable, slope: Callable, doc: str) -> Op:
    """A row that keeps y: f(xp, x), slope(xp, y)."""
    def forward(x: Array) -> tuple:
        y = f(namespace(x), x)
        return y, y
    return Op(name, forward, single(lambda y, dy: dy * slope(namespace(y), y)), 1, doc)


def activation(name: str, pair: Any, doc: str) -> Op:
    """A row from rnnref's activations."""
    def forward(x: Array) -> tuple:
        y = pair.forward(x, pair.alpha, pair.beta)
        return y, x if pair.needs == "x" else y
    return Op(name, forward, single(lambda kept, dy: pair.backward(kept, dy, pair.alpha, pair.beta)), 1, doc)


def with_options(name: str, forward: Callable, backward: Callable, doc: str) -> Op:
    """A row with options: forward(x, option, ...) -> y, kept; backward(kept, dy) -> dx."""
    return Op(name, forward, single(backward), 1, doc)


# gelu

def gelu(x: Array, approximate: bool = True) -> tuple:
    if approximate:
        return ACTIVATIONS["gelu_tanh"].forward(x, None, None), (x, None)
    below = normal_distribution(x)
    return exact_gelu(x, below), (x, below)


def d_gelu(kept: Any, dy: Array) -> Array:
    x, below = kept
    if below is None:
        return ACTIVATIONS["gelu_tanh"].backward(x, dy, None, None)
    return dexact_gelu(x, dy, below)


# activations with options

def elu_pair(x: Array, alpha: float = 1.0) -> tuple:
    return elu(x, alpha), (x, alpha)


def d_elu(kept: Any, dy: Array) -> Array:
    x, alpha = kept
    return delu(x, alpha, dy)


def celu(x: Array, alpha: float = 1.0) -> tuple:
    return alpha * elu(x / alpha, 1.0), (x / alpha, 1.0)


def leaky_relu(x: Array, negative_slope: float = 0.2) -> tuple:
    slope = namespace(x).where(x > 0, 1, negative_slope).astype(x.dtype)
    return x * slope, slope


def hard_shrink(x: Array, threshold: float = 0.5) -> tuple:
    outside = abs(x) > threshold
    return x * outside, outside


def soft_shrink(x: Array, threshold: float = 0.5) -> tuple:
    xp = namespace(x)
    return xp.sign(x) * xp.maximum(abs(x) - threshold, 0), abs(x) > threshold


def threshold_pair(x: Array, threshold: Any, default_value: Any) -> tuple:
    above = x > threshold
    return namespace(x).where(above, x, default_value), above


def squareplus(x: Array, b: Any = 4) -> tuple:
    root = namespace(x).sqrt(x * x + b)
    return (x + root) / 2, (1 + x / root) / 2


def sparse_plus(x: Array) -> tuple:
    xp = namespace(x)
    return xp.where(x <= -1, 0, xp.where(x < 1, (x + 1) ** 2 / 4, x)).astype(x.dtype), xp.clip((x + 1) / 2, 0, 1)


def by_slope(slope: Any, dy: Array) -> Any:
    return dy * slope


def nan_to_num(x: Array, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> tuple:
    xp = namespace(x)
    if x.dtype.kind != "f":
        return x, True
    most, sound = float(xp.finfo(x.dtype).max), xp.isfinite(x)
    for where, new in ((xp.isnan(x), nan), (x == xp.inf, most if posinf is None else posinf),
                       (x == -xp.inf, -most if neginf is None else neginf)):
        x = xp.where(where, new, x)
    return x, sound


def cast(x: Array, dtype: Any) -> tuple:
    return x.astype(dtype), x.dtype


def clip(x: Array, x_min: Any, x_max: Any) -> tuple:
    inside = True
    if x_min is not None:
        inside = x >= x_min
    if x_max is not None:
        inside = inside & (x <= x_max)
    return namespace(x).clip(x, x_min, x_max), inside


def cbrt(xp: Any, x: Array) -> Any:
    return xp.sign(x) * abs(x) ** (1 / 3)


def round_to(x: Array, decimals: Any = 0) -> Any:
    xp = namespace(x)
    return xp.rint(x) if not decimals else xp.rint(x * 10.0 ** decimals) / 10.0 ** decimals


def like(fill: str) -> Callable:
    def forward(x: Array, dtype: Any = None) -> Any:
        return getattr(namespace(x), fill)(x, dtype=dtype)
    return forward


def plain(name: str, doc: str) -> Op:
    """A row without a gradient that the array module has."""
    def forward(x: Array) -> Any:
        return getattr(namespace(x), name)(x)
    return constant(name, forward, 1, doc)


OPS = [
    activation("sigmoid", ACTIVATIONS["sigmoid"], "1 / (1 + exp(-x))."),
    activation("tanh", ACTIVATIONS["tanh"], "The hyperbolic tangent."),
    activation("relu", ACTIVATIONS["relu"], "max(x, 0)."),
    activation("relu6", ACTIVATIONS["relu6"], "x clipped to [0, 6]."),
    activation("softplus", ACTIVATIONS["softplus"], "log(1 + exp(x)), without an overflow."),
    activation("softsign", ACTIVATIONS["softsign"], "x / (1 + |x|)."),
    activation("selu", ACTIVATIONS["selu"], "Scaled exponential linear unit: 1.0507 elu(x, 1.6733)."),
    activation("silu", ACTIVATIONS["swish"], "x sigmoid(x), also called swish."),
    activation("hard_sigmoid", ACTIVATIONS["hard_sigmoid"]._replace(alpha=1 / 6),
               "x / 6 + 1/2 clipped to [0, 1]; Keras 2 and ONNX have 0.2 x + 0.5."),
    activation("hard_tanh", ACTIVATIONS["hard_tanh"], "x clipped to [-1, 1]."),
    with_options("elu", elu_pair, d_elu, "x where x > 0, else alpha (exp(x) - 1)."),
    with_options("celu", celu, d_elu, "x where x > 0, else alpha (exp(x / alpha) - 1)."),
    with_options("leaky_relu", leaky_relu, by_slope, "x where x > 0, else negative_slope x."),
    with_options("gelu", gelu, d_gelu, "x times the normal distribution function of x, or its tanh approximation."),
    with_options("hard_shrink", hard_shrink, by_slope, "x where |x| > threshold, else 0."),
    with_options("soft_shrink", soft_shrink, by_slope, "sign(x) max(|x| - threshold, 0)."),
    with_options("threshold", threshold_pair, by_slope, "x where x > threshold, else default_value."),
    with_options("squareplus", squareplus, by_slope, "(x + sqrt(x^2 + b)) / 2."),
    with_options("sparse_plus", sparse_plus, by_slope, "0 below -1, (x + 1)^2 / 4 up to 1, then x."),
    of_x("sparse_sigmoid", lambda xp, x: xp.clip((x + 1) / 2, 0, 1), lambda xp, x: 0.5 * (abs(x) < 1),
         "(x + 1) / 2 clipped to [0, 1]."),
    of_x("hard_silu", lambda xp, x: x * xp.clip(x / 6 + 0.5, 0, 1),
         lambda xp, x: xp.where(abs(x) < 3, x / 3 + 0.5, x >= 3), "x hard_sigmoid(x)."),
    of_x("tanh_shrink", lambda xp, x: x - xp.tanh(x), lambda xp, x: xp.tanh(x) ** 2, "x - tanh(x)."),
    of_x("log_sigmoid", lambda xp, x: -softplus(-x), lambda xp, x: sigmoid(-x), "log(sigmoid(x))."),
    of_y("exp", lambda xp, x: xp.exp(x), lambda xp, y: y, "e to the power x."),
    of_y("exp2", lambda xp, x: xp.exp(log(2) * x), lambda xp, y: log(2) * y, "2 to the power x."),
    of_y("expm1", lambda xp, x: xp.expm1(x), lambda xp, y: y + 1, "exp(x) - 1, accurate near 0."),
    of_x("log", lambda xp, x: xp.log(x), lambda xp, x: 1 / x, "The natural logarithm."),
    of_x("log2", lambda xp, x: xp.log(x) / log(2), lambda xp, x: 1 / (x * log(2)), "The logarithm to base 2."),
    of_x("log10", lambda xp, x: xp.log(x) / log(10), lambda xp, x: 1 / (x * log(10)), "The logarithm to base 10."),
    of_x("log1p", lambda xp, x: xp.log1p(x), lambda xp, x: 1 / (1 + x), "log(1 + x), accurate near 0."),
    of_y("sqrt", lambda xp, x: xp.sqrt(x), lambda xp, y: 0.5 / y, "The square root."),
    of_y("rsqrt", lambda xp, x: 1 / xp.sqrt(x), lambda xp, y: -0.5 * y * y * y, "1 / sqrt(x)."),
    of_y("cbrt", cbrt, lambda xp, y: 1 / (3 * y * y), "The cube root."),
    of_x("square", lambda xp, x: x * x, lambda xp, x: 2 * x, "x^2."),
    of_y("reciprocal", lambda xp, x: 1 / x, lambda xp, y: -y * y, "1 / x."),
    of_x("absolute", lambda xp, x: abs(x), lambda xp, x: xp.sign(x), "|x|."),
    Op("negative", lambda x: (-x, None), single(lambda kept, dy: -dy), 1, "-x."),
    of_x("sin", lambda xp, x: xp.sin(x), lambda xp, x: xp.cos(x), "The sine."),
    of_x("cos", lambda xp, x: xp.cos(x), lambda xp, x: -xp.sin(x), "The cosine."),
    of_y("tan", lambda xp, x: xp.sin(x) / xp.cos(x), lambda xp, y: 1 + y * y, "The tangent."),
    of_x("sinh", lambda xp, x: (xp.expm1(x) - xp.expm1(-x)) / 2, lambda xp, x: (xp.exp(x) + xp.exp(-x)) / 2,
         "The hyperbolic sine."),
    of_x("cosh", lambda xp, x: (xp.exp(x) + xp.exp(-x)) / 2, lambda xp, x: (xp.exp(x) - xp.exp(-x)) / 2,
         "The hyperbolic cosine."),
    of_x("arcsin", lambda xp, x: xp.arcsin(x), lambda xp, x: 1 / xp.sqrt(1 - x * x), "The inverse of the sine."),
    of_x("arccos", lambda xp, x: xp.arccos(x), lambda xp, x: -1 / xp.sqrt(1 - x * x), "The inverse of the cosine."),
    of_x("arctan", lambda xp, x: xp.arctan(x), lambda xp, x: 1 / (1 + x * x), "The inverse of the tangent."),
    of_x("arcsinh", lambda xp, x: xp.arcsinh(x), lambda xp, x: 1 / xp.sqrt(1 + x * x),
         "The inverse of the hyperbolic sine."),
    of_x("arccosh", lambda xp, x: xp.arccosh(x), lambda xp, x: 1 / xp.sqrt(x * x - 1),
         "The inverse of the hyperbolic cosine."),
    of_x("arctanh", lambda xp, x: xp.arctanh(x), lambda xp, x: 1 / (1 - x * x),
         "The inverse of the hyperbolic tangent."),
    of_x("erf", lambda xp, x: erf(x), lambda xp, x: 2 / sqrt(pi) * xp.exp(-x * x), "The error function."),
    of_x("erfc", lambda xp, x: 1 - erf(x), lambda xp, x: -2 / sqrt(pi) * xp.exp(-x * x),
         "1 - erf(x); its tail has absolute, not relative, accuracy."),
    with_options("clip", clip, by_slope, "x limited to [x_min, x_max]; the gradient is 0 outside."),
    with_options("nan_to_num", nan_to_num, by_slope, "x with numbers in the place of NaN and of the infinities."),
    with_options("cast", cast, lambda dtype, dy: dy.astype(dtype), "x in another dtype; its gradient in that of x."),
    Op("copy", lambda x: (x.copy(), None), single(lambda kept, dy: dy), 1, "A copy of x."),
    constant("stop_gradient", lambda variable: variable, 1, "x as a constant: no gradient goes through."),
    constant("zeros_like", like("zeros_like"), 1, "Zeros in the shape, and by default the dtype, of x."),
    constant("ones_like", like("ones_like"), 1, "Ones in the shape, and by default the dtype, of x."),
    constant("empty_like", like("zeros_like"), 1, "Zeros, so that no run depends on what lay in memory."),
    constant("full_like", lambda x, fill_value, dtype=None: namespace(x).full_like(x, fill_value, dtype=dtype), 1,
             "`fill_value` in the shape, and by default the dtype, of x."),
    constant("round", round_to, 1, "The nearest number of so many decimals, halves to the even one.  No gradient."),
    plain("floor", "The largest integer that is not above x, as a float.  No gradient."),
    plain("ceil", "The smallest integer that is not below x, as a float.  No gradient."),
    constant("trunc", lambda x: namespace(x).sign(x) * namespace(x).floor(abs(x)), 1,
             "The integer part of x, as a float.  No gradient."),
    plain("sign", "-1, 0 or 1.  No gradient."),
    plain("isnan", "Whether x is NaN."), plain("isinf", "Whether x is infinite."),
    plain("isfinite", "Whether x is neither infinite nor NaN."),
    constant("isposinf", lambda x: x == namespace(x).inf, 1, "Whether x is +infinity."),
    constant("isneginf", lambda x: x == -namespace(x).inf, 1, "Whether x is -infinity."),
    plain("logical_not", "not x."),
    constant("bitwise_not", lambda x: ~x, 1, "Every bit of an integer inverted; not x for booleans."),
]
