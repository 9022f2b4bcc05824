"""Layers that change the shape, and Lambda, which applies a function."""
from inspect import signature
from typing import Any, Callable, Optional

from .. import activations, ops
from ..errors import InvalidType, NotSupported, ShapeError, check_option
from ..nest import flatten
from ..values import numbers
from .arguments import check_integers, check_positive, config_of_arguments
from .base import Layer

FORMATS = ("channels_last", "channels_first")


class Flatten(Layer):
    """y [B, N], where N is the product of all axes of x but the first

    data_format   "channels_first" moves axis 1 to the end first

    Same as keras.layers.Flatten, where masks are dropped too; torch.nn.Flatten.

    >>> import numpy as np
    >>> Flatten()(np.zeros((2, 3, 4))).shape, Flatten().compute_output_shape((None, 3, 4))
    ((2, 12), (None, 12))
    """
    get_config = config_of_arguments

    def __init__(self, data_format: Optional[str] = None, **base: Any):
        super().__init__(**base)
        self.data_format = check_option(self.who, "data_format", data_format or FORMATS[0], FORMATS)

    def call(self, x: Any) -> Any:
        if self.data_format == "channels_first" and len(x.shape) > 1:
            x = ops.moveaxis(x, 1, -1)
        size = 1
        for n in x.shape[1:]:
            size *= n
        return ops.reshape(x, (x.shape[0], size))


class Reshape(Layer):
    """y [B, *target_shape]

    target_shape  without the batch; one length may be -1, and follows from the others

    Same as keras.layers.Reshape, where masks are dropped too.

    >>> import numpy as np
    >>> Reshape((-1, 2))(np.zeros((5, 6))).shape, Reshape((3, -1)).compute_output_shape((None, None, 3))
    ((5, 3, 2), (None, 3, None))
    """
    get_config = config_of_arguments

    def __init__(self, target_shape: Any, **base: Any):
        super().__init__(**base)
        if not isinstance(target_shape, (list, tuple)) or target_shape:
            check_integers(self, target_shape=target_shape)
        target_shape = tuple(target_shape) if isinstance(target_shape, (list, tuple)) else (target_shape,)
        if target_shape.count(-1) > 1 or any(not hasattr(n, "__index__") or n < -1 for n in target_shape):
            raise NotSupported(self.who, f"target_shape={target_shape}, expected integers, and -1 once at most")
        self.target_shape = target_shape

    def call(self, x: Any) -> Any:
        shape, left = list(self.target_shape), 1
        if -1 in shape:                           # from the others: the batch may be empty
            for n in x.shape[1:]:
                left *= n
            for n in shape:
                left //= n if n > 0 else 1
            shape[shape.index(-1)] = left
        return ops.reshape(x, (x.shape[0], *shape))


class Permute(Layer):
    """Permute the axes of x after the first: axis k of y is axis dims[k - 1] of x

    Same as keras.layers.Permute, where masks are dropped too.

    >>> import numpy as np
    >>> Permute((2, 1))(np.zeros((5, 6, 7))).shape
    (5, 7, 6)
    """
    get_config = config_of_arguments

    def __init__(self, dims: Any, **base: Any):
        super().__init__(**base)
        check_integers(self, dims=dims)
        dims = tuple(dims) if isinstance(dims, (list, tuple)) else (dims,)
        if sorted(dims) != list(range(1, len(dims) + 1)):
            raise NotSupported(self.who, f"dims={dims}, expected the numbers from 1 to {len(dims)} in some order")
        self.dims = dims

    def call(self, x: Any) -> Any:
        if len(x.shape) != len(self.dims) + 1:
            raise ShapeError(self.who, f"x has shape {tuple(x.shape)}, expected {len(self.dims) + 1} axes")
        return ops.transpose(x, (0, *self.dims))


class RepeatVector(Layer):
    """y [B, n, I], n times x [B, I]

    Same as keras.layers.RepeatVector, where masks are dropped too.

    >>> import numpy as np
    >>> RepeatVector(3)(np.ones((1, 2))).tolist()
    [[[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]]
    """
    get_config = config_of_arguments

    def __init__(self, n: int, **base: Any):
        super().__init__(**base)
        check_positive(self, n=n)
        self.n = n

    def call(self, x: Any) -> Any:
        if len(x.shape) != 2:
            raise ShapeError(self.who, f"x has shape {tuple(x.shape)}, expected two axes", axes="x is [B, I]")
        return ops.repeat(ops.expand_dims(x, 1), self.n, 1)


class Lambda(Layer):
    """y = function(x, **arguments)

    function      made of NumPy's functions or rnnref.ops; it gets `mask` and `training` if it has such arguments
    output_shape  without the batch, or a function of the shape of x: checked against y, from which it is known
    mask          the mask of y, or a function of x and its mask; None: the mask of x is dropped

    A configuration has the name of a function, and `custom_objects` of from_config gives the function back; those of
    rnnref.activations are found.  Same as keras.layers.Lambda; Keras writes the code of a lambda, which is refused.

    >>> import numpy as np
    >>> Lambda(lambda x, n: x ** n, arguments={"n": 2})(np.array([[3.0]]))
    array([[9.]], dtype=float32)
    """
    def __init__(self, function: Callable, output_shape: Any = None, mask: Any = None, arguments: Optional[dict] = None,
                 **base: Any):
        super().__init__(**base)
        if not callable(function):
            raise InvalidType(self.who, f"function={function!r}, expected a function")
        self.function, self.output_shape, self.mask, self.arguments = function, output_shape, mask, arguments or {}
        self.supports_masking = mask is not None
        try:
            known = signature(function).parameters
        except ValueError:                        # a function written in C may have no signature
            known = {}
        self._told = tuple(name for name in ("mask", "training") if name in known)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def call(self, x: Any, mask: Any = None, training: bool = False) -> Any:
        told = {"mask": mask, "training": training}
        y = self.function(x, **self.arguments, **{name: told[name] for name in self._told})
        if self.output_shape is not None:
            self._check_shape(x, y)
        return y

    def _check_shape(self, x: Any, y: Any) -> None:
        shape = self.output_shape
        if callable(shape):
            found = shape(tuple(numbers(x).shape) if hasattr(x, "shape") else [tuple(a.shape) for a in flatten(x)])
            expected, given = tuple(found), tuple(y.shape)
        else:
            expected, given = tuple(shape), tuple(y.shape[1:])
        if len(expected) != len(given) or any(n not in (None, m) for n, m in zip(expected, given)):
            raise ShapeError(self.who, f"the function gave an array of shape {tuple(y.shape)}, expected {expected} by "
                             "output_shape")

    def get_config(self) -> dict:
        def written(a: Any) -> Any:
            return activations.serialize(a) if callable(a) else a
        own = {"function": written(self.function), "output_shape": written(self.output_shape),
               "mask": written(self.mask), "arguments": self.arguments}
        config = super().get_config()
        return config | {name: a for name, a in own.items() if a is not None or name == "function"}

    @classmethod
    def from_config(cls, config: dict, custom_objects: Optional[dict] = None) -> "Lambda":
        config = dict(config)
        for name in ("function", "output_shape", "mask"):
            value = config.get(name)
            if isinstance(value, dict) and value.get("class_name") == "__lambda__":
                raise NotSupported("layers.Lambda", f"{name} is the code of a lambda: code in files is not run",
                                   fix="a function with a name, and custom_objects")
            if isinstance(value, dict) or name == "function" and isinstance(value, str):
                config[name] = activations.deserialize(value, custom_objects)
        return super().from_config(config, custom_objects)           # type: ignore[return-value]
