"""The table of mistakes, third part: layer normalisation, where it stands and with which epsilon."""
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, NamedTuple

import numpy

from ..maps.normed import LayerNorm
from ..rules.layer_norm import CellNormLSTMRule
from ..rules.lstm import LSTMRule
from .candidate import DirectedCell

_EPSILONS = (1e-3, 1e-5, 1e-6, 1e-8, 1e-12)


class NormMistake(NamedTuple):
    """A change of a cell with layer normalisation."""
    words: str
    change: Callable[[DirectedCell], DirectedCell]


def list_norm_mistakes(one: DirectedCell) -> Iterator[NormMistake]:
    """All that are possible with this cell."""
    parts = list(_list_parts(one.cell))
    own = {part.epsilon for part in parts if hasattr(part, "epsilon")}
    for epsilon in _EPSILONS if own else ():
        if epsilon not in own:
            words = f"epsilon of the layer normalisation is {epsilon:g}, not {' or '.join(f'{e:g}' for e in own)}"
            yield NormMistake(words, _change_cell(_set_epsilon(epsilon)))
    if any(isinstance(part, LayerNorm) for part in parts):
        blocks = {part.blocks for part in parts if isinstance(part, LayerNorm)}
        gates = len(one.cell.gates)
        words = "each gate block is normalised by itself" if blocks == {1} else \
            "all gate blocks are normalised together"
        yield NormMistake(words, _change_cell(_set_blocks(gates if blocks == {1} else 1)))
    if any(isinstance(part, CellNormLSTMRule) for part in parts):
        yield NormMistake("c is not normalised", _leave_c)
    for name in sorted(n for n in one.p if n.startswith(("gain", "shift"))):
        fill = 1.0 if name.startswith("gain") else 0.0
        yield NormMistake(f"{name} is left out", _fill(name, fill))


def _list_parts(thing: Any) -> Iterator[Any]:
    """A cell, its maps and rules, and what these hold."""
    yield thing
    for field in fields(thing) if is_dataclass(thing) else ():
        value = getattr(thing, field.name)
        if is_dataclass(value) and not isinstance(value, type):
            yield from _list_parts(value)


def _rebuild(thing: Any, change: Callable[[Any], Any]) -> Any:
    """A cell with every part changed, the inner ones first."""
    inner = {f.name: _rebuild(getattr(thing, f.name), change) for f in fields(thing)
             if is_dataclass(getattr(thing, f.name)) and not isinstance(getattr(thing, f.name), type)}
    return change(replace(thing, **inner) if inner else thing)


def _change_cell(change: Callable[[Any], Any]) -> Callable[[DirectedCell], DirectedCell]:
    return lambda one: one._replace(cell=_rebuild(one.cell, change))


def _set_epsilon(epsilon: float) -> Callable[[Any], Any]:
    return lambda part: replace(part, epsilon=epsilon) if hasattr(part, "epsilon") else part


def _set_blocks(blocks: int) -> Callable[[Any], Any]:
    return lambda part: replace(part, blocks=blocks) if isinstance(part, LayerNorm) else part


def _leave_c(one: DirectedCell) -> DirectedCell:
    """An LSTM whose c is not normalised."""
    def change(part: Any) -> Any:
        if not isinstance(part, CellNormLSTMRule):
            return part
        return LSTMRule(**{f.name: getattr(part, f.name) for f in fields(LSTMRule)})
    p = {n: a for n, a in one.p.items() if n not in ("gain_c", "shift_c")}
    return one._replace(cell=_rebuild(one.cell, change), p=p)


def _fill(name: str, value: float) -> Callable[[DirectedCell], DirectedCell]:
    return lambda one: one._replace(p=one.p | {name: numpy.full_like(one.p[name], value)})
