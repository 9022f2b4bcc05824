"""Weight layouts of other frameworks, and conversion to and from them.

    weights_of        the weights of a live torch module, Keras layer or flax module
    pieces, read      the weights in a dict or a file: .npz, .safetensors, .h5, .keras
    read_onnx_node    the weights of a node of an ONNX graph
    Weights           the weights of one layer in one direction: `cell`, `load()`, `layout`, `renamed`
    convert           weights of one framework as weights of another
    load, dump        arrays of a framework to the parameters of a cell, and back; `gradients` of them
    explain_weights   a table of which array is which gate
    layout_of, LAYOUTS, Layout, Row         where each framework keeps the weights of each cell
    cell_for, cell_like, infer_cell, traits, adapt      the cell that computes what a layer of theirs does
    cudnn             the flat buffer of cuDNN
"""
from . import cudnn
from .adapt import adapt
from .convert import Weights, convert, dump, gradients, load
from .describe import explain_weights
from .families import cell_for, cell_like, infer_cell, layout_of, traits
from .files import pieces, read
from .layouts import LAYOUTS, Layout, Row
from .read_flax import FLAX_ACTIVATIONS
from .read_onnx import read_onnx_node
from .weights import weights_of

__all__ = [
    "FLAX_ACTIVATIONS", "LAYOUTS", "Layout", "Row", "Weights", "adapt", "cell_for", "cell_like", "convert", "cudnn",
    "dump", "explain_weights", "gradients", "infer_cell", "layout_of", "load", "pieces", "read", "read_onnx_node",
    "traits", "weights_of",
]
