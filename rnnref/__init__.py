"""The reference for recurrent neural networks, forward and backward, in plain NumPy that reads like the paper.

    cells             one timestep: forward(p, x, s) -> y, s', kept;  backward(p, kept, dy, ds') -> dx, ds, dextra, dp
    init              first values of parameters: init.parameters(cell, n_in, units, rng)
    run, run_back     a sequence: run(cell, p, xs) -> ys, s', tape;  run_back(tape, dys, ds') -> dxs, ds, dextra, dp
    explain           which path of execution runs, and why nothing faster
    prepare           parameters prepared once for many calls of inference
    blas_threads, release_workspaces      the threads of NumPy's BLAS in a loop, and the memory that loops keep
    layers            layers with Keras's names, arguments and weights
    Input, Model, Sequential      models of layers, as in Keras (`import rnnref as keras`), which are trained by fit
    ops, Record       operations with gradients, and the record of a computation: record.backward(loss)
    data              digits, text, made-up tasks, padding
    verify            is this implementation right?  verify(candidate, x) -> report: a torch module, a Keras layer,
                      an ONNX model, a function
    compare           do two layers, modules or files agree?  Their weights, options, outputs and gradients
    assert_matches    the same for a test: raises where verify reports a difference
    save, load, to    trees of arrays to a file and back; to("gpu", tree), to("cpu", tree)
    diagnose          in which convention are these weights, if they gave these outputs?
    convert           weights of any framework, from a live layer or a file, as those of any other
    interop           weights of other frameworks: layouts, reading, converting, and port into live modules
    onnx              the operators RNN, GRU and LSTM, and a backend for models of them
    tf1               cells, wrappers and loops of TensorFlow 1.15
    testing           laws for cells of your own, comparisons that raise
    plot              pictures of gates and of gradients over time

Errors are rnnref.Error: ShapeError, DtypeError, DeviceError, NotSupported, MissingExtra.
"""
from typing import TYPE_CHECKING, Any

from . import cells, init
from .absent import Absent as _Absent
from .arrays import asnumpy as asnumpy, namespace as namespace
from .cell import vjp as vjp
from .errors import (DeviceError as DeviceError, DtypeError as DtypeError, Error as Error, MissingExtra as MissingExtra,
                     NotSupported as NotSupported, ShapeError as ShapeError)
from .io import load, save
from .loops.plan import explain, resolve_name as _resolve_name
from .loops.run import run, run_back
from .tree import PerStep as PerStep, to

if TYPE_CHECKING:
    from . import check as check, data, interop, layers, models, onnx, ops, plot, survey as survey, testing, tf1
    from .check.compare import compare as compare
    from .check.diagnose import diagnose
    from .check.verify import assert_matches, verify
    from .cpu import blas_threads as blas_threads, prepare as prepare, release_workspaces as release_workspaces
    from .layers import Input
    from .models import Model, Sequential
    from .porting import convert as convert
    from .record import Record

__version__ = "0.1.0"

# Without classes, of which help(rnnref) would print every method.
__all__ = ["assert_matches", "blas_threads", "cells", "compare", "convert", "data", "diagnose", "explain", "init",
           "interop", "layers", "load", "models", "onnx", "ops", "plot", "prepare", "release_workspaces", "run",
           "run_back", "save", "testing", "tf1", "to", "verify"]

_KERAS_MODULES = ("activations", "callbacks", "constraints", "initializers", "losses", "metrics", "models", "ops",
                  "optimizers", "random", "regularizers", "saving", "utils")
_KERAS_CLASSES = {"Input": "layers:Input", "Model": "models:Model", "Sequential": "models:Sequential",
                  "Layer": "layers:Layer", "KerasTensor": "symbols:Symbol", "Initializer": "initializers:Initializer",
                  "Regularizer": "regularizers:Regularizer", "Loss": "losses:Loss", "Metric": "metrics:Metric",
                  "Optimizer": "optimizers:Optimizer"}
_ALSO_PUBLIC = ("DeviceError", "DtypeError", "Error", "MissingExtra", "NotSupported", "PerStep", "ShapeError",
                "Record", "__version__", "asnumpy", "check", "namespace", "survey", "vjp", *_KERAS_MODULES,
                *_KERAS_CLASSES)
# Imported when first used: they import much that a forward pass does not need.
_LAZY = {name: name for name in ("check", "data", "interop", "layers", "onnx", "plot", "survey", "testing", "tf1",
                                 *_KERAS_MODULES)}
_LAZY |= {"assert_matches": "check:assert_matches", "compare": "check:compare", "diagnose": "check:diagnose",
          "verify": "check:verify", "Record": "record:Record", "convert": "porting:convert"}
_LAZY |= {name: f"cpu:{name}" for name in ("blas_threads", "prepare", "release_workspaces")}
_LAZY |= _KERAS_CLASSES

_absent = _Absent(
    "",
    ("Variable", "a layer owns its weights", "layer.add_weight(shape)"),
    ("Function Operation", "calls of symbols are models", "rnnref.Model(inputs, outputs), functions of rnnref.ops"),
    ("InputSpec", "a layer checks its inputs when it is called", "raise in build or call"),
    ("DTypePolicy FloatDTypePolicy dtype_policies mixed_precision", "a layer computes in one dtype",
     "dtype= of each layer"),
    ("backend config src version", "there is one back end, NumPy or CuPy as the arrays are", "dtype= of each layer; "
     "rnnref.utils.clear_session, rnnref.utils.set_random_seed, rnnref.__version__"),
    ("device distribution name_scope remat RematScope StatelessScope SymbolicScope",
     "nothing is traced or distributed", "layer.to('gpu') moves weights; arrays decide where a layer computes"),
    ("Quantizer quantizers distillation export visualization legacy", "it is not about recurrent networks",
     "Keras itself"),
    ("applications datasets preprocessing", "nothing is fetched, and images are not for recurrent networks",
     "arrays that are ready; rnnref.utils.pad_sequences"),
)


def __getattr__(name: str) -> Any:
    return _resolve_name(_LAZY[name]) if name in _LAZY else _absent(name)


def __dir__() -> list[str]:
    return sorted({*__all__, *_ALSO_PUBLIC})
