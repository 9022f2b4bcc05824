"""ConvLSTM over one, two or three axes of space."""
from typing import Any, Optional

from .. import cells
from ..arrays import namespace
from ..errors import NotSupported, ShapeError, check_option
from ..tree import map_structure
from .cell import CellLayer
from .keras_cell import KerasCell, collect_options
from .lstm import with_forget_bias
from .rnn import RNN


class ConvLSTMCell(KerasCell, CellLayer):
    """One step of an LSTM whose products are convolutions over `rank` axes of space.

    Shapes        x [B, *S, I], states [h, c], each [B, *S', filters] ([B, I, *S] with data_format="channels_first");
                  kernel [*K, I, 4 filters], recurrent_kernel [*K, filters, 4 filters], bias [4 filters] in gate blocks
                  i f c o.  S' is S with padding="same", and smaller with "valid" or strides, which concern x alone
    Options       kernel_size, strides, dilation_rate: a number, or one for each axis; strides and dilation_rate not
                  both above 1; padding: "valid" or "same"; unit_forget_bias: the bias of f starts at one; the rest are
                  `KerasCell`'s, with masks of dropout of their own for each gate
    Same as       Keras ConvLSTMCell; the equations are rnnref.cells.ConvLSTM's

    >>> import numpy as np
    >>> cell = ConvLSTMCell(2, 4, 3, padding="same")
    >>> y, (h, c) = cell(np.ones((1, 5, 6, 2)))
    >>> y.shape, [w.shape for w in cell.get_weights()]
    ((1, 5, 6, 4), [(3, 3, 2, 16), (3, 3, 4, 16), (16,)])
    """
    family = "conv lstm"
    vectors = False
    own_masks = True
    unit_forget_bias: Any; rank: Any; kernel_size: Any; strides: Any; dilation_rate: Any; padding: Any
    data_format: Any
    spatial: Any = None                              # the lengths of the axes of space of x

    def __init__(self, rank: Any, filters: Any, kernel_size: Any, strides: Any = 1, padding: Any = "valid",
                 data_format: Any = None, dilation_rate: Any = 1, activation: Any = "tanh",
                 recurrent_activation: Any = "sigmoid", use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal",
                 bias_initializer: Any = "zeros", unit_forget_bias: bool = True, kernel_regularizer: Any = None,
                 recurrent_regularizer: Any = None, bias_regularizer: Any = None, kernel_constraint: Any = None,
                 recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0,
                 recurrent_dropout: float = 0.0, seed: Optional[int] = None, **kwargs: Any) -> None:
        options = collect_options(locals())
        if rank not in (1, 2, 3):
            raise NotSupported("layers.ConvLSTMCell", f"rank={rank!r}", known="1, 2, 3")
        for name in ("kernel_size", "strides", "dilation_rate"):
            options[name] = each_axis(name, options[name], rank)
        if max(options["strides"]) > 1 and max(options["dilation_rate"]) > 1:
            raise ShapeError("layers.ConvLSTMCell", "Specifying `strides > 1` is not compatible with `dilation_rate > "
                             f"1`: strides={options['strides']}, dilation_rate={options['dilation_rate']}")
        options["padding"] = check_option("layers.ConvLSTMCell", "padding", str(padding).lower(), ("valid", "same"))
        options["data_format"] = check_option("layers.ConvLSTMCell", "data_format", data_format or "channels_last",
                                              ("channels_last", "channels_first"))
        self._take_options({**options, "units": filters}, **kwargs)
        self.options = tuple(options)

    @property
    def core(self) -> Any:
        act = self.act("activation")
        return cells.ConvLSTM(kernel=self.kernel_size, strides=self.strides, padding=self.padding,
                              dilation=self.dilation_rate, gate=self.act("recurrent_activation"), candidate=act,
                              output=act, bias=self.use_bias)

    @property
    def channels_first(self) -> Any:
        return self.data_format == "channels_first"

    def inputs_of(self, input_shape: Any) -> Any:
        self.spatial = tuple(input_shape[2:] if self.channels_first else input_shape[1:-1])
        if len(input_shape) != self.rank + 2 or None in self.spatial:
            raise ShapeError(self.who, f"x has shape {tuple(input_shape)} at each step, expected {self.rank + 2} axes, "
                                       f"with known lengths of space", axes=f"data_format={self.data_format!r}")
        return input_shape[1 if self.channels_first else -1]

    def _axes(self) -> dict:
        space = " ".join(map(str, self.kernel_size))
        return {name: axes.replace("S", space) for name, axes in super()._axes().items()}

    def _build_from(self, weights: Any) -> None:
        raise ShapeError(self.who, "set_weights before the lengths of the axes of space are known",
                         fix="build(input_shape) first")

    def _draw(self, name: str, rng: Any, shape: Any) -> Any:
        return with_forget_bias(self, super()._draw, name, rng, shape)

    def _places(self) -> Any:
        return self.core.inputs.output_extent(self.spatial)

    def _mask_shapes(self, batch: Any) -> tuple:
        return (batch, *self.spatial, self.n_in), (batch, *self._places(), self.units)

    def get_initial_state(self, batch_size: Any = 1) -> Any:
        if self.spatial is None:
            raise ShapeError(self.who, "get_initial_state of a layer that is not built", fix="build(input_shape) first")
        return self.to_list(self.core.zeros((batch_size, *self._places()), self.units, dtype=self.dtype))

    @property
    def state_size(self) -> list:
        return [self.units, self.units]

    # channels first

    def inward(self, tree: Any, lead: int = 1) -> Any:
        return map_structure(lambda a: namespace(a).moveaxis(a, lead, -1), tree) if self.channels_first else tree

    def outward(self, tree: Any, lead: int = 1) -> Any:
        return map_structure(lambda a: namespace(a).moveaxis(a, -1, lead), tree) if self.channels_first else tree

    def to_list(self, state: Any) -> Any:
        return super().to_list(self.outward(state))

    def from_list(self, who: str, what: Any, given: Any, like: Any) -> Any:
        return self.inward(super().from_list(who, what, given, self.outward(like)))


