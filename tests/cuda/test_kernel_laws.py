"""The laws for whole sequences whose rules are kernels: launched by rnnref, on the strict double and the host shim."""
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest

from rnnref import explain
from rnnref.cells import GRU, LSTM
from rnnref.cells.gru_before import GRUBefore
from rnnref.cuda import pointwise, reset_before
from rnnref.loops.run import run, run_back
from rnnref.rules.elman import ElmanRule
from rnnref.rules.gru import GRURule
from rnnref.rules.lstm import LSTMRule
from rnnref.testing.assertions import assert_close, assert_same
from rnnref.testing.case import PLAIN, Trial, masking_options
from rnnref.testing.laws import LAWS, check_law
from rnnref.tree import map_structure, to
from tests.shim.double import with_kernels
from tests.support import strict
from tests.support.cases import BREAKS, CELLS, B, T, case

pytestmark = pytest.mark.kernels
WAYS = masking_options((T, B))
SETTINGS = ("lengths", True), ("holes", False)


@pytest.fixture(autouse=True)
def cupy():
    with with_kernels() as module:
        yield module


def runs_with_kernels(trial):
    return [path for path in trial.choices if "CUDA kernel" in path]


def by_kernels(thing):
    """True if it holds a rule or a cell that has a kernel, at any depth; found here without `plan`."""
    if isinstance(thing, tuple):
        return any(map(by_kernels, thing))
    if type(thing) is GRUBefore:
        return reset_before.refuses(thing) is None
    if type(thing) in (ElmanRule, GRURule, LSTMRule):
        return pointwise.refuses(thing) is None
    return is_dataclass(thing) and any(by_kernels(getattr(thing, f.name)) for f in fields(thing))


BY_KERNELS = [name for name, (cell, _) in CELLS.items() if by_kernels(cell)]
COMMON = ("SimpleRNN tanh", "LSTM", "LSTM, peepholes", "LSTM, projection", "GRU", "GRU before", "Bidirectional",
          "LSTM on a norm of the sum", "LSTM, weight norm")
WITH_LENGTHS, WITH_HOLES = [(name, *SETTINGS[0]) for name in BY_KERNELS], [(name, *SETTINGS[1]) for name in COMMON]


def test_common_cells_have_kernels():
    assert set(COMMON) <= set(BY_KERNELS)


@pytest.mark.parametrize("name, where, reverse", WITH_LENGTHS + WITH_HOLES)
def test_laws(name, where, reverse):
    trial = Trial(replace(case(name), **WAYS[where], reverse=reverse, device="gpu"))
    assert runs_with_kernels(trial)
    for number in LAWS:
        if number not in BREAKS.get(name, ()):
            check_law(trial, number)


@pytest.mark.parametrize("name", ("LSTM, coupled input, peepholes", "GRU", "GRU before", "SimpleRNN tanh",
                                  "LSTM on a norm of the sum", "Bidirectional, stacks", "all together"))
def test_nothing_crosses_the_bus(name):
    one = replace(case(name), **WAYS["holes"])
    d = Trial(one).d
    args = to("gpu", (one.p, one.xs, one.s, one.extra, one.lengths, one.mask))
    dys, dnew = to("gpu", d)
    for choice in ({}, {"reverse": True}, {"padding": "repeat"}, {"recompute": True}):
        strict.counts.clear()
        ys, new, tape = run(one.cell, *args[:3], extra=args[3], lengths=args[4], mask=args[5], **choice)
        grads = run_back(tape, dys, dnew)
        assert not strict.counts
        reverse, padding = choice.get("reverse", False), choice.get("padding", "zero")
        options = PLAIN | {k: v for k, v in choice.items() if k == "recompute"}
        plain = replace(one, reverse=reverse, padding=padding)
        out, tape = plain.run(**options)
        assert_close(to("cpu", (ys, new)), out, "path")
        assert_close(to("cpu", grads), plain.run_back(tape, d), "path")


@pytest.mark.parametrize("dtype", ("float32", "float16", "bfloat16"))
@pytest.mark.parametrize("name", ("LSTM, peepholes", "GRU", "GRU before", "SimpleRNN tanh"))
def test_storage(name, dtype):
    """In fewer bits: the kernels against the plain code in the same storage."""
    if dtype == "bfloat16":
        import ml_dtypes
        dtype = ml_dtypes.bfloat16
    one = case(name)
    p, xs, s = map_structure(lambda a: a.astype(dtype), (one.p, one.xs, one.s))
    s = map_structure(lambda a, like: a.astype(like.dtype), s, one.cell.zeros(1, 1, dtype=dtype))
    ys, new, tape = run(one.cell, *to("gpu", (p, xs, s)))
    plain_ys, plain_new, plain = run(one.cell, p, xs, s, **PLAIN)
    dys, dnew = np.ones_like(plain_ys), map_structure(np.ones_like, plain_new)
    assert_close(to("cpu", (ys, new)), (plain_ys, plain_new), "path")
    assert_close(to("cpu", run_back(tape, *to("gpu", (dys, dnew)))), run_back(plain, dys, dnew), "gradient")


def test_explain(cupy, monkeypatch):
    x = cupy.zeros((2, 3, 4), "float32")
    assert "LSTM: CUDA kernel" in explain(LSTM(), x)
    assert "GRU: CUDA kernel" in explain(GRU(reset="before"), x)
    assert "GRU: gate='swish': the kernels of GRU have sigmoid only" in explain(GRU(gate="swish"), x)
    assert "the kernels of GRU have tanh only" in explain(GRU(reset="before", candidate="relu"), x)
    monkeypatch.delattr(cupy, "RawModule")
    assert "LSTM: this CuPy compiles no kernels: it has no RawModule" in explain(LSTM(), x)


@pytest.mark.parametrize("order, seed", (("lifo", 1), ("random", 3)))
@pytest.mark.parametrize("name", ("LSTM, cell clip, peepholes", "Bidirectional, stacks"))
def test_every_schedule_gives_the_same_bits(name, order, seed):
    trial = Trial(replace(case(name), **WAYS["holes"], device="gpu"))
    want = trial.case.run_both_ways(trial.d)[:2]
    with with_kernels(order, seed):
        assert_same(trial.case.run_both_ways(trial.d)[:2], want)
