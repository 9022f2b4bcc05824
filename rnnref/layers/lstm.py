"""LSTM with Keras's names."""
from typing import Any, Optional

import numpy

from .. import cells
from .cell import CellLayer
from .keras_cell import KerasCell, collect_options, core_of
from .rnn import RNN


class LSTMCell(KerasCell, CellLayer):
    """One step of the LSTM; `activation` squashes both candidate and c, `recurrent_activation` is that of the gates.

    Shapes        x [B, I], states [h [B, U], c [B, U]]; kernel [I, 4U], recurrent_kernel [U, 4U], bias [4U] in gate
                  blocks i f c o (c is the candidate, our g)
    Options       unit_forget_bias: the bias of f starts at one; the rest are `KerasCell`'s
    Same as       Keras LSTMCell; the equations are rnnref.cells.LSTM's

    >>> import numpy as np
    >>> cell = LSTMCell(4, seed=0)
    >>> y, (h, c) = cell(np.ones((2, 3)))
    >>> bool((y == h).all()), c.shape, cell.get_weights()[2][:8]
    (True, (2, 4), array([0., 0., 0., 0., 1., 1., 1., 1.], dtype=float32))
    """
    family = "lstm"
    unit_forget_bias: Any

    def __init__(self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid",
                 use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
                 recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
                 unit_forget_bias: bool = True, kernel_regularizer: Any = None, recurrent_regularizer: Any = None,
                 bias_regularizer: Any = None, kernel_constraint: Any = None, recurrent_constraint: Any = None,
                 bias_constraint: Any = None, dropout: float = 0.0, recurrent_dropout: float = 0.0,
                 seed: Optional[int] = None, **kwargs: Any) -> None:
        self._take_options(collect_options(locals()), **kwargs)

    @core_of("activation", "recurrent_activation", "use_bias")
    def core(self) -> Any:
        act = self.act("activation")
        return cells.LSTM(gate=self.act("recurrent_activation"), candidate=act, output=act, bias=self.use_bias)

    def _draw(self, name: str, rng: Any, shape: Any) -> Any:
        return with_forget_bias(self, super()._draw, name, rng, shape)


def with_forget_bias(cell: Any, draw: Any, name: str, rng: Any, shape: Any) -> Any:
    """First values of the weights of an LSTM, with ones for the bias of the forget gate if `unit_forget_bias`."""
    if name != "bias" or not cell.unit_forget_bias:
        return draw(name, rng, shape)
    i, f, rest = (n * cell.units for n in (1, 1, 2))
    return numpy.concatenate([draw(name, rng, (i,)), numpy.ones(f), draw(name, rng, (rest,))])


class LSTM(RNN):
    """Long short-term memory over a sequence, with Keras's arguments and defaults.

    Shapes        x [B, T, I]; y [B, U], or [B, T, U] with return_sequences; two states, h and c [B, U]
    Options       those of the cell are `LSTMCell`'s and `KerasCell`'s, those of the loop `RNN`'s
    Same as       Keras LSTM

    >>> import numpy as np
    >>> layer = LSTM(4, return_state=True, seed=0)
    >>> y, h, c = layer(np.ones((2, 5, 3)))
    >>> dx, (dh, dc) = layer.backward(np.ones((2, 4)))
    >>> dx.shape, layer.grads["W"].shape, layer.count_params()
    ((2, 5, 3), (3, 16), 128)
    """
    Cell = LSTMCell

    def __init__(self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid",
                 use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
                 recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
                 unit_forget_bias: bool = True, kernel_regularizer: Any = None, recurrent_regularizer: Any = None,
                 bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None,
                 recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0,
                 recurrent_dropout: float = 0.0, seed: Optional[int] = None, return_sequences: bool = False,
                 return_state: bool = False, go_backwards: bool = False, stateful: bool = False, unroll: bool = False,
                 use_cudnn: Any = "auto", **kwargs: Any) -> None:
        self._take_options(collect_options(locals()), **kwargs)
