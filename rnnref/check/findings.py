"""What the rows of a check mean together, in plain sentences.  (floor 10)"""
import numpy

from .budget import measure_budgets
from .candidate import GRADIENT, OUTPUT, STATE
from .verdict import judge


def describe_findings(candidate, budgets, verdicts, rng):
    """Sentences, the most telling first."""
    places, off = candidate.describe_arrays(), [v for v in verdicts if v.row.verdict == "differs"]
    ahead = [v for v in off if places[v.name].group != GRADIENT]
    back = [v for v in off if places[v.name].group == GRADIENT]
    yield from _describe_first_divergence(candidate, places, ahead, rng)
    yield from _describe_pattern(candidate, places, ahead)
    if back and not ahead:
        only = ", ".join(dict.fromkeys(_collect_block_notes(back)))
        yield (f"The results agree and {join_names([v.name for v in back])} {'does' if len(back) == 1 else 'do'} not: "
               f"the way back is at fault{f', {only}' if only else ''}.")
    elif back:
        yield f"{len(back)} of the gradients {'differs' if len(back) == 1 else 'differ'} too: mend the results first."
    yield from _describe_chaos(verdicts)
    if not off:
        yield from _describe_agreement(verdicts)


def _describe_first_divergence(candidate, places, ahead, rng):
    """Where the results first part, and what the shortest sequence shows on which they do."""
    if not ahead:
        return
    timed = [v for v in ahead if v.first_index is not None and places[v.name].time is not None]
    shown = next(iter(timed or ahead))
    yield f"First divergence: {': '.join(filter(None, (f'{shown.name}, {shown.row.where}', shown.row.note)))}."
    staged = [place for place in places.values() if place.group == STATE or place.time is not None]
    if not staged or any(v.first_index is None for v in ahead):
        return
    steps, short = _find_shortest(candidate, rng)
    if short:
        end = "last" if candidate.backwards else "first"
        alone = f"{end} {f'{steps - 1} steps' if steps > 2 else 'step'}"
        yield (f"On the {alone} alone all results agree; with one more {_describe_differing(short)}." if steps > 1
               else f"Already on the {end} step alone {_describe_differing(short)}.")
        yield from _describe_gates(places, short)


def _describe_differing(verdicts):
    """"h_n and c_n differ, first in layer 1, backward"."""
    names = join_names([v.name for v in verdicts])
    layers = [v.row.where.partition(", row")[0] for v in verdicts if v.row.where.startswith("layer")]
    return f"{names} {'differs' if len(verdicts) == 1 else 'differ'}{f', first in {min(layers)}' if layers else ''}"


def _describe_gates(places, verdicts):
    """An LSTM tells its output gate from the others: c does not see it."""
    names = {v.name for v in verdicts}
    h, c = ([n for n, place in places.items() if place.group == STATE and n.removeprefix("Y_")[0] == letter]
            for letter in "hc")
    if c and h and names & set(h) and not names & set(c):
        yield "At the first step that is off c is right and h is not: look at the output gate, and what squashes c."
    elif c and names & set(c):
        yield "At the first step that is off c is wrong already: look at i, f and g, not at the output gate alone."


def _find_shortest(candidate, rng):
    """(steps, what differs) for a shortest sequence on which results differ, by bisection; (None, []) if there is none.

    On the sequence that is one step shorter all results agree.
    """
    agree, differ = 0, candidate.size[0]
    found = _check_prefix(candidate, differ, rng)
    while found and differ - agree > 1:
        middle = (agree + differ) // 2
        off = _check_prefix(candidate, middle, rng)
        if off is None:
            return None, []
        agree, differ, found = (agree, middle, off) if off else (middle, differ, found)
    return (differ, found) if found else (None, [])


def _check_prefix(candidate, steps, rng):
    """The verdicts on results that differ on the first steps alone; None if the candidate will not run them."""
    short = candidate.truncate(steps)
    try:
        got = short.run_candidate(short.arrays).results
    except Exception:                             # a candidate for one length only: then there is nothing to tell
        return None
    places, yardstick = short.describe_arrays(), measure_budgets(short, rng)
    verdicts = [judge(short, n, places[n], b, numpy.asarray(got[n])) for n, b in yardstick.by_name.items() if n in got]
    return [v for v in verdicts if v.row.verdict == "differs"]


def _describe_pattern(candidate, places, ahead):
    """A pattern in what is off: one direction, padded rows, one layer."""
    for v in ahead:
        place = places[v.name]
        if v.exceeds is None or place.group != OUTPUT or place.time is None:
            continue
        for k, axis in enumerate(place.axes):
            if axis.labels:
                parts = numpy.split(numpy.moveaxis(v.exceeds, k, 0), len(axis.labels))
                bad = [label for label, part in zip(axis.labels, parts) if part.any()]
                if len(bad) < len(axis.labels):
                    yield f"Only the {join_names(bad)} direction of {v.name} is off."
        yield from _describe_padded_rows(candidate, place, v)


def _describe_padded_rows(candidate, place, v):
    if candidate.lengths is None:
        return
    T, row = candidate.size[0], next(k for k, axis in enumerate(place.axes) if axis.word == "row")
    off = numpy.moveaxis(v.exceeds, row, 0).reshape(candidate.size[1], -1).any(1)
    short = numpy.asarray(candidate.lengths) < T
    if (off & short).any() and not (off & ~short).any() and not short.all():
        rows = join_names([str(b) for b in numpy.flatnonzero(off)])
        yield f"Only rows with padding are off ({rows} of {candidate.size[1]}): look at the lengths."


def _collect_block_notes(verdicts):
    return [note for v in verdicts for note in v.row.note.split("; ") if note.startswith("only in gate")]


def _describe_chaos(verdicts):
    told = [v for v in verdicts if "not comparable" in f"{v.row.verdict} {v.row.note}"]
    if told:
        notes = [note for v in told for note in v.row.note.split("; ")]
        padding = next((f", so it is {note}" for note in notes if note.startswith("not comparable past")), "")
        yield f"This recurrence is chaotic: rounding grows until it is as large as what is compared{padding}."
        none = [v.name for v in told if v.row.verdict == "not comparable"]
        if none:
            yield f"Nothing can be said of {join_names(none)}."


def _describe_agreement(verdicts):
    agree = [v for v in verdicts if v.row.verdict == "agrees"]
    if agree:
        worst = max(agree, key=lambda v: v.row.ratio)
        yield (f"What was compared agrees to rounding; {worst.name} comes nearest to its budget, at "
               f"{worst.row.ratio:.2g} of it.")


def join_names(names, most=6):
    """"a, b and c", shortened."""
    names = list(names)
    if len(names) > most:
        names = [*names[:most - 1], f"{len(names) - most + 1} more"]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
