"""Symbols: places for arrays, and the calls that will be made once there are arrays.  Input(shape) starts with one.

Whatever takes values takes symbols too, and makes a `Call` of itself.
"""
from itertools import count
from typing import Any, Callable, Optional, Sequence

import numpy

from .arrays import is_array
from .errors import NotSupported, ShapeError, describe_type
from .identifiers import unique_name
from .nest import align, flatten, map_structure, unflatten
from .record import Record
from .values import Arraylike, numbers

ORDER = count()

# How long an unknown axis of an input is in a trial run: the first axis, and any other.  A run in each of two sizes
# shows which axes of the results depend on them.  Larger pairs are tried where the smaller do not fit: a window that
# is longer than the axis, a reshape that needs a multiple.
SIZES = (((2, 7), (3, 18)), ((12, 48), (24, 96)), ((60, 240), (120, 360)))


class Call:
    """`f` of arguments with symbols among them; `outs` is the nest of symbols of what it gives.

    name     that of the layer; operations are counted: add, add_1, add_2 ...
    index    how many calls of the same layer with symbols came before
    """

    def __init__(self, f: Callable, args: tuple, options: dict):
        self.f, self.args, self.options, self.order, self.index = f, args, options, next(ORDER), 0
        self.name = getattr(f, "name", None) or unique_name(getattr(f, "__name__", type(f).__name__))
        self.outs: Any = None
        self.seen: dict = {}                      # {size: the shapes of the results in that trial run}

    @property
    def needs(self) -> list:
        """The symbols among the arguments."""
        return [a for a in flatten((self.args, self.options)) if isinstance(a, Symbol)]

    @property
    def input(self) -> Any:
        """The symbol among the arguments; a list if there are several."""
        needs = self.needs
        return needs[0] if len(needs) == 1 else needs

    def run(self, value: Callable) -> Any:
        """What `f` gives for value(a) in the place of every argument a."""
        return self.f(*map_structure(value, self.args), **map_structure(value, self.options))

    def __repr__(self) -> str:
        return f"<Call of {getattr(self.f, 'name', None) or getattr(self.f, '__name__', self.name)}>"


class Symbol(Arraylike):
    """A place for an array of this shape, None where any length will do.

    call     what it comes from; None for an input
    layer    the layer that an input stands for, if there is one

    >>> import numpy
    >>> x = Symbol((None, 3))
    >>> numpy.tanh(x) @ numpy.ones((3, 2), "float32")
    <Symbol (None, 2) float32>
    """
    is_symbol = True

    def __init__(self, shape: Sequence, dtype: Any = "float32", call: Optional[Call] = None,
                 name: Optional[str] = None):
        self._shape, self._dtype, self.call, self.name = tuple(shape), numpy.dtype(dtype), call, name
        self.place = 0                            # among the results of `call`
        self.layer: Any = None

    shape = property(lambda self: self._shape)
    dtype = property(lambda self: self._dtype)

    @property
    def size(self) -> Optional[int]:
        """The number of entries, None where it is not known."""
        return None if None in self.shape else int(numpy.prod(self.shape))

    @property
    def data(self) -> Any:
        return self._concrete("data")

    def _concrete(self, what: str) -> Any:
        raise NotSupported("Symbol", f"{what} of {self.name or repr(self)}: it has no numbers yet",
                           fix="a layer, or a model with its own call, sees arrays and may branch on them")

    @staticmethod
    def make_call(f: Callable, args: tuple, options: dict) -> Any:
        """What makes a call of an operation; see `called`."""
        return called(f, args, options)


def is_symbolic(tree: Any) -> bool:
    """Whether there is a symbol in a nest."""
    return any(isinstance(a, Symbol) for a in flatten(tree))


def called(f: Callable, args: tuple, options: dict) -> Any:
    """The symbols of f(*args, **options), without an array: shapes and dtypes are seen from two trial runs.

    >>> called(lambda x, y: {"sum": x + y, "rows": x.reshape(-1)}, (Symbol((None, 3)), Symbol((None, 3))), {})
    {'sum': <Symbol (None, 3) float32>, 'rows': <Symbol (None,) float32>}

    Raises the error of `f` if it takes stand-ins of none of the sizes that are tried.
    """
    call = Call(f, args, options)
    small, large = _seen(call)
    outs = [_symbol(call, a, b) for a, b in zip(flatten(small), flatten(large), strict=True)]
    for k, s in enumerate(outs):
        if isinstance(s, Symbol):
            s.place = k
    call.outs = unflatten(small, outs)
    return call.outs


