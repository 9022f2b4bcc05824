"""What files of Keras say of their recurrent layers: activations, form of the reset, direction, convolutions."""
from typing import Any, Iterator, NamedTuple, Optional

from ..errors import FileError, NotSupported
from .layouts import KERAS2_ACTIVATIONS, KERAS_ACTIVATIONS

_FAMILIES = {"SimpleRNN": "rnn", "LSTM": "lstm", "GRU": "gru", "CuDNNLSTM": "lstm", "CuDNNGRU": "gru",
             **{f"ConvLSTM{n}D": "conv lstm" for n in (1, 2, 3)}}
_GATED = {"gate": "recurrent_activation", "candidate": "activation", "output": "activation"}
_ACTIVATIONS = {"rnn": {"activation": "activation"}, "lstm": _GATED, "conv lstm": _GATED,
                "gru": {"gate": "recurrent_activation", "candidate": "activation"}}
_NEW_DEFAULTS = (2, 3)                            # from this version on, gates have sigmoid by default
_MOST_DEPTH = 100                                 # of layers in layers


class LayerConfig(NamedTuple):
    """What a file says of one recurrent layer, or of one cell."""
    kind: str                                     # the name of its class
    names: tuple[str, ...]                        # of the layers around it, from the outside, and its own
    config: dict
    reverse: bool = False                         # True if it reads the sequence from its end

    @property
    def who(self) -> str:
        """What messages call it."""
        return f"{self.kind} {self.names[-1]!r}"

    @property
    def family(self) -> str:
        """The family of its layouts."""
        family = _FAMILIES[self.kind.removesuffix("Cell")]
        before = family == "gru" and self.kind != "CuDNNGRU" and not self.config.get("reset_after", False)
        return "gru before" if before else family


class KerasConfig(NamedTuple):
    """What a file says of all its layers."""
    version: tuple[int, ...]                      # of Keras; () if it is not in the file
    is_tf: bool                                   # True if Keras was the part of TensorFlow
    layers: Optional[list[LayerConfig]]           # None: the file has weights only
    names: dict[str, str]                         # group of the file -> name of its layer, where that is another

    def find(self, place: str) -> Optional[LayerConfig]:
        """What it says of the layer whose weights are in this group; None if nothing.

        Errors   FileError: two layers of that name that are not alike
        """
        words = [word for word in place.split("/") if word]
        groups = ["/".join(words[:n + 1]) for n in range(len(words))]
        around = {*words, *(self.names[group] for group in groups if group in self.names)}
        found = [layer for layer in self.layers or () if layer.names[-1] in around]
        most = max((len(around.intersection(layer.names)) for layer in found), default=0)
        best = [layer for layer in found if len(around.intersection(layer.names)) == most]
        if any(_describe(layer) != _describe(best[0]) for layer in best):
            raise FileError("pieces", f"{place} could be any of {', '.join(sorted({a.who for a in best}))}",
                            reason="the file has layers of one name that are not alike")
        return best[0] if best else None

    @property
    def default_table(self) -> str:
        """The table whose default activations are those of this version; "" if that is not certain."""
        if not self.version or self.is_tf and self.version < _NEW_DEFAULTS:       # tf.keras 2.2.4 has either
            return ""
        return "keras" if self.version >= _NEW_DEFAULTS else "keras2"


def _describe(layer: LayerConfig) -> tuple:
    """All that is read of a layer."""
    read = [n for n in ("activation", "recurrent_activation", "reset_after", "padding", "strides", "dilation_rate")]
    return layer.kind, layer.reverse, *(repr(layer.config.get(n)) for n in read)


def read_options(layer: LayerConfig, version: tuple[int, ...]) -> dict[str, Any]:
    """Our options for a layer, from what the file says of it.

    Errors   NotSupported: an activation or a form of data that we do not have
    """
    options, config = {}, layer.config
    table = KERAS_ACTIVATIONS if version[:1] >= (3,) else KERAS2_ACTIVATIONS
    for option, attribute in _ACTIVATIONS[layer.family.removesuffix(" before")].items():
        if attribute not in config:
            continue
        name = _name_of(config[attribute])
        if name not in table:
            raise NotSupported(f"Keras {layer.who}", f"{attribute}={name}, as its file says", known=" ".join(table))
        options[option] = table[name]
    return options | (_read_convolution(layer) if layer.family == "conv lstm" else {})


def _read_convolution(layer: LayerConfig) -> dict[str, Any]:
    options, config = {}, layer.config
    for name, known in {"data_format": "channels_last", "groups": 1}.items():
        if config.get(name) not in (None, known):
            raise NotSupported(f"Keras {layer.who}", f"{name}={config[name]!r}, as its file says", known=repr(known))
    if "padding" in config:
        options["padding"] = config["padding"]
    for ours, theirs in {"strides": "strides", "dilation": "dilation_rate"}.items():
        sizes = config.get(theirs) or ()
        sizes = tuple(sizes) if isinstance(sizes, (list, tuple)) else (sizes,)
        if max(sizes, default=1) > 1:
            options[ours] = sizes
    return options


def _name_of(activation: Any) -> str:
    """The name of an activation, which may be one of a registered function, or a layer."""
    while isinstance(activation, dict):
        inner = activation.get("config")
        activation = inner if isinstance(inner, str) else activation.get("class_name") or str(activation)
    return "linear" if activation is None else str(activation)


def list_layers(model: Any) -> list[LayerConfig]:
    """Every recurrent layer and cell in the configuration of a model, in order."""
    return list(_walk(model, (), None, 0))


def _walk(item: Any, around: tuple[str, ...], reverse: Optional[bool], depth: int) -> Iterator[LayerConfig]:
    """`reverse`: the direction that a layer around gives to this one."""
    if depth > _MOST_DEPTH:
        raise FileError("pieces", f"layers within layers, more than {_MOST_DEPTH}")
    config = item.get("config") if isinstance(item, dict) else None
    if isinstance(config, list):                  # Keras 1 and 2.0: a Sequential is a list
        config = {"layers": config}
    if not isinstance(config, dict):
        return
    kind, names = str(item.get("class_name", "")), (*around, str(config.get("name", item.get("name", ""))))
    own = bool(config.get("go_backwards", False)) if reverse is None else reverse
    if kind.removesuffix("Cell") in _FAMILIES:
        yield LayerConfig(kind, names, config, own)
    elif kind == "Bidirectional":
        yield from _walk_directions(config, names, depth)
    else:
        inner = [config.get("layer"), config.get("cell"), *_list(config, "layers"), *_list(config, "cells")]
        direction = own if kind in ("RNN", "StackedRNNCells") else None
        for part in inner:
            yield from _walk(part, names, direction, depth + 1)


def _list(config: dict, name: str) -> list:
    return config[name] if isinstance(config.get(name), list) else []


def _walk_directions(config: dict, names: tuple[str, ...], depth: int) -> Iterator[LayerConfig]:
    """The two halves of a Bidirectional; the backward one is a copy of the other unless it is written out."""
    forward = config.get("layer")
    backward, is_copy = config.get("backward_layer") or forward, not config.get("backward_layer")
    for mark, half in (("forward_", forward), ("backward_", backward)):
        for layer in _walk(half, names, None, depth + 1):
            own = layer.names[len(names)]         # of the half itself, of whose cells there may be several
            named = own if own.startswith(mark) else mark + own
            yield layer._replace(names=(*names, named, *layer.names[len(names) + 1:]),
                                 reverse=layer.reverse ^ (is_copy and mark == "backward_"))
