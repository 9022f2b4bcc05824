"""rnnref: the reference for recurrent neural networks, forward and backward, in plain NumPy that reads like the paper.

    cell.forward(p, x, s) -> y, s', kept        one timestep           rnnref.cells
    run(cell, p, xs, s)   -> ys, s', tape       the sequence           rnnref.run, rnnref.run_back
    layer.forward(x)      -> y                  what users call        rnnref.layers
    model(x)              -> y                  Keras on top of it      import rnnref as keras
    verify(candidate, x)  -> report             is this engine right?  rnnref.verify
"""
from importlib import import_module

from . import cells, init
from .absent import Absent
from .arrays import asnumpy, namespace
from .cell import vjp
from .errors import DeviceError, DtypeError, Error, MissingExtra, NotSupported, ShapeError
from .loops.plan import explain
from .loops.run import run, run_back
from .io import load, save
from .tree import PerStep, to

__version__ = "0.1.0"

# Upper floors, imported when they are first named.
LATER = {"verify": "check:verify", "Record": "record:Record", "Input": "layers:Input", "Model": "models:Model",
         "Sequential": "models:Sequential", "Layer": "layers:Layer", "KerasTensor": "symbols:Symbol",
         "Initializer": "initializers:Initializer", "Regularizer": "regularizers:Regularizer",
         **{name: name for name in ("layers", "tf1", "onnx", "interop", "check", "testing", "plot", "ops", "models",
                                    "losses", "metrics", "optimizers", "callbacks", "regularizers", "constraints",
                                    "initializers", "activations", "utils", "random", "saving")}}

_absent = Absent(
    "",
    ("Loss Metric Optimizer", "not there yet: it comes with training", "a Record, and an expression of rnnref.ops"),
    ("Variable", "a layer owns its weights", "layer.add_weight(shape)"),
    ("Function Operation", "calls of symbols are models", "rnnref.Model(inputs, outputs), functions of rnnref.ops"),
    ("InputSpec", "a layer checks its inputs when it is called", "raise in build or call"),
    ("DTypePolicy FloatDTypePolicy dtype_policies mixed_precision", "a layer computes in one dtype",
     "dtype= of each layer"),
    ("backend config src version", "there is one back end, NumPy or CuPy as the arrays are", "dtype= of each layer; "
     "rnnref.utils.clear_session, rnnref.utils.set_random_seed, rnnref.__version__"),
    ("device distribution name_scope remat RematScope StatelessScope SymbolicScope",
     "nothing is traced or distributed", "layer.to('gpu') moves weights; arrays say where a layer computes"),
    ("Quantizer quantizers distillation export visualization legacy", "it is not about recurrent networks",
     "Keras itself"),
    ("applications datasets preprocessing", "nothing is fetched, and images are not for recurrent networks",
     "arrays that are ready; rnnref.utils.pad_sequences"),
)


def __getattr__(name):
    if name not in LATER:
        return _absent(name)
    module, _, attribute = LATER[name].partition(":")
    found = import_module("." + module, __name__)
    return getattr(found, attribute) if attribute else found
