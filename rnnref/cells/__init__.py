"""Every cell by its public name, and what cells are made of."""
from ..cell import Cell, GatedCell, Projected, TwoStage
from ..wrappers.noise import Dropout, Masks
from ..wrappers.stack import Bidirectional, Stack
from .catalog import CATALOG, GRU, LSTM, LayerNormSimpleRNN, SimpleRNN
