"""Linear maps of inputs and states: what a cell multiplies, each with its gradients of x and of the parameters.

    Map            the interface: forward, backward_x, backward_p
    Dense          x W + b
    Reservoir      Dense whose matrix is drawn sparse
    Diagonal       entry by entry: each unit sees only its own past
    Grouped        W in blocks on the diagonal, one for each group of units
    Zero           no product at all
    Conv           convolution over one, two or three axes of space
    LayerNorm      the result of a map, layer-normalised
    WeightNorm     Dense with the columns of W as lengths times directions
    Chain          a map of the activation of a map
    ConcatInput    the result of a map beside its own input
    Sum            one map for each item of a tuple of inputs
"""
from .composed import Chain, ConcatInput, Sum
from .conv import Conv
from .dense import Dense, Diagonal, Grouped, Map, Reservoir, Zero
from .normed import LayerNorm, WeightNorm

__all__ = ["Map", "Dense", "Reservoir", "Diagonal", "Grouped", "Zero", "Conv", "LayerNorm", "WeightNorm", "Chain",
           "ConcatInput", "Sum"]
