"""Every cell by its public name, and what cells are made of."""
from ..cell import Cell, GatedCell, Projected, TwoStage
from ..wrappers.beside import Beside
from ..wrappers.candidate import CandidateDropout
from ..wrappers.noise import Dropout, Masks
from ..wrappers.skip import Skip
from ..wrappers.stack import Bidirectional, Stack
from .catalog import CATALOG, EXAMPLES, GRU, LSTM, LayerNormSimpleRNN, SimpleRNN
from .dense_peepholes import DensePeepholes
from .gated import CFN, ESN, MGU, NAS, SRU, UGRNN, IntersectionRNN, LayerNormGRU, MinimalRNN
from .grid import BidirectionalGridLSTM, GridLSTM
from .lstms import GLSTM, ConvLSTM, IndRNN, IndyGRU, IndyLSTM, LayerNormLSTM, WeightNormLSTM
from .ntm import NTM
from .phased import Phased, PhasedLSTM
from .timefreq import TimeFreqLSTM
