"""How many Python functions a verification calls: repeated look-ups show here before they show in time."""
import cProfile
import pstats

import pytest

import rnnref

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
