"""Which gate alone could explain all steps of a candidate whose mistake has no name, and how far it would be off.

From the state before and after a step follows the value that each gate would need to explain the step alone.  A gate
that is right would often need one outside of its range, as it is multiplied by numbers near zero.
"""
from itertools import product
from typing import NamedTuple

import numpy

from ..arrays import Array
from .equations import Equations
from .gates import Steps, compute_gates, reset, sum_products

_MARGINS = 1e-3, 0.25                             # by which a gate may lie outside of its range
_EVEN_FEW, _FEW = 8, 32                          # numbers that differ: fewer are even by chance, tell no gates apart
_LARGEST_CONDITION = 1e8                          # of a matrix that is inverted
_MOST_OF_THE_CHANGE, _EVEN, _SHARE = 0.05, 0.03, 0.95            # of the changes that are called one number


class Needed(NamedTuple):
    """The values with which one gate alone would explain all steps."""
    gate: str
    expected: Array                               # [T, B, U], of the reference
    change: Array                                 # [T, B, U], what is to be added
    unsure: Array                                 # [T, B, U], how much of a change is rounding
    beyond: Array                                 # [T, B, U], the part of the change that is none
    least: float                                  # the range of the gate begins here, and ends with 1
    possible: Array                               # [T, B, U], False where no value would do

    def fits(self, live: Array, margin: float) -> bool:
        """Whether all values lie in the range of the gate, and some differ from the reference."""
        value = (self.expected + self.beyond)[live]
        return bool(self.possible[live].all() and self.beyond[live].any() and value.min() >= self.least - margin
                    and value.max() <= 1 + margin)


def _need(gate: str, expected: Array, d: Array, factor: Array, unsure: Array, least: float,
          possible: Array | bool = True) -> Needed:
    """What a gate needs so that its value times `factor` is larger by d; `unsure`: how much of d is rounding."""
    unsure = numpy.where(numpy.isnan(unsure), numpy.inf, unsure)
    excess = numpy.nan_to_num(numpy.sign(d) * numpy.maximum(abs(d) - unsure, 0), nan=numpy.inf)
    known = numpy.isfinite(unsure) & ((factor != 0) | (excess != 0))
    change, beyond = numpy.where(known, d / factor, 0.0), numpy.where(excess == 0, 0.0, excess / factor)
    return Needed(gate, expected, change, numpy.where(known, unsure / abs(factor), numpy.inf), beyond, least,
                  numpy.broadcast_to(possible, d.shape))


class Suspects(NamedTuple):
    """The gates of which one alone could be wrong, the likely ones only, and those that could not."""
    likely: list[Needed]
    excluded: list[str]

    def describe(self, live: Array) -> str:
        """The likely ones in words: "i or g"; and the gate that acts through one, where the two are not told apart."""
        names = [n.gate for n in self.likely]
        through = {"g": " (or i, which multiplies it)", "n": " (or r, which acts through it)"}
        is_told = len(names) > 1 or bool(describe_change(self.likely[0], live))
        return " or ".join(names) + ("" if is_told else through.get(names[0], ""))


def find_single_gates(e: Equations, steps: Steps, tolerance: float, last_c: Array | None) -> Suspects | None:
    """The gates that alone could explain all steps; None for equations of which it cannot be told.

    tolerance  the error of a right step
    last_c     [B, U], the last cell states of the rows, if they are known
    """
    options = e.options
    if e.family == "rnn" or options["gate"].name != "sigmoid" or options["candidate"].name != "tanh":
        return None
    if e.family == "lstm" and (options["output"].name != "tanh" or options.get("coupled") or "P" in e.blocks
                               or options.get("cell_clip") is not None or "Wp" in e.blocks):
        return None
    if not set(e.gates) >= set("rz" if e.family == "gru" else "ifgo"):
        return None
    found = _list_lstm(e, steps, tolerance, last_c) if e.family == "lstm" else _list_gru(e, steps, tolerance)
    if all(not n.beyond[steps.live].any() for n in found if n.gate in "oz"):
        return None                               # every step follows from the one before
    fitting = [n for n in found if n.fits(steps.live, _MARGINS[-1])]
    likely = [n for n in fitting if describe_change(n, steps.live)]          # a change that is one number is no chance
    wrong = max((int((n.beyond[steps.live] != 0).sum()) for n in found), default=0)
    if not likely and wrong < _FEW:
        likely = fitting
    for gates, margin in product(("ifozr", "gn"), _MARGINS):                  # g or n explains most that another does
        likely = likely or [n for n in fitting if n.gate in gates and n.fits(steps.live, margin)]
    if [n.gate for n in likely] == ["i"] and not describe_change(likely[0], steps.live):
        likely += [n for n in fitting if n.gate == "g"]           # it is their product that is known
    return Suspects(likely, [g for g in e.gates if g not in [n.gate for n in fitting]])


