"""LSTMs with other maps or with normalisation, and an RNN and a GRU with diagonal recurrent matrices.

The sizes in the docstrings are those of `catalog`.
"""
from typing import Any, Optional

from ..cell import GatedCell, ProjectedCell, TwoStage
from ..errors import NotSupported
from ..maps.conv import Conv
from ..maps.dense import Dense, Diagonal, Grouped, input_map
from ..maps.normed import LayerNorm, WeightNorm
from ..options import keyword_options
from ..rules.elman import ElmanRule
from ..rules.gru import GRURule
from ..rules.layer_norm import CellNormLSTMRule, LayerNormRule
from ..rules.lstm import LSTMRule


@keyword_options()
def IndRNN(*, activation: Any = "relu", bias: bool = True) -> TwoStage:
    """The independently recurrent network: each unit sees only its own past.

        h' = activation(x W + h * r + b)                entry by entry

    Shapes        x [B, I], state (h [B, U]), W [I, U], R [U], b [U] unless bias=False
    Options       activation="relu", bias=True
    Paper         Li, Li, Cook, Zhu & Gao, "Independently recurrent neural network" (2018), eq. 2
    Same as       TF 1 IndRNNCell (activation="tanh" there; its kernel_u is [1, U])
    Errors        NotSupported: an option or an activation that is not known

    >>> import numpy as np
    >>> cell, p = IndRNN(), {"W": np.ones((1, 2)), "R": np.array([2.0, 3.0]), "b": np.zeros(2)}
    >>> y, new, kept = cell.forward(p, np.ones((1, 1)), cell.rule.State(np.ones((1, 2))))
    >>> y
    array([[3., 4.]])
    """
    return GatedCell(input_map(bias), Diagonal("R"), ElmanRule(activation))


@keyword_options(LSTMRule)
def IndyLSTM(*, bias: bool = True, **options: Any) -> TwoStage:
    """An LSTM with a diagonal recurrent matrix: each unit sees only its own h.

        i, f, g, o as in LSTM, with h * R_i in place of the product h R_i, and so on

    Shapes        x [B, I], state (h [B, U], c [B, U]), W [I, 4U], R [4U], b [4U], gate blocks i f g o
    Options       those of LSTM except projection, projection_clip and recurrent_bias
    Paper         Gonnet & Deselaers, "IndyLSTMs: independently recurrent LSTMs" (2019)
    Same as       TF 1 IndyLSTMCell (forget_bias=1.0 there; its kernel_u is [1, 4U])
    Errors        NotSupported: an option or an activation that is not known

    >>> import numpy as np
    >>> cell, p = IndyLSTM(), {"W": np.ones((1, 4)), "R": np.zeros(4), "b": np.zeros(4)}
    >>> y, new, kept = cell.forward(p, np.zeros((1, 1)), cell.zeros(1, 1, dtype="float64"))
    >>> float(kept.step.rule.i[0, 0])
    0.5
    """
    return GatedCell(input_map(bias), Diagonal("R"), LSTMRule(**options))


@keyword_options(GRURule)
def IndyGRU(*, bias: bool = True, **options: Any) -> TwoStage:
    """A GRU with a diagonal recurrent matrix: each unit sees only its own h.

        r = gate(x W_r + h * R_r + b_r)                 z = gate(x W_z + h * R_z + b_z)
        n = candidate(x W_n + r * h * R_n + b_n)        h' = (1 - z) n + z h

    Shapes        x [B, I], state (h [B, U]), W [I, 3U], R [3U], b [3U], gate blocks r z n
    Options       gate="sigmoid", candidate="tanh", bias=True
    Paper         after Gonnet & Deselaers, "IndyLSTMs" (2019)
    Same as       TF 1 IndyGRUCell.  The reset before and after the product are the same here: (r * h) * R_n
    Errors        NotSupported: an option or an activation that is not known

    >>> import numpy as np
    >>> cell, p = IndyGRU(), {"W": np.zeros((1, 3)), "R": np.zeros(3), "b": np.zeros(3)}
    >>> y, new, kept = cell.forward(p, np.ones((1, 1)), cell.rule.State(np.ones((1, 1))))
    >>> float(y[0, 0])
    0.5
    """
    return GatedCell(input_map(bias), Diagonal("R"), GRURule(**options))


