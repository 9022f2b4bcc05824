"""Sequences of several lengths, in batches."""
from typing import Any, Optional, Sequence

import numpy

from ..errors import ShapeError
from ..utils import pad_sequences

Array = Any


class LengthBatches:
    """Batches of sequences of about the same length: `fit` takes it as x.

        len(batches)     how many
        batches[k]       x [B, T, ...] padded at the end to the longest of the batch, or (x, y)
    """

    def __init__(self, sequences: Sequence, y: Any, batch_size: int, value: Any, dtype: Any):
        self.sequences, self.y, self.value, self.dtype = list(sequences), y, value, dtype
        order = numpy.argsort([len(row) for row in self.sequences], kind="stable")
        self.rows = [order[k:k + batch_size] for k in range(0, len(order), batch_size)]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, k: int) -> Any:
        rows = self.rows[k]
        x = pad_sequences([self.sequences[j] for j in rows], dtype=self.dtype, padding="post", value=self.value)
        return x if self.y is None else (x, self.y[rows])


def batch_by_length(sequences: Sequence, y: Optional[Array] = None, batch_size: int = 32, value: Any = 0,
                    dtype: Any = "float32") -> LengthBatches:
    """Batches of sequences of about the same length, in which little is padding; fit shuffles the batches.

    sequences     [T, ...] each, of several lengths T
    y             a target for each
    value         where sequences have ended: what Masking(value), or Embedding(mask_zero=True) with 0, masks
    dtype         of x: "int32" for words

    >>> batches = batch_by_length([[1, 2, 3], [4], [5, 6]], numpy.array([0, 1, 0]), batch_size=2, dtype="int32")
    >>> len(batches), batches[0]
    (2, (array([[4, 0],
           [5, 6]], dtype=int32), array([1, 0])))

    Raises ShapeError for an empty sequence, and unless there are as many targets.
    """
    who = "data.batch_by_length"
    for k, row in enumerate(sequences):
        if not hasattr(row, "__len__") or not len(row):
            raise ShapeError(who, f"sequence {k} is empty, or no sequence")
    if y is not None and len(y) != len(sequences):
        raise ShapeError(who, f"{len(sequences)} sequences and {len(y)} targets")
    return LengthBatches(sequences, None if y is None else numpy.asarray(y), batch_size, value, dtype)
