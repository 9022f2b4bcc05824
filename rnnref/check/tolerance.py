"""The table of tolerances: how large an error may be for an operation in an arithmetic and still be rounding.

The numbers come from measurements: eight engines and NumPy against a truth in float64 and 80-bit longdouble, T from 10
to 1000, H from 32 to 512, default initialisation.  There the largest error of a correct engine is at most a third of
the number, and the smallest error of 132 wrong conventions was 0.025.  No tolerance is given in ulps over whole
sequences (outputs cross zero, so correct results differ by up to 1e7 ulps), nor for a chaotic recurrence.

    output      outputs and states, absolute; where they exceed 1, relative to the largest entry of the array
    steep       the same for weights four times as large as the default
    gradient    relative to the largest entry of the array, or to a tenth of the largest entry of all gradients
    path        two ways to compute the same in one arithmetic: results, gradients and the tape, as `output`
    storage     16-bit storage with gates in float32, against float64 on the same numbers, as `output`
    kernel      one step of a CUDA kernel against the plain code, in ulps of the largest entry of the step
    curve       loss and metrics of each of 50 steps of training, relative, beside another framework's
    difference  a gradient along a direction v against a central difference, relative to |g| |v|
"""
from typing import Any, NamedTuple

import numpy

from ..errors import NotSupported


class _Tolerances(NamedTuple):
    output: float
    steep: float
    gradient: float
    path: float


TABLE = {
    "longdouble": _Tolerances(1e-16, 1e-15, 1e-15, 1e-16),         # not measured: float64 over 2^10, for 11 more bits
    "float64": _Tolerances(1e-13, 1e-12, 1e-12, 1e-13),            # measured: 3e-16, 3e-15, 4e-15
    "float32": _Tolerances(1e-6, 5e-6, 5e-6, 5e-6),                # measured: 3e-7, 2e-6, 2e-6
    "tf32": _Tolerances(1e-3, 5e-3, 3e-3, 5e-3),                   # products only; products in float16 are as accurate
    "float16": _Tolerances(1e-3, 5e-3, 3e-3, 5e-3),                # gates and c in float32
    "bfloat16": _Tolerances(1e-2, 5e-2, 2e-2, 5e-2),               # gradients of a GRU wholly in bfloat16 may exceed it
}
_STORAGE = {"float16": 5e-3, "bfloat16": 5e-2}
_DIFFERENCE = {"float64": 1e-6}                             # in float32 differences resolve no more than 1e-3
_KERNEL = {"float32": 4.0, "float64": 45.0}                 # 45 is 1e-14; measured on a CPU: 4 and 3
_CURVE = {"float32": 1e-4}                                  # measured: 2e-5


def tolerance(operation: str, arithmetic: Any) -> float:
    """The tolerance of an operation in an arithmetic: a dtype, "tf32" or "longdouble".

    >>> tolerance("output", "float32"), tolerance("gradient", numpy.dtype("float64"))
    (1e-06, 1e-12)
    """
    column = {"storage": _STORAGE, "difference": _DIFFERENCE, "kernel": _KERNEL,
              "curve": _CURVE}.get(operation)
    if column is None and operation in _Tolerances._fields:
        column = {name: getattr(row, operation) for name, row in TABLE.items()}
    if column is None:
        raise NotSupported("tolerance", f"operation={operation!r}", known=", ".join([
            *_Tolerances._fields, "storage", "difference", "kernel", "curve"]))
    if _arithmetic_name(arithmetic) not in column:
        raise NotSupported("tolerance", f"{operation!r} in {_arithmetic_name(arithmetic)!r}: no tolerance is defined",
                           known=", ".join(column))
    return column[_arithmetic_name(arithmetic)]


def _arithmetic_name(arithmetic: Any) -> str:
    """The name of a row of the table; "longdouble" for the wide float of every platform."""
    if arithmetic in TABLE:
        return arithmetic
    dtype = numpy.dtype(arithmetic)
    if dtype.char == "g":
        return "longdouble" if numpy.finfo(dtype).eps < numpy.finfo("float64").eps else "float64"
    return dtype.name


def absolute_tolerance(operation: str, arithmetic: Any, largest: float, overall: float = 0.0) -> float:
    """The largest error allowed in an array whose largest entry is `largest`, among arrays with `overall`."""
    floor = overall / 10 if operation == "gradient" else 1.0
    return tolerance(operation, arithmetic) * max(largest, floor)
