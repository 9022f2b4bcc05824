"""The path for a stack: one layer after the other over the whole sequence, each by its own plan.

In the plain loop all layers advance together, a step at a time.  Alone, a layer may take its products out of the loop,
or run in kernels for whole sequences.
"""
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Collection, Iterator, Optional

from ..arrays import Array
from ..cell import ALL, State, find_missing
from ..tree import Tree
from ..wrappers.stack import Stack, wanted_of_layer
from . import scan
from .plan import MODULES, PATHS, Call, load_path


@dataclass(frozen=True, eq=False)
class Tape:
    plans: tuple; tapes: tuple
    p: Any; xs: Any; s: Any; extra: Any; live: Any; reverse: bool     # the arguments of forward

    def kept(self, t: int) -> Any:
        """What every layer kept; where some row is dead at step t, what the plain loop keeps.

        The intermediates of dead rows carry no meaning, and the two loops differ in them: here each layer sees zeros,
        in the plain loop only the first does, and the others see what the layer below makes of zeros.
        """
        now = scan.select_mask(self.live, t)
        if now is None or bool(now.all()):
            return tuple(tape.kept(t) for tape in self.tapes)
        return self.plain.kept(t)

    @cached_property
    def plain(self) -> Any:
        """The tape of a second forward run, step by step: made only if `kept` is called for a step with dead rows."""
        return scan.forward(_rebuild_stack(self.plans), self.p, self.xs, self.s, self.extra, self.live, self.reverse,
                            "states")[2]


def _rebuild_stack(plans: tuple) -> Stack:
    """The stack again, with the kernels that the plans have put into it."""
    return Stack(tuple(_rebuild_stack(plan.cell) if plan.path == "layerwise" else plan.cell for plan in plans))


def split_call(cell: Any, call: Call) -> Iterator[tuple[Any, Call]]:
    """Every layer and its call: its inputs are what the layer below gives."""
    units = call.units if isinstance(call.units, tuple) else (call.units,) * len(cell.cells)
    for one, e, u in zip(cell.cells, cell.extra_per_cell(call.extra), units):
        yield one, call._replace(extra=e, units=u)
        call = call._replace(shape=(*call.shape[:2], *call.shape[2:-1], _output_width(one, u)))


def _output_width(cell: Any, units: Any) -> Optional[int]:
    """How wide the output is; None: not known."""
    if type(cell) is Stack:
        return _output_width(cell.cells[-1], units[-1] if isinstance(units, tuple) else units)
    if not isinstance(units, int) or find_missing(cell, "width"):
        return None
    try:
        return cell.width(units)
    except NotImplementedError:                   # the units alone do not determine it
        return None


def refuses(cell: Any, call: Call) -> Optional[str]:
    """None, or why this path cannot run the cell, in words."""
    if type(cell) is not Stack:
        return f"{type(cell).__name__} is not a stack of layers"
    layers = list(split_call(cell, call))
    for n, (layer, layer_call) in enumerate(layers):
        why = load_path("plain").refuses(layer, layer_call)
        if why:
            return f"layer {n}: {why}"
    faster = [load_path(path) for path in PATHS[:PATHS.index("plain")] if path in MODULES[call.home]]
    if all(path.refuses(layer, layer_call) for layer, layer_call in layers for path in faster):
        return "no layer of it has a path that is faster than step by step"
    return None


def forward(plans: tuple, p: Tree, xs: Tree, s: State, extra: Tree = None, live: Optional[Array] = None,
            reverse: bool = False, keep: Any = True) -> tuple[Tree, State, Optional[Tape]]:
    new, tapes, ys = [], [], xs
    for plan, q, state, e in zip(plans, p, s, extra or (None,) * len(plans)):
        ys, state, tape = load_path(plan.path).forward(plan.cell, q, ys, state, e, live, reverse, keep)
        new.append(state)
        tapes.append(tape)
    return ys, tuple(new), Tape(plans, tuple(tapes), p, xs, s, extra, live, reverse) if keep else None


def backward(tape: Tape, dys: Tree, ds: State, wanted: Collection[str] = ALL) -> tuple[Tree, State, Tree, Tree]:
    back = []
    for n, (plan, one, d) in reversed(list(enumerate(zip(tape.plans, tape.tapes, ds)))):
        dys, *rest = load_path(plan.path).backward(one, dys, d, wanted_of_layer(n, wanted))
        back.append(rest)
    ds, dextra, dp = zip(*reversed(back))
    return dys, ds, dextra if any(e is not None for e in dextra) else None, dp
