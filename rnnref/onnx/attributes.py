"""The attributes of an operator: every one checked, and made into what our cells are told.  (floor 7)"""
from dataclasses import dataclass
from numbers import Integral, Real
from typing import NamedTuple, Optional

import numpy

from ..elementwise import get_activation
from ..errors import NotSupported, check_option


class Operator(NamedTuple):
    gates: str                                    # the blocks of W, R and B, in the letters and the order of the text
    activations: tuple                            # the default, for one direction
    own: Optional[str] = None                     # the attribute that it alone has
    states: tuple = ("initial_h",)


OPERATORS = {
    "RNN": Operator("i", ("Tanh",)),
    "GRU": Operator("zrh", ("Sigmoid", "Tanh"), "linear_before_reset"),
    "LSTM": Operator("iofc", ("Sigmoid", "Tanh", "Tanh"), "input_forget", ("initial_h", "initial_c")),
}
_DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}


class Function(NamedTuple):
    ours: str
    alpha: Optional[float] = None                 # what it is where not given; None: it takes none
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
_WITHOUT_DEFAULT = ("Affine", "ThresholdedRelu", "ScaledTanh")                 # in onnxruntime


@dataclass(frozen=True)
class Attributes:
    """What a node says beside its inputs."""
    functions: tuple                              # for each direction, an `Activation` for f (, g (, h))
    direction: str
    layout: int                                   # 1: the batch comes first
    hidden_size: Optional[int]                    # None: R tells
    coupled: Optional[str]                        # which gate of an LSTM is 1 minus the other
    after: bool                                   # GRU: the reset comes after the product

    @property
    def count(self):
        return _DIRECTIONS[self.direction]


def parse_attributes(op, attributes, reading):
    """The attributes `given` by their ONNX names, checked, as `Attributes`."""
    who, own = name_of(op), OPERATORS[check_option("rnnref.onnx", "op", op, tuple(OPERATORS))].own
    known = [name for name in _PARSERS if name == own or name not in [o.own for o in OPERATORS.values()]]
    odd = [name for name in attributes if name not in known]
    if odd:
        raise NotSupported(who, f"{', '.join(odd)}: not an attribute of {op}", known=" ".join(known))
    said = {name: _PARSERS[name](who, name, value) for name, value in attributes.items() if value is not None}
    direction = check_option(who, "direction", said.get("direction", "forward"), tuple(_DIRECTIONS))
    if said.get("hidden_size", 1) < 1:
        raise NotSupported(who, f"hidden_size={said['hidden_size']}, expected a positive integer")
    layout, coupled = [check_option(who, name, said.get(name, 0), (0, 1)) for name in ("layout", "input_forget")]
    return Attributes(functions=_make_activations(op, said, _DIRECTIONS[direction], reading), direction=direction,
                      layout=layout, hidden_size=said.get("hidden_size"), coupled=reading.coupled if coupled else None,
                      after=said.get("linear_before_reset", 0) != 0)


def name_of(op):
    return f"ONNX {op}"


def _make_activations(op, attributes, count, reading):
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


def _check_names(who, names, default, count):
    """The names as the text writes them, as many as there must be."""
    odd = [name for name in names if name.lower() not in CANONICAL_NAMES]
    if odd:
        raise NotSupported(who, f"activations: {', '.join(map(repr, odd))} is not known", known=" ".join(FUNCTIONS))
    names, want = [CANONICAL_NAMES[name.lower()] for name in names], len(default) * count
    if names == ["Tanh", "Tanh"] and want == 1:   # RNN's schema has this default for one direction too
        names = ["Tanh"]
    if len(names) != want:
        raise NotSupported(who, f"{len(names)} activations ({' '.join(names)}), expected {want}",
                           count=f"{len(default)} for each direction, and {count} of these")
    return names


def _assign_scales(who, part, names, values, reading):
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


def _parse_string(who, name, value):
    if isinstance(value, bytes):                  # as protobuf holds them
        value = value.decode()
    if not isinstance(value, str):
        raise NotSupported(who, f"{name}={value!r}, expected a string")
    return value


def _parse_integer(who, name, value):
    if not isinstance(value, Integral):
        raise NotSupported(who, f"{name}={value!r}, expected an integer")
    return int(value)


def _parse_number(who, name, value):
    if not isinstance(value, Real):
        raise NotSupported(who, f"{name}={value!r}, expected a number")
    return float(value)


def _list_parser(kind):
    def check(who, name, values):
        if not isinstance(values, (list, tuple, numpy.ndarray)):
            raise NotSupported(who, f"{name}={values!r}, expected a list")
        return [kind(who, name, value) for value in values]
    return check


_PARSERS = {"activations": _list_parser(_parse_string), "activation_alpha": _list_parser(_parse_number), "activation_beta": _list_parser(_parse_number),
         "clip": _parse_number, "direction": _parse_string, "hidden_size": _parse_integer, "layout": _parse_integer, "input_forget": _parse_integer,
         "linear_before_reset": _parse_integer}
