"""The arguments that all constructors of TF 1's cells share, and configurations, of rnnref and of TF."""
from typing import Any

import numpy

from ..arrays import is_floating
from ..errors import InvalidType, InvalidValue, NotSupported

CLASSES: dict[str, Any] = {}                      # of cells, by name

OPTIONS = ("name", "dtype", "trainable", "reuse")
# Of Keras's layers, which TF's constructors hand on
LAYER_OPTIONS = ("dynamic", "input_shape", "input_dim", "batch_input_shape", "batch_size", "weights",
                 "activity_regularizer", "autocast", "experimental_autocast", "_scope", "_reuse")
# In a configuration of TF, and without an effect on what a cell computes
_IGNORED = {"batch_input_shape": (None,), "dynamic": (False, None)}
_ACTIVATIONS = {"hard_sigmoid": "hard_sigmoid@keras2", "swish": "swish", "selu": "selu"}
_FUNCTIONS = {"dropout_fn": "dropout_state_filter_visitor", "residual_fn": "residual_fn"}


def check_options(who: str, **options: Any) -> dict[str, Any]:
    """The options that are not None, after they are found to be possible."""
    if options.get("reuse"):
        raise NotSupported(who, f"reuse={options['reuse']!r}", hint="to share variables, use the same cell object")
    name, dtype = options.get("name"), options.get("dtype")
    if name is not None and not isinstance(name, str):
        raise InvalidType(who, f"name={name!r}, expected text")
    if dtype is not None:
        try:
            floating = is_floating(numpy.dtype(dtype))
        except TypeError:
            raise InvalidType(who, f"dtype={dtype!r} is no dtype") from None
        if not floating:
            raise InvalidValue(who, f"dtype={numpy.dtype(dtype).name}, expected a floating dtype")
    return {option: value for option, value in options.items() if value is not None}


def refuse_layer_options(who: str, options: dict[str, Any]) -> None:
    """Raise if there are any: options of Keras's layers that cells of TF hand on."""
    for option, value in options.items():
        if option not in LAYER_OPTIONS:
            raise InvalidType(who, f"no argument is called {option}")
        if value is not None:
            raise NotSupported(who, f"{option}={value!r}", hint="an option of Keras's layers, without use in a cell")


def to_config(value: Any) -> Any:
    """An argument as a configuration has it: a cell is {"class_name", "config"}."""
    if hasattr(type(value), "load_variables"):
        return {"class_name": type(value).__name__, "config": value.get_config()}
    if isinstance(value, dict):
        return {name: to_config(item) for name, item in value.items()}
    return [to_config(item) for item in value] if isinstance(value, (list, tuple)) else value


def read_config(who: str, config: dict, custom_objects: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a configuration of rnnref, or of TF, which has further entries, and functions by name."""
    arguments = {}
    for name, value in config.items():
        if name in _IGNORED and value in _IGNORED[name] or f"{name}_type".replace("_type_type", "_type") in config \
                and name.removesuffix("_type").removesuffix("_module") in _FUNCTIONS and name not in _FUNCTIONS:
            continue
        if name in _FUNCTIONS and f"{name}_type" in config:
            if value is not None:
                raise NotSupported(who, f"the configuration has the code of a function, {name}",
                                   fix=f"make the cell with {_FUNCTIONS[name]}=...")
            continue
        arguments[name] = _read(who, name, value, CLASSES | custom_objects)
    return arguments


def _read(who: str, name: str, value: Any, classes: dict[str, Any]) -> Any:
    if isinstance(value, dict) and {"class_name", "config"} <= value.keys() and "initializer" not in name:
        if value["class_name"] not in classes:
            raise NotSupported(who, f"a cell of the class {value['class_name']} in the configuration",
                               fix=f"from_config(config, custom_objects={{'{value['class_name']}': ...}})")
        return classes[value["class_name"]].from_config(value["config"])
    if "initializer" in name and isinstance(value, dict) and "config" in value:
        return value | {"config": {k: a for k, a in value["config"].items() if k != "dtype"}}
    if "activation" in name and isinstance(value, str):
        return _ACTIVATIONS.get(value, value)
    return [_read(who, name, item, classes) for item in value] if isinstance(value, list) else value
