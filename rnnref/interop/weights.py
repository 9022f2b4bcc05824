"""Arrays out of live objects and files, under the names of the tables.  (floor 4)

Frameworks are not imported: whoever has a module of theirs has imported it.
"""
import re
import sys
from typing import Any, NamedTuple

import numpy

from ..errors import NotSupported, ShapeError, import_optional
from .places import arrays_of
from .convert import load
from .files import to_numpy, read
from .layouts import KERAS_ACTIVATIONS, TORCH_ACTIVATIONS, Layout, make_activations
from .families import cell_for, infer_cell, layout_of


class Weights(NamedTuple):
    """One layer in one direction."""
    arrays: dict                                  # under the names of the table
    layout: Layout
    cell: Any                                     # ours, which computes the same
    names: dict                                   # name of the table -> name in the source

    def load(self):
        """The parameters of `cell`."""
        return load(self.layout, self.arrays, self.cell)

    def renamed(self, arrays):
        """Arrays under the names of the table -> under those of the source, to put them back."""
        return {self.names[name]: a for name, a in arrays.items()}


def weights_of(thing, params=None):
    """The weights of a live torch module, Keras layer or flax module: a list of layers, each a tuple of directions.

    params   of a flax linen module, which does not hold them itself
    Errors   NotSupported: what is none of these, or has an option that we do not have, by name
    """
    homes = {cls.__module__.partition(".")[0] for cls in type(thing).__mro__}
    if "keras" in homes:                          # first: on the torch back end a layer is a torch module too
        return read_keras_layer(thing)
    if "torch" in homes:
        return read_torch_module(thing)
    if "flax" in homes:
        return read_flax_module(thing, params)
    raise NotSupported("weights_of", f"a {type(thing).__name__}", known="torch modules, Keras layers, flax modules",
                       fix="for a dict or a file: sources.pieces(it, family, framework)")


def pieces(source, family, framework, **options):
    """{place: Weights} of every layer of a kind in a dict or a file; the place is what stands around the names.

    Arrays of a layer that has none of the biases are taken as of a layer made without.  What belongs to no such layer
    is left out, and so are layers whose gates tell another family.

    >>> import numpy as np
    >>> state = {f"rnn.{w}h_l1": np.ones((4, 4)) for w in ("weight_i", "weight_h")}
    >>> found = pieces(state, "rnn", "torch")
    >>> list(found), sorted(found["rnn._l1"].arrays)
    (['rnn._l1'], ['weight_hh_l0', 'weight_ih_l0'])
    """
    layout = layout_of(family, framework)
    if isinstance(source, (list, tuple)):         # as Keras' get_weights() gives them
        source = dict(zip(arrays_of(layout), source))
    groups: dict = {}
    for full, a in read(source).items():
        name, place = _match_name(layout, full)
        if name:
            groups.setdefault(place, {})[name] = full, a
    needed = [name for name, row in arrays_of(layout).items() if row.ours in "WR"]
    whole = {place: ({n: a for n, (_, a) in group.items()}, {n: full for n, (full, _) in group.items()})
             for place, group in groups.items() if all(n in group for n in needed)}
    return {place: _make_weights(layout, arrays, names, options) for place, (arrays, names) in whole.items()
            if not _has_other_gates(layout, arrays)}


def _has_other_gates(layout, arrays):
    """Whether the shape of R says 1, 3 or 4 gates where the layout has another number."""
    row = next(row for row in layout.rows if row.ours == "R")
    axes = dict(zip(row.axes.split()[::-1], getattr(arrays.get(row.theirs), "shape", ())[::-1]))
    return "G" in axes and "H" in axes and axes["G"] in [n * axes["H"] for n in (1, 3, 4) if n != len(layout.gates)]


def _match_name(layout, full):
    """The name of the table that `full` ends with, and what is around it; torch numbers layers behind the name."""
    for name in sorted(arrays_of(layout), key=len, reverse=True):
        stem = name.removesuffix("_l0")
        suffix = r"_l\d+(?:_reverse)?" if stem != name else ""
        match = re.fullmatch(rf"(|.*[./]){re.escape(stem)}({suffix})", full)
        if match:
            return name, "".join(match.groups())
    return None, None


def _make_weights(layout, arrays, names, options):
    """Of arrays from a file, where nothing else says how the layer was made."""
    if not any(row.ours in ("b", "bR") for name, row in arrays_of(layout).items() if name in arrays):
        layout = layout.without_bias()
    return Weights(arrays, layout, infer_cell(layout, arrays, **options), names)


