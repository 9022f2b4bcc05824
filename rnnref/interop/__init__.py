"""Weight layouts of other frameworks, and conversion to and from them.

    weights_of        the weights of a live torch module, Keras layer or flax module
    pieces, read      the weights in a dict, a list or a file: .npz, .npy, .safetensors, .h5, .keras, .pt
    find_weights      the weights of all recurrent layers in any of these
    find_layers       the recurrent layers of a live model
    identify          what an object is; recognize: of which tables named arrays are
    framework_named, family_named           names of frameworks and kinds of layers as people write them
    read_onnx_node    the weights of a node of an ONNX graph
    Weights           the weights of one layer in one direction: `cell`, `load()`, `layout`, `renamed`
    convert           weights of one framework as weights of another
    load, dump        arrays of a framework to the parameters of a cell, and back; `gradients` of them
    explain_weights   a table of which array is which gate
    layout_of, LAYOUTS, Layout, Row         where each framework keeps the weights of each cell
    cell_for, cell_like, infer_cell, traits, adapt      the cell that computes what a layer of theirs does
    cudnn             the flat buffer of cuDNN
    port              weights of any of these into a live module, with a proof (`rnnref.convert`: into arrays)
"""
from importlib import import_module
from typing import Any, Callable

from . import cudnn
from .adapt import adapt
from .containers import find_layers, find_weights
from .convert import Weights, convert, dump, gradients, load
from .describe import explain_weights
from .families import cell_for, cell_like, infer_cell, layout_of, traits
from .files import read
from .groups import Match, pieces, recognize
from .identify import Identity, identify
from .layouts import LAYOUTS, Layout, Row
from .names import family_named, framework_named
from .read_flax import FLAX_ACTIVATIONS
from .read_onnx import read_onnx_node
from .weights import weights_of

port: Callable[..., Any]                          # see `__getattr__`

__all__ = [
    "FLAX_ACTIVATIONS", "LAYOUTS", "Identity", "Layout", "Match", "Row", "Weights", "adapt", "cell_for", "cell_like",
    "convert", "cudnn", "dump", "explain_weights", "family_named", "find_layers", "find_weights", "framework_named",
    "gradients", "identify", "infer_cell", "layout_of", "load", "pieces", "port", "read", "read_onnx_node",
    "recognize", "traits", "weights_of",
]


def __getattr__(name: str) -> Any:
    if name != "port":                            # it runs what it ports, and so stands above this folder
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("rnnref.porting").port
