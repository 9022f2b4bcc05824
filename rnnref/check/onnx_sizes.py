"""Shapes of the values of an ONNX model before it is run, and what is too much for inputs that are drawn."""
from collections.abc import Callable
from math import prod
from typing import Any

from ..errors import Error, import_optional
from .onnx_graphs import RECURRENT, Node

_SMALL = 1 << 12                                  # bytes of a constant that may determine shapes
MOST_ENTRIES = 1 << 24                            # of an input that is drawn
MOST_STEPS = 1 << 16
_MOST_WORK = 2e10                                 # multiplications of one node


def infer_shapes(model: Any) -> dict[str, tuple[int | None, ...]]:
    """{name of a value in the main graph: its shape, None for an open axis}, as far as onnx knows them."""
    onnx = import_optional("onnx", "verify", "verify")
    inference = import_optional("onnx.shape_inference", "verify", "verify")
    light = onnx.ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    light.graph.node.extend(model.graph.node)
    light.graph.input.extend(model.graph.input)
    light.graph.output.extend(model.graph.output)
    for t in model.graph.initializer:
        if t.ByteSize() <= _SMALL:
            light.graph.initializer.append(t)
        else:
            light.graph.input.append(onnx.helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)))
    try:
        found = inference.infer_shapes(light, data_prop=True)
    except Exception:                             # of C++: no common class; onnxruntime names what is wrong
        return {}
    return {a.name: tuple(d.dim_value if d.HasField("dim_value") else None for d in a.type.tensor_type.shape.dim)
            for a in (*found.graph.input, *found.graph.value_info, *found.graph.output)
            if a.type.HasField("tensor_type") and a.type.tensor_type.HasField("shape")}


def check_steps(nodes: list[Node], shapes: dict[str, tuple], weights: Callable[[str], tuple[int, ...] | None]) -> None:
    """Raise for sequences that are too long for the reference.

    shapes    of values by name; None for an axis that is not known
    weights   the shape of a constant by its name, or None
    """
    for node in nodes:
        read = node.proto.input
        shape = shapes.get(read[0]) if node.proto.op_type in RECURRENT and len(read) > 2 else None
        if shape is None or len(shape) != 3:
            continue
        batch_first = any(a.name == "layout" and a.i for a in node.proto.attribute)
        T, B = ((n or 1) for n in (shape[1::-1] if batch_first else shape[:2]))
        work = T * B * sum(prod(weights(name) or (0,)) for name in read[1:3])
        if T > MOST_STEPS or work > _MOST_WORK:
            raise Error("verify", f"{node.title} gets {T:,} steps of {B:,} rows: {work:.0e} multiplications",
                        limit=f"{MOST_STEPS:,} steps, {_MOST_WORK:.0e} multiplications",
                        fix="give smaller shapes: --shapes NAME=1x160; or arrays: --inputs F.npz")