def _seen(call: Call) -> tuple:
    """What a call gives for stand-ins of two sizes."""
    unknown = any(None in s.shape for s in call.needs)
    for sizes in SIZES:
        try:
            found = tuple(_trial(call, size) for size in (sizes if unknown else sizes[:1] * 2))
        except ValueError:                        # every ShapeError is one
            if sizes is SIZES[-1] or not unknown:
                raise
        else:
            if sizes is SIZES[-1] or all(a.size for a in flatten(found) if is_array(a)):
                return found
    raise AssertionError("the last sizes return or raise")


def _trial(call: Call, size: tuple) -> Any:
    """What a call gives for stand-ins, after the calls that it needs have been tried in this size."""
    for earlier in _untried(call, size):
        _trial_alone(earlier, size)
    return _trial_alone(call, size)


def _untried(call: Call, size: tuple) -> list:
    """The calls before this one that have not been tried in this size, in order."""
    found, todo = {}, list(call.needs)
    while todo:
        before = todo.pop().call
        if before is not None and size not in before.seen and before.order not in found:
            found[before.order] = before
            todo += before.needs
    return [found[k] for k in sorted(found)]


def _trial_alone(call: Call, size: tuple) -> Any:
    first, other = size

    def stand_in(a: Any) -> Any:
        if not isinstance(a, Symbol):
            return a
        shape = a.call.seen[size][a.place] if a.call is not None else [
            n if n is not None else other if k else first for k, n in enumerate(a.shape)]
        return record.constant(numpy.zeros(shape, a.dtype))
    with Record(keep=False, probing=True) as record, numpy.errstate(all="ignore"):
        y = numbers(call.run(stand_in))
    call.seen[size] = [getattr(a, "shape", None) for a in flatten(y)]
    return y


def _symbol(call: Call, a: Any, b: Any) -> Any:
    """The symbol of a result, from what it is in two trial runs."""
    if isinstance(a, numpy.generic):
        a, b = numpy.asarray(a), numpy.asarray(b)
    if not is_array(a):
        if a is not b and a != b:
            raise NotSupported("Symbol", f"{call!r} gives {describe_type(a)} that depends on the lengths of axes")
        return a
    if a.ndim != b.ndim:
        raise NotSupported("Symbol", f"{call!r} gives {a.ndim} or {b.ndim} axes, depending on the lengths of axes")
    return Symbol([n if n == m else None for n, m in zip(a.shape, b.shape)], a.dtype, call)


def calls_between(inputs: Any, outputs: Any) -> list:
    """The calls that lead from `inputs` to `outputs`, nests of symbols, in the order in which they were made.

    >>> x = Symbol((None, 3), name="x")
    >>> calls_between(x, (x * 2).sum(axis=1))
    [<Call of multiply>, <Call of sum>]

    Raises ShapeError if they depend on other inputs too.
    """
    given, found = {id(s) for s in flatten(inputs)}, {}
    todo = [s for s in flatten(outputs) if isinstance(s, Symbol)]
    while todo:
        s = todo.pop()
        if id(s) in given:
            continue
        if s.call is None:
            raise ShapeError("Model", f"the outputs depend on {s.name or repr(s)}, which is not among the inputs")
        if s.call.order not in found:
            found[s.call.order] = s.call
            todo += s.call.needs
    return [found[k] for k in sorted(found)]


def followed(calls: Sequence[Call], inputs: Any, values: Any, outputs: Any) -> Any:
    """The outputs of a graph: its calls made one after the other, with `values` in the place of `inputs`.

    >>> import numpy
    >>> x = Symbol((None, 3))
    >>> y = numpy.sum(x * 2, axis=1)
    >>> followed(calls_between(x, y), x, numpy.ones((2, 3)), y)
    array([6., 6.])
    """
    at = {id(s): v for s, v in zip(flatten(inputs), align(inputs, values, "Model"))}

    def value(a: Any) -> Any:
        return at[id(a)] if isinstance(a, Symbol) else a
    for call in calls:
        found = call.run(value)
        at.update((id(s), v) for s, v in zip(flatten(call.outs), align(call.outs, found, repr(call))))
    return map_structure(value, outputs)
