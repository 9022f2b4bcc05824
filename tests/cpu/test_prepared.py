"""Parameters prepared once: the same results, and never those of weights that were changed since."""
import pickle
from dataclasses import replace

import numpy as np
import pytest

import rnnref
from rnnref.cells import GRU, LSTM, Bidirectional, SimpleRNN, Stack
from rnnref.cpu import lstm, prepare, prepared
from rnnref.cpu.sequence import find_kernel
from rnnref.testing.api import assert_same
from rnnref.testing.case import Trial, draw_case
from rnnref.tree import map_structure

CELLS = {"LSTM": LSTM(peepholes=True), "projected": LSTM(projection=2), "GRU": GRU(), "RNN": SimpleRNN(),
         "no kernel": LSTM(gate="softsign"), "stack": Stack((LSTM(), GRU())), "two": Bidirectional((GRU(), LSTM()))}


def infer(cell, p, xs):
    return rnnref.run(cell, p, xs, keep=False)[:2]


@pytest.mark.parametrize("name", CELLS)
def test_results_are_the_same(name):
    one = draw_case(CELLS[name], units=(4, 4) if name in ("stack", "two") else 4)
    ready = prepare(one.cell, one.p)
    for xs in (one.xs, one.xs[:, :1], one.xs[:1]):
        for _ in range(2):
            assert_same(infer(one.cell, ready, xs), infer(one.cell, one.p, xs))
    d = Trial(one).d
    assert_same(replace(one, p=ready).run_both_ways(d)[:2], one.run_both_ways(d)[:2])


def test_a_change_of_the_weights_is_not_served_from_an_old_layout():
    one = draw_case(LSTM())
    p = map_structure(np.copy, one.p)
    ready, before = prepare(one.cell, p), infer(one.cell, one.p, one.xs)
    assert_same(infer(one.cell, ready, one.xs), before)
    p["R"] *= 2
    assert_same(infer(one.cell, ready, one.xs), before)           # a copy: of the moment when it was made
    doubled = infer(one.cell, p, one.xs)
    assert_same(infer(one.cell, prepare(one.cell, p), one.xs), doubled)
    ready["R"] = p["R"]                           # another array in the dict
    assert_same(infer(one.cell, ready, one.xs), doubled)
    p["R"] /= 2                                   # which can change
    assert_same(infer(one.cell, ready, one.xs), before)


def test_nothing_can_write_to_the_arrays():
    for a in prepare(LSTM(), draw_case(LSTM()).p).values():
        with pytest.raises(ValueError, match="read-only"):
            a += 1
        with pytest.raises(ValueError):
            a.flags.writeable = True


def test_weights_are_laid_out_once_for_each_cell_and_number_of_rows(monkeypatch):
    one, calls = draw_case(LSTM()), []
    monkeypatch.setattr(lstm.LSTMKernel, "pack",
                        lambda self, p, rows, pack=lstm.LSTMKernel.pack: calls.append(rows) or pack(self, p, rows))
    ready = prepare(one.cell, one.p)
    for _ in range(3):
        infer(one.cell, ready, one.xs)
    assert calls == [4]
    other = LSTM(forget_bias=1.0)
    assert_same(infer(other, ready, one.xs), infer(other, one.p, one.xs))
    for rows in range(1, 3 * prepared._MAX_LAYOUTS):
        ready.layout(lstm.LSTMKernel(one.cell), rows)
    assert len(ready._layouts) <= prepared._MAX_LAYOUTS


def test_it_is_a_dict_for_all_else():
    one = draw_case(GRU())
    ready = prepare(one.cell, one.p)
    again = pickle.loads(pickle.dumps(ready))
    assert type(again) is dict and type({**ready}) is dict
    assert_same(again, one.p)


@pytest.mark.parametrize("cell, product", ((LSTM(), "product"), (GRU(), "whole")))
def test_weights_of_one_row_begin_with_a_cache_line(cell, product):
    for units in range(1, 20):
        weights = find_kernel(cell).lay_out(rnnref.init.parameters(cell, 3, units, np.random.default_rng(0)), 1)
        assert getattr(weights, product).call.__self__.ctypes.data % 64 == 0
