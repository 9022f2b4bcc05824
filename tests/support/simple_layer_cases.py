"""Layers that are no recurrent ones, with options and what they are called with: {name: Case}."""
from typing import Any, NamedTuple

import numpy as np

from rnnref import layers as L, ops

B, T, I, S = 3, 5, 4, 6
RNG = np.random.default_rng(0)


class Case(NamedTuple):
    make: Any                                     # makes the layer, of **options
    args: Any                                     # the first argument of a call
    options: dict = {}                            # the others: training, mask ...
    keras: bool = True                            # whether Keras has the same layer and takes these arguments


def normal(*shape):
    return RNG.normal(size=shape)


def apart(*shape):
    """Numbers no two of which are near one another, or near 0 or 1."""
    n = int(np.prod(shape))
    return (RNG.permutation(n).reshape(shape) - n / 2 + 0.25) / 5


X, Y, ROWS = normal(B, T, I), normal(B, T, I), normal(B, I)
IDS = np.array([[1, 4, 0, 2, 1], [3, 3, 3, 0, 0], [0, 1, 0, 6, 1]])
LIVE = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 0, 1], [1, 1, 1, 1, 1]], bool)
OTHER = np.array([[1, 1, 0, 1, 0], [0, 1, 0, 1, 1], [0, 1, 1, 1, 1]], bool)
QUERY, VALUE, KEY = normal(B, T, I), normal(B, S, I), normal(B, S, I)
SEEN = np.arange(S) < np.array([[6], [2], [4]])
FAR = apart(3, B, T, I)
TRAINING, MASK, MASKS = {"training": True}, {"mask": LIVE}, {"mask": [LIVE, OTHER]}
QV = {"mask": [LIVE, SEEN]}
CAUSAL = {"use_causal_mask": True}


def scaled(x, factor):
    return ops.tanh(x) * factor


def halved(x, mask=None, training=False):
    return x / 2 if training or mask is not None else x


