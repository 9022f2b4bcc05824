"""Promotes a model to another floating dtype: its weights, and all that is computed from them.

A float32 model evaluated in float64 shows the effect of its rounding.
"""
from typing import Any

import numpy
from onnx import AttributeProto, NodeProto, TensorProto, TypeProto, helper, numpy_helper

from ..arrays import Array, is_floating
from ..files.onnx_models import walk_messages

_FLOATING_TYPES = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
_DTYPE_ATTRIBUTES = ("to", "dtype")               # of Cast, EyeLike, RandomNormal, ...


def promote(model: Any, dtype: Any) -> Any:
    """A copy of the model (or graph) whose floating weights, constants, casts and declared types are `dtype`."""
    copy = type(model)()
    copy.CopyFrom(model)
    code = helper.np_dtype_to_tensor_dtype(dtype)
    for message in list(walk_messages(copy)):
        if isinstance(message, TensorProto) and message.data_type in _FLOATING_TYPES:
            message.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(message).astype(dtype), message.name))
        elif isinstance(message, TypeProto.Tensor) and message.elem_type in _FLOATING_TYPES:
            message.elem_type = code
        elif isinstance(message, AttributeProto) and message.name in _DTYPE_ATTRIBUTES and message.i in _FLOATING_TYPES:
            message.i = code
        elif isinstance(message, NodeProto) and message.op_type == "Constant":
            _numbers_to_tensor(message, dtype)
    return copy


def _numbers_to_tensor(node: Any, dtype: Any) -> None:
    """Replace the value of a Constant by a tensor, where it is a number or a list, which are float32."""
    for a in node.attribute:
        if a.name in ("value_float", "value_floats"):
            value = numpy.array(helper.get_attribute_value(a), dtype)
            a.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(value)))


def cast_input(a: Array, dtype: Any) -> Array:
    """An input as a promoted model expects it; integers, booleans and strings as they are."""
    return a.astype(dtype) if is_floating(a.dtype) else a
