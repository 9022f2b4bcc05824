"""The record of a computation, pair by pair, and the one walk back through it.

    with Record() as record:
        w = record.leaf(numpy.ones((3, 2)))
        loss = numpy.tanh(x @ w).sum()
    record.backward(loss)[w]

While a record is open in a thread, every operation on a `Value` or on a weight is entered in it.
"""
from contextlib import contextmanager
from itertools import count
from typing import Any, Callable, Iterator, Optional, Sequence

import numpy

from .arrays import is_array, is_floating, namespace
from .errors import NotSupported, ShapeError, describe_type
from .nest import align, flatten, map_structure
from .options import named_arguments
from .pairs.table import Part
from .values import CURRENT, Arraylike, Value

SERIAL = count(1)


def current() -> Optional["Record"]:
    """The record that is open in this thread, or None."""
    return CURRENT.get()


@contextmanager
def paused() -> Iterator[None]:
    """While this context is open nothing is recorded: a pair works on arrays and has its own backward."""
    token = CURRENT.set(None)
    try:
        yield
    finally:
        CURRENT.reset(token)


class Record:
    """A list of entries (back, ins, outs), in the order in which they were made.

    Every array that a gradient goes through has a number in its record.  An entry says: `back(dys, wanted)` takes the
    gradients of the arrays numbered `outs`, and gives those of the arrays numbered `ins`.

    keep       False: inference; nothing is entered, values only carry their masks
    training   the mode of layers that are called without `training`
    bound      {key of a weight: array}: the arrays that weights stand for in here, and all weights that may occur
    probing    the arrays are stand-ins: layers leave nothing behind
    losses     what layers add to the loss

    >>> import numpy
    >>> with Record() as record:
    ...     x = record.leaf(numpy.array([1.0, 2.0]))
    ...     loss = (x * x).sum()
    >>> record.backward(loss)[x]
    array([2., 4.])
    """

    @named_arguments
    def __init__(self, keep: bool = True, training: bool = False, bound: Optional[dict] = None, probing: bool = False):
        self.keep, self.training, self.probing = keep, training, probing
        self.serial = next(SERIAL)
        self.losses: list = []
        self.weights: dict = {}                   # {key: (array, number)}
        self.strict = bound is not None
        self.pending: list = []                   # (layer, kept) of those that have yet to leave something, if strict
        self._entries: list = []
        self._likes: list = [None]                # (shape, dtype) of the array with each number
        self._leaves: set = set()
        self._found: dict = {}
        self._token: Any = None
        self._freed = False
        for key, a in (bound or {}).items():
            self.weights[key] = a, self._leaf_number(a)

    def __repr__(self) -> str:
        return f"<Record of {len(self._entries)} entries>"

    def __len__(self) -> int:
        """The number of entries."""
        return len(self._entries)

    def __enter__(self) -> "Record":
        if self._token is not None:
            raise NotSupported("Record", "this record is open already", fix="a record for each thread and each block")
        self._token = CURRENT.set(self)
        return self

    def __exit__(self, *_: Any) -> None:
        CURRENT.reset(self._token)
        self._token = None

    # values

    def leaf(self, a: Any, mask: Any = None) -> Value:
        """A value that no operation made: the walk back ends here with its gradient.  Integers get none."""
        return Value(a, self.serial, self._leaf_number(a), mask)

    def constant(self, a: Any, mask: Any = None) -> Value:
        """A value without a gradient: the inputs of a model are such."""
        return Value(a, self.serial, None, mask)

    def of(self, a: Any) -> tuple:
        """The array that `a` stands for, and its number; None where no gradient goes."""
        if isinstance(a, Value):
            if a.record != self.serial:
                raise NotSupported("Record", f"{a!r} belongs to another record: its gradient would be lost",
                                   fix="pass it to the layer or the cell as an input; its array alone is .data")
            return a.data, a.number
        if not isinstance(a, Arraylike):
            return a, None
        found = self.weights.get(a.key)
        if found is None:
            if self.strict:
                raise NotSupported("Record", f"the weight {a.name} is not one of this layer: its gradient would be "
                                   "lost", fix="make the layer that owns it an attribute of the layer that calls it")
            found = self.weights[a.key] = a.data, self._leaf_number(a.data)
        return found if a.trainable else (found[0], None)

    def add(self, y: Any, back: Callable, ins: Sequence, who: str = "a pair") -> Any:
        """Enter a pair that made `y`, a nest of arrays; returns `y` with values in the place of its floating arrays.

        ins    the numbers of what it was made from, None where no gradient goes
        back   back(dys, wanted) -> one gradient for each of `ins`.  dys: an array for each floating array of y, from
               left to right; wanted: for each of `ins` whether its gradient is asked for, else None will do
        """
        outs: Optional[list] = None if all(n is None for n in ins) else []
        values = self.wrap(y, outs) if is_array(y) else map_structure(lambda a: self.wrap(a, outs), y)
        if outs:
            self._entries.append((back, tuple(ins), outs, who))
        return values

    def wrap(self, a: Any, outs: Optional[list]) -> Any:
        """A floating array as a value, whose number is appended to `outs`; anything else as it is."""
        a = _as_array(a)
        if not is_array(a) or not is_floating(a.dtype):
            return a
        if outs is None or not self.keep:
            return Value(a, self.serial)
        self._likes.append((a.shape, a.dtype))
        outs.append(len(self._likes) - 1)
        return Value(a, self.serial, len(self._likes) - 1)

    def _leaf_number(self, a: Any) -> Optional[int]:
        if not self.keep or not is_floating(a.dtype):
            return None
        self._likes.append((a.shape, a.dtype))
        self._leaves.add(len(self._likes) - 1)
        return len(self._likes) - 1

    def once(self, who: Any, f: Callable) -> Any:
        """f(), computed once for the object `who` while there is this record."""
        if id(who) not in self._found:
            self._found[id(who)] = who, f()       # `who` is held, or another object could get its id
        return self._found[id(who)][1]

    # the walk back

    def backward(self, ys: Any, ds: Any = None, wanted: Any = None, free: bool = False) -> "Gradients":
        """The gradients of all leaves, given those of `ys`.

        ys, ds   values, and their gradients in the same nest (None: no gradient); ones where no `ds` are given
        wanted   a nest of values and weights: only their gradients are computed, of values on the way too
        free     drop every entry once it is walked, so that what it kept dies early; the record is of no use then

        Raises NotSupported if a single loss does not depend on anything recorded, or after a walk that freed entries.
        """
        with paused():
            if self._freed:
                raise NotSupported("Record.backward", "a walk with free=True has dropped the entries",
                                   fix="free=False, the default, to walk twice")
            sums = self._start(flatten(ys), ds if ds is None else align(ys, ds, "Record.backward"))
            asked = None if wanted is None else {self._number_of(a) for a in flatten(wanted)} - {None}
            self._walk(sums, asked, free)
            return Gradients(self, sums.finish(self._leaves if asked is None else asked), asked)

    def _start(self, ys: list, ds: Optional[list]) -> "_Sums":
        numbers = [self.of(y)[1] for y in ys]
        if ds is None and all(n is None for n in numbers):
            raise NotSupported("Record.backward", "what was given does not depend on anything recorded",
                               fix="compute it of values or weights while the record is open, with keep=True")
        sums = _Sums(self._likes)
        for y, n, d in zip(ys, numbers, [None] * len(ys) if ds is None else ds):
            if n is not None and (ds is None or d is not None):
                d = namespace(y.data).ones_like(y.data) if ds is None else d
                sums.given.append(d)
                sums.add(n, d, "the gradient that was given")
        return sums

    def _number_of(self, a: Any) -> Optional[int]:
        if isinstance(a, Value):
            return self.of(a)[1]
        return self.weights.get(a.key, (None, None))[1]

    def _walk(self, sums: "_Sums", asked: Optional[set], free: bool) -> None:
        live = None if asked is None else self._reached_from(asked)
        entries = self._entries
        self._freed = free
        if free:
            self._entries = []
        for k in reversed(range(len(entries))):
            back, ins, outs, who = entries[k]
            dys = [sums.pop(n, asked) for n in outs]
            if any(d is not None for d in dys):
                wanted = [n is not None and (live is None or n in live) for n in ins]
                if any(wanted):
                    xp = namespace(*dys)
                    dys = [xp.zeros(*self._likes[n]) if d is None else d for n, d in zip(outs, dys)]
                    for n, d, needed in zip(ins, back(dys, wanted), wanted):
                        if needed and d is not None:
                            sums.add(n, d, who)
            if free:
                entries.pop()

    def _reached_from(self, numbers: set) -> set:
        """The numbers of all that was made from these."""
        found = set(numbers)
        for _, ins, outs, _ in self._entries:
            if not found.isdisjoint(ins):
                found.update(outs)
        return found


