"""What an object is that weights, or a recurrent layer, are expected of."""
from os import PathLike
from typing import Any, NamedTuple

from ..errors import describe_type, with_article
from .convert import Weights

_RECURRENT = {                                    # classes of layers and cells, by framework
    "torch": {"RNNBase", "RNNCellBase"},
    "keras": {"RNN", "Bidirectional", "SimpleRNNCell", "LSTMCell", "GRUCell", "StackedRNNCells", "ConvLSTMCell"},
    "flax": {"RNNCellBase", "RNN", "Bidirectional"},
    "equinox": {"LSTMCell", "GRUCell"}, "haiku": {"RNNCore"},
}
_QUANTIZED = {"RNNBase", "RNNCellBase", "RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"}


class Identity(NamedTuple):
    """What an object is."""
    kind: str                                     # one of KINDS
    framework: str                                # "torch", "keras", "flax", "nnx", "equinox", "haiku", "onnx" or ""
    words: str                                    # "a torch LSTM", "a list of 6 arrays"

    @property
    def is_live(self) -> bool:
        """True for layers and models of a framework: objects that hold weights and compute."""
        return self.kind in ("layer", "model", "quantized layer")


# a recurrent layer or cell; one whose weights are integers; another module, which may contain some; weights of rnnref;
# a path; a NodeProto or ModelProto; a dict, list or single array; a pair of functions of haiku; any other function
KINDS = ("layer", "quantized layer", "model", "weights", "file", "node", "graph", "arrays", "list", "array",
         "transformed", "function", "other")


def identify(thing: Any) -> Identity:
    """What an object is, without importing a framework: an object of one exists only where it was imported.

    >>> import numpy as np
    >>> identify({"kernel": np.ones((3, 4))}).kind, identify([np.ones(3)]).words, identify("model.h5").kind
    ('arrays', 'a list of 1 arrays', 'file')
    """
    if isinstance(thing, Weights):
        return Identity("weights", thing.layout.framework, f"weights of {thing.layout.who}")
    if isinstance(thing, (str, PathLike)):
        return Identity("file", "", f"the file {thing}")
    name, packages = type(thing).__name__, packages_of(thing)
    if "onnx" in packages:
        kind = {"NodeProto": "node", "ModelProto": "graph", "GraphProto": "graph"}.get(name, "other")
        return Identity(kind, "onnx", f"an ONNX {name}")
    framework = framework_of(thing)
    if framework == "haiku" and hasattr(thing, "init") and hasattr(thing, "apply"):
        return Identity("transformed", framework, "a transformed function of haiku")
    if framework:
        return Identity(_find_kind(thing, framework), framework, with_article(f"{framework} {original_name(thing)}"))
    if hasattr(thing, "items"):
        return Identity("arrays", "", f"{with_article(name)} of {len(thing)} entries")
    if isinstance(thing, (list, tuple)):
        return Identity("list", "", f"{with_article(name)} of {len(thing)} arrays")
    if hasattr(thing, "shape") and hasattr(thing, "dtype"):
        return Identity("array", "", f"an array of shape {tuple(thing.shape)}")
    return Identity("function" if callable(thing) else "other", "", describe_type(thing))


def packages_of(thing: Any) -> set[str]:
    """The top-level packages that the classes of an object come from."""
    return {cls.__module__.partition(".")[0] for cls in type(thing).__mro__}


def framework_of(thing: Any) -> str:
    """The framework of a live module or layer: "torch", "keras", "flax", "nnx", "equinox", "haiku"; else ""."""
    packages = packages_of(thing)
    if "keras" in packages:                       # first: on the torch back end a layer is a torch module too
        return "keras" if hasattr(thing, "get_config") else ""
    if "torch" in packages:
        return "torch" if hasattr(thing, "named_parameters") else ""
    if "flax" in packages:
        modules = [cls.__module__ for cls in type(thing).__mro__ if cls.__name__ == "Module"]
        return next(("nnx" if name.startswith("flax.nnx") else "flax" for name in modules), "")
    return next((name for name in ("equinox", "haiku") if name in packages), "")


def original_name(thing: Any) -> str:
    """The name of the class; of a scripted or compiled module, that of the class it was made from."""
    own = getattr(thing, "_orig_mod", thing)
    return str(getattr(own, "original_name", None) or type(own).__name__)


def is_recurrent(thing: Any) -> bool:
    """True for a recurrent layer or cell of a framework, also a scripted one."""
    framework = framework_of(thing)
    names = {cls.__name__ for cls in type(thing).__mro__ if framework_of_class(cls) == framework.replace("nnx", "flax")}
    if framework == "torch" and is_scripted(thing):
        return original_name(thing) in _QUANTIZED - {"RNNBase", "RNNCellBase"} and hasattr(thing, "hidden_size")
    return bool(names & _RECURRENT.get(framework.replace("nnx", "flax"), set()))


def framework_of_class(cls: type) -> str:
    """The top-level package of a class."""
    return cls.__module__.partition(".")[0]


def is_scripted(thing: Any) -> bool:
    """True for a module that torch.jit has made of another."""
    return any(cls.__module__.startswith("torch.jit") for cls in type(thing).__mro__)


def is_quantized(thing: Any) -> bool:
    """True for a recurrent module of torch whose weights are integers."""
    quantized = any("quantized" in cls.__module__.split(".") for cls in type(thing).__mro__)
    return quantized and bool({cls.__name__ for cls in type(thing).__mro__} & _QUANTIZED)


def _find_kind(thing: Any, framework: str) -> str:
    if framework == "torch" and is_quantized(thing):
        return "quantized layer"
    return "layer" if is_recurrent(thing) else "model"
