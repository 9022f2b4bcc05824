"""LSTMs, and an RNN and a GRU like them, with other maps or with norms.  (floor 4)

The letters of the shapes are those of `catalog`.
"""
from ..cell import GatedCell, ProjectedCell
from ..maps.conv import Conv
from ..maps.dense import Dense, Diagonal, Grouped
from ..maps.normed import WeightNorm
from ..rules.elman import ElmanRule
from ..rules.gru import GRURule
from ..rules.lstm import LSTMRule
from ..rules.lstm_normed import CellNormLSTMRule
from ..rules.layer_norm import LayerNormRule


def IndRNN(activation="relu", bias=True):
    """The independently recurrent network: each unit sees only its own past.

        h' = activation(x W + h * r + b)                entry by entry

    Shapes        x [B, I], state (h [B, U]), W [I, U], R [U], b [U] unless bias=False
    Paper         Li, Li, Cook, Zhu & Gao, "Independently recurrent neural network" (2018), eq. 2
    Same as       TF 1 IndRNNCell (activation="tanh" there; its kernel_u is [1, U])
    Errors        NotSupported: an activation that is not known

    >>> import numpy as np
    >>> cell, p = IndRNN(), {"W": np.ones((1, 2)), "R": np.array([2.0, 3.0]), "b": np.zeros(2)}
    >>> y, new, kept = cell.forward(p, np.ones((1, 1)), cell.rule.State(np.ones((1, 2))))
    >>> y
    array([[3., 4.]])
    """
    return GatedCell(_input_map(bias), Diagonal("R"), ElmanRule(activation))


def IndyLSTM(bias=True, **options):
    """An LSTM whose units each see only their own h.

        i, f, g, o as in LSTM, with h * R_i in place of the product h R_i, and so on

    Shapes        x [B, I], state (h [B, U], c [B, U]), W [I, 4U], R [4U], b [4U], gate blocks i f g o
    Options       those of LSTM, but for the projection
    Paper         Gonnet & Deselaers, "IndyLSTMs: independently recurrent LSTMs" (2019)
    Same as       TF 1 IndyLSTMCell (forget_bias=1.0 there; its kernel_u is [1, 4U])
    Errors        NotSupported: an option or an activation that is not known

    >>> import numpy as np
    >>> cell, p = IndyLSTM(), {"W": np.ones((1, 4)), "R": np.zeros(4), "b": np.zeros(4)}
    >>> y, new, kept = cell.forward(p, np.zeros((1, 1)), cell.zeros(1, 1, dtype="float64"))
    >>> float(kept.step.rule.i[0, 0])
    0.5
    """
    return GatedCell(_input_map(bias), Diagonal("R"), LSTMRule(**options))


def IndyGRU(bias=True, **options):
    """A GRU whose units each see only their own h.

        r = gate(x W_r + h * R_r + b_r)                 z = gate(x W_z + h * R_z + b_z)
        n = candidate(x W_n + r * h * R_n + b_n)        h' = (1 - z) n + z h

    Shapes        x [B, I], state (h [B, U]), W [I, 3U], R [3U], b [3U], gate blocks r z n
    Options       gate="sigmoid", candidate="tanh"
    Paper         after Gonnet & Deselaers, "IndyLSTMs" (2019)
    Same as       TF 1 IndyGRUCell.  There is one reset only: (r h) R_n and r (h R_n) are the same, entry by entry
    Errors        NotSupported: an option or an activation that is not known

    >>> import numpy as np
    >>> cell, p = IndyGRU(), {"W": np.zeros((1, 3)), "R": np.zeros(3), "b": np.zeros(3)}
    >>> y, new, kept = cell.forward(p, np.ones((1, 1)), cell.rule.State(np.ones((1, 1))))
    >>> float(y[0, 0])
    0.5
    """
    return GatedCell(_input_map(bias), Diagonal("R"), GRURule(**options))


def GLSTM(groups=1, projection=None, projection_clip=None, bias=True, **options):
    """An LSTM in groups: each sees its own part of x and of h, so there are 1 / groups of the weights.

        the equations of LSTM in each group

    Shapes        x [B, I], state (h [B, H], c [B, U]), W [groups, I / groups, 4U / groups],
                  R [groups, H / groups, 4U / groups], columns of a group i f g o; b [4U]; P [U, H] is one whole matrix;
                  W [I, 4U], R [H, 4U] with one group
    Options       those of LSTM
    Paper         Kuchaiev & Ginsburg, "Factorization tricks for LSTM networks" (2017), section 3
    Same as       TF 1 GLSTMCell (forget_bias=1.0 there; its activation is `output` alone, g is tanh)
    Errors        ShapeError: inputs or units that cannot be cut into that many groups

    >>> import numpy as np
    >>> GLSTM(groups=2).shapes(6, 4)
    {'W': (2, 3, 8), 'b': (16,), 'R': (2, 2, 8)}
    """
    rule, inputs, recurrent = LSTMRule(**options), _input_map(bias), Dense("R")
    if groups > 1:
        inputs = Grouped("W", "b" if bias else None, groups, len(rule.gates))
        recurrent = Grouped("R", None, groups, len(rule.gates))
    cell = GatedCell(inputs, recurrent, rule)
    return ProjectedCell(cell, projection, clip=projection_clip) if projection else cell


