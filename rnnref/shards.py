"""The rows of a batch that this process computes, where several processes train one model together.

While a shard is open, what depends on all rows of a batch is that of the whole batch: denominators of losses, noise,
statistics of batches, gradients.  All processes open theirs at the same time, and compute the same things in the same
order.  Axis 0 of arrays is that of the rows, or of rows times steps.
"""
from contextvars import ContextVar
from math import prod
from typing import Any, Callable, Optional, Sequence

from .arrays import Array
from .errors import NotSupported, ShapeError


class Shard:
    """Some rows of a batch.

    size       how many rows the whole batch has
    rows       which of them are here, a slice
    total      f(array) -> the sum of the arrays of all processes
    count      how many rows are here
    fraction   count / size

        with Shard(size, rows, total):
            ...

    >>> shard = Shard(5, slice(1, None, 2), lambda a: a)
    >>> shard.count, shard.count_all((2, 3), "f"), current() is None
    (2, 15, True)
    """

    def __init__(self, size: int, rows: slice, total: Callable[[Array], Array]):
        self.size, self.rows, self.total = size, rows, total
        self.count = len(range(size)[rows])
        self.fraction = self.count / size
        self._token: Any = None

    def __enter__(self) -> "Shard":
        self._token = _CURRENT.set(self)
        return self

    def __exit__(self, *_: Any) -> None:
        _CURRENT.reset(self._token)

    def expand(self, shape: Sequence[int], who: str) -> tuple:
        """The shape that the array of all processes has, where that of this one has this shape.

        Raises ShapeError where axis 0 cannot be that of the rows.
        """
        each, rest = divmod(shape[0], self.count) if shape else (0, 1)
        if rest:
            raise ShapeError(who, f"an array of shape {tuple(shape)} where this process has {self.count} of the "
                             f"{self.size} rows of a batch", axes="axis 0 is that of the rows, where training is "
                             "distributed", fix="values for each row; training in one process")
        return (each * self.size, *shape[1:])

    def count_all(self, shape: Sequence[int], who: str) -> int:
        """How many numbers the array of all processes has."""
        return prod(self.expand(shape, who))


_CURRENT: ContextVar[Optional[Shard]] = ContextVar("shard", default=None)


def current() -> Optional[Shard]:
    """The shard that is open, or None: all rows are here."""
    return _CURRENT.get()


def draw_rows(draw: Callable[[tuple], Array], shape: Sequence[int], who: str) -> Array:
    """draw(shape); of a shard, what is drawn for the whole batch, and of that the rows that are here.

    Generators are then in the same state on all processes, and their numbers those of one process alone.

    >>> import numpy
    >>> with Shard(4, slice(1, None, 2), lambda a: a):
    ...     draw_rows(lambda shape: numpy.arange(prod(shape)).reshape(shape), (2, 1), "f").tolist()
    [[1], [3]]
    """
    shard = current()
    if shard is None:
        return draw(tuple(shape))
    whole = shard.expand(shape, who)
    a = draw(whole).reshape(shard.size, whole[0] // shard.size, *whole[1:])
    return a[shard.rows].reshape(tuple(shape))


def refuse(who: str, what: str, fix: Optional[str] = None) -> None:
    """Raise NotSupported while a shard is open."""
    if current() is not None:
        raise NotSupported(who, f"{what}, where training is distributed", fix=fix or "training in one process")
