"""Parameters prepared once for many calls of inference."""
from operator import is_
from threading import Lock
from typing import Any

import numpy

from ..arrays import Array
from ..tree import Tree
from ..wrappers.stack import Bidirectional, Stack
from .kernel import Kernel

_MAX_LAYOUTS = 8                                  # numbers of rows for which the weights of a cell are kept


class PreparedParameters(dict):
    """The parameters of a cell that cannot change, with their layout for `run` once it was made.

    The arrays are immutable copies, so a layout is never older than what the dict holds.  Where another array is put
    into the dict, layouts are made anew in each call, as for any other dict.
    """

    def __init__(self, p: dict) -> None:
        super().__init__({name: _freeze(a) for name, a in p.items()})
        self._arrays = tuple(self.values())
        self._lock, self._layouts = Lock(), {}

    def layout(self, kernel: Kernel, rows: int) -> Any:
        """The weights as the kernel needs them for so many rows: made at the first call with these."""
        if len(self) != len(self._arrays) or not all(map(is_, self.values(), self._arrays)):
            return kernel.lay_out(self, rows)
        key = id(kernel.cell), rows
        found = self._layouts.get(key)
        if found is None:
            found = kernel.cell, kernel.lay_out(self, rows)      # the cell is held, so that its id stays in use
            with self._lock:
                if len(self._layouts) >= _MAX_LAYOUTS:
                    self._layouts.pop(next(iter(self._layouts)), None)
                self._layouts[key] = found
        return found[1]

    def __reduce__(self) -> tuple:
        return dict, (dict(self),)


def _freeze(a: Array) -> Array:
    """A copy in memory that nothing can write to."""
    return numpy.frombuffer(a.tobytes(), a.dtype).reshape(a.shape)


def prepare(cell: Any, p: Tree) -> Tree:
    """Parameters for many calls of `run` in inference: a copy of `p` whose layout for the kernels is made only once.

    The copy is of the values at this moment.  A later change of `p`, in place or not, does not reach it: prepare again.
    For cells and arrays that have no such layout `p` is returned as it is.

    Shapes        as p; where the cell is a Stack or Bidirectional, a tuple of parameters of each
    Same as       the packed weights of a session of onnxruntime, flatten_parameters() of a torch RNN

    >>> import numpy as np, rnnref
    >>> cell = rnnref.cells.LSTM()
    >>> p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0))
    >>> ready, xs = prepare(cell, p), np.ones((5, 2, 3), "float32")
    >>> ys, new, _ = rnnref.run(cell, ready, xs, keep=False)
    >>> bool((ys == rnnref.run(cell, p, xs, keep=False)[0]).all())
    True
    """
    if isinstance(cell, (Stack, Bidirectional)) and isinstance(p, tuple):
        return tuple(prepare(one, q) for one, q in zip(cell.cells, p, strict=True))
    is_flat = isinstance(p, dict) and all(isinstance(a, numpy.ndarray) for a in p.values())
    return PreparedParameters(p) if is_flat else p
