"""SimpleRNN with Keras's names."""
from .. import cells
from .cell import CellLayer
from .keras_cell import KerasCell, collect_options
from .rnn import RNN


class SimpleRNNCell(KerasCell, CellLayer):
    """One step of the simple RNN:  h' = activation(x W + h R + b).

    Shapes        x [B, I], states [h [B, U]]; kernel [I, U], recurrent_kernel [U, U], bias [U]
    Same as       Keras SimpleRNNCell; the equations are rnnref.cells.SimpleRNN's, the options `KerasCell`'s

    >>> import numpy as np
    >>> cell = SimpleRNNCell(4, seed=0)
    >>> y, states = cell(np.ones((2, 3)))
    >>> dx, dstates = cell.backward(np.ones((2, 4)))
    >>> y.shape, dx.shape, sorted(cell.grads)
    ((2, 4), (2, 3), ['R', 'W', 'b'])
    """
    family = "rnn"

    def __init__(self, units, activation="tanh", use_bias=True, kernel_initializer="glorot_uniform",
                 recurrent_initializer="orthogonal", bias_initializer="zeros", kernel_regularizer=None,
                 recurrent_regularizer=None, bias_regularizer=None, kernel_constraint=None, recurrent_constraint=None,
                 bias_constraint=None, dropout=0.0, recurrent_dropout=0.0, seed=None, **kwargs):
        self._take_options(collect_options(locals()), **kwargs)

    @property
    def core(self):
        return cells.SimpleRNN(activation=self.act("activation"), bias=self.use_bias)


class SimpleRNN(RNN):
    """The simple recurrent network over a sequence, with Keras's arguments and defaults.

    Shapes        x [B, T, I]; y [B, U], or [B, T, U] with return_sequences; one state h [B, U]
    Options       those of the cell are `KerasCell`'s, those of the loop `RNN`'s
    Same as       Keras SimpleRNN
    Differs from  Keras 3.15, which takes activity_regularizer and does nothing with it

    >>> import numpy as np
    >>> layer = SimpleRNN(4, return_sequences=True)
    >>> layer(np.ones((2, 5, 3))).shape, [w.shape for w in layer.get_weights()]
    ((2, 5, 4), [(3, 4), (4, 4), (4,)])
    """
    Cell = SimpleRNNCell

    def __init__(self, units, activation="tanh", use_bias=True, kernel_initializer="glorot_uniform",
                 recurrent_initializer="orthogonal", bias_initializer="zeros", kernel_regularizer=None,
                 recurrent_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None,
                 recurrent_constraint=None, bias_constraint=None, dropout=0.0, recurrent_dropout=0.0,
                 return_sequences=False, return_state=False, go_backwards=False, stateful=False, unroll=False,
                 seed=None, **kwargs):
        self._take_options(collect_options(locals()), **kwargs)
