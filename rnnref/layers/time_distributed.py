"""One layer applied at every step of a sequence."""
from typing import Any

from .. import ops
from ..errors import NotSupported, ShapeError, describe_type
from ..nest import flatten, map_structure
from .base import Layer
from .nested import one_step


class Wrapper(Layer):
    """Base class of a layer that holds another, `layer`, and builds it for its own inputs."""

    def __init__(self, layer: Any, **base: Any) -> None:
        if not isinstance(layer, Layer):
            raise NotSupported(self.who, f"layer is {describe_type(layer)}", known="a layer")
        super().__init__(**base)
        self.layer = layer

    def build(self, input_shape: Any = None) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)

    def get_config(self) -> dict:
        return super().get_config() | self.config_of("layer")


class TimeDistributed(Wrapper):
    """Apply one layer at every step: B T rows [B T, ...] in the place of [B, T, ...].

    Shapes        x [B, T, ...] and y [B, T, ...], or nests of such, for a layer of [B, ...]
    Options       mask [B, T] is passed on; the layer gets it as [B T]
    Same as       Keras TimeDistributed
    Differs from  Keras: a layer with statistics of the batch takes those of all steps together
    Errors        ShapeError: x without steps, a mask of another shape

    >>> import numpy as np
    >>> class Double(Layer):
    ...     def call(self, x):
    ...         return 2 * x
    >>> TimeDistributed(Double())(np.ones((2, 5, 3))).shape
    (2, 5, 3)
    """
    supports_masking = True

    def build(self, input_shape: Any = None) -> None:
        super().build(one_step(input_shape))

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        like = flatten(inputs)[0]
        if like.ndim < 3 and len(flatten(inputs)) == 1 and like.ndim < 2:
            raise ShapeError(self.who, f"x has shape {tuple(like.shape)}, expected steps", axes='x is "B T ..."')
        B, T = like.shape[:2]
        options = {} if training is None else {"training": training}
        if mask is not None:
            mask = flatten(mask)[0]
            if tuple(mask.shape[:2]) != (B, T):
                raise ShapeError(self.who, f"The `mask` passed to the `TimeDistributed` layer has a shape "
                                           f"{tuple(mask.shape)}, expected {(B, T)} on the first two axes")
            options["mask"] = mask.reshape(B * T, *mask.shape[2:])
        y = self.layer(map_structure(lambda a: ops.reshape(a, (B * T, *a.shape[2:])), inputs), **options)
        return map_structure(lambda a: ops.reshape(a, (B, T, *a.shape[1:])), y)
