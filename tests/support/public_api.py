"""python -m tests.support.public_api: store the names and signatures that users can call, as tests/snapshots/api.json.

What is public: the names in `__all__` of the packages below, or those without an underscore where a package has none;
of a class its constructor, and the methods, properties and fields without an underscore that it defines itself.
"""
import inspect
import json
from importlib import import_module
from pathlib import Path

SNAPSHOT = Path(__file__).parents[1] / "snapshots" / "api.json"
COMMAND = "python -m tests.support.public_api"
PACKAGES = ("rnnref", "rnnref.cells", "rnnref.init", "rnnref.maps", "rnnref.rules", "rnnref.wrappers",
            "rnnref.interop", "rnnref.onnx", "rnnref.tf1", "rnnref.layers", "rnnref.check", "rnnref.survey",
            "rnnref.testing", "rnnref.plot", "rnnref.losses", "rnnref.metrics", "rnnref.optimizers",
            "rnnref.optimizers.schedules", "rnnref.callbacks", "rnnref.data", "rnnref.models", "rnnref.saving",
            "rnnref.cpu")


def list_public_names(module):
    """The names that a package offers, without modules that it merely imports."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    return sorted(name for name in dir(module) if not name.startswith("_") and is_ours(module, getattr(module, name)))


def is_ours(module, value):
    """Whether a package re-exports it from another module of rnnref, or a module defines it."""
    owner = getattr(value, "__module__", None) or module.__name__
    is_reexported = hasattr(module, "__path__") and owner.partition(".")[0] == "rnnref"
    return not inspect.ismodule(value) and (is_reexported or owner == module.__name__)


def describe_api():
    """{"package.name": its signature or kind, "package.Class.member": the same}."""
    found = {}
    for package in PACKAGES:
        module = import_module(package)
        for name in list_public_names(module):
            found.update(describe(f"{package}.{name}", getattr(module, name)))
    return found


def describe(path, value):
    if inspect.ismodule(value):
        return {path: "module"}
    if inspect.isclass(value):
        return {path: f"class{signature_of(value)}", **dict(describe_members(path, value))}
    return {path: signature_of(value) if callable(value) else f"a {type(value).__name__}"}


def describe_members(path, cls):
    for name, value in vars(cls).items():
        if name.startswith("_"):
            continue
        value = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        kind = signature_of(value) if inspect.isroutine(value) else "property" if is_property(value) else "attribute"
        yield f"{path}.{name}", kind


def is_property(value):
    return isinstance(value, property) or type(value).__name__ == "cached_property"


def signature_of(value):
    """Names, kinds and defaults of the arguments, without annotations: these may become more precise at any time."""
    if inspect.isclass(value) and not hasattr(value, "__signature__"):
        # Python 3.10 takes an inherited __new__ even where an __init__ is nearer
        value = next((cls for cls in value.__mro__[:-1] if {"__new__", "__init__"} & vars(cls).keys()), value)
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return "(...)"
    return str(inspect.Signature([p.replace(annotation=p.empty, default=Default.of(p.default)) for p in parameters]))


class Default(str):
    """A default by its name: the representation of a function has its address, that of a module its path."""
    __repr__ = str.__str__

    @classmethod
    def of(cls, value):
        named = inspect.isroutine(value) or inspect.ismodule(value)
        return cls(value.__name__) if named else value


def main():
    SNAPSHOT.write_text(json.dumps(dict(sorted(describe_api().items())), indent=0) + "\n")


if __name__ == "__main__":
    main()
