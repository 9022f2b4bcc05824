"""The keys that Keras writes into the configuration of a recurrent layer, and what may stand under them.

A configuration that has others, or another kind of value, was not written by Keras, and is refused.  One that lacks a
key is read as Keras reads it, by the default, and refused where versions of Keras have different ones.
"""
import json
from typing import Any

from ..errors import FileError, describe_type

_NAMES = ("name trainable dtype dtype_policy batch_input_shape batch_shape input_shape input_dim input_length "
          "input_dtype")
_OF_WEIGHTS = " ".join(f"{part}_{kind}" for part in ("kernel", "recurrent", "bias")
                       for kind in ("initializer", "regularizer", "constraint"))
_OF_SEQUENCES = ("return_sequences return_state go_backwards stateful unroll time_major zero_output_for_mask "
                 "input_spec enable_caching_device ragged")
_OF_CELLS = (f"activation recurrent_activation use_bias {_OF_WEIGHTS} activity_regularizer dropout recurrent_dropout "
             "implementation seed quantization_config autocast")
_OF_CONVOLUTIONS = "filters kernel_size strides padding data_format dilation_rate groups rank"
_BOOLEAN = ("trainable use_bias unit_forget_bias reset_after return_sequences return_state go_backwards stateful "
            "unroll time_major zero_output_for_mask").split()
_SIZES = ("units", "filters")
_FIRST_WITH_RESET_AFTER = (2, 2)                  # of Keras; tf.keras has had it from the start
_FIRST_WITH_SIGMOID = (2, 3)                      # as the default activation of gates; before, some had hard_sigmoid


def complete(who: str, kind: str, config: dict, version: tuple[int, ...]) -> dict:
    """A configuration with the defaults of Keras for keys that it lacks.

    Errors   FileError: keys that Keras does not have, values of another kind, a key whose default is not certain

    kind      the name of the class: LSTM, GRUCell, CuDNNLSTM, ConvLSTM2D, ...
    version   of Keras; () if it is not known
    """
    missing = [name for name in _list_uncertain(kind, version) if name not in config]
    if missing:
        raise FileError("pieces", f"{who} has no {' and no '.join(missing)} in the configuration of its file",
                        reason="what Keras takes without it depends on the version", fix=FIX)
    unknown = sorted(map(str, config.keys() - _list_known(kind)))
    if unknown:
        raise FileError("pieces", f"{who} has {', '.join(unknown)} in the configuration of its file",
                        reason=f"no {kind.removesuffix('Cell')} of Keras has an option of this name", fix=FIX)
    for name, value in config.items():
        _check_value(who, name, value)
    return _list_defaults(kind, version) | config


FIX = "if the arrays are those of a layer of Keras: interop.pieces(interop.read(path), family, framework, option=...)"


def _list_defaults(kind: str, version: tuple[int, ...]) -> dict[str, Any]:
    """{key: value} of what the layer computes by, where that was the default in all versions, or is in this one."""
    plain = kind.removesuffix("Cell")
    certain: dict[str, Any] = {} if kind.endswith("Cell") else {"go_backwards": False}
    if plain.startswith("CuDNN"):
        return certain
    certain |= {"activation": "tanh"}
    if plain.startswith("Conv"):
        certain |= {"strides": 1, "padding": "valid", "dilation_rate": 1}
        return certain | ({"recurrent_activation": "sigmoid"} if version >= (3,) else {})
    if plain != "SimpleRNN" and version >= _FIRST_WITH_SIGMOID:
        certain |= {"recurrent_activation": "sigmoid"}
    return certain | ({"reset_after": True} if plain == "GRU" and version >= (3,) else {})


def _list_uncertain(kind: str, version: tuple[int, ...]) -> list[str]:
    """The keys without which it is not certain what a layer is."""
    plain, certain = kind.removesuffix("Cell"), _list_defaults(kind, version)
    needed = ["name"]
    if plain != "SimpleRNN" and not plain.startswith("CuDNN"):
        needed.append("recurrent_activation")
    if plain == "GRU" and not () < version < _FIRST_WITH_RESET_AFTER:
        needed.append("reset_after")
    return [name for name in needed if name not in certain]


def _list_known(kind: str) -> set[str]:
    plain = kind.removesuffix("Cell")
    words = [_NAMES, _OF_CELLS, _OF_SEQUENCES * (not kind.endswith("Cell")),
             _OF_CONVOLUTIONS if plain.startswith("Conv") else "units",
             "unit_forget_bias" * ("LSTM" in plain), "reset_after" * ("GRU" in plain)]
    known = set(" ".join(words).split())
    return known - {"recurrent_activation"} if plain == "SimpleRNN" else known


def _check_value(who: str, name: str, value: Any) -> None:
    """Raise if a value is of another kind than Keras has there."""
    if name in _BOOLEAN:
        expected = "true or false" * (not (isinstance(value, bool) or type(value) is int and value in (0, 1)))
    elif name in _SIZES:
        expected = "an integer, 1 or more" * (type(value) is not int or value < 1)
    elif name in ("kernel_size", "strides", "dilation_rate"):
        sizes = value if isinstance(value, list) else [value]
        expected = "integers, 1 or more" * (not sizes or any(type(n) is not int or n < 1 for n in sizes))
    elif name == "padding":
        expected = "'valid' or 'same'" * (value not in ("valid", "same"))
    elif name == "name":
        expected = "a name" * (not isinstance(value, str) or not value)
    else:
        return
    if expected:
        shown = "null" if value is None else str(value) if isinstance(value, (int, float)) else repr(value)
        raise FileError("pieces", f"{who} has {name}={shown[:60]} in the configuration of its file, "
                        f"expected {expected}")


def check_merge(name: str, config: dict) -> str:
    """The merge_mode of a Bidirectional; raise FileError if it is none of Keras."""
    merge = config.get("merge_mode", "")
    if merge not in ("sum", "mul", "concat", "ave", None):
        raise FileError("pieces", f"Bidirectional {name!r} has merge_mode={merge!r} in the configuration of its file",
                        reason="Keras writes one of sum, mul, concat, ave and null")
    return str(merge)


def check_object(what: str, value: Any, kind: type = dict) -> Any:
    """`value`, if it is an object of JSON, or a list with kind=list; raise FileError otherwise."""
    if not isinstance(value, kind):
        given = {type(None): "null", dict: "an object"}.get(type(value)) or describe_type(value)
        expected = "an object" if kind is dict else "a list"
        raise FileError("pieces", f"{what} is {given}, expected {expected}",
                        reason="so the configuration of the file says")
    return value


def parse_json(what: str, text: str) -> dict:
    """The object that a text of JSON is.

    Errors   FileError: it is another value, or has one key twice
    """
    def collect(pairs: list[tuple[str, Any]]) -> dict:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(name for k, (name, _) in enumerate(pairs) if name in dict(pairs[:k]))
            raise FileError("pieces", f"{what} has {twice!r} twice in one object")
        return found
    return check_object(what, json.loads(text, object_pairs_hook=collect))
