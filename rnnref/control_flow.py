"""Loops and branches of keras.ops, which are Python's own: a record sees every operation in them."""
from typing import Any, Callable, Optional, Sequence

from .composed_arrays import composed
from .creation import convert_to_tensor
from .errors import NotSupported, ShapeError
from .nest import align, flatten, map_structure, unflatten
from .record import current, paused
from .symbols import called, is_symbolic
from .values import Arraylike, functions as table

Array = Any


def cond(pred: Any, true_fn: Callable, false_fn: Callable) -> Any:
    """true_fn() or false_fn().

    >>> cond(True, lambda: 1, lambda: 2)
    1
    """
    return true_fn() if bool(pred) else false_fn()


def switch(index: Any, branches: Sequence[Callable], *operands: Any) -> Any:
    """branches[index](*operands), the index limited to those there are.

    >>> switch(5, [abs, float], 3)
    3.0
    """
    return branches[min(max(int(index), 0), len(branches) - 1)](*operands)


def fori_loop(lower: Any, upper: Any, body_fun: Callable, init_val: Any) -> Any:
    """val = body_fun(i, val) for i from lower to upper - 1.

    >>> fori_loop(0, 3, lambda i, total: total + i, 10)
    13
    """
    for i in range(int(lower), int(upper)):
        init_val = body_fun(i, init_val)
    return init_val


def while_loop(cond: Callable, body: Callable, loop_vars: Any, maximum_iterations: Optional[int] = None) -> Any:
    """loop_vars = body(*loop_vars) as long as cond(*loop_vars).

    >>> while_loop(lambda i: i < 5, lambda i: (i + 2,), (0,))
    (6,)
    """
    several, count = isinstance(loop_vars, (tuple, list)), 0
    found = tuple(loop_vars) if several else (loop_vars,)
    while (maximum_iterations is None or count < maximum_iterations) and bool(cond(*found)):
        given = body(*found)
        found = tuple(given) if isinstance(given, (tuple, list)) else (given,)
        count += 1
    return found if several else found[0]


@composed
def scan(f: Callable, init: Any, xs: Any = None, length: Optional[int] = None, reverse: bool = False,
         unroll: Any = 1) -> tuple:
    """carry, y = f(carry, x) for every x along the first axis: the last carry, and the stacked y.

    xs may be a nest of arrays, or None beside a `length`; y may be one too, or None.  `unroll` changes nothing.

    >>> scan(lambda total, x: (total + x, total + x), 0.0, convert_to_tensor([1.0, 2.0]))[1]
    array([1., 3.], dtype=float32)
    """
    arrays = [] if xs is None else [convert_to_tensor(x) for x in flatten(xs)]
    n = _length("ops.scan", arrays, length)
    carry, found = init, [None] * n
    for t in reversed(range(n)) if reverse else range(n):
        x = None if xs is None else unflatten(xs, [a[t] for a in arrays])
        carry, found[t] = f(carry, x)
    return carry, _stacked(found)


def _length(who: str, arrays: list, length: Optional[int]) -> int:
    sizes = {a.shape[0] for a in arrays} | ({int(length)} if length is not None else set())
    if len(sizes) != 1:
        raise ShapeError(who, f"first axes and length are {sorted(sizes) or 'not given'}, expected one number")
    return sizes.pop()


def _stacked(found: list, axis: int = 0) -> Any:
    """Nests of arrays, one for each step, as one nest."""
    if not found or all(y is None for y in found):
        return None
    columns = zip(*(align(found[0], y, "ops.scan") for y in found))
    return unflatten(found[0], [None if c[0] is None else table.stack(list(c), axis) for c in columns])


@composed
def map(f: Callable, xs: Any) -> Any:
    """f of every entry along the first axis of `xs`, an array or a nest of arrays; the results are stacked.

    >>> map(lambda x: 2 * x, convert_to_tensor([1.0, 2.0]))
    array([2., 4.], dtype=float32)
    """
    return scan(lambda carry, x: (carry, f(x)), None, xs)[1]


@composed
def vectorized_map(function: Callable, elements: Any) -> Any:
    """`map`.

    >>> vectorized_map(lambda x: 2 * x, convert_to_tensor([1.0, 2.0]))
    array([2., 4.], dtype=float32)
    """
    return map(function, elements)


@composed
def associative_scan(f: Callable, elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """The results of f over the first 1, 2, 3 ... entries along `axis`, for an f that is associative.

    >>> associative_scan(lambda a, b: a + b, convert_to_tensor([1.0, 2.0, 3.0]))
    array([1., 3., 6.], dtype=float32)
    """
    arrays = [table.moveaxis(a, axis, 0) for a in flatten(elems)]
    n = _length("ops.associative_scan", arrays, None)
    found: list = [None] * n
    order = list(reversed(range(n))) if reverse else list(range(n))
    for k, t in enumerate(order):
        x = unflatten(elems, [a[t] for a in arrays])
        found[t] = f(found[order[k - 1]], x) if k else x
    return _stacked(found, axis)


class custom_gradient:
    """A decorator for a function with a gradient of its own.

    f(*args) returns y and grad(*args, upstream=dy) -> one gradient for each argument.

    >>> import numpy
    >>> @custom_gradient
    ... def clipped(x):
    ...     return x, lambda *args, upstream: numpy.clip(upstream, -1, 1)
    >>> clipped(numpy.ones(2))
    array([1., 1.])
    """

    def __init__(self, f: Callable):
        self.f = f
        self.__name__, self.__doc__ = getattr(f, "__name__", "custom_gradient"), f.__doc__

    def __call__(self, *args: Any, **options: Any) -> Any:
        if is_symbolic((args, options)):
            return called(self, args, options)
        return _recorded_custom(self.f, args, options)


def _recorded_custom(f: Callable, args: tuple, options: dict) -> Any:
    record = current()
    if record is None or not any(isinstance(a, Arraylike) for a in flatten((args, options))):
        return f(*args, **options)[0]
    pairs = [record.of(a) for a in args]
    if any(isinstance(a, Arraylike) and record.of(a)[1] is not None for a in flatten(options)):
        raise NotSupported("ops.custom_gradient", "a recorded value by name", fix="give it by position")
    data = [a for a, _ in pairs]
    with paused():
        y, grad = f(*data, **map_structure(lambda a: record.of(a)[0], options))

    def back(dys: Any, wanted: Any) -> Any:
        found = grad(*data, upstream=dys[0] if len(dys) == 1 else tuple(dys))
        return found if isinstance(found, (tuple, list)) else (found,)
    return record.add(y, back, [n for _, n in pairs], "ops.custom_gradient")
