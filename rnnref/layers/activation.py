"""Activations as layers."""
from typing import Any, Optional

from .. import activations, ops
from ..errors import ShapeError
from . import config as configs
from .arguments import add_weight, check_axes, check_integers, check_numbers, config_of_arguments, keep_weight_options
from .base import Layer


class Activation(Layer):
    """y = activation(x)

    activation    a name of rnnref.activations, a function of one array, or a layer

    Same as keras.layers.Activation.

    >>> import numpy as np
    >>> Activation("relu")(np.array([[-1.0, 2.0]]))
    array([[0., 2.]], dtype=float32)
    """
    supports_masking = True
    get_config = config_of_arguments

    def __init__(self, activation: Any, **base: Any):
        super().__init__(**base)
        self.activation = activations.get(activation)

    def build(self, input_shape: Any) -> None:
        build_activation(self, input_shape)

    def apply(self, p: dict, x: Any, *, mask: Any = None, training: bool = False, noise: Any = None, keep: bool = True
              ) -> tuple:
        return activate(self, p, configs.taken(self.who, "x", x, self.dtype), training, keep)

    def apply_back(self, p: dict, kept: Any, dy: Any, wanted: Any = None) -> tuple:
        dx, dp = activate_back(self, kept, dy)
        return (dx,), dp


# for layers with an attribute `activation`, which may be a layer itself

def build_activation(layer: Layer, shape: Any) -> None:
    """Build the activation, if it is a layer that is not yet built."""
    f = layer.activation                          # type: ignore[attr-defined]
    if isinstance(f, Layer) and not f.built:
        f.build(shape)
        f._built_for = (tuple(shape),)            # written into its configuration, where Keras reads it


def activate(layer: Layer, p: dict, x: Any, training: bool, keep: bool) -> tuple:
    """Apply the activation of a layer to an array: y, kept."""
    f = layer.activation                          # type: ignore[attr-defined]
    weights = {w: p[f"activation.{path}"] for path, w in f.named_weights().items()} if isinstance(f, Layer) else {}
    return activations.forward(f, x, weights, training, keep)


def activate_back(layer: Layer, kept: Any, dy: Any) -> tuple:
    """Gradients of the array and, as {path: gradient}, of the weights of the activation."""
    f = layer.activation                          # type: ignore[attr-defined]
    dx, dw = activations.backward(f, kept, dy)
    return dx, {f"activation.{path}": dw[w] for path, w in f.named_weights().items() if w in dw} if dw else {}


class ReLU(Layer):
    """y = min(x, max_value) where x > threshold, else negative_slope (x - threshold)

    Same as keras.layers.ReLU.

    >>> import numpy as np
    >>> ReLU(max_value=6.0)(np.array([[-1.0, 2.0, 9.0]]))
    array([[0., 2., 6.]], dtype=float32)
    """
    supports_masking = True
    get_config = config_of_arguments

    def __init__(self, max_value: Optional[float] = None, negative_slope: float = 0.0, threshold: float = 0.0,
                 **base: Any):
        super().__init__(**base)
        check_numbers(self, 0, max_value=0 if max_value is None else max_value, negative_slope=negative_slope,
                      threshold=threshold)
        self.max_value, self.negative_slope, self.threshold = max_value, negative_slope, threshold

    def call(self, x: Any) -> Any:
        return activations.relu(x, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Layer):
    """y = x where x >= 0, else negative_slope x

    Same as keras.layers.LeakyReLU.  The slope is 0.3 here and 0.2 in ops.leaky_relu, as in Keras.

    >>> import numpy as np
    >>> LeakyReLU(0.5)(np.array([[-1.0, 2.0]]))
    array([[-0.5,  2. ]], dtype=float32)
    """
    supports_masking = True
    get_config = config_of_arguments

    def __init__(self, negative_slope: float = 0.3, **base: Any):
        negative_slope = base.pop("alpha", negative_slope)                     # the slope in Keras 2
        super().__init__(**base)
        check_numbers(self, 0, negative_slope=negative_slope)
        self.negative_slope = negative_slope

    def call(self, x: Any) -> Any:
        return ops.leaky_relu(x, self.negative_slope)


