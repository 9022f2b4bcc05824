"""Reads the weights of the RNN, LSTM and GRU nodes of ONNX graphs."""
from typing import Any, Optional

from ..arrays import Array
from ..errors import NotSupported, import_optional
from .convert import Weights
from .families import infer_cell, layout_of


def read_onnx_node(node: Any, initialisers: Any, cells: Optional[list] = None) -> list[tuple[Weights, ...]]:
    """The RNN, LSTM or GRU node of an ONNX graph: one layer, of one or two directions.

    initialisers   {name: array}, or the ModelProto or GraphProto that the node is of
    cells          one a direction, for a node with activations or clip of its own (`rnnref.onnx` makes them)
    Errors         NotSupported: weights that are computed in the graph, and activations or clip without `cells`
    """
    onnx = import_optional("onnx", "verify", "reading an ONNX node")
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    for name in ("activations", "clip"):
        if name in attributes and cells is None:
            raise NotSupported(node.op_type, f"{name}={attributes[name]!r} without cells", fix="give cells=")
    graph = getattr(initialisers, "graph", initialisers)
    if hasattr(graph, "initializer"):
        graph = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    inputs = dict(zip(("X", "W", "R", "B", "lengths", "h", "c", "P"), node.input))
    names: dict = {own: inputs[own] for own in "WRBP" if inputs.get(own)}
    missing = [own for own in "WR" if own not in names]
    if missing:
        raise NotSupported(node.op_type, f"a node {node.name!r} without its input {' and '.join(missing)}",
                           reason="these are its weights")
    computed = [name for name in names.values() if name not in graph]
    if computed:
        raise NotSupported(node.op_type, f"{' '.join(computed)}: no initialiser", reason="computed when the graph runs")
    arrays = {own: graph[name] for own, name in names.items()}
    return [tuple(_read_direction(node, attributes, {own: a[n:n + 1] for own, a in arrays.items()}, names,
                                  cells[n] if cells else None)._replace(
                                      reverse=bool(n) or attributes.get("direction") == b"reverse")
                  for n in range(len(arrays["W"])))]


def _read_direction(node: Any, attributes: dict, arrays: dict[str, Array], names: dict[str, str],
                    cell: Any) -> Weights:
    family = node.op_type.lower()
    family += " before" if family == "gru" and not attributes.get("linear_before_reset") else ""
    layout = layout_of(family, "onnx", "B" in arrays)
    options = {"coupled": "forget"} if attributes.get("input_forget") else {}
    return Weights(arrays, layout, cell or infer_cell(layout, arrays, **options), names)
