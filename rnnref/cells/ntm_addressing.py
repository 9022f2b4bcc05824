"""The addressing of a neural Turing machine, as a pair of functions: by content, interpolated, shifted, sharpened."""
from typing import Any, NamedTuple

from ..arrays import Array, namespace
from ..elementwise import dsigmoid, dsoftmax, dtanh, sigmoid, softmax, softplus, tanh

_EPSILON = 1e-8                                    # added to the denominator of the cosine


class Focus(NamedTuple):
    """The intermediates, all [B, heads, ...]: the parts of p after their activations, and the results."""
    k: Any; beta: Any; g: Any; S: Any; gamma: Any
    arguments: Any                                # of both softplus
    memory: Any; before: Any
    length: Any; size: Any                        # |k|, |M_n|
    K: Any; content: Any; gated: Any
    shifted: Any; total: Any                      # w~ over its largest entry, the sum of its powers
    after: Any; peak: Any                         # w', that largest entry


def address(controls: Array, before: Array, memory: Array, shift: int) -> tuple[Array, Focus]:
    """The new weights w' [B, heads, N], and kept.

    controls: p [B, heads, M + 2 shift + 4];  before: the old weights [B, heads, N];  memory [B, N, M]
    """
    xp, M = namespace(controls), memory.shape[-1]
    k, beta, g = tanh(controls[..., :M]), softplus(controls[..., M:M + 1]), sigmoid(controls[..., M + 1:M + 2])
    S, gamma = softmax(controls[..., M + 2:-1]), 1 + softplus(controls[..., -1:])
    length = xp.sqrt((k * k).sum(-1, keepdims=True))
    size = xp.sqrt((memory * memory).sum(-1))[:, None]
    K = k @ memory.swapaxes(1, 2) / (size * length + _EPSILON)
    content = softmax(beta * K)
    gated = g * content + (1 - g) * before
    shifted = sum(S[..., m:m + 1] * xp.roll(gated, by, -1) for m, by in enumerate(_list_shifts(shift)))
    peak = _without_zeros(shifted.max(-1, keepdims=True))
    shifted = shifted / peak                      # otherwise all powers could underflow
    powered = shifted ** gamma
    total = _without_zeros(powered.sum(-1, keepdims=True))                       # weights that are all 0 stay 0
    after = powered / total
    arguments = controls[..., M:M + 1], controls[..., -1:]
    return after, Focus(k, beta, g, S, gamma, arguments, memory, before, length, size, K, content, gated, shifted,
                        total, after, peak)


def address_backward(f: Any, dw: Array, shift: int) -> tuple[Array, Array, Array]:
    """Gradients of the controls, of the weights before, and of the memory."""
    xp = namespace(dw)
    dpowered = (dw - (dw * f.after).sum(-1, keepdims=True)) / f.total
    dgamma = (dpowered * f.shifted ** f.gamma * xp.log(_without_zeros(f.shifted))).sum(-1, keepdims=True)
    dshifted = dpowered * f.gamma * f.shifted ** (f.gamma - 1) / f.peak
    dS = xp.stack([(dshifted * xp.roll(f.gated, by, -1)).sum(-1) for by in _list_shifts(shift)], -1)
    dgated = sum(f.S[..., m:m + 1] * xp.roll(dshifted, -by, -1) for m, by in enumerate(_list_shifts(shift)))
    dg = (dgated * (f.content - f.before)).sum(-1, keepdims=True)
    dscaled = dsoftmax(f.content, dgated * f.g)
    dbeta = (dscaled * f.K).sum(-1, keepdims=True)
    dk, dmemory = _cosine_backward(f, dscaled * f.beta)
    dcontrols = [dtanh(f.k, dk), dbeta * sigmoid(f.arguments[0]), dsigmoid(f.g, dg), dsoftmax(f.S, dS),
                 dgamma * sigmoid(f.arguments[1])]
    return xp.concatenate(dcontrols, -1), dgated * (1 - f.g), dmemory


def _cosine_backward(f: Any, dK: Array) -> tuple[Array, Array]:
    below = f.size * f.length + _EPSILON
    ddot, dbelow = dK / below, -dK * f.K / below  # 0 where k or M_n is 0, and K with it: so is what is divided by |k|
    dk = ddot @ f.memory + (dbelow * f.size).sum(-1, keepdims=True) * f.k / _without_zeros(f.length)
    dsize = (dbelow * f.length).sum(1) / _without_zeros(f.size)[:, 0]
    return dk, ddot.swapaxes(1, 2) @ f.k + dsize[..., None] * f.memory


def _without_zeros(a: Array) -> Array:
    """`a` with 1 in the place of 0: what is divided by it, or multiplied with its logarithm, is 0 there."""
    return namespace(a).where(a == 0, 1, a)


def _list_shifts(shift: int) -> list[int]:
    """The shifts in the order of S: 0, +1 .. +shift, then -shift .. -1."""
    return [*range(shift + 1), *range(-shift, 0)]
