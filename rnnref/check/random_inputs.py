"""Random inputs for the inputs of an ONNX model that the user does not give."""
from os import PathLike
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import Error, NotSupported, ShapeError, import_optional

_SIZES = (6, 4, 3, 5, 7)                          # of axes that the model leaves open, in the order in which they occur


def draw_missing_inputs(path: str | PathLike, inputs: dict[str, Array] | None = None, seed: int = 0,
                        ) -> dict[str, Array]:
    """Arrays by name for all inputs of a model: the given ones, and random numbers for the others.

    Axes of one name get one size.  Integers are drawn for sequence_lens only; other integer inputs must be given.
    """
    onnx = import_optional("onnx", "verify", "verify")
    model = _load_model(onnx, path)
    initializers, rng, sizes = {t.name for t in model.graph.initializer}, np.random.default_rng(seed), {}
    types = {a.name: a.type.tensor_type for a in model.graph.input if a.name not in initializers}
    arrays = dict(inputs or {})
    unknown = [name for name in arrays if name not in types]
    if unknown:
        raise ShapeError("verify", f"{', '.join(unknown)}: not an input of the model", inputs=" ".join(types))
    lengths = {node.input[4]: node.input[0] for node in model.graph.node
               if node.op_type in ("RNN", "GRU", "LSTM") and len(node.input) > 4 and node.input[4]}
    for name, tensor in types.items():
        if name not in arrays and name not in lengths:
            arrays[name] = _draw_input(onnx, rng, name, tensor, sizes)
    for name, X in lengths.items():
        if name in types and name not in arrays:
            arrays[name] = _make_lengths(name, arrays.get(X))
    return arrays


def _load_model(onnx: Any, path: str | PathLike) -> Any:
    try:
        model = onnx.load(path)
        onnx.checker.check_model(path)            # the path: a model may be too large for one message
        return model
    except OSError as e:
        raise Error("verify", f"{path} cannot be read: {e.strerror}") from None
    except Exception as e:                        # errors of protobuf and of the checker have no common class
        raise Error("verify", f"{path} is not a valid ONNX model", reason=" ".join(str(e).split())) from None


def _draw_input(onnx: Any, rng: np.random.Generator, name: str, tensor: Any, sizes: dict[str, int]) -> Array:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    if dtype.kind != "f":
        raise NotSupported("verify", f"random numbers for the input {name} of dtype {dtype}",
                           reason="which values are meaningful is not known", fix="give them: --inputs F.npz")
    shape = [axis.dim_value or sizes.setdefault(axis.dim_param or f"{name}.{k}", _SIZES[len(sizes) % len(_SIZES)])
             for k, axis in enumerate(tensor.shape.dim)]
    return rng.standard_normal(shape).astype(dtype)


def _make_lengths(name: str, X: Array | None) -> Array:
    """sequence_lens from 1 to T for the input X [T, B, I] that they belong to."""
    if X is None or X.ndim != 3:
        raise NotSupported("verify", f"random lengths for the input {name}",
                           reason="they belong to a sequence that is not an input of the model",
                           fix="give them: --inputs F.npz")
    T, B = X.shape[:2]
    return np.array([max(1, T - 2 * b) for b in range(B)], np.int32)
