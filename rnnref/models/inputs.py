"""The arguments of a functional model, matched with its declared inputs."""
from typing import Any

from ..errors import ShapeError
from ..layers.config import taken
from ..nest import align, flatten, unflatten
from ..symbols import Symbol
from ..values import Value, functions, numbers


def standardize(symbols: Any, given: Any, mask: Any, who: str) -> Any:
    """Arrange the given arrays in the nest of `symbols`: each with the dtype and the number of axes of its symbol.

    A single array does for a list of one, and a dict by the names of the inputs for a list.  A last axis of one is
    added or taken away, as in Keras.

    mask    in the nest of what is given; a single one is that of the first

    Raises ShapeError for another nest, and for an array that does not fit its symbol.
    """
    own = flatten(symbols)
    found = [_fitted(s, a, who) for s, a in zip(own, _in_order(symbols, given, who))]
    if mask is not None:
        is_nest = isinstance(mask, (list, tuple, dict))
        every = _in_order(symbols, numbers(mask), who) if is_nest else [numbers(mask)] + [None] * (len(own) - 1)
        found = [a if m is None else Value(a.data, a.record, a.number, m) for a, m in zip(found, every)]
    return unflatten(symbols, found)


def _in_order(symbols: Any, given: Any, who: str) -> list:
    """The leaves of the given nest, in the order of those of `symbols`."""
    own = flatten(symbols)
    if not isinstance(given, (list, tuple, dict)) and len(own) == 1:
        return [given]
    if isinstance(given, (list, tuple)) and len(given) == 1 and isinstance(symbols, Symbol):
        return flatten(given)
    if isinstance(given, dict) and not isinstance(symbols, dict):
        if any(s.name not in given for s in own):
            raise ShapeError(who, f"a dict of {' '.join(map(str, given))}, expected the inputs "
                                  f"{' '.join(str(s.name) for s in own)}")
        return [given[s.name] for s in own]
    return align(symbols, given, who)


def _fitted(symbol: Symbol, a: Any, who: str) -> Any:
    """An array in the dtype and with the axes of its symbol."""
    if not hasattr(a, "shape"):
        a = taken(who, f"the input {symbol.name}", a, None)
    shape, wanted = tuple(a.shape), symbol.shape
    if len(shape) == len(wanted) + 1 and shape[-1] == 1:
        a = functions.squeeze(a, -1)
    elif len(shape) == len(wanted) - 1 and wanted[-1] == 1:
        a = functions.expand_dims(a, -1)
    if len(a.shape) != len(wanted) or any(n not in (None, m) for n, m in zip(wanted[1:], a.shape[1:])):
        raise ShapeError(who, f"the input {symbol.name} has shape {shape}, expected {wanted}")
    return a if a.dtype == symbol.dtype else functions.cast(a, symbol.dtype.name)
