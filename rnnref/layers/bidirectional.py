"""Two layers over the same sequence, one from each end."""
from ..arrays import namespace
from ..errors import NotSupported, ShapeError, check_option
from ..tree import map_structure
from ..wrappers import stack
from .config import serialize
from .nested import as_lists
from .recurrent import Recurrent, return_gradients, return_outputs, reverse_time
from .rnn import RNN
from .stacked import common_dtype, set_each, split_masks

_MERGE = {"concat": lambda y, back: namespace(y).concatenate([y, back], -1), "sum": lambda y, back: y + back,
          "mul": lambda y, back: y * back, "ave": lambda y, back: (y + back) / 2}
_MERGE_MODES = (*_MERGE, None)


def _of_forward(name):
    return property(lambda self: getattr(self.forward_layer, name), doc=f"`{name}` of both layers")


class Bidirectional(Recurrent):
    """A layer and its mirror image, with Keras's arguments, defaults and results.

    layer           an RNN layer; taken as a pattern, without its weights
    merge_mode      how y of both become one: "concat", "sum", "mul", "ave"; None: (y, y_backward)
    weights         first weights, those of both in a list
    backward_layer  the layer from the other end, itself; None: one like `layer` with go_backwards turned

    y of the backward layer is turned round, so that it lies beside the inputs.  Weights and states are those of the
    forward layer, then those of the backward layer; `params` and `grads` are pairs, `masks` of dropout are a pair too.
    As in Keras, whatever zero_output_for_mask says, y is zero at dead steps with return_sequences, and repeats without.

    Same as       Keras Bidirectional
    Differs from  Keras: `weights` are used (Keras 3 accepts and ignores them); one seed draws different numbers for
                  the two directions; initial_state is cut where the states of the forward layer end, not in the middle
    Errors        NotSupported: an unknown merge_mode, layers whose options do not go together

    >>> import numpy as np
    >>> from rnnref.layers import GRU
    >>> layer = Bidirectional(GRU(4, return_sequences=True, return_state=True))
    >>> y, h, h_back = layer(np.ones((2, 5, 3)))
    >>> y.shape, bool((y[:, -1, :4] == h).all()), bool((y[:, 0, 4:] == h_back).all())
    ((2, 5, 8), True, True)
    """

    def __init__(self, layer, merge_mode="concat", weights=None, backward_layer=None, *, dtype=None, **base):
        for name, each in (("layer", layer), ("backward_layer", backward_layer)):
            if not isinstance(each, RNN) and (each is not None or name == "layer"):
                raise NotSupported("layers.Bidirectional", f"{name} is a {type(each).__name__}",
                                   known="RNN, SimpleRNN, LSTM, GRU")
        self.forward_layer = layer.fresh(name=_add_prefix("forward_", layer.name))
        name = _add_prefix("backward_", layer.name)
        self.backward_layer = backward_layer or layer.fresh(name=name, go_backwards=True)
        self.merge_mode = check_option("layers.Bidirectional", "merge_mode", merge_mode, _MERGE_MODES)
        for leaf in self.backward_layer.leaves():
            if not leaf.built:
                leaf.forget((*leaf.stream, 1))    # or one seed would start both directions alike
        self.verify()
        super().__init__(dtype=common_dtype(self.who, dtype, self.both), **base)
        if weights is not None:
            self.set_weights(weights)

    def verify(self):
        one, two = self.both
        if bool(one.go_backwards) == bool(two.go_backwards):
            raise NotSupported(self.who, f"go_backwards={one.go_backwards} in both layers, expected one of each")
        for name in ("return_sequences", "return_state", "stateful", "time_major"):
            if bool(getattr(one, name)) != bool(getattr(two, name)):
                raise NotSupported(self.who, f"{name}={getattr(one, name)} in layer, {getattr(two, name)} in "
                                             "backward_layer, expected the same")
        widths = [layer.cell.output_size for layer in self.both]
        if self.merge_mode in ("sum", "mul", "ave") and widths[0] != widths[1]:
            raise ShapeError(self.who, f"merge_mode={self.merge_mode!r} of {widths[0]} and {widths[1]} outputs",
                             fix="'concat' or None take any")
        if {*map(id, one.leaves())} & {*map(id, two.leaves())}:
            raise NotSupported(self.who, "one cell in both directions: its gradients would be those of one only")

    @property
    def both(self):
        return self.forward_layer, self.backward_layer

    def leaves(self):
        return [leaf for layer in self.both for leaf in layer.leaves()]

    def build(self, n_in):
        for layer in self.both:
            if not layer.built:
                layer.build(n_in)

    units = property(lambda self: tuple(layer.units for layer in self.both))
    n_in = property(lambda self: self.forward_layer.n_in)
    core = property(lambda self: stack.Bidirectional(tuple(layer.core for layer in self.both)))
    params = property(lambda self: tuple(layer.params for layer in self.both),
                      lambda self, trees: set_each(self.both, "params", trees))
    grads = property(lambda self: tuple(layer.grads for layer in self.both),
                     lambda self, trees: set_each(self.both, "grads", trees))
    return_sequences, return_state, stateful, time_major = map(_of_forward, (
        "return_sequences", "return_state", "stateful", "time_major"))

    @property
    def reverse(self):
        return self.forward_layer.go_backwards

    @property
    def padding(self):
        return "zero" if self.return_sequences else "repeat"

    def noise(self, batch, xp, training=False, masks=None):
        given = zip(self.both, split_masks(self.who, masks, self.both))
        cores, extra = zip(*(layer.noise(batch, xp, training, m) for layer, m in given))
        return stack.Bidirectional(cores), extra if any(e is not None for e in extra) else None

    # outputs

    def merged(self, ys):
        y, back = self.sides(ys)
        if self.merge_mode is None:
            return y, back
        return map_structure(_MERGE[self.merge_mode], y, back)

    def sides(self, ys):
        """Both outputs as they are merged: the second turned round once more."""
        seq = self.return_sequences
        y, back = (return_outputs(a, layer.go_backwards, seq) for a, layer in zip(ys, self.both))
        return (self.timed(y), self.timed(reverse_time(back))) if seq else (y, back)

    def parted(self, dy, ys):
        seq = self.return_sequences
        dy, back = self.split(dy, ys)
        dy, back = (self.timed(dy), reverse_time(self.timed(back))) if seq else (dy, back)
        return tuple(return_gradients(d, a, layer.go_backwards, seq) for d, a, layer in zip((dy, back), ys, self.both))

    def split(self, dy, ys):
        if self.merge_mode is None:
            return dy
        y, back = self.sides(ys)
        if self.merge_mode == "concat":
            return (map_structure(lambda d, a: d[..., :a.shape[-1]], dy, y),
                    map_structure(lambda d, a: d[..., a.shape[-1]:], dy, y))
        if self.merge_mode == "mul":
            return map_structure(lambda d, b: d * b, dy, back), map_structure(lambda d, a: d * a, dy, y)
        return (dy, dy) if self.merge_mode == "sum" else (map_structure(lambda d: d / 2, dy),) * 2

    def outputs(self, y):
        return y if self.merge_mode is None else (y,)

    # states

    def halves(self, states):
        if not isinstance(states, (list, tuple)):
            return states
        n = len(self.forward_layer.get_initial_state(1))
        return states if states and hasattr(states[0], "_fields") else (states[:n], states[n:])

    def states_of(self, state):
        return [s for half in state for s in as_lists(half)]

    def get_config(self):
        return super().get_config() | {"layer": serialize(self.forward_layer)} | self.config_of(
            "merge_mode", "backward_layer")


def _add_prefix(prefix, name):
    return prefix + name.removeprefix(prefix)
