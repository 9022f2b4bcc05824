"""Batches for fit, evaluate and predict, from arrays, data sets and iterators."""
import warnings
from math import ceil
from typing import Any, Callable, Iterator, Optional

import numpy

from ..arrays import is_array, namespace
from ..errors import DtypeError, InvalidType, NotSupported, ShapeError, check_option, describe_type
from ..nest import flatten, map_structure
from ..options import is_number
from ..utils import pack_x_y_sample_weight
from ..values import Arraylike


class Arrays:
    """Batches of arrays with equal numbers of rows: (x, y, sample_weight), nests of arrays or None.

    shuffle   True: rows in another order in each epoch; "batch": only inside of each batch; the order is drawn by `rng`
    count     how many batches; the last one has the rest
    """
    once = False                                  # whether it can be gone through only once

    def __init__(self, data: tuple, batch_size: Optional[int], steps: Optional[int], shuffle: Any, rng: Any, who: str):
        self.data, self.shuffle, self.rng = data, shuffle, rng
        self.rows = count_rows(data, who)
        self.batch_size = batch_size or (ceil(self.rows / steps) if steps else 32)
        self.count: Optional[int] = ceil(self.rows / self.batch_size)

    def __iter__(self) -> Iterator:
        order = self._order()
        homes = {namespace(a) for a in flatten(self.data) if a is not None}
        placed = {xp: None if order is None else xp.asarray(order) for xp in homes}            # once an epoch
        for start in range(0, self.rows, self.batch_size):
            rows = slice(start, start + self.batch_size)
            yield map_structure(lambda a: take_rows(a, rows, placed), self.data)

    def _order(self) -> Any:
        """The rows in the order of this epoch; None: as they are."""
        if self.shuffle == "batch":
            starts = range(0, self.rows, self.batch_size)
            return numpy.concatenate([k + self.rng.permutation(min(self.batch_size, self.rows - k)) for k in starts])
        return self.rng.permutation(self.rows) if self.shuffle else None


class Dataset:
    """Batches of an object that gives them by their numbers, dataset[k], as keras.utils.PyDataset does.

    shuffle   the batches in another order in each epoch
    count     how many there are; None: no end
    """
    once = False

    def __init__(self, dataset: Any, shuffle: Any, rng: Any):
        self.dataset, self.shuffle, self.rng = dataset, shuffle, rng
        self.count: Optional[int] = dataset.num_batches if hasattr(dataset, "num_batches") else len(dataset)

    def __iter__(self) -> Iterator:
        self._tell("on_epoch_begin")
        if self.count is None:
            k = 0
            while True:
                yield self.dataset[k]
                k += 1
        for k in self.rng.permutation(self.count) if self.shuffle else range(self.count):
            yield self.dataset[int(k)]
        self._tell("on_epoch_end")

    def _tell(self, hook: str) -> None:
        getattr(self.dataset, hook, lambda: None)()


class Stream:
    """Batches of an iterator, or of an iterable that can be gone through again, as a torch DataLoader."""

    def __init__(self, iterable: Any):
        self.iterable, self.once = iterable, hasattr(iterable, "__next__")
        self.count: Optional[int] = None if self.once or not hasattr(iterable, "__len__") else len(iterable)

    def __iter__(self) -> Iterator:
        return iter(self.iterable)


class Batches:
    """The batches of one epoch after another, (x, y, sample_weight) each.

    steps      how many an epoch has, whatever the source has: the next epoch goes on where this one ended.  None: all
    count      how many an epoch has, None if that is not known
    is_over    an iterator has ended, and there is no epoch after this one
    """

    def __init__(self, source: Any, steps: Optional[int], class_weight: Optional[dict], who: str):
        self.source, self.steps, self.class_weight, self.who = source, steps, class_weight, who
        self.count, self.is_over = steps or source.count, False
        self._going: Optional[Iterator] = None
        self._total = 0                           # batches in all epochs

    def restart(self) -> None:
        """Let the next epoch begin with the first batch, unless the source is an iterator."""
        self._going = None

    def epoch(self) -> Iterator:
        """The batches of the next epoch."""
        if self.steps is None or self._going is None:
            self._going = iter(self.source)
        k = 0
        while k != self.steps:
            batch = next(self._going, None)
            if batch is None and k == 0 and self._total and not self.source.once:
                self._going = iter(self.source)   # the last epoch ended with the last batch
                batch = next(self._going, None)
            if batch is None:
                break
            k += 1
            self._total += 1
            yield self._weighted(unpack(batch, self.who))
        if k < (self.steps or 1):
            self._end(k)

    def _end(self, k: int) -> None:
        """The source gave no more than k batches for an epoch."""
        if not self._total:
            raise ShapeError(self.who, "the data have no batch")
        self._going, self.is_over = None, k == 0
        warnings.warn(f"{self.who}: the data ended after {k} batches of an epoch"
                      f"{f' of {self.steps}' if self.steps else ''}", stacklevel=4)

    def _weighted(self, batch: tuple) -> tuple:
        x, y, sample_weight = batch
        if self.class_weight is None:
            return batch
        if sample_weight is not None:
            raise NotSupported(self.who, "class_weight and sample_weight together",
                               fix="their product as sample_weight")
        return x, y, weigh_classes(y, self.class_weight, self.who)


