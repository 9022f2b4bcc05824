"""rnnref: the reference for recurrent neural networks, forward and backward, in plain NumPy that reads like the paper.

    cell.forward(p, x, s) -> y, s', kept        one timestep           rnnref.cells
    run(cell, p, xs, s)   -> ys, s', tape       the sequence           rnnref.run, rnnref.run_back
    layer.forward(x)      -> y                  what users call        rnnref.layers
    verify(candidate, x)  -> report             is this engine right?  rnnref.verify
"""
from importlib import import_module

from . import cells, init
from .arrays import asnumpy, namespace
from .cell import vjp
from .errors import DeviceError, DtypeError, Error, MissingExtra, NotSupported, ShapeError
from .loops.plan import explain
from .loops.run import run, run_back
from .io import load, save
from .tree import PerStep, to

__version__ = "0.1.0"

LATER = {"layers": "layers", "tf1": "tf1", "onnx": "onnx", "interop": "interop", "check": "check", "testing": "testing",
         "plot": "plot", "verify": "check:verify", "ops": "ops",
         "Record": "record:Record"}          # upper floors, imported when they are first named


def __getattr__(name):
    if name not in LATER:
        raise AttributeError(f"module 'rnnref' has no attribute {name!r}")
    module, _, attribute = LATER[name].partition(":")
    found = import_module("." + module, __name__)
    return getattr(found, attribute) if attribute else found
