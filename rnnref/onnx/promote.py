"""A model in another floating dtype: the same numbers, and all that is computed of them, in `dtype`.  (floor 7)

A float32 model in float64 shows what its rounding did.
"""
import numpy
from onnx import AttributeProto, NodeProto, TensorProto, TypeProto, helper, numpy_helper

from ..arrays import is_floating

FLOATING = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
SAYS_DTYPE = ("to", "dtype")                      # attributes: of Cast, EyeLike, RandomNormal, ...


def promoted(model, dtype):
    """A copy of the model (or graph) whose floating weights, constants, casts and declared types are `dtype`."""
    copy = type(model)()
    copy.CopyFrom(model)
    code = helper.np_dtype_to_tensor_dtype(dtype)
    for message in list(messages(copy)):
        if isinstance(message, TensorProto) and message.data_type in FLOATING:
            message.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(message).astype(dtype), message.name))
        elif isinstance(message, TypeProto.Tensor) and message.elem_type in FLOATING:
            message.elem_type = code
        elif isinstance(message, AttributeProto) and message.name in SAYS_DTYPE and message.i in FLOATING:
            message.i = code
        elif isinstance(message, NodeProto) and message.op_type == "Constant":
            numbers_to_tensor(message, dtype)
    return copy


def numbers_to_tensor(node, dtype):
    """The value of a Constant as a tensor, where it is given as a number or a list: that says float32."""
    for a in node.attribute:
        if a.name in ("value_float", "value_floats"):
            value = numpy.array(helper.get_attribute_value(a), dtype)
            a.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(value)))


def in_dtype(a, dtype):
    """An input as `promoted` expects it; integers, booleans and strings as they are."""
    return a.astype(dtype) if is_floating(a.dtype) else a


def messages(message):
    """The message and all that it holds: graphs, functions, subgraphs, attributes, tensors."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for held in [value] if hasattr(value, "ListFields") else value:
                yield from messages(held)
