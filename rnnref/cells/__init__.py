"""Every cell by its public name, and what cells are made of."""
from ..cell import Cell, GatedCell, ProjectedCell, TwoStage
from ..wrappers.candidate_dropout import CandidateDropout
from ..wrappers.dropout import Dropout, Masks
from ..wrappers.parallel import Parallel
from ..wrappers.skip import Skip
from ..wrappers.stack import Bidirectional, Stack
from .catalog import CATALOG, EXAMPLES, GRU, LSTM, LayerNormSimpleRNN, SimpleRNN
from .dense_peepholes import DensePeepholes
from .gated_units import CFN, ESN, MGU, NAS, SRU, UGRNN, IntersectionRNN, LayerNormGRU, MinimalRNN
from .grid import BidirectionalGridLSTM, GridLSTM
from .lstm_variants import GLSTM, ConvLSTM, IndRNN, IndyGRU, IndyLSTM, LayerNormLSTM, WeightNormLSTM
from .ntm import NTM
from .phased import PhasedCell, PhasedLSTM
from .timefreq import TimeFreqLSTM
