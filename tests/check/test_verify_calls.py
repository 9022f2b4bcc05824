"""What a verification costs: how many Python functions it calls, where repeated look-ups show, and threads of BLAS."""
import cProfile
import pstats

import numpy as np
import pytest

import rnnref
from rnnref.cpu import blas

CALLS = 140_000                                   # 122,000 when this was written, of which torch has 4,000


@pytest.mark.peers
def test_calls_of_a_verification():
    """The second verification in a process; the first one imports."""
    import torch
    lstm, x = torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True), torch.randn(6, 2, 3)
    assert rnnref.verify(lstm, x).ok
    profile = cProfile.Profile(builtins=False)
    report = profile.runcall(rnnref.verify, lstm, x)
    assert report.ok and len(report.rows) == 22   # all that can be compared was
    assert pstats.Stats(profile).total_calls <= CALLS


class _Blas:
    """A BLAS with 4 threads, and all counts that were set."""

    def __init__(self):
        self.count, self.set = 4, []

    def get_num_threads(self):
        return self.count

    def set_num_threads(self, count):
        self.count = count
        self.set.append(count)


def test_a_verification_runs_with_one_thread_of_blas_and_restores_the_others(monkeypatch):
    fake, seen = _Blas(), []
    monkeypatch.setattr(blas, "_load", lambda: fake)
    cell = rnnref.cells.GRU()
    p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0))

    def theirs(x):
        seen.append(fake.count)
        return rnnref.run(cell, p, x, paths=("hoisted",))[0]
    assert rnnref.verify(theirs, (5, 2, 3), reference=cell, p=p).ok
    assert set(seen) == {1} and fake.set == [1, 4]
    with pytest.raises(rnnref.NotSupported, match="lengths"):
        rnnref.verify(theirs, (5, 2, 3), reference=cell, p=p, lengths=[1, 2, 3])
    with pytest.raises(rnnref.Error, match="x holds NaN"):
        rnnref.verify(theirs, np.full((5, 2, 3), np.nan, "float32"), reference=cell, p=p)
    assert fake.count == 4 and fake.set == [1, 4, 1, 4]
