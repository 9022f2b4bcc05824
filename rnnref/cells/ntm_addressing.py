"""Where the heads of a neural Turing machine look: by content, from where they were, shifted, sharpened; a pair."""
from typing import Any, NamedTuple

from ..arrays import namespace
from ..elementwise import dsigmoid, dsoftmax, dtanh, sigmoid, softmax, softplus, tanh

_EPSILON = 1e-8                                    # beside the product of lengths, in the cosine


class Focus(NamedTuple):
    """All [B, heads, ...]: the pieces of p after their activations, and what came of them."""
    k: Any; beta: Any; g: Any; S: Any; gamma: Any
    controls: Any                                     # the arguments of both softplus
    memory: Any; before: Any
    length: Any; size: Any                        # |k|, |M_n|
    K: Any; content: Any; gated: Any; shifted: Any; after: Any


def address(controls, before, memory, shift):
    """told [B, heads, M + 2 shift + 4], before [B, heads, N], memory [B, N, M] -> w' [B, heads, N], kept."""
    xp, M = namespace(controls), memory.shape[-1]
    k, beta, g = tanh(controls[..., :M]), softplus(controls[..., M:M + 1]), sigmoid(controls[..., M + 1:M + 2])
    S, gamma = softmax(controls[..., M + 2:-1]), 1 + softplus(controls[..., -1:])
    length = xp.sqrt((k * k).sum(-1, keepdims=True))
    size = xp.sqrt((memory * memory).sum(-1))[:, None]
    K = k @ memory.swapaxes(1, 2) / (size * length + _EPSILON)
    content = softmax(beta * K)
    gated = g * content + (1 - g) * before
    shifted = sum(S[..., m:m + 1] * xp.roll(gated, by, -1) for m, by in enumerate(_list_shifts(shift)))
    powered = shifted ** gamma
    after = powered / powered.sum(-1, keepdims=True)
    return after, Focus(k, beta, g, S, gamma, (controls[..., M:M + 1], controls[..., -1:]), memory, before, length, size, K,
                        content, gated, shifted, after)


def address_backward(f, dw, shift):
    """Gradients of told, of w before, and of the memory."""
    xp = namespace(dw)
    dlog = f.after * (dw - (dw * f.after).sum(-1, keepdims=True))              # of gamma log(shifted)
    dgamma = (dlog * xp.log(f.shifted)).sum(-1, keepdims=True)
    dshifted = dlog * f.gamma / f.shifted
    dS = xp.stack([(dshifted * xp.roll(f.gated, by, -1)).sum(-1) for by in _list_shifts(shift)], -1)
    dgated = sum(f.S[..., m:m + 1] * xp.roll(dshifted, -by, -1) for m, by in enumerate(_list_shifts(shift)))
    dg = (dgated * (f.content - f.before)).sum(-1, keepdims=True)
    dscaled = dsoftmax(f.content, dgated * f.g)
    dbeta = (dscaled * f.K).sum(-1, keepdims=True)
    dk, dmemory = _cosine_backward(f, dscaled * f.beta)
    told = [dtanh(f.k, dk), dbeta * sigmoid(f.controls[0]), dsigmoid(f.g, dg), dsoftmax(f.S, dS),
            dgamma * sigmoid(f.controls[1])]
    return xp.concatenate(told, -1), dgated * (1 - f.g), dmemory


def _cosine_backward(f, dK):
    below = f.size * f.length + _EPSILON
    ddot, dbelow = dK / below, -dK * f.K / below
    dk = ddot @ f.memory + (dbelow * f.size).sum(-1, keepdims=True) * f.k / f.length
    dsize = (dbelow * f.length).sum(1) / f.size[:, 0]
    return dk, ddot.swapaxes(1, 2) @ f.k + dsize[..., None] * f.memory


def _list_shifts(shift):
    """0, +1 .. +shift, then -shift .. -1: the places of S."""
    return [*range(shift + 1), *range(-shift, 0)]