class ELU(Layer):
    """y = x where x > 0, else alpha (exp(x) - 1)

    Same as keras.layers.ELU.

    >>> import numpy as np
    >>> ELU()(np.array([[-100.0, 2.0]]))
    array([[-1.,  2.]], dtype=float32)
    """
    supports_masking = True
    get_config = config_of_arguments

    def __init__(self, alpha: float = 1.0, **base: Any):
        super().__init__(**base)
        check_numbers(self, alpha=alpha)
        self.alpha = alpha

    def call(self, x: Any) -> Any:
        return ops.elu(x, self.alpha)


class PReLU(Layer):
    """y = x where x > 0, else alpha x, where alpha is a weight

    Shapes        alpha has the shape of x without the batch, 1 at `shared_axes` (1 is the first after the batch)
    Options       alpha_initializer, alpha_regularizer, alpha_constraint
    Errors        ShapeError for an axis of unknown length that is not shared

    Same as keras.layers.PReLU.

    >>> import numpy as np
    >>> PReLU("ones", shared_axes=[1])(-np.ones((1, 2, 3))).shape
    (1, 2, 3)
    """
    supports_masking = True
    get_config = config_of_arguments

    def __init__(self, alpha_initializer: Any = "zeros", alpha_regularizer: Any = None, alpha_constraint: Any = None,
                 shared_axes: Any = None, **base: Any):
        super().__init__(**base)
        keep_weight_options(self, "alpha", alpha_initializer, alpha_regularizer, alpha_constraint)
        if shared_axes is not None:
            check_integers(self, shared_axes=shared_axes)
        self.shared_axes = [shared_axes] if hasattr(shared_axes, "__index__") else shared_axes

    def build(self, input_shape: Any) -> None:
        shape = [1 if k in (self.shared_axes or ()) else n for k, n in enumerate(input_shape)][1:]
        if None in shape:
            raise ShapeError(self.who, f"x has shape {tuple(input_shape)}: an axis of unknown length needs as many "
                             "weights", fix=f"shared_axes=[{shape.index(None) + 1}]")
        self.alpha = add_weight(self, shape, "alpha")

    def call(self, x: Any) -> Any:
        return ops.relu(x) - self.alpha * ops.relu(-x)


class Softmax(Layer):
    """y = exp(x) / sum(exp(x)), the sum over `axis`, an integer or several

    mask    of the shape of x, or one that broadcasts to it: y is 0 where it is not set, and the sum is over the others

    Same as keras.layers.Softmax.  Raises ShapeError for a mask that does not broadcast to x, such as [B, T] for x
    [B, T, I], which Keras refuses too.

    >>> import numpy as np
    >>> Softmax()(np.zeros((1, 2)), mask=np.array([[True, False]]))
    array([[1., 0.]], dtype=float32)
    """
    supports_masking = True
    get_config = config_of_arguments

    def __init__(self, axis: Any = -1, **base: Any):
        super().__init__(**base)
        check_integers(self, axis=axis)
        self.axis = axis

    def call(self, x: Any, mask: Any = None) -> Any:
        if mask is not None:
            mask = mask if mask.dtype == bool else mask > 0.5
            if mask.ndim > len(x.shape) or any(n not in (1, m) for n, m in zip(mask.shape[::-1], x.shape[::-1])):
                raise ShapeError(self.who, f"mask has shape {mask.shape}, expected one that broadcasts to that of x, "
                                 f"{tuple(x.shape)}")
            x = ops.where(mask, x, -3e4 if x.dtype == "float16" else -1e9)
        axis = self.axis
        check_axes(self, axis if isinstance(axis, (list, tuple)) else [axis], x.shape)
        if isinstance(axis, (list, tuple)) and len(axis) > 1:
            y = ops.exp(x - ops.logsumexp(x, axis=tuple(axis), keepdims=True))
        else:
            y = ops.softmax(x, axis if hasattr(axis, "__index__") else axis[0])
        return y if mask is None else ops.where(mask, y, 0)
