"""Text drawn from a character model, one character after the other."""
from typing import Any, Iterator, Optional

import numpy

from .. import data
from ..arrays import asnumpy
from ..errors import Error, NotSupported
from ..layers import Input
from ..models import Sequential
from .folder import MODEL, RunFolder

_FIRST = "\n"                                             # the character before a text, if the vocabulary has it


def sample(run: str, *, temperature: float = 1.0, prefix: str = "", length: int = 500,
           seed: Optional[int] = None) -> Iterator[str]:
    """Draw a text from the model in the folder of a run, one character after the other.

    temperature   below 1: likelier characters; above: more surprising ones; 0: always the likeliest
    prefix        what the text begins with
    length        how many characters are drawn
    seed          of the random numbers: the same seed gives the same text

    Errors        Error: no folder of a run of text, a character that the model does not know.  NotSupported: a
                  temperature below 0
    """
    settings = RunFolder(run).read_settings()
    if settings["task"] != "text":
        raise Error("sample", f"{run} is a run of {settings['task']}, and has no text to draw")
    if not temperature >= 0:
        raise NotSupported("sample", f"temperature={temperature!r}, expected 0 or more")
    from ..models import load_model
    model = load_model(RunFolder(run).file(MODEL), compile=False)
    vocabulary = settings["vocabulary"]
    data.Characters(vocabulary, *[numpy.zeros(0, "int32")] * 3).encode(prefix)         # raises before anything is drawn
    return draw(model, vocabulary, length, temperature, prefix, seed)


def draw(model: Any, vocabulary: str, length: int, temperature: float = 1.0, prefix: str = "",
         seed: Optional[int] = None) -> Iterator[str]:
    """The prefix, then characters that a model of `rnnref train text` draws; the model is left as it is."""
    step, rng = _make_single(model), numpy.random.default_rng(seed)
    place = {c: k for k, c in enumerate(vocabulary)}
    logits: Any = None
    for c in prefix or (_FIRST if _FIRST in place else vocabulary[0]):
        logits = step(numpy.array([[place[c]]], "int32"))
    yield from prefix
    for _ in range(length):
        k = choose(asnumpy(logits)[0, 0], temperature, rng)
        yield vocabulary[k]
        logits = step(numpy.array([[k]], "int32"))


def choose(logits: numpy.ndarray, temperature: float, rng: numpy.random.Generator) -> int:
    """A number drawn with the probabilities softmax(logits / temperature); the likeliest one at temperature 0."""
    if temperature == 0:
        return int(logits.argmax())
    a = logits.astype("float64") / temperature
    p = numpy.exp(a - a.max())
    return int(rng.choice(len(p), p=p / p.sum()))


def _make_single(model: Any) -> Sequential:
    """The model with the same weights for a batch of one row and one step, its states zero."""
    cells = [type(layer).from_config(layer.get_config()) for layer in model.layers]
    single = Sequential([Input(batch_shape=(1, 1), dtype="int32"), *cells])
    single.set_weights(model.get_weights())
    return single
