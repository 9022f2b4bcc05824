"""Operations of keras.ops for networks that are made of those of the table: normalisations, attention, losses."""
from typing import Any, Optional

from .arrays import namespace
from .composed_arrays import composed
from .composed_reductions import norm
from .creation import convert_to_tensor
from .errors import NotSupported, ShapeError
from .values import functions as table, numbers

Array = Any
EPSILON = 1e-7                                    # Keras's backend.epsilon()


@composed
def glu(x: Array, axis: int = -1) -> Array:
    """Gated linear unit: the first half of x along `axis` times the sigmoid of the second.

    >>> glu([2.0, 0.0])
    array([1.], dtype=float32)
    """
    a, b = table.split(x, 2, axis)
    return table.multiply(a, table.sigmoid(b))


@composed
def normalize(x: Array, axis: int = -1, order: int = 2, epsilon: Optional[float] = None) -> Array:
    """x divided by its norm over `axis`, or by epsilon (1e-7) if that is larger.

    >>> normalize([3.0, 4.0])
    array([0.6, 0.8], dtype=float32)
    """
    epsilon, x = EPSILON if epsilon is None else epsilon, convert_to_tensor(x)
    if x.dtype == "float16":                      # which has no square of epsilon
        return table.cast(normalize(table.cast(x, "float32"), axis, order, epsilon), x.dtype)
    if order == 2:                                # the gradient of a root at 0 is infinite, of this it is not
        square = table.sum(table.square(x), axis, True)
        return table.multiply(x, table.rsqrt(table.maximum(square, epsilon * epsilon)))
    return table.divide(x, table.maximum(norm(x, order, axis, True), epsilon))


@composed
def batch_normalization(x: Array, mean: Array, variance: Array, axis: int, offset: Any = None, scale: Any = None,
                        epsilon: float = 1e-3) -> Array:
    """(x - mean) / sqrt(variance + epsilon) scale + offset, with vectors along `axis`.

    >>> batch_normalization([[3.0]], [1.0], [4.0], -1, epsilon=0.0)
    array([[1.]], dtype=float32)
    """
    x = convert_to_tensor(x)
    shape = [1] * len(x.shape)
    shape[axis] = x.shape[axis]
    rstd = table.rsqrt(table.add(table.reshape(variance, shape), epsilon))
    y = table.multiply(table.subtract(x, table.reshape(mean, shape)), rstd)
    y = y if scale is None else table.multiply(y, table.reshape(scale, shape))
    return y if offset is None else table.add(y, table.reshape(offset, shape))


@composed
def layer_normalization(x: Array, gamma: Any = None, beta: Any = None, axis: Any = -1,
                        epsilon: Optional[float] = None) -> Array:
    """(x - mean) / sqrt(variance + epsilon) gamma + beta, the moments over `axis`; epsilon is 1e-7.

    >>> layer_normalization([1.0, 3.0], epsilon=0.0)
    array([-1.,  1.], dtype=float32)
    """
    x = convert_to_tensor(x)
    axes = [axis] if isinstance(axis, int) else list(axis)
    shape = [1] * len(x.shape)
    for k in axes:
        shape[k] = x.shape[k]
    off = table.subtract(x, table.mean(x, axes, True))
    variance = table.mean(table.square(off), axes, True)
    y = table.multiply(off, table.rsqrt(table.add(variance, EPSILON if epsilon is None else epsilon)))
    y = y if gamma is None else table.multiply(y, table.reshape(gamma, shape))
    return y if beta is None else table.add(y, table.reshape(beta, shape))


@composed
def rms_normalization(x: Array, scale: Any = None, axis: Any = -1, epsilon: Optional[float] = None) -> Array:
    """x / sqrt(mean(x^2) + epsilon) scale, the mean over `axis`; epsilon is 1e-7.

    >>> rms_normalization([1.0, -1.0], epsilon=0.0)
    array([ 1., -1.], dtype=float32)
    """
    square = table.mean(table.square(x), axis, True)
    y = table.multiply(x, table.rsqrt(table.add(square, EPSILON if epsilon is None else epsilon)))
    return y if scale is None else table.multiply(y, scale)


