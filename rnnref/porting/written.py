"""Writes converted weights to a file: .npz, .safetensors, .h5, or an ONNX model that computes the layers."""
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy

from ..arrays import asnumpy
from ..elementwise import Activation
from ..errors import NotSupported, import_optional
from ..files.atomic import replace_file, to_path
from ..files.hdf5 import write_h5
from ..files.npz import write_npz
from ..files.tensors import write_safetensors
from ..interop import traits
from ..onnx.attributes import FUNCTIONS
from .conversion import Conversion
from .stacks import Stack, name_arrays

_OPSET, _IR_VERSION = 17, 8
_STATES = {"lstm": ("h", "c")}


def write_conversion(conversion: Conversion, path: Any) -> None:
    """Write the arrays to a file, of the kind that its ending says; .onnx becomes a model of the layers.

    Errors   NotSupported: another ending, or .onnx for weights that are not those of ONNX
    """
    suffix = Path(to_path("convert", path)).suffix.lower()
    if suffix not in WRITERS:
        raise NotSupported("convert", f"writing a file {suffix or path!r}", known=" ".join(WRITERS))
    WRITERS[suffix](path, conversion)


def _write_arrays(write: Callable, path: Any, conversion: Conversion) -> None:
    write("convert", path, {name: asnumpy(a) for name, a in conversion.items()})


def _write_onnx(path: Any, conversion: Conversion) -> None:
    if conversion.framework != "onnx":
        raise NotSupported("convert", f"writing weights of {conversion.framework} as an ONNX model", fix='to="onnx"')
    model = make_onnx(conversion.stacks)
    with replace_file("convert", path) as file:
        file.write(model.SerializeToString())


WRITERS: dict[str, Callable[[Any, Conversion], None]] = {
    ".npz": partial(_write_arrays, write_npz), ".safetensors": partial(_write_arrays, write_safetensors),
    ".h5": partial(_write_arrays, write_h5), ".onnx": _write_onnx}


def make_onnx(stacks: list[Stack]) -> Any:
    """A ModelProto of stacks of layers with the arrays of ONNX.

    For each stack an input x [T, B, I], an output y [T, B, H] with both directions side by side, and the last states of
    each layer, [directions, B, H].
    """
    onnx = import_optional("onnx", "verify", "writing an ONNX model")
    made = [_make_chain(onnx, stack, f"{stack.name}/" if len(stacks) > 1 else "") for stack in stacks]
    nodes, inputs, outputs, initializers = ([a for part in made for a in part[k]] for k in range(4))
    graph = onnx.helper.make_graph(nodes, "converted", inputs, outputs, initializers)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION,
                                   producer_name=__package__)
    onnx.checker.check_model(model)
    return model


def _make_chain(onnx: Any, stack: Stack, prefix: str) -> tuple[list, list, list, list]:
    """(nodes, inputs, outputs, initialisers) of one stack."""
    arrays = {f"{prefix}{name}": a for name, a in name_arrays([stack._replace(name="")]).items()}
    dtype = onnx.helper.np_dtype_to_tensor_dtype(next(iter(arrays.values())).dtype)
    shape_name = f"{prefix}merged"
    merges = [w.merge for w in stack.parts if w.merge != "concat"]
    if merges:
        raise NotSupported("convert", f"a model of layers with merge_mode={merges[0]!r}", known="concat",
                           fix="write the arrays to a file .npz")
    nodes, outputs, x = [], [], f"{prefix}x"
    for n, layer in enumerate(stack.layers):
        own = f"{prefix}layer_{n}/" if len(stack.layers) > 1 else prefix
        w, last = layer[0], n == len(stack.layers) - 1
        states = [f"{own}{name}" for name in _STATES.get(w.layout.family, ("h",))]
        peepholes = ["", "", "", f"{own}P"] if "P" in w.arrays else []
        inputs = [x, f"{own}W", f"{own}R", f"{own}B" if "B" in w.arrays else ""]
        y = f"{prefix}y" if last else f"{own}y"
        nodes += [onnx.helper.make_node(w.layout.family.split()[0].upper(), inputs + peepholes, [f"{own}all", *states],
                                        name=own.strip("/") or "rnn", **_list_attributes(layer)),
                  onnx.helper.make_node("Transpose", [f"{own}all"], [f"{own}side"], perm=[0, 2, 1, 3]),
                  onnx.helper.make_node("Reshape", [f"{own}side", shape_name], [y])]
        outputs += [onnx.helper.make_tensor_value_info(name, dtype, [len(layer), "B", None]) for name in states]
        x = y
    n_in = stack.layers[0][0].load()["W"].shape[0]
    outputs.insert(0, onnx.helper.make_tensor_value_info(f"{prefix}y", dtype, ["T", "B", None]))
    initializers = [onnx.numpy_helper.from_array(asnumpy(a), name) for name, a in arrays.items()]
    initializers.append(onnx.numpy_helper.from_array(numpy.array([0, 0, -1]), shape_name))
    return nodes, [onnx.helper.make_tensor_value_info(f"{prefix}x", dtype, ["T", "B", n_in])], outputs, initializers


def _list_attributes(layer: tuple) -> dict[str, Any]:
    """The attributes of a node with these directions."""
    w, options = layer[0], [traits(part.cell) for part in layer]
    direction = "bidirectional" if len(layer) > 1 else "reverse" if w.reverse else "forward"
    found: dict[str, Any] = {"hidden_size": w.cell.units(w.load()), "direction": direction}
    functions = [o[name] for o in options for name in ("activation", "gate", "candidate", "output") if name in o]
    described = [_find_function(f) for f in functions]
    found["activations"] = [name for name, *_ in described]
    for part, values in zip(("alpha", "beta"), list(zip(*described))[1:]):
        taken = [float(value) for value in values if value is not None]
        found |= {f"activation_{part}": taken} if taken else {}
    if w.layout.family == "gru":
        found["linear_before_reset"] = 1
    if options[0].get("coupled"):
        found["input_forget"] = 1
    return found


def _find_function(activation: Activation) -> tuple[str, Any, Any]:
    """(the name that ONNX has for an activation, alpha, beta)."""
    for name, function in FUNCTIONS.items():
        if function.ours == activation.name and activation.clip is None:
            return name, activation.alpha, activation.beta
    if activation.name == "linear":
        return "Affine", 1.0, 0.0
    raise NotSupported("convert", f"{activation} in an ONNX model", known=" ".join(FUNCTIONS))
