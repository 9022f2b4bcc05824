"""The table of mistakes, second part: what an implementation does with states, lengths, time and the batch.

A misuse changes what the reference gets (`data`), or what it returns (`results`).
"""
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

import numpy

from ..arrays import Array
from .candidate import OUTPUT, STATE, Candidate

Results = dict[str, Array]
Run = Callable[[Candidate], Results]              # the results of the reference


class Misuse(NamedTuple):
    """A change of the data or of the results of the reference."""
    slot: str                                     # two of one slot exclude each other
    words: str                                    # "Agrees once ..."
    note: str = ""                                # what the candidate does, if the words do not say it
    data: Callable[[Candidate], Candidate | None] | None = None
    results: Callable[[Candidate, Results, Run], Results] | None = None
    undo: Callable[[Candidate, Results], Results] | None = None              # the outputs without it
    whole: bool = False                           # True: valid outputs change, and nothing undoes it
    cells: bool = False                           # True: `data` changes the cells of the reference; comes first
    key: str = ""                                 # one for what is the same in other candidates; "": the words


def list_misuses(candidate: Candidate) -> list[Misuse]:
    """All misuses that are possible with this candidate, those that only its kind has first."""
    found = [*candidate.list_own_misuses(), *_list_states(candidate), *_list_lengths(candidate),
             *_list_directions(candidate), *_list_axes(candidate)]
    return [m for m in found if m.data is None or m.data(candidate) is not None]


# states

def find_initial(candidate: Candidate) -> list[str]:
    """The names of the initial states among the arrays of a candidate."""
    return [n for n in candidate.arrays if n.rstrip(")").partition(" (")[0].endswith(("h0", "c0", "_0"))
            or n in ("initial_h", "initial_c")]


def names_of(candidate: Candidate, group: str) -> list[str]:
    """The names of the results of one group."""
    return [n for n, d in candidate.descriptions.items() if d.group == group]


def _list_states(candidate: Candidate) -> Iterator[Misuse]:
    arrays, initial = candidate.arrays, find_initial(candidate)
    if len(initial) == 2 and arrays[initial[0]].shape == arrays[initial[1]].shape:
        yield Misuse("initial states", f"{' and '.join(initial)} are exchanged",
                     "it takes the initial states in another order", _exchange_arrays(*initial))
    if initial:
        verb = "are" if len(initial) > 1 else "is"
        yield Misuse("initial states", f"{' and '.join(initial)} {verb} zero", "it does not use the initial states",
                     _zero_arrays(*initial))
        for name in initial if len(initial) > 1 else ():
            yield Misuse("initial states", f"{name} is zero", "it does not use this initial state", _zero_arrays(name))
    if len(initial) == 2 and len(names_of(candidate, STATE)) == 2 and candidate.lengths is None and \
            arrays[initial[0]].shape == arrays[initial[1]].shape:
        for after in (False, True):
            yield Misuse("initial states", f"h and c are exchanged {'after' if after else 'before'} every step",
                         "it carries the states in another order", results=_exchange_every_step(after), whole=True)
    for a, b in combinations(names_of(candidate, STATE), 2):
        exchange = _exchange_results(a, b)
        yield Misuse("last states", f"{a} and {b} are exchanged", "it returns the last states in another order",
                     results=exchange, undo=_undo(exchange))
    own = "backward" if candidate.backwards else "forward"
    words = "the last h{} is the last entry of the outputs"
    yield Misuse("last states", words.format(" of the forward direction" if _has_two(candidate) else ""), "it returns "
                 "the output at the last step as the state", results=_take_last_output,
                 key=words.format(f" of the {own} direction"))
    yield Misuse("outputs", "the outputs are those of the step before", "it returns the state with which a step begins",
                 results=_shift_outputs, undo=_undo_shift, whole=True)


def _exchange_arrays(a: str, b: str) -> Callable[[Candidate], Candidate | None]:
    def change(c: Candidate) -> Candidate | None:
        if a not in c.arrays or numpy.array_equal(c.arrays[a], c.arrays[b]):
            return None
        return replace(c, arrays=c.arrays | {a: c.arrays[b], b: c.arrays[a]})
    return change


