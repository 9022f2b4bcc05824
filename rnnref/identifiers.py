"""Identifiers of initializers, regularizers, constraints and activations: how they are found and written.

A name ("glorot_uniform", "GlorotUniform"), a class, a configuration as Keras writes it, or the object itself.
"""
import inspect
import re
from functools import wraps
from threading import Lock
from typing import Any, Callable, Optional, Sequence

import numpy

from .errors import InvalidType, NotSupported, describe_type
from .registry import get_registered_name, get_registered_object


def snake(name: str) -> str:
    """The name of a class in small letters, as Keras makes it.

    >>> snake("LSTMCell"), snake("GlorotUniform"), snake("Conv1D"), snake("L1L2"), snake("StackedRNNCells")
    ('lstm_cell', 'glorot_uniform', 'conv1d', 'l1l2', 'stacked_rnn_cells')
    """
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def name_of(obj: Any) -> str:
    """What Keras calls a loss or a metric in logs: its `name`, or that of the function or class in snake case.

    >>> name_of(lambda y, p: y), name_of(name_of)
    ('lambda', 'name_of')
    """
    return getattr(obj, "name", None) or snake(getattr(obj, "__name__", type(obj).__name__))


_COUNTS: dict = {}
_LOCK = Lock()


def unique_name(name: str) -> str:
    """The name of the next object of this class: lstm, lstm_1, lstm_2 ... as Keras counts layers and operations."""
    name = snake(name)
    with _LOCK:
        n = _COUNTS[name] = _COUNTS.get(name, -1) + 1
    return f"{name}_{n}" if n else name


def clear_names() -> None:
    """Restart the numbering of names: the next object of a class is called without a number."""
    with _LOCK:
        _COUNTS.clear()


def plain(value: Any) -> Any:
    """A configuration without NumPy's numbers, so that it can be written as JSON.

    >>> import numpy
    >>> plain({"units": numpy.int64(3), "shape": (None, numpy.int32(2)), "rate": numpy.float32(0.5)})
    {'units': 3, 'shape': (None, 2), 'rate': 0.5}
    """
    if isinstance(value, numpy.generic):
        return value.item()
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list) or type(value) is tuple:
        return type(value)(map(plain, value))
    return value


def returning_plain(get_config: Callable) -> Callable:
    """A get_config whose result is `plain`."""
    @wraps(get_config)
    def wrapped(self: Any) -> dict:
        return plain(get_config(self))
    return wrapped


class Configured:
    """An object that keeps the arguments of its constructor as attributes of the same names."""

    def get_config(self) -> dict:
        """The arguments from which `from_config` makes the same object."""
        arguments = inspect.signature(type(self).__init__).parameters
        return {name: plain(getattr(self, name)) for name, a in arguments.items()
                if name != "self" and a.kind not in (a.VAR_POSITIONAL, a.VAR_KEYWORD)}

    @classmethod
    def from_config(cls, config: dict) -> Any:
        """The object of such a configuration."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


class Family:
    """The classes and functions of one module of Keras, by name, with its get, serialize and deserialize.

    noun       the name of the module: "regularizers"
    members    its classes and functions
    aliases    {name: member} for other names
    refused    {name: reason} for what is not implemented
    """

    def __init__(self, noun: str, members: Sequence[Callable], aliases: Optional[dict] = None,
                 refused: Optional[dict] = None):
        self.noun, self.members, self.refused = noun, tuple(members), refused or {}
        self.by_name = {name: m for m in self.members for name in (m.__name__, snake(m.__name__))} | (aliases or {})

    def get(self, identifier: Any) -> Any:
        """The object that an identifier stands for; None is None.  Raises NotSupported for an unknown one."""
        if isinstance(identifier, str):
            identifier = self.find(identifier)
        elif isinstance(identifier, dict):
            return self.deserialize(identifier)
        if identifier is not None and not callable(identifier):
            raise NotSupported(self.noun, f"{describe_type(identifier)}, {identifier!r}",
                               known="a name, a configuration, a class, an object or a function")
        return identifier() if isinstance(identifier, type) else identifier

    def find(self, name: str) -> Callable:
        """The class or function of a name."""
        if name in self.refused:
            raise NotSupported(f"{self.noun}.{name}", self.refused[name])
        if name not in self.by_name:
            raise NotSupported(self.noun, f"{name!r}", known=" ".join(sorted({snake(n) for n in self.by_name})))
        return self.by_name[name]

    def serialize(self, a: Any) -> Any:
        """The configuration of an object, as Keras writes it; of a function its name alone."""
        if a is None:
            return None
        name = getattr(a, "__name__", None)
        if name is not None and not isinstance(a, type):
            if name == "<lambda>":
                raise NotSupported(f"{self.noun}.serialize", "a lambda has no name to find it by", fix="def")
            return {"module": "builtins", "class_name": "function", "config": name, "registered_name": name}
        if not hasattr(a, "get_config"):
            raise NotSupported(f"{self.noun}.serialize", f"{describe_type(a)} without get_config()", fix="write one")
        ours = type(a) in self.members
        return {"module": f"keras.{self.noun}" if ours else type(a).__module__, "class_name": type(a).__name__,
                "config": plain(a.get_config()), "registered_name": None if ours else get_registered_name(type(a))}

    def deserialize(self, config: Any, custom_objects: Optional[dict] = None) -> Any:
        """The object of what `serialize` wrote; `custom_objects` has classes and functions that are not of rnnref."""
        if config is None or isinstance(config, str):
            return self.get((custom_objects or {}).get(config, config))
        if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
            raise InvalidType(f"{self.noun}.deserialize", f"config={config!r}, expected a dict with a class_name")
        name = config["class_name"]
        name = config["config"] if name == "function" else name
        found: Any = get_registered_object(config.get("registered_name") or name, custom_objects)
        found = found or get_registered_object(name, custom_objects)
        if found is None and name not in self.by_name and name not in self.refused:
            raise NotSupported(f"{self.noun}.deserialize", f"{name!r} of {config.get('module') or 'no module'}",
                               fix=f'custom_objects={{"{name}": {name}}}')
        found = found or self.find(name)
        return found.from_config(config.get("config") or {}) if hasattr(found, "from_config") else found
