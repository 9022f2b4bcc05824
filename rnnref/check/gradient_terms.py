"""Gradients that lack one term: a part of the backward pass of a step, or the gradient of one result.

The reference computes its backward pass without each term in turn, on the numbers of the candidate.
"""
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy

from ..arrays import Array, cast, upcast
from ..cell import GatedCell, ProjectedCell
from ..rules.elman import ElmanRule
from ..rules.gru import GRURule
from ..rules.lstm import LSTMRule
from ..tree import Tree, add, map_structure
from .budget import Budgets, cast_arrays
from .candidate import GRADIENT, OUTPUT, STATE, Candidate
from .placed_mistakes import EVERYWHERE, describe_place, join_words

_LOOSE = 8.0                                      # budgets by which gradients without a term may err
_GATES = {"i": "the input gate", "f": "the forget gate", "o": "the output gate", "g": "the candidate",
          "r": "the reset gate", "z": "the update gate", "n": "the candidate", "h": "the sum"}
_LSTM_TERMS = {"c": "what c hands to the c before it, dc f", "tanh c": "what h hands to c, dh o (1 - tanh(c)^2)",
               "peep": "what gates hand to c through the peepholes"}
_GRU_TERMS = {"z h": "what h hands to the h before it through z, dh z",
              "h n": "the gradient of h R inside of the reset, dn r, in the candidate"}


def find_missing_terms(candidate: Candidate, gradients: dict[str, Array], budgets: Budgets) -> Iterator[str]:
    """A sentence on the one term without which the reference gives these gradients, if there is one."""
    known = [n for n, b in budgets.by_name.items() if n in gradients and candidate.descriptions[n].group == GRADIENT]
    wrong = [n for n in known if not _is_near(gradients, {n: budgets.by_name[n].truth}, budgets)]
    zero = [n for n in wrong if not gradients[n].any()]
    if zero and zero == wrong:
        yield f"{join_words(zero)} {'is' if len(zero) == 1 else 'are'} all zero; all other gradients agree."
        return
    others = {n: [o for o in known if o != n and _is_near(gradients, {n: budgets.by_name[o].truth}, budgets)]
              for n in wrong}
    if wrong and all(others.values()):
        yield f"{join_words([f'{n} is {own[0]}' for n, own in others.items()])}; all other gradients agree."
        return
    wide = {n: a.astype("float64") for n, a in budgets.cotangents.items()}
    for words, predicted in _predict_without(candidate, wide):
        own = {n: predicted[n] for n in known if n in predicted}
        if len(own) == len(known) and _is_near(gradients, own, budgets):
            yield f"All gradients agree with those of a backward pass in which one term is missing: {words}."
            return


def _is_near(gradients: dict[str, Array], predicted: dict[str, Array], budgets: Budgets) -> bool:
    """Whether gradients are as predicted, to rounding."""
    for name, b in predicted.items():
        budget = budgets.by_name[name]
        more = max(1.0, float(abs(b).max(initial=0.0)) / budget.scale) if budget.scale else 1.0
        limit = _LOOSE * float(budget.allowed.max(initial=0.0)) * more
        if gradients[name].shape != b.shape or not (abs(gradients[name] - b) <= limit).all():
            return False
    return True


def _predict_without(candidate: Candidate, cotangents: dict[str, Array]) -> Iterator[tuple[str, dict[str, Array]]]:
    """(a term in words, all gradients without it)."""
    arrays = cast_arrays(candidate.arrays, "float64")
    back: Any = candidate.run_reference(arrays).back
    for names in _list_results(candidate, cotangents):
        left = {n: 0 * a if n in names else a for n, a in cotangents.items()}
        depends = f"as if nothing depended on {'it' if len(names) == 1 else 'them'}"
        yield f"the gradient of {join_words(names)}, {depends}", back(left)
    cells = candidate.list_cells()
    places = [describe_place(own, [one.label for one in cells]) for own in (
        range(len(cells)), *([k] for k in range(len(cells) if len(cells) > 1 else 0)))]
    for place in places:
        for term, words in _list_terms(cells[0].cell) if cells else ():
            partial = [one._replace(cell=_leave_out(one.cell, term)) if place == EVERYWHERE or k in place.cells else one
                       for k, one in enumerate(cells)]
            evaluation = candidate.compute_with(partial).run_reference(arrays)
            if evaluation.back is not None:
                yield place.words + words, evaluation.back(cotangents)


def _list_results(candidate: Candidate, cotangents: dict[str, Array]) -> Iterator[list[str]]:
    """The results whose gradients may be left out: the states, each of them, and the outputs."""
    states = [n for n in cotangents if candidate.descriptions[n].group == STATE]
    if len(states) > 1:
        yield states
    yield from ([n] for n in states)
    outputs = [n for n in cotangents if candidate.descriptions[n].group == OUTPUT]
    if outputs and states:
        yield outputs