def ConvLSTM(kernel=(3,), recurrent_kernel=None, strides=(), padding="same", bias=True, recurrent_bias=False,
             dilation=(), **options):
    """An LSTM at every place of a line, a plane or a volume, whose products are convolutions.

        the equations of LSTM with x * W and h * R for the products

    Shapes        x [B, *S, I], state (h [B, *S', U], c [B, *S', U]), W [*kernel, I, 4U], R [*kernel, U, 4U], b [4U],
                  gate blocks i f g o; S has as many axes as `kernel`, S' is S unless strides or padding="valid" make
                  it smaller: these and dilation concern x alone
    Options       recurrent_kernel=None (that of x), recurrent_bias=False (True: bR [4U]), and those of LSTM; peepholes
                  are [U], the same at every place
    Paper         Shi et al., "Convolutional LSTM network" (2015), eq. 3; without its peepholes unless asked for
    Same as       Keras 3 ConvLSTM1D, 2D, 3D, weights and all (padding="valid" unless said there; Keras 2 has
                  gate="hard_sigmoid@keras2"), flax linen ConvLSTMCell (recurrent_bias=True, forget_bias=1.0), TF 1
                  ConvLSTMCell (forget_bias=1.0)
    Differs from  the paper, which has a peephole for every unit of every place
    Errors        NotSupported: a kernel of no axis or more than three; ShapeError: a kernel wider than a "valid" x

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


def LayerNormLSTM(projection=None, projection_clip=None, epsilon=1e-5, **options):
    """An LSTM on a layer-normalised sum, and with a normalised c.

        a = norm(x W + h R) gain + shift                each gate block by itself
        i, f, g, o as in LSTM, from a
        c' = norm(f c + i g) gain_c + shift_c           carried on so, limited after the norm
        h' = o output(c')   (, then h' P)

    Shapes        x [B, I], state (h [B, H], c [B, U]), W [I, 4U], R [H, 4U], gain shift [4U], gate blocks i f g o,
                  gain_c shift_c [U], Wpi Wpf Wpo [U] with `peepholes`, P [U, H] with `projection=H`; no b
    Options       those of LSTM; epsilon, added to the variances (1e-12 in TF 1)
    Paper         Ba, Kiros & Hinton, "Layer normalization" (2016)
    Same as       TF 1 LayerNormLSTMCell(layer_norm=True) and LayerNormBasicLSTMCell (forget_bias=1.0, epsilon=1e-12);
                  with coupled="input" its CoupledInputForgetGateLSTMCell(layer_norm=True)
    Differs from  the paper, eqs. 20-22: both products are normalised together, and the normalised c is carried on,
                  where the paper shows it to the output alone
    Errors        NotSupported: an option or an activation that is not known

    >>> import numpy as np
    >>> sorted(LayerNormLSTM().axes())
    ['R', 'W', 'gain', 'gain_c', 'shift', 'shift_c']
    """
    rule = LayerNormRule(CellNormLSTMRule(epsilon=epsilon, **options), epsilon=epsilon)
    cell = GatedCell(Dense("W"), Dense("R"), rule)
    return ProjectedCell(cell, projection, clip=projection_clip) if projection else cell


def WeightNormLSTM(projection=None, projection_clip=None, floor=0.0, bias=True, **options):
    """An LSTM whose weights are lengths times directions.

        W = gain V / |V|                                R = gain_r Vr / |Vr|, column by column
        P = gain_p Vp / |Vp|                            with `projection=H`

    Shapes        V [I, 4U], Vr [H, 4U], gain gain_r [4U], b [4U], gate blocks i f g o; Vp [U, H], gain_p [H]; the rest
                  as in LSTM
    Options       those of LSTM; floor: |V|^2 is at least that (1e-12 in TF 1)
    Paper         Salimans & Kingma, "Weight normalization" (2016)
    Same as       TF 1 WeightNormLSTMCell (forget_bias=1.0, floor=1e-12): it norms rows of x and of h apart, as here
    Errors        NotSupported: an option or an activation that is not known

    >>> import numpy as np
    >>> sorted(WeightNormLSTM().axes())
    ['V', 'Vr', 'b', 'gain', 'gain_r']
    """
    x, h = WeightNorm("W", "b" if bias else None, floor=floor), WeightNorm("R", None, "Vr", "gain_r", floor)
    cell = GatedCell(x, h, LSTMRule(**options))
    p = WeightNorm("P", None, "Vp", "gain_p", floor)
    return ProjectedCell(cell, projection, p, projection_clip) if projection else cell


def _input_map(bias=True):
    return Dense("W", "b" if bias else None)


LSTM_VARIANTS = IndRNN, IndyLSTM, IndyGRU, GLSTM, ConvLSTM, LayerNormLSTM, WeightNormLSTM
