"""Operations on arrays, values, weights and symbols, with the names and arguments of keras.ops."""
from typing import Any

from .pairs import TABLE
from .values import functions

PROVIDED: dict[str, Any] = {name: getattr(functions, name) for name in TABLE}
globals().update(PROVIDED)


def __dir__() -> list:
    return sorted(PROVIDED)
