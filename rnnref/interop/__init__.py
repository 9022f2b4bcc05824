"""Other people's weights: tables of where they lie, and two walks that read them."""
from .adapt import adapt
from .convert import convert, dump, gradients, load
from .files import read
from .layouts import LAYOUTS, Layout, Row
from .families import cell_for, infer_cell, cell_like, layout_of, traits
from .weights import Weights, pieces, weights_of
from .describe import explain_weights
