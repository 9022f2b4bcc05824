"""Refusals of names that a module has in Keras and not here, with the reason and what to use instead."""
from typing import Any

from .errors import NotSupported


class Absent:
    """The `__getattr__` of a module: an error for the names that are not there.

    module    its name without the package, as errors have it
    groups    (names, why, fix): names in one string

    >>> Absent("losses", ("Tversky tversky", "there are no images", "losses.Dice"))("tversky")
    Traceback (most recent call last):
    ...
    rnnref.errors.NotSupported: losses.tversky: there are no images
      fix    losses.Dice
    """

    def __init__(self, module: str, *groups: tuple):
        self.module = module
        self.reasons = {name: (why, fix) for names, why, fix in groups for name in names.split()}

    def __call__(self, name: str) -> Any:
        if name not in self.reasons:
            path = ".".join(filter(None, (__package__, self.module)))
            raise AttributeError(f"module {path!r} has no attribute {name!r}")
        why, fix = self.reasons[name]
        raise NotSupported(".".join(filter(None, (self.module, name))), why, fix=fix)