@keyword_options(LSTMRule)
def GLSTM(*, groups: int = 1, projection: Optional[int] = None, projection_clip: Optional[float] = None,
          bias: bool = True, **options: Any) -> TwoStage:
    """An LSTM in groups of units: each sees its own part of x and of h, so W and R have 1 / groups of the entries.

        the equations of LSTM in each group

    Shapes        x [B, I], state (h [B, H], c [B, U]), W [groups, I / groups, 4U / groups],
                  R [groups, H / groups, 4U / groups], columns of a group i f g o; b [4U]; P [U, H] is one whole matrix;
                  W [I, 4U], R [H, 4U] with one group
    Options       groups=1, and those of LSTM except recurrent_bias
    Paper         Kuchaiev & Ginsburg, "Factorization tricks for LSTM networks" (2017), section 3
    Same as       TF 1 GLSTMCell (forget_bias=1.0 there; its activation is `output` alone, g is tanh)
    Errors        NotSupported: an option that is not known; ShapeError: inputs or units that groups does not divide

    >>> import numpy as np
    >>> GLSTM(groups=2).shapes(6, 4)
    {'W': (2, 3, 8), 'b': (16,), 'R': (2, 2, 8)}
    """
    rule, inputs, recurrent = LSTMRule(**options), input_map(bias), Dense("R")
    if groups > 1:
        inputs = Grouped("W", "b" if bias else None, groups, len(rule.gates))
        recurrent = Grouped("R", None, groups, len(rule.gates))
    cell = GatedCell(inputs, recurrent, rule)
    return ProjectedCell(cell, projection=projection, clip=projection_clip) if projection else cell


@keyword_options(LSTMRule)
def ConvLSTM(*, kernel: tuple = (3,), recurrent_kernel: Optional[tuple] = None, strides: tuple = (),
             padding: str = "same", bias: bool = True, recurrent_bias: bool = False, dilation: tuple = (),
             **options: Any) -> TwoStage:
    """An LSTM with convolutions in the place of its products, over one, two or three axes of space.

        the equations of LSTM with x * W and h * R for the products

    Shapes        x [B, *S, I], state (h [B, *S', U], c [B, *S', U]), W [*kernel, I, 4U], R [*kernel, U, 4U], b [4U],
                  gate blocks i f g o; S has as many axes as `kernel`; S' is S, or smaller with strides or
                  padding="valid"; these and dilation apply to x alone
    Options       kernel=(3,), recurrent_kernel=None (the same), strides=() (1), padding="same" | "valid", bias=True,
                  recurrent_bias=False (True: bR [4U]), dilation=() (1), and those of LSTM except the projection;
                  peepholes are [U], the same at every place
    Paper         Shi et al., "Convolutional LSTM network" (2015), eq. 3, with peepholes=True
    Same as       Keras 3 ConvLSTM1D, 2D, 3D with the same weights (padding="valid" is the default there; Keras 2 has
                  gate="hard_sigmoid@keras2"), flax linen ConvLSTMCell (recurrent_bias=True, forget_bias=1.0), TF 1
                  ConvLSTMCell (forget_bias=1.0)
    Differs from  the paper, which has a peephole for every unit at every place
    Errors        NotSupported: a kernel that has not 1 to 3 axes, or an option that is not known; ShapeError: an x
                  smaller than the kernel with padding="valid"

    >>> import numpy as np
    >>> cell = ConvLSTM(kernel=(3, 2))
    >>> cell.shapes(1, 2)
    {'W': (3, 2, 1, 8), 'b': (8,), 'R': (3, 2, 2, 8)}
    >>> cell.zeros((5, 8, 9), 2).h.shape
    (5, 8, 9, 2)
    """
    inputs = Conv("W", "b" if bias else None, tuple(kernel), strides, padding, dilation)
    recurrent = Conv("R", "bR" if recurrent_bias else None, tuple(recurrent_kernel or kernel))
    return GatedCell(inputs, recurrent, LSTMRule(**options))


