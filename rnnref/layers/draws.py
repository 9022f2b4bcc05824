"""Random numbers inside of a pair, determined by the `noise` that its `draw` gave and by nothing else.

A pair is pure: called again with the same noise, the record of a `call` must hold the same numbers.
"""
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Iterator, Optional

import numpy

DRAWS: ContextVar = ContextVar("draws", default=None)         # the open `Draws` of this thread, or None
MOST = 2 ** 31


class Draws:
    """A generator for each layer that draws, from one seed: the first layer that draws has the first, and so on."""

    def __init__(self, seed: int) -> None:
        self.seed, self.generators = seed, {}                 # {id(layer): (layer, generator)}

    def of(self, layer: Any) -> Any:
        """The generator of a layer."""
        if id(layer) not in self.generators:
            generator = numpy.random.default_rng([self.seed, len(self.generators)])
            self.generators[id(layer)] = layer, generator     # holding the layer keeps its id from being used again
        return self.generators[id(layer)][1]


@contextmanager
def drawing_from(seed: Optional[int]) -> Iterator[None]:
    """Layers draw from generators of this seed inside; None: from their own."""
    token = None if seed is None else DRAWS.set(Draws(seed))
    try:
        yield
    finally:
        if token is not None:
            DRAWS.reset(token)


def _noise_rng(layer: Any) -> Any:
    """The generator of what is random in training; inside of a pair, one that the noise of the pair determines."""
    drawn = DRAWS.get()
    return layer._noise_rng if drawn is None else drawn.of(layer)


def _set_noise_rng(layer: Any, rng: Any) -> None:
    layer._noise_rng = rng


noise_rng = property(_noise_rng, _set_noise_rng)              # of a layer
