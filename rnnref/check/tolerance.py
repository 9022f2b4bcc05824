"""The one table of tolerances: arithmetic x operation.  (floor 10)

Every number is how large an error may be before it is more than rounding.  They come from measurements: eight engines
and NumPy against float64 and 80-bit truth, T from 10 to 1000, H from 32 to 512, stock initialisation.  There the
largest error of a right engine is a third of the number or less, and the smallest of 132 wrong conventions was 0.025.
There is no maximum in ULP (outputs cross zero, so it reaches 1e7 where nothing is wrong) and none for a chaotic
recurrence, where no number is honest.

    output      outputs and states, absolute; where they exceed 1, relative to the largest entry of the array
    steep       the same where weights are four times the stock ones
    gradient    relative to the largest entry of the array, or to a tenth of the largest of all gradients
    path        two ways to compute the same in the same arithmetic: results, gradients and what is kept, as `output`
    storage     16-bit storage with gates in float32, against float64 on the same numbers, as `output`
    kernel      one step by a CUDA kernel against the text, in units in the last place of the largest entry of the step
    difference  a gradient along a direction v against a central difference, relative to |g| |v|
"""
from typing import NamedTuple

import numpy

from ..errors import NotSupported


class _Tolerances(NamedTuple):
    output: float
    steep: float
    gradient: float
    path: float


TABLE = {
    "longdouble": _Tolerances(1e-16, 1e-15, 1e-15, 1e-16),         # not measured: those of float64, 10 of its 11 bits on
    "float64": _Tolerances(1e-13, 1e-12, 1e-12, 1e-13),            # measured: 3e-16, 3e-15, 4e-15
    "float32": _Tolerances(1e-6, 5e-6, 5e-6, 5e-6),                # measured: 3e-7, 2e-6, 2e-6
    "tf32": _Tolerances(1e-3, 5e-3, 3e-3, 5e-3),                   # the products only; float16 products are as good
    "float16": _Tolerances(1e-3, 5e-3, 3e-3, 5e-3),                # gates and c in float32
    "bfloat16": _Tolerances(1e-2, 5e-2, 2e-2, 5e-2),               # a GRU in bfloat16 throughout: do not gate its gradients
}
_STORAGE = {"float16": 5e-3, "bfloat16": 5e-2}
_DIFFERENCE = {"float64": 1e-6}                             # in float32 a difference sees no more than 1e-3
_KERNEL = {"float32": 4.0, "float64": 45.0}                 # 45 is 1e-14; measured on a CPU: 4 and 3


def tolerance(operation, arithmetic):
    """The number for an operation and a dtype (or "tf32", "longdouble").

    >>> tolerance("output", "float32"), tolerance("gradient", numpy.dtype("float64"))
    (1e-06, 1e-12)
    """
    column = {"storage": _STORAGE, "difference": _DIFFERENCE, "kernel": _KERNEL}.get(operation)
    if column is None and operation in _Tolerances._fields:
        column = {name: getattr(row, operation) for name, row in TABLE.items()}
    if column is None:
        raise NotSupported("tolerance", f"operation={operation!r}", known=", ".join([
            *_Tolerances._fields, "storage", "difference", "kernel"]))
    if _arithmetic_name(arithmetic) not in column:
        raise NotSupported("tolerance", f"{operation!r} in {_arithmetic_name(arithmetic)!r}: no number is honest",
                           known=", ".join(column))
    return column[_arithmetic_name(arithmetic)]


def _arithmetic_name(arithmetic):
    """The name of a row: of a dtype, its own, but "longdouble" whatever the platform calls it."""
    if arithmetic in TABLE:
        return arithmetic
    dtype = numpy.dtype(arithmetic)
    if dtype.char == "g":
        return "longdouble" if numpy.finfo(dtype).eps < numpy.finfo("float64").eps else "float64"
    return dtype.name


def absolute_tolerance(operation, arithmetic, largest, overall=0.0):
    """How far an array may be off whose largest entry is `largest`, among arrays whose largest is `overall`."""
    floor = overall / 10 if operation == "gradient" else 1.0
    return tolerance(operation, arithmetic) * max(largest, floor)