def _zero_arrays(*names: str) -> Callable[[Candidate], Candidate | None]:
    def change(c: Candidate) -> Candidate | None:
        found = [n for n in names if n in c.arrays and c.arrays[n].any()]
        return replace(c, arrays=c.arrays | {n: numpy.zeros_like(c.arrays[n]) for n in names}) if found else None
    return change


def _exchange_results(a: str, b: str) -> Callable[[Candidate, Results, Run], Results]:
    def change(c: Candidate, results: Results, run: Run) -> Results:
        return results | ({a: results[b], b: results[a]} if a in results and b in results else {})
    return change


def _exchange_every_step(after: bool) -> Callable[[Candidate, Results, Run], Results]:
    """Steps one by one, each from the last states of the one before in the other order."""
    def change(c: Candidate, results: Results, run: Run) -> Results:
        initial, states = find_initial(c), names_of(c, STATE)
        own, found = {n: c.arrays[n] for n in initial}, []
        for t in range(c.size[0])[::-1 if c.backwards else 1]:
            own = own if after else dict(zip(initial, reversed(own.values())))
            x = numpy.take(c.arrays[c.x], [t], c.time)
            one = run(replace(c, arrays=c.arrays | own | {c.x: x}))
            last = [one[n] for n in (reversed(states) if after else states)]
            own = dict(zip(initial, last))
            found.append(one | dict(zip(states, last)))
        steps = found[::-1] if c.backwards else found
        outputs = {n: numpy.concatenate([one[n] for one in steps], time) for n in names_of(c, OUTPUT)
                   if n in results and (time := c.descriptions[n].time) is not None}
        return results | {n: found[-1][n] for n in results} | outputs
    return change


def _undo(change: Callable[[Candidate, Results, Run], Results]) -> Callable[[Candidate, Results], Results]:
    """The inverse of a change of results that is its own."""
    return lambda c, results: change(c, results, _no_run)


def _take_last_output(c: Candidate, results: Results, run: Run) -> Results:
    """h as the last entry of the outputs along the axis of time, of two directions that of the first."""
    directions, found = c.list_directions(results), {}
    for name in names_of(c, STATE) if directions else ():
        if name not in results or name.removeprefix("Y_").removeprefix("0.")[0] != "h":
            continue
        index, new = find_direction(c, name, results[name], c.backwards), results[name].copy()
        if index is not None and new[index].size == directions[0].y[-1].size:
            new[index] = directions[0].y[-1].reshape(new[index].shape)
            found[name] = new
    return results | found


def _shift_outputs(c: Candidate, results: Results, run: Run) -> Results:
    """The outputs one step later, with the initial h as the first, in one direction."""
    found, directions = {}, c.list_directions(results)
    for name in names_of(c, OUTPUT):
        time = c.descriptions[name].time
        if time is None or len(directions) != 1 or name not in results or results[name].ndim != 3:
            continue
        y = numpy.moveaxis(results[name], time, 0)
        first = directions[0].first[0] if directions[0].first else numpy.zeros_like(y[0])
        y = numpy.concatenate([y[1:], first[None]]) if c.backwards else numpy.concatenate([first[None], y[:-1]])
        found[name] = numpy.moveaxis(y, 0, time)
    return results | found


def _undo_shift(c: Candidate, results: Results) -> Results:
    """The outputs one step earlier; the last ones, which are not returned, are the last h where that is known."""
    found, directions = {}, c.list_directions(results)
    for name in names_of(c, OUTPUT):
        time = c.descriptions[name].time
        if time is None or len(directions) != 1 or name not in results or results[name].ndim != 3:
            continue
        y = numpy.moveaxis(results[name], time, 0)
        last = next((results[n].reshape(y[0].shape) for n in names_of(c, STATE) if n in results
                     and n.removeprefix("Y_")[0] == "h" and results[n].size == y[0].size), numpy.zeros_like(y[0]))
        y = numpy.concatenate([last[None], y[:-1]]) if c.backwards else numpy.concatenate([y[1:], last[None]])
        found[name] = numpy.moveaxis(y, 0, time)
    return results | found


