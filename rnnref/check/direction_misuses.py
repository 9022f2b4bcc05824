"""The table of mistakes, part of the second: directions, the order of time, the axes of time and batch."""
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy

from ..arrays import Array
from .candidate import OUTPUT, STATE, Candidate
from .misuse import Misuse, Results, Run, find_direction, find_initial, has_two, is_backward, names_of, no_run, undo


def list_direction_misuses(candidate: Candidate) -> Iterator[Misuse]:
    """Those of the order of time and of the two directions."""
    if candidate.size[0] < 2:
        return
    if has_two(candidate):
        for backward, name, other in ((True, "backward", "forwards"), (False, "forward", "backwards")):
            flip = _flip_outputs(backward)
            yield Misuse("direction", f"the {name} direction reads {other}", "it reads the sequence twice from its "
                         f"{'beginning' if backward else 'end'}", results=_read_other_way(backward), whole=True)
            yield Misuse("flip", f"the outputs of the {name} direction are flipped in time", "it returns them in the "
                         "order in which it reads" if backward else "", results=flip, undo=undo(flip))
        yield Misuse("directions", "the two directions are exchanged", results=_exchange_directions,
                     undo=undo(_exchange_directions))
        yield Misuse("last states", "the last state of the backward direction is the one after its first step",
                     "it takes it from the end of the outputs", results=_take_backward_end)
        return
    if any(is_backward(one.label) for one in candidate.list_cells()):
        yield from _list_directions_of_layers(candidate)
    own, other = ("backward", "forwards") if candidate.backwards else ("forward", "backwards")
    flip = _flip_outputs()
    yield Misuse("direction", f"time is read {other}", "", _flip_input, flip, undo(flip),
                 key=f"the {own} direction reads {other}")
    yield Misuse("direction", "x is flipped in time", "", _flip_input)
    yield Misuse("flip", "the outputs are flipped in time", "", results=flip, undo=undo(flip),
                 key=f"the outputs of the {own} direction are flipped in time")
    if candidate.lengths is not None:
        whole = replace(candidate, lengths=None)
        yield Misuse("flip", "the outputs are flipped in time with their padding", "",
                     results=lambda c, results, run: flip(replace(c, lengths=None), results, run),
                     undo=lambda c, results: flip(whole, results, no_run))


