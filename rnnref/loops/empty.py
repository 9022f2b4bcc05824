"""The way back through a sequence of no steps, which `run_empty` made."""
from typing import Any, Collection

from ..cell import ALL, State
from ..tree import PerStep, Tree, map_structure, zeros_like


def backward(tape: Any, dys: Tree, ds: State, wanted: Collection[str] = ALL) -> tuple[Tree, State, Tree, Tree]:
    """The gradient of the last state is that of the first; those of inputs, `extra` and parameters are zero."""
    xs, p, extra = tape
    dextra = map_structure(lambda a: zeros_like(a.steps if isinstance(a, PerStep) else a), extra)
    return zeros_like(xs), ds, dextra, zeros_like(p)
