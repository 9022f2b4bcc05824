"""SimpleRNN with Keras's names."""
from typing import Any, Optional

from .. import cells
from .cell import CellLayer
from .keras_cell import KerasCell, collect_options, core_of
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

    def __init__(self, units: int, activation: Any = "tanh", use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal",
                 bias_initializer: Any = "zeros", kernel_regularizer: Any = None, recurrent_regularizer: Any = None,
                 bias_regularizer: Any = None, kernel_constraint: Any = None, recurrent_constraint: Any = None,
                 bias_constraint: Any = None, dropout: float = 0.0, recurrent_dropout: float = 0.0,
                 seed: Optional[int] = None, **kwargs: Any) -> None:
        self._take_options(collect_options(locals()), **kwargs)

    @core_of("activation", "use_bias")
    def core(self) -> Any:
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

    def __init__(self, units: int, activation: Any = "tanh", use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal",
                 bias_initializer: Any = "zeros", kernel_regularizer: Any = None, recurrent_regularizer: Any = None,
                 bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None,
                 recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0,
                 recurrent_dropout: float = 0.0, return_sequences: bool = False, return_state: bool = False,
                 go_backwards: bool = False, stateful: bool = False, unroll: bool = False, seed: Optional[int] = None,
                 **kwargs: Any) -> None:
        self._take_options(collect_options(locals()), **kwargs)