def _list_lstm(e: Equations, steps: Steps, tolerance: float, last_c: Array | None) -> list[Needed]:
    own = compute_gates(e, steps)
    assert own.c is not None
    i, f, g, o = (own.values[n] for n in "ifgo")
    tc = numpy.tanh(own.c[1:])                    # if o alone is wrong, these are the cell states
    possible = last_c is None or _agrees_at_end(own.c[1:], last_c, steps.live, tolerance)
    found = [_need("o", o, steps.y - o * tc, tc, numpy.full(tc.shape, tolerance), 0.0, possible)]
    ratio, unsure = steps.y / o, tolerance / o    # if o is right, this is tanh(c)
    if not (abs(ratio) <= 1 + unsure)[steps.live].all():
        return found
    c, unsure_c = _invert_tanh(ratio, unsure)
    if last_c is not None and not _agrees_at_end(c, last_c, steps.live, unsure_c):
        return found
    before, unsure_before = (numpy.concatenate([a[None], b[:-1]]) for a, b in (
        (own.c[0], c), (numpy.zeros_like(own.c[0]), unsure_c)))
    d, unsure_d = c - (f * before + i * g), unsure_c + f * unsure_before
    sure = numpy.sign(before) * numpy.maximum(abs(before) + unsure_before, 1e-300)         # the least change of f
    return [*found, *(_need(name, value, d, factor, unsure_d, least) for name, value, factor, least in (
        ("f", f, numpy.where(before == 0, 0.0, sure), 0.0), ("i", i, g, 0.0), ("g", g, i, -1.0)))]


def _invert_tanh(y: Array, unsure: Array) -> tuple[Array, Array]:
    """The argument of tanh, and how far it could be off where y is unsure; infinite where tanh is too flat."""
    slope = 1 - numpy.minimum(abs(y), 1) ** 2
    return (numpy.arctanh(numpy.clip(y, -1 + 1e-12, 1 - 1e-12)),
            numpy.where(slope > 4 * unsure, unsure / slope, numpy.inf))


def _agrees_at_end(c: Array, last: Array, live: Array, unsure: Array | float) -> bool:
    """Whether the cell states [T, B, U] end with those that are known; True for rows whose ends were not computed."""
    ends = live.sum(0) - 1
    B = numpy.arange(len(ends))
    error = abs(c[ends, B] - last)
    return bool((error <= 4 * numpy.broadcast_to(unsure, c.shape)[ends, B]).all())


def _list_gru(e: Equations, steps: Steps, tolerance: float) -> list[Needed]:
    values, h = compute_gates(e, steps).values, steps.h
    r, z, n = (values[g] for g in "rzn")
    d, rest, even = steps.y - ((1 - z) * n + z * h), 1 - z, numpy.full(z.shape, tolerance)
    found = [_need("z", z, d, h - n, even, 0.0), _need("n", n, d, rest, even, -1.0)]
    wanted, unsure = n + d / rest, tolerance / rest                # of n, if r alone is wrong
    sums, unsure_sums = _invert_tanh(wanted, unsure)
    more, by = sums - reset(e, steps, r), sum_products(e, steps, "n", "R")
    if e.options["reset"] == "before":            # r h is multiplied by R: the change of it follows from its inverse
        R = e.blocks["R"]["n"]
        if R.shape[0] != R.shape[1] or numpy.linalg.cond(R) > _LARGEST_CONDITION:
            return found
        inverse, by = numpy.linalg.inv(R), h
        more, unsure_sums = more @ inverse, numpy.where(unsure_sums > 1e300, 1e300, unsure_sums) @ abs(inverse)
        unsure_sums[unsure_sums > 1e200] = numpy.inf
    return [*found, _need("r", r, more, by, unsure_sums, 0.0, abs(wanted) <= 1 + unsure)]


# what the change is

def describe_change(needed: Needed, live: Array) -> str:
    """What a gate does otherwise, if it is one number at all steps that differ: "0.1 is added to it"; "" if not."""
    wrong = live[..., None] & (abs(needed.change) > needed.unsure)
    t = numpy.flatnonzero(wrong.any((1, 2)))[0]
    sure = live[..., None] & (needed.unsure <= _MOST_OF_THE_CHANGE * abs(needed.change).max(
        initial=0.0, where=numpy.isfinite(needed.change) & wrong))
    sure[:t] = False
    old, new = needed.expected[sure], (needed.expected + needed.change)[sure]
    if len(old) < _EVEN_FEW:
        return ""
    with numpy.errstate(all="ignore"):
        inverse = numpy.arctanh if needed.least else lambda v: numpy.log(v / (1 - v))
        for words, change in (("{} is {} it before its activation", inverse(new) - inverse(old)),
                              ("{} is {} it", new - old), ("it is multiplied by {}", new / old)):
            change = change[numpy.isfinite(change)]
            middle = float(numpy.median(change)) if len(change) > len(old) / 2 else 0.0
            still = 1.0 if "multiplied" in words else 0.0
            if abs(middle - still) > 1e-3 and (abs(change - middle) <= _EVEN * abs(middle - still)).mean() >= _SHARE:
                return words.format(f"{abs(middle):.3g}", "added to" if middle > 0 else "taken off")
    return ""
