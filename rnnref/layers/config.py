"""Configurations as plain data, and the names that Keras writes into its own."""
import sys
from collections import Counter
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from inspect import Parameter, isroutine, signature
from math import prod
from typing import Any, Iterator, Optional

import numpy

from .. import activations, constraints, elementwise, initializers, regularizers
from ..arrays import is_array, is_floating
from ..cell import Cell
from ..errors import DtypeError, FileError, InvalidType, NotSupported, ShapeError, describe_type
from ..identifiers import plain
from ..interop.layouts import KERAS_ACTIVATIONS
from ..options import suggest
from ..registry import get_registered_name, get_registered_object

_NUMBER: ContextVar = ContextVar("number of a layer", default=None)  # {its id: number}.get, while a model is written
_SHARED: ContextVar = ContextVar("shared layers", default=None)      # {number: layer}, while one is read
_LIMIT: ContextVar = ContextVar("limit of weights", default=None)    # [path, bytes that are left]
# The modules whose own classes a configuration may name.
_ROOMS = ("layers", "models", "cell", "cells", "wrappers", "rules", "maps", "tf1", "elementwise", "initializers",
          "regularizers", "constraints", "losses", "metrics", "optimizers")

# What the first layer of a model may be told about its inputs.
SHAPES = "input_shape", "batch_shape", "batch_input_shape", "input_dim"

_ACTIVATIONS = KERAS_ACTIVATIONS | {None: KERAS_ACTIVATIONS["linear"]}


@dataclass(frozen=True)
class FunctionActivation(elementwise.Activation):
    """A function of an array as an activation of the core; the backward pass records it to find its slope.

    No kernel has it.
    """
    function: Any = None

    def forward(self, x: Any) -> Any:
        return activations.forward(self.function, x, keep=False)[0], x

    def backward(self, y: Any, kept: Any, dy: Any) -> Any:
        _, recorded = activations.forward(self.function, kept)
        return activations.backward(self.function, recorded, dy)[0]


def activation(who: str, option: str, what: Any) -> Any:
    """The activation of the core, by its name in Keras or in rnnref.elementwise, or made of a function."""
    if isinstance(what, str) and what in _ACTIVATIONS or what is None:
        return _ACTIVATIONS[what]
    ours = elementwise.ACTIVATIONS.keys() | elementwise.ALIASES.keys()
    if isinstance(what, elementwise.Activation) or isinstance(what, str) and what in ours:
        return elementwise.get_activation(what)
    try:
        function = activations.get(what)
    except NotSupported:
        raise NotSupported(who, f"{option}={what!r}: not a name whose derivative is known",
                           known=" ".join(sorted({*elementwise.ACTIVATIONS, *elementwise.ALIASES}))) from None
    name = next((f.__name__ for f in activations.MEMBERS if f is function), "")
    if name in _ACTIVATIONS:
        return _ACTIVATIONS[name]
    if function is activations.hard_sigmoid_keras2:
        return elementwise.get_activation("hard_sigmoid@keras2")
    return FunctionActivation(f"function {getattr(function, '__name__', type(function).__name__)}", function=function)


def initialiser(who: str, option: str, what: Any) -> Any:
    """An initializer, as `rnnref.initializers.get` takes it; errors name the option."""
    try:
        return initializers.get(what)
    except NotSupported as error:
        raise NotSupported(who, f"{option}={what!r}", **error.notes) from None


@contextmanager
def _holding(variable: Any, value: Any) -> Iterator[Any]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def serialize_shared(model: Any) -> Any:
    """The configuration of a model, in which layers that occur twice have one number."""
    counts: Counter = Counter()
    with _holding(_NUMBER, lambda key: counts.update([key])):
        serialize(model)
    numbers = {key: k for k, key in enumerate([key for key, n in counts.items() if n > 1], 1)}
    with _holding(_NUMBER, numbers.get):
        return serialize(model)


def sharing() -> Any:
    """While this context is open, configurations with one shared_object_id make one object."""
    return _holding(_SHARED, {})


def limit_weights(path: str, size: Any) -> Any:
    """While this context is open, refuse weights that need far more bytes than the file at `path`, of this size, has.

    Some weights are made twice, hence a multiple of the size.
    """
    return _holding(_LIMIT, [path, 4 * size + (1 << 20)])


