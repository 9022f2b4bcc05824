"""Results that are kept from one call to the next, because neither the cell nor the shapes have changed.

A cell counts as the object that it is.  Two that compare equal may still compute differently: a forget bias of 1.0
leaves float32 as it is, the equal numpy.float64(1.0) does not.
"""
from dataclasses import fields, is_dataclass
from functools import lru_cache, wraps
from typing import Any

import numpy

from .shapes import signature

FIXED = (bool, int, float, complex, str, bytes, type, type(None), numpy.generic, numpy.dtype)


def is_constant(thing):
    """Whether nothing in it can change: a frozen dataclass, a tuple or a plain value, all the way down."""
    if isinstance(thing, tuple):
        return all(map(is_constant, thing))
    if is_dataclass(thing) and not isinstance(thing, type):
        frozen = getattr(type(thing), "__dataclass_params__").frozen
        return frozen and all(is_constant(getattr(thing, f.name)) for f in fields(thing))
    return isinstance(thing, FIXED)


class Identity:
    """An object as a key, equal to itself alone.  It holds the object: no other can come to have its id."""
    __slots__ = "thing",

    def __init__(self, thing):
        self.thing = thing

    def __hash__(self):
        return id(self.thing)

    def __eq__(self, other):
        return self.thing is other.thing


class Changeable(Exception):
    """The thing may be another when it is asked about again."""


def is_hashable(value):
    try:
        hash(value)
    except TypeError:
        return False
    return True


def remember(most: int) -> Any:
    """A decorator: the last `most` results of f(thing, *args) are kept, for things that are constant.

    args are compared by their values.  Where they have no hash, or the thing can change, f is called each time; what it
    raises is never kept.  Threads may call it side by side.
    """
    def decorate(f):
        @lru_cache(most)
        def known(one, *args):
            if not is_constant(one.thing):
                raise Changeable                  # so that it is not held either
            return f(one.thing, *args)

        @wraps(f)
        def call(thing, *args):
            if is_hashable(args):
                try:
                    return known(Identity(thing), *args)
                except Changeable:
                    pass
            return f(thing, *args)
        setattr(call, "cache", known)
        return call
    return decorate


def remember_passed(most: int) -> Any:
    """A decorator of check(thing, *args), which raises or returns: what has passed is not checked again.

    The check may look at nothing in its arguments but what is in their `signature`, and return nothing else.  All that
    passed is forgotten when it becomes more than `most`.
    """
    def decorate(check):
        passed: dict = {}

        @wraps(check)
        def once(thing, *args, **named):
            asked = Identity(thing), signature(args), signature(named)
            result = passed.get(asked)
            if result is None:
                result = check(thing, *args, **named)
                if is_constant(thing):
                    if len(passed) >= most:
                        passed.clear()
                    passed[asked] = result
            return result
        return once
    return decorate
