"""The weights of a live module or layer of another framework.

Frameworks are not imported: a module of theirs exists only where they have been.
"""
from typing import Any

from ..errors import NotSupported, describe_type
from .convert import Weights
from .read_equinox import read_equinox_cell
from .read_flax import read_flax_module
from .read_keras import read_keras_layer
from .read_torch import read_torch_module


def weights_of(thing: Any, params: Any = None) -> list[tuple[Weights, ...]]:
    """The weights of a live layer of torch, Keras, flax or equinox: a list of layers, each a tuple of directions.

    params   of a flax linen module, which does not hold them itself
    Errors   NotSupported: what is none of these, or has an option that we do not have, by name
    """
    packages = {cls.__module__.partition(".")[0] for cls in type(thing).__mro__}
    if "keras" in packages:                       # first: on the torch back end a layer is a torch module too
        return read_keras_layer(thing)
    if "torch" in packages:
        return read_torch_module(thing)
    if "flax" in packages:
        return read_flax_module(thing, params)
    if "equinox" in packages:
        return read_equinox_cell(thing)
    raise NotSupported("weights_of", describe_type(thing),
                       known="torch modules, Keras layers, flax modules, equinox cells",
                       fix="for a dict or a file: interop.pieces(it, family, framework)")