def _list_terms(cell: Any) -> Iterator[tuple[str, str]]:
    """(a term, in words) of all that a cell has."""
    inner = cell.cell if isinstance(cell, ProjectedCell) else cell
    if type(inner) is not GatedCell or type(inner.rule) not in (LSTMRule, GRURule, ElmanRule):
        return
    gates = "".join(inner.rule.gates)
    yield "R", "what a step hands to the h before it through R"
    for g in gates if len(gates) > 1 else "":
        yield f"R {g}", f"what {_GATES[g]} hands to the h before it through R"
        yield g, f"the derivative of {_GATES[g]}"
    if isinstance(inner.rule, LSTMRule):
        yield from ((t, words) for t, words in _LSTM_TERMS.items() if t != "peep" or inner.rule.peepholes)
        for g in gates.replace("g", "") if inner.rule.peepholes else "":
            yield f"peep {g}", f"what {_GATES[g]} hands to c through its peephole"
    if isinstance(inner.rule, GRURule):
        yield from _GRU_TERMS.items()


def _leave_out(cell: Any, term: str) -> Any:
    """The cell with one term missing in its backward pass."""
    if isinstance(cell, ProjectedCell):
        return replace(cell, cell=_leave_out(cell.cell, term))
    rule = cell.rule
    if isinstance(rule, LSTMRule):
        rule = _PartialLSTM(**{f.name: getattr(rule, f.name) for f in fields(rule)}, term=term)
    elif isinstance(rule, GRURule):
        rule = _PartialGRU(**{f.name: getattr(rule, f.name) for f in fields(rule)}, term=term)
    return _PartialCell(cell.inputs, cell.recurrent, rule, term)


@dataclass(frozen=True)
class _PartialCell(GatedCell):
    """A cell whose gradient of h lacks what comes through R, of all gates or of one."""
    term: str = ""

    def step_backward(self, p: Tree, k: Any, dy: Array, dnew: Tree) -> tuple[Tree, Tree, Any]:
        dax, dah, (dh, *rest), dr = self.rule.backward(p, k.rule, upcast(dy), map_structure(upcast, dnew))
        dax, dah = cast(dax, dy), cast(dah, dy)
        through = _zero_block(dah, self.rule.gates, self.term[2:]) if self.term.startswith("R ") else dah
        dh = add(0 * upcast(self.recurrent.backward_x(p, k.recurrent, through)) if self.term == "R" else
                 upcast(self.recurrent.backward_x(p, k.recurrent, through)), dh)
        return dax, map_structure(cast, type(dnew)(dh, *rest), dnew), (k.recurrent, dah, dr)


def _zero_block(a: Array, gates: str, gate: str) -> Array:
    blocks = numpy.split(a, len(gates), -1)
    return numpy.concatenate([0 * b if g == gate else b for g, b in zip(gates, blocks)], -1)


@dataclass(frozen=True)
class _PartialGRU(GRURule):
    term: str = ""
    name = "GRU"

    def backward(self, p: Tree, k: Any, dy: Array, d: Tree) -> tuple[Array, Array, Tree, Tree]:
        dh = dy + d.h
        dz = self.gate.backward(k.z, k.pre.z, dh * (k.h0 - k.n)) * (self.term != "z")
        dn = self.candidate.backward(k.n, k.pre.n, dh * (1 - k.z)) * (self.term != "n")
        dr = self.gate.backward(k.r, k.pre.r, dn * k.hn) * (self.term != "r")
        dhn = dn * k.r * (self.term != "h n")
        return (numpy.concatenate([dr, dz, dn], -1), numpy.concatenate([dr, dz, dhn], -1),
                type(d)(dh * k.z * (self.term != "z h")), {})


@dataclass(frozen=True)
class _PartialLSTM(LSTMRule):
    term: str = ""
    name = "LSTM"

    def backward(self, p: Tree, k: Any, dy: Array, d: Tree) -> tuple[Array, Array, Tree, Tree]:
        dh = dy + d.h
        do = self.gate.backward(k.o, k.pre.o, dh * k.tc) * (self.term != "o")
        dc = d.c + self.output.backward(k.tc, k.pre.c, dh * k.o) * (self.term != "tanh c")
        dc = dc + self._through_peephole(p, "o", do)
        if self.cell_clip is not None and self.cell_clip_gradient == "zero":
            dc = dc * (abs(k.c) < self.cell_clip)
        di, df = dc * k.g, dc * k.c0
        di, df = {None: (di, df), "input": (None, df - di), "forget": (di - df, None)}[self.coupled]
        da = {"g": self.candidate.backward(k.g, k.pre.g, dc * k.i) * (self.term != "g"), "o": do}
        da |= {g: self.gate.backward(getattr(k, g), getattr(k.pre, g), a) * (self.term != g)
               for g, a in (("i", di), ("f", df)) if a is not None}
        dc0 = dc * k.f * (self.term != "c") + sum(self._through_peephole(p, g, da[g]) for g in "if" if g in da)
        dp = {"Wp" + g: a * (k.c if g == "o" else k.c0) for g, a in da.items() if g != "g"} if self.peepholes else {}
        joined = numpy.concatenate([da[g] for g in self.gates], -1)
        return joined, joined, type(d)(None, dc0), dp

    def _through_peephole(self, p: Tree, gate: str, da: Array) -> Any:
        return p["Wp" + gate] * da if self.peepholes and self.term not in ("peep", f"peep {gate}") else 0
