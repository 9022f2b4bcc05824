"""The replayed path on the CPU: steps the first time a kind of sequence comes, a graph after that."""
import numpy as np
import pytest

from rnnref.cells import LSTM
from rnnref.cuda_loops import graphed, replayed
from rnnref.loops.plan import Call, plan
from rnnref.testing.api import assert_same
from tests.support.graph_runs import STEPPED, draw_arguments, run_both_ways

pytestmark = pytest.mark.kernels
REPLAYED = {"paths": ("replayed", "bidirectional")}
NAMES = "LSTM", "GRU", "GRU before", "LSTM, projection clip"


@pytest.fixture(autouse=True)
def nothing_came(monkeypatch):
    replayed.clear()
    monkeypatch.setattr(replayed.choice, "why_no_graph", lambda problem: None)       # however few steps there are
    yield
    replayed.clear()


@pytest.mark.parametrize("name", NAMES)
def test_the_second_of_a_kind_is_a_graph_with_the_same_bits(name, seen):
    for where in ("everywhere", "lengths"):
        want = run_both_ways(draw_arguments(name), where, True, **STEPPED)
        seen.log.clear()
        first = run_both_ways(draw_arguments(name), where, True, **REPLAYED)
        assert "launch" not in [what for what, *_ in seen.log]
        again = [run_both_ways(draw_arguments(name), where, True, **REPLAYED) for _ in range(2)]
        assert [what for what, *_ in seen.log].count("launch") == 4                  # forward and backward, twice
        for got in (first, *again):
            assert_same(got, want)


def test_other_kinds_are_not_captured(seen):
    for where, keep in (("everywhere", True), ("lengths", True), ("everywhere", False)):
        run_both_ways(draw_arguments("LSTM"), where, keep, **REPLAYED)
    assert "launch" not in [what for what, *_ in seen.log]


def test_a_stream_that_is_captured_gets_steps(seen, monkeypatch):
    monkeypatch.setattr(graphed, "why_no_stream", lambda cupy: "the current stream is being captured")
    for _ in range(3):
        run_both_ways(draw_arguments("LSTM"), "everywhere", True, **REPLAYED)
    assert "launch" not in [what for what, *_ in seen.log]


def test_only_so_many_kinds_are_remembered(monkeypatch):
    monkeypatch.setattr(replayed, "_REMEMBERED", 2)
    assert [replayed._came_before(kind) for kind in "abcacba"] == [False, False, False, False, True, False, False]


def test_a_sequence_that_gains_nothing_is_stepped(monkeypatch):
    monkeypatch.undo()
    call = Call("cupy", (100, 256, 1024), np.dtype("float32"), sm=90, units=2048)
    notes = dict(plan(LSTM(), call).notes)
    assert notes["stepped"] == "runs" and "the card waits for nothing" in notes["replayed"]


def test_idle_graphs_keep_to_their_bytes():
    class Thing:
        def __init__(self, key, nbytes): self.key, self.nbytes = key, nbytes

    pool = graphed.Pool(3, 100)
    for key, nbytes in (("a", 40), ("b", 40), ("c", 40), ("d", 10), ("e", 500)):
        pool.reclaim(Thing(key, nbytes))
    assert [one.key for one in pool.idle] == ["e"]                                   # the last is kept, however large
    for key in "fgh":
        pool.reclaim(Thing(key, 1))
    assert [one.key for one in pool.idle] == ["f", "g", "h"]
