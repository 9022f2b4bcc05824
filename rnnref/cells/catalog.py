"""The common cells, SimpleRNN, LSTM and GRU, and the catalog of all.

A cell is a line that joins an input map, a recurrent map and a rule.  Sizes in the docstrings: B rows of the batch, I
inputs, U units, H the width of h (U, or that of a projection), G = number of gate blocks x U.
"""
from typing import Any, Optional

from ..cell import GatedCell, ProjectedCell, TwoStage
from ..errors import check_option
from ..maps.dense import Dense, input_map, recurrent_map
from ..options import keyword_options
from ..rules.elman import ElmanRule, ResidualElmanRule
from ..rules.gru import GRURule
from ..rules.layer_norm import LayerNormRule
from ..rules.lstm import LSTMRule
from .gated_units import GATED_UNITS
from .grid import GridLSTM
from .gru_before import GRUBefore
from .lstm_variants import LSTM_VARIANTS
from .ntm import NTM
from .phased import PhasedLSTM
from .timefreq import TimeFreqLSTM


@keyword_options()
def SimpleRNN(*, activation: Any = "tanh", recurrent_bias: bool = False, bias: bool = True,
              residual: bool = False) -> TwoStage:
    """The simple recurrent network.

        h' = activation(x W + h R + b (+ bR) (+ h))

    Shapes        x [B, I], state (h [B, U]), W [I, U], R [U, U], b [U] unless bias=False, bR [U] with
                  `recurrent_bias`
    Options       activation="tanh", recurrent_bias=False, bias=True; residual=True: h itself is added before the
                  activation
    Paper         Elman, "Finding structure in time", Cognitive Science 14 (1990)
    Same as       torch.nn.RNN (recurrent_bias=True), Keras SimpleRNN, TF 1 BasicRNNCell, flax SimpleCell (its residual
                  is `residual`), haiku VanillaRNN, ONNX RNN
    Differs from  the paper, which has the logistic function in the place of tanh
    Errors        NotSupported: an option or an activation that is not known

    >>> import numpy as np
    >>> p = {"W": np.full((1, 1), 0.5), "R": np.ones((1, 1)), "b": np.zeros(1)}
    >>> cell = SimpleRNN(activation="relu")
    >>> y, new, kept = cell.forward(p, np.full((1, 1), 3.0), cell.rule.State(np.ones((1, 1))))
    >>> float(y[0, 0])
    2.5
    """
    rule = ResidualElmanRule if residual else ElmanRule
    return GatedCell(input_map(bias), recurrent_map(recurrent_bias), rule(activation))


@keyword_options(LSTMRule)
def LSTM(*, projection: Optional[int] = None, projection_clip: Optional[float] = None, recurrent_bias: bool = False,
         bias: bool = True, **options: Any) -> TwoStage:
    """Long short-term memory.

        i = gate(x W_i + h R_i + b_i (+ Wpi c))         g = candidate(x W_g + h R_g + b_g)
        f = gate(x W_f + h R_f + b_f (+ Wpf c) + forget_bias)
        c' = f c + i g
        o = gate(x W_o + h R_o + b_o (+ Wpo c'))        h' = o output(c')   (, then h' P)

    Shapes        x [B, I], state (h [B, H], c [B, U]), W [I, 4U], R [H, 4U], b [4U], gate blocks i f g o;
                  no b with bias=False; bR [4U] with `recurrent_bias`; Wpi Wpf Wpo [U] with `peepholes`;
                  P [U, H] with `projection=H`
    Options       forget_bias=0.0, peepholes=False, coupled=None | "input" (i = 1 - f) | "forget" (f = 1 - i),
                  gate="sigmoid", candidate="tanh", output="tanh", cell_clip=None, cell_clip_gradient="zero" |
                  "through", projection=None, projection_clip=None (of h), recurrent_bias=False, bias=True
    Paper         Hochreiter & Schmidhuber, Neural Computation 9 (1997); forget gate: Gers, Schmidhuber & Cummins
                  (2000); peepholes: Gers & Schmidhuber (2000); projection: Sak, Senior & Beaufays (2014)
    Same as       torch.nn.LSTM (recurrent_bias=True, projection=proj_size), Keras LSTM, TF 1 LSTMCell
                  (forget_bias=1.0), flax OptimizedLSTMCell, ONNX LSTM
    Differs from  the papers: the first has scaled logistic functions in the place of tanh; here all gates see the
                  same h
    Errors        NotSupported: an option or an activation that is not known, or two options that exclude each other

    >>> import numpy as np
    >>> p = {"W": np.zeros((1, 4)), "R": np.zeros((1, 4)), "b": np.array([0.0, 0.0, 1.0, 0.0])}
    >>> cell = LSTM()
    >>> y, new, kept = cell.forward(p, np.ones((1, 1)), cell.zeros(1, 1, dtype="float64"))
    >>> bool(new.c[0, 0] == 0.5 * np.tanh(1.0)), float(kept.step.rule.f[0, 0])
    (True, 0.5)
    """
    cell = GatedCell(input_map(bias), recurrent_map(recurrent_bias), LSTMRule(**options))
    return ProjectedCell(cell, projection=projection, clip=projection_clip) if projection else cell