def make_batches(x: Any, y: Any = None, sample_weight: Any = None, *, who: str, batch_size: Optional[int] = None,
                 steps: Optional[int] = None, shuffle: Any = False, class_weight: Optional[dict] = None,
                 rng: Any = None) -> Batches:
    """Batches of what fit takes: nests of arrays, an object with dataset[k], or an iterable of batches.

    Raises ShapeError for unequal numbers of rows, and if y is given twice; NotSupported for other data.

    >>> import numpy as np
    >>> batches = make_batches(np.arange(5), np.arange(5) % 2, batch_size=2, who="fit")
    >>> [x.tolist() for x, y, weight in batches.epoch()], batches.count
    ([[0, 1], [2, 3], [4]], 3)
    """
    for name, n in (("batch_size", batch_size), ("steps", steps)):
        if n is not None and (isinstance(n, bool) or not hasattr(n, "__index__") or n < 1):
            raise NotSupported(who, f"{name}={n!r}, expected a number above 0, or None")
    check_option(who, "shuffle", shuffle, (True, False, "batch"))
    if class_weight is not None and isinstance(y, (list, tuple, dict)):
        raise NotSupported(who, "class_weight with several outputs", fix="sample_weight, one array for each output")
    if isinstance(x, (list, tuple, dict)) or has_rows(x):
        data = tuple(as_arrays(a, name, who) for a, name in ((x, "x"), (y, "y"), (sample_weight, "sample_weight")))
        return Batches(Arrays(data, batch_size, steps, shuffle, rng, who), steps, class_weight, who)
    if y is not None or sample_weight is not None:
        raise ShapeError(who, f"y or sample_weight beside {describe_type(x)}, which gives batches",
                         fix="batches (x, y) or (x, y, sample_weight)")
    if hasattr(x, "__getitem__") and (hasattr(x, "__len__") or hasattr(x, "num_batches")):
        return Batches(Dataset(x, shuffle, rng), steps, class_weight, who)
    if hasattr(x, "__iter__") or hasattr(x, "__next__"):
        return Batches(Stream(x), steps, class_weight, who)
    raise NotSupported(who, f"x is {describe_type(x)}", known="arrays, alone or in lists and dicts; objects with "
                       "__getitem__ and __len__; iterables of batches")


def make_validation(data: Any, batch_size: Optional[int], steps: Optional[int]) -> Batches:
    """The batches of validation_data."""
    if not has_rows(data) and not isinstance(data, (list, tuple)):
        return make_batches(data, who="validation_data", steps=steps)
    parts = unpack(data, "validation_data") if isinstance(data, (list, tuple)) else (data, None, None)
    return make_batches(*parts, who="validation_data", batch_size=batch_size, steps=steps)


def split_rows(data: tuple, part: float, who: str) -> tuple:
    """The first rows, and the last ones for validation: floor(rows (1 - part)) are the first.

    >>> import numpy as np
    >>> [a.tolist() for a, in split_rows((np.arange(5),), 0.3, "fit")]
    [[0, 1, 2], [3, 4]]
    """
    if not 0 < part < 1:
        raise NotSupported(who, f"validation_split={part!r}, expected a number between 0 and 1")
    if not all(isinstance(a, (list, tuple, dict)) or has_rows(a) for a in data if a is not None):
        raise NotSupported(who, f"validation_split with {describe_type(data[0])}", fix="validation_data")
    data = tuple(as_arrays(a, "x, y or sample_weight", who) for a in data)
    rows = count_rows(data, who)
    first = int(rows * (1.0 - part))
    if not 0 < first < rows:
        raise ShapeError(who, f"{rows} rows cannot be split by validation_split={part}")
    return (map_structure(lambda a: take_rows(a, slice(0, first)), data),
            map_structure(lambda a: take_rows(a, slice(first, rows)), data))


