"""GRU with Keras's names."""
from typing import Any

from .. import cells
from .cell import CellLayer
from .keras_cell import KerasCell, collect_options
from .rnn import RNN


class GRUCell(KerasCell, CellLayer):
    """One step of the GRU; z keeps the old state.

    Shapes        x [B, I], states [h [B, U]]; kernel [I, 3U], recurrent_kernel [U, 3U], bias [2, 3U] (of x and of h) or
                  [3U] with reset_after=False, in gate blocks z r h (h is the candidate, our n)
    Options       reset_after: r acts on the product h R as in cuDNN, or before it; the rest are `KerasCell`'s
    Same as       Keras GRUCell; the equations are rnnref.cells.GRU's

    >>> import numpy as np
    >>> cell = GRUCell(4, reset_after=False)
    >>> y, (h,) = cell(np.ones((2, 3)))
    >>> [w.shape for w in cell.get_weights()]
    [(3, 12), (4, 12), (12,)]
    """
    reset_after: Any

    def __init__(self, units, activation="tanh", recurrent_activation="sigmoid", use_bias=True,
                 kernel_initializer="glorot_uniform", recurrent_initializer="orthogonal", bias_initializer="zeros",
                 kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None, kernel_constraint=None,
                 recurrent_constraint=None, bias_constraint=None, dropout=0.0, recurrent_dropout=0.0, reset_after=True,
                 seed=None, **kwargs):
        self._take_options(collect_options(locals()), **kwargs)

    @property
    def family(self):
        return "gru" if self.reset_after else "gru before"

    @property
    def reset(self):
        return "after" if self.reset_after else "before"

    @property
    def core(self):
        return cells.GRU(reset=self.reset, bias=self.use_bias, gate=self.act("recurrent_activation"),
                         candidate=self.act("activation"))


class GRU(RNN):
    """Gated recurrent unit over a sequence, with Keras's arguments and defaults.

    Shapes        x [B, T, I]; y [B, U], or [B, T, U] with return_sequences; one state h [B, U]
    Options       those of the cell are `GRUCell`'s and `KerasCell`'s, those of the loop `RNN`'s
    Same as       Keras GRU

    >>> import numpy as np
    >>> layer = GRU(4, return_sequences=True, go_backwards=True)
    >>> layer(np.ones((2, 5, 3))).shape, [w.shape for w in layer.get_weights()]
    ((2, 5, 4), [(3, 12), (4, 12), (2, 12)])
    """
    Cell = GRUCell

    def __init__(self, units, activation="tanh", recurrent_activation="sigmoid", use_bias=True,
                 kernel_initializer="glorot_uniform", recurrent_initializer="orthogonal", bias_initializer="zeros",
                 kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None, activity_regularizer=None,
                 kernel_constraint=None, recurrent_constraint=None, bias_constraint=None, dropout=0.0,
                 recurrent_dropout=0.0, seed=None, return_sequences=False, return_state=False, go_backwards=False,
                 stateful=False, unroll=False, reset_after=True, use_cudnn="auto", **kwargs):
        self._take_options(collect_options(locals()), **kwargs)
