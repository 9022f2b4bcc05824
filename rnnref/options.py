"""Keyword-only options of cells and wrappers, and readable errors for a call that does not fit them.

The sizes of a network are no options: a cell holds none, they are read off its parameters.
"""
import inspect
from dataclasses import MISSING, fields
from difflib import get_close_matches
from functools import wraps
from typing import Any, Callable, Iterable, Optional, TypeVar, cast

from .errors import NotSupported

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
            _check_call(make, signature, args, given)
            return call(*args, **given)
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


def _check_call(make: Callable, signature: inspect.Signature, args: tuple, given: dict) -> None:
    """Raise unless options are given by name, and are known, and a part named `cell` is a cell."""
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
    if "cell" in parts and cell is not None and not hasattr(cell, "forward"):
        raise NotSupported(who, f"cell={cell!r} is not a cell: it has no forward", fix=f"{who}(rnnref.cells.LSTM())")


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
