"""The interface of rules: the pointwise part of a cell, from the results of its two maps to the new state."""
from dataclasses import MISSING, fields

from ..elementwise import Activation, get_activation

_ACTIVATIONS = "gate", "candidate", "output", "activation"           # the fields of rules that hold them


class Rule:
    """Base class of a rule, a pair of pure functions.

        forward(p, ax, ah, s) -> y, s', kept;   backward(p, kept, dy, ds') -> dax, dah, ds, dp

    ax is the result of the input map, ah that of the recurrent map, s the old state.  A rule is pointwise, so one call
    serves a step or a whole sequence.  `dp` is not yet summed over the batch: the cell sums it.
    """
    gates: str                                    # a letter for each block of ax and ah, in order
    State: type                                   # a named tuple of arrays; state[0] is the h of the recurrent map
    widths = {"h": "H"}                           # the last axis of each array of the state
    float32_fields: tuple = ()                              # arrays of the state that stay float32 in 16-bit storage
    recurrent_axis = "G"                          # the axis of ah; another where some gates do not see h
    is_additive = True                            # ax and ah enter only as ax + ah, so LayerNormRule may hold it

    @property
    def name(self) -> str:
        """The name of a cell with this rule in messages: LSTMRule is the rule of an LSTM."""
        return type(self).__name__.removesuffix("Rule")

    def axes(self) -> dict[str, str]:
        """The parameters of the rule itself, such as peepholes, and their axes."""
        return {}

    def describe(self, maps: dict) -> str:
        """"LSTM(peepholes=True)": the fields that differ from their defaults, and the maps of the cell."""
        given = {}
        for f in fields(self):                    # type: ignore[arg-type]
            value = getattr(self, f.name)
            is_activation = isinstance(value, Activation) and f.default is not MISSING
            if value != (get_activation(f.default) if is_activation else f.default):
                given[f.name] = value.name if is_activation and value == Activation(value.name) else value
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in (given | maps).items())})"

    def __post_init__(self) -> None:
        """Replace names of activations by activations, in the constructor of the frozen dataclass that a rule is."""
        for name in _ACTIVATIONS:
            if hasattr(self, name):
                object.__setattr__(self, name, get_activation(getattr(self, name)))
