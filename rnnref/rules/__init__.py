"""Rules: the pointwise part of a cell, from the results of its two maps and the old state to the new state.

    Rule                the interface: forward, backward
    ElmanRule           the simple RNN
    ResidualElmanRule   the simple RNN with h added before the activation
    LeakyRule           leaky integrator units
    LSTMRule            long short-term memory
    GRURule             gated recurrent unit, with the reset after the product
    MGURule             minimal gated unit, with the reset after the product
    UGRNNRule           update gate network
    MinimalRule         minimal RNN
    CFNRule             chaos-free network
    SRURule             simple recurrent unit
    IntersectionRule    intersection RNN
    NASRule             the cell of an architecture search
    LayerNormRule       layer normalisation of the summed pre-activations, followed by any gate rule
    CellNormLSTMRule    LSTM with a layer-normalised cell state
    LimitedRule         the sum of both maps, clipped
"""
from .elman import ElmanRule, LeakyRule, ResidualElmanRule
from .gated import CFNRule, MGURule, MinimalRule, SRURule, UGRNNRule
from .gru import GRURule
from .intersection import IntersectionRule
from .layer_norm import CellNormLSTMRule, LayerNormRule
from .limited import LimitedRule
from .lstm import LSTMRule
from .nas import NASRule
from .rule import Rule

__all__ = ["Rule", "ElmanRule", "ResidualElmanRule", "LeakyRule", "LSTMRule", "GRURule", "MGURule", "UGRNNRule",
           "MinimalRule", "CFNRule", "SRURule", "IntersectionRule", "NASRule", "LayerNormRule", "CellNormLSTMRule",
           "LimitedRule"]