def read_torch_module(module):
    """torch.nn.RNN, LSTM, GRU with any number of layers and directions, and their cells."""
    nn = sys.modules["torch"].nn
    if isinstance(module, nn.RNNCellBase):
        family = {nn.RNNCell: "rnn", nn.LSTMCell: "lstm", nn.GRUCell: "gru"}
        found = [family[cls] for cls in type(module).__mro__ if cls in family]
        options = {"activation": TORCH_ACTIVATIONS[module.nonlinearity]} if found == ["rnn"] else {}
        return [(_read_torch_direction(module, found[0], "torch cell", "", options),)]
    if not isinstance(module, nn.RNNBase):
        raise NotSupported("torch", f"a {type(module).__name__}", known="nn.RNN, nn.LSTM, nn.GRU and their cells")
    family, _, activation = module.mode.lower().partition("_")
    options = {"activation": TORCH_ACTIVATIONS[activation]} if activation else {}
    options |= {"projection": module.proj_size} if module.proj_size else {}
    return [tuple(_read_torch_direction(module, family, "torch", f"_l{n}{way}", options)
                  for way in ("", "_reverse")[:1 + module.bidirectional]) for n in range(module.num_layers)]


def _read_torch_direction(module, family, framework, suffix, options):
    layout = layout_of(family, framework, module.bias)
    cell = cell_for(family, layout, **options)
    rows = arrays_of(layout).items()
    names = {name: name.removesuffix("_l0") + suffix for name, row in rows if row.ours != "P" or cell.projection}
    return Weights({n: to_numpy(full, getattr(module, full)) for n, full in names.items()}, layout, cell, names)


def read_keras_layer(layer):
    """Keras 3: SimpleRNN, LSTM, GRU, ConvLSTM1D to 3D, their cells, RNN of those, Bidirectional of those."""
    version = sys.modules["keras"].__version__
    if not version.startswith("3"):
        raise NotSupported("keras", f"a live layer of Keras {version}", known="3",
                           fix='from its file: sources.pieces("model.h5", family, "keras2")')
    if hasattr(layer, "forward_layer"):
        ways = [read_keras_layer(one) for one in (layer.forward_layer, layer.backward_layer)]
        return [ahead + back for ahead, back in zip(*ways)]
    cell = getattr(layer, "cell", layer)
    return [(_read_keras_cell(one),) for one in getattr(cell, "cells", [cell])]


def _read_keras_cell(cell):
    kinds = [cls.__name__ for cls in type(cell).__mro__ if cls.__module__.startswith("keras.")]
    family = {"SimpleRNNCell": "rnn", "LSTMCell": "lstm", "GRUCell": "gru", "ConvLSTMCell": "conv lstm"}.get(kinds[0])
    if family is None:
        raise NotSupported("keras", f"a {type(cell).__name__}", known="SimpleRNN, LSTM, GRU, ConvLSTM and their cells")
    if not cell.built:
        raise ShapeError("keras", f"{cell.name} has no weights yet", fix="call the layer, or layer.build(shape)")
    family = "gru before" if family == "gru" and not cell.reset_after else family
    options = read_activations(cell, family, "recurrent_activation", "activation", KERAS_ACTIVATIONS) | read_conv_options(cell)
    layout = layout_of(family, "keras", cell.use_bias)
    values = {name: getattr(cell, name) for name in arrays_of(layout)}
    arrays = {name: numpy.asarray(sys.modules["keras"].ops.convert_to_numpy(v)) for name, v in values.items()}
    return Weights(arrays, layout, cell_for(family, layout, **options), {n: v.path for n, v in values.items()})


def read_conv_options(cell):
    """Our options for the convolutions of a cell of Keras or flax, if it has any."""
    if not hasattr(cell, "kernel_size"):
        return {}
    refused = {"data_format": "channels_last", "groups": 1}
    for name, known in refused.items():
        if getattr(cell, name, known) != known:
            raise NotSupported(type(cell).__name__, f"{name}={getattr(cell, name)!r}", known=f"{name}={known!r}")
    if not isinstance(cell.padding, str):
        raise NotSupported(type(cell).__name__, f"padding={cell.padding!r}", known="'SAME'")
    spread = {"strides": tuple(cell.strides or ()), "dilation": tuple(getattr(cell, "dilation_rate", ()))}
    return {"kernel": tuple(cell.kernel_size), "padding": cell.padding.lower()} | {
        name: n for name, n in spread.items() if max(n, default=1) > 1}


_FLAX_FAMILIES = {"SimpleCell": "rnn", "LSTMCell": "lstm", "OptimizedLSTMCell": "lstm", "GRUCell": "gru",
        "MGUCell": "mgu", "ConvLSTMCell": "conv lstm"}