@composed
def dot_product_attention(query: Array, key: Array, value: Array, bias: Any = None, mask: Any = None,
                          scale: Optional[float] = None, is_causal: bool = False, flash_attention: Any = None,
                          attn_logits_soft_cap: Any = None) -> Array:
    """softmax(scale query key^T + bias) value, for each head.

    query [B, T, N, H], key and value [B, S, K, H]: K heads of keys for N of queries.  bias and mask broadcast to
    [B, N, T, S]; the scale is 1 / sqrt(H) unless given.

    >>> import numpy
    >>> x = numpy.ones((1, 2, 1, 3), "float32")
    >>> dot_product_attention(x, x, x, is_causal=True).shape
    (1, 2, 1, 3)
    """
    for name, given in {"flash_attention": flash_attention, "attn_logits_soft_cap": attn_logits_soft_cap}.items():
        if given:
            raise NotSupported("ops.dot_product_attention", f"{name}={given!r}: it is not implemented",
                               known="scores in one array, without a limit")
    if bias is not None and mask is not None:
        raise NotSupported("ops.dot_product_attention", "bias and mask together, as in Keras", fix="-1e9 in the bias")
    query, key, value = convert_to_tensor(query), convert_to_tensor(key), convert_to_tensor(value)
    if len(query.shape) != 4 or len(key.shape) != 4 or len(value.shape) != 4:
        raise ShapeError("ops.dot_product_attention", f"query, key and value have shapes {tuple(query.shape)}, "
                         f"{tuple(key.shape)} and {tuple(value.shape)}, expected four axes [B, T, N, H] in each")
    heads = query.shape[2] // key.shape[2]
    if heads > 1:
        key, value = table.repeat(key, heads, 2), table.repeat(value, heads, 2)
    logits = table.einsum("btnh,bsnh->bnts", query, key)
    logits = table.multiply(logits, query.shape[-1] ** -0.5 if scale is None else scale)
    logits = logits if bias is None else table.add(logits, bias)
    if is_causal:
        xp = namespace(numbers(query))
        padding = xp.arange(query.shape[1])[:, None] >= xp.arange(key.shape[1])
        mask = padding if mask is None else table.logical_and(mask, padding)
    if mask is not None:
        logits = table.where(mask, logits, -1e9 if logits.dtype != "float16" else -3e4)
    return table.einsum("bnts,bsnh->btnh", table.softmax(logits, -1), value)


# losses, one for each row

def _log_probabilities(output: Array, from_logits: bool, axis: int) -> Array:
    if from_logits:
        return table.log_softmax(output, axis)
    share = table.divide(output, table.sum(output, axis, True))
    return table.log(table.clip(share, EPSILON, 1 - EPSILON))


@composed
def categorical_crossentropy(target: Array, output: Array, from_logits: bool = False, axis: int = -1) -> Array:
    """-sum(target log(output)) over `axis`, where outputs are probabilities or logits.

    >>> categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])
    array([0.6931472], dtype=float32)
    """
    target, output = convert_to_tensor(target), convert_to_tensor(output)
    if tuple(target.shape) != tuple(output.shape):
        raise ShapeError("ops.categorical_crossentropy", f"target has shape {tuple(target.shape)}, expected "
                         f"{tuple(output.shape)} as output has", fix="ops.sparse_categorical_crossentropy takes ids")
    return table.negative(table.sum(table.multiply(table.cast(target, output.dtype),
                                                   _log_probabilities(output, from_logits, axis)), axis))


@composed
def sparse_categorical_crossentropy(target: Array, output: Array, from_logits: bool = False, axis: int = -1) -> Array:
    """-log(output[target]) over `axis`, where outputs are probabilities or logits, and targets are ids.

    >>> sparse_categorical_crossentropy([1], [[0.5, 0.5]])
    array([0.6931472], dtype=float32)
    """
    target, output = convert_to_tensor(target), convert_to_tensor(output)
    if len(target.shape) == len(output.shape) and target.shape[axis] == 1:
        target = table.squeeze(target, axis)
    want = [n for k, n in enumerate(output.shape) if k != axis % len(output.shape)]
    if list(target.shape) != want:
        raise ShapeError("ops.sparse_categorical_crossentropy", f"target has shape {tuple(target.shape)}, expected "
                         f"{tuple(want)}: output has {tuple(output.shape)}, with the classes on axis {axis}")
    ids = table.expand_dims(table.cast(target, "int64"), axis)
    found = table.take_along_axis(_log_probabilities(output, from_logits, axis), ids, axis)
    return table.negative(table.squeeze(found, axis))


