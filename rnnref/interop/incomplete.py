"""Finds what is wrong with arrays that have the names of a recurrent layer and are not those of one."""
from collections.abc import Iterable
from typing import Any

from ..arrays import Array
from ..errors import Error, ShapeError
from .families import infer_cell
from .groups import match_names
from .layouts import Layout
from .matching import drop_bias, has_other_gates
from .places import arrays_of, find_for_arrays


def refuse_incomplete(arrays: dict[str, Array], layouts: Iterable[Layout]) -> None:
    """Raise ShapeError if some of the arrays have the names of a layer of these tables, which they cannot be.

    Of several tables with these names, the one that explains most of the arrays is meant.  Names such as kernel or
    bias, which a dense layer has too, tell nothing.
    """
    best: Any = None
    for layout in layouts:
        for place, group in match_names(layout, arrays).items():
            named = {name: a for name, (_, a) in group.items()}
            if not any(_is_telling(layout, name) for name in group):
                continue
            score = len(group), not has_other_gates(layout, named), -len(arrays_of(layout))
            if best is None or score > best[0]:
                best = score, layout, place, group
    if best is not None:
        _refuse_group(*best[1:])


def _is_telling(layout: Layout, name: str) -> bool:
    """True for a name that no dense layer has: of the recurrent matrix, or with the number of a layer."""
    return name.endswith("_l0") or arrays_of(layout)[name].ours == "R"


def _refuse_group(layout: Layout, place: str, group: dict[str, tuple[str, Array]]) -> None:
    has = ", ".join(f"{full} {tuple(a.shape)}" for full, a in group.values())
    known = next(iter(group.items()))
    missing = [_name_like(name, known[0], known[1][0]) for name, row in arrays_of(layout).items()
               if row.ours in "WR" and name not in group]
    if missing:
        verb = "are" if len(missing) > 1 else "is"
        raise ShapeError("interop", f"{' and '.join(missing)} {verb} missing", given=has,
                         reason=f"the others have the names of a layer of {layout.framework}")
    arrays = {name: a for name, (_, a) in group.items()}
    layout = drop_bias(layout, arrays)
    try:
        find_for_arrays(infer_cell(layout, arrays), layout, tuple((name, a.shape) for name, a in arrays.items()))
    except Error as e:
        own = all(a.ndim < 3 for a in arrays.values()) and layout.framework == "onnx"
        raise ShapeError("interop", f"{place.strip('/.')!r} is no layer of {layout.framework}: {e.args[1]}",
                         **{"given": has, **e.notes},
                         fix="if they are parameters of a cell of rnnref: interop.dump(interop.layout_of("
                         '"lstm", "torch"), p, cell)' if own else "") from None
    if has_other_gates(layout, arrays):
        raise ShapeError("interop", f"{place.strip('/.')!r} is no layer of {layout.framework}: it has the gate blocks "
                         "of none", given=has)


def _name_like(name: str, known: str, full: str) -> str:
    """The full name of an array beside one whose full name is known: "rnn.weight_hh_l1" -> "rnn.weight_ih_l1"."""
    stem = known.removesuffix("_l0")
    before, _, after = full.rpartition(stem)
    return f"{before}{name.removesuffix('_l0')}{after}"