def _list_directions_of_layers(candidate: Candidate) -> Iterator[Misuse]:
    """What several layers in two directions do, in all of them or in one."""
    yield Misuse("flip", "the outputs of the backward direction are flipped in time", "it returns them in the order in "
                 "which it reads", results=_flip_outputs(True), undo=undo(_flip_outputs(True)))
    for layer in (None, *range(len(candidate.list_cells()) // 2)):
        where = "" if layer is None else f" of layer {layer}"
        yield Misuse("direction", f"the backward direction{where} reads forwards", "it reads the sequence twice from "
                     "its beginning", _read_layer_forwards(layer))


def _read_layer_forwards(layer: int | None) -> Callable[[Candidate], Candidate | None]:
    return lambda c: c.read_forwards(layer)


def _flip(c: Candidate, a: Array, time: int, batch: int) -> Array:
    """The valid steps of every row in the opposite order."""
    T, B = a.shape[time], a.shape[batch]
    n = numpy.full(B, T) if c.lengths is None else numpy.asarray(c.lengths)
    t = numpy.arange(T)[:, None]
    source = numpy.where(t < n, n - 1 - t, t)
    return numpy.moveaxis(numpy.moveaxis(a, (time, batch), (0, 1))[source, numpy.arange(B)], (0, 1), (time, batch))


def _flip_input(c: Candidate) -> Candidate | None:
    return replace(c, arrays=c.arrays | {c.x: _flip(c, c.arrays[c.x], c.time, 1 - c.time)})


def _flip_outputs(backward: bool | None = None) -> Callable[[Candidate, Results, Run], Results]:
    """The outputs of one direction, or all, with the valid steps in the opposite order."""
    def change(c: Candidate, results: Results, run: Run) -> Results:
        found = {}
        for name in names_of(c, OUTPUT):
            d = c.descriptions[name]
            if d.time is None or d.batch is None or name not in results:
                continue
            a = results[name]
            index, new = (...,) if backward is None else find_direction(c, name, a, backward), a.copy()
            if index is not None:
                new[index] = _flip(c, a, d.time, d.batch)[index]
            found[name] = new
        return results | found
    return change


def _read_other_way(backward: bool) -> Callable[[Candidate, Results, Run], Results]:
    """One of two directions computed over the valid steps in the opposite order."""
    def change(c: Candidate, results: Results, run: Run) -> Results:
        flipped = _flip_input(c)
        other = {} if flipped is None else _flip_outputs(backward)(c, run(flipped), run)
        found = {}
        for name, a in results.items():
            index = find_direction(c, name, a, backward)
            if index is not None and name in other:
                new = a.copy()
                new[index] = other[name][index]
                found[name] = new
        return results | found
    return change


def _exchange_directions(c: Candidate, results: Results, run: Run) -> Results:
    found: Results = {}
    for name, a in results.items():
        axes, other = c.descriptions[name].axes, name
        k = next((k for k, axis in enumerate(axes) if len(axis.labels) == 2 and axis.kind != "gate"), None)
        if k is not None:
            found[name] = numpy.concatenate(numpy.split(a, 2, axis=k)[::-1], axis=k)
        elif name.startswith(("0.", "1.")) or name in ("y.0", "y.1"):
            other = name.translate(str.maketrans("01", "10"))
        elif "(backward)" in name or "(forward)" in name:
            other = name.replace("forward", "back").replace("backward", "forward").replace("back)", "backward)")
        found.setdefault(name, results.get(other, a))
    return results | found


def _take_backward_end(c: Candidate, results: Results, run: Run) -> Results:
    """h of the backward direction from the outputs at the last step of each row."""
    directions, found = c.list_directions(results), {}
    if len(directions) != 2:
        return results
    y, T = directions[1].y, c.size[0]
    n = numpy.full(y.shape[1], T) if c.lengths is None else numpy.maximum(numpy.asarray(c.lengths), 1)
    h = y[n - 1, numpy.arange(y.shape[1])]
    for name in names_of(c, STATE):
        if name not in results or name.removeprefix("Y_").removeprefix("1.")[0] != "h":
            continue
        index, new = find_direction(c, name, results[name]), results[name].copy()
        if index is not None:
            new[index] = h.reshape(new[index].shape)
            found[name] = new
    return results | found


# axes

def list_axis_misuses(candidate: Candidate) -> Iterator[Misuse]:
    """Those of the axes of time and batch."""
    words = ("[batch, time, input]", "[time, batch, input]")
    given, taken = words[1 - candidate.time], words[candidate.time]
    yield Misuse("axes", f"its input is {taken}, while it is {given}", "exchange the axes of time and batch",
                 _swap_input, _swap_outputs, undo(_swap_outputs))
    outputs = [n for n in names_of(candidate, OUTPUT) if candidate.descriptions[n].time is not None]
    if outputs:
        yield Misuse("axes", f"the axes of time and batch of {' and '.join(outputs)} are exchanged",
                     "it returns them in the other layout", results=_swap_outputs,
                     undo=undo(_swap_outputs))


def _swap_input(c: Candidate) -> Candidate | None:
    """x with its first two axes exchanged, from a state of zero: that of the rows does not fit."""
    T, B = c.size
    kept = c.arrays if T == B else {n: a for n, a in c.arrays.items() if n not in find_initial(c)}
    return replace(c, arrays=kept | {c.x: c.arrays[c.x].swapaxes(0, 1)}, lengths=None)


def _swap_outputs(c: Candidate, results: Results, run: Run) -> Results:
    axes = {n: (c.descriptions[n].time, c.descriptions[n].batch) for n in names_of(c, OUTPUT) if n in results}
    return results | {n: results[n].swapaxes(*both) for n, both in axes.items() if None not in both}
