"""Errors that are expected by their class and by parts of their messages."""
from contextlib import contextmanager

import pytest


@contextmanager
def raises_with(error, pieces):
    """`pytest.raises(error)`, where the message must contain each of the pieces, which are no patterns."""
    with pytest.raises(error) as caught:
        yield caught
    message = str(caught.value)
    for piece in pieces:
        assert piece in message, message
