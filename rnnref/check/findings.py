"""Findings: what the verdicts on all arrays of a candidate mean together, in plain sentences."""
from collections.abc import Iterable, Iterator, Sequence

import numpy

from ..arrays import Array
from .budget import Budgets, measure_budgets
from .candidate import GRADIENT, OUTPUT, STATE, ArrayDescription, Candidate
from .hypotheses import describe_unexplained, explain_gradients
from .verdict import AS_LARGE, IN_PADDING, NO_LARGER, NOT_COMPARABLE, Verdict, judge

_BAD_GATES = "only in gate"                       # how a note begins that names the gates which differ
NEAREST = "The error nearest to its budget"        # of what agrees: how this finding begins


def describe_findings(candidate: Candidate, budgets: Budgets, verdicts: list[Verdict], further: list[Verdict],
                      returned: dict[str, Array], rng: numpy.random.Generator, explained: Sequence[str],
                      suspected: Sequence[str]) -> Iterator[str]:
    """Sentences on a check, the most informative first.

    further    verdicts on further calls
    returned   results and gradients of the first call
    explained  sentences on why results differ
    suspected  sentences on the gates that could be wrong, where this is not known
    """
    descriptions, wrong = candidate.descriptions, [v for v in verdicts if v.row.verdict == "differs"]
    results = [v for v in wrong if descriptions[v.name].group != GRADIENT]
    gradients = [v for v in wrong if descriptions[v.name].group == GRADIENT]
    yield from explained
    yield from _describe_first_divergence(candidate, descriptions, results, rng, bool(explained))
    yield from suspected
    yield from describe_unexplained(candidate, budgets) if results and not explained else ()
    yield from _describe_pattern(candidate, descriptions, results)
    if gradients and not results:
        gates = ", ".join(dict.fromkeys(_collect_gate_notes(gradients)))
        yield (f"All results agree and {join_names([v.name for v in gradients])} {_verb(gradients)}"
               f"{f', {gates}' if gates else ''}: the forward pass is right, the backward pass is wrong.")
        yield from explain_gradients(candidate, returned, budgets)
    elif gradients:
        yield f"{len(gradients)} gradient{'s'[:len(gradients) > 1]} {_verb(gradients)} too: correct the results first."
    yield from _describe_incomparable(verdicts)
    yield from _describe_further_calls(further)
    if not wrong and not further:
        yield from _describe_agreement(verdicts)


def _verb(verdicts: list[Verdict]) -> str:
    return "differs" if len(verdicts) == 1 else "differ"


def _describe_first_divergence(candidate: Candidate, descriptions: dict[str, ArrayDescription], wrong: list[Verdict],
                               rng: numpy.random.Generator, explained: bool) -> Iterator[str]:
    """Where the results first differ, and what differs on the shortest sequence on which they do.

    explained   True: the reason is known, so gates are not suspected
    """
    if not wrong:
        return
    timed = [v for v in wrong if v.first_index is not None and descriptions[v.name].time is not None]
    shown = next(iter(timed or wrong))
    yield f"First divergence: {': '.join(filter(None, (f'{shown.name}, {shown.row.where}', shown.row.note)))}."
    has_time = any(d.group == STATE or d.time is not None for d in descriptions.values())
    if not has_time or any(v.first_index is None for v in wrong):
        return
    steps, short = _find_shortest(candidate, rng)
    if short:
        end = "last" if candidate.backwards else "first"
        if steps > 1:
            only = f"{end} {steps - 1} steps" if steps > 2 else f"{end} step"
            yield f"On the {only} alone, all results agree; with one more step, {_describe_wrong(short)}."
        else:
            yield f"On the {end} step alone, {_describe_wrong(short, 'already ')}."
        if not explained and IN_PADDING not in shown.row.note:       # there the lengths are wrong, not the gates
            yield from _describe_gates(descriptions, short)


def _describe_wrong(verdicts: list[Verdict], adverb: str = "") -> str:
    """"h_n and c_n differ, first in layer 1, backward"."""
    layers = [v.row.where.partition(", row")[0] for v in verdicts if v.row.where.startswith("layer")]
    return (f"{join_names([v.name for v in verdicts])} {adverb}{_verb(verdicts)}"
            f"{f', first in {min(layers)}' if layers else ''}")


def _describe_gates(descriptions: dict[str, ArrayDescription], wrong: list[Verdict]) -> Iterator[str]:
    """Tell the output gate of an LSTM from its other gates: c does not depend on it."""
    names = {v.name for v in wrong}
    h, c = ({n for n, d in descriptions.items() if d.group == STATE and n.removeprefix("Y_")[0] == letter}
            for letter in "hc")
    if c and names & h and not names & c:
        yield "At the first wrong step c is right and h is wrong: check the output gate and the activation of c."
    elif names & c:
        yield "At the first wrong step c is already wrong: check the gates i, f and g, on which c depends."


def _find_shortest(candidate: Candidate, rng: numpy.random.Generator) -> tuple[int, list[Verdict]]:
    """(steps, what differs) for the shortest sequence on which results differ, by bisection; (0, []) without one.

    On the sequence that is one step shorter all results agree.
    """
    agree, differ = 0, candidate.size[0]
    found = _check_prefix(candidate, differ, rng)
    for _ in candidate.watch(range(max(0, differ - 1).bit_length()), "first divergence"):
        if not found or differ - agree <= 1:
            break
        middle = (agree + differ) // 2
        wrong = _check_prefix(candidate, middle, rng)
        if wrong is None:
            return 0, []
        agree, differ, found = (agree, middle, wrong) if wrong else (middle, differ, found)
    return (differ, found) if found else (0, [])


