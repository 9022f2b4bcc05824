"""The reference of torch and Keras layers: a chain of layers in one or two directions, computed by `run`."""
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..errors import ShapeError
from ..interop import gradients, load
from ..interop.layouts import Layout
from ..loops.plan import REFERENCE_PATHS
from ..loops.run import run, run_back
from ..tree import Tree, map_structure
from .candidate import DirectedCell


class Part(NamedTuple):
    """One layer in one direction."""
    cell: Any
    layout: Layout
    names: dict[str, str]                         # name of a weight in the layout -> in the candidate's arrays
    reverse: bool = False
    label: str = ""                               # "layer 1, backward"
    p: Tree = None                                # parameters in the place of those in the candidate's arrays
    own: Any = None                               # a cell that computes in the place of `cell`, of the same weights

    def load_parameters(self, arrays: dict[str, Array]) -> Tree:
        """The parameters of the cell, from the weights of the framework."""
        if self.p is not None:
            dtype = next(iter(arrays.values())).dtype
            return map_structure(lambda a: a.astype(dtype), self.p)
        return load(self.layout, {table: arrays[own] for table, own in self.names.items()}, self.cell)

    def convert_gradients(self, dp: Tree) -> dict[str, Array]:
        """The gradients of the framework's weights by "d" + name, from those of the parameters."""
        found = gradients(self.layout, dp, self.cell)
        return {"d" + own: found[table] for table, own in self.names.items()}


def list_part_cells(parts: Iterable[Part], arrays: dict[str, Array]) -> list[DirectedCell]:
    """The cells of parts, with their parameters; none if they are of several kinds."""
    parts = list(parts)
    if len({(type(part.cell), type(part.cell.rule)) for part in parts}) > 1:
        return []
    return [DirectedCell(part.cell, part.load_parameters(arrays), part.layout.gates, part.label) for part in parts]


def replace_part_cells(layers: Sequence[Sequence[Part]], cells: Iterable[DirectedCell]) -> list[tuple[Part, ...]]:
    """The same layers with other cells and parameters, in their order."""
    rest = iter(cells)
    return [tuple(part._replace(cell=c.cell, p=c.p) for part, c in zip(layer, rest)) for layer in layers]


def compute_with_cells(layers: Sequence[Sequence[Part]], cells: Iterable[DirectedCell]) -> list[tuple[Part, ...]]:
    """The same layers and weights, computed by other cells."""
    rest = iter(cells)
    return [tuple(part._replace(own=c.cell) for part, c in zip(layer, rest)) for layer in layers]


def run_rounded(cell: Any, p: Tree, x: Array, s: Tree = None, rounding: Callable | None = None, **options: Any,
                ) -> tuple:
    """`run` by `REFERENCE_PATHS`, with `rounding` of all that the tape keeps: a backward pass finds it rounded."""
    ys, last, tape = run(cell, p, x, s, **{"paths": REFERENCE_PATHS} | options)
    return ys, last, tape if rounding is None or tape is None else tape._replace(tape=_round_tape(tape.tape, rounding))


def _round_tape(tape: Any, rounding: Callable) -> Any:
    if hasattr(tape, "tapes"):                    # of two directions
        return tape._replace(tapes=tuple(_round_tape(one, rounding) for one in tape.tapes))
    return tape._replace(keeps=[map_structure(lambda a: rounding(a) if is_floating_array(a) else a, kept)
                                for kept in tape.keeps])


def is_floating_array(a: Any) -> bool:
    """True for an array of floating numbers."""
    return isinstance(a, numpy.ndarray) and a.dtype.kind == "f"


def check_width(first: Part, arrays: dict[str, Array], x: Array) -> None:
    """Raise `ShapeError` if x does not have as many inputs as the first layer takes."""
    n_in, name = first.load_parameters(arrays)["W"].shape[-2], next(iter(first.names.values()))
    if x.shape[-1] != n_in:
        raise ShapeError("verify", f"the input has shape {x.shape}, expected {n_in} on its last axis",
                         axes=f"from {name}, shape {arrays[name].shape}")


class ChainResult(NamedTuple):
    """The results of a chain, and what its backward pass needs."""
    ys: Array                                     # [T, B, H], or [T, B, H + H] for two directions
    last: list[tuple]                             # the last state of every part, in order
    tapes: list[list]                             # for every layer, the tape of each direction
    layers: Sequence[Sequence[Part]]


def run_chain(layers: Sequence[Sequence[Part]], arrays: dict[str, Array], x: Array, first: Iterable | None = None,
              lengths: Any = None, padding: str = "zero", mask: Array | None = None, **options: Any) -> ChainResult:
    """Run x [T, B, I] through a chain.  `first`: the initial state of every part (None: zeros).

    `padding` is the policy of the last layer; the outputs of the others are zero in the padding.
    """
    states, last, tapes = iter(first or [None] * sum(map(len, layers))), [], []
    for layer in layers:
        policy = padding if layer is layers[-1] else "zero"
        runs = []
        for part in layer:
            start = next(states)
            s = None if start is None else part.cell.rule.State(*start)
            runs.append(run_rounded(part.own or part.cell, part.load_parameters(arrays), x, s, lengths=lengths,
                                    mask=mask, reverse=part.reverse, padding=policy, **options))
        x = numpy.concatenate([ys for ys, _, _ in runs], -1)
        last += [tuple(s) for _, s, _ in runs]
        tapes.append([tape for _, _, tape in runs])
    return ChainResult(x, last, tapes, layers)


def run_chain_back(result: ChainResult, dys: Array, dlast: Iterable[tuple],
                   ) -> tuple[Array, list[tuple], dict[str, Array]]:
    """The gradients of x, of the initial state of every part, and of the framework's weights by "d" + name."""
    dlast, dfirst, found = list(dlast), [], {}
    for layer, tapes in zip(reversed(result.layers), reversed(result.tapes)):
        widths = numpy.cumsum([tape.like[0].shape[-1] for tape in tapes])[:-1]
        ends, dlast = dlast[-len(layer):], dlast[:-len(layer)]
        dx: Any = 0
        starts = []
        for part, tape, dy, d in zip(layer, tapes, numpy.split(dys, widths, -1), ends):
            dx_part, ds, _, dp = run_back(tape, dy, part.cell.rule.State(*d))
            dx = dx + dx_part
            for name, d in part.convert_gradients(dp).items():   # one cell in both directions has one gradient
                found[name] = found[name] + d if name in found else d
            starts.append(tuple(ds))
        dfirst, dys = starts + dfirst, dx
    return dys, dfirst, found


def zero_state(part: Part, arrays: dict[str, Array], batch: int, extent: tuple[int, ...] = ()) -> tuple[Array, ...]:
    """The initial state of a part, all zero; `extent`: of the axes of space of its x, where it is a convolution."""
    p = part.load_parameters(arrays)
    rows = (batch, *part.cell.inputs.output_extent(extent)) if extent else batch
    return tuple(part.cell.zeros(rows, part.cell.units(p), dtype=p["W"].dtype))
