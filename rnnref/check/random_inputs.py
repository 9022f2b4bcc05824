"""Numbers to run a model on, where nobody gives any.  (floor 10)"""
import numpy as np

from ..errors import Error, NotSupported, ShapeError, import_optional

_SIZES = (6, 4, 3, 5, 7)                           # of axes that the model leaves open, in the order in which they occur


def draw_missing_inputs(path, inputs=None, seed=0):
    """Arrays by name for every input of a model: those `given`, and the others drawn.

    Axes of one name have one size.  Integers are drawn only for sequence_lens; others must be given.
    """
    onnx = import_optional("onnx", "verify", "verify")
    model = _load_model(onnx, path)
    held, rng, sizes = {t.name for t in model.graph.initializer}, np.random.default_rng(seed), {}
    wanted = {a.name: a.type.tensor_type for a in model.graph.input if a.name not in held}
    arrays = dict(inputs or {})
    odd = [name for name in arrays if name not in wanted]
    if odd:
        raise ShapeError("verify", f"{', '.join(odd)}: not an input of the model", inputs=" ".join(wanted))
    lengths = {node.input[4]: node.input[0] for node in model.graph.node
               if node.op_type in ("RNN", "GRU", "LSTM") and len(node.input) > 4 and node.input[4]}
    for name, tensor in wanted.items():
        if name not in arrays and name not in lengths:
            arrays[name] = _draw_input(onnx, rng, name, tensor, sizes)
    for name, X in lengths.items():
        if name in wanted and name not in arrays:
            arrays[name] = _make_lengths(name, arrays.get(X))
    return arrays


def _load_model(onnx, path):
    try:
        model = onnx.load(path)
        onnx.checker.check_model(path)            # the path: a model may be too large for one message
        return model
    except OSError as e:
        raise Error("verify", f"{path} cannot be read: {e.strerror}") from None
    except Exception as e:                        # protobuf's errors and the checker's have no common class
        raise Error("verify", f"{path} is no valid ONNX model", reason=" ".join(str(e).split())) from None


def _draw_input(onnx, rng, name, tensor, sizes):
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    if dtype.kind != "f":
        raise NotSupported("verify", f"the input {name} is of {dtype}: which numbers make sense is not known",
                           fix="give them: --inputs F.npz")
    shape = []
    for k, axis in enumerate(tensor.shape.dim):
        known = axis.dim_value or sizes.setdefault(axis.dim_param or f"{name}.{k}", _SIZES[len(sizes) % len(_SIZES)])
        shape.append(known)
    return rng.standard_normal(shape).astype(dtype)


def _make_lengths(name, X):
    """sequence_lens of 1 to T for the X that they belong to (time first)."""
    if X is None or X.ndim != 3:
        raise NotSupported("verify", f"the input {name} holds lengths of rows that are not an input of the model",
                           fix="give them: --inputs F.npz")
    T, B = X.shape[:2]
    return np.array([max(1, T - 2 * b) for b in range(B)], np.int32)
