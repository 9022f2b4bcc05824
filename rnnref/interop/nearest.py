"""The model of a framework that comes nearest to a layer which it does not have."""
from typing import Any, Optional

from ..arrays import Array, namespace
from ..errors import NotSupported
from .adapt import concatenate_gates, shift_forget_bias, split_by_gate, uncouple
from .convert import Weights, dump, gates_with_own_bias
from .families import cell_for, traits
from .layouts import LAYOUTS, Layout

_NOT_CARRIED = ("forget_bias", "bias", "recurrent_bias", "cell_clip_gradient", "reset", "keeps")
_OTHER_RESET = {"gru": "gru before", "gru before": "gru"}


def approximate(w: Weights, framework: str) -> Optional[tuple[Weights, list[str]]]:
    """A layer of a framework with the weights of `w`, and in words what it leaves out or does otherwise.

    None where it has no such layer, or weights of these shapes have no place in it.
    """
    family = w.layout.family
    layout = LAYOUTS.get((family, framework)) or LAYOUTS.get((_OTHER_RESET.get(family, ""), framework))
    if layout is None:
        return None
    carried, lost = _choose_options(layout, traits(w.cell))
    if lost & {"projection", "kernel", "recurrent_kernel", "strides", "padding", "dilation"}:
        return None
    new = cell_for(layout.family, layout, **carried)
    p, merged = _carry_parameters(w, layout, new)
    arrays = dump(layout, p, new)
    words = [*_describe_lost(traits(w.cell), traits(new), lost), *merged]
    return w._replace(arrays=arrays, layout=layout, cell=new, names={name: name for name in arrays}), words


def _choose_options(layout: Layout, options: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """The options that a layer of the framework can have, and the names of those that it cannot."""
    default, carried, lost = traits(cell_for(layout.family, layout)), {}, set()
    names = [name for name, value in options.items() if name not in _NOT_CARRIED and value != default.get(name)]
    together = [key.split() for key in layout.takes if " " in key and set(key.split()) & set(names)]
    groups = together + [[name] for name in names if not any(name in group for group in together)]
    for group in groups:
        given = {name: options[name] for name in group}
        try:
            cell_for(layout.family, layout, **carried, **given)
        except NotSupported:
            lost |= set(group)
        else:
            carried |= given
    return carried, lost


def _carry_parameters(w: Weights, layout: Layout, new: Any) -> tuple[dict[str, Array], list[str]]:
    """The parameters of `new` with the numbers of `w`, and what was done to them that changes the outputs."""
    a, b, q, words = traits(w.cell), traits(new), split_by_gate(w.cell, w.load()), []
    try:
        uncouple(w.cell.name, q, a, b)
    except NotSupported:
        words.append("with the gates i and f coupled")
    shift_forget_bias(q, a, b, 1)
    own = gates_with_own_bias(layout, new)
    for gate, bias in q.get("bR", {}).items():
        if gate not in own:
            q["b"][gate] = q["b"][gate] + bias
            q["bR"][gate] = namespace(bias).zeros_like(bias)
            if gate == "n" and "after" in (a.get("reset"), b.get("reset")) and bias.any():
                words.append("with bR_n added to b_n, outside of the reset")
    for gate in q["Wp"] if not b.get("peepholes") else ():
        q["Wp"][gate] = namespace(q["Wp"][gate]).zeros_like(q["Wp"][gate])
    return concatenate_gates(w.cell.name, q, new), words


def _describe_lost(a: dict[str, Any], b: dict[str, Any], lost: set[str]) -> list[str]:
    """In words, how the options differ."""
    if a.get("reset") != b.get("reset"):
        lost = lost | {"reset"}
    special = {"peepholes": "without peepholes", "reset": f"with the reset {b.get('reset')} the product with R",
               "coupled": ""}
    return list(filter(None, (special.get(name, f"with {name}={b.get(name)}") for name in a if name in lost)))
