"""A model in another floating dtype: the same numbers, and all that is computed of them, in `dtype`.  (floor 7)

A float32 model in float64 shows what its rounding did.
"""
import numpy
from onnx import AttributeProto, NodeProto, TensorProto, TypeProto, helper, numpy_helper

from ..arrays import is_floating

_FLOATING_TYPES = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
_DTYPE_ATTRIBUTES = ("to", "dtype")                      # attributes: of Cast, EyeLike, RandomNormal, ...


def promote(model, dtype):
    """A copy of the model (or graph) whose floating weights, constants, casts and declared types are `dtype`."""
    copy = type(model)()
    copy.CopyFrom(model)
    code = helper.np_dtype_to_tensor_dtype(dtype)
    for message in list(_walk(copy)):
        if isinstance(message, TensorProto) and message.data_type in _FLOATING_TYPES:
            message.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(message).astype(dtype), message.name))
        elif isinstance(message, TypeProto.Tensor) and message.elem_type in _FLOATING_TYPES:
            message.elem_type = code
        elif isinstance(message, AttributeProto) and message.name in _DTYPE_ATTRIBUTES and message.i in _FLOATING_TYPES:
            message.i = code
        elif isinstance(message, NodeProto) and message.op_type == "Constant":
            _numbers_to_tensor(message, dtype)
    return copy


def _numbers_to_tensor(node, dtype):
    """The value of a Constant as a tensor, where it is given as a number or a list: that says float32."""
    for a in node.attribute:
        if a.name in ("value_float", "value_floats"):
            value = numpy.array(helper.get_attribute_value(a), dtype)
            a.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(value)))


def cast_input(a, dtype):
    """An input as `promoted` expects it; integers, booleans and strings as they are."""
    return a.astype(dtype) if is_floating(a.dtype) else a


def _walk(message):
    """The message and all that it holds: graphs, functions, subgraphs, attributes, tensors."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for held in [value] if hasattr(value, "ListFields") else value:
                yield from _walk(held)