class _Sums:
    """{number: gradient} while a record is walked.  Only arrays that were made here are changed in place."""

    def __init__(self, likes: list):
        self.likes, self.sums, self.owned = likes, {}, set()
        self.given: list = []                     # arrays of the caller

    def add(self, n: int, d: Any, who: str) -> None:
        """One more contribution.  16-bit ones are summed in float32."""
        shape, _ = self.likes[n]
        d = _as_array(d)
        if d.shape != shape:
            raise ShapeError(who, f"a gradient has shape {d.shape}, expected {shape}")
        if isinstance(d, Part):
            if n not in self.owned:
                old = self.sums.get(n)
                self.sums[n] = (namespace(d.d).zeros(shape, _wide(d.d.dtype)) if old is None
                                else old.astype(_wide(old.dtype)))                  # a copy
            self.owned.add(n)
            d.add_to(self.sums[n])
        elif n in self.owned:
            self.sums[n][...] += d
        elif n in self.sums:
            old = self.sums[n]
            self.sums[n] = _as_array((old.astype("float32") if old.dtype.itemsize == 2 else old) + d)
            self.owned.add(n)
        else:
            self.sums[n] = d

    def pop(self, n: int, kept: Optional[set]) -> Any:
        """The sum in the dtype of what it is the gradient of, or None."""
        d = self.sums.get(n)
        if d is None:
            return None
        if kept is None or n not in kept:
            del self.sums[n]
        self.owned.discard(n)                     # whoever is given it may hand it on
        return d if d.dtype == self.likes[n][1] else d.astype(self.likes[n][1])

    def finish(self, numbers: set) -> dict:
        """The gradients of these numbers; no two share memory, with each other or with what the caller gave."""
        found, seen = {}, {id(d) for d in self.given}
        for n in numbers & self.sums.keys():
            d = self.sums[n]
            if d.dtype != self.likes[n][1]:
                d = d.astype(self.likes[n][1])
            elif n not in self.owned and (id(d) in seen or getattr(d, "base", None) is not None):
                d = d.copy()
            seen.add(id(d))
            found[n] = d
        return found


