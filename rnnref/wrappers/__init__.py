"""Wrappers: cells that hold one cell or several.

    Stack               a stack of cells: the output of each is the input of the next
    SkipStack           a stack whose cells all see the input, and whose outputs are concatenated
    Bidirectional       one cell forwards in time and one backwards
    SharedBidirectional one cell in both directions, with one set of parameters
    Parallel            cells side by side on the same input
    Dropout             masks on the input, the state and the output; Masks are its `extra`
    GateDropout         masks on what enters the products, one for each gate, as in Keras
    CandidateDropout    a mask on the candidate alone
    Zoneout             units that keep their old state; ZoneoutMasks are its `extra`
    Residual            the input added to the output
    Highway             the input and the output mixed by a gate
    Skip                the input beside the output
    Reset               a state that is zero again where a row is told so
    InputProjection     a dense layer before the cell
    OutputProjection    a dense layer after the cell
    Embedding           a table of vectors before the cell
    Attention           attention over the last outputs
    Device              the device that the arrays must lie on
    Wrapper             base class of a wrapper of one cell
    ParametricWrapper   base class of a wrapper with parameters of its own
    MultiCell           base class of a wrapper of several cells
"""
from .attention import Attention
from .base import ParametricWrapper, Wrapper
from .candidate_dropout import CandidateDropout
from .device import Device
from .dropout import Dropout, Masks, Zoneout, ZoneoutMasks
from .embedding import Embedding
from .gate_dropout import GateDropout
from .parallel import Parallel
from .projection import InputProjection, OutputProjection
from .reset import Reset
from .residual import Highway, Residual
from .skip import Skip
from .stack import Bidirectional, MultiCell, SharedBidirectional, SkipStack, Stack

__all__ = ["Stack", "SkipStack", "Bidirectional", "SharedBidirectional", "Parallel", "Dropout", "Masks", "GateDropout",
           "CandidateDropout", "Zoneout", "ZoneoutMasks", "Residual", "Highway", "Skip", "Reset", "InputProjection",
           "OutputProjection", "Embedding", "Attention", "Device", "Wrapper", "ParametricWrapper", "MultiCell"]
