"""Functions of one number, each beside its derivative: the activations.

A derivative is computed from the output where the output determines it: that is kept anyway, the input need not be.
"""
from dataclasses import dataclass
from math import exp, pi, sqrt
from typing import Any, NamedTuple, Optional

import numpy

from .arrays import Array, namespace
from .errors import NotSupported
from .options import suggest

_TAILS = {2: -11.0, 4: -88.0}                     # exp(-x) overflows a little below, by the bytes of the dtype
# {dtype: the tail, 1} as arrays: next to a Python number a small operation takes twice as long
_CONSTANTS = {numpy.dtype(dtype): (numpy.array(tail, dtype), numpy.array(1, dtype))
              for dtype, tail in (("float32", -88.0), ("float64", -709.0))}


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), right to 4 units in the last place of its own size at every x."""
    if type(x) is numpy.ndarray and x.ndim and x.dtype in _CONSTANTS:
        least, one = _CONSTANTS[x.dtype]
        if not numpy.count_nonzero(x < least):    # one array, and the same bits
            y = numpy.negative(x)
            numpy.exp(y, y)
            numpy.add(y, one, y)
            return numpy.divide(one, y, y)
    elif not _reaches_tail(x):
        return 1 / (1 + namespace(x).exp(-x))
    xp, least = namespace(x), _find_tail(x)       # the same function of each number, whatever the others are
    tail = x < least                              # where 1 + exp(x) is 1; exp of a subnormal result is slow
    return xp.where(tail, xp.exp(xp.where(tail, x, 0)), 1 / (1 + xp.exp(-xp.maximum(x, least))))


def times_sigmoid(x: Array, s: Array) -> Array:
    """x s for s = sigmoid(x), or what tends to exp(x) as it does: as right as s, also where s is subnormal."""
    if not _reaches_tail(x):
        return x * s
    xp, least = namespace(x), _find_tail(x)
    a = xp.clip(x, -800, 0).astype("float64")
    tail = a * xp.exp(a + 128) * exp(-128)        # exp(a) has few digits where it is subnormal
    return xp.where(x < least, tail, xp.maximum(x, least) * s).astype(x.dtype)


def _reaches_tail(x: Array) -> bool:
    """Whether exp(-x) may overflow; on a GPU, which would have to be waited for, it always may."""
    return namespace(x) is not numpy or bool((x < _find_tail(x)).any())


def _find_tail(x: Array) -> float:
    return _TAILS.get(x.dtype.itemsize, -709.0)


def dsigmoid(y: Array, dy: Array) -> Array:
    """From y = sigmoid(x): as right as y for x < 0; for x > 0, 1 - y has the digits that the rounded y leaves."""
    return dy * y * (1 - y)


def tanh(x: Array) -> Array:
    """tanh(x), by the array module of x."""
    return namespace(x).tanh(x)


def dtanh(y: Array, dy: Array) -> Array:
    """From y = tanh(x)."""
    return dy * (1 - y * y)


def clip(x: Array, limit: float) -> Array:
    """x where |x| < limit, else the limit with its sign."""
    return namespace(x).clip(x, -limit, limit)


def dclip(x: Array, limit: float, dy: Array) -> Array:
    """`x` may be the clipped value: it lies on the limit exactly where it was clipped."""
    return where(abs(x) < limit, dy, 0)


def where(condition: Array, a: Any, b: Any) -> Array:
    """`a` where the condition holds, `b` elsewhere."""
    return namespace(condition).where(condition, a, b)


def softmax(x: Array) -> Array:
    """exp(x) over its sum along the last axis; the largest x is taken off first, so that nothing overflows."""
    e = namespace(x).exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def dsoftmax(y: Array, dy: Array) -> Array:
    return y * (dy - (dy * y).sum(-1, keepdims=True))


def elu(x: Array, alpha: float) -> Array:
    """x where x > 0, else alpha (exp(x) - 1)."""
    xp = namespace(x)
    return xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0)))


def delu(x: Array, alpha: float, dy: Array) -> Array:
    """The gradient of elu(x)."""
    xp = namespace(x)
    return xp.where(x > 0, dy, alpha * xp.exp(xp.minimum(x, 0)) * dy)


def softplus(x: Array) -> Array:
    """log(1 + exp(x)), written so that it never overflows."""
    xp = namespace(x)
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-abs(x)))


def swish(x: Array) -> Array:
    """x sigmoid(x)."""
    return times_sigmoid(x, sigmoid(x))


def dswish(x: Array, dy: Array) -> Array:
    """The gradient of swish(x): as right as sigmoid(x), but near its zero at -1.28, where two terms cancel."""
    s = sigmoid(x)
    return dy * (s + times_sigmoid(x, s) * (1 - s))


def mish(x: Array) -> Array:
    """x tanh(softplus(x)) (Misra 2019)."""
    return times_sigmoid(x, tanh(softplus(x)))        # in the far tail both factors are exp(x)


def dmish(x: Array, dy: Array) -> Array:
    """The gradient of mish(x)."""
    t = tanh(softplus(x))
    return dy * (t + times_sigmoid(x, sigmoid(x)) * (1 - t * t))


_GELU_SCALE = sqrt(2 / pi)


def gelu(x: Array) -> Array:
    """The tanh form of Hendrycks & Gimpel (2016), 0.5 x (1 + tanh(a / 2)), as x sigmoid(a): nothing cancels."""
    return x * sigmoid(_transform_gelu(clip(x, 30)))


def dgelu(x: Array, dy: Array) -> Array:
    """The gradient of gelu(x)."""
    x = clip(x, 30)                               # beyond it the sigmoid is 0 or 1, and a cube might overflow
    s = sigmoid(_transform_gelu(x))
    return dy * (s + x * s * (1 - s) * 2 * _GELU_SCALE * (1 + 3 * 0.044715 * x * x))


def _transform_gelu(x: Array) -> Array:
    return 2 * _GELU_SCALE * (x + 0.044715 * x * x * x)


def erf(x: Array) -> Array:
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x, to the precision of the dtype.

    A series whose terms all have one sign: 2 / sqrt(pi) x exp(-x^2) sum_k (2 x^2)^k / (1 3 5 ... (2 k + 1)).

    >>> import numpy
    >>> erf(numpy.array([0.0, 0.5, -10.0])).round(8)
    array([ 0.        ,  0.52049988, -1.        ])
    """
    xp = namespace(x)
    x = xp.clip(x, -6, 6)                         # there it is 1 to the last bit of a float64
    s, terms = 2 * x * x, 120 if x.dtype.itemsize > 4 else 70
    total = xp.ones_like(x)
    for k in range(terms, 0, -1):
        total = 1 + s / (2 * k + 1) * total
    return 2 / sqrt(pi) * x * xp.exp(-x * x) * total


