"""Layers that merge several inputs: Add and others entry by entry, Concatenate, Dot."""
from string import ascii_lowercase
from typing import Any, Callable, Optional

from .. import ops
from ..arrays import namespace
from ..errors import NotSupported, ShapeError
from ..nest import describe
from .arguments import check_axes, check_integers, config_of_arguments
from .base import Layer


class Merge(Layer):
    """Base class of layers of a list of arrays; those with fewer axes get axes of length 1 after the batch.

    The mask of the output is where any of the masks is set, None if an input has none.  A subclass defines
    `_merge(arrays, masks)`, where masks are broadcast to the arrays, None where there is none.
    """
    supports_masking = True
    least: int = 1; most: Optional[int] = None    # how many inputs there may be

    def __init__(self, **base: Any):
        super().__init__(**base)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if not isinstance(inputs, (list, tuple)) or not self.least <= len(inputs) <= (self.most or len(inputs)):
            some = f"{self.least}" if self.most else f"{self.least} or more"
            raise ShapeError(self.who, f"called with {describe(inputs)}, expected a list of {some} arrays",
                             fix="layer([a, b])")
        return self._merge(*_alike(list(inputs), _each(self, inputs, mask)))

    def _merge(self, arrays: list, masks: list) -> Any:
        raise NotImplementedError

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        every = _each(self, inputs, mask)
        if any(m is None for m in every):
            return None
        found = every[0]
        for m in every[1:]:
            found = namespace(found).logical_or(found, m)
        return found


class Add(Merge):
    """y = a + b + ...

    Same as keras.layers.Add.

    >>> import numpy as np
    >>> Add()([np.ones((1, 2)), np.ones((1, 2))])
    array([[2., 2.]], dtype=float32)
    """
    def _merge(self, arrays: Any, masks: Any) -> Any:
        return _reduced(ops.add, arrays)


class Subtract(Merge):
    """y = a - b

    Same as keras.layers.Subtract.

    >>> import numpy as np
    >>> Subtract()([np.ones((1, 2)), np.ones((1, 2))])
    array([[0., 0.]], dtype=float32)
    """
    least = most = 2

    def _merge(self, arrays: Any, masks: Any) -> Any:
        return _reduced(ops.subtract, arrays)


class Average(Merge):
    """y = (a + b + ...) / n

    Same as keras.layers.Average.

    >>> import numpy as np
    >>> Average()([np.ones((1, 2)), np.zeros((1, 2))])
    array([[0.5, 0.5]], dtype=float32)
    """
    def _merge(self, arrays: Any, masks: Any) -> Any:
        return _reduced(ops.add, arrays) / len(arrays)


class Multiply(Merge):
    """y = a b ..., where an input counts as 1 where its mask is not set; 0 where no mask is, if all have one

    Same as keras.layers.Multiply.

    >>> import numpy as np
    >>> Multiply()([np.full((1, 2), 2.0), np.full((1, 2), 3.0)])
    array([[6., 6.]], dtype=float32)
    """
    def _merge(self, arrays: Any, masks: Any) -> Any:
        y = _reduced(ops.multiply, [x if m is None else ops.where(m, x, 1) for x, m in zip(arrays, masks)])
        return y if any(m is None for m in masks) else ops.where(_reduced(ops.logical_or, masks), y, 0)


class Maximum(Merge):
    """y = max(a, b, ...), where an input does not count where its mask is not set

    The gradient goes to the larger; where several are, in equal parts.  Same as keras.layers.Maximum.

    >>> import numpy as np
    >>> Maximum()([np.array([[1.0, 2.0]]), np.array([[3.0, 0.0]])])
    array([[3., 2.]], dtype=float32)
    """
    def _merge(self, arrays: Any, masks: Any) -> Any:
        return _masked(ops.maximum, arrays, masks)


class Minimum(Merge):
    """y = min(a, b, ...), where an input does not count where its mask is not set

    The gradient goes to the smaller; where several are, in equal parts.  Same as keras.layers.Minimum.

    >>> import numpy as np
    >>> Minimum()([np.array([[1.0, 2.0]]), np.array([[3.0, 0.0]])])
    array([[1., 0.]], dtype=float32)
    """
    def _merge(self, arrays: Any, masks: Any) -> Any:
        return _masked(ops.minimum, arrays, masks)