# lengths

def _list_lengths(candidate: Candidate) -> Iterator[Misuse]:
    if candidate.lengths is None:
        return
    T = candidate.size[0]
    yield Misuse("last states", f"the last states are those after step {T}", "it returns them past the lengths of the "
                 "rows, not after the last valid step of each row", results=_take_states_at_the_end,
                 key="the last states are those after the last step")
    yield Misuse("lengths", "every row has the full length", "it does not use lengths",
                 lambda c: replace(c, lengths=None))
    for policy, words in (("zero", "are zero"), ("repeat", "repeat the last valid output"),
                          ("free", "go on after the last valid step")):
        yield Misuse("padding", f"the outputs in the padding {words}", "its padding policy is another one",
                     results=_fill_padding(policy))
    yield Misuse("lengths", "the backward direction starts in the padding", "it does not start at the last valid step "
                 "of each row", results=_start_in_padding, whole=True)


def _take_states_at_the_end(c: Candidate, results: Results, run: Run) -> Results:
    whole = run(replace(c, lengths=None))
    return results | {n: whole[n] for n in names_of(c, STATE) if n in whole}


def _fill_padding(policy: str) -> Callable[[Candidate, Results, Run], Results]:
    def change(c: Candidate, results: Results, run: Run) -> Results:
        padded, found = c.padding_mask(), {}
        whole = run(replace(c, lengths=None)) if policy == "free" else results
        for name in names_of(c, OUTPUT):
            d = c.descriptions[name]
            if d.time is None or d.batch is None or name not in results or padded is None:
                continue
            y, free = (numpy.moveaxis(a[name], (d.time, d.batch), (0, 1)) for a in (results, whole))
            last = numpy.maximum(numpy.asarray(c.lengths) - 1, 0)
            fill = {"zero": 0 * free, "free": free, "repeat": 0 * y + y[last, numpy.arange(y.shape[1])]}[policy]
            mask = padded.reshape(padded.shape + (1,) * (y.ndim - 2))
            filled = numpy.moveaxis(numpy.where(mask, fill, y), (0, 1), (d.time, d.batch))
            back = find_direction(c, name, filled) if policy == "free" else None
            if back is not None:                  # it ends at the first step, and nothing is behind that
                filled[back] = results[name][back]
            found[name] = filled
        return results | found
    return change


def _start_in_padding(c: Candidate, results: Results, run: Run) -> Results:
    """The backward direction from the end of the array; its outputs in the padding are as they were."""
    whole, padded = run(replace(c, lengths=None)), c.padding_mask()
    found = {}
    for name, a in results.items():
        d, index = c.descriptions[name], find_direction(c, name, a)
        if index is None or padded is None:
            continue
        new = a.copy()
        new[index] = whole[name][index]
        if d.time is not None and d.batch is not None:
            shown = padded.reshape(padded.shape + (1,) * (a.ndim - 2))
            new = numpy.where(numpy.moveaxis(shown, (0, 1), (d.time, d.batch)), a, new)
        found[name] = new
    return results | found


# directions