def _check_prefix(candidate: Candidate, steps: int, rng: numpy.random.Generator) -> list[Verdict] | None:
    """The results that differ on the first steps alone; None if the candidate does not run on them."""
    short = candidate.truncate(steps)
    try:
        results = short.run_candidate(short.arrays).results
    except Exception:                             # a candidate for one length only: there is no shorter sequence
        return None
    descriptions, budgets = short.descriptions, measure_budgets(short, rng).by_name
    verdicts = [judge(short, name, descriptions[name], budget, numpy.asarray(results[name]))
                for name, budget in budgets.items() if name in results]
    return [v for v in verdicts if v.row.verdict == "differs"]


def _describe_pattern(candidate: Candidate, descriptions: dict[str, ArrayDescription], wrong: list[Verdict],
                      ) -> Iterator[str]:
    """A pattern in the outputs that differ: one direction, or rows with padding."""
    for v in wrong:
        description = descriptions[v.name]
        if v.exceeds is None or description.group != OUTPUT or description.time is None:
            continue
        for k, axis in enumerate(description.axes):
            bad = axis.find_blocks(v.exceeds, k)
            if len(bad) < len(axis.labels):
                yield f"Only the {join_names(bad)} direction of {v.name} differs."
        yield from _describe_padded_rows(candidate, description, v)


def _describe_padded_rows(candidate: Candidate, description: ArrayDescription, v: Verdict) -> Iterator[str]:
    if candidate.lengths is None:
        return
    T, B = candidate.size
    wrong = numpy.moveaxis(v.exceeds, description.row, 0).reshape(B, -1).any(1)
    padded = numpy.asarray(candidate.lengths) < T
    if (wrong & padded).any() and not (wrong & ~padded).any() and not padded.all():
        rows = [str(b) for b in numpy.flatnonzero(wrong)]
        yield (f"Only rows with padding differ (row{'s'[:len(rows) > 1]} {join_names(rows)} of {B}): check how lengths "
               "are applied.")


def _collect_gate_notes(verdicts: list[Verdict]) -> list[str]:
    return [note for v in verdicts for note in _split_notes(v) if note.startswith(_BAD_GATES)]


def _split_notes(v: Verdict) -> list[str]:
    return v.row.note.split("; ")


def _describe_incomparable(verdicts: list[Verdict]) -> Iterator[str]:
    """What is not comparable: values of a chaotic recurrence, or values as small as rounding errors."""
    tiny = [v.name for v in verdicts if NO_LARGER in _split_notes(v)]
    notes = {v.name: [note for note in _split_notes(v) if note == AS_LARGE or note.startswith(NOT_COMPARABLE)]
             for v in verdicts}
    chaotic = [name for name, own in notes.items() if own]
    if chaotic:
        limit = next((f"; {name} is {note}" for name in chaotic for note in notes[name] if note != AS_LARGE), "")
        yield f"This recurrence is chaotic: rounding errors grow until they are as large as the values{limit}."
        none = [v.name for v in verdicts if v.row.verdict == "not comparable" and v.name in chaotic]
        if none:
            yield f"No verdict is possible on {join_names(none)}."
    if tiny:
        yield (f"No verdict is possible on {join_names(tiny)}: {NO_LARGER if len(tiny) == 1 else 'all their values'}"
               f"{'' if len(tiny) == 1 else ' are as small as rounding errors'}.")


def _describe_further_calls(further: list[Verdict]) -> Iterator[str]:
    """What a candidate does to its arguments and in further calls."""
    stateless = [v for v in further if "(no initial state)" in v.name]
    if stateless:
        yield (f"With initial states all agree to rounding; without any, "
               f"{join_names([v.name.partition(' (')[0] for v in stateless])} {_verb(stateless)}: "
               f"{', '.join(filter(None, (stateless[0].row.where, stateless[0].row.note)))}.")
    for label, words in (("(single steps)", "Past the step up to which the sequence can be compared, every step was "
                          "computed again from the state before it: {} {}."),
                         ("(second call)",
                          "In a second call, on other numbers, {} {}: a call depends on the one before, or the mistake "
                          "shows only on some numbers."),
                         ("(remembered from the first call)", "A second call, on other numbers, returns the results of "
                          "the first one: {} {}.")):
        found = [v for v in further if label in v.name]
        if found:
            yield words.format(join_names([v.name.partition(" (")[0] for v in found]), _verb(found))
    for v in further:
        if v.row.group == "calls":
            yield f"{v.row.note[0].upper()}{v.row.note[1:]}."
            if v.name == "further calls":
                yield "It is random, such as with dropout left on, or remembers earlier calls."
        elif v.row.verdict == "refused":
            yield f"{v.name[0].upper()}{v.name[1:]} fails: {v.row.note}"


def _describe_agreement(verdicts: list[Verdict]) -> Iterator[str]:
    agree = [v for v in verdicts if v.row.verdict == "agrees"]
    if agree:
        worst = max(agree, key=lambda v: v.row.ratio)
        yield f"{NEAREST} is that of {worst.name}, at {worst.row.ratio:.2g} of the budget."


def join_names(names: Iterable[str], most: int = 6) -> str:
    """"a, b and c"; of more than `most` names, the first ones and how many more there are."""
    names = list(names)
    if len(names) > most:
        names = [*names[:most - 1], f"{len(names) - most + 1} more"]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
