"""The limit of BLAS threads is restored, lanes end, 8 threads have the results of one, memory is bounded."""
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

import rnnref
from rnnref.cells import GRU, LSTM
from rnnref.cpu import blas, blas_threads, lanes, release_workspaces, sequence, workspaces
from rnnref.cpu.lstm import LSTMKernel
from rnnref.loops import hoisted
from rnnref.maps.dense import Dense
from rnnref.rules.lstm import LSTMRule
from rnnref.testing.api import assert_same
from rnnref.testing.case import Trial, draw_case
from tests.support.precision import cast_all

CASES = [cast_all(draw_case(cell, n_in=16, units=48, steps=20, batch=batch), "float32")
         for cell, batch in ((LSTM(), 16), (GRU(), 7), (LSTM(projection=8), 24), (GRU(reset="before"), 1))]


class Counted:
    """A BLAS whose count of threads is a number, and all counts that were set."""

    def __init__(self, count):
        self.count, self.set = count, []

    def get_num_threads(self):
        return self.count

    def set_num_threads(self, count):
        self.count = count
        self.set.append(count)


@pytest.fixture
def counted(monkeypatch):
    fake = Counted(4)
    blas.core_type()                              # of the real one, which is asked once
    monkeypatch.setattr(blas, "_load", lambda: fake)
    return fake


def test_the_count_is_lowered_for_the_loop_and_restored_once(counted):
    with blas.limit_threads():
        assert counted.count == 1 and blas.count_threads() == 4
        with blas.limit_threads():
            assert counted.count == 1
        assert counted.count == 1
    assert counted.set == [1, 4]