def count_weight(who: str, shape: Any, dtype: Any) -> None:
    """Raise if the weights that were made are more than the file has that is read."""
    limit = _LIMIT.get()
    if limit is not None and None not in shape:
        limit[1] -= prod(shape) * numpy.dtype(dtype).itemsize
        if limit[1] < 0:
            raise FileError(who, f"the configuration in {limit[0]} asks for far more weights than are in the file")


def draw(who: str, initializer: Any, rng: Any, shape: Any, dtype: Any) -> Any:
    """Draw the first values of a weight."""
    if None in shape:
        raise ShapeError(who, f"a weight of shape {shape}, expected known lengths",
                         axes="a length that inputs leave open, as that of the batch, cannot be one of a weight")
    if not all(hasattr(n, "__index__") and n >= 0 for n in shape):
        raise InvalidType(who, f"a weight of shape {tuple(shape)}, expected integers, 0 or more")
    return initializers.draw(who, initializer, shape, dtype, rng)


def taken(who: str, name: str, a: Any, dtype: Any) -> Any:
    """An array of `dtype` made of numbers of any dtype, also in lists; dtype=None keeps theirs."""
    if isinstance(a, (list, tuple, numpy.generic)):
        try:
            a = numpy.asarray(a)
        except ValueError:
            raise ShapeError(who, f"{name} is a list whose rows differ in length") from None
    if not is_array(a):
        raise DtypeError(who, f"{name} is {describe_type(a)}, expected a NumPy or CuPy array")
    if a.dtype.kind not in "fiub" and not is_floating(a.dtype):
        raise DtypeError(who, f"{name} has dtype {a.dtype}, expected numbers")
    return a if dtype is None or a.dtype == dtype else a.astype(dtype)


def floating(who: str, dtype: Any) -> Any:
    """The name of a floating dtype; None is float32."""
    try:
        found = numpy.dtype("float32" if dtype is None else dtype)
    except TypeError:
        raise NotSupported(who, f"dtype={dtype!r}: not the name of a dtype",
                           hint="a layer computes in one dtype; policies such as mixed_float16 are not there") from None
    if not is_floating(found):
        raise NotSupported(who, f"dtype={found.name!r}, expected a floating dtype")
    return found.name


def serialize(value: Any) -> Any:
    """A value as plain data: layers and cells by class name and configuration, as Keras writes them."""
    if isinstance(value, (list, tuple)):
        return [serialize(item) for item in value]
    if any(value is f for f in activations.MEMBERS):
        return activations.serialize(value)
    for module in (initializers, regularizers, constraints):
        if type(value) in module.MEMBERS:
            return module.serialize(value)
    if hasattr(value, "get_config"):
        found = _with_class_name(value, plain(value.get_config()))
        number = _NUMBER.get()
        k = number(id(value)) if number is not None and hasattr(value, "named_weights") else None
        return found if k is None else found | {"shared_object_id": k}
    if is_dataclass(value) and not isinstance(value, type):
        return _with_class_name(value, {f.name: serialize(getattr(value, f.name)) for f in fields(value)})
    if isinstance(value, Cell):
        if vars(value):
            raise NotSupported("get_config", f"{type(value).__name__} holds {', '.join(vars(value))}",
                               fix="make it a dataclass, or give it get_config()")
        return _with_class_name(value, {})
    if isroutine(value):
        return activations.serialize(value)       # by its name
    return plain(value)


def _with_class_name(value: Any, config: dict) -> dict:
    """A configuration with its class; classes that Keras has too are in the module where they are there."""
    cls = type(value)
    public = cls.__name__ in vars(sys.modules[__package__]) and vars(sys.modules[__package__])[cls.__name__] is cls
    module = "keras.layers" if public else vars(cls).get("_keras_module", cls.__module__)
    return {"module": module, "class_name": cls.__name__, "config": config,
            "registered_name": None if public or "_keras_module" in vars(cls) else get_registered_name(cls)}


def deserialize(value: Any, custom_objects: Optional[dict] = None) -> Any:
    """The inverse of `serialize`; also for what Keras wrote for its layers, cells, initialisers and dtypes."""
    if isinstance(value, list):
        return tuple(deserialize(item, custom_objects) for item in value)
    if not isinstance(value, dict) or "class_name" not in value:
        return value
    shared, number = _SHARED.get(), value.get("shared_object_id")
    if shared is None or number is None:
        return _deserialize(value, custom_objects)
    if number not in shared:
        shared[number] = _deserialize(value, custom_objects)
    return shared[number]


