"""The summary of a model: a table of its layers, as Keras prints it."""
import re
from math import prod
from shutil import get_terminal_size
from typing import Any, Callable, Optional, Sequence

import numpy

from ..errors import Error, ShapeError
from ..layers import InputLayer, Layer
from ..layers.nested import map_shapes
from ..nest import flatten, map_structure
from ..symbols import Call, Symbol, called
from .table import draw_table, split_widths

# Layers that Keras takes for built before they are called, and whose shapes it therefore sees from symbols alone.
AT_ONCE = {"Activation", "ActivityRegularization", "Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise",
           "GlobalAveragePooling1D", "GlobalMaxPooling1D", "Identity", "InputLayer", "ELU", "LeakyReLU", "ReLU",
           "Softmax", "Masking", "Reshape", "UnitNormalization"}


def print_summary(model: Any, line_length: Optional[int] = None, positions: Any = None,
                  print_fn: Optional[Callable] = None, expand_nested: bool = False, show_trainable: bool = False,
                  layer_range: Any = None) -> None:
    """Print what `Model.summary` describes."""
    graph = getattr(model, "_graph", None)
    operations = graph.operations if graph is not None and not hasattr(model, "add") else model.layers
    connected = graph is not None and not hasattr(model, "add") and not _is_chain(graph)
    header, ends, width = ["Layer (type)", "Output Shape", "Param #"], [0.45, 0.80, 1.0], 88
    if connected:
        header, ends, width = [*header, "Connected to"], [0.3, 0.56, 0.74, 1.0], 108
    ends = list(positions or ends)
    if show_trainable:
        header, ends, width = [*header, "Trainable"], [0.9 * end for end in ends] + [1.0], width + 12
    if len(ends) != len(header):
        raise ShapeError("summary", f"{len(ends)} positions, expected {len(header)}: where each of the columns "
                         f"{', '.join(header)} ends", hint="show_trainable=True adds its own")
    width = line_length or min(width, get_terminal_size().columns - 4)
    rows = [row for operation in _in_range(operations, layer_range)
            for row in _rows(operation, graph if connected else None, expand_nested, show_trainable)]
    align = ["left" if name != "Param #" else "right" for name in header]
    align = ["center" if name == "Trainable" else one for name, one in zip(header, align)]
    lines = [f'Model: "{model.name}"', *draw_table(header, rows, align, split_widths(width, ends)), *_totals(model)]
    (print_fn or print)("\n".join(lines) + ("\n" if print_fn else ""))


def _is_chain(graph: Any) -> bool:
    """Whether every call takes one symbol, no two are of one layer, and no two are as far from the outputs."""
    calls = [node for node in graph.nodes if isinstance(node, Call)]
    inputs = len(graph.nodes) - len(calls)
    layers = [id(call.f) for call in calls if isinstance(call.f, Layer)]
    return (inputs == 1 and len(set(layers)) == len(layers) and all(len(call.needs) == 1 for call in calls)
            and len(set(graph.depths)) == len(graph.nodes))


def _in_range(operations: list, layer_range: Any) -> list:
    """The operations from the first whose name matches to the last that does."""
    if layer_range is None:
        return operations
    if len(layer_range) != 2 or not all(isinstance(name, str) for name in layer_range):
        raise ShapeError("summary", f"layer_range={layer_range!r}, expected two names or regular expressions")
    found = [[k for k, a in enumerate(operations) if re.match(name, a.name)] for name in layer_range]
    for name, places in zip(layer_range, found):
        if not places:
            raise ShapeError("summary", f"layer_range: no layer is called {name!r}",
                             known=" ".join(a.name for a in operations))
    (start, *_), (*_, end) = found
    return operations[min(start, end):max(start, end) + 1]


def _rows(operation: Any, graph: Any, expand_nested: bool, show_trainable: bool, level: int = 0) -> list:
    """The row of a layer; of a model also those of the layers in it."""
    is_layer = isinstance(operation, Layer)
    kind = type(operation).__name__ if is_layer else _class_name(operation.f.__name__)
    params = f"{operation.count_params():,}" if is_layer else "0"
    if is_layer and not _is_built(operation):
        params = "0 (unbuilt)"
    row = [f"{'   ' * level + '└ ' if level else ''}{operation.name} ({kind})", _shape(operation), params]
    if graph is not None:
        row.append(_connections(operation, graph))
    if show_trainable:
        row.append("-" if not is_layer or not operation.weights else "Y" if operation.trainable else "N")
    inside = getattr(operation, "layers", None) if expand_nested else None
    return [row, *(r for a in inside or () for r in _rows(a, graph, expand_nested, show_trainable, level + 1))]


def _class_name(name: str) -> str:
    """What Keras calls the class of an operation: ExpandDims of expand_dims."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _shape(operation: Any) -> str:
    """The shape that the last call with symbols gave; where there was none, that for what it was built for."""
    if not isinstance(operation, Layer):
        return _written(flatten(operation.outs))
    if isinstance(operation, InputLayer):
        return _written(operation.output)
    if operation._calls:
        return _written(flatten(operation._calls[-1].outs))
    shapes = operation._built_for
    if len(shapes) != 1 or _is_built_at_once(operation):
        return "?"
    symbols = tuple(map_shapes(lambda s: Symbol(s, operation.dtype), shape) for shape in shapes)
    try:
        return _written(called(operation, symbols, {}))
    except (Error, NotImplementedError):
        return "?"


def _is_built(layer: Layer) -> bool:
    """Whether Keras takes it for built: one without weights too only once it is called."""
    return layer.built and (type(layer).build is not Layer.build or bool(layer._built_for) or _is_built_at_once(layer))


def _is_built_at_once(layer: Layer) -> bool:
    return any(cls.__name__ in AT_ONCE for cls in type(layer).__mro__)


def _written(symbols: Any) -> str:
    """Shapes as text: bare if it is one, else in the nest of the symbols."""
    shapes = map_structure(lambda s: f"({', '.join(map(str, s.shape))})" if isinstance(s, Symbol) else str(s), symbols)
    return flatten(shapes)[0] if len(flatten(shapes)) == 1 else str(shapes).replace("'", "")


def _connections(operation: Any, graph: Any) -> str:
    """Where the arguments of the calls in this graph come from: name[call][result]."""
    found = []
    for node in graph.nodes:
        if isinstance(node, Call) and graph.operation(node) is operation:
            for s in node.needs:
                origin = graph.origin(s)
                index = 0 if origin is s else origin.index
                found.append((node.order, f"{graph.operation(origin).name}[{index}][{0 if origin is s else s.place}]"))
    return ", ".join(text for _, text in sorted(found, key=lambda item: item[0])) or "-"


def _totals(model: Any) -> list:
    kinds = {"Trainable": model.trainable_weights, "Non-trainable": model.non_trainable_weights}
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and optimizer.built:
        kinds["Optimizer"] = optimizer.variables
    kinds = {"Total": [w for weights in kinds.values() for w in weights], **kinds}
    return [f" {kind} params: {sum(prod(w.shape) for w in weights):,} "
            f"({_memory(sum(prod(w.shape) * numpy.dtype(w.dtype).itemsize for w in weights))})"
            for kind, weights in kinds.items()]


def _memory(size: float) -> str:
    """A number of bytes with its unit.

    >>> _memory(936), _memory(2756)
    ('936.00 B', '2.69 KB')
    """
    units: Sequence = ("B", "KB", "MB", "GB", "TB", "PB")
    for unit in units[:-1]:
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} {units[-1]}"
