"""Attention: means of values, weighted by how well their keys fit a query."""
from typing import Any, Optional

from .. import ops
from ..arrays import namespace
from ..errors import ShapeError, check_option
from ..nest import describe
from ..values import numbers
from .arguments import check_rate, config_of_arguments
from .base import Layer
from .dropout import Dropout


class _Attention(Layer):
    """Base class of attention; a subclass defines `_scores(query, key)`, how well each key fits each query."""

    def __init__(self, use_scale: bool, dropout: float, seed: Optional[int], **base: Any):
        super().__init__(seed=seed, **base)
        check_rate(self, "dropout", dropout)
        self.use_scale, self.dropout = use_scale, dropout
        self._dropout = Dropout(dropout, seed=seed, name="dropout", dtype=self.dtype) if dropout else None

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None if mask is None else mask[0]

    def call(self, inputs: Any, mask: Any = None, training: bool = False, return_attention_scores: bool = False,
             use_causal_mask: bool = False) -> Any:
        _check(self, inputs, mask)
        query, value, key = inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else inputs[1]
        seen_by, seen = (None, None) if mask is None else mask[:2]
        scores = self._scores(query, key)
        seen = None if seen is None else _true(seen)[:, None]
        if use_causal_mask:
            xp = namespace(numbers(scores))
            past = xp.arange(scores.shape[-2])[:, None] >= xp.arange(scores.shape[-1])
            seen = past if seen is None else seen & past
        if seen is not None:
            scores = ops.where(seen, scores, scores - (65504.0 if scores.dtype == "float16" else 1e9))
        weights = ops.softmax(scores, -1)
        weights = weights if self._dropout is None else self._dropout(weights)
        y = ops.matmul(weights, value)
        if seen_by is not None:
            y = ops.where(_true(seen_by)[..., None], y, 0)
        return (y, weights) if return_attention_scores else y

    def _scores(self, query: Any, key: Any) -> Any:
        raise NotImplementedError


class Attention(_Attention):
    """y = softmax(scores) value, where scores measure how well each key fits each query

        score_mode="dot"       scores = scale query key^T                                    Luong et al. (2015)
        score_mode="concat"    scores = concat_score_weight sum(tanh(scale (query + key)))   over the last axis

    Shapes        called with a list: query [B, T, I], value [B, S, J], key [B, S, I], which is value if not given;
                  scores [B, T, S], y [B, T, J]
    Options       use_scale     whether there is a weight `scale`, a number; it is 1 at first
                  dropout       of the softmax, in training; seed
    In a call     mask          a list: [B, T] for the query (y is 0 where it is not set, and it is the mask of y),
                                [B, S] for the value (keys that are not seen), and one for the key that is not read
                  use_causal_mask           step t sees keys up to t
                  return_attention_scores   y, softmax(scores)

    Scores of keys that are not seen are lowered by 1e9, as in Keras: a query that sees none sees all.
    Same as keras.layers.Attention.  Raises ShapeError unless called with a list of two or three arrays.

    >>> import numpy as np
    >>> query, value = np.zeros((1, 2, 3)), np.array([[[1.0, 0.0, 0.0], [3.0, 0.0, 0.0]]])
    >>> Attention()([query, value], use_causal_mask=True)[..., 0]
    array([[1., 2.]], dtype=float32)
    """
    get_config = config_of_arguments

    def __init__(self, use_scale: bool = False, score_mode: str = "dot", dropout: float = 0.0,
                 seed: Optional[int] = None, **base: Any):
        super().__init__(use_scale, dropout, seed, **base)
        self.score_mode = check_option(self.who, "score_mode", score_mode, ("dot", "concat"))

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight((), "ones", name="scale") if self.use_scale else None
        self.concat_score_weight = (self.add_weight((), "ones", name="concat_score_weight")
                                    if self.score_mode == "concat" else None)

    def _scores(self, query: Any, key: Any) -> Any:
        scale = 1 if self.scale is None else self.scale
        if self.score_mode == "dot":
            return ops.matmul(query, ops.swapaxes(key, -2, -1)) * scale
        pairs = ops.expand_dims(query, -2) + ops.expand_dims(key, -3)
        return self.concat_score_weight * ops.sum(ops.tanh(scale * pairs), -1)


class AdditiveAttention(_Attention):
    """y = softmax(scores) value, where scores = sum(scale tanh(query + key)) over the last axis

    Shapes        called with a list: query [B, T, I], value [B, S, I], key [B, S, I], which is value if not given;
                  scale [I], scores [B, T, S], y [B, T, I]
    Options       use_scale     whether there is a weight `scale`, which is glorot_uniform at first
                  dropout       of the softmax, in training; seed
    In a call     mask, use_causal_mask, return_attention_scores: as in `Attention`

    Paper: Bahdanau, Cho & Bengio (2015), arXiv:1409.0473; its projections of query and key are layers of their own.
    Same as keras.layers.AdditiveAttention.

    >>> import numpy as np
    >>> query, value = np.zeros((1, 2, 3)), np.array([[[1.0, 0.0, 0.0], [3.0, 0.0, 0.0]]])
    >>> AdditiveAttention(use_scale=False)([query, value], use_causal_mask=True)[0, 0, 0].item()
    1.0
    """
    get_config = config_of_arguments

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, seed: Optional[int] = None, **base: Any):
        super().__init__(use_scale, dropout, seed, **base)

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight(input_shape[0][-1:], "glorot_uniform", name="scale") if self.use_scale else None

    def _scores(self, query: Any, key: Any) -> Any:
        pairs = ops.tanh(ops.expand_dims(query, -2) + ops.expand_dims(key, -3))
        return ops.sum(pairs if self.scale is None else self.scale * pairs, -1)


def _true(mask: Any) -> Any:
    return mask if mask.dtype == bool else mask != 0


def _check(layer: Any, inputs: Any, mask: Any) -> None:
    for what, given in (("inputs", inputs), ("mask", mask)):
        if given is not None and (not isinstance(given, (list, tuple)) or not 2 <= len(given) <= 3):
            raise ShapeError(layer.who, f"{what} is {describe(given)}, expected a list of two or three arrays",
                             axes="query, value, and key if it is not value")
