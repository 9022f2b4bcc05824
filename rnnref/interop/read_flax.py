"""Reads the weights of live modules of flax, nnx and linen."""
import sys
from typing import Any

from ..errors import NotSupported, ShapeError, describe_type
from .convert import Weights
from .families import layout_of, read_activations, read_conv_options
from .files import read
from .groups import group_arrays, pieces
from .identify import framework_of
from .layouts import make_activations

_FAMILIES = {"SimpleCell": "rnn", "LSTMCell": "lstm", "OptimizedLSTMCell": "lstm", "GRUCell": "gru", "MGUCell": "mgu",
             "ConvLSTMCell": "conv lstm"}
FLAX_ACTIVATIONS = make_activations(
    sigmoid="sigmoid", tanh="tanh", relu="relu", relu6="relu6", elu="elu", selu="selu", silu="swish",
    softplus="softplus", soft_sign="softsign", hard_sigmoid="hard_sigmoid@keras3", hard_tanh="hard_tanh",
    leaky_relu="leaky_relu", mish="mish", identity="linear")


def read_flax_module(module: Any, params: Any = None) -> list[tuple[Weights, ...]]:
    """nnx and linen: SimpleCell, LSTMCell, OptimizedLSTMCell, GRUCell, linen MGUCell, ConvLSTMCell; RNN and
    Bidirectional of those -> layers of directions.

    params   of a linen module
    """
    is_nnx = framework_of(module) == "nnx"
    if not is_nnx and params is None:
        raise NotSupported("flax", "a linen module without params", fix="give them: params=params")
    if is_nnx:
        nnx = sys.modules["flax.nnx"]
        params = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    params = dict(params.get("params", params))
    if hasattr(module, "forward_rnn"):
        halves = [(getattr(module, name), f"{name}/cell/") for name in ("forward_rnn", "backward_rnn")]
        shared = "backward_rnn" not in params     # one cell in both directions: its weights are there once
        return [tuple(_read_cell(half.cell, params, halves[0][1] if shared else place, bool(k))
                      for k, (half, place) in enumerate(halves))]
    if hasattr(module, "cell"):
        return [(_read_cell(module.cell, params, "cell/", module.reverse),)]
    return [(_read_cell(module, params, ""),)]


def _read_cell(cell: Any, params: dict, place: str, reverse: bool = False) -> Weights:
    kinds = [cls.__name__ for cls in type(cell).__mro__ if cls.__module__.startswith("flax.")]
    kind = next((kind for kind in kinds if kind in _FAMILIES), "")
    if not kind:
        raise NotSupported("flax", describe_type(cell), known=" ".join(_FAMILIES))
    family, is_nnx = _FAMILIES[kind], framework_of(cell) == "nnx"
    family = "ugrnn" if family == "mgu" and not cell.reset_gate else family
    framework = ("nnx optimized" if kind == "OptimizedLSTMCell" else "nnx") if is_nnx else "flax"
    options = read_activations(cell, family, "gate_fn", "activation_fn", FLAX_ACTIVATIONS) | read_conv_options(cell)
    options |= {"residual": True} if getattr(cell, "residual", False) else {}
    if place not in group_arrays(layout_of(family, framework), read(params)):
        raise ShapeError("flax", f"{place or 'the top level'} holds no weights of {kind}", given=" ".join(read(params)))
    return pieces(params, family, framework, **options)[place]._replace(reverse=reverse)
