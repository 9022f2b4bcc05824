"""Text as characters, and its windows for truncated backpropagation through time."""
from dataclasses import dataclass
from typing import Any, Optional, Sequence

import numpy

from ..errors import NotSupported, ShapeError, describe_type

Array = Any


@dataclass(frozen=True)
class Characters:
    """A text as numbers of characters.

    vocabulary            its characters, sorted; the number of one is its place
    train, valid, test    parts of the text, one after the other: arrays of int32
    """
    vocabulary: str
    train: Array; valid: Array; test: Array

    def encode(self, text: str) -> Array:
        """The numbers of the characters of a text.

        >>> characters("abcab").encode("cab")
        array([2, 0, 1], dtype=int32)

        Raises ShapeError for a character that is not in the vocabulary.
        """
        return _encode(text, self.vocabulary)

    def decode(self, ids: Any) -> str:
        """The text of such numbers.

        >>> characters("abcab").decode([2, 0])
        'ca'
        """
        return "".join(self.vocabulary[k] for k in numpy.asarray(ids).ravel())


def characters(text: str, split: Sequence = (0.9, 0.05, 0.05), vocabulary: Optional[str] = None) -> Characters:
    """A text as numbers of characters, in three parts: the first to train with, then validation, then test.

    split         parts of the length of the text; their sum is 1
    vocabulary    the characters in their order; None: those of the text, sorted

    >>> corpus = characters("hello world ", split=(0.5, 0.25, 0.25))
    >>> corpus.vocabulary, corpus.decode(corpus.train), len(corpus.valid), len(corpus.test)
    (' dehlorw', 'hello ', 3, 3)

    Raises ShapeError for an empty text and for characters outside of the vocabulary, NotSupported for parts that are
    no such.
    """
    if not isinstance(text, str):
        raise NotSupported("data.characters", f"{describe_type(text)}, expected a str",
                           fix="open(path, encoding='utf-8').read()")
    if not text:
        raise ShapeError("data.characters", "the text is empty")
    if len(split) != 3 or min(split) < 0 or abs(sum(split) - 1) > 1e-6:
        raise NotSupported("data.characters", f"split={split!r}, expected three numbers whose sum is 1")
    vocabulary = "".join(sorted(set(text))) if vocabulary is None else vocabulary
    ids = _encode(text, vocabulary)
    first = round(split[0] * len(ids))
    second = first + round(split[1] * len(ids))
    return Characters(vocabulary, ids[:first], ids[first:second], ids[second:])


def _encode(text: str, vocabulary: str) -> Array:
    place = {c: k for k, c in enumerate(vocabulary)}
    missing = sorted(set(text) - place.keys())
    if missing:
        raise ShapeError("data.characters", f"{''.join(missing[:20])!r} are not in the vocabulary")
    return numpy.fromiter((place[c] for c in text), "int32", len(text))


def lanes(ids: Array, batch_size: int, steps: int) -> tuple:
    """Windows of a sequence for truncated backpropagation through time: x, y, each [windows x batch_size, steps].

    The sequence is cut into `batch_size` lanes of equal length, read side by side: row b of a batch goes on where row b
    of the batch before ended.  y is x one step later.  What does not fill a window of all lanes is left out.

        model.fit(x, y, batch_size=batch_size, shuffle=False)        with layers that are stateful

    >>> import numpy as np
    >>> x, y = lanes(np.arange(13), batch_size=2, steps=3)
    >>> x.tolist()
    [[0, 1, 2], [6, 7, 8], [3, 4, 5], [9, 10, 11]]
    >>> y[0].tolist(), y[3].tolist()
    ([1, 2, 3], [10, 11, 12])

    Raises ShapeError for a sequence that is too short.
    """
    ids = numpy.asarray(ids)
    windows = (len(ids) - 1) // (batch_size * steps)
    if windows < 1:
        raise ShapeError("data.lanes", f"a sequence of {len(ids)}, expected more than {batch_size * steps}",
                         axes=f"{batch_size} lanes of {steps} steps, and one step more for the targets")
    length = windows * steps

    def cut(a: Array) -> Array:
        a = a[:batch_size * length].reshape(batch_size, windows, steps, *ids.shape[1:])
        return a.swapaxes(0, 1).reshape(windows * batch_size, steps, *ids.shape[1:])
    return cut(ids), cut(ids[1:])
