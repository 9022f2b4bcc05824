"""Keyword-only options of cells and wrappers, and readable errors for a call that does not fit them.

The sizes of a network are no options: a cell holds none, they are read off its parameters.
"""
import inspect
from collections.abc import Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from functools import wraps
from math import inf, isfinite
from typing import Any, Callable, Iterable, Optional, TypeVar, cast

import numpy

from .errors import InvalidType, InvalidValue, NotSupported, describe_type

F = TypeVar("F", bound=Callable)
_UNITS = "units are given to init.parameters(cell, n_in, units, rng)"
_SIZE_NAMES = "units", "num_units", "hidden_size", "input_size", "n_in"                  # here and in other frameworks


def keyword_options(rule: Optional[type] = None) -> Callable[[F], F]:
    """Decorator of a cell, as a function or a dataclass, whose options are keyword-only.

    rule: the dataclass of a rule that takes the `**options`, so that they are checked, and shown by `help`, by name.

    >>> @keyword_options()
    ... def Cell(*, bias=True):
    ...     return bias
    >>> Cell(64)
    Traceback (most recent call last):
    rnnref.errors.NotSupported: Cell: 64 is given by position, and options are given by name
      fix    units are given to init.parameters(cell, n_in, units, rng)
      known  bias
    >>> Cell(baises=False)
    Traceback (most recent call last):
    rnnref.errors.NotSupported: Cell: no option is called baises
      fix    did you mean bias?
      known  bias
    """
    def decorate(make: F) -> F:
        call: Callable = make.__init__ if inspect.isclass(make) else make
        signature = _merge_rule_options(inspect.signature(call), rule)

        @wraps(call)
        def checked(*args: Any, **given: Any) -> Any:
            return call(*args, **_check_call(make, signature, args, given))
        setattr(checked, "__signature__", signature)
        if not inspect.isclass(make):
            return cast(F, checked)
        setattr(make, "__init__", checked)
        return make
    return decorate


def _merge_rule_options(signature: inspect.Signature, rule: Optional[type]) -> inspect.Signature:
    """The signature with the fields of `rule` in the place of its `**options`."""
    given = {name: p for name, p in signature.parameters.items() if p.kind is not inspect.Parameter.VAR_KEYWORD}
    if rule:
        given |= {f.name: inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, annotation=f.type,
                                            default=inspect.Parameter.empty if f.default is MISSING else f.default)
                  for f in fields(rule) if f.name not in given}
    return signature.replace(parameters=list(given.values()))