def _wide(dtype: Any) -> Any:
    return numpy.dtype("float32") if dtype.itemsize == 2 else dtype


def _as_array(a: Any) -> Any:
    """NumPy's scalars, which it returns in the place of arrays without axes, as arrays."""
    return numpy.asarray(a) if isinstance(a, numpy.generic) else a


class Gradients:
    """What a walk found: gradients[value] and gradients[weight]; None where no gradient came or can come."""

    def __init__(self, record: Record, found: dict, asked: Optional[set]):
        self._serial, self._weights, self._leaves = record.serial, record.weights, record._leaves
        self._found, self._asked = found, asked   # not the record itself: it holds all that pairs kept

    def __getitem__(self, a: Any) -> Any:
        if isinstance(a, Value):
            if a.record != self._serial:
                raise NotSupported("Gradients", f"{a!r} belongs to another record")
            n = a.number
        elif isinstance(a, Arraylike) and not a.is_symbol:
            n = self._weights.get(a.key, (None, None))[1]
        else:
            raise NotSupported("Gradients", f"{describe_type(a)} as a key", known="values and weights")
        if n is not None and n not in (self._leaves if self._asked is None else self._asked):
            raise NotSupported("Gradients", f"the gradient of {a!r} was not asked for",
                               fix="record.backward(..., wanted=[...]) with it in the list")
        return self._found.get(n)

    def __repr__(self) -> str:
        return f"<Gradients of {len(self._found)} arrays>"
