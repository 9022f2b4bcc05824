"""The table of mistakes, second part: what an implementation does with states, lengths, time and the batch.

A misuse changes what the reference gets (`data`), or what it returns (`results`).
"""
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations

import numpy

from ..arrays import Array
from .candidate import OUTPUT, STATE, Candidate
from .direction_misuses import list_axis_misuses, list_direction_misuses
from .misuse import Misuse, Results, Run, find_direction, find_initial, has_two, names_of, undo


def list_misuses(candidate: Candidate) -> list[Misuse]:
    """All misuses that are possible with this candidate, those that only its kind has first."""
    found = [*candidate.list_own_misuses(), *_list_states(candidate), *_list_lengths(candidate),
             *list_direction_misuses(candidate), *list_axis_misuses(candidate)]
    return [m for m in found if m.data is None or m.data(candidate) is not None]


# states

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
                     results=exchange, undo=undo(exchange))
    own = "backward" if candidate.backwards else "forward"
    words = "the last h{} is the last entry of the outputs"
    yield Misuse("last states", words.format(" of the forward direction" if has_two(candidate) else ""), "it returns "
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
    first = next((d.first[0] for d in c.list_directions(results) if d.first), None)
    return results | {name: _shift(y, axis, first, not c.backwards) for name, y, axis in _list_sequences(c, results)}


def _list_sequences(c: Candidate, results: Results) -> Iterator[tuple[str, Array, int]]:
    """(name, outputs, axis of time) of a candidate of one direction."""
    for name in names_of(c, OUTPUT) if len(c.list_directions(results)) == 1 else ():
        time = c.descriptions[name].time
        if time is not None and name in results and results[name].ndim == 3:
            yield name, results[name], time


def _shift(a: Array, axis: int, entry: Array | None, later: bool) -> Array:
    """`a` one step later or earlier, with `entry` in the place that is free; None: zeros."""
    a = numpy.moveaxis(a, axis, 0)
    free = numpy.zeros_like(a[:1]) if entry is None else entry.reshape(a[:1].shape)
    return numpy.moveaxis(numpy.concatenate([free, a[:-1]] if later else [a[1:], free]), 0, axis)


def _undo_shift(c: Candidate, results: Results) -> Results:
    """The outputs one step earlier; the last ones, which are not returned, are the last h where that is known."""
    found = {}
    for name, y, axis in _list_sequences(c, results):
        last = next((results[n] for n in names_of(c, STATE) if n in results and n.removeprefix("Y_")[0] == "h"
                     and results[n].size * y.shape[axis] == y.size), None)
        found[name] = _shift(y, axis, last, c.backwards)
    return results | found


# lengths

def _list_lengths(candidate: Candidate) -> Iterator[Misuse]:
    if candidate.lengths is None:
        return
    T = candidate.size[0]
    yield Misuse("last states", f"the last states are those after step {T}", "it returns them past the lengths of the "
                 "rows, not after the last valid step of each row", results=_take_states_at_the_end,
                 key="the last states are those after the last step")
    empty = not numpy.asarray(candidate.lengths).all()
    if empty:
        yield Misuse("last states", f"the last states of a row of length 0 are those after step {T}", "it takes the "
                     "step before the first one, which is the last", results=_take_states_of_empty_rows,
                     key="the last states of a row of length 0 are those after the last step")
    yield Misuse("lengths", "every row has the full length", "it does not use lengths",
                 lambda c: replace(c, lengths=None))
    for policy, words in (("zero", "are zero"), ("repeat", "repeat the last valid output"),
                          ("free", "go on after the last valid step"),
                          *[("state", "are the last h, of a row of length 0 the initial one")] * empty):
        yield Misuse("padding", f"the outputs in the padding {words}", "its padding policy is another one",
                     results=_fill_padding(policy))
    yield Misuse("lengths", "the backward direction starts in the padding", "it does not start at the last valid step "
                 "of each row", results=_start_in_padding, whole=True)


def _take_states_at_the_end(c: Candidate, results: Results, run: Run) -> Results:
    whole = run(replace(c, lengths=None))
    return results | {n: whole[n] for n in names_of(c, STATE) if n in whole}


def _take_states_of_empty_rows(c: Candidate, results: Results, run: Run) -> Results:
    whole, empty, found = run(replace(c, lengths=None)), numpy.asarray(c.lengths) == 0, {}
    for name in names_of(c, STATE):
        axis = c.descriptions[name].batch
        if name in results and axis is not None:
            found[name] = results[name].copy()
            numpy.moveaxis(found[name], axis, 0)[empty] = numpy.moveaxis(whole[name], axis, 0)[empty]
    return results | found


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
            repeated = 0 * y + y[last, numpy.arange(y.shape[1])]
            if policy == "state":
                directions, empty = c.list_directions(results), numpy.asarray(c.lengths) == 0
                known = len(directions) == 1 and directions[0].first
                repeated[:, empty] = directions[0].first[0][empty] if known else 0
            fill = {"zero": 0 * free, "free": free}.get(policy, repeated)
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
