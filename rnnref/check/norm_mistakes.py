"""The table of mistakes, third part: layer normalisation, where it stands, over what, and with which epsilon."""
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy

from .equations import Equations
from .mistakes import Change, Mistake
from .normed_cells import Norm

_EPSILONS = (1e-3, 1e-5, 1e-6, 1e-8, 1e-12)


def list_norm_mistakes(e: Equations) -> list[Mistake]:
    """All that are possible with these equations; none without layer normalisation."""
    if e.norm is None:
        return []
    found = [*_list_epsilons(e.norm), *_list_places(e, e.norm), *_list_groups(e.gates, e.norm), *_list_gains(e)]
    return [m for m in found if m.weights(e) is not None]


def _choose(**changes: Any) -> Change:
    """Another option of the normalisation; None if it is that already."""
    def change(e: Equations) -> Equations | None:
        norm = None if e.norm is None else replace(e.norm, **changes)
        return None if norm is None or norm == e.norm else e.choose(norm=norm)
    return change


def _list_epsilons(norm: Norm) -> Iterator[Mistake]:
    for epsilon in _EPSILONS:
        yield Mistake("epsilon", f"epsilon of the layer normalisation is {epsilon:g}, not {norm.epsilon:g}",
                      _choose(epsilon=epsilon))
    yield Mistake("epsilon", "epsilon of the layer normalisation is added to the standard deviation, not to the "
                  "variance", _choose(outside=True))
    yield Mistake("variance", "the variance of the layer normalisation is divided by n - 1, not by n",
                  _choose(unbiased=True))


def _list_places(e: Equations, norm: Norm) -> Iterator[Mistake]:
    yield Mistake("sides", "nothing is normalised", _choose(sides="", cell=""))
    shifts = [n for n in ("shift", "b", "bR") if n in e.blocks and any(a.any() for a in e.blocks[n].values())]
    if shifts:
        words = f"{' and '.join(shifts)} {'is' if len(shifts) == 1 else 'are'} added before the layer normalisation"
        yield Mistake("shift", words, _choose(shift_inside=True))
    if norm.sides == "sum":
        yield Mistake("sides", "both products are normalised, each by itself, not their sum", _normalise_each)
    elif e.family != "gru":
        yield Mistake("sides", "the sum of both products is normalised, with the gain of x", _normalise_sum)
    if norm.cell:
        yield Mistake("cell", "c is not normalised", _choose(cell=""))
        yield Mistake("cell", "c is normalised on its way to h alone, not as the next state", _choose(cell="output"))


def _normalise_each(e: Equations) -> Equations | None:
    if e.norm is None or e.norm.sides != "sum":
        return None
    zero = {g: numpy.zeros_like(a) for g, a in e.blocks["shift"].items()}
    return e.choose(norm=replace(e.norm, sides="each")).replace(
        gain_r=e.blocks["gain"], b=e.blocks["shift"], bR=zero, shift={})


def _normalise_sum(e: Equations) -> Equations | None:
    if e.norm is None or e.norm.sides != "each" or not {"b", "bR"} <= e.blocks.keys():
        return None
    shift = {g: a + e.blocks["bR"][g] for g, a in e.blocks["b"].items()}
    return e.choose(norm=replace(e.norm, sides="sum")).replace(shift=shift, gain_r={}, b={}, bR={})


def _list_groups(gates: str, norm: Norm) -> Iterator[Mistake]:
    if len(gates) < 2:
        return
    groups = {(): "each gate block is normalised by itself", (gates,): "all gate blocks are normalised together"}
    if gates == "rzn":
        groups["rz",] = "the gate blocks r and z are normalised together, and n by itself"
    for together, words in groups.items():
        yield Mistake("blocks", words, _choose(together=together))


def _list_gains(e: Equations) -> Iterator[Mistake]:
    """Gains and shifts that are left out."""
    names = [n for n in ("gain", "gain_r", "shift") if n in e.blocks] + [*e.blocks.get("c", ())]
    for name in names:
        yield Mistake(name, f"{name} is left out", _fill(name))
    if "gain_r" in e.blocks:
        yield Mistake("gain", "gain and gain_r are exchanged", lambda e: e.replace(
            gain=e.blocks["gain_r"], gain_r=e.blocks["gain"]) if "gain_r" in e.blocks else None)


def _fill(name: str) -> Change:
    """Ones in the place of a gain, zeros in that of a shift."""
    value = 1.0 if name.startswith("gain") else 0.0

    def change(e: Equations) -> Equations | None:
        own = "c" if name.endswith("_c") else name
        blocks = e.blocks.get(own, {})
        changed = {g: numpy.full_like(a, value) if own == name or g == name else a for g, a in blocks.items()}
        same = all(numpy.array_equal(a, changed[g]) for g, a in blocks.items())
        return None if same else e.replace(**{own: changed})
    return change
