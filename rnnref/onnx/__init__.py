"""The ONNX operators RNN, GRU and LSTM: every attribute and input of opset 22, and their gradients.

    rnn, gru, lstm       on arrays, by the names of the operator text
    run_op, back_op      the same with a tape, and the gradients of every input
    cell_of              the cell and the parameters that a node stands for
    Reading              what the text leaves open, as switches
    prepare, run_model, run_node, supports_device, Backend      an onnx.backend.base.Backend: these need onnx
"""
from ..errors import import_optional
from .node import back_op, cell_of, run_op
from .ops import gru, lstm, rnn
from .reading import ONNXRUNTIME, TEXT, Reading

_NEED_ONNX = ("Backend", "is_compatible", "prepare", "run_model", "run_node", "supports_device")


def __getattr__(name):
    if name not in _NEED_ONNX:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import_optional("onnx", "verify", f"rnnref.onnx.{name}")
    from . import backend
    return getattr(backend, name)
