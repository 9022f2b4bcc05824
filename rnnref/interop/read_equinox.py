"""Reads the weights of live cells of equinox."""
from typing import Any

from ..errors import NotSupported, describe_type
from .convert import Weights
from .families import cell_for, layout_of
from .files import to_numpy
from .places import arrays_of

_FAMILIES = {"LSTMCell": "lstm", "GRUCell": "gru"}


def read_equinox_cell(cell: Any) -> list[tuple[Weights, ...]]:
    """equinox.nn.LSTMCell and GRUCell -> one layer of one direction."""
    kind = next((cls.__name__ for cls in type(cell).__mro__ if cls.__name__ in _FAMILIES), "")
    if not kind:
        raise NotSupported("equinox", describe_type(cell), known="equinox.nn.LSTMCell, GRUCell")
    family = _FAMILIES[kind]
    layout = layout_of(family, "equinox", bool(cell.use_bias))
    arrays = {name: to_numpy(name, getattr(cell, name)) for name in arrays_of(layout)}
    return [(Weights(arrays, layout, cell_for(family, layout), {name: name for name in arrays}),)]
