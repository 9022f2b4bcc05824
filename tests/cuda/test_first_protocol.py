"""The exchange by bytes in random orders of threads and of stores under way."""
import re

import pytest

from tests.bench.first.protocol import Protocol, seen

# units, units of a block, blocks: the last block has fewer; seven blocks have none; all are full
SHAPES = ((7, 4, 2), (33, 4, 16), (16, 4, 4))


@pytest.mark.parametrize("back", (False, True))
@pytest.mark.parametrize("units, each, blocks", SHAPES)
def test_it_ends_and_nothing_is_overrun(units, each, blocks, back):
    assert seen(Protocol(back, units, each, blocks), 400 // blocks) == ""


@pytest.mark.parametrize("back", (False, True))
@pytest.mark.parametrize("fault, words", (
    ({"waits": False}, "read before it had come|being read|has left"),
    ({"bytes_off": 4}, "wait without end"),
    ({"bytes_off": -4}, "wait without end|read before it had come"),
    ({"buffers": 1}, "being read|read before"),
    ({"barriers": 1}, "wait without end|read before|being read"),
    ({"leaves": False}, "being read|has left|wait without end|read before"),
))
def test_a_fault_is_seen(fault, words, back):
    assert re.search(words, seen(Protocol(back)._replace(**fault)))


def test_gates_that_are_written_too_soon_are_seen():
    how = Protocol(True, 16, 4, 4, threads=3, syncs=False)
    assert seen(how, 400) == "the gates were written again before all had read them"
