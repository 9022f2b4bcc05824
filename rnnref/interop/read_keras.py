"""Reads the weights of live layers of Keras 3."""
import sys
from typing import Any

import numpy

from ..errors import NotSupported, ShapeError, describe_type
from .convert import Weights
from .families import cell_for, layout_of, read_activations, read_conv_options
from .layouts import KERAS_ACTIVATIONS
from .places import arrays_of

_FAMILIES = {"SimpleRNNCell": "rnn", "LSTMCell": "lstm", "GRUCell": "gru", "ConvLSTMCell": "conv lstm"}


def read_keras_layer(layer: Any) -> list[tuple[Weights, ...]]:
    """SimpleRNN, LSTM, GRU, ConvLSTM1D to 3D, their cells, RNN of those, Bidirectional of those -> layers of
    directions.
    """
    version = sys.modules["keras"].__version__
    if not version.startswith("3"):
        raise NotSupported("keras", f"a live layer of Keras {version}", known="3",
                           fix='from its file: interop.pieces("model.h5", family, "keras2")')
    if hasattr(layer, "forward_layer"):
        forward, backward = read_keras_layer(layer.forward_layer), read_keras_layer(layer.backward_layer)
        merge = str(getattr(layer, "merge_mode", "concat"))
        return [tuple(w._replace(merge=merge) for w in (*directions, *reverse))
                for directions, reverse in zip(forward, backward)]
    cell = getattr(layer, "cell", layer)
    reverse = bool(getattr(layer, "go_backwards", False))
    return [(_read_cell(inner, reverse),) for inner in getattr(cell, "cells", [cell])]


def _read_cell(cell: Any, reverse: bool) -> Weights:
    kinds = [cls.__name__ for cls in type(cell).__mro__ if cls.__module__.startswith("keras.")]
    family = _FAMILIES.get(kinds[0])
    if family is None:
        raise NotSupported("keras", describe_type(cell), known="SimpleRNN, LSTM, GRU, ConvLSTM and their cells")
    if not cell.built:
        raise ShapeError("keras", f"{cell.name} has no weights yet", fix="call the layer, or layer.build(shape)")
    family = "gru before" if family == "gru" and not cell.reset_after else family
    options = read_activations(cell, family, "recurrent_activation", "activation", KERAS_ACTIVATIONS)
    layout = layout_of(family, "keras", cell.use_bias)
    values = {name: getattr(cell, name) for name in arrays_of(layout)}
    arrays = {name: numpy.asarray(sys.modules["keras"].ops.convert_to_numpy(v)) for name, v in values.items()}
    return Weights(arrays, layout, cell_for(family, layout, **options | read_conv_options(cell)),
                   {n: v.path for n, v in values.items()}, reverse)
