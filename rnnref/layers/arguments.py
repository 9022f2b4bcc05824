"""Constructor arguments of layers: checked, kept as attributes of the same names, and written into configurations."""
from inspect import Parameter, signature
from math import inf
from typing import Any, Optional

from .. import activations, constraints, initializers, regularizers
from ..errors import NotSupported, ShapeError
from ..options import is_number
from . import config as configs
from .base import Layer

# arguments of the base class, and those that Keras leaves out while they are None, as they always are here
NOT_KEPT = ("self", "name", "dtype", "trainable", "activity_regularizer", "weights", "lora_rank", "lora_alpha")


def arguments_of(cls: Any) -> tuple:
    """The names of the arguments that a class of layers has of its own."""
    return tuple(name for name, a in signature(cls.__init__).parameters.items()
                 if name not in NOT_KEPT and a.kind is not Parameter.VAR_KEYWORD)


def keep_weight_options(layer: Layer, name: str, initializer: Any, regularizer: Any = None,
                        constraint: Any = None) -> None:
    """Keep `name`_initializer, _regularizer and _constraint of a layer; identifiers become objects."""
    setattr(layer, f"{name}_initializer", initializers.get(initializer))
    setattr(layer, f"{name}_regularizer", regularizers.get(regularizer))
    setattr(layer, f"{name}_constraint", constraints.get(constraint))


def config_of_arguments(layer: Layer) -> dict:
    """The configuration of a layer whose constructor arguments are attributes of the same names."""
    config = Layer.get_config(layer)
    if layer.seed is not None:
        config["seed"] = layer.seed
    for name in arguments_of(type(layer)):
        value = getattr(layer, name)
        if name != "activation":
            config[name] = configs.serialize(value)
        else:
            config[name] = (configs.serialize(value) | {"module": "keras.layers"} | _build_config(value)
                            if isinstance(value, Layer) else activations.serialize(value))
    return config


def _build_config(layer: Layer) -> dict:
    """The input shape of a layer inside another one, for which Keras builds it."""
    shapes = [[None, *shape[1:]] for shape in layer._built_for[:1]]
    return {"build_config": {"input_shape": shapes[0]}} if shapes and layer.weights else {}


def add_weight(layer: Layer, shape: Any, name: str, trainable: bool = True) -> Any:
    """A weight with the initializer, the regularizer and the constraint that the layer has for it."""
    return layer.add_weight(shape, getattr(layer, f"{name}_initializer"), trainable=trainable, name=name,
                            regularizer=getattr(layer, f"{name}_regularizer"),
                            constraint=getattr(layer, f"{name}_constraint"))


def refuse(layer: Layer, reason: str, fix: Optional[str] = None, **options: Any) -> None:
    """Raise NotSupported if one of these options is set."""
    for name, value in options.items():
        if value:
            raise NotSupported(f"layers.{type(layer).__name__}", f"{name}={value!r}: {reason}", fix=fix)


def check_positive(layer: Layer, **options: Any) -> None:
    """Raise NotSupported unless these are positive integers."""
    for name, value in options.items():
        if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
            raise NotSupported(f"layers.{type(layer).__name__}", f"{name}={value!r}, expected a positive integer")


def check_numbers(layer: Layer, least: float = -inf, **options: Any) -> None:
    """Raise NotSupported unless these are finite numbers, `least` or more."""
    for name, value in options.items():
        if not is_number(value) or not least <= value < inf:
            raise NotSupported(f"layers.{type(layer).__name__}", f"{name}={value!r}, expected a number" +
                               f", {least:g} or more" * (least > -inf))


def check_integers(layer: Layer, single: bool = False, **options: Any) -> None:
    """Raise NotSupported unless these are integers, or lists of them if not `single`."""
    for name, value in options.items():
        numbers = value if isinstance(value, (list, tuple)) and value and not single else [value]
        if any(isinstance(n, bool) or not hasattr(n, "__index__") for n in numbers):
            raise NotSupported(f"layers.{type(layer).__name__}",
                               f"{name}={value!r}, expected an integer{'' if single else ' or a list of them'}")


def check_axes(layer: Layer, axes: Any, shape: Any) -> None:
    """Raise ShapeError unless arrays of this shape have these axes."""
    for k in axes:
        if not -len(shape) <= k < len(shape):
            raise ShapeError(f"layers.{type(layer).__name__}", f"axis={k}, and x has shape {tuple(shape)}")


def check_rate(layer: Layer, name: str, value: Any, most: float = 1) -> None:
    """Raise NotSupported unless this is a number from 0 to `most`."""
    if not is_number(value) or not 0 <= value <= most:
        raise NotSupported(f"layers.{type(layer).__name__}", f"{name}={value!r}, expected a number from 0 to {most:g}")