def normal_distribution(x: Array) -> Array:
    """The normal distribution function, of mean 0 and variance 1, with its digits in the lower tail.

    >>> import numpy
    >>> normal_distribution(numpy.array([-20.0, 0.0, 2.0]))
    array([2.75362412e-89, 5.00000000e-01, 9.77249868e-01])
    """
    upper = 0.5 * _erfc(abs(x) / sqrt(2))
    return where(x < 0, upper, 1 - upper)


def _erfc(x: Array) -> Array:
    """1 - erf(x) for x >= 0: above 1.25 by a continued fraction, which has a relative accuracy."""
    xp = namespace(x)
    high, total = xp.clip(x, 1.25, 40), xp.clip(x, 1.25, 40)
    for k in range(100, 0, -1):
        total = high + 0.5 * k / total
    return where(x > 1.25, xp.exp(-high * high) / (sqrt(pi) * total), 1 - erf(xp.minimum(x, 1.25)))


def exact_gelu(x: Array, below: Any = None) -> Array:
    """x times the normal distribution function of x (Hendrycks & Gimpel 2016); `below`: that function, if known."""
    return namespace(x).maximum(x, -30) * (normal_distribution(x) if below is None else below)


def dexact_gelu(x: Array, dy: Array, below: Any = None) -> Array:
    """The gradient of exact_gelu(x)."""
    x = clip(x, 30)
    density = namespace(x).exp(-0.5 * x * x) / sqrt(2 * pi)
    return dy * ((normal_distribution(x) if below is None else below) + x * density)