FLAX_ACTIVATIONS = make_activations(sigmoid="sigmoid", tanh="tanh", relu="relu", relu6="relu6", elu="elu", selu="selu", silu="swish",
                  softplus="softplus", soft_sign="softsign", hard_sigmoid="hard_sigmoid@keras3", hard_tanh="hard_tanh",
                  leaky_relu="leaky_relu", mish="mish", identity="linear")


def read_activations(cell, family, gate, other, table):
    """Our options for the activations of their cell, which has the two attributes `gate` and `other`."""
    lstm = {"gate": gate, "candidate": other, "output": other}
    ours = {"rnn": {"activation": other}, "lstm": lstm, "conv lstm": lstm if hasattr(cell, other) else {}}
    found = {}
    for option, attribute in ours.get(family, {"gate": gate, "candidate": other}).items():
        theirs = getattr(cell, attribute)
        name = getattr(theirs, "__name__", repr(theirs))
        if name not in table:
            raise NotSupported(type(cell).__name__, f"{attribute}={name}", known=" ".join(table))
        found[option] = table[name]
    return found


def read_flax_module(module, params=None):
    """nnx and linen: SimpleCell, LSTMCell, OptimizedLSTMCell, GRUCell, linen MGUCell, ConvLSTMCell; RNN and
    Bidirectional of those.
    """
    nnx = ".nnx." in type(module).__module__
    if not nnx and params is None:
        raise NotSupported("flax", "a linen module without params", fix="weights_of(module, params)")
    if nnx:
        state = sys.modules["flax.nnx"]
        params = state.to_pure_dict(state.state(module, state.Param))
    params = dict(params.get("params", params))
    if hasattr(module, "forward_rnn"):
        return [tuple(_read_flax_cell(getattr(module, way).cell, params, f"{way}/cell/")
                      for way in ("forward_rnn", "backward_rnn"))]
    return [(_read_flax_cell(module.cell, params, "cell/") if hasattr(module, "cell") else _read_flax_cell(module, params, ""),)]


def _read_flax_cell(cell, params, place):
    kind = type(cell).__name__
    if kind not in _FLAX_FAMILIES:
        raise NotSupported("flax", f"a {kind}", known=" ".join(_FLAX_FAMILIES))
    for name, known in {"residual": False, "reset_gate": True}.items():
        if getattr(cell, name, known) != known:
            raise NotSupported("flax", f"{kind}({name}={not known})", known=f"{name}={known}")
    family, nnx = _FLAX_FAMILIES[kind], ".nnx." in type(cell).__module__
    framework = ("nnx optimized" if kind == "OptimizedLSTMCell" else "nnx") if nnx else "flax"
    options = read_activations(cell, family, "gate_fn", "activation_fn", FLAX_ACTIVATIONS) | read_conv_options(cell)
    found = pieces(params, family, framework, **options)
    if place not in found:
        raise ShapeError("flax", f"{place or 'the top level'} holds no weights of {kind}",
                         given=" ".join(read(params)))
    return found[place]


def read_onnx_node(node, initialisers, cells=None):
    """The RNN, LSTM or GRU node of an ONNX graph: one layer, one or two directions.

    initialisers   {name: array}, or the ModelProto or GraphProto that the node is of
    cells          one a direction, for a node with activations or clip of its own (`rnnref.onnx` makes them)
    Errors         NotSupported: weights that are computed in the graph, and activations or clip without `cells`
    """
    onnx = import_optional("onnx", "verify", "reading an ONNX node")
    told = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    for name in ("activations", "clip"):
        if name in told and cells is None:
            raise NotSupported(node.op_type, f"{name}={told[name]!r} without cells", fix="give cells=")
    graph = getattr(initialisers, "graph", initialisers)
    if hasattr(graph, "initializer"):
        graph = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    inputs = dict(zip(("X", "W", "R", "B", "lengths", "h", "c", "P"), node.input))
    names: dict = {theirs: inputs[theirs] for theirs in "WRBP" if inputs.get(theirs)}
    lacks = [name for name in names.values() if name not in graph]
    if lacks:
        raise NotSupported(node.op_type, f"{' '.join(lacks)}: no initialiser", reason="computed when the graph runs")
    arrays = {theirs: graph[name] for theirs, name in names.items()}
    return [tuple(_read_onnx_direction(node, told, {theirs: a[n:n + 1] for theirs, a in arrays.items()}, names,
                            cells[n] if cells else None) for n in range(len(arrays["W"])))]


def _read_onnx_direction(node, attributes, arrays, names, cell):
    family = node.op_type.lower()
    family += " before" if family == "gru" and not attributes.get("linear_before_reset") else ""
    layout = layout_of(family, "onnx", "B" in arrays)
    options = {"coupled": "forget"} if attributes.get("input_forget") else {}
    return Weights(arrays, layout, cell or infer_cell(layout, arrays, **options), names)
