"""Counts matrix products: arrays that add up the products they occur in."""
import numpy as np


class Counted(np.ndarray):
    """An array; every product of it, or of what was computed from it, adds one to `Counted.count`."""
    count = 0

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        if ufunc is np.matmul:
            Counted.count += 1
        plain = [a.view(np.ndarray) if isinstance(a, Counted) else a for a in inputs]
        if out is not None:
            options["out"] = tuple(a.view(np.ndarray) if isinstance(a, Counted) else a for a in out)
        y = getattr(ufunc, method)(*plain, **options)
        return as_counted(y)

    def __array_function__(self, function, types, args, options):
        return as_counted(super().__array_function__(function, types, args, options))


def as_counted(y):
    if isinstance(y, (list, tuple)):
        return type(y)(map(as_counted, y))
    return y.view(Counted) if isinstance(y, np.ndarray) else y


def count_products(f):
    """How many products f() makes."""
    before = Counted.count
    f()
    return Counted.count - before
