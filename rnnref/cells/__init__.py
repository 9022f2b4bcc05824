"""Every cell by its public name, the most common wrappers, and the classes that cells are made of.

`rnnref.wrappers` has all wrappers.  Sizes are no options: `init.parameters(cell, n_in, units)` takes them.

    SimpleRNN                the simple recurrent network
    LSTM                     long short-term memory
    GRU                      gated recurrent unit
    LayerNormSimpleRNN       the simple recurrent network on a layer-normalised sum
    LayerNormLSTM            LSTM on a layer-normalised sum, with a layer-normalised c
    LayerNormGRU             GRU on two layer-normalised products
    WeightNormLSTM           LSTM with normalised weights
    IndRNN                   independently recurrent network
    IndyLSTM                 LSTM with a diagonal recurrent matrix
    IndyGRU                  GRU with a diagonal recurrent matrix
    GLSTM                    LSTM in groups
    ConvLSTM                 LSTM with convolutions
    PhasedLSTM               LSTM whose units are open for a part of their own period
    TimeFreqLSTM             LSTM over time and frequency, one set of weights for all windows
    GridLSTM                 LSTM over time and one over frequency in each window
    BidirectionalGridLSTM    two grid LSTMs that take the windows in opposite orders
    UGRNN                    update gate network
    CFN                      chaos-free network
    SRU                      simple recurrent unit
    IntersectionRNN          intersection RNN, gated in time and in depth
    NAS                      the cell of an architecture search
    MinimalRNN               minimal RNN
    MGU                      minimal gated unit
    ESN                      echo state network
    NTM                      neural Turing machine
    Stack                    a stack of cells: the output of each is the input of the next
    SkipStack                a stack whose cells all see the input, and whose outputs are concatenated
    Bidirectional            one cell forwards in time and one backwards
    SharedBidirectional      one cell in both directions, with one set of parameters
    Parallel                 cells side by side on the same input
    Dropout                  masks on the input, the state and the output; Masks are its `extra`
    CandidateDropout         a mask on the candidate alone
    Skip                     the input beside the output
    Reset                    a cell whose state is set to zero where the input has a flag
    PhasedCell               any cell, its units open for a part of their own period
    Cell                     base class of a cell: one timestep, forward and backward
    TwoStage                 base class of a cell whose product with x does not wait for the state
    GatedCell                two maps and a rule
    ProjectedCell            a cell with its output projected to fewer units
    DensePeepholes           LSTM with peephole matrices
    CATALOG                  the constructors of the cells by name
    EXAMPLES                 options for the cells of the catalog that need some
"""
from ..cell import Cell, GatedCell, ProjectedCell, TwoStage
from ..wrappers.candidate_dropout import CandidateDropout
from ..wrappers.dropout import Dropout, Masks
from ..wrappers.parallel import Parallel
from ..wrappers.reset import Reset
from ..wrappers.skip import Skip
from ..wrappers.stack import Bidirectional, SharedBidirectional, SkipStack, Stack
from .catalog import CATALOG, EXAMPLES, GRU, LSTM, LayerNormSimpleRNN, SimpleRNN
from .dense_peepholes import DensePeepholes
from .gated_units import CFN, ESN, MGU, NAS, SRU, UGRNN, IntersectionRNN, LayerNormGRU, MinimalRNN
from .grid import BidirectionalGridLSTM, GridLSTM
from .lstm_variants import GLSTM, ConvLSTM, IndRNN, IndyGRU, IndyLSTM, LayerNormLSTM, WeightNormLSTM
from .ntm import NTM
from .phased import PhasedCell, PhasedLSTM
from .timefreq import TimeFreqLSTM

__all__ = ["SimpleRNN", "LSTM", "GRU", "LayerNormSimpleRNN", "LayerNormLSTM", "LayerNormGRU", "WeightNormLSTM",
           "IndRNN", "IndyLSTM", "IndyGRU", "GLSTM", "ConvLSTM", "PhasedLSTM", "TimeFreqLSTM", "GridLSTM",
           "BidirectionalGridLSTM", "UGRNN", "CFN", "SRU", "IntersectionRNN", "NAS", "MinimalRNN", "MGU", "ESN", "NTM",
           "Stack", "SkipStack", "Bidirectional", "SharedBidirectional", "Parallel", "Dropout", "Masks",
           "CandidateDropout", "Skip", "Reset", "PhasedCell", "Cell", "TwoStage", "GatedCell", "ProjectedCell",
           "DensePeepholes", "CATALOG", "EXAMPLES"]
