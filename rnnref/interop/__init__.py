"""Other people's weights: tables of where they lie, and two walks that read them."""
from .adapt import adapt
from .convert import convert, dump, gradients, load
from .describe import explain_weights
from .families import cell_for, cell_like, infer_cell, layout_of, traits
from .files import read
from .layouts import LAYOUTS, Layout, Row
from .weights import Weights, pieces, weights_of
