"""Operations between the layers of a model as Keras writes them: a class, whose constructor takes what is no array."""
from inspect import signature
from typing import Any, Optional

from .. import ops
from ..errors import NotSupported
from ..identifiers import snake

# {(module in keras.src.ops, what a call takes): names in keras.ops}; the other arguments are those of the constructor.
OPERATIONS = {
    ("core", "inputs indices updates"): "scatter_update",
    ("core", "inputs start_indices"): "slice",
    ("core", "inputs start_indices updates"): "slice_update",
    ("core", "variable"): "stop_gradient",
    ("core", "x"): "cast saturate_cast unstack",
    ("linalg", "x"): "norm",
    ("math", "data segment_ids"): "segment_sum",
    ("math", "targets predictions"): "in_top_k",
    ("math", "x"): "erf erfc logsumexp rsqrt top_k",
    ("nn", "inputs"): "multi_hot",
    ("nn", "inputs sequence_lengths"): "ctc_decode",
    ("nn", "query key value bias mask scale"): "dot_product_attention",
    ("nn", "target output"): "binary_crossentropy categorical_crossentropy sparse_categorical_crossentropy",
    ("nn", "target output target_length output_length"): "ctc_loss",
    ("nn", "x"): (
        "celu elu gelu glu hard_shrink hard_sigmoid hard_silu hard_tanh leaky_relu log_sigmoid log_softmax "
        "moments normalize one_hot relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus "
        "sparse_sigmoid sparsemax squareplus tanh_shrink threshold"),
    ("numpy", "a"): "diff",
    ("numpy", "condition x1 x2"): "where",
    ("numpy", "condlist choicelist default"): "select",
    ("numpy", "sorted_sequence values"): "searchsorted",
    ("numpy", "start stop"): "linspace",
    ("numpy", "start stop step"): "arange",
    ("numpy", "x"): (
        "absolute all any arccos arccosh arcsin arcsinh arctan arctanh argmax argmin argsort array_split "
        "bitwise_not broadcast_to cbrt ceil clip copy cos cosh count_nonzero cumprod cumsum deg2rad diagflat "
        "diagonal dsplit empty_like exp exp2 expand_dims expm1 flip fliplr flipud floor hsplit isfinite isinf "
        "isnan isneginf isposinf log log10 log1p log2 logical_not max mean meshgrid min moveaxis nan_to_num "
        "nanmax nanmean nanmin nanprod nanstd nansum nanvar negative nonzero ones_like prod ptp rad2deg ravel "
        "reciprocal repeat reshape roll round sign sin sinh sort split sqrt square squeeze stack std sum swapaxes "
        "tan tanh tile trace transpose tril triu trunc var vsplit zeros_like"),
    ("numpy", "x constant_values"): "pad",
    ("numpy", "x fill_value"): "full_like",
    ("numpy", "x indices"): "take take_along_axis",
    ("numpy", "x key"): "get_item",
    ("numpy", "x weights"): "average",
    ("numpy", "x y"): "bitwise_and bitwise_or bitwise_xor left_shift right_shift",
    ("numpy", "x1 x2"): (
        "add allclose append arctan2 divide divide_no_nan dot equal floor_divide fmod greater greater_equal hypot "
        "inner isin less less_equal logaddexp logaddexp2 logical_and logical_or logical_xor matmul maximum "
        "minimum mod multiply not_equal outer power subtract tensordot vdot"),
    ("numpy", "x1 x2 rtol atol"): "isclose",
    ("numpy", "xs"): "concatenate dstack hstack vstack",
    ("numpy", "y"): "trapezoid",
}
CALLED = {name: (module, taken.split()) for (module, taken), names in OPERATIONS.items() for name in names.split()}
CLASSES = {"allclose": "AllClose", "ctc_decode": "CTCDecode", "ctc_loss": "CTCLoss", "isin": "IsIn",
           "searchsorted": "SearchSorted"}


def class_name(name: str) -> str:
    """The class of an operation: ExpandDims of expand_dims.

    >>> class_name("expand_dims"), class_name("isin")
    ('ExpandDims', 'IsIn')
    """
    return CLASSES.get(name) or "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def function_name(name: str) -> str:
    """The inverse of `class_name`.

    >>> function_name("ExpandDims"), function_name("IsIn")
    ('expand_dims', 'isin')
    """
    return next((function for function, its in CLASSES.items() if its == name), None) or snake(name)


def as_in_keras(name: str, args: tuple, options: dict) -> Optional[tuple]:
    """(module, what a call is given, what the constructor is given) of a call of ops.<name>; None: Keras has no class.

    >>> as_in_keras("mean", ("x", 1), {"keepdims": True})
    ('keras.src.ops.numpy', ['x'], {'axis': 1, 'keepdims': True})
    >>> as_in_keras("einsum", ("ij,j->i", "A", "x"), {})
    ('keras.src.ops.numpy', ['A', 'x'], {'subscripts': 'ij,j->i'})
    """
    if name == "einsum":
        return "keras.src.ops.numpy", list(args[1:]), {"subscripts": args[0]}
    if name not in CALLED:
        return None
    module, taken = CALLED[name]
    bound = signature(getattr(ops, name)).bind(*args, **options)
    given = set(bound.arguments)
    bound.apply_defaults()
    found = dict(bound.arguments)
    if found.pop("initial", None) is not None and "initial" in given and name in ("amax", "amin"):
        raise NotSupported("Model.get_config", f"{name} with initial=, which the class of Keras does not take")
    called = [found.pop(key) for key in taken]
    while called and called[-1] is None and len(called) > 1 and taken[len(called) - 1] not in given:
        called.pop()
    return f"keras.src.ops.{module}", called, found


def restore(row: dict, name: str) -> Any:
    """The function of a row of a configuration, whose constructor has taken what is no array."""
    f = getattr(ops, name)
    held: dict = {k: tuple(v) if isinstance(v, list) else v for k, v in row["config"].items()
                  if k not in ("name", "dtype", "trainable") or k == "dtype" and isinstance(v, str)
                  and "dtype" in signature(f).parameters}
    if f is ops.get_item:                         # its key is written as a list
        return lambda x, key: f(x, tuple(key) if isinstance(key, list) else key)
    if f is ops.einsum and "subscripts" in held:
        return lambda *operands: f(held["subscripts"], *operands)
    return lambda *args, **options: f(*args, **held | options)
