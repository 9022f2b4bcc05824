"""Classes and functions of users by name, so that configurations with them can be read without custom_objects."""
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Callable, Iterator, Optional

_OBJECTS: dict = {}                               # {registered name: object}
_NAMES: dict = {}                                 # {object: registered name}
_SCOPE: ContextVar = ContextVar("custom objects", default={})


def register_keras_serializable(package: str = "Custom", name: Optional[str] = None) -> Callable:
    """A decorator that makes a class or a function known as "package>name".

    >>> @register_keras_serializable("mine")
    ... class Layer:
    ...     pass
    >>> get_registered_name(Layer), get_registered_object("mine>Layer") is Layer
    ('mine>Layer', True)
    """
    def register(obj: Any) -> Any:
        registered = f"{package}>{name or obj.__name__}"
        _OBJECTS[registered], _NAMES[obj] = obj, registered
        return obj
    return register


def get_registered_name(obj: Any) -> str:
    """The name that an object was registered with, else its own."""
    return _NAMES.get(obj, obj.__name__)


def get_registered_object(name: str, custom_objects: Optional[dict] = None,
                          module_objects: Optional[dict] = None) -> Any:
    """The object of a name: of the scopes around, registered, or in one of the dicts; None if there is none."""
    for known in (_SCOPE.get(), _OBJECTS, custom_objects or {}, module_objects or {}):
        if name in known:
            return known[name]
    return None


def get_custom_objects() -> dict:
    """{name: object} of all that is registered; what is put into it is registered."""
    return _OBJECTS


@contextmanager
def custom_object_scope(custom_objects: dict) -> Iterator[None]:
    """While this context is open, these objects are found by their names.

    >>> with custom_object_scope({"mine": 3}):
    ...     get_registered_object("mine")
    3
    """
    token = _SCOPE.set({**_SCOPE.get(), **custom_objects})
    try:
        yield
    finally:
        _SCOPE.reset(token)


CustomObjectScope = custom_object_scope
