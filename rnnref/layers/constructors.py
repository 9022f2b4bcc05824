"""Calls of the constructors of layers: one that does not fit ends in an error that names the class and the argument."""
from functools import wraps
from inspect import Parameter, signature
from typing import Any, Callable, Optional

import numpy

from ..errors import InvalidType, InvalidValue
from .config import SHAPES, refuse_unknown

_VARIABLE = Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD


def checking(init: Callable) -> Callable:
    """A constructor of rnnref that raises InvalidType for a call that does not fit it."""
    made_by = signature(init)
    passes_on = any(a.kind is Parameter.VAR_KEYWORD for a in made_by.parameters.values())
    flags = [name for name, a in made_by.parameters.items() if isinstance(a.default, bool)]

    @wraps(init)
    def checked(self: Any, *args: Any, **given: Any) -> None:
        who = name_of_class(type(self))
        try:
            bound = made_by.bind(self, *args, **given).arguments
        except TypeError as e:
            if not passes_on:
                refuse_unknown(who, type(self), [name for name in given if name not in made_by.parameters])
            needed = [name for name, a in list(made_by.parameters.items())[1:]
                      if a.default is Parameter.empty and a.kind not in _VARIABLE]
            raise InvalidType(who, str(e), fix=f"{type(self).__name__}({', '.join(needed)})") from None
        for name in flags:
            check_flag(who, name, bound.get(name, True))
        init(self, *args, **given)
    return checked


def checking_config(from_config: Callable) -> Callable:
    """A `from_config`, as a function of the class, that raises InvalidType for what is no configuration."""
    @wraps(from_config)
    def checked(cls: Any, config: Any, *args: Any, **options: Any) -> Any:
        return from_config(cls, check_config(name_of_class(cls), config), *args, **options)
    return checked


def name_of_class(cls: type) -> str:
    """How errors name a class before there is an object of it: "layers.LSTM"."""
    return f"layers.{cls.__name__}"


def check_flag(who: str, name: str, value: Any) -> None:
    """Raise InvalidType unless this is True or False, or 1 or 0."""
    if not isinstance(value, (bool, numpy.bool_)) and not (hasattr(value, "__index__") and value in (0, 1)):
        raise InvalidType(who, f"{name}={value!r}, expected True or False")


def check_seed(who: str, seed: Any) -> Any:
    """A seed; raise unless it is None, an integer, 0 or more, or a list of these, as cells in a stack have it."""
    if seed is None:
        return None
    numbers = seed if isinstance(seed, (list, tuple)) and seed else (seed,)
    if any(isinstance(n, bool) or not hasattr(n, "__index__") for n in numbers):
        raise InvalidType(who, f"seed={seed!r}, expected an integer, 0 or more, or None")
    if min(numbers) < 0:
        raise InvalidValue(who, f"seed={seed!r}, expected an integer, 0 or more, or None")
    return seed


def check_config(who: str, config: Any) -> dict:
    """A configuration; raise unless it is a dict of names."""
    if not isinstance(config, dict) or not all(isinstance(name, str) for name in config):
        raise InvalidType(f"{who}.from_config", f"config is {_shorten(config)}, expected a dict, as get_config "
                          "gives it")
    return config


def first_shape(who: str, input_shape: Any, input_dim: Any, batch_shape: Any,
                batch_input_shape: Any) -> Optional[tuple]:
    """The shape of the inputs that the first layer of a model may be given, with the batch; None if it is not given."""
    given = {name: value for name, value in zip(SHAPES, (input_shape, batch_shape, batch_input_shape, input_dim))
             if value is not None}
    for name, value in given.items():
        check_shape(who, name, (value,) if name == "input_dim" else value)
    if len(given) > 1:
        raise InvalidValue(who, f"{' and '.join(given)} are both given", fix="Input(shape) before this layer")
    for name, value in given.items():
        return (None, value) if name == "input_dim" else (None, *value) if name == "input_shape" else tuple(value)
    return None


def check_shape(who: str, name: str, shape: Any) -> Any:
    """A shape; raise unless it is a tuple of positive integers and None."""
    if not isinstance(shape, (list, tuple)) or not all(map(_is_length, shape)):
        raise InvalidType(who, f"{name}={shape!r}, expected a tuple of positive integers and None",
                          fix=f"{name}=({shape},)" if _is_length(shape) else "")
    return shape


def _is_length(n: Any) -> bool:
    return n is None or hasattr(n, "__index__") and not isinstance(n, bool) and n > 0


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:56]} ..."
