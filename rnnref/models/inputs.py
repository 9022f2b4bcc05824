"""What a functional model is given, as its inputs are declared."""
from typing import Any

from ..errors import ShapeError
from ..layers.config import taken
from ..nest import align, flatten, unflatten
from ..symbols import Symbol
from ..values import Value, functions, numbers


def standardize(symbols: Any, given: Any, mask: Any, who: str) -> Any:
    """What is given, in the nest of `symbols`: each in its dtype, with as many axes as it was declared with.

    A single array does for a list of one, and a dict by the names of the inputs for a list.  A last axis of one is
    added or taken away, as in Keras.

    Raises ShapeError for another nest, and for an array that does not fit its symbol.
    """
    own = flatten(symbols)
    if not isinstance(given, (list, tuple, dict)) and len(own) == 1:
        leaves = [given]
    elif isinstance(given, dict) and not isinstance(symbols, dict):
        missing = [s.name for s in own if s.name not in given]
        if missing:
            raise ShapeError(who, f"a dict of {' '.join(map(str, given))}, expected the inputs "
                                  f"{' '.join(str(s.name) for s in own)}")
        leaves = [given[s.name] for s in own]
    elif isinstance(given, (list, tuple)) and len(given) == 1 and isinstance(symbols, Symbol):
        leaves = flatten(given)
    else:
        leaves = align(symbols, given, who)
    found = [_fitted(s, a, who) for s, a in zip(own, leaves)]
    if mask is not None:
        every = flatten(mask) if isinstance(mask, (list, tuple, dict)) else [mask] * len(found)
        found = [a if m is None else Value(a.data, a.record, a.number, m) for a, m in zip(found, numbers(every))]
    return unflatten(symbols, found)


def _fitted(symbol: Symbol, a: Any, who: str) -> Any:
    if not hasattr(a, "shape"):
        a = taken(who, f"the input {symbol.name}", a, None)
    shape, wanted, mask = tuple(a.shape), symbol.shape, getattr(a, "mask", None)
    if len(shape) == len(wanted) + 1 and shape[-1] == 1:
        a = functions.squeeze(a, -1)
    elif len(shape) == len(wanted) - 1 and wanted[-1] == 1:
        a = functions.expand_dims(a, -1)
    if len(a.shape) != len(wanted) or any(n not in (None, m) for n, m in zip(wanted[1:], a.shape[1:])):
        raise ShapeError(who, f"the input {symbol.name} has shape {shape}, expected {wanted}")
    if a.dtype != symbol.dtype:
        a = functions.cast(a, symbol.dtype.name)
    return a if mask is None or a.mask is mask else Value(a.data, a.record, a.number, mask)