@composed
def binary_crossentropy(target: Array, output: Array, from_logits: bool = False) -> Array:
    """-(target log(output) + (1 - target) log(1 - output)), where outputs are probabilities or logits.

    >>> binary_crossentropy([1.0], [0.5])
    array([0.6931472], dtype=float32)
    """
    target, output = convert_to_tensor(target), convert_to_tensor(output)
    if tuple(target.shape) != tuple(output.shape):
        raise ShapeError("ops.binary_crossentropy", f"target has shape {tuple(target.shape)}, expected "
                         f"{tuple(output.shape)} as output has")
    target = table.cast(target, output.dtype)
    if from_logits:
        return table.add(table.multiply(target, table.softplus(table.negative(output))),
                         table.multiply(table.subtract(1, target), table.softplus(output)))     # nothing cancels
    output = table.clip(output, EPSILON, 1 - EPSILON)
    return table.negative(table.add(table.multiply(target, table.log(output)), table.multiply(
        table.subtract(1, target), table.log(table.subtract(1, output)))))


@composed
def ctc_decode(inputs: Array, sequence_lengths: Array, strategy: str = "greedy", beam_width: int = 100,
               top_paths: int = 1, merge_repeated: bool = True, mask_index: int = 0) -> tuple:
    """The labels of the most probable class of every step, repeats and blanks left out: [1, B, T] with -1 after them,
    and the negative sum of their scores, [B, 1].

    >>> import numpy
    >>> ctc_decode(numpy.eye(3, dtype="float32")[None, [1, 1, 0, 2]], [4])[0]
    array([[[ 1,  2, -1, -1]]], dtype=int32)
    """
    if strategy != "greedy" or top_paths != 1:
        raise NotSupported("ops.ctc_decode", f"strategy={strategy!r}, top_paths={top_paths}", known="'greedy', 1")
    inputs = convert_to_tensor(inputs)
    xp = namespace(numbers(inputs))
    live = xp.arange(inputs.shape[1]) < numbers(convert_to_tensor(sequence_lengths))[:, None]
    ids = xp.where(live, table.argmax(inputs, -1), mask_index)
    scores = table.where(live, table.max(inputs, -1), 0)
    kept = ids != mask_index
    if merge_repeated:
        kept[:, 1:] &= ids[:, 1:] != ids[:, :-1]
    order = xp.argsort(xp.where(kept, xp.arange(ids.shape[1]), ids.shape[1]), -1)
    found = xp.take_along_axis(xp.where(kept, ids, -1), order, -1).astype("int32")
    return found[None], table.negative(table.sum(scores, 1, True))


# classes

@composed
def multi_hot(inputs: Array, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Array:
    """1 at every index that occurs along the last axis, 0 elsewhere.

    >>> multi_hot([[0, 2]], 3)
    array([[1., 0., 1.]], dtype=float32)
    """
    inputs = convert_to_tensor(inputs)
    reduced = 1 if len(inputs.shape) == 3 else 0 if len(inputs.shape) == 1 else 1
    return table.max(table.one_hot(inputs, num_classes, axis, dtype, sparse), reduced)


@composed
def in_top_k(targets: Array, predictions: Array, k: int) -> Array:
    """Whether a target's prediction is among the k largest of its row.

    >>> in_top_k([1], [[0.1, 0.9, 0.0]], 1)
    array([ True])
    """
    targets, predictions = numbers((convert_to_tensor(targets), convert_to_tensor(predictions)))
    own = table.take_along_axis(predictions, targets[:, None], -1)
    return (predictions > own).sum(-1) < k
