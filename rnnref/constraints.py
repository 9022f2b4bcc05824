"""Constraints with Keras's names: functions of a weight that an optimizer applies after every update."""
from typing import Any, Callable, Optional

from . import ops
from .errors import NotSupported


class Constraint:
    """A function of one array."""

    def __call__(self, w: Any) -> Any:
        raise NotImplementedError

    def get_config(self) -> dict:
        """The arguments that make the same one."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict) -> "Constraint":
        return cls(**config)


class NonNeg(Constraint):
    """max(w, 0)."""

    def __call__(self, w: Any) -> Any:
        return ops.maximum(w, 0)


NAMES = {"non_neg": NonNeg, "NonNeg": NonNeg, "nonneg": NonNeg}


def get(identifier: Any) -> Optional[Callable]:
    """A constraint by its name or configuration; a function stays as it is, and None is none."""
    if identifier is None or callable(identifier):
        return identifier
    if isinstance(identifier, dict):
        return NAMES[identifier["class_name"]].from_config(identifier.get("config") or {})
    if identifier not in NAMES:
        raise NotSupported("constraints", f"{identifier!r}", known=" ".join(sorted(NAMES)))
    return NAMES[identifier]()
