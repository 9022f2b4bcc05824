"""Regularizers with Keras's names: functions of a weight, or of outputs, that give a number to add to the loss."""
from typing import Any, Callable, Optional

from . import ops
from .errors import NotSupported


class Regularizer:
    """A function of one array."""

    def __call__(self, x: Any) -> Any:
        raise NotImplementedError

    def get_config(self) -> dict:
        """The arguments that make the same one."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict) -> "Regularizer":
        return cls(**config)


class L1L2(Regularizer):
    """l1 sum |x| + l2 sum x^2."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0):
        self.l1, self.l2 = l1 or 0.0, l2 or 0.0

    def __call__(self, x: Any) -> Any:
        return self.l1 * ops.sum(ops.absolute(x)) + self.l2 * ops.sum(ops.square(x))


class L1(Regularizer):
    """l1 sum |x|."""

    def __init__(self, l1: float = 0.01):
        self.l1 = l1

    def __call__(self, x: Any) -> Any:
        return self.l1 * ops.sum(ops.absolute(x))


class L2(Regularizer):
    """l2 sum x^2."""

    def __init__(self, l2: float = 0.01):
        self.l2 = l2

    def __call__(self, x: Any) -> Any:
        return self.l2 * ops.sum(ops.square(x))


NAMES = {"l1": L1, "l2": L2, "l1_l2": L1L2, "L1": L1, "L2": L2, "L1L2": L1L2}


def get(identifier: Any) -> Optional[Callable]:
    """A regularizer by its name or configuration; a function stays as it is, and None is none."""
    if identifier is None or callable(identifier):
        return identifier
    if isinstance(identifier, dict):
        return NAMES[identifier["class_name"]].from_config(identifier.get("config") or {})
    if identifier not in NAMES:
        raise NotSupported("regularizers", f"{identifier!r}", known=" ".join(sorted(NAMES)))
    return NAMES[identifier]()