@keyword_options(LSTMRule)
def LayerNormLSTM(*, projection: Optional[int] = None, projection_clip: Optional[float] = None, epsilon: float = 1e-5,
                  separate: bool = False, joint: bool = False, bias: bool = True, **options: Any) -> TwoStage:
    """An LSTM with layer-normalised pre-activations and a layer-normalised c.

        a = norm(x W + h R) gain + shift                each gate block by itself, or, with separate=True,
        a = norm(x W) gain + b + norm(h R) gain_r + bR
        i, f, g, o as in LSTM, from a
        c' = norm(f c + i g) gain_c + shift_c           clipped after the norm, if at all
        h' = o output(c')   (, then h' P)

    Shapes        x [B, I], state (h [B, H], c [B, U]), W [I, 4U], R [H, 4U], gain shift [4U], gate blocks i f g o,
                  gain_c shift_c [U], Wpi Wpf Wpo [U] with `peepholes`, P [U, H] with `projection=H`; no b.  With
                  separate=True gain gain_r b bR [4U] in the place of gain and shift
    Options       epsilon=1e-5, added to the variances (1e-12 in TF 1); separate=False; with it joint=True: all gate
                  blocks normalised together, else each by itself; bias=True: shift, or b and bR; and those of LSTM
                  except the biases
    Paper         Ba, Kiros & Hinton, "Layer normalization" (2016)
    Same as       TF 1 LayerNormLSTMCell(layer_norm=True) and LayerNormBasicLSTMCell (forget_bias=1.0, epsilon=1e-12);
                  with coupled="input" its CoupledInputForgetGateLSTMCell(layer_norm=True); TF Addons LayerNormLSTMCell
                  (separate=True, joint=True, epsilon=1e-3; b is its bias and the beta of its kernel norm)
    Differs from  the paper, eqs. 20-22, which normalises both products by themselves, as separate=True does, and keeps
                  the c that is not normalised as the state
    Errors        NotSupported: an option or an activation that is not known, or joint=True alone

    >>> import numpy as np
    >>> sorted(LayerNormLSTM().axes())
    ['R', 'W', 'gain', 'gain_c', 'shift', 'shift_c']
    """
    lstm = CellNormLSTMRule(epsilon=epsilon, **options)
    if joint and not separate:
        raise NotSupported("LayerNormLSTM", "joint=True without separate=True")
    if separate:
        blocks, (b, bR) = 1 if joint else len(lstm.gates), ("b", "bR") if bias else (None, None)
        cell = GatedCell(LayerNorm(Dense("W"), blocks, "gain", b, epsilon),
                         LayerNorm(Dense("R"), blocks, "gain_r", bR, epsilon), lstm)
    else:
        shift = "shift" if bias else None
        cell = GatedCell(Dense("W"), Dense("R"), LayerNormRule(lstm, shift=shift, epsilon=epsilon))
    return ProjectedCell(cell, projection=projection, clip=projection_clip) if projection else cell


@keyword_options(LSTMRule)
def WeightNormLSTM(*, projection: Optional[int] = None, projection_clip: Optional[float] = None, floor: float = 0.0,
                   bias: bool = True, **options: Any) -> TwoStage:
    """An LSTM with weight normalisation: each column of W and R is a length times a direction.

        W = gain V / |V|                                R = gain_r Vr / |Vr|, column by column
        P = gain_p Vp / |Vp|                            with `projection=H`

    Shapes        V [I, 4U], Vr [H, 4U], gain gain_r [4U], b [4U], gate blocks i f g o; Vp [U, H], gain_p [H]; the rest
                  as in LSTM
    Options       floor=0.0, the lower limit of |V|^2 (1e-12 in TF 1), and those of LSTM except recurrent_bias
    Paper         Salimans & Kingma, "Weight normalization" (2016)
    Same as       TF 1 WeightNormLSTMCell (forget_bias=1.0, floor=1e-12): W and R normalised by themselves, as here
    Errors        NotSupported: an option or an activation that is not known

    >>> import numpy as np
    >>> sorted(WeightNormLSTM().axes())
    ['V', 'Vr', 'b', 'gain', 'gain_r']
    """
    x, h = WeightNorm("W", "b" if bias else None, floor=floor), WeightNorm("R", None, "Vr", "gain_r", floor)
    cell = GatedCell(x, h, LSTMRule(**options))
    p = WeightNorm("P", None, "Vp", "gain_p", floor)
    return ProjectedCell(cell, projection=projection, map=p, clip=projection_clip) if projection else cell


LSTM_VARIANTS = IndRNN, IndyLSTM, IndyGRU, GLSTM, ConvLSTM, LayerNormLSTM, WeightNormLSTM
