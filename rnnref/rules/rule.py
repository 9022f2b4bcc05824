"""What every rule has.  (floor 1)"""
from ..elementwise import get_activation


class Rule:
    """forward(p, ax, ah, s) -> y, s', kept;   backward(p, kept, dy, ds') -> dax, dah, ds, dp.

    A rule is pointwise: it joins what the two maps give with the state.  `dp` is not yet summed over the batch, so that
    one call serves a step or a whole sequence; the cell sums it.
    """
    gates: str                                    # one letter a block of ax and ah, in order
    State: type                                   # a named tuple of arrays; state[0] is what recurs
    widths = {"h": "H"}                           # the axis of each array of the state
    float32_fields: tuple = ()                              # ... and which of them stay in float32 in 16-bit storage
    recurrent_axis = "G"                                    # the axis of ah: not always all the gates see h
    is_additive = True                                   # it sees ax + ah only, so a rule may hold it

    @property
    def name(self):
        """What a cell with this rule is called in messages."""
        return type(self).__name__.removesuffix("Rule")

    def axes(self):
        """The parameters it reads and their axes."""
        return {}

    def resolve_activations(self, *names):
        """Names of activations to activations: called once by the constructor of a frozen dataclass."""
        for name in names:
            object.__setattr__(self, name, get_activation(getattr(self, name)))
