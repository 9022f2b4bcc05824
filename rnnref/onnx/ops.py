"""The ONNX operators RNN, GRU and LSTM as functions of arrays."""
from typing import Any, Optional

from ..arrays import Array
from .node import run_op
from .reading import TEXT, Reading


def rnn(X: Array, W: Array, R: Array, B: Optional[Array] = None, sequence_lens: Optional[Array] = None,
        initial_h: Optional[Array] = None, *, reading: Reading = TEXT, **attributes: Any) -> tuple[Array, Array]:
    """The operator RNN.

        Ht = f(Xt Wi^T + Ht-1 Ri^T + Wbi + Rbi)

    Shapes        X [T, B, I], W [D, H, I], R [D, H, H], B [D, 2H], sequence_lens [B] integers, initial_h [D, B, H]
                  -> Y [T, D, B, H], Y_h [D, B, H]; D is 2 if bidirectional, else 1
                  layout=1: X [B, T, I], initial_h [B, D, H] -> Y [B, T, D, H], Y_h [B, D, H]
    Attributes    by their ONNX names: activations, activation_alpha, activation_beta, clip, direction, hidden_size,
                  layout; `reading` decides what the specification leaves open
    Same as       cells.SimpleRNN(recurrent_bias=True) and run(...)
    Errors        ShapeError, DtypeError: an input that does not fit; NotSupported: an attribute, by its name

    >>> import numpy as np
    >>> X, W, R = np.ones((3, 1, 1)), np.ones((1, 1, 1)), np.ones((1, 1, 1))
    >>> Y, Y_h = rnn(X, W, R, activations=["Affine"], activation_alpha=[2.0], direction="reverse")
    >>> Y.ravel(), Y_h.shape
    (array([14.,  6.,  2.]), (1, 1, 1))
    """
    inputs = {"X": X, "W": W, "R": R, "B": B, "sequence_lens": sequence_lens, "initial_h": initial_h}
    return run_op("RNN", inputs, attributes, reading, keep=False)[0]


def gru(X: Array, W: Array, R: Array, B: Optional[Array] = None, sequence_lens: Optional[Array] = None,
        initial_h: Optional[Array] = None, *, reading: Reading = TEXT, **attributes: Any) -> tuple[Array, Array]:
    """The operator GRU.

        zt = f(Xt Wz^T + Ht-1 Rz^T + Wbz + Rbz)             rt = f(Xt Wr^T + Ht-1 Rr^T + Wbr + Rbr)
        ht = g(Xt Wh^T + (rt Ht-1) Rh^T + Rbh + Wbh)        linear_before_reset=0
        ht = g(Xt Wh^T + rt (Ht-1 Rh^T + Rbh) + Wbh)        otherwise
        Ht = (1 - zt) ht + zt Ht-1

    Shapes        those of `rnn`, but W [D, 3H, I], R [D, 3H, H], B [D, 6H], blocks z r h
    Attributes    those of `rnn`, and linear_before_reset
    Same as       cells.GRU(reset="before" | "after", recurrent_bias=True) and run(...)
    Errors        those of `rnn`

    >>> import numpy as np
    >>> Y, Y_h = gru(np.ones((2, 1, 1)), np.zeros((1, 3, 1)), np.zeros((1, 3, 1)), initial_h=np.ones((1, 1, 1)))
    >>> Y.ravel()
    array([0.5 , 0.25])
    """
    inputs = {"X": X, "W": W, "R": R, "B": B, "sequence_lens": sequence_lens, "initial_h": initial_h}
    return run_op("GRU", inputs, attributes, reading, keep=False)[0]


def lstm(X: Array, W: Array, R: Array, B: Optional[Array] = None, sequence_lens: Optional[Array] = None,
         initial_h: Optional[Array] = None, initial_c: Optional[Array] = None, P: Optional[Array] = None, *,
         reading: Reading = TEXT, **attributes: Any) -> tuple[Array, Array, Array]:
    """The operator LSTM.

        it = f(Xt Wi^T + Ht-1 Ri^T + Pi Ct-1 + Wbi + Rbi)   ct = g(Xt Wc^T + Ht-1 Rc^T + Wbc + Rbc)
        ft = f(Xt Wf^T + Ht-1 Rf^T + Pf Ct-1 + Wbf + Rbf)   Ct = ft Ct-1 + it ct
        ot = f(Xt Wo^T + Ht-1 Ro^T + Po Ct + Wbo + Rbo)     Ht = ot h(Ct)

    Shapes        those of `rnn`, but W [D, 4H, I], R [D, 4H, H], B [D, 8H], blocks i o f c; initial_c and Y_c are as
                  initial_h and Y_h; P [D, 3H], blocks i o f
    Attributes    those of `rnn`, and input_forget
    Same as       cells.LSTM(recurrent_bias=True, peepholes=True with P, coupled="forget" with input_forget), run(...)
    Errors        those of `rnn`

    >>> import numpy as np
    >>> one = np.ones((1, 1, 1))
    >>> Y, Y_h, Y_c = lstm(one, np.zeros((1, 4, 1)), np.zeros((1, 4, 1)), initial_c=one, input_forget=1)
    >>> float(Y_c[0, 0, 0]), bool(Y[0, 0, 0, 0] == 0.5 * np.tanh(0.5))
    (0.5, True)
    """
    inputs = {"X": X, "W": W, "R": R, "B": B, "sequence_lens": sequence_lens, "initial_h": initial_h,
              "initial_c": initial_c, "P": P}
    return run_op("LSTM", inputs, attributes, reading, keep=False)[0]
