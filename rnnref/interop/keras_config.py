"""What files of Keras say of their recurrent layers: activations, form of the reset, direction, convolutions."""
from typing import Any, Iterator, NamedTuple, Optional

from ..errors import FileError, NotSupported, with_article
from .keras_keys import FIX, check_merge, check_object, complete
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
    merge: str = "concat"                         # how a Bidirectional around it joins both directions

    @property
    def who(self) -> str:
        """What messages call it."""
        return f"{self.kind} {self.names[-1]!r}"

    def is_named(self, around: set[str]) -> bool:
        """True if these names stand around its weights; cells, whose names recur, need that of a layer around too."""
        own = {self.names[-1], *(self.names[-1].removeprefix(mark) for mark in ("forward_", "backward_"))}
        is_cell = self.kind.endswith("Cell") and len(self.names) > 2
        return bool(own & around) and (not is_cell or len(around.intersection(self.names[1:])) > 1)

    @property
    def family(self) -> str:
        """The family of its layouts."""
        family = _FAMILIES[self.kind.removesuffix("Cell")]
        before = family == "gru" and self.kind != "CuDNNGRU" and not self.config.get("reset_after", False)
        return "gru before" if before else family        # without the key it is of a Keras that had no other form

    @property
    def units(self) -> Optional[int]:
        """The width of its state; None if the file does not say it."""
        return self.config.get("filters", self.config.get("units"))


class KerasConfig(NamedTuple):
    """What a file says of all its layers."""
    version: tuple[int, ...]                      # of Keras; () if it is not in the file
    is_tf: bool                                   # True if Keras was the part of TensorFlow
    layers: Optional[list[LayerConfig]]           # None: the file has weights only, or a model that lists no layers
    names: dict[str, str]                         # group of the file -> name of its layer, where that is another
    others: dict[str, str] = {}                   # name -> class of its layers that are no recurrent ones of Keras

    def find(self, place: str) -> Optional[LayerConfig]:
        """What it says of the layer whose weights are in this group; None if nothing.

        Errors   FileError: two layers of that name that are not alike
        """
        around = self._names_around(place)
        found = [layer for layer in self.layers or () if layer.is_named(around)]
        if not found:                             # under the name of the layer around it alone
            inner = [layer for layer in self.layers or () if around.intersection(layer.names[1:-1])]
            found = inner if len(inner) == 1 else []
        most = max((len(around.intersection(layer.names)) for layer in found), default=0)
        best = [layer for layer in found if len(around.intersection(layer.names)) == most]
        if any(_describe(layer) != _describe(best[0]) for layer in best):
            raise FileError("pieces", f"{place} could be any of {', '.join(sorted({a.who for a in best}))}",
                            reason="the file has layers of one name that are not alike")
        if not best and self.layers is not None:
            self._refuse_unknown(place, around)
        return best[0] if best else None

    def _names_around(self, place: str) -> set[str]:
        """The names of all layers and groups around a place."""
        words = [word for word in place.split("/") if word]
        groups = ["/".join(words[:n + 1]) for n in range(len(words))]
        return {*words, *(self.names[group] for group in groups if group in self.names)}

    def _refuse_unknown(self, place: str, around: set[str]) -> None:
        """Raise: these are weights of a recurrent layer, and the configuration tells of none there."""
        told = [f"{with_article(self.others[name])} {name!r}" for name in around & self.others.keys()]
        raise FileError("pieces", f"the configuration of the file does not tell the options of the layer {place!r}",
                        reason="".join(f"it is {words}, which is no layer of Keras whose options are known"
                                       for words in told[:1]) or "no recurrent layer of Keras has this name there",
                        has=", ".join(layer.who for layer in self.layers or ()), fix=FIX)

    @property
    def default_table(self) -> str:
        """The table whose default activations are those of this version; "" if that is not certain."""
        if not self.version or self.is_tf and self.version < _NEW_DEFAULTS:       # tf.keras 2.2.4 has either
            return ""
        return "keras" if self.version >= _NEW_DEFAULTS else "keras2"


def _describe(layer: LayerConfig) -> tuple:
    """All that is read of a layer."""
    read = [n for n in ("activation", "recurrent_activation", "reset_after", "padding", "strides", "dilation_rate")]
    return layer.kind, layer.reverse, layer.merge, *(repr(layer.config.get(n)) for n in read)


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
    """The name of an activation; one of a function or a layer is that of its class, with its module if it is no part of
    Keras."""
    if not isinstance(activation, dict):
        return "linear" if activation is None else str(activation) if isinstance(activation, str) else repr(activation)
    kind, config = activation.get("class_name"), activation.get("config")
    if not _is_of_keras(activation, str(config if kind == "function" else kind)):
        return f"{activation.get('registered_name') or activation.get('module')}"
    return config if kind == "function" and isinstance(config, str) else f"an object of the class {kind}"


