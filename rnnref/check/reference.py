"""A chain of layers of one or two directions, as the frameworks have them, made of calls of `run`.  (floor 10)"""
from typing import Any, NamedTuple

import numpy

from ..interop import gradients, load
from ..loops.run import run, run_back


class Part(NamedTuple):
    """One layer in one direction."""
    cell: Any
    layout: Any                                   # of `interop`
    names: dict                                   # name in the table -> name in `given`
    reverse: bool = False
    label: str = ""                               # "layer 1, backward"

    def load_parameters(self, arrays):
        return load(self.layout, {table: arrays[own] for table, own in self.names.items()}, self.cell)

    def convert_gradients(self, dp):
        """Gradients of our parameters, as those of their arrays."""
        found = gradients(self.layout, dp, self.cell)
        return {"d" + own: found[table] for table, own in self.names.items()}


class ChainResult(NamedTuple):
    """What came out of a chain, and what leads back through it."""
    ys: Any                                       # [T, B, H + H]
    last: list                                    # for each part, in order, a tuple of arrays
    tapes: list                                   # for each layer, of each direction
    layers: list


def run_chain(layers, arrays, x, first=None, lengths=None, padding="zero", **choice):
    """x [T, B, I] and the first state of every part (None: zeros) -> `Passed`.  Between layers padding is zero."""
    first, last, tapes = iter(first or [None] * sum(map(len, layers))), [], []
    for layer in layers:
        policy = padding if layer is layers[-1] else "zero"
        runs = []
        for part in layer:
            start = next(first)
            s = None if start is None else part.cell.rule.State(*start)
            runs.append(run(part.cell, part.load_parameters(arrays), x, s, lengths=lengths, reverse=part.reverse, padding=policy,
                            **choice))
        x = numpy.concatenate([ys for ys, _, _ in runs], -1)
        last += [tuple(s) for _, s, _ in runs]
        tapes.append([tape for _, _, tape in runs])
    return ChainResult(x, last, tapes, layers)


def run_chain_back(result, dys, dlast):
    """The gradients of x, of the first state of every part, and of their arrays by "d" + name."""
    dlast, dfirst, found = list(dlast), [], {}
    for layer, tapes in zip(reversed(result.layers), reversed(result.tapes)):
        widths = numpy.cumsum([tape.like[0].shape[-1] for tape in tapes])[:-1]
        ends, dlast = dlast[-len(layer):], dlast[:-len(layer)]
        dx: Any = 0
        starts = []
        for part, tape, dy, d in zip(layer, tapes, numpy.split(dys, widths, -1), ends):
            dxs, ds, _, dp = run_back(tape, dy, part.cell.rule.State(*d))
            dx, found = dx + dxs, found | part.convert_gradients(dp)
            starts.append(tuple(ds))
        dfirst, dys = starts + dfirst, dx
    return dys, dfirst, found


def zero_state(part, arrays, batch):
    """The state that a part starts from, all zero, as a tuple of arrays."""
    p = part.load_parameters(arrays)
    return tuple(part.cell.zeros(batch, part.cell.units(p), dtype=p["W"].dtype))
