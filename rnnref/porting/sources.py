"""Reads the weights of anything that holds some: live layers, models, dicts, files, ONNX graphs, buffers of cuDNN."""
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy

from ..errors import FileError, NotSupported, import_optional
from ..files.onnx_models import load_model
from ..interop import (Weights, cell_for, cudnn, dump, family_named, find_weights, framework_named, layout_of,
                       read_onnx_node)
from ..interop.containers import check_told, select_told
from ..interop.files import naming_source
from ..onnx.node import cell_of

READABLE = (".npz", ".npy", ".safetensors", ".h5", ".hdf5", ".keras", ".pt", ".pth", ".onnx")
_RECURRENT = ("RNN", "GRU", "LSTM")
_DOMAINS = ("", "ai.onnx")


def find_source_weights(source: Any, framework: Any = None, family: str | None = None,
                        given: Mapping[str, Any] | None = None, params: Any = None) -> dict[str, Weights]:
    """{place: Weights} of all recurrent layers in a source, as `convert` takes it."""
    with naming_source(source):
        return _find_weights(source, framework, family, given, params)


def _find_weights(source: Any, framework: Any, family: str | None, given: Mapping[str, Any] | None, params: Any,
                  ) -> dict[str, Weights]:
    if is_onnx(source):
        check_told("an ONNX model", params=params, **given or {})
        return select_told("an ONNX model", _read_graph(source), *_name_told(family, framework))
    if isinstance(source, tuple) and len(source) == 2 and isinstance(source[0], cudnn.Network):
        check_told("a buffer of cuDNN", framework=framework, params=params, **given or {})
        return select_told("a buffer of cuDNN", _read_buffer(*source), *_name_told(family, None))
    if isinstance(source, list) and source and all(isinstance(layer, tuple) for layer in source):
        check_told("a list of layers", params=params, **given or {})
        found = {f"_l{n}{'_reverse' * k}": w for n, layer in enumerate(source) for k, w in enumerate(layer)}
        return select_told("a list of layers", found, *_name_told(family, framework))
    return find_weights(source, params, family, _name_told(None, framework)[1], **given or {})


def is_onnx(source: Any) -> bool:
    """True for an ONNX file, model or graph."""
    if isinstance(source, (str, PathLike)):
        return Path(source).suffix.lower() == ".onnx"
    return type(source).__module__.partition(".")[0] == "onnx" and hasattr(getattr(source, "graph", source), "node")


def _name_told(family: Any, framework: Any) -> tuple[str | None, str | None]:
    """A family and a framework by the names of their tables."""
    return (None if family is None else family_named(family), None if framework is None else framework_named(framework))


def _read_graph(source: Any) -> dict[str, Weights]:
    """The weights of the recurrent nodes of a graph, with the cells that their attributes ask for."""
    onnx = import_optional("onnx", "verify", "reading an ONNX model")
    model = load_model(source) if isinstance(source, (str, PathLike)) else source
    graph = getattr(model, "graph", model)
    nodes = [node for node in graph.node if node.op_type in _RECURRENT and node.domain in _DOMAINS]
    values = _read_tensors(onnx, graph, {name for node in nodes for name in node.input})
    if not nodes:
        raise NotSupported("convert", "a model without a node RNN, GRU or LSTM",
                           has=" ".join(sorted({f"{node.domain}.{node.op_type}".lstrip(".") for node in graph.node})))
    found: dict[str, Weights] = {}
    for node in nodes:
        for place, w in _read_node(onnx, node, values):
            if place in found:                    # names of nodes need not differ, those of outputs must
                place = f"{place} -> {next(filter(None, node.output), '')}"
            if place in found:
                raise FileError("convert", f"two nodes that both make {place!r}", reason="no model of ONNX has these")
            found[place] = w
    return found


def _read_tensors(onnx: Any, graph: Any, names: set[str]) -> dict[str, Any]:
    """{name: array} of the constants that have these names."""
    tensors = {t.name: t for t in graph.initializer}
    tensors |= {node.output[0]: a.t for node in graph.node if node.op_type == "Constant" and node.output
                for a in node.attribute if a.name == "value"}
    found = {}
    for name in names & tensors.keys():
        try:
            found[name] = onnx.numpy_helper.to_array(tensors[name])
        except Exception as e:                    # of a broken tensor: no common class
            raise FileError("convert", f"the tensor {name} cannot be read", reason=" ".join(str(e).split())) from None
    return found


def _read_node(onnx: Any, node: Any, values: dict) -> Iterator[tuple[str, Weights]]:
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    weights = {own: values[name] for own, name in zip("WRB", node.input[1:4]) if name in values}
    if len(node.input) > 7 and node.input[7] in values:
        weights["P"] = values[node.input[7]]
    cells: Any = None
    if {"W", "R"} <= weights.keys():
        x = numpy.zeros((1, 1, numpy.atleast_1d(weights["W"]).shape[-1]), weights["W"].dtype)
        made, _ = cell_of(node.op_type, {"X": x, **weights}, attributes)
        cells = getattr(made, "cells", (made,))
    title = (node.name or f"{node.op_type} -> {next(filter(None, node.output), '')}").strip("/")
    (layer,) = read_onnx_node(node, values, cells)
    for k, w in enumerate(layer):
        yield f"{title}/{('forward', 'backward')[k]}" if len(layer) > 1 else title, w


def _read_buffer(network: cudnn.Network, buffer: Any) -> dict[str, Weights]:
    """The layers of a buffer of cuDNN, as torch has them: its matrices are the same."""
    family, _, activation = network.mode.partition("_")
    layout, found = layout_of(family, "torch"), {}
    options: dict[str, Any] = {"activation": activation} if activation else {}
    options |= {"projection": network.projection} if network.projection else {}
    cell = cell_for(family, layout, **options)
    for n, p in enumerate(network.ours(*network.split(buffer))):
        layer, back = divmod(n, len(network.ways))
        arrays = dump(layout, p, cell)
        names = {name: name for name in arrays}
        found[f"_l{layer}{'_reverse' * back}"] = Weights(arrays, layout, cell, names, bool(back))
    return found