_MODULES = ("keras", "tensorflow", "tf_keras", "builtins")


def _is_of_keras(item: dict, name: str) -> bool:
    """True if a class or a function is one of Keras, as far as a file says where it comes from."""
    module, registered = item.get("module"), item.get("registered_name")
    from_keras = not module or isinstance(module, str) and module.partition(".")[0] in _MODULES
    return from_keras and (not registered or registered in (name, "function"))


class Item(NamedTuple):
    """A layer of a model as its configuration has it: the class, the names around it and its own, the options."""
    kind: str
    names: tuple[str, ...]
    config: dict
    reverse: bool
    merge: str = "concat"


def list_layers(model: dict, version: tuple[int, ...] = ()) -> tuple[Optional[list[LayerConfig]], dict[str, str]]:
    """Every recurrent layer and cell in the configuration of a model, in order; and {name: class} of the other layers.

    None in the place of the list: a model of a class of its own, whose configuration lists no layers.

    Errors   FileError: what is no configuration of Keras: other kinds of values, keys that are not known
    """
    found: list[LayerConfig] = []
    others: dict[str, str] = {}
    whole = {"class_name": "Model", **model} if "config" in model else model
    items = list(_walk(whole, (), None, 0))
    if len(items) == 1 and items[0].kind not in _HOLDERS and items[0].kind not in _FAMILIES:
        return None, {}
    for item in items:
        if item.kind.removesuffix("Cell") in _FAMILIES:
            layer = LayerConfig(*item)
            found.append(layer._replace(config=complete(layer.who, layer.kind, layer.config, version)))
        else:
            others[item.names[-1]] = item.kind
    return found, others


# classes of Keras with layers in them, and the keys under which these stand
_HOLDERS = {"Sequential": ("layers",), "Functional": ("layers",), "Model": ("layers",), "RNN": ("cell",),
            "StackedRNNCells": ("cells",), "Bidirectional": ("layer",), "TimeDistributed": ("layer",)}
_LISTS = ("layers", "cells")


def _walk(item: dict, around: tuple[str, ...], reverse: Optional[bool], depth: int) -> Iterator[Item]:
    """`reverse`: the direction that a layer around gives to this one."""
    if depth > _MOST_DEPTH:
        raise FileError("pieces", f"layers within layers, more than {_MOST_DEPTH}")
    kind, config = item.get("class_name"), item.get("config")
    if not isinstance(kind, str) or not kind:
        raise FileError("pieces", f"class_name={kind!r} in the configuration of the file, expected the name of a class")
    if not _is_of_keras(item, kind):
        kind = f"{item.get('registered_name') or item.get('module')} {kind}"
    config = {"layers": config} if isinstance(config, list) and kind == "Sequential" else config        # up to 2.2
    config = check_object(f"the configuration of {with_article(kind)}", config)
    names = (*around, str(config.get("name", item.get("name", ""))))
    own = bool(config.get("go_backwards", False)) if reverse is None else reverse
    yield Item(kind, names, config, own)
    if kind == "Bidirectional":
        yield from _walk_directions(config, names, depth)
        return
    for part in _list_inner(kind, names[-1], config):
        yield from _walk(part, names, own if kind in ("RNN", "StackedRNNCells") else None, depth + 1)


def _list_inner(kind: str, name: str, config: dict) -> Iterator[dict]:
    """The layers in a layer; a class that is none of Keras may have anything under these names."""
    for key in _HOLDERS.get(kind, ("layer", "cell", *_LISTS)):
        value, what = config.get(key), f"{key} of the {kind} {name!r}"
        if kind in _HOLDERS:
            value = check_object(what, value, list if key in _LISTS else dict)
        for part in value if isinstance(value, list) else [value]:
            if kind in _HOLDERS or isinstance(part, dict) and "class_name" in part:
                yield check_object(f"one of the {what}" if key in _LISTS else what, part)


def _walk_directions(config: dict, names: tuple[str, ...], depth: int) -> Iterator[Item]:
    """The two halves of a Bidirectional; the backward one is a copy of the other unless it is written out."""
    (forward,), written = _list_inner("Bidirectional", names[-1], config), config.get("backward_layer")
    merge = check_merge(names[-1], config)
    backward = forward if written is None else check_object(f"backward_layer of {names[-1]!r}", written)
    for mark, half in (("forward_", forward), ("backward_", backward)):
        for layer in _walk(half, names, None, depth + 1):
            own = layer.names[len(names)]         # of the half itself, of whose cells there may be several
            named = own if own.startswith(mark) else mark + own
            yield layer._replace(merge=merge, names=(*names, named, *layer.names[len(names) + 1:]),
                                 reverse=layer.reverse ^ (written is None and mark == "backward_"))
