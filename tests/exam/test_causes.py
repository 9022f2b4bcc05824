"""200 layers of installed frameworks with one or two conventions wrong: `verify` names these, and nothing else."""
import os
import time

import pytest

from rnnref.check import verify
from tests.support.convention_mistakes import draw_mistake, is_certain, is_named

pytestmark = pytest.mark.exam
DRAWN = {"onnxruntime": 70, "torch": 60, "keras": 40, "flax": 30}
NAMED = 0.98
SECONDS = {8: 10, 128: 10, 512: 60}


def test_causes_are_named():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    missed, false = [], []
    for engine, count in DRAWN.items():
        for seed in range(count):
            function, cell, p, shape, words = draw_mistake(engine, seed)
            report = verify(function, shape, reference=cell, p=p)
            if not is_named(report, words):
                missed.append((engine, seed, words, str(report)))
                false += missed[-1:] if is_certain(report) else []
    print(*missed, sep="\n")
    assert not false and len(missed) <= (1 - NAMED) * sum(DRAWN.values())


@pytest.mark.parametrize("units", SECONDS)
def test_the_search_is_short(units):
    for seed in range(6):
        function, cell, p, shape, words = draw_mistake("torch", seed, units)
        start = time.perf_counter()
        report = verify(function, shape, reference=cell, p=p)
        assert time.perf_counter() - start < SECONDS[units] and is_named(report, words), (words, str(report))
