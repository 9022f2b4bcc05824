"""GRU with Keras's names."""
from typing import Any, Optional

from .. import cells
from .cell import CellLayer
from .keras_cell import KerasCell, collect_options, core_of
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

    def __init__(self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid",
                 use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
                 recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
                 kernel_regularizer: Any = None, recurrent_regularizer: Any = None, bias_regularizer: Any = None,
                 kernel_constraint: Any = None, recurrent_constraint: Any = None, bias_constraint: Any = None,
                 dropout: float = 0.0, recurrent_dropout: float = 0.0, reset_after: bool = True,
                 seed: Optional[int] = None, **kwargs: Any) -> None:
        self._take_options(collect_options(locals()), **kwargs)

    @property
    def family(self) -> Any:
        return "gru" if self.reset_after else "gru before"

    @property
    def reset(self) -> Any:
        return "after" if self.reset_after else "before"

    @core_of("activation", "recurrent_activation", "use_bias", "reset_after")
    def core(self) -> Any:
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

    def __init__(self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid",
                 use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
                 recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
                 kernel_regularizer: Any = None, recurrent_regularizer: Any = None, bias_regularizer: Any = None,
                 activity_regularizer: Any = None, kernel_constraint: Any = None, recurrent_constraint: Any = None,
                 bias_constraint: Any = None, dropout: float = 0.0, recurrent_dropout: float = 0.0,
                 seed: Optional[int] = None, return_sequences: bool = False, return_state: bool = False,
                 go_backwards: bool = False, stateful: bool = False, unroll: bool = False, reset_after: bool = True,
                 use_cudnn: Any = "auto", **kwargs: Any) -> None:
        self._take_options(collect_options(locals()), **kwargs)