def test_the_count_is_restored_after_an_error(counted, monkeypatch):
    monkeypatch.setattr("rnnref.cpu.lstm.LSTMKernel.forward_steps", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        CASES[0].run()
    assert counted.set == [1, 4]


@pytest.mark.parametrize("path", ("sequence", "hoisted", "plain"))
def test_every_loop_has_the_limit_and_restores_the_count(path, counted, monkeypatch):
    """Products of steps; large ones before and after the loop may have all threads."""
    seen = []
    for owner, name in ((LSTMRule, "forward"), (LSTMRule, "backward"), (LSTMKernel, "forward_steps"),
                        (LSTMKernel, "backward_steps")):
        def watched(*args, f=getattr(owner, name)):
            seen.append(counted.count)
            return f(*args)
        monkeypatch.setattr(owner, name, watched)
    case = CASES[0]
    ys, new, tape = rnnref.run(case.cell, case.p, case.xs, paths=(path,))
    assert {*seen} == {1} and counted.set == [1, 4]
    rnnref.run_back(tape, np.ones_like(ys))
    assert {*seen} == {1} and counted.set == [1, 4] * 2 and counted.count == 4
    counted.set.clear()
    if path != "sequence":
        rnnref.run(case.cell, case.p, case.xs[:1], paths=(path,))              # one step is no loop
        assert counted.set == []
        monkeypatch.setattr(LSTMRule, "backward", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            rnnref.run_back(tape, np.ones_like(ys))
        assert counted.set == [1, 4]


@pytest.mark.parametrize("least, outside", ((0, 4), (float("inf"), 1)))
def test_only_large_products_outside_of_the_loop_have_all_threads(least, outside, counted, monkeypatch):
    """Those of all steps: of one step alone all have them, it is no loop."""
    monkeypatch.setattr(hoisted, "MIN_PRODUCT", least)
    seen = {2: set(), 3: set()}                   # by axes: of a step, of all steps
    for name in ("forward", "backward_x", "backward_p"):
        def watched(m, p, *args, f=getattr(Dense, name)):
            seen[args[-1].ndim].add(counted.count)
            return f(m, p, *args)
        monkeypatch.setattr(Dense, name, watched)
    case = CASES[0]
    _, tape = case.run(paths=("hoisted",))
    case.run_back(tape, Trial(case).d)
    assert seen == {2: {1}, 3: {outside}} and counted.count == 4
    rnnref.run(case.cell, case.p, case.xs[:1], paths=("hoisted",))
    assert seen == {2: {1, 4}, 3: {outside, 4}}


def test_parallel_loops_restore_the_count_once(counted):
    barrier = Barrier(4)

    def loop(_):
        with blas.limit_threads():
            barrier.wait(60)
            return counted.count
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(loop, range(4))) == [1] * 4
    assert counted.set == [1, 4]


def test_no_limit_leaves_the_count_alone(counted):
    before = blas_threads(None)
    try:
        CASES[0].run()
        assert counted.set == []
        assert blas_threads(2) is None
        with blas.limit_threads():
            assert counted.count == 2
    finally:
        blas_threads(before)
    for wrong in (0, -1, 1.5, "2"):
        with pytest.raises(rnnref.NotSupported, match="expected a positive number or None"):
            blas_threads(wrong)


def test_the_count_of_the_real_library_is_restored():
    real = blas._load()
    if real is None:
        pytest.skip("NumPy has another BLAS than OpenBLAS here")
    before = real.get_num_threads()
    CASES[0].run_both_ways(Trial(CASES[0]).d)
    assert real.get_num_threads() == before


@pytest.mark.parametrize("many", (False, True))
def test_results_in_eight_threads_are_those_of_one(many, monkeypatch):
    if many:
        monkeypatch.setattr(lanes, "MIN_STATE", 1)
        monkeypatch.setattr(lanes, "MIN_WORK", 0)
        monkeypatch.setattr(sequence, "count_threads", lambda: 3)
    trials = [Trial(case) for case in CASES]
    want = [trial.case.run_both_ways(trial.d)[:2] for trial in trials]
    barrier = Barrier(8)

    def work(n):
        barrier.wait(60)
        for k in range(8):
            which = (n + k) % len(trials)
            assert_same(trials[which].case.run_both_ways(trials[which].d)[:2], want[which])
            assert_same(trials[which].case.run(keep=False)[0], want[which][0])
        return True
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_an_error_in_one_lane_ends_all():
    done = []

    def lane(n):
        if n == 1:
            raise KeyError(n)
        done.append(n)
        return n
    with pytest.raises(KeyError):
        lanes.run_lanes(lane, [0, 1, 2])
    assert 0 in done and lanes.run_lanes(lambda n: n, [3, 4, 5]) == [3, 4, 5]


def test_lanes_see_the_error_state_of_the_caller():
    def overflow(_):
        return np.float32(3e38) * np.full(3, 10, "float32")
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        lanes.run_lanes(lambda n: overflow(n) if n else None, [0, 1])


FORKS = """
import os
import subprocess
import sys
from rnnref.cpu import lanes
assert lanes.run_lanes(lambda n: n, [0, 1]) == [0, 1]
child = os.fork()
if not child:
    os._exit(lanes.run_lanes(lambda n: n, [0, 1]) != [0, 1])
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_process_has_lanes_of_its_own():
    """In a process of its own: libraries that other tests have imported may not be forked."""
    subprocess.run([sys.executable, "-c", FORKS], check=True, timeout=60)


def test_memory_is_used_again_bounded_and_released(monkeypatch):
    release_workspaces()
    pool = workspaces._pool
    tape = CASES[0].run()[1]
    assert not pool.free                          # the tape holds it
    del tape
    first = {id(buffer) for buffer in pool.free}
    assert first
    tape = CASES[0].run()[1]
    assert not first & {id(buffer) for buffer in pool.free}
    del tape
    assert first == {id(buffer) for buffer in pool.free}
    assert release_workspaces() > 0 and not pool.free and release_workspaces() == 0
    monkeypatch.setattr(workspaces, "LIMIT", 100_000)
    CASES[0].run()
    assert sum(buffer.nbytes for buffer in pool.free) <= 100_000