@keyword_options(GRURule)
def GRU(*, reset: str = "after", recurrent_bias: Optional[bool] = None, bias: bool = True, **options: Any) -> TwoStage:
    """Gated recurrent unit.

        r = gate(x W_r + h R_r + b_r (+ bR_r))          z = gate(x W_z + h R_z + b_z (+ bR_z))
        n = candidate(x W_n + r (h R_n + bR_n) + b_n)   reset="after" the product
        n = candidate(x W_n + (r h) R_n + b_n (+ bR_n)) reset="before" it
        h' = (1 - z) n + z h

    Shapes        x [B, I], state (h [B, U]), W [I, 3U], R [U, 3U], b [3U], bR [3U], gate blocks r z n
    Options       reset="after" | "before", gate="sigmoid", candidate="tanh", bias=True; recurrent_bias=None: bR if
                  there is b and reset="after"
    Paper         Cho et al., "Learning phrase representations using RNN encoder-decoder" (2014), which has
                  reset="before"; "after" is cuDNN's
    Same as       "after": torch.nn.GRU, Keras GRU(reset_after=True), ONNX GRU(linear_before_reset=1);
                  "before": TF 1 GRUCell, Keras GRU(reset_after=False), ONNX GRU;
                  flax GRUCell is "after" with bR zero in r and z
    Differs from  Chung et al. (2014), who exchange z and 1 - z
    Errors        NotSupported: an option or an activation that is not known

    >>> import numpy as np
    >>> p = {"W": np.zeros((1, 3)), "R": np.zeros((1, 3)), "b": np.zeros(3), "bR": np.zeros(3)}
    >>> cell = GRU()
    >>> y, new, kept = cell.forward(p, np.ones((1, 1)), cell.rule.State(np.ones((1, 1))))
    >>> float(y[0, 0])
    0.5
    """
    check_option("GRU", "reset", reset, ("after", "before"))
    recurrent_bias = (bias and reset == "after") if recurrent_bias is None else recurrent_bias
    cell = GatedCell if reset == "after" else GRUBefore
    return cell(input_map(bias), recurrent_map(recurrent_bias), GRURule(**options))


@keyword_options()
def LayerNormSimpleRNN(*, activation: Any = "tanh", epsilon: float = 1e-5, bias: bool = True) -> TwoStage:
    """The simple recurrent network with layer-normalised pre-activations.

        h' = activation(gain norm(x W + h R) + shift)

    Shapes        x [B, I], state (h [B, U]), W [I, U], R [U, U], gain [U], shift [U] unless bias=False
    Options       activation="tanh"; epsilon=1e-5, added to the variance; bias=True
    Paper         Ba, Kiros & Hinton, "Layer normalization" (2016), eq. 4
    Same as       TF Addons LayerNormSimpleRNN (shift is its bias, `bias` its use_bias, epsilon its layernorm_epsilon)
    Errors        NotSupported: an option or an activation that is not known

    >>> import numpy as np
    >>> cell = LayerNormSimpleRNN(activation="linear", epsilon=0.0)
    >>> p = {"W": np.eye(2), "R": np.zeros((2, 2)), "gain": np.ones(2), "shift": np.zeros(2)}
    >>> y, new, kept = cell.forward(p, np.array([[5.0, 7.0]]), cell.zeros(1, 2, dtype="float64"))
    >>> y
    array([[-1.,  1.]])
    """
    shift = "shift" if bias else None
    return GatedCell(Dense("W"), Dense("R"), LayerNormRule(ElmanRule(activation), shift=shift, epsilon=epsilon))


_SPECIAL_CELLS = PhasedLSTM, TimeFreqLSTM, GridLSTM, NTM                  # not two maps and a rule
_CELLS = SimpleRNN, LSTM, GRU, LayerNormSimpleRNN, *LSTM_VARIANTS, *GATED_UNITS, *_SPECIAL_CELLS
CATALOG = {make.__name__: make for make in _CELLS}
# Options for tables and `rnnref explain`, for the cells that need some
EXAMPLES: dict = {
    "TimeFreqLSTM": {"feature": 3, "skip": 2, "windows": 3},
    "GridLSTM": {"feature": 3, "skip": 2, "windows": (3,)},
    "NTM": {"cell": LSTM(), "slots": 8, "vector": 4, "outputs": 2},
}
