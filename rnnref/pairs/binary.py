"""Pairs of two numbers.  Arrays are broadcast on the way forward, and their gradients summed on the way back."""
from math import e, log
from typing import Any, Callable

from ..arrays import Array, is_array, namespace
from ..elementwise import sigmoid
from ..errors import NotSupported
from .table import Op, constant, fit, shape_of


def of_two(name: str, f: Callable, d1: Callable, d2: Callable, doc: str) -> Op:
    """A row from f(xp, x1, x2), d1(xp, x1, x2, dy) and d2(xp, x1, x2, dy), the gradients before they are summed."""
    def forward(x1: Array, x2: Array) -> tuple:
        return f(namespace(x1, x2), x1, x2), (x1, x2)

    def backward(kept: Any, dy: Array, wanted: Any = (True, True)) -> tuple:
        x1, x2 = kept
        xp = namespace(dy)
        return (fit(d1(xp, x1, x2, dy), shape_of(x1)) if wanted[0] else None,
                fit(d2(xp, x1, x2, dy), shape_of(x2)) if wanted[1] else None)
    return Op(name, forward, backward, 2, doc)


def plain(name: str, doc: str, of: str = "") -> Op:
    """A row without a gradient that the array module has."""
    def forward(x1: Array, x2: Array) -> Any:
        return getattr(namespace(x1, x2), of or name)(x1, x2)
    return constant(name, forward, 2, doc)


def bits(name: str, doc: str) -> Op:
    def forward(x: Array, y: Array) -> Any:
        return getattr(namespace(x, y), name)(x, y)
    return constant(name, forward, 2, doc)


# at a tie of a maximum, each has half of the gradient

def share(first: Any, tie: Any, dy: Any) -> Any:
    return dy * (first + 0.5 * tie).astype(dy.dtype)


def d_base(xp: Any, x1: Array, x2: Array, dy: Array) -> Array:
    # x^0 has no slope, not even at 0, where x^-1 is infinite
    return dy * x2 * x1 ** (xp.where(x2 == 0, 1, x2 - 1) if is_array(x2) else x2 - 1 if x2 else 1)


def d_exponent(xp: Any, x1: Array, x2: Array, dy: Array) -> Array:
    # there is a slope by the exponent where the base is positive
    base = xp.where(x1 > 0, x1, 1) if is_array(x1) else x1 if x1 > 0 else 1.0
    return dy * base ** x2 * (xp.log(base) if is_array(base) else log(base))


def no_nan(xp: Any, x1: Array, x2: Array) -> Any:
    zero = xp.equal(x2, 0)
    return xp.where(zero, 0, x1 / xp.where(zero, 1, x2))


def d_no_nan1(xp: Any, x1: Array, x2: Array, dy: Array) -> Array:
    return no_nan(xp, dy, x2)


def d_no_nan2(xp: Any, x1: Array, x2: Array, dy: Array) -> Array:
    return -no_nan(xp, dy * no_nan(xp, x1, x2), x2)


def log_add(name: str, base: float, doc: str) -> Op:
    """The row of log_b(b^x1 + b^x2)."""
    scale = log(base)

    def above(xp: Any, x1: Array, x2: Array) -> Any:                        # of two infinities no difference is left
        same = xp.equal(x1, x2)
        return xp.where(same, 0, x1) - xp.where(same, 0, x2)

    def f(xp: Any, x1: Array, x2: Array) -> Any:
        return xp.maximum(x1, x2) + xp.log1p(xp.exp(-abs(above(xp, x1, x2)) * scale)) / scale

    return of_two(name, f, lambda xp, x1, x2, dy: dy * sigmoid(above(xp, x1, x2) * scale),
                  lambda xp, x1, x2, dy: dy * sigmoid(above(xp, x2, x1) * scale), doc)


def away_from_zero(xp: Any, a: Any, b: Any) -> Any:
    """The length of (a, b), and 1 where that is 0."""
    square = a * a + b * b
    return xp.sqrt(xp.where(square == 0, 1, square))


def trunc(xp: Any, a: Any) -> Any:
    return xp.sign(a) * xp.floor(abs(a))


