"""Activations with Keras's names: functions of one array.

>>> import numpy
>>> relu(numpy.array([-1.0, 2.0])), get("leaky_relu")(numpy.array([-1.0, 2.0]))
(array([0., 2.]), array([-0.2,  2. ]))

Those of the recurrent cells are names of functions that are written for kernels too: rnnref.scalar.
"""
from typing import Any, Callable, NamedTuple, Optional

from . import ops
from .errors import NotSupported, describe_type
from .identifiers import Family
from .pairs import TABLE
from .record import Record
from .values import Arraylike

Array = Any

celu, elu, glu, log_sigmoid, log_softmax = ops.celu, ops.elu, ops.glu, ops.log_sigmoid, ops.log_softmax
hard_shrink, hard_sigmoid, hard_silu, hard_tanh = ops.hard_shrink, ops.hard_sigmoid, ops.hard_silu, ops.hard_tanh
leaky_relu, relu6, selu, sigmoid = ops.leaky_relu, ops.relu6, ops.selu, ops.sigmoid
silu, softmax = ops.silu, ops.softmax
soft_shrink, softplus, softsign, sparse_plus = ops.soft_shrink, ops.softplus, ops.softsign, ops.sparse_plus
sparse_sigmoid, sparsemax, squareplus = ops.sparse_sigmoid, ops.sparsemax, ops.squareplus
tanh, tanh_shrink, threshold = ops.tanh, ops.tanh_shrink, ops.threshold
swish, hard_swish = silu, hard_silu


def linear(x: Array) -> Array:
    """x itself.

    >>> linear([1.0])
    [1.0]
    """
    return x


def exponential(x: Array) -> Array:
    """exp(x).

    >>> exponential([0.0])
    array([1.], dtype=float32)
    """
    return ops.exp(x)


def gelu(x: Array, approximate: bool = False) -> Array:
    """x times the normal distribution function of x; `ops.gelu` takes its tanh approximation by default.

    >>> gelu([1.0]), gelu([1.0], approximate=True)
    (array([0.8413447], dtype=float32), array([0.841192], dtype=float32))
    """
    return ops.gelu(x, approximate)


def mish(x: Array) -> Array:
    """x tanh(softplus(x)).

    >>> mish([0.0])
    array([0.], dtype=float32)
    """
    x = ops.convert_to_tensor(x)
    return x * ops.tanh(ops.softplus(x))


def relu(x: Array, negative_slope: float = 0.0, max_value: Optional[float] = None, threshold: float = 0.0) -> Array:
    """x above the threshold, at most max_value; negative_slope (x - threshold) below.

    >>> relu([-2.0, 0.5, 9.0], negative_slope=0.1, max_value=6.0, threshold=1.0)
    array([-0.3 , -0.05,  6.  ], dtype=float32)
    """
    if not negative_slope and max_value is None and not threshold:
        return ops.relu(x)
    x = ops.convert_to_tensor(x)
    y = ops.where(x > threshold, x, 0)
    y = y if max_value is None else ops.clip(y, 0, max_value)
    return y - negative_slope * ops.relu(threshold - x) if negative_slope else y


def hard_sigmoid_keras2(x: Array) -> Array:
    """0.2 x + 0.5 clipped to [0, 1]: what Keras 2 calls hard_sigmoid, here "hard_sigmoid@keras2".

    >>> hard_sigmoid_keras2([-3.0, 1.0])
    array([0. , 0.7], dtype=float32)
    """
    return ops.clip(0.2 * ops.convert_to_tensor(x) + 0.5, 0, 1)


_FAMILY = Family("activations", (
    relu, leaky_relu, relu6, softmax, celu, elu, selu, softplus, softsign, squareplus, soft_shrink, sparse_plus, silu,
    gelu, glu, tanh, tanh_shrink, threshold, sigmoid, sparse_sigmoid, exponential, hard_sigmoid, hard_silu, hard_tanh,
    hard_shrink, linear, mish, log_softmax, log_sigmoid, sparsemax),
    {"swish": silu, "hard_swish": hard_silu, "hard_sigmoid@keras2": hard_sigmoid_keras2,
     "hard_sigmoid@keras3": hard_sigmoid})
MEMBERS = _FAMILY.members


def get(identifier: Any) -> Callable:
    """An activation from its name or configuration; functions and layers are returned as they are; None: `linear`.

    >>> get("tanh") is tanh, get(None) is linear
    (True, True)

    Raises NotSupported for an unknown name.
    """
    return linear if identifier is None else _FAMILY.get(identifier)


def serialize(activation: Any) -> Any:
    """The name of an activation; of what is none of these functions a configuration.

    >>> serialize(relu), serialize(swish)
    ('relu', 'silu')
    """
    if any(activation is f for f in _FAMILY.members):
        return activation.__name__
    if activation is hard_sigmoid_keras2:
        return "hard_sigmoid@keras2"
    return _FAMILY.serialize(activation)


def deserialize(config: Any, custom_objects: Optional[dict] = None) -> Callable:
    """The activation of what `serialize` wrote.

    >>> deserialize("relu") is relu
    True
    """
    return linear if config is None else _FAMILY.deserialize(config, custom_objects)


# activations as pairs

_PAIRS = {f: (TABLE[name], {}) for f, name in (
    (relu, "relu"), (exponential, "exp"), *((f, f.__name__) for f in _FAMILY.members if f is getattr(ops, f.__name__, 0)
                                            and f.__name__ in TABLE and f is not threshold))}
_PAIRS[gelu] = TABLE["gelu"], {"approximate": False}


class _Recorded(NamedTuple):
    """What an activation without a pair keeps: its record, the values in it, and layers with a `leave` to call."""
    record: Any; x: Any; y: Any; weights: dict; pending: tuple


def forward(f: Callable, x: Array, weights: Optional[dict] = None, training: bool = False, keep: bool = True) -> tuple:
    """An activation of an array, and what its gradient needs: y, kept.

    weights    {handle: array} of an activation that is a layer

    A function that is not in the table of operations is recorded.
    """
    if f is linear:
        return x, None
    if f in _PAIRS:
        op, options = _PAIRS[f]
        return op.forward(x, **options)
    weights = weights or {}
    with Record(keep, training, {w.key: a for w, a in weights.items()}) as record:
        v = record.leaf(x)
        y = f(v)
    if not isinstance(y, Arraylike):
        raise NotSupported("activations", f"{f!r} gave {describe_type(y)}: its gradient would be lost",
                           fix="write it with functions of NumPy or of rnnref.ops")
    return y.data, _Recorded(record, v, y, weights, tuple(record.pending))


def backward(f: Callable, kept: Any, dy: Array) -> tuple:
    """The gradients of the array, and of the weights: dx, {handle: gradient}."""
    if f is linear:
        return dy, {}
    if f in _PAIRS:
        op: Any = _PAIRS[f][0]
        return op.backward(kept, dy, (True,))[0], {}
    found = kept.record.backward(kept.y, dy)
    dx = found[kept.x]
    return (dy * 0 if dx is None else dx), {w: found[w] for w in kept.weights if w.trainable}