class Concatenate(Layer):
    """The inputs one after the other along `axis`

    The mask of the output is where any of the masks is set over the last axis, once they are broadcast to the inputs
    and concatenated; an input without a mask is live everywhere.  Same as keras.layers.Concatenate.

    >>> import numpy as np
    >>> Concatenate()([np.ones((1, 2)), np.zeros((1, 1))])
    array([[1., 1., 0.]], dtype=float32)
    """
    get_config = config_of_arguments

    def __init__(self, axis: int = -1, **base: Any):
        super().__init__(**base)
        check_integers(self, single=True, axis=axis)
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        if not isinstance(inputs, (list, tuple)) or not inputs:
            raise ShapeError(self.who, f"called with {describe(inputs)}, expected a list of arrays",
                             fix="layer([a, b])")
        check_axes(self, [self.axis], inputs[0].shape)
        return ops.concatenate(list(inputs), self.axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        every = _each(self, inputs, mask)
        if all(m is None for m in every):
            return None
        xp = namespace(*inputs)
        whole = [xp.ones(x.shape, dtype=bool) if m is None else _broadcast(m, x) for x, m in zip(inputs, every)]
        return xp.concatenate(whole, self.axis).any(-1)


class Dot(Layer):
    """Sums of products over one axis of each of two inputs, for each row of the batch

        y[b, i..., j...] = sum_k x1[b, i..., k] x2[b, k, j...]        where k is axes[0] of x1 and axes[1] of x2

    Shapes        [B, 1] if both have two axes
    Options       axes        two numbers, or one for both; not the batch
                  normalize   divide both by their norms over the axis: y is the cosine
    Errors        ShapeError where the axes differ in length

    Same as keras.layers.Dot.

    >>> import numpy as np
    >>> Dot(axes=1)([np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])])
    array([[11.]], dtype=float32)
    """
    get_config = config_of_arguments

    def __init__(self, axes: Any, normalize: bool = False, **base: Any):
        super().__init__(**base)
        both = axes if isinstance(axes, (list, tuple)) else (axes, axes)
        if len(both) != 2 or any(not hasattr(k, "__index__") for k in both):
            raise NotSupported(self.who, f"axes={axes!r}, expected one integer or two")
        self.axes, self.normalize = axes, normalize

    def call(self, inputs: Any) -> Any:
        if not isinstance(inputs, (list, tuple)) or len(inputs) != 2:
            raise ShapeError(self.who, f"called with {describe(inputs)}, expected a list of two arrays",
                             fix="layer([a, b])")
        x1, x2 = inputs
        both = self.axes if isinstance(self.axes, (list, tuple)) else (self.axes, self.axes)
        for k, x in zip(both, inputs):
            check_axes(self, [k], x.shape)
        k1, k2 = (k % len(x.shape) for k, x in zip(both, inputs))
        if not k1 or not k2 or x1.shape[k1] != x2.shape[k2]:
            raise ShapeError(self.who, f"inputs have shapes {tuple(x1.shape)} and {tuple(x2.shape)}, expected one "
                             f"length at axis {k1} and at axis {k2}", axes="axis 0 is the batch")
        if self.normalize:
            x1, x2 = ops.normalize(x1, axis=k1), ops.normalize(x2, axis=k2)
        left, right = (list(ascii_lowercase[1 + 12 * n:][:len(x.shape)]) for n, x in enumerate((x1, x2)))
        left[0] = right[0] = "a"
        left[k1] = right[k2] = "z"
        y = ops.einsum(f"{''.join(left)},{''.join(right)}->{''.join(c for c in left + right[1:] if c != 'z')}", x1, x2)
        return y if len(y.shape) > 1 else ops.expand_dims(y, 1)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None


# as functions

def add(inputs: list, **options: Any) -> Any:
    """`Add(**options)(inputs)`."""
    return Add(**options)(inputs)


def subtract(inputs: list, **options: Any) -> Any:
    """`Subtract(**options)(inputs)`."""
    return Subtract(**options)(inputs)


def average(inputs: list, **options: Any) -> Any:
    """`Average(**options)(inputs)`."""
    return Average(**options)(inputs)


def multiply(inputs: list, **options: Any) -> Any:
    """`Multiply(**options)(inputs)`."""
    return Multiply(**options)(inputs)


def maximum(inputs: list, **options: Any) -> Any:
    """`Maximum(**options)(inputs)`."""
    return Maximum(**options)(inputs)


def minimum(inputs: list, **options: Any) -> Any:
    """`Minimum(**options)(inputs)`."""
    return Minimum(**options)(inputs)


def concatenate(inputs: list, axis: int = -1, **options: Any) -> Any:
    """`Concatenate(axis, **options)(inputs)`."""
    return Concatenate(axis, **options)(inputs)


def dot(inputs: list, axes: Any = -1, **options: Any) -> Any:
    """`Dot(axes, **options)(inputs)`."""
    return Dot(axes, **options)(inputs)


def _reduced(f: Callable, arrays: list) -> Any:
    y = arrays[0]
    for x in arrays[1:]:
        y = f(y, x)
    return y


def _masked(f: Callable, arrays: list, masks: list) -> Any:
    """f of all arrays, each replaced by the result of the others where its mask is not set."""
    y, live = arrays[0], masks[0]
    for x, m in zip(arrays[1:], masks[1:]):
        x = x if m is None else ops.where(m, x, y)
        y = f(y if live is None else ops.where(live, y, x), x)
        live = None if m is None or live is None else live | m
    return y


def _each(layer: Layer, inputs: Any, mask: Any) -> list:
    """A mask, or None, for each of the inputs."""
    if mask is None:
        return [None] * len(inputs)
    if not isinstance(mask, (list, tuple)) or len(mask) != len(inputs):
        raise ShapeError(layer.who, f"mask is {describe(mask)}, expected a list of {len(inputs)}, with None for inputs "
                         "without a mask")
    return list(mask)


def _alike(arrays: list, every: list) -> tuple:
    """Arrays with as many axes each, after the batch, and their masks broadcast to them."""
    most, found = max(len(x.shape) for x in arrays), []
    for x in arrays:
        for _ in range(most - len(x.shape)):
            x = ops.expand_dims(x, 1)
        found.append(x)
    return found, [None if m is None else _broadcast(m, x) for x, m in zip(found, every)]


def _broadcast(mask: Any, x: Any) -> Any:
    """A mask in the shape of x, whose first axes it has."""
    mask = mask if mask.dtype == bool else mask != 0
    return namespace(mask).broadcast_to(mask[..., None] if mask.ndim < len(x.shape) else mask, tuple(x.shape))
