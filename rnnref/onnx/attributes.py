"""Parses the attributes of an operator into the options of our cells."""
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Callable, NamedTuple, Optional

import numpy

from ..elementwise import get_activation
from ..errors import NotSupported, check_option
from .reading import Reading


class Operator(NamedTuple):
    """What one operator has of its own."""
    gates: str                                    # the blocks of W, R and B, in the letters and the order of ONNX
    activations: tuple                            # the default, for one direction
    own: Optional[str] = None                     # the attribute that no other has
    states: tuple = ("initial_h",)


OPERATORS = {
    "RNN": Operator("i", ("Tanh",)),
    "GRU": Operator("zrh", ("Sigmoid", "Tanh"), "linear_before_reset"),
    "LSTM": Operator("iofc", ("Sigmoid", "Tanh", "Tanh"), "input_forget", ("initial_h", "initial_c")),
}
_DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}


class Function(NamedTuple):
    """An activation function of ONNX."""
    ours: str                                     # its name in rnnref
    alpha: Optional[float] = None                 # the default; None: it takes none
    beta: Optional[float] = None


FUNCTIONS = {
    "Relu": Function("relu"), "Tanh": Function("tanh"), "Sigmoid": Function("sigmoid"),
    "Affine": Function("affine", 1.0, 0.0),
    "LeakyRelu": Function("leaky_relu", 0.01),
    "ThresholdedRelu": Function("thresholded_relu", 1.0),
    "ScaledTanh": Function("scaled_tanh", 1.0, 1.0),
    "HardSigmoid": Function("hard_sigmoid", 0.2, 0.5),
    "Elu": Function("elu", 1.0),
    "Softsign": Function("softsign"), "Softplus": Function("softplus"),
}
CANONICAL_NAMES = {name.lower(): name for name in FUNCTIONS}
_WITHOUT_DEFAULT = ("Affine", "ThresholdedRelu", "ScaledTanh")          # in onnxruntime


@dataclass(frozen=True)
class Attributes:
    """The attributes of a node, checked, with defaults filled in."""
    functions: tuple                              # for each direction, an `Activation` for f (, g (, h))
    direction: str
    layout: int                                   # 1: the batch comes first
    hidden_size: Optional[int]                    # None: that of R
    coupled: Optional[str]                        # which gate of an LSTM is 1 minus the other
    reset_after: bool                             # GRU: the reset comes after the product

    @property
    def directions(self) -> int:
        """The number of directions."""
        return _DIRECTIONS[self.direction]


def parse_attributes(op: str, attributes: dict[str, Any], reading: Reading) -> Attributes:
    """Attributes by their ONNX names, checked, as `Attributes`."""
    who, own = name_of(op), OPERATORS[check_option("rnnref.onnx", "op", op, tuple(OPERATORS))].own
    known = [name for name in _PARSERS if name == own or name not in [o.own for o in OPERATORS.values()]]
    unknown = [name for name in attributes if name not in known]
    if unknown:
        raise NotSupported(who, f"{', '.join(unknown)}: not an attribute of {op}", known=" ".join(known))
    values: dict = {name: _PARSERS[name](who, name, value) for name, value in attributes.items() if value is not None}
    direction = check_option(who, "direction", values.get("direction", "forward"), tuple(_DIRECTIONS))
    if values.get("hidden_size", 1) < 1:
        raise NotSupported(who, f"hidden_size={values['hidden_size']}, expected a positive integer")
    layout, coupled = [check_option(who, name, values.get(name, 0), (0, 1)) for name in ("layout", "input_forget")]
    return Attributes(functions=_make_activations(op, values, _DIRECTIONS[direction], reading), direction=direction,
                      layout=layout, hidden_size=values.get("hidden_size"),
                      coupled=reading.coupled if coupled else None,
                      reset_after=values.get("linear_before_reset", 0) != 0)


def name_of(op: str) -> str:
    """What messages call an operator."""
    return f"ONNX {op}"


