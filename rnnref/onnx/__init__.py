"""The ONNX operators RNN, GRU and LSTM: every attribute and input of opset 22, and their gradients.

    rnn, gru, lstm       on arrays, by the names of the specification
    run_op, back_op      the same with a tape, and the gradients of every input
    cell_of              the cell and the parameters that a node stands for
    Reading              one reading of the specification, where that is ambiguous; TEXT, ONNXRUNTIME
    prepare, run_model, run_node, is_compatible, supports_device, Backend
                         an onnx.backend.base.Backend: these need the package onnx
"""
from typing import TYPE_CHECKING, Any

from ..errors import import_optional
from .node import back_op, cell_of, run_op
from .ops import gru, lstm, rnn
from .reading import ONNXRUNTIME, TEXT, Reading

if TYPE_CHECKING:
    from .backend import Backend, is_compatible, prepare, run_model, run_node, supports_device

_NEED_ONNX = ("Backend", "is_compatible", "prepare", "run_model", "run_node", "supports_device")
__all__ = ["Backend", "ONNXRUNTIME", "Reading", "TEXT", "back_op", "cell_of", "gru", "is_compatible", "lstm", "prepare",
           "rnn", "run_model", "run_node", "run_op", "supports_device"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in _NEED_ONNX:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import_optional("onnx", "verify", f"rnnref.onnx.{name}")
    from . import backend
    return getattr(backend, name)
