"""Initializers with Keras's names: first values of weights."""
from typing import Any, Callable, Optional

import numpy

from . import init
from .errors import NotSupported


class Initializer:
    """initializer(shape, dtype) -> array.

    A layer hands its own generator over as `rng`, which serves where the initializer has no seed of its own.
    """
    seed: Optional[int] = None

    def __call__(self, shape: Any, dtype: Any = None, rng: Any = None) -> Any:
        if self.seed is not None or rng is None:
            rng = numpy.random.default_rng(self.seed)
        return self.draw(rng, tuple(shape)).astype(dtype or "float32")

    def draw(self, rng: Any, shape: tuple) -> Any:
        """An array of this shape in float64."""
        raise NotImplementedError

    def get_config(self) -> dict:
        """The arguments that make the same one."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict) -> "Initializer":
        return cls(**config)


class Constant(Initializer):
    """The same number everywhere."""

    def __init__(self, value: float = 0.0):
        self.value = value

    def draw(self, rng: Any, shape: tuple) -> Any:
        return numpy.full(shape, self.value)


def get(identifier: Any) -> Optional[Callable]:
    """An initializer by its name or configuration; a function stays as it is, and None is none."""
    if identifier is None or callable(identifier):
        return identifier
    if isinstance(identifier, dict):
        return CLASSES[identifier["class_name"]].from_config(identifier.get("config") or {})
    return init.INITIALIZERS.get(identifier) or _refuse(identifier)


CLASSES = {"Constant": Constant}


def _refuse(identifier: Any) -> Any:
    raise NotSupported("initializers", f"{identifier!r}", known=" ".join(sorted(init.INITIALIZERS)))