def each_axis(name: str, value: Any, rank: Any) -> Any:
    """One number for each axis of space, from a number or a tuple."""
    found = tuple(value) if isinstance(value, (list, tuple)) else (value,) * rank
    if len(found) != rank or not all(hasattr(n, "__index__") and n > 0 for n in found):
        raise ShapeError("layers.ConvLSTMCell", f"{name}={value!r}, expected a positive number, or {rank} of them")
    return found


def layer_of_rank(rank: Any) -> Any:
    """ConvLSTM1D, 2D or 3D."""

    class ConvLSTM(RNN):
        Cell = ConvLSTMCell

        def __init__(self, filters: Any, kernel_size: Any, strides: Any = 1, padding: Any = "valid",
                     data_format: Any = None, dilation_rate: Any = 1, activation: Any = "tanh",
                     recurrent_activation: Any = "sigmoid", use_bias: bool = True,
                     kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal",
                     bias_initializer: Any = "zeros", unit_forget_bias: bool = True, kernel_regularizer: Any = None,
                     recurrent_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
                     kernel_constraint: Any = None, recurrent_constraint: Any = None, bias_constraint: Any = None,
                     dropout: float = 0.0, recurrent_dropout: float = 0.0, seed: Optional[int] = None,
                     return_sequences: bool = False, return_state: bool = False, go_backwards: bool = False,
                     stateful: bool = False, **kwargs: Any) -> None:
            unroll = kwargs.pop("unroll", False)
            self._take_options({"rank": rank, "unroll": unroll, **collect_options(locals())}, **kwargs)

        def get_config(self) -> dict:
            config = super().get_config()
            del config["rank"]
            return config

    space = " ".join("XYZ"[:rank])
    ConvLSTM.__doc__ = f"""ConvLSTM over sequences with {rank} ax{"is" if rank == 1 else "es"} of space.

    Shapes        x [B, T, {space}, I], or [B, T, I, {space}] with data_format="channels_first"; y is like a step of x
                  with `filters` channels, or like x with return_sequences; two states, h and c, like y of one step
    Options       those of the cell are `ConvLSTMCell`'s and `KerasCell`'s, those of the loop `RNN`'s
    Same as       Keras ConvLSTM{rank}D

    >>> import numpy as np
    >>> layer = ConvLSTM{rank}D(4, 3, padding="same", return_sequences=True)
    >>> layer(np.ones({(2, 5) + (6,) * rank + (3,)})).shape
    {(2, 5) + (6,) * rank + (4,)}
    """
    ConvLSTM.__name__ = ConvLSTM.__qualname__ = f"ConvLSTM{rank}D"
    return ConvLSTM


ConvLSTM1D, ConvLSTM2D, ConvLSTM3D = map(layer_of_rank, (1, 2, 3))
