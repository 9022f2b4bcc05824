"""The mean and the maximum over time."""
from typing import Any, Optional

from .. import ops
from ..errors import ShapeError, check_option
from .arguments import config_of_arguments
from .base import Layer
from .reshaping import FORMATS


class GlobalAveragePooling1D(Layer):
    """y = the mean of x over time; over live steps, if there is a mask

    Shapes        x [B, T, I], or [B, I, T] with data_format="channels_first"; y [B, I], with keepdims x with T = 1
    Options       data_format, keepdims

    The mask of y is None.  A row without live steps is 0 / 0, as in Keras.
    Same as keras.layers.GlobalAveragePooling1D.

    >>> import numpy as np
    >>> layer, x = GlobalAveragePooling1D(), np.array([[[1.0], [3.0], [8.0]]])
    >>> layer(x), layer(x, mask=np.array([[True, True, False]]))
    (array([[4.]], dtype=float32), array([[2.]], dtype=float32))
    """
    get_config = config_of_arguments

    def __init__(self, data_format: Optional[str] = None, keepdims: bool = False, **base: Any):
        super().__init__(**base)
        self.data_format = check_option(self.who, "data_format", data_format or FORMATS[0], FORMATS)
        self.keepdims = keepdims

    def call(self, x: Any, mask: Any = None) -> Any:
        time = _time(self, x)
        if mask is None:
            return ops.mean(x, time, self.keepdims)
        live = mask if mask.dtype == bool else mask != 0
        live = live[:, :, None] if time == 1 else live[:, None]
        total = ops.sum(ops.where(live, x, 0), time, self.keepdims)
        return total / live.sum(time, keepdims=self.keepdims).astype(x.dtype)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None


class GlobalMaxPooling1D(Layer):
    """y = the maximum of x over time

    Shapes        x [B, T, I], or [B, I, T] with data_format="channels_first"; y [B, I], with keepdims x with T = 1
    Options       data_format, keepdims

    Masked steps count, and the mask is dropped with a warning: same as keras.layers.GlobalMaxPooling1D.

    >>> import numpy as np
    >>> GlobalMaxPooling1D()(np.array([[[1.0], [3.0], [2.0]]]))
    array([[3.]], dtype=float32)
    """
    get_config = config_of_arguments

    def __init__(self, data_format: Optional[str] = None, keepdims: bool = False, **base: Any):
        super().__init__(**base)
        self.data_format = check_option(self.who, "data_format", data_format or FORMATS[0], FORMATS)
        self.keepdims = keepdims

    def call(self, x: Any) -> Any:
        return ops.max(x, _time(self, x), self.keepdims)


GlobalAvgPool1D, GlobalMaxPool1D = GlobalAveragePooling1D, GlobalMaxPooling1D         # Keras's other names


def _time(layer: Any, x: Any) -> int:
    """The axis of time."""
    if len(x.shape) != 3:
        raise ShapeError(layer.who, f"x has shape {tuple(x.shape)}, expected three axes", axes="x is [B, T, I]")
    return 1 if layer.data_format == "channels_last" else 2
