"""Other people's weights: tables of where they lie, and two walks that read them."""
from .adapt import adapt
from .convert import convert, dump, gradients, load
from .files import read
from .layouts import LAYOUTS, Layout, Row
from .options import cell_for, cell_in, cell_like, layout_of, traits
from .sources import Weights, pieces, weights_of
from .words import explain_weights