def unpack(batch: Any, who: str) -> tuple:
    """(x, y, sample_weight) of a batch, which may be shorter; None where there is none.

    >>> import numpy as np
    >>> unpack((np.ones(1),), "fit")
    (array([1.]), None, None)
    """
    parts = tuple(batch) if isinstance(batch, (list, tuple)) else (batch,)
    if not 1 <= len(parts) <= 3:
        raise ShapeError(who, f"a batch of {len(parts)} items, expected x, (x, y) or (x, y, sample_weight)")
    parts = tuple(as_arrays(a, name, who) for a, name in zip(parts, ("x", "y", "sample_weight")))
    count_rows(parts, who)
    return (*parts, None, None)[:3]


def of_packed(step: Callable) -> Callable:
    """A function of a batch that calls `step` as Keras does: with x, (x, y) or (x, y, sample_weight), without None."""
    return lambda batch: step(pack_x_y_sample_weight(*batch))


def weigh_classes(y: Any, class_weight: dict, who: str) -> Any:
    """A weight for each row, by its class: an integer, or the largest of a one-hot row; 1 for a class without one.

    >>> import numpy as np
    >>> weigh_classes(np.array([[0, 1], [1, 0]]), {0: 0.5}, "fit")
    array([1. , 0.5], dtype=float32)
    """
    if isinstance(y, (list, tuple, dict)) or y is None:
        raise NotSupported(who, "class_weight without one array of targets", fix="sample_weight")
    if not isinstance(class_weight, dict) or not all(hasattr(k, "__int__") and is_number(a)
                                                     for k, a in class_weight.items()):
        raise InvalidType(who, f"class_weight={class_weight!r}, expected a dict {{class: number}}")
    xp = namespace(y)
    classes = y if y.ndim == 1 else y[..., 0] if y.shape[-1] == 1 else y.argmax(-1)
    classes = xp.rint(classes) if classes.dtype.kind == "f" else classes
    found = xp.ones(classes.shape, "float32")
    for k, weight in class_weight.items():
        found = xp.where(classes == int(k), xp.float32(weight), found)
    return found


# arrays

def has_rows(a: Any) -> bool:
    """Whether this is an array, or can be made one: of torch, JAX or pandas."""
    return is_array(a) or isinstance(a, Arraylike) or hasattr(a, "__array__") and hasattr(a, "shape")


def as_arrays(tree: Any, name: str, who: str) -> Any:
    """A nest with arrays of NumPy or CuPy in the place of other arrays; None stays."""
    def convert(a: Any) -> Any:
        if a is None:
            return None
        if not has_rows(a):
            raise DtypeError(who, f"{name} holds {describe_type(a)}, expected arrays",
                             fix=f"numpy.array({name}), if it is one array in the form of lists")
        a = a if is_array(a) else a.numpy() if isinstance(a, Arraylike) else numpy.asarray(a)
        if a.dtype.kind in "OSUmM":
            raise DtypeError(who, f"{name} has dtype {a.dtype}, expected numbers")
        if not a.ndim:
            raise ShapeError(who, f"{name} is one number, expected an array with a row for each example")
        return a
    return map_structure(convert, tree)


def count_rows(data: tuple, who: str) -> int:
    """How many rows all arrays have."""
    named = zip(("x", "y", "sample_weight"), data)
    rows = {name: [len(a) for a in flatten(tree) if a is not None] for name, tree in named}
    every = [n for found in rows.values() for n in found]
    if not every or not every[0]:
        raise ShapeError(who, "the data have no rows")
    if len(set(every)) > 1:
        raise ShapeError(who, "the arrays differ in their number of rows: " + ", ".join(
            f"{name} {' '.join(map(str, found))}" for name, found in rows.items() if found))
    return every[0]


def take_rows(a: Any, rows: slice, placed: Optional[dict] = None) -> Any:
    """Rows of an array, taken from the order that `placed` has for its array module, if any; None for None."""
    if a is None:
        return None
    order = placed[namespace(a)] if placed else None
    return a[rows] if order is None else a[order[rows]]
