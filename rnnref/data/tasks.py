"""Tasks that are made up: they show what a recurrent network remembers, and for how long."""
from typing import Any, Optional

import numpy

from ..errors import InvalidType, ShapeError

Array = Any


def adding(rows: int, steps: int, seed: Optional[int] = None) -> tuple:
    """The adding problem: x [rows, steps, 2], y [rows, 1], float32.

    x[..., 0] are numbers from 0 to 1, x[..., 1] is 1 at one step of the first half and at one of the second, else 0;
    y is the sum of the two numbers there.  Always to say 1 gives a mean squared error of 1/6, 0.167.

    Paper    Hochreiter and Schmidhuber (1997), "Long short-term memory", experiment 4; in the form of Arjovsky, Shah
             and Bengio (2016), arXiv:1511.06464

    >>> x, y = adding(2, 10, seed=0)
    >>> bool(abs((x[..., 0] * x[..., 1]).sum(1) - y[:, 0]).max() < 1e-6), x[..., 1].sum(1).tolist()
    (True, [2.0, 2.0])
    """
    _check("adding", steps, 2)
    rng, every = numpy.random.default_rng(seed), numpy.arange(rows)
    x = numpy.zeros((rows, steps, 2), "float32")
    x[..., 0] = rng.random((rows, steps))
    x[every, rng.integers(0, steps // 2, rows), 1] = 1
    x[every, rng.integers(steps // 2, steps, rows), 1] = 1
    return x, (x[..., :1] * x[..., 1:]).sum(1)


def copy_memory(rows: int, delay: int, seed: Optional[int] = None, symbols: int = 8, length: int = 10) -> tuple:
    """The copying memory problem: x, y [rows, delay + 2 length], int32.

    x is `length` symbols, each one of 1 ... `symbols`, then blanks, 0, and at the last step before the answer the mark
    `symbols` + 1.  y is blank but for the last `length` steps, where it repeats the symbols: `symbols` + 2 kinds of
    inputs, `symbols` + 1 kinds of targets.  Without memory the best cross-entropy is length ln(symbols) / (delay + 2
    length).

    Paper    Hochreiter and Schmidhuber (1997); in the form of Arjovsky, Shah and Bengio (2016), arXiv:1511.06464

    >>> x, y = copy_memory(1, 4, seed=0, length=2)
    >>> x.tolist(), y.tolist()
    ([[7, 6, 0, 0, 0, 9, 0, 0]], [[0, 0, 0, 0, 0, 0, 7, 6]])
    """
    _check("copy_memory", delay, 1)
    x, y = numpy.zeros((2, rows, delay + 2 * length), "int32")
    x[:, :length] = y[:, -length:] = numpy.random.default_rng(seed).integers(1, symbols + 1, (rows, length))
    x[:, length + delay - 1] = symbols + 1
    return x, y


def parity(rows: int, steps: int, seed: Optional[int] = None, every_step: bool = False) -> tuple:
    """Whether the number of ones so far is odd: x [rows, steps, 1], y [rows, 1], float32.

    every_step    y [rows, steps, 1], after each step

    >>> x, y = parity(1, 5, seed=1, every_step=True)
    >>> x[0, :, 0].tolist(), y[0, :, 0].tolist()
    ([0.0, 1.0, 1.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0, 1.0])
    """
    x, y = counting(rows, steps, seed, every_step)
    return x, y % 2


def counting(rows: int, steps: int, seed: Optional[int] = None, every_step: bool = False) -> tuple:
    """How many ones there were: x [rows, steps, 1] of 0 and 1, y [rows, 1], float32.

    every_step    y [rows, steps, 1], after each step

    >>> x, y = counting(1, 5, seed=1)
    >>> x[0, :, 0].tolist(), y.tolist()
    ([0.0, 1.0, 1.0, 1.0, 0.0], [[3.0]])
    """
    _check("counting", steps, 1)
    x = numpy.random.default_rng(seed).integers(0, 2, (rows, steps, 1)).astype("float32")
    y = x.cumsum(1, dtype="float32")
    return x, y if every_step else y[:, -1]


def _check(task: str, steps: int, least: int) -> None:
    if isinstance(steps, bool) or not hasattr(steps, "__index__"):
        raise InvalidType(f"data.{task}", f"steps={steps!r}, expected an integer")
    if steps < least:
        raise ShapeError(f"data.{task}", f"{steps} steps, expected {least} at least")
