"""The inputs of a model: places for arrays of a known shape."""
from typing import Any, Optional, Sequence

import numpy

from ..errors import InvalidType, NotSupported, ShapeError, describe_type
from ..options import named_arguments
from ..symbols import Symbol
from .arguments import check_positive, refuse
from .base import Layer
from .constructors import check_shape


class InputLayer(Layer):
    """An input of a model: `output` is a symbol of this shape and dtype, and y = x

    shape         without the batch, None where any length will do
    batch_size    None: any
    batch_shape   with the batch, in the place of both
    dtype         of any kind; "float32" if not given
    input_tensor  an existing symbol, in the place of a new one
    Errors        NotSupported for sparse, ragged and optional

    Same as keras.layers.InputLayer.

    >>> InputLayer((None, 3), dtype="int32").output
    <Symbol (None, None, 3) int32>
    """
    supports_masking = True
    _autocast = False

    def __init__(self, shape: Optional[Sequence] = None, batch_size: Optional[int] = None, dtype: Any = None,
                 sparse: Any = None, ragged: Any = None, batch_shape: Optional[Sequence] = None,
                 input_tensor: Any = None, optional: bool = False, name: Optional[str] = None, **options: Any):
        shape = options.pop("input_shape", shape)                 # their names in Keras 2
        batch_shape = options.pop("batch_input_shape", batch_shape)
        super().__init__(name=name or getattr(input_tensor, "name", None), **options)
        refuse(self, "all arrays are dense", sparse=sparse, ragged=ragged)
        refuse(self, "every input of a model is given", optional=optional)
        if input_tensor is not None and not isinstance(input_tensor, Symbol):
            raise NotSupported(self.who, f"input_tensor is {describe_type(input_tensor)}, expected a symbol")
        if input_tensor is None and (shape is None) == (batch_shape is None):
            raise ShapeError(self.who, f"shape={shape} and batch_shape={batch_shape}, expected one of them")
        if batch_size is not None:
            check_positive(self, batch_size=batch_size)
        if batch_shape is None:
            batch_shape = (batch_size, *check_shape(self.who, "shape", () if shape is None else shape))
        check_shape(self.who, "batch_shape", batch_shape)
        self._symbol = input_tensor if input_tensor is not None else Symbol(
            tuple(batch_shape), _find_dtype(self.who, dtype), name=self.name)
        self._symbol.layer = self
        self.batch_shape, self.dtype = self._symbol.shape, self._symbol.dtype.name
        self.input_shape_given = self.batch_shape

    input = output = property(lambda self: self._symbol)

    def call(self, x: Any) -> Any:
        return x

    def get_config(self) -> dict:
        return {"batch_shape": self.batch_shape, "dtype": self.dtype, "sparse": False, "ragged": False,
                "name": self.name, "optional": False}


def _find_dtype(who: str, dtype: Any) -> numpy.dtype:
    try:
        return numpy.dtype(dtype or "float32")
    except TypeError:
        raise InvalidType(who, f"dtype={dtype!r}: not the name of a dtype") from None


@named_arguments
def Input(shape: Optional[Sequence] = None, batch_size: Optional[int] = None, dtype: Any = None, sparse: Any = None,
          ragged: Any = None, batch_shape: Optional[Sequence] = None, name: Optional[str] = None, tensor: Any = None,
          optional: bool = False) -> Any:
    """The symbol of an `InputLayer` with these arguments: layers called with it give symbols.

    >>> from rnnref.layers import LSTM
    >>> LSTM(4)(Input((None, 3)))
    <Symbol (None, 4) float32>
    """
    return InputLayer(shape, batch_size, dtype, sparse, ragged, batch_shape, tensor, optional, name).output