def _check_call(make: Callable, signature: inspect.Signature, args: tuple, given: dict) -> dict:
    """The options; raise unless they are given by name, known and of their kind, and a part named `cell` is a cell."""
    who, kinds = make.__name__, {name: p.kind for name, p in signature.parameters.items() if name != "self"}
    if inspect.isclass(make):
        who, args = type(args[0]).__name__, args[1:]
    parts = [name for name, kind in kinds.items() if kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    options = [name for name in kinds if name not in parts]
    if len(args) > len(parts):
        raise _misplaced(who, parts, options, args[len(parts)])
    for name in given:
        if name not in kinds:
            fix = _UNITS if name in _SIZE_NAMES else suggest(name, options)
            raise NotSupported(who, f"no option is called {name}", fix=fix, known=" ".join(options))
    cell = {**dict(zip(parts, args)), **given}.get("cell")
    if "cell" in parts and cell is not None and (inspect.isclass(cell) or not hasattr(cell, "forward")):
        made = f"{getattr(cell, '__name__', 'rnnref.cells.LSTM')}()"
        raise InvalidType(who, f"cell={cell!r} is not a cell: it has no forward", fix=f"{who}({made})")
    if "projection" in kinds and given.get("projection_clip") is not None and given.get("projection") is None:
        raise InvalidValue(who, f"projection_clip={given['projection_clip']!r} without a projection",
                           fix="projection=, or cell_clip=" if "cell_clip" in kinds else "projection=")
    given = {name: check_kind(who, name, value, signature.parameters[name].annotation) if name in options else value
             for name, value in given.items()}
    missing = [name for name in kinds if signature.parameters[name].default is inspect.Parameter.empty
               and kinds[name] is not inspect.Parameter.VAR_POSITIONAL and name not in {*given, *parts[:len(args)]}]
    if missing:
        raise InvalidType(who, f"{missing[0]} is not given",
                          fix=f"{who}({', '.join(name if name in parts else f'{name}=...' for name in missing)})")
    return given


def check_kind(who: str, name: str, value: Any, kind: Any) -> Any:
    """An option as the annotation `kind` of its parameter wants it; numbers of NumPy become Python's.

    bool; int, 1 or more unless the option may be 0; float, finite; Optional[float], a limit, 0 or more; a tuple of
    integers.  Optional takes None too.  What has another annotation is returned as it is: its cell checks it.

    >>> check_kind("LSTM", "projection", 0, Optional[int])
    Traceback (most recent call last):
    rnnref.errors.InvalidValue: LSTM: projection=0, expected an integer, 1 or more, or None
    """
    kinds = getattr(kind, "__args__", (kind,))
    optional, kind = type(None) in kinds, next((k for k in kinds if k in _KINDS), None)
    if kind is None or optional and (value is None or kind is str):
        return value
    if kind is tuple and isinstance(value, list):
        value = tuple(value)
    least = _LEAST.get(name, 1 if kind is int else -inf if kind is float and not optional else 0)
    is_kind, words = _KINDS[kind]
    words += f", {least} or more" * (kind in (int, float) and least >= 0) + ", or None" * optional
    if not is_kind(value):
        raise InvalidType(who, f"{name}={value!r}, expected {words}",
                          fix=f"{name}=({value},)" if kind is tuple and _is_integer(value) else "")
    numbers = value if kind is tuple else (value,) if kind in (int, float) else ()
    if not all(n >= least for n in numbers) or kind is float and not optional and not isfinite(numbers[0]):
        raise InvalidValue(who, f"{name}={value!r}, expected {words}")
    return value.item() if isinstance(value, numpy.generic) else value


_LEAST = {"write_heads": 0, "shift": 0, "epsilon": 0, "floor": 0, "offset": -inf}


def check_seed(who: str, seed: Any) -> int:
    """A seed, if it is an integer, 0 or more.

    >>> check_seed("convert", -1)
    Traceback (most recent call last):
    rnnref.errors.InvalidValue: convert: seed=-1, expected an integer, 0 or more
    """
    if not _is_integer(seed):
        raise InvalidType(who, f"seed={seed!r}, expected an integer, 0 or more")
    if seed < 0:
        raise InvalidValue(who, f"seed={seed}, expected an integer, 0 or more")
    return int(seed)


def check_mapping(who: str, name: str, value: Any) -> dict[str, Any]:
    """Options by name as a dict; None is none of them."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InvalidType(who, f"{name}={value!r}, expected a dict of options by name", fix=f'{name}={{"bias": True}}')
    return dict(value)


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, numpy.integer)) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """True for an integer or a float, of Python or of NumPy; a bool is none."""
    return isinstance(value, (int, float, numpy.integer, numpy.floating)) and not isinstance(value, bool)


# annotation: whether a value is of that kind, and the kind in words
_KINDS: dict = {
    bool: (lambda v: isinstance(v, (bool, numpy.bool_)), "True or False"),
    str: (lambda v: isinstance(v, str), "a string"),
    int: (_is_integer, "an integer"), float: (is_number, "a number"),
    tuple: (lambda v: isinstance(v, tuple) and all(map(_is_integer, v)), "a tuple of integers"),
}


def named_arguments(f: F) -> F:
    """Decorator of a function or a constructor: a call that does not fit ends in an error with at most one suggestion.

    >>> @named_arguments
    ... def run(cell, *, lengths=None): ...
    >>> run(0, length=[1])
    Traceback (most recent call last):
    rnnref.errors.InvalidType: run: no argument is called length
      fix    did you mean lengths?
    """
    signature = inspect.signature(f)
    who = f.__qualname__.split(".")[-2] if f.__name__ == "__init__" else f.__name__

    @wraps(f)
    def called(*args: Any, **given: Any) -> Any:
        try:
            return f(*args, **given)
        except TypeError:                         # of the call itself, or from inside of f: asked only where one is
            _check_fit(who, signature, args, given)
            raise
    return cast(F, called)


def _check_fit(who: str, signature: inspect.Signature, args: tuple, given: dict) -> None:
    """Raise unless the arguments fit the parameters."""
    unknown = [name for name in given if name not in signature.parameters]
    if unknown:
        raise InvalidType(who, f"no argument is called {unknown[0]}",
                          fix=suggest(unknown[0], signature.parameters)) from None
    try:
        signature.bind(*args, **given)
    except TypeError as e:
        raise InvalidType(who, str(e), fix=f"{who}{_format_parameters(signature)}") from None


def _format_parameters(signature: inspect.Signature) -> str:
    """The parameters without their annotations: "(cell, p, xs, s=None)"; those by keyword alone are left out."""
    return str(signature.replace(return_annotation=inspect.Signature.empty, parameters=[
        p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()
        if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and p.name != "self"]))


def check_is_cell(who: str, cell: Any, *methods: str) -> None:
    """Raise unless `cell` is a cell that has been made, and has these methods."""
    if inspect.isclass(cell) or inspect.isfunction(cell) or isinstance(cell, str):
        name = cell if isinstance(cell, str) else cell.__name__
        fix = f"rnnref.cells.{cell}()" if isinstance(cell, str) else f"{name}(...), with the options of the cell"
        raise InvalidType(who, f"cell is {cell!r}, expected a cell", fix=fix)
    lacks = [name for name in ("forward", "check", *methods) if not hasattr(cell, name)]
    if lacks:
        is_layer = hasattr(cell, "get_weights")
        raise InvalidType(who, f"cell is {describe_type(cell)}, which has no {' '.join(lacks)}",
                          fix="a layer is called: layer(x); layer.core is the cell in it" if is_layer else
                          "class MyCell(rnnref.cells.Cell): the base class has all but forward and backward")


def _misplaced(who: str, parts: list, options: list, value: Any) -> NotSupported:
    """The error about a value that is given by position after the parts."""
    if "cells" in parts:
        fix = f"{who}((a, b)): one tuple of cells"
    elif isinstance(value, int) and not isinstance(value, bool) and not parts:
        fix = _UNITS
    else:
        fix = f"{who}({', '.join([*parts, *(f'{name}=...' for name in options[:1])])})"
    value = value.name if hasattr(value, "forward") else repr(value)
    return NotSupported(who, f"{value} is given by position, and options are given by name", fix=fix,
                        known=" ".join(options))


def suggest(name: str, known: Iterable[Any]) -> str:
    """The name in `known` that a misspelt one probably means, as a question, or "".

    >>> suggest("peephole", ["projection", "peepholes"]), suggest("x", ["bias"])
    ('did you mean peepholes?', '')
    """
    nearest = get_close_matches(name.lower(), [str(k).lower() for k in known], 1, 0.6)
    return f"did you mean {next(k for k in known if str(k).lower() == nearest[0])}?" if nearest else ""