def _deserialize(value: Any, custom_objects: Optional[dict]) -> Any:
    """An object of a configuration."""
    module, name, config = value.get("module") or "", value["class_name"], value.get("config") or {}
    if name == "DTypePolicy":
        return config["name"]
    if name == "function":
        return activations.deserialize(value, custom_objects)
    found = get_registered_object(value.get("registered_name") or name, custom_objects)
    found = found or get_registered_object(name, custom_objects) or _find_class(module, name)
    if hasattr(found, "from_config"):
        told = {"custom_objects": custom_objects} if "custom_objects" in signature(found.from_config).parameters else {}
        made = found.from_config(config, **told)
        shape = (value.get("build_config") or {}).get("input_shape")
        if shape and getattr(made, "built", True) is False and module == "keras.layers":
            shape = deserialize(shape)
            made.build(shape)
            made._built_for = (shape,)
        return made
    return found(**{key: deserialize(item, custom_objects) for key, item in config.items()})


def of_keras2(config: dict) -> Any:
    """A configuration of Keras 2 as one of Keras 3; any other as it is.

    Keras 2 is recognised by `time_major=False`, which it alone writes, and always, or by initializers that name no
    module.  Its hard_sigmoid is 0.2 x + 0.5.
    """
    inits = [value for name, value in config.items() if name.endswith("_initializer") and isinstance(value, dict)]
    if config.get("time_major") is not False and not any("module" not in value for value in inits):
        return config
    config = {name: "hard_sigmoid@keras2" if name.endswith("activation") and value == "hard_sigmoid" else value
              for name, value in config.items() if (name, value) != ("time_major", False)}
    for kind in ("initializer", "regularizer", "constraint"):
        config |= {name: {"module": f"keras.{kind}s", **value} for name, value in config.items()
                   if name.endswith(f"_{kind}") and isinstance(value, dict)}
    if "batch_input_shape" in config:
        config["batch_shape"] = config.pop("batch_input_shape")
    return config


def _find_class(module: Any, name: str) -> Any:
    """A class of ours: a layer by its name alone, anything else from its module if that is in rnnref."""
    layers, root = sys.modules[__package__], __package__.partition(".")[0]
    if module.startswith("keras.") and module.partition(".")[2] in ("regularizers", "constraints", "initializers"):
        module = f"{root}.{module.partition('.')[2]}"
    if module.partition(".")[0] == "keras" and name in ("Sequential", "Functional", "Model"):
        module = f"{root}.models"
    elif module.partition(".")[0] in ("keras", "") or module.startswith(__package__ + "."):
        module = __package__ if hasattr(layers, name) else module
    if module.partition(".")[0] == root and module.partition(".")[2].partition(".")[0] in _ROOMS:
        found = getattr(import_module(module), name, None)
        if isinstance(found, type) and found.__module__.startswith(f"{root}."):
            return found
    raise NotSupported("from_config", f"class {name!r} of {module or 'no module'} is not known",
                       fix=f'from_config(config, custom_objects={{"{name}": {name}}})')


def argument_names(cls: Any) -> list:
    """The names of all arguments that the constructor of a class of layers takes, those of its base classes too."""
    makers = [vars(base)[name] for base in cls.__mro__ for name in ("__init__", "_take_options") if name in vars(base)]
    return [name for make in makers if make is not object.__init__ for name, a in signature(make).parameters.items()
            if name not in ("self", "options") and a.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)]


def refuse_unknown(who: str, cls: Any, given: Any, known: Any = None) -> None:
    """Raise InvalidType for the first of the names `given`, which are none of the arguments of a class of layers."""
    for name in given:
        fix = "Input(shape) before this layer" if name in SHAPES else suggest(name, known or argument_names(cls))
        raise InvalidType(who, f"no argument is called {name}", fix=fix)


def arguments_of(layer: Any) -> dict:
    """The arguments of the constructor as they were given, for a class without a get_config of its own."""
    args, options = layer._given
    made_by = signature(type(layer).__init__)
    bound = made_by.bind(layer, *args, **options)
    given = dict(list(bound.arguments.items())[1:])
    more = next((name for name, a in made_by.parameters.items() if a.kind is Parameter.VAR_KEYWORD), "")
    return {name: serialize(value) for name, value in (given | given.pop(more, {})).items() if name != more}