def find_direction(c: Candidate, name: str, a: Array, backward: bool = True) -> tuple | None:
    """The index of the entries of a result that belong to a direction; None if it has none."""
    axes = c.descriptions[name].axes
    k = next((k for k, axis in enumerate(axes) if len(axis.labels) == 2 and _is_backward(axis.labels[1])), None)
    if k is not None:
        return (slice(None),) * k + (slice(a.shape[k] // 2, None) if backward else slice(a.shape[k] // 2),)
    own = c.backwards or "(backward" in name or name.startswith("1.") or name.endswith(".1")
    return (...,) if own == backward else None


def _is_backward(label: str) -> bool:
    return label.endswith(("backward", "reverse"))


def _has_two(candidate: Candidate) -> bool:
    """Whether the reference has one layer in two directions."""
    cells = candidate.list_cells()
    return len(cells) == 2 and _is_backward(cells[1].label)


def _list_directions(candidate: Candidate) -> Iterator[Misuse]:
    if candidate.size[0] < 2:
        return
    if _has_two(candidate):
        for backward, name, other in ((True, "backward", "forwards"), (False, "forward", "backwards")):
            flip = _flip_outputs(backward)
            yield Misuse("direction", f"the {name} direction reads {other}", "it reads the sequence twice from its "
                         f"{'beginning' if backward else 'end'}", results=_read_other_way(backward), whole=True)
            yield Misuse("flip", f"the outputs of the {name} direction are flipped in time", "it returns them in the "
                         "order in which it reads" if backward else "", results=flip, undo=_undo(flip))
        yield Misuse("directions", "the two directions are exchanged", results=_exchange_directions,
                     undo=_undo(_exchange_directions))
        yield Misuse("last states", "the last state of the backward direction is the one after its first step",
                     "it takes it from the end of the outputs", results=_take_backward_end)
        return
    if any(_is_backward(one.label) for one in candidate.list_cells()):
        yield from _list_directions_of_layers(candidate)
    own, other = ("backward", "forwards") if candidate.backwards else ("forward", "backwards")
    flip = _flip_outputs()
    yield Misuse("direction", f"time is read {other}", "", _flip_input, flip, _undo(flip),
                 key=f"the {own} direction reads {other}")
    yield Misuse("direction", "x is flipped in time", "", _flip_input)
    yield Misuse("flip", "the outputs are flipped in time", "", results=flip, undo=_undo(flip),
                 key=f"the outputs of the {own} direction are flipped in time")
    if candidate.lengths is not None:
        whole = replace(candidate, lengths=None)
        yield Misuse("flip", "the outputs are flipped in time with their padding", "",
                     results=lambda c, results, run: flip(replace(c, lengths=None), results, run),
                     undo=lambda c, results: flip(whole, results, _no_run))


def _list_directions_of_layers(candidate: Candidate) -> Iterator[Misuse]:
    """What several layers in two directions do, in all of them or in one."""
    yield Misuse("flip", "the outputs of the backward direction are flipped in time", "it returns them in the order in "
                 "which it reads", results=_flip_outputs(True), undo=_undo(_flip_outputs(True)))
    for layer in (None, *range(len(candidate.list_cells()) // 2)):
        where = "" if layer is None else f" of layer {layer}"
        yield Misuse("direction", f"the backward direction{where} reads forwards", "it reads the sequence twice from "
                     "its beginning", _read_layer_forwards(layer))


def _read_layer_forwards(layer: int | None) -> Callable[[Candidate], Candidate | None]:
    return lambda c: c.read_forwards(layer)


def _no_run(c: Candidate) -> Results:
    return {}


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

def _list_axes(candidate: Candidate) -> Iterator[Misuse]:
    words = ("[batch, time, input]", "[time, batch, input]")
    given, taken = words[1 - candidate.time], words[candidate.time]
    yield Misuse("axes", f"its input is {taken}, while it is {given}", "exchange the axes of time and batch",
                 _swap_input, _swap_outputs, _undo(_swap_outputs))
    outputs = [n for n in names_of(candidate, OUTPUT) if candidate.descriptions[n].time is not None]
    if outputs:
        yield Misuse("axes", f"the axes of time and batch of {' and '.join(outputs)} are exchanged",
                     "it returns them in the other layout", results=_swap_outputs,
                     undo=_undo(_swap_outputs))


def _swap_input(c: Candidate) -> Candidate | None:
    """x with its first two axes exchanged, from a state of zero: that of the rows does not fit."""
    T, B = c.size
    kept = c.arrays if T == B else {n: a for n, a in c.arrays.items() if n not in find_initial(c)}
    return replace(c, arrays=kept | {c.x: c.arrays[c.x].swapaxes(0, 1)}, lengths=None)


def _swap_outputs(c: Candidate, results: Results, run: Run) -> Results:
    axes = {n: (c.descriptions[n].time, c.descriptions[n].batch) for n in names_of(c, OUTPUT) if n in results}
    return results | {n: results[n].swapaxes(*both) for n, both in axes.items() if None not in both}
