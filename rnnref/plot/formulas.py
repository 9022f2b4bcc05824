"""What a cell computes in the words of a drawing: formulas of its maps, names of functions, sizes."""
from typing import Any

from ..elementwise import Activation
from ..maps.composed import Chain, ConcatInput
from ..maps.conv import Conv
from ..maps.dense import Dense, Diagonal, Grouped
from ..maps.normed import LayerNorm, WeightNorm


def _size(cell: Any, axes: str) -> str:
    """"[I, 4U]" for the axes "I G" of a parameter."""
    letters = {"G": f"{len(cell.gates)}U" if len(cell.gates) > 1 else "U", "H": width_of(cell, "H")}
    parts = [f"{a.count('U')}U" if set(a) == {"U", "+"} else "".join(letters.get(letter, letter) for letter in a)
             for a in axes.split()]
    return f"[{', '.join(parts)}]"


def row_size(cell: Any, width: str) -> str:
    """"[B, U]", or "[B, *S, U]" where rows have axes of space."""
    return f"[B, *S, {width}]" if cell.inputs.space else f"[B, {width}]"


def width_of(cell: Any, axis: str) -> str:
    """The letter of an axis of the state, for the cell at hand."""
    return "H" if axis == "H" and cell.projection else "U"


def describe_parameters(cell: Any) -> str:
    """All parameters with their sizes, those of one size together, and the order of the gate blocks."""
    groups: dict[tuple, list] = {}
    for name, axes in cell.axes().items():
        groups.setdefault((axes, name[:2] if name.startswith("Wp") else name), []).append(name)
    parts = [f"{' '.join(names)} {_size(cell, axes)}" for (axes, _), names in groups.items()]
    if len(cell.gates) > 1:
        parts.append(f"gate blocks {' '.join(cell.gates)}")
    return "    ".join(parts)


def _symbol(name: str) -> str:
    """The name of a parameter in a formula."""
    if name == "bR":
        return "b^R"
    head, tail = name[:1], name[1:]
    return head + (f"_{{{tail}}}" if tail else "")


def label_of(function: Activation) -> str:
    """What stands in the box of an activation; σ for the sigmoid."""
    name = function.name.partition("@")[0]
    return {"sigmoid": "$\\sigma$", "linear": "id"}.get(name, name.replace("_", "\n"))


def formula_of(m: Any, x: str, blocks: str = "") -> str:
    """What a map computes, as a formula; with the blocks of its matrix that are meant."""
    bias = f" + {_symbol(m.b)}" if getattr(m, "b", None) else ""
    if isinstance(m, WeightNorm):
        return f"{x}\\,\\bar{{{_symbol(m.W)}}}{bias}"
    if isinstance(m, Diagonal):
        return f"{x} \\odot {_symbol(m.R)}{blocks}"
    if isinstance(m, Conv):
        return f"{x} * {_symbol(m.W)}{bias}"
    if isinstance(m, LayerNorm):
        return f"\\mathrm{{norm}}({formula_of(m.map, x)})" + (f" + {_symbol(m.shift)}" if m.shift else "")
    if isinstance(m, (Dense, Grouped)):
        return f"{x}\\,{_symbol(m.W)}{blocks}{bias}"
    if isinstance(m, ConcatInput):
        return f"[{formula_of(m.map, x)},\\;{x}]"
    if isinstance(m, Chain):
        inside, name = formula_of(m.first, x), m.activation.name.partition("@")[0].replace("_", "\\_")
        inside = inside if name == "linear" else f"\\mathrm{{{name}}}({inside})"
        return f"{formula_of(m.then, 'n')}$\n$n = {inside}"
    return f"\\mathrm{{{type(m).__name__}}}({x})"
