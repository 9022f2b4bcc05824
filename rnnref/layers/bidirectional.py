"""Two layers over the same sequence, one from each end."""
from typing import Any, NamedTuple, Optional

from ..arrays import namespace
from ..cell import ALL
from ..errors import NotSupported, ShapeError, check_option, describe_type
from ..nest import flatten
from ..tree import add, map_structure
from ..wrappers import stack
from .base import Layer
from .cell import under, wanted_names
from .config import serialize
from .derived import derived
from .nested import pack_like
from .rnn import RNN, as_constants
from .stacked import common_dtype, split_masks

_MERGE = {"concat": lambda y, back: namespace(y).concatenate([y, back], -1), "sum": lambda y, back: y + back,
          "mul": lambda y, back: y * back, "ave": lambda y, back: (y + back) / 2}
_MERGE_MODES = (*_MERGE, None)


def _of_forward(name: str) -> Any:
    return property(lambda self: getattr(self.forward_layer, name), doc=f"`{name}` of both layers")


class Halves(NamedTuple):
    """What the forward pass of both directions keeps for the backward pass."""
    kept: tuple                                   # of both loops
    y: Any; back: Any                             # their outputs, beside each other
    given: tuple                                  # initial_state and constants, as they were given


class Bidirectional(Layer):
    """An RNN layer in both directions of time, with Keras's arguments, defaults and results.

    layer           an RNN layer, which is copied without its weights
    merge_mode      how both y are merged: "concat", "sum", "mul", "ave"; None: (y, y_backward)
    weights         first weights, those of both in a list
    backward_layer  the layer of the other direction, used itself; None: a copy of `layer` in that direction

    y of the backward layer is reversed in time, into the order of the inputs.  Weights and states are those of the
    forward layer, then those of the backward layer; `params` and `grads` are pairs, `masks` of dropout are a pair too.
    As in Keras, y is zero at dead steps with return_sequences and repeats without, with any zero_output_for_mask.

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
    _call_order = ("x", "initial_state", "mask", "training")

    def __init__(self, layer: Any, merge_mode: Any = "concat", weights: Any = None, backward_layer: Any = None, *,
                 dtype: Any = None, **base: Any) -> None:
        for name, each in (("layer", layer), ("backward_layer", backward_layer)):
            if not isinstance(each, RNN) and (each is not None or name == "layer"):
                raise NotSupported("layers.Bidirectional", f"{name} is {describe_type(each)}",
                                   known="RNN, SimpleRNN, LSTM, GRU, ConvLSTM1D to 3D")
        self.forward_layer = layer.fresh(name=_add_prefix("forward_", layer.name))
        self.backward_layer = backward_layer or layer.fresh(name=_add_prefix("backward_", layer.name),
                                                            go_backwards=not layer.go_backwards)
        self.merge_mode = check_option("layers.Bidirectional", "merge_mode", merge_mode, _MERGE_MODES)
        if not self.backward_layer.cell.built:    # or one seed would start both directions alike
            for one in self.backward_layer._all_layers():
                one._forget((*one._stream, 1))
        self._verify()
        super().__init__(dtype=common_dtype(self.who, dtype, self.both), **base)
        for one in self.both:
            one.zero_output_for_mask = bool(self.return_sequences)
        if weights is not None:
            self.set_weights(weights)

    def _verify(self) -> None:
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
        if {*map(id, one._all_layers())} & {*map(id, two._all_layers())}:
            raise NotSupported(self.who, "one cell in both directions: its gradients would be those of one only")

    @property
    def both(self) -> tuple:
        return self.forward_layer, self.backward_layer

    def _sublayers(self) -> dict:
        both = {"forward_layer": self.forward_layer, "backward_layer": self.backward_layer}
        return derived(self).setdefault("sublayers", both)

    def build(self, input_shape: Any, initial_state_shape: Any = None, constants_shape: Any = None) -> None:
        for layer in self.both:
            if not layer.built:
                layer.build(input_shape, constants_shape=constants_shape)

    def _build_from(self, weights: Any) -> None:
        n = len(self.forward_layer.weight_names)
        for layer, its in zip(self.both, (weights[:n], weights[n:])):
            if not layer.cell.built:
                layer._build_from(its)
        self.build(None)

    units = property(lambda self: tuple(layer.units for layer in self.both))
    n_in = property(lambda self: self.forward_layer.n_in)
    core = property(lambda self: stack.Bidirectional(tuple(layer.core for layer in self.both)))
    weight_names = property(lambda self: [name for layer in self.both for name in layer.weight_names])
    return_sequences, return_state, stateful, time_major, go_backwards = map(_of_forward, (
        "return_sequences", "return_state", "stateful", "time_major", "go_backwards"))

    @property
    def mode(self) -> Any:
        """How precise products on a GPU are, in every call: `cuda.modes`."""
        return self.forward_layer.mode

    @mode.setter
    def mode(self, mode: Any) -> None:
        for layer in self.both:
            layer.mode = mode

    def _tree(self, p: dict) -> Any:
        return tuple(layer._tree(under(p, f"{name}.")) for name, layer in self._sublayers().items())

    def _flat(self, tree: Any) -> dict:
        return {f"{name}.{path}": a for (name, layer), half in zip(self._sublayers().items(), tree)
                for path, a in layer._flat(half).items()}

    def get_initial_state(self, batch_size: Any) -> list:
        """Zeros, as `initial_state` takes them."""
        return [s for layer in self.both for s in layer.get_initial_state(batch_size)]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        mask = next((m for m in flatten(mask) if m is not None), None) if self.return_sequences else None
        y = [mask, mask] if self.merge_mode is None else [mask]
        if self.return_state:
            return [*y, *(None for _ in self.get_initial_state(1))]
        return y if self.merge_mode is None else mask

    # the pair

    def draw(self, training: bool, x: Any, initial_state: Any = None, constants: Any = None) -> Any:
        return tuple(layer.draw(training, x) for layer in self.both)

    def leaves(self, kept: Any) -> bool:
        return any(layer.leaves(its) for layer, its in zip(self.both, kept.kept))

    def leave(self, kept: Any) -> None:
        for layer, its in zip(self.both, kept.kept):
            layer.leave(its)

    def apply(self, p: dict, x: Any, initial_state: Any = None, constants: Any = None, *, mask: Any = None,
              training: bool = False, noise: Any = None, keep: bool = True, lengths: Any = None, masks: Any = None,
              mode: Any = None) -> tuple:
        runs = zip(self._sublayers().items(), self._cut(initial_state), noise or (None, None),
                   split_masks(self.who, "masks", masks, self.both))
        (y, new, ahead), (back, more, behind) = (
            layer.loop(under(p, f"{name}."), x, s, constants, mask, training, n, keep, lengths, m, mode)
            for (name, layer), s, n, m in runs)
        back = self._turned(back)
        kept = Halves((ahead, behind), y, back, (initial_state, constants))
        y = (y, back) if self.merge_mode is None else map_structure(_MERGE[self.merge_mode], y, back)
        if not self.return_state:
            return y, kept
        states = [s for layer, n in zip(self.both, (new, more)) for s in layer.cell.to_list(n)]
        return (*(y if self.merge_mode is None else (y,)), *states), kept

    def apply_back(self, p: dict, kept: Any, dy: Any, wanted: Any = None) -> tuple:
        n = 2 if self.merge_mode is None else 1
        dstate = None
        if self.return_state and dy is not None:
            dy, dstate = dy[:n] if n == 2 else dy[0], list(dy[n:])
        dx, ds, dconstants, dp = self._back(kept, dy, dstate, wanted_names(wanted))
        return (dx, ds, as_constants(dconstants, kept.given[1])), dp

    def backward(self, dy: Any = None, dstate: Any = None) -> tuple:
        """Gradients of x and of the first states, those of the forward layer first; see `RNN.backward`."""
        p, kept = self.recorded()
        dx, ds, _, self._grads = self._back(kept, dy, dstate)
        return dx, ds

    def _back(self, kept: Any, dy: Any, dstate: Any, wanted: Any = ALL) -> tuple:
        pair = kept.y, kept.back
        y = pair if self.merge_mode is None else map_structure(_MERGE[self.merge_mode], *pair)
        dy, back = self._split(pack_like(self.who, "dy", dy, y), kept)
        found = [layer.loop_back(its, d, s, wanted) for layer, its, d, s in zip(
            self.both, kept.kept, (dy, self._turned(back)), self._cut(dstate))]
        (dx, s, e, _), (more, t, f, _) = found
        dp = {f"{name}.{path}": d for name, (*_, half) in zip(self._sublayers(), found) for path, d in half.items()}
        ds = [a for layer, d in zip(self.both, (s, t)) for a in layer.cell.to_list(d)]
        return add(dx, more), ds, add(e, f), dp

    def _split(self, dy: Any, kept: Any) -> Any:
        """The gradient of y as those of both halves."""
        if self.merge_mode is None:
            return dy
        if self.merge_mode == "concat":
            return (map_structure(lambda d, a: d[..., :a.shape[-1]], dy, kept.y),
                    map_structure(lambda d, a: d[..., a.shape[-1]:], dy, kept.y))
        if self.merge_mode == "mul":
            return map_structure(lambda d, b: d * b, dy, kept.back), map_structure(lambda d, a: d * a, dy, kept.y)
        return (dy, dy) if self.merge_mode == "sum" else (map_structure(lambda d: d / 2, dy),) * 2

    def _turned(self, y: Any) -> Any:
        """Reverse the outputs of the backward layer in time."""
        if not self.return_sequences:
            return y
        return map_structure((lambda a: a[::-1]) if self.time_major else lambda a: a[:, ::-1], y)

    def _cut(self, states: Any) -> Any:
        """The states of each half."""
        if states is None or not isinstance(states, (list, tuple)):
            return states, states
        n = len(self.forward_layer.get_initial_state(1))
        return states if states and hasattr(states[0], "_fields") else (list(states[:n]), list(states[n:]))

    # states between calls

    @property
    def states(self) -> Optional[list]:
        """Where the next call of a stateful layer starts, as a list; None before the first."""
        if self.forward_layer.carried is None:
            return None
        return [s for layer in self.both for s in layer.states]

    def reset_state(self) -> None:
        """Let the next call start from zeros."""
        for layer in self.both:
            layer.reset_state()

    reset_states = reset_state

    def get_config(self) -> dict:
        return super().get_config() | {"layer": serialize(self.forward_layer)} | self.config_of(
            "merge_mode", "backward_layer")


def _add_prefix(prefix: str, name: str) -> Any:
    return prefix + name.removeprefix(prefix)