class ActivationPair(NamedTuple):
    """forward(x, alpha, beta) -> y;  backward(v, dy, alpha, beta) -> dx, where v is y, or x if needs == "x"."""
    forward: Any
    backward: Any
    needs: str = "y"
    alpha: Optional[float] = None                 # None: the function has no such parameter
    beta: Optional[float] = None


_SELU = 1.0507009873554805, 1.6732632423543772     # scale and alpha of Klambauer et al. (2017)

ACTIVATIONS = {
    "linear": ActivationPair(lambda x, a, b: x, lambda y, dy, a, b: dy),
    "sigmoid": ActivationPair(lambda x, a, b: sigmoid(x), lambda y, dy, a, b: dsigmoid(y, dy)),
    "tanh": ActivationPair(lambda x, a, b: tanh(x), lambda y, dy, a, b: dtanh(y, dy)),
    "relu": ActivationPair(lambda x, a, b: namespace(x).maximum(x, 0), lambda y, dy, a, b: where(y > 0, dy, 0)),
    "relu6": ActivationPair(lambda x, a, b: namespace(x).clip(x, 0, 6),
                            lambda y, dy, a, b: where((y > 0) & (y < 6), dy, 0)),
    "affine": ActivationPair(lambda x, a, b: a * x + b, lambda y, dy, a, b: a * dy, alpha=1.0, beta=0.0),
    "leaky_relu": ActivationPair(lambda x, a, b: where(x >= 0, x, a * x),
                                 lambda x, dy, a, b: where(x >= 0, dy, a * dy), "x", alpha=0.01),
    "thresholded_relu": ActivationPair(lambda x, a, b: where(x >= a, x, 0),
                                       lambda x, dy, a, b: where(x >= a, dy, 0), "x", alpha=1.0),
    "scaled_tanh": ActivationPair(lambda x, a, b: a * tanh(b * x), lambda x, dy, a, b: a * b * dtanh(tanh(b * x), dy),
                                  "x", alpha=1.0, beta=1.0),
    "hard_sigmoid": ActivationPair(lambda x, a, b: namespace(x).clip(a * x + b, 0, 1),
                                   lambda y, dy, a, b: where((y > 0) & (y < 1), a * dy, 0), alpha=0.2, beta=0.5),
    "hard_tanh": ActivationPair(lambda x, a, b: clip(x, 1), lambda y, dy, a, b: dclip(y, 1, dy)),
    "elu": ActivationPair(lambda x, a, b: elu(x, a), lambda x, dy, a, b: delu(x, a, dy), "x", alpha=1.0),
    "selu": ActivationPair(lambda x, a, b: _SELU[0] * elu(x, _SELU[1]),
                           lambda x, dy, a, b: _SELU[0] * delu(x, _SELU[1], dy), "x"),
    "softsign": ActivationPair(lambda x, a, b: x / (1 + abs(x)), lambda y, dy, a, b: dy * (1 - abs(y)) ** 2),
    "softplus": ActivationPair(lambda x, a, b: softplus(x), lambda x, dy, a, b: dy * sigmoid(x), "x"),
    "exponential": ActivationPair(lambda x, a, b: namespace(x).exp(x), lambda y, dy, a, b: dy * y),
    "swish": ActivationPair(lambda x, a, b: swish(x), lambda x, dy, a, b: dswish(x, dy), "x"),
    "mish": ActivationPair(lambda x, a, b: mish(x), lambda x, dy, a, b: dmish(x, dy), "x"),
    "gelu": ActivationPair(lambda x, a, b: exact_gelu(x), lambda x, dy, a, b: dexact_gelu(x, dy), "x"),
    "gelu_tanh": ActivationPair(lambda x, a, b: gelu(x), lambda x, dy, a, b: dgelu(x, dy), "x"),
}

