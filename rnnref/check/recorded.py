"""Recorded arrays that `diagnose` is given: the weights, a sequence and its outputs, in every reading of their axes."""
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..errors import DtypeError, InvalidType, ShapeError, describe_type
from ..interop.files import to_numpy


class Data(NamedTuple):
    """x and y, time first, and the initial state, in one reading of their axes."""
    x: Array
    y: Array
    first: tuple[Array, ...]
    reverse: bool
    words: tuple[str, ...]
    usual: bool = True                            # False: time is reversed, or the state is not the one given


def read_weights(weights: Any) -> dict[str, Array]:
    """The arrays of the weights by name."""
    if isinstance(weights, (str, bytes)) or not isinstance(weights, (Mapping, Sequence)):
        raise InvalidType("diagnose", f"weights is {describe_type(weights)}, expected arrays by name or a list of them",
                          fix="of a live layer: module.state_dict(), layer.get_weights()")
    named = weights.items() if isinstance(weights, Mapping) else ((f"array {k}", a) for k, a in enumerate(weights))
    found = {str(name): read_numbers(str(name), a) for name, a in named}
    if not found:
        raise ShapeError("diagnose", "weights are empty, and fit no SimpleRNN, GRU or LSTM")
    return found


def read_numbers(name: str, a: Any) -> Array:
    """An array of finite real numbers."""
    a = to_numpy(name, a)
    if a.dtype.kind not in "fiu":
        raise DtypeError("diagnose", f"{name} has dtype {a.dtype}, expected real numbers")
    if not a.size or not numpy.isfinite(a).all():
        what = "holds NaN or infinities" if a.size else f"has shape {a.shape}: no numbers"
        raise ShapeError("diagnose", f"{name} {what}", hint="no convention can be told from it")
    return a


def read_states(initial_state: Any) -> list[Array]:
    """h, or h and c, each [batch, units]; [] for zeros."""
    given = initial_state if isinstance(initial_state, (tuple, list)) else (initial_state,)
    states = [read_numbers("initial_state", a) for a in given if a is not None]
    states = [a[0] if a.ndim == 3 and len(a) == 1 else a for a in states]
    if len(states) > 2 or any(a.ndim != 2 for a in states):
        raise ShapeError("diagnose", f"initial_state has the shapes {', '.join(str(a.shape) for a in states)}",
                         axes="h, or (h, c), each [batch, units]")
    return states


def list_data(x: Array, y: Array, states: list[Array]) -> Iterator[Data]:
    """All readings of the axes of x and y, the more likely ones first."""
    if x.ndim != 3 or y.ndim != 3:
        raise ShapeError("diagnose", f"x has shape {x.shape}, y has shape {y.shape}, expected 3 axes each",
                         axes="time, batch, input and time, batch, output (or the batch first)",
                         fix="give the outputs of all steps; for one row: x[:, None]")
    if states and all(a.shape[-1] != y.shape[-1] for a in states):
        raise ShapeError("diagnose", f"an initial state has shape {states[0].shape}, y has shape {y.shape}",
                         axes="h has as many units as y has")
    found = False
    for batch_first in (False, True):
        xt = x.swapaxes(0, 1) if batch_first else x
        for swapped in (False, True):
            yt = y.swapaxes(0, 1) if batch_first != swapped else y
            if xt.shape[:2] != yt.shape[:2] or any(len(a) != xt.shape[1] for a in states) or \
                    swapped and x.shape[0] == x.shape[1]:
                continue
            found = True
            words = ("x is [batch, time, input]",) * batch_first + ("y has other axes than x",) * swapped
            yield from _list_times(xt, yt, states, words)
    if not found:
        raise ShapeError("diagnose", f"x has shape {x.shape}, y has shape {y.shape}"
                         + "".join(f", an initial state {a.shape}" for a in states),
                         axes="the same numbers of steps and rows in all")


def _list_times(x: Array, y: Array, states: list[Array], words: tuple[str, ...]) -> Iterator[Data]:
    orders: list[tuple[tuple[str, ...], list[Array]]] = [((), states)]
    if len(states) == 2:
        orders.append((("the initial state is (c, h)",), states[::-1]))
    if states:
        orders.append((("the initial state was not used",), []))
    for more, first in orders:
        yield Data(x, y, tuple(first), False, words + more, not more)
        yield Data(x, y, tuple(first), True, (*words, *more, "time is read backwards"), False)
        yield Data(x, y[::-1], tuple(first), True,
                   (*words, *more, "time is read backwards, y is in the order of reading"), False)
