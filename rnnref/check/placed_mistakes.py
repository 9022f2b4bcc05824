"""Causes: mistakes in all or some cells of a reference, and what it computes with them."""
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from .budget import cast_arrays
from .candidate import Candidate
from .equations import Equations, read_equations
from .mistakes import Mistake
from .misuse import Misuse


class Place(NamedTuple):
    """Some of the cells of a reference."""
    cells: tuple[int, ...]
    words: str                                    # "in the backward direction of layer 1 "


EVERYWHERE = Place((), "")


class Cause(NamedTuple):
    """One or more mistakes under which the reference computes what a candidate does."""
    mistakes: tuple[Mistake, ...] = ()
    misuses: tuple[Misuse, ...] = ()
    places: tuple[Place, ...] = ()                # of the mistakes; (): they are in all cells

    def list_places(self) -> tuple[Place, ...]:
        """The place of each mistake."""
        return self.places or (EVERYWHERE,) * len(self.mistakes)

    @property
    def words(self) -> str:
        """What follows "once"."""
        found, before = [], ""
        for mistake, place in zip(self.mistakes, self.list_places()):
            found.append(mistake.words if place.words == before else (place.words or "in all cells ") + mistake.words)
            before = place.words
        found += [m.words for m in self.misuses]
        return ", ".join(found[:-1]) + " and " * (len(found) > 1) + found[-1]

    @property
    def note(self) -> str:
        """What the candidate does, where the words do not say it."""
        return "; ".join(m.note for m in self.misuses if m.note)

    def change(self, candidate: Candidate) -> Candidate | None:
        """The candidate beside a reference with these mistakes in its weights, options and data; None: not possible."""
        changed: Candidate | None = candidate
        for misuse in self.misuses:
            changed = misuse.data(changed) if misuse.cells and misuse.data and changed is not None else changed
        if self.mistakes and changed is not None:
            cells = []
            for k, one in enumerate(changed.list_cells()):
                equations = read_equations(one.cell, one.p)
                if equations is not None:
                    equations = change_equations(equations, self.list_mistakes_of(k))
                if equations is None:
                    return None
                cell, p = equations.make_cell()
                cells.append(one._replace(cell=cell, p=p))
            changed = changed.replace_cells(cells)
        for misuse in self.misuses:
            apply = misuse.data if misuse.data and not misuse.cells else None
            changed = apply(changed) if apply and changed is not None else changed
        return changed

    def list_mistakes_of(self, k: int) -> list[Mistake]:
        """The mistakes in one cell."""
        return [m for m, place in zip(self.mistakes, self.list_places()) if place == EVERYWHERE or k in place.cells]

    def predict(self, candidate: Candidate, dtype: Any = "float64") -> dict[str, Array]:
        """The results of a candidate with these mistakes; {} if they are not possible here."""
        try:
            changed = self.change(candidate)
            if changed is None:
                return {}
            results = run_in(changed, dtype)
            for misuse in self.misuses:
                if misuse.results is not None:
                    results = misuse.results(changed, results, lambda other: run_in(other, dtype))
            return results
        except Exception:                         # of any reference: the mistake is not possible with such arrays
            return {}


def run_in(candidate: Candidate, dtype: Any) -> dict[str, Array]:
    """The results of the reference in a dtype."""
    return dict(candidate.run_reference(cast_arrays(candidate.arrays, dtype)).results)


def run_float64(candidate: Candidate) -> dict[str, Array]:
    """The results of the reference in float64."""
    return run_in(candidate, "float64")


def change_equations(equations: Equations, mistakes: Iterable[Mistake]) -> Equations | None:
    """The equations with mistakes, one after the other; None if one is not possible."""
    found: Equations | None = equations
    for m in mistakes:
        found = None if found is None else m.weights(found)
    return found


def measure_error(returned: dict[str, Array], predicted: dict[str, Array], masks: dict[str, Array] | None = None,
                  ) -> float:
    """The largest error of all results, of 1 or of the largest entry predicted; infinite if one is missing or odd."""
    worst = 0.0
    for name, a in returned.items():
        b = predicted.get(name)
        if b is None or a.shape != b.shape:
            return numpy.inf
        with numpy.errstate(all="ignore"):
            error = abs(a.astype("float64") - b.astype("float64"))
        mask = (masks or {}).get(name)
        if mask is not None and mask.shape == error.shape:
            error = error[mask]
        scale = max(1.0, float(abs(b[numpy.isfinite(b)]).max(initial=0.0)))
        worst = max(worst, float(numpy.nan_to_num(error, nan=numpy.inf).max(initial=0.0)) / scale)
    return worst


# where a mistake is

def describe_place(cells: Sequence[int], labels: Sequence[str]) -> Place:
    """Some cells in words, from the labels of all: "layer 1, backward"."""
    cells = tuple(cells)
    if len(cells) == len(labels):
        return EVERYWHERE
    layers, directions = zip(*map(_split_label, labels))
    own = [(layers[k], directions[k]) for k in cells]
    for k, group in ((1, directions), (0, layers)):              # whole directions, whole layers
        wanted = {pair[k] for pair in own}
        if "" not in wanted and {n for n, name in enumerate(group) if name in wanted} == set(cells):
            names = [name for name in dict.fromkeys(group) if name in wanted]
            return Place(cells, f"in the {' and '.join(names)} direction " if k else f"in {join_words(names)} ")
    return Place(cells, f"in {join_words([f'the {d} direction of {layer}' if d else layer for layer, d in own])} ")


def _split_label(label: str) -> tuple[str, str]:
    """("layer 1", "backward"); either may be empty."""
    words = label.split(", ") if label else []
    direction = next((w for w in words if w in ("forward", "backward", "reverse")), "")
    return " ".join(w for w in words if w != direction), direction


def join_words(names: Sequence[str]) -> str:
    """"a, b and c"."""
    return ", ".join(names[:-1]) + " and " * (len(names) > 1) + names[-1]
