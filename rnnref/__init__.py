"""rnnref: the reference for recurrent neural networks, forward and backward, in plain NumPy that reads like the paper.

    cells             one timestep: forward(p, x, s) -> y, s', kept;  backward(p, kept, dy, ds') -> dx, ds, dextra, dp
    init              first values of parameters: init.parameters(cell, n_in, units, rng)
    run, run_back     a sequence: run(cell, p, xs) -> ys, s', tape;  run_back(tape, dys, ds') -> dxs, ds, dextra, dp
    explain           which path of execution runs, and why nothing faster
    layers            layers with Keras's names, arguments and weights
    ops, Record       operations with gradients, and the record of a computation of them: record.backward(loss)
    verify            is this implementation right?  verify(candidate, x) -> report: a torch module, a Keras layer,
                      an ONNX model, a function
    assert_matches    the same for a test: raises where verify reports a difference
    save, load, to    trees of arrays to a file and back; to("gpu", tree), to("cpu", tree)
    interop           weights of torch, Keras, flax, ONNX, TF 1 and cuDNN, read and converted
    onnx              the operators RNN, GRU and LSTM, and a backend for models of them
    tf1               cells, wrappers and loops of TensorFlow 1.15
    testing           laws for cells of your own, comparisons that raise
    plot              pictures of gates and of gradients over time

Errors are rnnref.Error: ShapeError, DtypeError, DeviceError, NotSupported, MissingExtra.
"""
from typing import TYPE_CHECKING, Any

from . import cells, init
from .arrays import asnumpy as asnumpy, namespace as namespace
from .cell import vjp as vjp
from .errors import (DeviceError as DeviceError, DtypeError as DtypeError, Error as Error, MissingExtra as MissingExtra,
                     NotSupported as NotSupported, ShapeError as ShapeError)
from .io import load, save
from .loops.plan import explain, resolve_name as _resolve_name
from .loops.run import run, run_back
from .tree import PerStep as PerStep, to

if TYPE_CHECKING:
    from . import check as check, interop, layers, onnx, ops, plot, survey as survey, testing, tf1
    from .check.verify import assert_matches, verify
    from .record import Record

__version__ = "0.1.0"

__all__ = ["Record", "assert_matches", "cells", "explain", "init", "interop", "layers", "load", "onnx", "ops", "plot", "run", "run_back",
           "save", "testing", "tf1", "to", "verify"]

_ALSO_PUBLIC = ("DeviceError", "DtypeError", "Error", "MissingExtra", "NotSupported", "PerStep", "ShapeError",
                "__version__", "asnumpy", "check", "namespace", "survey", "vjp")
# Imported when first used: they import much that a forward pass does not need.
_LAZY = {name: name for name in ("check", "interop", "layers", "onnx", "ops", "plot", "survey", "testing", "tf1")}
_LAZY |= {name: f"check:{name}" for name in ("assert_matches", "verify")} | {"Record": "record:Record"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'rnnref' has no attribute {name!r}")
    return _resolve_name(_LAZY[name])


def __dir__() -> list[str]:
    return sorted([*__all__, *_ALSO_PUBLIC])
