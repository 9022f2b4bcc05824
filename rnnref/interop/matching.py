"""Whether arrays have the shapes of a table, and the names of those that come in a list."""
from collections.abc import Sequence
from typing import Any

from ..arrays import Array
from ..errors import Error, NotSupported, ShapeError, describe_type, with_article
from .families import infer_cell
from .files import to_numpy
from .layouts import Layout
from .places import arrays_of, as_array, find_for_arrays


def name_arrays(layout: Layout, arrays: Sequence) -> dict[str, Array]:
    """Arrays in the order of Keras's get_weights() under the names of a table; of several layers "0/kernel" and so on.

    Errors   ShapeError: arrays that are not all of layers of this kind
    """
    names, given = list(arrays_of(layout)), [to_numpy(f"array {n}", a) for n, a in enumerate(arrays)]
    matrices = [name for name, row in arrays_of(layout).items() if row.ours in "WR"]
    layers, start = [], 0
    while start < len(given):
        count = next((count for count in (len(names), len(matrices))
                      if _is_layer(layout, given[start:start + count], names[:count])), 0)
        if not count:
            shapes = ", ".join(str(a.shape) for a in given)
            raise ShapeError("interop", f"a list of {len(given)} arrays, of which number {start + 1} does not begin "
                             f"those of {with_article(layout.who)}", shapes=shapes,
                             expected=f"{' '.join(names)}, layer by layer",
                             fix="for a model: give the model itself, or its file")
        layers.append(dict(zip(names, given[start:start + count])))
        start += count
    if len(layers) == 1:
        return layers[0]
    return {f"{n}/{name}": a for n, layer in enumerate(layers) for name, a in layer.items()}


def _is_layer(layout: Layout, arrays: list[Array], names: list[str]) -> bool:
    return len(arrays) == len(names) and fits(layout, dict(zip(names, arrays)))


def fits(layout: Layout, arrays: dict[str, Array]) -> bool:
    """True if these are the arrays of one layer, with or without biases."""
    if has_other_gates(layout, arrays):
        return False
    try:
        layout = drop_bias(layout, arrays)
        find_for_arrays(infer_cell(layout, arrays), layout, tuple((name, a.shape) for name, a in arrays.items()))
    except Error:
        return False
    return True


def has_other_gates(layout: Layout, arrays: dict[str, Array]) -> bool:
    """True if R has the shape of 1, 3 or 4 gates where the layout has another number."""
    row = next(row for row in layout.rows if row.ours == "R")
    axes = dict(zip(row.axes.split()[::-1], getattr(arrays.get(row.theirs), "shape", ())[::-1]))
    gates = len(row.gates or layout.gates)
    return "G" in axes and "H" in axes and axes["G"] in [n * axes["H"] for n in (1, 3, 4) if n != gates]


def drop_bias(layout: Layout, arrays: dict[str, Array]) -> Layout:
    """The layout of a layer without biases, if no array of one is there."""
    has_bias = any(row.ours in ("b", "bR") for name, row in arrays_of(layout).items() if name in arrays)
    return layout if has_bias else layout.without_bias()


def name_layer(layout: Layout, arrays: Any) -> dict[str, Array]:
    """The arrays of one layer by name, from a dict or a list; tensors become arrays of NumPy.

    Errors   ShapeError: a list of several layers, or of none; NotSupported: neither a dict nor a list
    """
    if isinstance(arrays, (list, tuple)):
        arrays = name_arrays(layout, arrays)
        count = len({name.partition("/")[0] for name in arrays if name not in arrays_of(layout)})
        if count:
            raise ShapeError("interop", f"a list of {count} layers, expected one", fix="pieces(...) takes them all")
    if not hasattr(arrays, "items"):
        raise NotSupported("interop", f"{describe_type(arrays)} as arrays", known="a dict by name, a list "
                           "in the order of get_weights()", fix="for a layer, a model or a file: find_weights(it)")
    return {name: to_numpy(name, a) if hasattr(a, "detach") else as_array(a) for name, a in arrays.items()}
