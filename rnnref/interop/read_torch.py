"""Reads the weights of live torch.nn modules."""
import sys
from typing import Any

from ..errors import NotSupported, describe_type
from .convert import Weights
from .families import cell_for, layout_of
from .files import to_numpy
from .identify import is_scripted, original_name
from .layouts import TORCH_ACTIVATIONS
from .places import arrays_of


def read_torch_module(module: Any) -> list[tuple[Weights, ...]]:
    """torch.nn.RNN, LSTM, GRU with any number of layers and directions, and their cells -> layers of directions."""
    nn = sys.modules["torch"].nn
    families, name = {nn.RNNCell: "rnn", nn.LSTMCell: "lstm", nn.GRUCell: "gru"}, original_name(module)
    scripted = {cls.__name__: family for cls, family in families.items()} if is_scripted(module) else {}
    if isinstance(module, nn.RNNCellBase) or name in scripted:
        family = scripted.get(name) or next(families[cls] for cls in type(module).__mro__ if cls in families)
        options = {"activation": TORCH_ACTIVATIONS[module.nonlinearity]} if family == "rnn" else {}
        return [(_read_direction(module, family, "torch cell", "", options),)]
    if not isinstance(module, nn.RNNBase) and not (is_scripted(module) and name in ("RNN", "LSTM", "GRU")):
        raise NotSupported("torch", describe_type(module), known="nn.RNN, nn.LSTM, nn.GRU and their cells")
    family, _, activation = module.mode.lower().partition("_")
    options = {"activation": TORCH_ACTIVATIONS[activation]} if activation else {}
    options |= {"projection": module.proj_size} if module.proj_size else {}
    return [tuple(_read_direction(module, family, "torch", f"_l{n}{suffix}", options)
                  for suffix in ("", "_reverse")[:1 + module.bidirectional]) for n in range(module.num_layers)]


def _read_direction(module: Any, family: str, framework: str, suffix: str, options: dict) -> Weights:
    layout = layout_of(family, framework, module.bias)
    cell = cell_for(family, layout, **options)
    names = {name: name.removesuffix("_l0") + suffix for name, row in arrays_of(layout).items()
             if row.ours != "P" or cell.projection}
    arrays = {n: to_numpy(full, getattr(module, full)) for n, full in names.items()}
    return Weights(arrays, layout, cell, names, suffix.endswith("_reverse"))
