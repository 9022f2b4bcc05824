"""The fully connected layer."""
from typing import Any, NamedTuple

from .. import activations
from ..arrays import as_matrix
from ..errors import ShapeError
from . import config as configs
from .activation import activate, activate_back, build_activation
from .arguments import add_weight, check_positive, config_of_arguments, keep_weight_options, refuse
from .base import Layer


class _Kept(NamedTuple):
    rows: Any; shape: tuple; activation: Any      # x as a matrix, its shape, what the activation kept


class Dense(Layer):
    """y = activation(x kernel + bias)

    Shapes        x [..., I], kernel [I, units], bias [units], y [..., units]: two axes or more, each step by itself
    Options       activation    a name of rnnref.activations, a function, or a layer; None: linear
                  use_bias      whether there is a bias
                  kernel_ and bias_initializer, _regularizer, _constraint; activity_regularizer
    Errors        NotSupported for lora_rank, lora_alpha and quantization_config; ShapeError for an x whose last axis
                  is not that which the layer was built for

    Same as keras.layers.Dense, torch.nn.Linear (whose weight is kernel.T).

    >>> import numpy as np
    >>> layer = Dense(2, "relu", kernel_initializer="ones")
    >>> layer(np.array([[1.0, 2.0], [-1.0, -2.0]]))
    array([[3., 3.],
           [0., 0.]], dtype=float32)
    >>> layer.backward(np.ones((2, 2), "float32")), [w.name for w in layer.weights]
    (array([[2., 2.],
           [0., 0.]], dtype=float32), ['kernel', 'bias'])
    """
    supports_masking = True
    get_config = config_of_arguments

    def __init__(self, units: int, activation: Any = None, use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
                 kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
                 kernel_constraint: Any = None, bias_constraint: Any = None, lora_rank: Any = None,
                 lora_alpha: Any = None, quantization_config: Any = None, **base: Any):
        super().__init__(activity_regularizer=activity_regularizer, **base)
        check_positive(self, units=units)
        refuse(self, "there are no low-rank updates", lora_rank=lora_rank, lora_alpha=lora_alpha)
        refuse(self, "weights are not quantized", quantization_config=quantization_config)
        self.lora_rank = self.lora_alpha = self.quantization_config = self.bias = None
        self.units, self.use_bias, self.activation = units, use_bias, activations.get(activation)
        keep_weight_options(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        keep_weight_options(self, "bias", bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Any) -> None:
        self.kernel = add_weight(self, (input_shape[-1], self.units), "kernel")
        if self.use_bias:
            self.bias = add_weight(self, (self.units,), "bias")
        build_activation(self, (*input_shape[:-1], self.units))

    def _build_from(self, weights: Any) -> None:
        self.build((None, len(weights[0]) if weights else 0))

    def apply(self, p: dict, x: Any, *, mask: Any = None, training: bool = False, noise: Any = None, keep: bool = True
              ) -> tuple:
        x = configs.taken(self.who, "x", x, self.dtype)
        if x.ndim < 2 or x.shape[-1] != len(p["kernel"]):
            raise ShapeError(self.who, f"x has shape {x.shape}, expected two axes or more, the last of "
                             f"{len(p['kernel'])}", axes="kernel is [I, units] for an x [..., I]")
        matrix = as_matrix(x)
        a = matrix @ p["kernel"]
        a = (a + p["bias"] if self.use_bias else a).reshape(*x.shape[:-1], self.units)
        y, kept = activate(self, p, a, training, keep)
        return y, _Kept(matrix, x.shape, kept)

    def apply_back(self, p: dict, kept: Any, dy: Any, wanted: Any = None) -> tuple:
        da, of_activation = activate_back(self, kept.activation, dy)
        da = as_matrix(da)
        of_x, of_weights = wanted or (True, True)
        dp = {"kernel": kept.rows.T @ da} | ({"bias": da.sum(0)} if self.use_bias else {}) if of_weights else {}
        return ((da @ p["kernel"].T).reshape(kept.shape) if of_x else None,), dp | of_activation

    def leaves(self, kept: Any) -> bool:
        return Layer.leaves(self, kept.activation) and bool(getattr(kept.activation, "pending", ()))

    def leave(self, kept: Any) -> None:
        super().leave(kept.activation)