def where(condition: Any, x1: Any = None, x2: Any = None) -> tuple:
    if x1 is None or x2 is None:
        raise NotSupported("ops.where", "a condition alone", fix="ops.nonzero(condition)")
    xp = namespace(condition, x1, x2)
    if not is_array(x1) and not is_array(x2):     # numbers as Keras reads them, and not as float64
        floats = isinstance(x1, float) or isinstance(x2, float)
        x1 = xp.full((), x1, "float32" if floats else None)
    return xp.where(condition, x1, x2), (condition, shape_of(x1), shape_of(x2))


def d_where(kept: Any, dy: Array, wanted: Any = (False, True, True)) -> tuple:
    condition, first, second = kept
    xp = namespace(dy)
    return (None, fit(xp.where(condition, dy, 0), first) if wanted[1] else None,
            fit(xp.where(condition, 0, dy), second) if wanted[2] else None)


OPS = [
    of_two("add", lambda xp, a, b: a + b, lambda xp, a, b, dy: dy, lambda xp, a, b, dy: dy, "x1 + x2."),
    of_two("subtract", lambda xp, a, b: a - b, lambda xp, a, b, dy: dy, lambda xp, a, b, dy: -dy, "x1 - x2."),
    of_two("multiply", lambda xp, a, b: a * b, lambda xp, a, b, dy: dy * b, lambda xp, a, b, dy: dy * a, "x1 x2."),
    of_two("divide", lambda xp, a, b: a / b, lambda xp, a, b, dy: dy / b, lambda xp, a, b, dy: -dy * a / (b * b),
           "x1 / x2."),
    of_two("divide_no_nan", no_nan, d_no_nan1, d_no_nan2, "x1 / x2, and 0 where x2 is 0."),
    of_two("power", lambda xp, a, b: a ** b, d_base, d_exponent, "x1 to the power x2."),
    of_two("mod", lambda xp, a, b: xp.remainder(a, b), lambda xp, a, b, dy: dy,
           lambda xp, a, b, dy: -dy * xp.floor(a / b), "The remainder of x1 / x2, with the sign of x2."),
    of_two("fmod", lambda xp, a, b: a - trunc(xp, a / b) * b, lambda xp, a, b, dy: dy,
           lambda xp, a, b, dy: -dy * trunc(xp, a / b), "The remainder of x1 / x2, with the sign of x1."),
    of_two("maximum", lambda xp, a, b: xp.maximum(a, b), lambda xp, a, b, dy: share(a > b, a == b, dy),
           lambda xp, a, b, dy: share(a < b, a == b, dy), "The larger of x1 and x2; at a tie both get half of dy."),
    of_two("minimum", lambda xp, a, b: xp.minimum(a, b), lambda xp, a, b, dy: share(a < b, a == b, dy),
           lambda xp, a, b, dy: share(a > b, a == b, dy), "The smaller of x1 and x2; at a tie both get half of dy."),
    of_two("hypot", lambda xp, a, b: xp.sqrt(a * a + b * b), lambda xp, a, b, dy: dy * a / away_from_zero(xp, a, b),
           lambda xp, a, b, dy: dy * b / away_from_zero(xp, a, b), "sqrt(x1^2 + x2^2); its slope at 0 is taken as 0."),
    of_two("arctan2", lambda xp, a, b: xp.arctan2(a, b), lambda xp, a, b, dy: dy * b / (a * a + b * b),
           lambda xp, a, b, dy: -dy * a / (a * a + b * b), "The angle of the point (x2, x1), from -pi to pi."),
    log_add("logaddexp", e, "log(exp(x1) + exp(x2)), without an overflow."),
    log_add("logaddexp2", 2, "log2(2^x1 + 2^x2), without an overflow."),
    Op("where", where, d_where, 3, "x1 where the condition is true, else x2."),
    plain("floor_divide", "The largest integer that is not above x1 / x2.  No gradient."),
    plain("greater", "x1 > x2."), plain("greater_equal", "x1 >= x2."), plain("less", "x1 < x2."),
    plain("less_equal", "x1 <= x2."), plain("equal", "x1 == x2."), plain("not_equal", "x1 != x2."),
    plain("logical_and", "x1 and x2."), plain("logical_or", "x1 or x2."), plain("logical_xor", "x1 or x2, not both."),
    bits("bitwise_and", "The bits that both integers have."), bits("bitwise_or", "The bits that either integer has."),
    bits("bitwise_xor", "The bits that one of two integers has."),
    constant("left_shift", lambda x, y: x << y, 2, "x 2^y, for integers."),
    constant("right_shift", lambda x, y: x >> y, 2, "x / 2^y rounded down, for integers."),
]
