"""The stepped path of cells with two products a step: the launches of a step, and cases beyond test_stepped.py."""
from dataclasses import replace

import numpy as np
import pytest

from rnnref.cells import GRU, LSTM, ProjectedCell, SimpleRNN
from rnnref.loops.run import run
from rnnref.testing.api import assert_close, draw_case
from rnnref.testing.case import PLAIN, Trial
from rnnref.testing.laws import check_law
from rnnref.tree import map_structure, to
from tests.shim.hostsim import HostKernel
from tests.support.cases import B, H, I, T, U, case
from tests.support.stepped_runs import GPU, LAWS, WAYS, run_both_ways

pytestmark = pytest.mark.kernels
MORE = {
    "all options": LSTM(projection=H, projection_clip=0.1, recurrent_bias=True, peepholes=True, cell_clip=0.5,
                        forget_bias=1.0, coupled="input"),
    "no c": ProjectedCell(SimpleRNN(), projection=U, clip=0.1),  # the width tells the number of units
}
BESIDE = 4                                        # products after the loop: dx, dW, and two of the steps' weights


@pytest.mark.parametrize("where, reverse", (("everywhere", True), ("lengths", False), ("holes", True)))
@pytest.mark.parametrize("name", MORE)
def test_laws(name, where, reverse, kernels):
    one = draw_case(MORE[name], n_in=I, units=U, steps=T, batch=B)
    trial = Trial(replace(one, **WAYS[where], reverse=reverse, device="gpu"))
    for number in LAWS:
        check_law(trial, number)
    limited = abs(trial.forward[0][0]) == 0.1
    assert limited.any() and not limited.all() and any("stepped" in ran for ran in trial.outcomes)


@pytest.mark.parametrize("size", ((1, 1, 1, 1), (19, 1, 4, 1), (2, 3, 1, 5), (5, 4, 3, 2), (3, 0, 3, 4)))
@pytest.mark.parametrize("cell", (GRU(reset="before", recurrent_bias=True), LSTM(projection=1), MORE["all options"]),
                         ids=("before", "projection", "all options"))
def test_sizes(cell, size, kernels):
    """One of everything, no row at all, a projection wider than the units."""
    (steps, batch, n_in, units), rng = size, np.random.default_rng(0)
    for mask in (None, rng.random((steps, batch)) < 0.6):
        one = draw_case(cell, n_in=n_in, units=units, steps=steps, batch=batch, mask=mask, reverse=mask is None)
        trial = Trial(one)
        got = replace(trial.case, device="gpu").run_both_ways(trial.d, **GPU)
        assert_close(got[:2], trial.plain, "path")


def test_a_clip_in_16_bits(kernels):
    """What is clipped has no gradient, although the limit is rounded where h is stored."""
    got, want = (run_both_ways("LSTM, projection clip", "float16", "holes", **choice) for choice in (GPU, PLAIN))
    assert (abs(want[0][0]) == np.float16(0.2)).any()
    assert_close(got[0], want[0], "path", arithmetic="float16")
    assert_close(got[1], want[1], "gradient", arithmetic="float16")


@pytest.fixture
def launched(kernels, monkeypatch):
    """The names of the kernels that ran, without their types."""
    seen, call = [], HostKernel.__call__

    def noted(self, *args, **kwargs):
        seen.append(self.name.rsplit("_", 2)[0])
        return call(self, *args, **kwargs)
    monkeypatch.setattr(HostKernel, "__call__", noted)
    return seen


@pytest.mark.parametrize("name, where, ahead, back", (
    ("GRU before", "everywhere", "reset renew", "renewback resetback"),
    ("GRU before, recurrent bias", "lengths", "reset renew", "renewback resetback"),
    ("LSTM, projection", "everywhere", "lstm_forward", "limited_backward lstm_backward"),
    ("LSTM, projection", "lengths", "lstm_forward limited_forward", "limited_backward lstm_backward"),
    ("LSTM, projection clip", "everywhere", "lstm_forward limited_forward", "limited_backward lstm_backward"),
))
def test_what_a_step_launches(name, where, ahead, back, kernels, launched):
    """Two products each way, and no kernel where the product alone gives h."""
    run_both_ways(name, where=where, **GPU)
    assert launched == ahead.split() * T + back.split() * T
    assert len(kernels) == 1 + 2 * T + 2 * T + BESIDE
    kernels.clear(), launched.clear()
    run_both_ways(name, where=where, keep=False, **GPU)
    assert launched == ahead.split() * T and len(kernels) == 1 + 2 * T


@pytest.mark.parametrize("name", ("GRU before", "LSTM, projection", "LSTM, projection clip"))
def test_intermediates_in_a_mode_have_the_dtype_of_the_plain_code(name, kernels):
    """Although they are operands of products in 16 bits."""
    one = case(name)
    given = to("gpu", map_structure(lambda a: a.astype("float32"), (one.p, one.xs, one.s)))
    for where in ("everywhere", "holes"):
        tapes = [run(one.cell, *given, **to("gpu", WAYS[where]), **choice)[2] for choice in (
            {"mode": "fp16", **GPU}, PLAIN)]
        for t in range(T):
            got, want = (to("cpu", tape.kept(t)) for tape in tapes)
            assert_close(got, want, "path", arithmetic="float16")
            map_structure(lambda a, b: np.testing.assert_equal(a.dtype, b.dtype), got, want)


@pytest.mark.parametrize("name", ("GRU before", "LSTM, projection"))
def test_outputs_are_not_those_of_the_tape(name, kernels):
    """Writing to the outputs changes no gradient."""
    one = case(name)
    given = to("gpu", (one.p, one.xs, one.s))
    ys, new, tape = run(one.cell, *given, **GPU)
    before = to("cpu", tape.kept(3))
    ys[...], new[0][...] = 7, 7
    assert_close(to("cpu", tape.kept(3)), before, "path")
