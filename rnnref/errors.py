"""The errors of rnnref, all in one form.

    who: what was given, what was expected
      axes   where the expectation came from
      hint   the probable cause
"""
import re
from typing import Any, Iterable

# a vowel, "un" but not "uni", "nd" as in "ndarray", or a capital whose name begins with a vowel: LSTM, but not Layer
_BEGINS_WITH_VOWEL = re.compile(r"_*([aeioAEIO]|[uU]n(?!i)|nd|[FHLMNRSX](?![a-z]))")


class Error(Exception):
    """The base class of all errors of rnnref.  `notes` are printed one a line, in their order."""

    def __init__(self, who: str, what: str, **notes: Any):
        super().__init__(who, what)
        self.notes = {name: note for name, note in notes.items() if note}

    def __str__(self) -> str:
        who, what = self.args
        return "\n".join([f"{who}: {what}", *(f"  {name:6} {note}" for name, note in self.notes.items())])


class ShapeError(Error, ValueError):
    """An array, a tree, a length or a name that does not fit the others."""


class DtypeError(Error, TypeError):
    """A dtype that is not floating, or not the one that the others have."""


class DeviceError(Error, TypeError):
    """Some arrays in main memory and some on a GPU, or an error of the device: nothing is copied silently."""


class NotSupported(Error, NotImplementedError):
    """An option that is not implemented, by name and with the reason."""


class InvalidValue(NotSupported, ValueError):
    """A value outside of what an argument may have."""


class InvalidType(NotSupported, TypeError):
    """An argument of another kind than the one that is needed."""


class FileError(Error, ValueError):
    """A file that is broken, holds what is not read, or cannot be written."""


class MissingFile(FileError, FileNotFoundError):
    """A file or a folder that is not there."""


class StructureError(ShapeError, TypeError):
    """An argument that is no list, tuple or dict where one is needed, or the other way round."""


class MissingExtra(Error, ImportError):
    """A package that is not installed; the error gives the pip command that installs it."""


def with_article(noun: str) -> str:
    """A noun behind "a" or "an", as it is spoken: abbreviations letter by letter.

    >>> [with_article(noun) for noun in ("int", "ndarray", "GRU", "LSTM", "UGRNN", "SimpleRNN", "uint8")]
    ['an int', 'an ndarray', 'a GRU', 'an LSTM', 'a UGRNN', 'a SimpleRNN', 'a uint8']
    """
    return f"{'an' if _BEGINS_WITH_VOWEL.match(noun) else 'a'} {noun}"


def describe_type(value: Any) -> str:
    """The type of a value, with its article; None is "None".

    >>> describe_type(1), describe_type([]), describe_type(None)
    ('an int', 'a list', 'None')
    """
    return "None" if value is None else with_article(type(value).__name__)


def import_optional(module: str, extra_name: str, who: str) -> Any:
    """Import and return `module`; raise `MissingExtra` if its package is not installed."""
    from importlib import import_module
    try:
        return import_module(module)
    except ImportError as e:
        if e.name is None or e.name.partition(".")[0] != module.partition(".")[0]:
            raise                                 # installed, but broken: its own error tells more
        package = module.partition(".")[0]
        distribution = {"cupy": f"cupy-{extra_name}x"}.get(package, package)
        raise MissingExtra(who, f"needs the package {package}, which is not installed",
                           fix=f'pip install {distribution}; or in a clone: pip install ".[{extra_name}]"') from None


def check_option(who: str, option: str, value: Any, allowed: Iterable) -> Any:
    """`value` if it is among `allowed`; raise `NotSupported` with the list of them otherwise."""
    if not any(value is a or value == a for a in allowed):
        raise NotSupported(who, f"{option}={value!r}", known=", ".join(repr(a) for a in allowed))
    return value


def check_limit(who: str, option: str, limit: Any) -> Any:
    """`limit` if it is None or a number that is not negative: values are clipped to [-limit, limit]."""
    if limit is None:
        return limit
    try:
        negative = not limit >= 0
    except TypeError:
        raise InvalidType(who, f"{option}={limit!r}, expected a number or None") from None
    if negative:
        raise InvalidValue(who, f"{option}={limit}, expected 0 or more, or None", hint="None: no limit")
    return limit
