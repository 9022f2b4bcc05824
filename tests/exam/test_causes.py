"""200 layers of installed frameworks with one or two conventions wrong: `verify` names these, and nothing else.

And 60 modules of several layers, where the cells are named too, and 40 layers with layer normalisation.
"""
import os
import time

import numpy as np
import pytest

from rnnref import cells
from rnnref.check import verify
from tests.support.convention_mistakes import draw_mistake, is_certain, is_named
from tests.support.layered_mistakes import draw_layered_mistake
from tests.support.wrong_layers import draw_normed_mistake

pytestmark = pytest.mark.exam
LAYERED, NORMED = 60, 40
DRAWN = {"onnxruntime": 70, "torch": 60, "keras": 40, "flax": 30}
NAMED = 0.98
SECONDS = {8: 10, 128: 10, 512: 60}


def hold(checked, count):
    """checked: pairs of a report and the words that it must say."""
    missed, false = [], []
    for report, words in checked:
        if not is_named(report, words):
            missed.append((words, str(report)))
            false += missed[-1:] if is_certain(report) else []
    print(f"{count - len(missed)} of {count} named", *missed, sep="\n")
    assert not false and len(missed) <= (1 - NAMED) * count


def test_causes_are_named():
    os.environ.setdefault("KERAS_BACKEND", "torch")

    def check():
        for engine, count in DRAWN.items():
            for seed in range(count):
                function, cell, p, shape, words = draw_mistake(engine, seed)
                yield verify(function, shape, reference=cell, p=p), words
    hold(check(), sum(DRAWN.values()))


def test_causes_in_layers_are_named():
    def check():
        for seed in range(LAYERED):
            module, shape, words = draw_layered_mistake(seed)
            yield verify(module, shape), words
    hold(check(), LAYERED)


def test_causes_of_layer_normalisation_are_named():
    cell = cells.LayerNormLSTM()

    def check():
        for seed in range(NORMED):
            function, sizes, shape, words = draw_normed_mistake(seed)
            rng = np.random.default_rng(seed)
            p = {n: (0.6 * rng.standard_normal(s)).astype("float32") for n, s in cell.shapes(*sizes).items()}
            yield verify(function, shape, reference=cell, p=p), words
    hold(check(), NORMED)


@pytest.mark.parametrize("units", SECONDS)
def test_the_search_is_short(units):
    for seed in range(6):
        function, cell, p, shape, words = draw_mistake("torch", seed, units)
        start = time.perf_counter()
        report = verify(function, shape, reference=cell, p=p)
        assert time.perf_counter() - start < SECONDS[units] and is_named(report, words), (words, str(report))
