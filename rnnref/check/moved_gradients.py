"""Gradients that are right but for a factor, a transposition or the order of their gate blocks."""
from collections.abc import Iterator
from itertools import permutations

import numpy

from ..arrays import Array
from .budget import Budgets
from .candidate import GRADIENT, ArrayDescription, Candidate
from .placed_mistakes import join_words

_LOOSE = 8.0                                      # budgets by which moved gradients may err
_MOST_BLOCKS = 4                                  # of which all orders are tried


def find_moved(candidate: Candidate, gradients: dict[str, Array], budgets: Budgets) -> Iterator[str]:
    """A sentence on the gradients that differ, if all are those of the reference in another form."""
    wrong = [n for n, b in budgets.by_name.items() if n in gradients
             and candidate.descriptions[n].group == GRADIENT and not _is_near(gradients[n], b.truth, budgets, n)]
    if not wrong or any(gradients[n].shape != budgets.by_name[n].truth.shape for n in wrong):
        return
    yield from list(_find_factor(candidate, gradients, budgets, wrong)) or list(
        _find_order(candidate, gradients, budgets, wrong)) or list(_find_transposed(gradients, budgets, wrong))


def _is_near(a: Array, b: Array, budgets: Budgets, name: str) -> bool:
    limit = _LOOSE * float(budgets.by_name[name].allowed.max(initial=0.0)) * max(1.0, float(abs(b).max(initial=0.0)) /
                                                                                 budgets.by_name[name].scale)
    return a.shape == b.shape and bool((abs(a - b) <= limit).all())


def _find_factor(candidate: Candidate, gradients: dict[str, Array], budgets: Budgets, wrong: list[str],
                 ) -> Iterator[str]:
    found, truths = (numpy.concatenate([a.ravel().astype("float64") for a in arrays]) for arrays in (
        [gradients[n] for n in wrong], [budgets.by_name[n].truth for n in wrong]))
    factor = float(found @ truths / (truths @ truths)) if truths.any() else 0.0
    if abs(factor) < 1e-6 or not all(_is_near(gradients[n], factor * budgets.by_name[n].truth, budgets, n)
                                     for n in wrong):
        return
    T, B = candidate.size
    reasons = {float(B): "the number of rows: a mean over them is taken, not the sum",
               float(T): "the number of steps: a mean over them is taken, not the sum",
               float(T * B): "the number of rows and steps: a mean over them is taken, not the sum",
               -1.0: "their sign is the other one"}
    reason = next((words for value, words in reasons.items() if abs(1 / factor - value) < 1e-4), "")
    yield f"{join_words(wrong)} {_agree(wrong)} once multiplied by {1 / factor:.6g}{f', {reason}' if reason else ''}."


def _find_order(candidate: Candidate, gradients: dict[str, Array], budgets: Budgets, wrong: list[str]) -> Iterator[str]:
    axes = {n: _find_gates(candidate.descriptions[n]) for n in wrong}
    labels = {gates for _, gates in axes.values()}
    gates = next(iter(labels))
    if len(labels) > 1 or not 1 < len(gates) <= _MOST_BLOCKS:
        return
    for order in list(permutations(range(len(gates))))[1:]:
        moved = {n: _reorder(budgets.by_name[n].truth, axes[n][0], order) for n in wrong}
        if all(_is_near(gradients[n], a, budgets, n) for n, a in moved.items()):
            shown = " ".join(gates[k] for k in order)
            yield (f"{join_words(wrong)} {_agree(wrong)} once the gate blocks of the gradients are read as {shown}, "
                   f"where they are {' '.join(gates)}: the forward and the backward pass have different orders.")
            return


def _find_gates(description: ArrayDescription) -> tuple[int, tuple[str, ...]]:
    """The axis with gate blocks, and the gates."""
    return next(((k, axis.labels) for k, axis in enumerate(description.axes) if axis.kind == "gate"), (0, ()))


def _reorder(a: Array, axis: int, order: tuple[int, ...]) -> Array:
    blocks = numpy.split(a, len(order), axis)
    return numpy.concatenate([blocks[k] for k in order], axis)


def _find_transposed(gradients: dict[str, Array], budgets: Budgets, wrong: list[str]) -> Iterator[str]:
    truths = {n: budgets.by_name[n].truth for n in wrong}
    if all(a.ndim == 2 and a.shape[0] == a.shape[1] and _is_near(gradients[n], a.T, budgets, n)
           for n, a in truths.items()):
        yield f"{join_words(wrong)} {_agree(wrong)} once transposed."


def _agree(names: list[str]) -> str:
    return "agrees" if len(names) == 1 else "agree"
