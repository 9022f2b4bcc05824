"""Other people's weights: tables of where they lie, and two walks that read them."""
from .convert import cell_for, dump, layout_of, load
from .layouts import LAYOUTS, Layout, Row
