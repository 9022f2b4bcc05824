"""Decorators that keep results from one call to the next, for cells that cannot change.

Cells are compared by identity.  Two that are equal may still compute differently: a forget bias of 1.0 leaves float32
as it is, the equal numpy.float64(1.0) does not.
"""
from dataclasses import fields, is_dataclass
from functools import lru_cache, wraps
from typing import Any, Callable

import numpy

from .shapes import signature

_CONSTANT_TYPES = (bool, int, float, complex, str, bytes, type, type(None), numpy.generic, numpy.dtype)


def is_constant(thing: Any) -> bool:
    """True if nothing in it can change: a frozen dataclass, a tuple or a plain value, at every depth."""
    if isinstance(thing, tuple):
        return all(map(is_constant, thing))
    if is_dataclass(thing) and not isinstance(thing, type):
        frozen = getattr(type(thing), "__dataclass_params__").frozen
        return frozen and all(is_constant(getattr(thing, f.name)) for f in fields(thing))
    return isinstance(thing, _CONSTANT_TYPES)


def is_hashable(value: Any) -> bool:
    """True if `value` can be the key of a dict."""
    try:
        hash(value)
    except TypeError:
        return False
    return True


class _Identity:
    """An object as a key that equals no other object.  It holds the object, so its id stays in use."""
    __slots__ = "thing",

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __hash__(self) -> int:
        return id(self.thing)

    def __eq__(self, other: Any) -> bool:
        return self.thing is other.thing


class _NotConstant(Exception):
    """The object can change, so no result for it is kept."""


def memoize(maxsize: int) -> Callable:
    """A decorator that keeps the last `maxsize` results of f(thing, *args), where `thing` is constant.

    `thing` is compared by identity, args by their values.  Where args cannot be hashed or `thing` can change, f is
    called each time; exceptions are never kept.  Safe in several threads.
    """
    def decorate(f: Callable) -> Callable:
        @lru_cache(maxsize)
        def cached(key: _Identity, *args: Any) -> Any:
            if not is_constant(key.thing):
                raise _NotConstant                # an exception leaves nothing in the cache, not even the object
            return f(key.thing, *args)

        @wraps(f)
        def call(thing: Any, *args: Any) -> Any:
            if is_hashable(args):
                try:
                    return cached(_Identity(thing), *args)
                except _NotConstant:
                    pass
            return f(thing, *args)
        setattr(call, "cache", cached)
        return call
    return decorate


def memoize_check(maxsize: int) -> Callable:
    """A decorator of check(thing, *args, **options), which raises or returns: what has passed is not checked again.

    The check may read of args only what `shapes.signature` has of them; options are compared by their values, as keys
    of a dict are.  Its result may depend on nothing else.  When more than `maxsize` have passed, all are forgotten.
    """
    def decorate(check: Callable) -> Callable:
        passed: dict = {}

        @wraps(check)
        def call(thing: Any, *args: Any, **options: Any) -> Any:
            key = (id(thing), signature(args), *options.items())
            try:
                found = passed.get(key)
            except TypeError:                     # an option without a hash
                return check(thing, *args, **options)
            if found is not None:
                return found[1]
            result = check(thing, *args, **options)
            if is_constant(thing):
                if len(passed) >= maxsize:
                    passed.clear()
                passed[key] = thing, result       # the object is held, so its id stays in use
            return result
        setattr(call, "passed", passed)
        return call
    return decorate