CASES = {
    "Dense": Case(lambda L, **o: L.Dense(3, **o), ROWS),
    "Dense steps": Case(lambda L, **o: L.Dense(3, "tanh", **o), X, MASK),
    "Dense without bias": Case(lambda L, **o: L.Dense(3, "softmax", use_bias=False, **o), X),
    "Dense gelu": Case(lambda L, **o: L.Dense(3, "gelu", **o), X),
    "Dense mish": Case(lambda L, **o: L.Dense(3, "mish", **o), X),
    "Dense of four axes": Case(lambda L, **o: L.Dense(2, "sigmoid", **o), normal(2, 3, 2, 3)),
    "Dense glu": Case(lambda L, **o: L.Dense(6, "glu", **o), X),
    "Dense PReLU": Case(lambda L, **o: L.Dense(3, L.PReLU("ones", **o), **o), apart(B, I)),
    "Embedding": Case(lambda L, **o: L.Embedding(7, 3, **o), IDS),
    "Embedding mask_zero": Case(lambda L, **o: L.Embedding(7, 3, mask_zero=True, **o), IDS),
    "Embedding of floats": Case(lambda L, **o: L.Embedding(7, 3, **o), IDS + 0.25),
    "Masking": Case(lambda L, **o: L.Masking(**o), X * LIVE[..., None]),
    "Masking value": Case(lambda L, **o: L.Masking(0.5, **o), np.where(LIVE[..., None], X, 0.5)),
    "Dropout": Case(lambda L, **o: L.Dropout(0.4, **o), X, MASK),
    "Dropout training": Case(lambda L, **o: L.Dropout(0.4, seed=1, **o), X, TRAINING, False),
    "Dropout noise_shape": Case(lambda L, **o: L.Dropout(0.4, (None, 1, I), seed=1, **o), X, TRAINING, False),
    "Dropout all": Case(lambda L, **o: L.Dropout(1.0, **o), X, TRAINING),
    "SpatialDropout1D": Case(lambda L, **o: L.SpatialDropout1D(0.4, **o), X),
    "SpatialDropout1D training": Case(lambda L, **o: L.SpatialDropout1D(0.4, 1, **o), X, TRAINING, False),
    "GaussianDropout": Case(lambda L, **o: L.GaussianDropout(0.4, 1, **o), X, TRAINING, False),
    "GaussianNoise": Case(lambda L, **o: L.GaussianNoise(0.4, 1, **o), X, TRAINING, False),
    "GaussianNoise inference": Case(lambda L, **o: L.GaussianNoise(0.4, **o), X),
    "Identity": Case(lambda L, **o: L.Identity(**o), X, MASK),
    "ActivityRegularization": Case(lambda L, **o: L.ActivityRegularization(0.1, 0.2, **o), X),
    "BatchNormalization": Case(lambda L, **o: L.BatchNormalization(**o), X, MASK),
    "BatchNormalization training": Case(lambda L, **o: L.BatchNormalization(momentum=0.7, **o), X, TRAINING),
    "BatchNormalization rows": Case(lambda L, **o: L.BatchNormalization(epsilon=0.1, **o), ROWS, TRAINING),
    "BatchNormalization masked": Case(lambda L, **o: L.BatchNormalization(momentum=0.7, **o), X, TRAINING | MASK),
    "BatchNormalization far from 0": Case(lambda L, **o: L.BatchNormalization(**o), 50 + X, TRAINING | MASK, False),
    "BatchNormalization axis": Case(lambda L, **o: L.BatchNormalization(1, **o), X, TRAINING),
    "BatchNormalization axis masked": Case(lambda L, **o: L.BatchNormalization(1, **o), X, TRAINING | MASK),
    "BatchNormalization bare": Case(lambda L, **o: L.BatchNormalization(center=False, scale=False, **o), X, TRAINING),
    "LayerNormalization": Case(lambda L, **o: L.LayerNormalization(**o), X, MASK),
    "LayerNormalization axis": Case(lambda L, **o: L.LayerNormalization(1, 0.1, **o), X, keras=False),    # raises there
    "LayerNormalization axes": Case(lambda L, **o: L.LayerNormalization([1, 2], scale=False, **o), X),
    "LayerNormalization bare": Case(lambda L, **o: L.LayerNormalization(center=False, scale=False, **o), X),
    "RMSNormalization": Case(lambda L, **o: L.RMSNormalization(**o), X),
    "RMSNormalization axis": Case(lambda L, **o: L.RMSNormalization([1, 2], **o), X, keras=False),
    "UnitNormalization": Case(lambda L, **o: L.UnitNormalization(**o), X),
    "UnitNormalization axes": Case(lambda L, **o: L.UnitNormalization([1, 2], **o), X, MASK),
    "Activation": Case(lambda L, **o: L.Activation("softplus", **o), X, MASK),
    "Activation layer": Case(lambda L, **o: L.Activation(L.PReLU("ones", shared_axes=[1], **o), **o), X),
    "ReLU": Case(lambda L, **o: L.ReLU(**o), apart(B, T, I), MASK),
    "ReLU options": Case(lambda L, **o: L.ReLU(1.5, 0.2, 0.5, **o), apart(B, T, I)),
    "LeakyReLU": Case(lambda L, **o: L.LeakyReLU(0.2, **o), apart(B, T, I)),
    "ELU": Case(lambda L, **o: L.ELU(0.7, **o), apart(B, T, I)),
    "PReLU": Case(lambda L, **o: L.PReLU("ones", **o), apart(B, T, I)),
    "PReLU shared": Case(lambda L, **o: L.PReLU("ones", shared_axes=[1], **o), apart(B, T, I), MASK),
    "Softmax": Case(lambda L, **o: L.Softmax(**o), X),
    "Softmax axes": Case(lambda L, **o: L.Softmax([1, 2], **o), X),
    "Softmax masked": Case(lambda L, **o: L.Softmax(1, **o), normal(B, T), MASK),
    "Flatten": Case(lambda L, **o: L.Flatten(**o), X),
    "Flatten channels_first": Case(lambda L, **o: L.Flatten("channels_first", **o), normal(2, 3, 2, 2)),
    "Flatten nothing": Case(lambda L, **o: L.Flatten(**o), normal(3)),
    "Reshape": Case(lambda L, **o: L.Reshape((2, 10), **o), X),
    "Reshape rest": Case(lambda L, **o: L.Reshape((-1, 2), **o), X),
    "Permute": Case(lambda L, **o: L.Permute((2, 1), **o), X),
    "RepeatVector": Case(lambda L, **o: L.RepeatVector(3, **o), ROWS),
    "Lambda": Case(lambda L, **o: L.Lambda(scaled, arguments={"factor": 2.0}, **o), X, keras=False),
    "Lambda told": Case(lambda L, **o: L.Lambda(halved, mask=lambda x, m: m, **o), X, MASK | TRAINING, False),
    "Add": Case(lambda L, **o: L.Add(**o), [X, Y, ROWS[:, None]]),
    "Add ranks": Case(lambda L, **o: L.Add(**o), [X, ROWS]),
    "Add masked": Case(lambda L, **o: L.Add(**o), [X, Y], MASKS),
    "Subtract": Case(lambda L, **o: L.Subtract(**o), [X, Y], {"mask": [LIVE, None]}),
    "Average": Case(lambda L, **o: L.Average(**o), [X, Y, X], {"mask": [LIVE, OTHER, LIVE]}),
    "Multiply": Case(lambda L, **o: L.Multiply(**o), [X, Y]),
    "Multiply masked": Case(lambda L, **o: L.Multiply(**o), [X, Y], MASKS),
    "Multiply half masked": Case(lambda L, **o: L.Multiply(**o), [X, Y], {"mask": [LIVE, None]}),
    "Maximum": Case(lambda L, **o: L.Maximum(**o), [FAR[0], FAR[1]]),
    "Maximum masked": Case(lambda L, **o: L.Maximum(**o), list(FAR), {"mask": [LIVE, OTHER, LIVE]}),
    "Minimum masked": Case(lambda L, **o: L.Minimum(**o), [FAR[0], FAR[1]], MASKS),
    "Minimum half masked": Case(lambda L, **o: L.Minimum(**o), [FAR[0], FAR[1]], {"mask": [None, OTHER]}),
    "Concatenate": Case(lambda L, **o: L.Concatenate(**o), [X, normal(B, T, 2)], {"mask": [LIVE, None]}),
    "Concatenate time": Case(lambda L, **o: L.Concatenate(1, **o), [X, Y], MASKS),
    "Dot": Case(lambda L, **o: L.Dot(1, **o), [ROWS, normal(B, I)]),
    "Dot matrices": Case(lambda L, **o: L.Dot((2, 1), **o), [X, normal(B, I, 2)]),
    "Dot normalize": Case(lambda L, **o: L.Dot(-1, True, **o), [X, normal(B, S, I)]),
    "Dot with vectors": Case(lambda L, **o: L.Dot((1, 2), **o), [ROWS, X]),
    "GlobalAveragePooling1D": Case(lambda L, **o: L.GlobalAveragePooling1D(**o), X),
    "GlobalAveragePooling1D masked": Case(lambda L, **o: L.GlobalAveragePooling1D(keepdims=True, **o), X, MASK),
    "GlobalAveragePooling1D channels_first": Case(
        lambda L, **o: L.GlobalAveragePooling1D("channels_first", **o), X.swapaxes(1, 2), MASK),
    "GlobalMaxPooling1D": Case(lambda L, **o: L.GlobalMaxPooling1D(**o), FAR[0]),
    "GlobalMaxPooling1D channels_first": Case(
        lambda L, **o: L.GlobalMaxPooling1D("channels_first", True, **o), FAR[0].swapaxes(1, 2)),
    "Attention": Case(lambda L, **o: L.Attention(**o), [QUERY, VALUE]),
    "Attention scale": Case(lambda L, **o: L.Attention(True, **o), [QUERY, VALUE, KEY], QV),
    "Attention causal": Case(lambda L, **o: L.Attention(**o), [QUERY, VALUE, KEY], QV | CAUSAL),
    "Attention causal alone": Case(lambda L, **o: L.Attention(**o), [QUERY, QUERY], CAUSAL),
    "Attention concat": Case(lambda L, **o: L.Attention(True, "concat", **o), [QUERY, VALUE, KEY], QV),
    "Attention scores": Case(lambda L, **o: L.Attention(score_mode="concat", **o), [QUERY, VALUE],
                             {"return_attention_scores": True}),
    "Attention half masked": Case(lambda L, **o: L.Attention(**o), [QUERY, VALUE], {"mask": [None, SEEN]}),
    "Attention dropout": Case(lambda L, **o: L.Attention(dropout=0.3, **o), [QUERY, VALUE]),
    "Attention dropout training": Case(lambda L, **o: L.Attention(dropout=0.3, seed=1, **o), [QUERY, VALUE],
                                       TRAINING, False),
    "AdditiveAttention": Case(lambda L, **o: L.AdditiveAttention(**o), [QUERY, VALUE, KEY], QV),
    "AdditiveAttention bare": Case(lambda L, **o: L.AdditiveAttention(False, **o), [QUERY, VALUE], CAUSAL),
}


def made(name, dtype="float64"):
    """The layer of a case, built, with random weights."""
    case = CASES[name]
    layer, rng = case.make(L, dtype=dtype), np.random.default_rng(1)
    layer(arguments(name, dtype), **case.options)
    drawn = [rng.normal(size=w.shape) for w in layer.weights]
    layer.set_weights([0.5 + abs(a) if w.name == "moving_variance" else a for w, a in zip(layer.weights, drawn)])
    return layer


def arguments(name, dtype="float64"):
    """What a layer is called with, in this dtype."""
    def taken(a):
        return a.astype(dtype) if a.dtype.kind == "f" else a
    args = CASES[name].args
    return [taken(a) for a in args] if isinstance(args, list) else taken(args)