ALIASES: dict = {"identity": ("linear",), "silu": ("swish",), "logistic": ("sigmoid",),
                 "hard_sigmoid@keras2": ("hard_sigmoid", 0.2, 0.5),
                 "hard_sigmoid@keras3": ("hard_sigmoid", 1 / 6, 0.5)}


@dataclass(frozen=True)
class Activation:
    """One activation with its parameters, and a limit on its argument if `clip` is given.

    forward(x) -> y, kept;   backward(y, kept, dy) -> dx.  `kept` is None, or x where y does not determine the slope.

    >>> import numpy as np
    >>> act = get_activation("leaky_relu", alpha=0.5)
    >>> y, kept = act.forward(np.array([-2.0, 3.0]))
    >>> y, act.backward(y, kept, np.array([1.0, 1.0]))
    (array([-1.,  3.]), array([0.5, 1. ]))
    """
    name: str
    alpha: Optional[float] = None
    beta: Optional[float] = None
    clip: Optional[float] = None                  # ONNX: the argument is limited to [-clip, clip] first

    def forward(self, x: Array) -> tuple[Array, Optional[Array]]:
        """The value, and what backward needs beside it."""
        pair = ACTIVATIONS[self.name]
        kept = x if pair.needs == "x" or self.clip else None
        y = pair.forward(clip(x, self.clip) if self.clip else x, self.alpha, self.beta)
        return y, kept

    def backward(self, y: Array, kept: Optional[Array], dy: Array) -> Array:
        """The gradient of x from that of y."""
        pair = ACTIVATIONS[self.name]
        x = clip(kept, self.clip) if self.clip else kept
        dx = pair.backward(x if pair.needs == "x" else y, dy, self.alpha, self.beta)
        return dclip(kept, self.clip, dx) if self.clip else dx

    def __str__(self) -> str:
        options = [f"{n}={getattr(self, n):g}" for n in ("alpha", "beta", "clip") if getattr(self, n) is not None]
        return f"{self.name}({', '.join(options)})" if options else self.name


def get_activation(what: Any, alpha: Optional[float] = None, beta: Optional[float] = None,
                   clip: Optional[float] = None) -> Activation:
    """An `Activation` from a name and its parameters; an `Activation` is returned unchanged.

    `hard_sigmoid` alone is refused, because two functions have that name: write `hard_sigmoid@keras2` (0.2 x + 0.5,
    also ONNX's default), `hard_sigmoid@keras3` (x / 6 + 0.5, also PyTorch's), or give alpha and beta.
    """
    if isinstance(what, Activation):
        return what
    if callable(what) or not isinstance(what, str):
        raise NotSupported("activation", f"{what!r} is not a name: its derivative is not known",
                           known=" ".join(sorted({*ACTIVATIONS, *ALIASES})))
    name, *preset = ALIASES.get(what, (what,))
    if name not in ACTIVATIONS:
        known = sorted({*ACTIVATIONS, *ALIASES})
        near = suggest(what, known)
        raise NotSupported("activation", f"{what!r} is not known", fix=near, known="" if near else " ".join(known))
    if what == "hard_sigmoid" and alpha is None:
        raise NotSupported("activation", "'hard_sigmoid' names two functions",
                           fix="hard_sigmoid@keras2 is 0.2 x + 0.5, hard_sigmoid@keras3 is x / 6 + 0.5")
    pair, values = ACTIVATIONS[name], dict(zip(("alpha", "beta"), preset))
    for option, value in (("alpha", alpha), ("beta", beta)):
        if value is not None and getattr(pair, option) is None:
            raise NotSupported("activation", f"{what!r} takes no {option}, {value} was given")
        if getattr(pair, option) is not None:
            values[option] = float(values.get(option, getattr(pair, option)) if value is None else value)
    if clip is not None and not clip > 0:
        raise NotSupported("activation", f"clip={clip}, expected a positive number or None")
    return Activation(name, values.get("alpha"), values.get("beta"), clip)
