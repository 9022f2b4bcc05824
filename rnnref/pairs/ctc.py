"""Connectionist temporal classification: -log of the probability of all paths that spell a target, and its gradient.

A path is one class for each step; it spells what is left when repeats are joined and blanks are dropped.  With the
labels l of a row, a blank before, between and after them, and the emissions e[t, s] = log softmax(y[t])[l[s]],

    alpha[t, s] = e[t, s] + logsum(alpha[t-1, s], alpha[t-1, s-1], alpha[t-1, s-2])
    beta[t, s]  = logsum(e[t+1, s'] + beta[t+1, s'])   over s' = s, s+1, s+2
    loss        = -log P = -logsum of alpha[T-1] at the last label and at the blank after it
    dloss/dy[t, k] = softmax(y[t])[k] - sum over s with l[s] = k of exp(alpha[t, s] + beta[t, s] - log P)

where the step by two is only over a blank between two different labels.

Paper: Graves, Fernández, Gomez & Schmidhuber (2006), eqs. 6 to 16, here with logarithms in the place of rescaling.
"""
from typing import Any

import numpy

from ..arrays import Array, namespace
from ..errors import ShapeError
from .indexing import along
from .reductions import log_softmax
from .table import Op, Part

NEVER = -float("inf")


def ctc_loss(target: Any, output: Any, target_length: Any, output_length: Any, mask_index: Any = 0) -> tuple:
    """The loss of each row [B], and what its gradient needs."""
    xp = namespace(target, output, target_length, output_length)
    target, lengths, steps = xp.asarray(target), xp.asarray(target_length), xp.asarray(output_length)
    _check(target, output, lengths, steps)
    log_p = log_softmax(output)[0]
    labels, skips = _states(xp, target, mask_index)
    emit = xp.moveaxis(xp.take_along_axis(log_p, labels[:, None].repeat(output.shape[1], 1), -1), 1, 0)
    places, last = xp.arange(labels.shape[1]), 2 * lengths[:, None]
    ends = (places == last) | (places == last - 1)
    alpha = _forward(xp, emit, skips, steps)
    final = xp.where(ends, alpha[-1], NEVER)
    log_total = xp.where(steps > 0, _logsum(xp, final), xp.where(lengths > 0, NEVER, 0)).astype(emit.dtype)
    return -log_total, (xp, log_p, labels, skips, emit, ends, steps, alpha, log_total)


def d_ctc_loss(kept: Any, dy: Array, wanted: Any = (False, True)) -> tuple:
    """The gradient of the logits; 0 in rows that no path spells, whose loss is infinite."""
    xp, log_p, labels, skips, emit, ends, steps, alpha, log_total = kept
    possible = log_total > NEVER
    ahead = _backward(xp, emit, skips, ends, steps)
    share = xp.exp(xp.stack(alpha) + ahead - xp.where(possible, log_total, 0)[:, None])
    share = xp.moveaxis(share, 0, 1)
    key = along(share, labels[:, None].repeat(share.shape[1], 1), -1)
    occupied = Part(log_p.shape, key, share).dense()
    live = (xp.arange(log_p.shape[1]) < steps[:, None]) & possible[:, None]
    return None, xp.where(live[..., None], (xp.exp(log_p) - occupied) * dy[:, None, None], 0).astype(log_p.dtype)


def _states(xp: Any, target: Any, mask_index: int) -> tuple:
    """The labels with blanks around them [B, 2 N + 1], and where the blank before one may be left out."""
    labels = xp.full((target.shape[0], 2 * target.shape[1] + 1), mask_index, "int64")
    labels[:, 1::2] = target
    skips = xp.zeros(labels.shape, bool)
    skips[:, 2:] = (labels[:, 2:] != mask_index) & (labels[:, 2:] != labels[:, :-2])
    return labels, skips


def _forward(xp: Any, emit: Any, skips: Any, steps: Any) -> list:
    """alpha of every step [B, S]; rows that have ended keep theirs."""
    alpha = xp.where(xp.arange(emit.shape[2]) < 2, emit[0], NEVER)
    found = [alpha]
    for t in range(1, len(emit)):
        new = _reach(xp, alpha, skips, forwards=True) + emit[t]
        alpha = xp.where((t < steps)[:, None], new, alpha)
        found.append(alpha)
    return found


def _backward(xp: Any, emit: Any, skips: Any, ends: Any, steps: Any) -> Any:
    """beta of every step [T, B, S]: the ends in the last step of each row and after it."""
    beta = xp.where(ends, 0.0, NEVER).astype(emit.dtype)
    found = [beta]
    for t in reversed(range(len(emit) - 1)):
        new = _reach(xp, beta + emit[t + 1], skips, forwards=False)
        beta = xp.where((t + 1 < steps)[:, None], new, beta)
        found.append(beta)
    return xp.stack(found[::-1])


def _reach(xp: Any, a: Any, skips: Any, forwards: bool) -> Any:
    """The sum of probabilities, as logarithms, of the places that lead to each place, or that each leads to."""
    column = xp.full((a.shape[0], 1), NEVER, a.dtype)
    if forwards:
        y = xp.logaddexp(a, xp.concatenate([column, a[:, :-1]], 1))
        two = xp.concatenate([column, column, a[:, :-2]], 1)[:, :a.shape[1]]
        return xp.where(skips, xp.logaddexp(y, two), y)
    y = xp.logaddexp(a, xp.concatenate([a[:, 1:], column], 1))
    two = xp.concatenate([xp.where(skips, a, NEVER)[:, 2:], column, column], 1)[:, :a.shape[1]]
    return xp.logaddexp(y, two)


def _logsum(xp: Any, a: Any) -> Any:
    top = a.max(-1, keepdims=True)
    safe = xp.where(top > NEVER, top, 0)
    total = xp.exp(a - safe).sum(-1)
    return xp.where(top[:, 0] > NEVER, safe[:, 0] + xp.log(xp.where(total > 0, total, 1)), NEVER).astype(a.dtype)


def _check(target: Any, output: Any, lengths: Any, steps: Any) -> None:
    rows = output.shape[0]
    for name, a, most in (("target_length", lengths, target.shape[-1]), ("output_length", steps, output.shape[1])):
        if isinstance(a, numpy.ndarray) and a.size and not 0 <= a.min() <= a.max() <= most:
            raise ShapeError("ops.ctc_loss", f"{name} from {a.min()} to {a.max()}, expected 0 to {most}")
    if output.ndim != 3 or target.ndim != 2 or {target.shape[0], *lengths.shape, *steps.shape} != {rows} or not (
            output.shape[1]):
        raise ShapeError("ops.ctc_loss", f"target {target.shape}, output {output.shape}, target_length {lengths.shape} "
                         f"and output_length {steps.shape}, expected [B, N], [B, T, K], [B] and [B] with a step at "
                         "least")


OPS = [
    Op("ctc_loss", ctc_loss, d_ctc_loss, 2, "-log of the probability of all paths that spell `target` [B, N], for "
       "each row.\n\noutput [B, T, K] logits; lengths [B]; the blank is class `mask_index`.\nPaper: Graves, Fernández, "
       "Gomez & Schmidhuber (2006).  A target that no path spells costs infinity, and has\nno gradient."),
]