def _make_activations(op: str, attributes: dict[str, Any], count: int, reading: Reading) -> tuple[tuple, ...]:
    """An `Activation` for each function of each direction."""
    who, default = name_of(op), OPERATORS[op].activations
    names = _check_names(who, attributes.get("activations", default * count), default, count)
    alphas, betas = [_assign_scales(who, part, names, attributes.get(f"activation_{part}", ()), reading)
                     for part in ("alpha", "beta")]
    clips = [attributes.get("clip")] * len(names)
    if not reading.clip_output and op == "LSTM":
        clips[2::3] = [None] * count
    if attributes.get("clip") is not None and not attributes["clip"] > 0:
        raise NotSupported(who, f"clip={attributes['clip']}, expected a positive number")
    made = [get_activation(FUNCTIONS[name].ours, *options) for name, *options in zip(names, alphas, betas, clips)]
    each = len(default)
    return tuple(tuple(made[d * each:][:each]) for d in range(count))


def _check_names(who: str, names: Any, default: tuple, count: int) -> list[str]:
    """The names as the specification spells them, as many as there must be."""
    unknown = [name for name in names if name.lower() not in CANONICAL_NAMES]
    if unknown:
        raise NotSupported(who, f"activations: {', '.join(map(repr, unknown))} is not known", known=" ".join(FUNCTIONS))
    names, expected = [CANONICAL_NAMES[name.lower()] for name in names], len(default) * count
    if names == ["Tanh", "Tanh"] and expected == 1:  # RNN's schema has this default for one direction too
        names = ["Tanh"]
    if len(names) != expected:
        raise NotSupported(who, f"{len(names)} activations ({' '.join(names)}), expected {expected}",
                           count=f"{len(default)} for each direction, and {count} of these")
    return names


def _assign_scales(who: str, part: str, names: list[str], values: Any, reading: Reading) -> list[Optional[float]]:
    """alpha (or beta) of each function: None where it takes none."""
    defaults = [getattr(FUNCTIONS[name], part) for name in names]
    takers = [k for k, default in enumerate(defaults) if default is not None]
    places = takers if reading.alpha == "taker" else range(len(names))
    if len(values) > len(places):
        raise NotSupported(who, f"activation_{part} has {len(values)} values, expected at most {len(places)}",
                           takers=f"of {' '.join(names)}, {' '.join(names[k] for k in takers) or 'none'} take one",
                           hint='Reading(alpha="position") has one for every function' if len(values) == len(names)
                                else "")
    if reading.missing_scale == "zero":
        defaults = [0.0 if name in _WITHOUT_DEFAULT and a is not None else a for name, a in zip(names, defaults)]
    given = dict(zip(places, values))
    return [given.get(k, defaults[k]) if k in takers else None for k in range(len(names))]


def _parse_string(who: str, name: str, value: Any) -> str:
    if isinstance(value, bytes):                  # as protobuf holds them
        value = value.decode(errors="backslashreplace")
    if not isinstance(value, str):
        raise NotSupported(who, f"{name}={value!r}, expected a string")
    return value


def _parse_integer(who: str, name: str, value: Any) -> int:
    if not isinstance(value, Integral):
        raise NotSupported(who, f"{name}={value!r}, expected an integer")
    return int(value)


def _parse_number(who: str, name: str, value: Any) -> float:
    if not isinstance(value, Real):
        raise NotSupported(who, f"{name}={value!r}, expected a number")
    return float(value)


def _list_parser(kind: Callable) -> Callable:
    def check(who: str, name: str, values: Any) -> list:
        if not isinstance(values, (list, tuple, numpy.ndarray)):
            raise NotSupported(who, f"{name}={values!r}, expected a list")
        return [kind(who, name, value) for value in values]
    return check


_PARSERS: dict[str, Callable] = {
    "activations": _list_parser(_parse_string), "activation_alpha": _list_parser(_parse_number),
    "activation_beta": _list_parser(_parse_number), "clip": _parse_number, "direction": _parse_string,
    "hidden_size": _parse_integer, "layout": _parse_integer, "input_forget": _parse_integer,
    "linear_before_reset": _parse_integer}
